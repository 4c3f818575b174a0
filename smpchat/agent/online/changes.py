"""Waits until any process changes the store, so that callers need not read the store again and again.

A commit of this process wakes waiting tasks at once; other processes send a signal
(`smpchat.agent.store.signals`). Signals can get lost, so the store is also checked from time to time.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from types import TracebackType
from typing import Self

from smpchat.agent.store.database import Database
from smpchat.agent.store.signals import POLL_WITHOUT_SIGNALS

POLL = 1.0
"""Seconds between two checks for changes that no signal announced; a check takes microseconds."""
PAUSE = 0.03
"""The shortest time in seconds between two reads of the store, so that many quick changes cause only a few reads."""
_BURST = 0.005
"""Signals of other processes within this many seconds count as one."""


class ForeignChanges:
    """Calls the watchers of a database when other processes commit. One `ForeignChanges` is enough for a process.

    Make this object before you first read the store. Then `run` also notices what was committed before `run` was
    called.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._socket = database.signals.listen()
        self._version = database.foreign_version()

    async def run(self) -> None:
        """Listen until cancelled."""
        try:
            while True:
                signalled = await self._signal()
                version = self._database.foreign_version()
                if signalled or version != self._version:
                    self._version = version
                    self._database.changed()
                    await asyncio.sleep(_BURST)
        finally:
            self.close()

    def close(self) -> None:
        """Stop noticing changes."""
        self._database.signals.stop()

    async def _signal(self) -> bool:
        """Wait for a signal from another process, but only until the store must be checked anyway. Returns whether a
        signal came; several signals count as one."""
        if self._socket is None:
            await asyncio.sleep(POLL_WITHOUT_SIGNALS)
            return False
        try:
            async with asyncio.timeout(POLL):
                await asyncio.get_running_loop().sock_recv(self._socket, 1)
        except TimeoutError:
            return False
        self._database.signals.take()
        return True


class Changes:
    """Lets one task wait for changes of the store. First enter the ``with`` block of a `Changes`. Inside the block,
    read the store, await `next`, and read the store again.

    A change during a read ends the next wait at once. Changes that other processes make are noticed only while a
    `ForeignChanges` runs.

    Args:
        pause: The shortest time in seconds between two reads of the store.
    """

    def __init__(self, database: Database, pause: float = PAUSE) -> None:
        self._database = database
        self._pause = pause
        self._changed = asyncio.Event()
        self._last_look = 0.0

    def __enter__(self) -> Self:
        self._database.watch(self._changed.set)
        self._last_look = asyncio.get_running_loop().time()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._database.unwatch(self._changed.set)

    async def next(self, seconds: float | None = None) -> None:
        """Wait until the store has changed, but not longer than ``seconds``. A change that came before this call also
        counts, if it came after the previous call returned, or, for the first call, after the ``with`` block began."""
        loop = asyncio.get_running_loop()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()
                await asyncio.sleep(max(0.0, self._last_look + self._pause - loop.time()))
        self._last_look = loop.time()
        self._changed.clear()  # now, because a change during the caller's next read must end the next wait
