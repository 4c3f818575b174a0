"""Locks between processes; the operating system frees a lock when the process that holds it dies."""

from __future__ import annotations

import os
import sys
from errno import EACCES, EAGAIN
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from filelock import BaseFileLock


class FileLock:
    """A lock between processes. The operating system frees the lock when the process that holds it ends, even if that
    process is killed.

    It would be unreliable to store the id of the process in a file instead: after a crash, another process may have the
    same id. The library `filelock` uses the same kind of lock as this class. But it takes 10 ms to import, and the
    whole command `send` takes only about 120 ms. So we use `filelock` only if the operating system or the file system
    has no ``flock``.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None
        self._other: BaseFileLock | None = None

    def take(self) -> bool:
        """Try to take the lock, without waiting. Returns False if this process or another process already holds the
        lock."""
        if sys.platform == "win32":
            return self._take_other()
        import fcntl

        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            # EACCES and EAGAIN mean that the lock is held. Any other error means that this file system has no flock,
            # like some network file systems.
            if error.errno in (EACCES, EAGAIN):
                return False
            return self._take_other()
        self._descriptor = descriptor
        return True

    def _take_other(self) -> bool:
        from filelock import FileLock, Timeout

        self._other = FileLock(self._path, mode=0o600)
        try:
            self._other.acquire(blocking=False)
        except Timeout:
            return False
        return True

    def release(self) -> None:
        """Release the lock. The lock's file is not deleted: if it were, two processes could lock two different files of
        the same name."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        elif self._other is not None:
            self._other.release()
