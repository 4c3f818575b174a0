"""The folder of a relay: its lock, its state file, and the file that shows that the user has stopped the relay.

::

    identity/     certificates and keys (`smpchat.transport.identity`)
    relay.db      queues and messages
    files/        stored files (`smpchat.relay.files.store`)
    relay.json    ports, address, saved options, and the process id of a running relay; only the owner can read it
    relay.control port and token for asking the running relay for its statistics (`smpchat.relay.control`)
    relay.lock    locked by the running relay
    relay.log     the log of a relay that runs in the background
    stopped       present after ``relay stop``, until ``relay start``
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path
from typing import Literal

from smpchat.encoding.json_text import parse_json
from smpchat.encoding.record import Record, replace
from smpchat.relay.errors import RelayError, RelayFolderRefused, RelayOptionRefused
from smpchat.relay.options import NOTHING_CHOSEN, Options, options_from_json

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

IDENTITY, DATABASE, FILES, STATE, CONTROL, LOCK, LOG, STOPPED = (
    "identity",
    "relay.db",
    "files",
    "relay.json",
    "relay.control",
    "relay.lock",
    "relay.log",
    "stopped",
)

TURNED_OFF = "The embedded relay was stopped."
"""The error text if a command needs the relay, but the user has stopped it."""


class RelayInfo(Record):
    """What the files in a relay's folder say about the relay.

    Attributes:
        state: Whether the relay runs and accepts connections.
        address: The relay's address, ``smp://…`` with the port, and with the password if it needs one; None before the
            first start.
        pid: Process id; None if the relay is not running.
        port: The port for SMP over TLS. It stays the same after the first start, because links contain it.
        ws_port: The port for WebSocket, which stays the same at later starts; None if WebSocket is not served.
        files_port: The port for files, which stays the same at later starts; `OFF` if files are not served, None before
            the first start.
        files_trouble: A sentence that says why the relay does not serve files although it should.
        options: The options that the user chose with ``relay start``. Later starts use them again.
    """

    state: Literal["running", "stopped"] = "stopped"
    address: str | None = None
    pid: int | None = None
    port: int | None = None
    ws_port: int | None = None
    files_port: int | None = None
    files_trouble: str | None = None
    options: Options = NOTHING_CHOSEN

    @property
    def files_address(self) -> str | None:
        """The relay's address for files, ``xftp://…`` with the port, and with the password if it needs one; None if
        files are not served."""
        if self.address is None or not self.files_port or self.files_trouble is not None:
            return None
        return f"xftp{self.address.removeprefix('smp').rpartition(':')[0]}:{self.files_port}"


def prepare_folder(folder: Path) -> Path:
    """Creates the folder if it does not exist, and returns it. Raises `RelayError`."""
    folder = folder.absolute()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise _unusable(folder, error) from error
    return folder


def _unusable(folder: Path, error: OSError) -> RelayFolderRefused:
    return RelayFolderRefused(f"The relay's folder {folder} cannot be used: {error.strerror}.")


class FolderLock:
    """Locks the folder, with a lock of the operating system. When the process that holds the lock ends, even if it is
    killed, the system frees the lock."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / LOCK
        self._file: int | None = None

    def acquire(self) -> bool:
        """Tries to take the lock. Returns False if another process holds the lock. Raises `RelayError` if the folder
        cannot be used."""
        try:
            file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise _unusable(self._path.parent, error) from error
        if not _lock(file, shared=False):
            os.close(file)
            return False
        self._file = file
        return True

    def release(self) -> None:
        """Releases the lock. May be repeated."""
        if self._file is not None:
            # Close the file, but do not delete it: otherwise one process could hold a lock on the deleted file, while
            # another one locks a new file with the same name.
            os.close(self._file)
            self._file = None


