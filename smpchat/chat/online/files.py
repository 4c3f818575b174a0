"""Files while a profile is online: starts downloads when their descriptions have arrived, and cleans up."""

from __future__ import annotations

from smpchat.agent.online.changes import Changes
from smpchat.chat.online.embedded import EmbeddedRelay
from smpchat.chat.service.writing import WritingProfile

_LOOKS_APART = 0.05
"""The shortest time in seconds between two looks, because many changes often come at once."""
_LONGEST = 600.0
"""The longest time in seconds between two looks, because offers expire, and someone may set the clock."""


async def tend_files(service: WritingProfile, relay: EmbeddedRelay) -> None:
    """Calls `FileProfile.tend_files` whenever something changes, until cancelled. Only the online process of a profile
    runs this loop."""
    with Changes(service.database, _LOOKS_APART) as changes:
        while True:
            service.tend_files(relay.owns_files)
            await changes.next(_LONGEST)
