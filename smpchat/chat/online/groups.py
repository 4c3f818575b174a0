"""Groups while a profile is online: starts the waiting connections to members, a limited number in each minute."""

from __future__ import annotations

from smpchat.agent.online.changes import Changes
from smpchat.chat.service.writing import WritingProfile

_LOOKS_APART = 1.0
"""`tend_groups` reads the store at most once in this many seconds, because many changes often come at once."""
_LONGEST = 600.0
"""`tend_groups` reads the store at least once in this many seconds, because someone may set the clock."""


async def tend_groups(service: WritingProfile) -> None:
    """Starts the waiting connections to group members, a limited number in each minute. Runs until cancelled, and only
    in the online process of a profile."""
    with Changes(service.database, _LOOKS_APART) as changes:
        while True:
            left = service.tend_groups()
            await changes.next(_LONGEST if left is None else max(left, _LOOKS_APART))
