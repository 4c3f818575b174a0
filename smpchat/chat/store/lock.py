"""The lock of a profile: at most one process is online for it, or changes how its file is encrypted."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from smpchat.chat.errors import ProfileLocked


def online_lock(folder: Path) -> FileLock:
    """The lock that whoever is online for the profile in ``folder`` holds; the system frees it when a process dies."""
    # Of the system, and no file with a process number in it: such a number can be somebody else's after a crash.
    return FileLock(folder / "online.lock", mode=0o600)


@contextlib.contextmanager
def kept_offline(folder: Path, name: str) -> Iterator[None]:
    """While the block runs, no process is online for the profile. Raises `ProfileLocked` if one is already."""
    lock = online_lock(folder)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise ProfileLocked(f"Another process is online for the profile {name!r}.", "End it first.") from None
    try:
        yield
    finally:
        lock.release()
