"""Locks that the system frees when their process dies."""

from __future__ import annotations

import os
import sys
from errno import EACCES, EAGAIN
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from filelock import BaseFileLock


class FileLock:
    """A lock that the system frees when its process dies, whichever way.

    It is a lock of the system, and not a file with a process number, which may belong to another process after a crash.
    `filelock` uses the same lock, but takes 10 ms to import, a twelfth of the time of a `send`. So it is used only if
    the system or the file system has no ``flock``.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None
        self._other: BaseFileLock | None = None

    def take(self) -> bool:
        """Take the lock. Returns False if it is taken, in this process or another one. Never waits."""
        if sys.platform == "win32":
            return self._take_other()
        import fcntl

        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            # Somebody has it. Any other error means that this file system has no flock, as some in a network have none.
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
        """Release the lock. The file stays, because otherwise two processes could lock two files with the same name."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        elif self._other is not None:
            self._other.release()
