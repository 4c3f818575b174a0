"""The clock of the client layer. In tests, another clock takes its place."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol


class Timer(Protocol):
    """A function call that was scheduled with `Clock.call_at`."""

    def cancel(self) -> None:
        """Cancel the scheduled call."""
        ...


class Clock(Protocol):
    """A clock that never goes back: tells the time in seconds, and calls functions at given times."""

    def now(self) -> float:
        """Seconds since a fixed moment in the past."""
        ...

    def call_at(self, when: float, call: Callable[[], object]) -> Timer:
        """Call the function ``call`` in the running event loop when `now` has reached ``when``."""
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
    """Wait until ``event`` is done, or until ``clock`` has reached ``when``. Returns whether ``event`` is done."""
    over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    timer = clock.call_at(when, over.cancel)
    try:
        # Not `asyncio.wait_for`: it only works with the loop's clock, and cancels the future when time is up.
        await asyncio.wait((event, over), return_when=asyncio.FIRST_COMPLETED)
    finally:
        timer.cancel()
    return event.done()
