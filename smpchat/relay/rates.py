"""Limits how often a client may do something."""

from __future__ import annotations

from collections.abc import Callable


class Bucket:
    """Limits the rate of an action: allows bursts of at most ``most`` actions, and ``most`` actions per minute on
    average.

    Args:
        most: The largest number of actions in a burst. After a minute without actions, a full burst is allowed again.
        clock: Returns the time in seconds. This time may also jump back.
    """

    __slots__ = ("_at", "_clock", "_left", "_most")

    def __init__(self, most: int, clock: Callable[[], float]) -> None:
        self._most, self._clock = most, clock
        self._left, self._at = float(most), clock()

    def take(self) -> bool:
        """Counts one more action if it is allowed now. Returns whether it is allowed."""
        now = self._clock()
        self._left = min(self._most, self._left + max(0.0, now - self._at) * self._most / 60)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
