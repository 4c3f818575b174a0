"""The lock of a profile. Only one process at a time can hold this lock: the online process, or a process that needs the
profile offline, for example to delete or encrypt it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from smpchat.chat.errors import ProfileLocked
from smpchat.storage.locks import FileLock


def online_lock(folder: Path) -> FileLock:
    """The lock that the online process of the profile in ``folder`` holds."""
    return FileLock(folder / "online.lock")


@contextlib.contextmanager
def kept_offline(folder: Path, name: str) -> Iterator[None]:
    """Holds the lock of the profile during a ``with`` block, so that no process can go online for the profile. Raises
    `ProfileLocked` if a process is already online for it."""
    lock = online_lock(folder)
    if not lock.take():
        raise ProfileLocked(f"Another smpchat is online for the profile {name!r}.", "Stop it first.")
    try:
        yield
    finally:
        lock.release()
