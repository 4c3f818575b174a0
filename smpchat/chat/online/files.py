"""Files while a profile is online: what was asked for is fetched once its description is here, and the rest tidied."""

from __future__ import annotations

from smpchat.agent.online.changes import Changes
from smpchat.chat.online.embedded import EmbeddedRelay
from smpchat.chat.service.writing import WritingProfile

_LOOKS_APART = 0.05
"""Seconds between looks at least: many changes come together."""
_LONGEST = 600.0
"""Seconds between looks at most: offers expire, and a clock may be set."""


async def tend_files(service: WritingProfile, relay: EmbeddedRelay) -> None:
    """Do it whenever something changes, until cancelled; one process of a profile does."""
    with Changes(service.database, _LOOKS_APART) as changes:
        while True:
            service.tend_files(relay.owns_files)
            await changes.next(_LONGEST)
