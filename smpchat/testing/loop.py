"""An event loop with simulated time: it never sleeps, so a simulated minute is over as soon as the callbacks in it
have run."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class JumpingLoop(asyncio.SelectorEventLoop):
    """An event loop whose `time` jumps to the next timer when nothing is left to do at the current time.

    Use this loop only for code without sockets and threads: the loop would jump to the next timer instead of waiting
    for data or a thread.
    """

    def __init__(self) -> None:
        self._now = 0.0
        super().__init__(_JumpingSelector(self._jump))

    def time(self) -> float:
        """Simulated seconds since this event loop was made."""
        return self._now

    def _jump(self, seconds: float) -> None:
        self._now += seconds


class _JumpingSelector(selectors.SelectSelector):
    def __init__(self, jump: Callable[[float], None]) -> None:
        super().__init__()
        self._jump = jump

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise RuntimeError("deadlock: nothing will ever happen again in this loop")
            if timeout > 0:
                self._jump(timeout)
        return ready


def run_jumping(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine function in a `JumpingLoop`."""
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        return runner.run(main())
