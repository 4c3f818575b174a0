"""Waiting beside the process that is online for the profile, which delivers what this one has stored.

Without an event loop: to import `asyncio` takes as long as to start Python and half as long again, and `send` beside
`listen` or `chat` has nothing to do but to look whether its message has left.
"""

from __future__ import annotations

import time
from typing import TypeVar

from smpchat.chat.online.patience import FIRST_LOOKS
from smpchat.chat.online.settling import Looks
from smpchat.chat.service.reading import StoredProfile
from smpchat.chat.store.lock import online_lock
from smpchat.storage.locks import FileLock

T = TypeVar("T")


def handed_over(service: StoredProfile, looks: Looks[T]) -> T | None:
    """Begin a wait, and go on for as long as another process is online; what it came to.

    None as soon as none is: then this one has to be, and goes on where this ended
    (`smpchat.chat.online.waiting.follow`). What this leaves to the other one is all that a process does which stays
    with the profile, such as to remove what expires.
    """
    lock, signals = online_lock(service.folder), service.database.signals
    signals.listen()  # before the first look: what is committed after it is heard
    looked_at = time.monotonic()
    try:
        seconds = next(looks)
        while not _is_free(lock):
            signals.wait(seconds)
            # a burst of commits is looked at a few times, not after each of them
            time.sleep(max(0.0, looked_at + FIRST_LOOKS - time.monotonic()))
            before, looked_at = looked_at, time.monotonic()
            seconds = looks.send(looked_at - before)
    except StopIteration as ended:
        found: T = ended.value
        return found
    finally:
        signals.stop()
    return None


def _is_free(lock: FileLock) -> bool:
    """Whether nobody is online: whoever has just ended tells (`smpchat.chat.online.presence`), so each look asks."""
    if not lock.take():
        return False
    lock.release()
    return True
