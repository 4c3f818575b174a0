"""How long a command waits, and the error if a relay could not be used in that time.

This module is separate from `smpchat.chat.online.waiting`, which imports `asyncio`: a command that hands its work to an
online process does without `asyncio`.
"""

from __future__ import annotations

from smpchat.agent.store.obstacles import Obstacle
from smpchat.chat import troubles
from smpchat.chat.errors import RelayUnavailable
from smpchat.client.trouble import Trouble
from smpchat.encoding.record import Record

RELAY_TIMEOUT = 20.0
"""How many seconds a command waits for a relay, unless the user gives another time."""
GRACE = 2.0
"""A problem with the relay does not end a wait before this many seconds have passed, because a relay that was just
started refuses connections for a moment. If the user gave a time for the wait, no problem ends it before that time."""
FIRST_LOOKS = 0.005
"""Seconds between the first looks at the store. They are frequent, because most commands wait for one message, which
the online process sends at once."""
_LAST_LOOKS = 1.0
"""The most seconds between two looks at the store, even if the store does not change: some problems appear or end only
because time passes."""


class RelayDown(Exception):
    """A relay that the command needs could not be used in time. The text of this exception is one sentence about the
    problem; ``hint`` says what to do."""

    def __init__(self, obstacle: Obstacle, alias: str | None = None) -> None:
        super().__init__(troubles.sentence(obstacle, alias))
        self.kind = obstacle.kind
        self.hint = troubles.hint(obstacle)

    def for_program(self) -> RelayUnavailable:
        """This problem, as the exception that `smpchat.Client` raises."""
        return RelayUnavailable(str(self), self.hint, self.kind)


class Patience(Record):
    """How long to wait, in seconds. ``chosen``: the time was given by the user, so a problem does not end the wait
    earlier."""

    seconds: float = RELAY_TIMEOUT
    chosen: bool = False

    @staticmethod
    def of(seconds: float | None, usual: float = RELAY_TIMEOUT) -> Patience:
        """How long to wait: ``seconds`` if the user gave a time with an option; ``usual`` if ``seconds`` is None."""
        return Patience(usual) if seconds is None else Patience(seconds, chosen=True)

    def next_look(self, waited: float) -> float:
        """Seconds until the next look at the store, if the store does not change earlier. The first looks follow each
        other quickly. One look is always made `GRACE` seconds after the beginning, and one when the time is up, because
        the wait may end then."""
        ends = [moment - waited for moment in (GRACE, self.seconds) if moment > waited]
        return min(FIRST_LOOKS + waited / 4, _LAST_LOOKS, *ends)


def not_in_time() -> RelayDown:
    """The error for when time is up and no problem is known: the relay has not answered."""
    return RelayDown(Obstacle(Trouble.UNREACHABLE, "the relay has not answered in time", 0))
