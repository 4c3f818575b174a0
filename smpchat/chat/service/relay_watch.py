"""While a command runs, watches for relays that cannot be reached for a while, and for their return."""

from __future__ import annotations

from smpchat.chat.service.reading import StoredProfile
from smpchat.chat.store.conditions import Condition

PATIENCE = 3.0
"""The user is told of a relay once it could not be reached for this many seconds. A relay that only restarts is back
sooner."""


class RelayWatch:
    """Decides when to tell the user that a relay is *away* (cannot be reached), and when to tell that it is back. For
    each outage of a relay, the user is told at most once that the relay is away, and at most once that it is back. The
    methods' ``now`` can come from any clock that counts seconds."""

    def __init__(self, service: StoredProfile) -> None:
        self._service = service
        self._away: dict[str, float] = {}
        self._told: set[str] = set()

    def look(self, now: float) -> tuple[list[Condition], list[str]]:
        """What the user must be told now: the problems of relays that have been away for `PATIENCE`, and the addresses
        of relays that are back."""
        troubles = self._service.troubles()
        if not troubles and not self._told:
            self._away = {}
            return [], []
        moment = self._service.now()
        # A problem counts only if the time of the next try lies in the future. Any other problem was noted by an
        # earlier process, and may be over.
        current = {
            server
            for server, trouble in troubles.items()
            if trouble.kind.ends_sessions and trouble.next_try_at is not None and trouble.next_try_at > moment
        }
        back = sorted(server for server in self._told if server not in troubles)
        self._told.difference_update(back)
        self._away = {server: self._away.get(server, now) for server in current | (self._away.keys() & troubles.keys())}
        due = {server for server, since in self._away.items() if now - since >= PATIENCE} - self._told
        self._told |= due
        return [c for c in self._service.conditions() if c.server in due] if due else [], back

    def next_look(self, now: float) -> float | None:
        """Seconds after which `look` must be called again, even if the store has not changed by then; None if that is
        not necessary."""
        waiting = [since for server, since in self._away.items() if server not in self._told]
        return max(0.0, min(waiting) + PATIENCE - now) if waiting else None