def is_locked(folder: Path) -> bool:
    """Whether a running relay uses the folder. To find out, this function locks the folder for a moment. A relay that
    starts at that moment may fail to lock the folder, so it tries several times."""
    try:
        file = os.open(folder / LOCK, os.O_RDWR)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise _unusable(folder, error) from error
    try:
        # Take a shared lock: two processes that call this function must not disturb each other.
        return not _lock(file, shared=True)
    finally:
        os.close(file)


def _lock(file: int, *, shared: bool) -> bool:
    try:
        if sys.platform == "win32":
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def read_state(folder: Path) -> RelayInfo:
    """Reads the state file. The result's ``state`` is "running" if the file contains a process id, even if that process
    has ended.

    Raises:
        RelayError: The state file cannot be read, or is damaged.
    """
    path = folder / STATE
    try:
        content = parse_json(path.read_bytes(), "it")
    except FileNotFoundError:
        return RelayInfo()
    except (OSError, ValueError) as error:
        raise RelayError(f"{path} cannot be read: {error}.") from error
    match content:
        case {"address": str() | None as address, "port": int() as port, "pid": int() | None as pid} if (
            0 < port < 65536
        ):
            ws_port, files_port = content.get("ws_port"), content.get("files_port")
            trouble = content.get("files_trouble")
            try:
                options = options_from_json(content.get("options", {}))
            except RelayOptionRefused as error:
                raise RelayError(f"{path} contains invalid options: {error}") from error
            if (
                (ws_port is None or (isinstance(ws_port, int) and 0 < ws_port < 65536))
                and (files_port is None or (isinstance(files_port, int) and 0 <= files_port < 65536))
                and (trouble is None or isinstance(trouble, str))
            ):
                state: Literal["running", "stopped"] = "stopped" if pid is None else "running"
                return RelayInfo(state, address, pid, port, ws_port, files_port, trouble, options)
    raise RelayError(f"{path} is damaged: delete it, and start the relay with --port and the port in your links.")


def state_json(info: RelayInfo) -> bytes:
    """The content of a relay's state file."""
    content = {
        "address": info.address,
        "pid": info.pid,
        "port": info.port,
        "ws_port": info.ws_port,
        "files_port": info.files_port,
        "files_trouble": info.files_trouble,
        "options": info.options.chosen(),
    }
    return json.dumps(content).encode()


def write_state(folder: Path, info: RelayInfo) -> None:
    """Replaces the state file in one step. Raises `RelayError`."""
    path, new = folder / STATE, folder / f"{STATE}.{os.getpid()}"
    try:
        with contextlib.suppress(FileNotFoundError):
            new.unlink()
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(state_json(info))
            file.flush()
            # Wait for the disk before the rename: otherwise, the state file could be empty after a power cut, and the
            # relay would not know the port that the user's links contain.
            os.fsync(file.fileno())
        # A process that reads the state file at this moment gets all of the old content, or all of the new.
        new.replace(path)
    except OSError as error:
        raise RelayError(f"{path} cannot be written: {error}.") from error


def status(folder: Path) -> RelayInfo:
    """Reads the state file, and checks whether the relay is running: if it is not, the result's ``state`` is "stopped".
    Raises `RelayError` if the folder cannot be read."""
    info = read_state(folder)
    if info.pid is not None and is_locked(folder):
        return info
    return replace(info, state="stopped", pid=None)


def is_turned_off(folder: Path) -> bool:
    """Whether the user has stopped the relay with ``relay stop``. If so, no command starts the relay on demand; only
    ``relay start`` and ``relay run`` start it."""
    return (folder / STOPPED).exists()


def turn_off(folder: Path) -> None:
    """Creates the file ``stopped``, the mark that the user has stopped the relay. Raises `RelayError`."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / STOPPED).touch(mode=0o600)
    except OSError as error:
        raise _unusable(folder, error) from error


def turn_on(folder: Path) -> None:
    """Removes the file ``stopped``. Raises `RelayError`."""
    try:
        (folder / STOPPED).unlink(missing_ok=True)
    except OSError as error:
        raise _unusable(folder, error) from error
