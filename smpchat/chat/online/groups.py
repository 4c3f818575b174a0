"""Groups while a profile is online: connections to members that wait for their turn get it, some in each minute."""

from __future__ import annotations

from smpchat.agent.online.changes import Changes
from smpchat.chat.service.writing import WritingProfile

_LOOKS_APART = 1.0
"""Seconds between looks at least: many changes come together."""
_LONGEST = 600.0
"""Seconds between looks at most: a clock may be set."""


async def tend_groups(service: WritingProfile) -> None:
    """Do it whenever something changes, until cancelled; one process of a profile does."""
    with Changes(service.database, _LOOKS_APART) as changes:
        while True:
            left = service.tend_groups()
            await changes.next(_LONGEST if left is None else max(left, _LOOKS_APART))
