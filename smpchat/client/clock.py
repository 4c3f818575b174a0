"""The clock of the client layer; tests pass one of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol


class Timer(Protocol):
    """A call that will be made later."""

    def cancel(self) -> None:
        """Do not make the call."""
        ...


class Clock(Protocol):
    """A clock that never goes back: tells the time in seconds, and makes calls at given times."""

    def now(self) -> float:
        """Seconds since some moment in the past."""
        ...

    def call_at(self, when: float, call: Callable[[], object]) -> Timer:
        """Make ``call`` in the running loop once `now` reaches ``when``."""
        ...


class LoopClock:
    """The running event loop's clock."""

    def now(self) -> float:
        """See `Clock.now`."""
        return asyncio.get_running_loop().time()

    def call_at(self, when: float, call: Callable[[], object]) -> Timer:
        """See `Clock.call_at`."""
        return asyncio.get_running_loop().call_at(when, call)


async def wait_until(event: asyncio.Future[Any], clock: Clock, when: float) -> bool:
    """Wait until ``event`` is done, but not longer than until ``clock`` shows ``when``. Returns whether ``event`` is
    done."""
    over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    timer = clock.call_at(when, over.cancel)
    try:
        # Not `asyncio.wait_for`: it only works with the loop's clock, and cancels the future when time is up.
        await asyncio.wait((event, over), return_when=asyncio.FIRST_COMPLETED)
    finally:
        timer.cancel()
    return event.done()
