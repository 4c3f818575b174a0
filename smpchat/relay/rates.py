"""Limits how often a client may do something."""

from __future__ import annotations

from collections.abc import Callable


class Bucket:
    """Allows ``most`` actions in a minute: short bursts, but no flood.

    Args:
        most: The number of actions that are allowed at once. A minute after the last of them, all are allowed again.
        clock: Returns the time in seconds. The clock may be set back.
    """

    __slots__ = ("_at", "_clock", "_left", "_most")

    def __init__(self, most: int, clock: Callable[[], float]) -> None:
        self._most, self._clock = most, clock
        self._left, self._at = float(most), clock()

    def take(self) -> bool:
        """Whether one more action is allowed now. If so, it is counted."""
        now = self._clock()
        self._left = min(self._most, self._left + max(0.0, now - self._at) * self._most / 60)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
