"""The bell of `chat`. The bell is off by default, and does not ring too often. The user's choice is remembered."""

from __future__ import annotations

from collections.abc import Callable

from smpchat.chat.service.connecting import ChatService

_QUIET = 3.0
"""The bell rings at most once in this many seconds."""


class Bell:
    """Decides when `chat` rings the bell: when a message or request arrives, if the bell is on.

    Args:
        now: Returns the current time in POSIX seconds.
        usual: Whether the bell is on until the user first turns it on or off.

    Attributes:
        rings: Whether the bell is on.
    """

    def __init__(self, service: ChatService, now: Callable[[], float], usual: bool = False) -> None:
        self._service, self._now = service, now
        self.rings = service.rings() or (usual and not service.has_chosen("bell"))
        self._due, self._rang = False, float("-inf")

    def turn(self, on: bool) -> None:
        """Turn the bell on or off, also for later runs."""
        self.rings = on
        self._service.set_rings(on)

    def ring(self, when: bool = True) -> None:
        """If ``when`` is true, the next `take` tells its caller to ring, unless the bell is off or has just rung."""
        self._due |= when

    def take(self) -> bool:
        """Whether the caller must ring the bell now. True if the bell is on, something arrived since the last call, and
        the bell did not ring in the last `_QUIET` seconds."""
        due, self._due = self._due and self.rings, False
        now = self._now()
        if not due or now - self._rang < _QUIET:
            return False
        self._rang = now
        return True
