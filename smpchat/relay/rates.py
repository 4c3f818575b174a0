"""How often somebody may do something."""

from __future__ import annotations

from collections.abc import Callable


class Bucket:
    """So many in a minute: bursts are fine, a flood is not.

    Args:
        most: What is there at first, and comes back within a minute.
        clock: Seconds of any beginning; where it is set back, nothing comes back for a moment.
    """

    __slots__ = ("_at", "_clock", "_left", "_most")

    def __init__(self, most: int, clock: Callable[[], float]) -> None:
        self._most, self._clock = most, clock
        self._left, self._at = float(most), clock()

    def take(self) -> bool:
        """Whether one more may be done now; counts it if so."""
        now = self._clock()
        self._left = min(self._most, self._left + max(0.0, now - self._at) * self._most / 60)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
