"""The tasks that run while a profile is online. An error of the store ends all these tasks; an error that concerns only
one connection does not."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Coroutine
from typing import Any

from smpchat.agent.errors import AgentError, StoreError

log = logging.getLogger("smpchat.agent")


class Tasks:
    """The tasks of one run; the first task that fails ends the run."""

    def __init__(self) -> None:
        self.running = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._failure: asyncio.Future[None] | None = None

    def start(self) -> asyncio.Future[None]:
        """Begin a run: from now on, tasks may be started. Returns a future that fails with the error that ends the
        run."""
        self._failure = asyncio.get_running_loop().create_future()
        self.running = True
        return self._failure

    async def cancel(self) -> None:
        """End all tasks, and wait for them."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run ``work`` at the same time as the other tasks."""
        task = asyncio.ensure_future(work)
        # Kept here because asyncio holds only weak references: a task that nobody else holds may vanish before its end.
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self.fail(error)

    def fail(self, error: BaseException) -> None:
        """End the run with the first error. Errors that come while the run is ending are only logged."""
        if self.running and self._failure is not None and not self._failure.done():
            self._failure.set_exception(error)
            self._failure.exception()  # marks it as seen, in case the run is cancelled at the same moment
        else:
            log.info("error while the agent was ending: %s", type(error).__name__, exc_info=error)

    def fault_of_callback(self, message: str, error: Exception) -> None:
        """Handle an error that was raised in a callback of asyncio or of the session pool. An error of the store ends
        the run; any other error is only reported, and the run continues."""
        if is_of_store(error):
            self.fail(error)
        else:
            asyncio.get_running_loop().call_exception_handler({"message": message, "exception": error})


def is_of_store(error: BaseException) -> bool:
    """Whether the database itself has failed, rather than the work for one connection or message."""
    if isinstance(error, StoreError | sqlite3.OperationalError | sqlite3.InternalError):
        return True
    return type(error) is sqlite3.DatabaseError  # the file is damaged


def severity(error: BaseException) -> int:
    """The level at which an error of one connection is logged."""
    return logging.WARNING if isinstance(error, AgentError) else logging.ERROR
