"""Signals between the processes that have a profile's store open: "something was committed, look".

Each process that waits for changes of the store listens at a datagram socket of its own. After each commit, a process
sends an empty datagram to the sockets of the other processes. A signal has no content, and a lost signal costs only
time, because waiting processes also check the store from time to time (`smpchat.agent.online.changes`). No signals are
sent if the system has no Unix sockets, or if other users can write into the folder of the sockets.
"""

from __future__ import annotations

import os
import stat
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # takes a millisecond, and most commands find no process to signal
    import socket

POLL_WITHOUT_SIGNALS = 0.5
"""Seconds between two checks of the store if no signals can be received."""
_TRIES = 100
_FOLDER_MODE = 0o700


def _folder() -> Path | None:
    """The folder with the sockets of all stores of this user; None on systems without user ids. The path is short,
    because a socket's path may have only about 100 bytes."""
    if not hasattr(os, "getuid"):
        return None
    return Path(os.environ.get("TMPDIR") or "/tmp") / f"smpchat-{os.getuid()}"


def _is_ours(folder: Path) -> bool:
    """Whether the folder is this user's, and closed to other users. Its parent, for example /tmp, may be open to all,
    so another user could have created this folder first."""
    try:
        # `stat` would follow a symbolic link. Another user can make such a link in /tmp, to any folder of this user.
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077


class Signals:
    """Sends signals about a store to other processes, and receives their signals.

    Args:
        store: The store's file. Two processes signal to each other if their stores are in the same folder, even if each
            uses another path to it.
    """

    def __init__(self, store: Path) -> None:
        self._store = store
        self._prefix: str | None = None
        self._own: socket.socket | None = None
        self._own_path: Path | None = None

    def listen(self) -> socket.socket | None:
        """A non-blocking socket at which signals of other processes arrive until `stop` is called. None if signals
        cannot be received, for example on systems without Unix sockets."""
        folder = _folder()
        try:
            import socket

            if folder is None or not hasattr(socket, "AF_UNIX"):
                return None
            folder.mkdir(_FOLDER_MODE, exist_ok=True)
            if not _is_ours(folder):
                return None
            own = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            try:
                own.setblocking(False)
                _remove_dead(folder)
                self._own_path = self._bind(folder, own)
            except BaseException:
                own.close()
                raise
        except OSError:  # a full disk, a path that is too long, a system that forbids it
            return None
        self._own = own
        return own

    def wait(self, seconds: float) -> None:
        """Block until a signal of another process arrives, at most for ``seconds``. Several signals count as one.

        If signals cannot be received, the call returns after at most `POLL_WITHOUT_SIGNALS` seconds.
        """
        if self._own is None:
            time.sleep(min(seconds, POLL_WITHOUT_SIGNALS))
            return
        import select

        if select.select([self._own], [], [], seconds)[0]:
            self.take()

    def take(self) -> None:
        """Discard all signals that have come so far."""
        with suppress(BlockingIOError):
            while self._own is not None:
                self._own.recv(1)

    def _bind(self, folder: Path, own: socket.socket) -> Path:
        for number in range(_TRIES):
            path = folder / f"{self._name()}{os.getpid()}-{number}"
            try:
                own.bind(os.fspath(path))
            except OSError:
                if not path.exists():
                    raise
            else:
                return path
        raise FileExistsError

    def stop(self) -> None:
        """Stop receiving signals."""
        if self._own is not None and self._own_path is not None:
            self._own.close()
            self._own_path.unlink(missing_ok=True)
            self._own = self._own_path = None

    def send(self) -> None:
        """Wake the other processes that follow the store. This call never waits, and ignores errors."""
        folder = _folder()
        try:
            if folder is None or not (others := self._others(folder)) or not _is_ours(folder):
                return
            import socket

            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.setblocking(False)
                for path in others:
                    with suppress(OSError):  # the receiver's buffer is full, so it wakes up anyway; or it has ended
                        try:
                            sender.sendto(b"", path)
                        except ConnectionRefusedError:  # the process was killed
                            os.unlink(path)
        except OSError:
            return  # the folder cannot be read, or there are no descriptors left

    def _others(self, folder: Path) -> list[str]:
        try:
            with os.scandir(folder) as entries:
                found = [entry.path for entry in entries if entry.name.startswith(self._name())]
        except FileNotFoundError:
            return []
        own = None if self._own_path is None else os.fspath(self._own_path)
        return [path for path in found if path != own]

    def _name(self) -> str:
        """The beginning of the names of this store's sockets: short, and the same for every path by which the store may
        be opened."""
        if self._prefix is None:
            found = self._store.parent.stat()
            self._prefix = f"{found.st_dev:x}-{found.st_ino:x}-"
        return self._prefix


def _remove_dead(folder: Path) -> None:
    """Remove the sockets that killed processes have left, even those of stores that are not used any more."""
    import socket

    for path in folder.iterdir():
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe, suppress(OSError):
            try:
                probe.connect(os.fspath(path))
            except ConnectionRefusedError:
                path.unlink()
