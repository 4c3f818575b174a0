"""Being online for a profile: one process at a time runs the agent, and all others hand it work through the store."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

from smpchat.agent.online.changes import Changes, ForeignChanges
from smpchat.chat.online.embedded import EmbeddedRelay
from smpchat.chat.service.reading import StoredProfile
from smpchat.chat.service.writing import WritingProfile
from smpchat.chat.store.lock import online_lock

log = logging.getLogger("smpchat.chat")

EXPIRY_INTERVAL = 2.0
"""`remove_expired` looks for expired messages at least once in this many seconds. It cannot simply sleep until the next
message is due, because a computer may be suspended, and someone may set the clock. In addition, every command deletes
expired messages before it shows anything."""
_NOTHING_EXPIRES = 15.0
"""If no message must disappear, `remove_expired` looks at the store at least once in this many seconds. A new message
that must disappear changes the store, and `remove_expired` notices each change of the store."""
_SHORTEST = 0.01
TAKE_OVER_INTERVAL = 1.5
"""Seconds between two tries to go online while another process is online. The other process announces when it goes
offline, but not if it is killed."""
_TRIES_APART = 0.2


@contextlib.asynccontextmanager
async def online(service: WritingProfile, relay: EmbeddedRelay) -> AsyncIterator[None]:
    """While the body of ``async with online(...)`` runs, this process or another one is online for the profile.

    If another process is online, this one waits until that process ends, and then takes over. If the agent itself
    fails, for example because the store cannot be used, the body is cancelled with that error.
    """
    foreign = ForeignChanges(service.database)  # before the body's first look
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(work)
                for work in (foreign.run(), _take_turns(service, relay), remove_expired(service))
            ]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
    finally:
        foreign.close()


async def _take_turns(service: WritingProfile, relay: EmbeddedRelay) -> None:
    lock = online_lock(service.folder)
    with Changes(service.database, _TRIES_APART) as changes:
        while True:
            # One process at a time: two would advance one ratchet twice from the same state, and answer one message
            # twice.
            if not lock.take():
                await changes.next(TAKE_OVER_INTERVAL)
                continue
            try:
                from smpchat.chat.online.connectivity import run_agent  # costs 100 ms; most processes do not need it

                # Checked again under the lock: the profile may have been moved away since the command's own check.
                service.check_not_moved()
                await run_agent(service, relay)
            finally:
                lock.release()
                service.database.signals.send()  # wakes up the processes that wait to go online


async def remove_expired(service: StoredProfile) -> None:
    """Deletes disappearing messages when their time is over, until cancelled. Every process that keeps the profile open
    runs this loop.

    A live message is one that its author is still writing. This loop treats a live message as finished if its author
    has not changed it for a while, even if no command reads messages. The loop also deletes the pictures (QR codes) of
    links that can no longer be used.

    The time of a received disappearing message begins when the message is shown, which another process may do at any
    moment. Showing a message changes the store, and each change of the store makes the loop look again.

    Finally, the loop removes overwritten and erased data from the write-ahead log.
    """
    clock = asyncio.get_running_loop().time
    with Changes(service.database) as changes:
        while True:
            service.note_clock()
            service.expire()
            service.give_up_waiting()
            service.remove_leftovers()
            service.database.clear_old_log(clock())
            due = service.next_expiry()
            left = _NOTHING_EXPIRES if due is None else min(max(due - service.now(), _SHORTEST), EXPIRY_INTERVAL)
            await changes.next(left)
