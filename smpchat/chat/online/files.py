"""Files while a profile is online: starts downloads when their descriptions have arrived, and cleans up."""

from __future__ import annotations

from smpchat.agent.online.changes import Changes
from smpchat.chat.online.embedded import EmbeddedRelay
from smpchat.chat.service.writing import WritingProfile

_LOOKS_APART = 0.05
"""`tend_files` reads the store at most once in this many seconds, because many changes often come at once."""
_LONGEST = 600.0
"""`tend_files` reads the store at least once in this many seconds, because offers of files expire, and someone may set
the clock."""


async def tend_files(service: WritingProfile, relay: EmbeddedRelay) -> None:
    """Calls `FileProfile.tend_files` whenever something changes, until cancelled. Only the online process of a profile
    runs this loop."""
    with Changes(service.database, _LOOKS_APART) as changes:
        while True:
            service.tend_files(relay.owns_files)
            await changes.next(_LONGEST)
