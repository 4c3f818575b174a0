"""Waiting while another process is online for the profile and delivers what this process has stored.

This module works without an event loop, because importing `asyncio` takes one and a half times as long as starting
Python. While `listen` or `chat` is online, a `send` only has to look whether its message was sent.
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
    """Starts a wait, and continues it as long as another process is online. Returns the result of the wait.

    Returns None as soon as no other process is online. This process must then go online itself, and continue the wait
    with `smpchat.chat.online.waiting.follow`. Everything else that an online process does, such as deleting expired
    messages, is left to the other process.
    """
    lock, signals = online_lock(service.folder), service.database.signals
    signals.listen()  # before the first look, so that no commit after the look is missed
    looked_at = time.monotonic()
    try:
        seconds = next(looks)
        while not _is_free(lock):
            signals.wait(seconds)
            # many commits in a row cause only a few looks, not one look each
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
    """Whether no process is online. When an online process ends, it wakes up the waiting processes
    (`smpchat.chat.online.presence`), and they call this function."""
    if not lock.take():
        return False
    lock.release()
    return True
