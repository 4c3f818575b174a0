"""How often a client may do something."""

from __future__ import annotations

from collections.abc import Callable


class Bucket:
    """So many in a minute: short bursts are allowed, but not a flood.

    Args:
        most: The number that is available at first, and is restored within a minute.
        clock: Seconds since any time. If the clock is set back, nothing is restored for a moment.
    """

    __slots__ = ("_at", "_clock", "_left", "_most")

    def __init__(self, most: int, clock: Callable[[], float]) -> None:
        self._most, self._clock = most, clock
        self._left, self._at = float(most), clock()

    def take(self) -> bool:
        """Whether one more is allowed now. If so, it is counted."""
        now = self._clock()
        self._left = min(self._most, self._left + max(0.0, now - self._at) * self._most / 60)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
