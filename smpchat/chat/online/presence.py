"""Being online for a profile: one process at a time runs the agent, any other hands it work through the store."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

from smpchat.chat.online.embedded import EmbeddedRelay
from smpchat.chat.service.reading import StoredProfile
from smpchat.chat.service.writing import WritingProfile
from smpchat.chat.store.events import ChatEvent
from smpchat.chat.store.lock import online_lock

log = logging.getLogger("smpchat.chat")

FOLLOW_INTERVAL = 0.03
"""Seconds between looks at the feed; a look is one indexed query."""
EXPIRY_INTERVAL = 2.0
"""Seconds at most between looks for messages whose time is over; nothing shows one of them meanwhile."""
_SHORTEST = 0.01
TAKE_OVER_INTERVAL = 0.2
"""Seconds between tries to become online while another process is."""


@contextlib.asynccontextmanager
async def online(service: WritingProfile, relay: EmbeddedRelay) -> AsyncIterator[None]:
    """While the block runs, this process or another one is online for the profile.

    If another process is online, this one only watches, and takes over when the other ends. If the agent fails for a
    reason of its own (a store that cannot be used), the block is cancelled with that error.
    """
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_take_turns(service, relay)), group.create_task(remove_expired(service))]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()


async def _take_turns(service: WritingProfile, relay: EmbeddedRelay) -> None:
    lock = online_lock(service.folder)
    while True:
        # One process at a time: two would turn one ratchet twice from the same state, and answer one message twice.
        if not lock.take():
            await asyncio.sleep(TAKE_OVER_INTERVAL)
            continue
        try:
            from smpchat.chat.online.connectivity import run_agent  # costs 100 ms: only who is online pays for it

            service.check_not_moved()
            await run_agent(service, relay)
        finally:
            lock.release()


async def remove_expired(service: StoredProfile) -> None:
    """Remove messages as their time ends, until cancelled; every process does it that stays with the profile.

    What a contact has begun to write and left alone for a while becomes a message here, too, though nobody looks.

    Another process may show a message at any moment and so begin its time: its end is looked for anew now and then.
    """
    while True:
        service.expire()
        service.give_up_waiting()
        due = service.next_expiry()
        wait = EXPIRY_INTERVAL if due is None else min(max(due - service.now(), _SHORTEST), EXPIRY_INTERVAL)
        await asyncio.sleep(wait)


async def follow(service: StoredProfile, after: int) -> AsyncIterator[ChatEvent]:
    """Events of the profile newer than number ``after``, whichever process causes them; never ends by itself."""
    while True:
        for number, event in service.events_after(after):
            after = number
            yield event
        await asyncio.sleep(FOLLOW_INTERVAL)


def is_online(service: StoredProfile) -> bool:
    """Whether some process is online for the profile at this moment."""
    lock = online_lock(service.folder)
    if not lock.take():
        return True
    lock.release()
    return False
