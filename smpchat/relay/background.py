"""Starts and stops the relay of a folder in a background process, without importing the relay itself.

A process that starts the relay and a process that stops it may run at the same time, and each may be killed at any
point. So each does its steps in this order::

    stop                              the process that will be the relay
      1 creates the mark                1 takes the lock
      2 checks the lock                 2 checks the mark

The mark is the file ``stopped`` in the relay's folder. A running relay holds the lock
(`smpchat.relay.folder.FolderLock`). The relay ends in both possible cases: if its process takes the lock after `stop`
has checked the lock, the process finds the mark, and ends; if the process took the lock earlier, it gets a signal from
`stop`, and ends. ``relay start`` first removes the mark. If `stop` finds at its end that the mark was removed, it
creates the mark and does all its steps again: so the mark always exists when `stop` returns. A later ``relay start``
starts the relay.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from smpchat.protocol.address import parse_server
from smpchat.protocol.version import SMP_VERSIONS, VersionRange
from smpchat.relay.errors import RelayError, RelayStartFailed, RelayStoreNewer, RelayTurnedOff
from smpchat.relay.folder import (
    LOG,
    TURNED_OFF,
    RelayInfo,
    is_locked,
    is_turned_off,
    prepare_folder,
    read_state,
    status,
    turn_off,
    turn_on,
)
from smpchat.relay.options import LOOPBACK, NO_FILES, NO_WEBSOCKET, NOTHING_CHOSEN, Options
from smpchat.relay.surroundings import for_own_process

EXIT_RUNNING = 3
"""Exit status of ``python -m smpchat.relay`` when another relay is running on the folder."""
EXIT_TURNED_OFF = 4
"""Exit status of ``python -m smpchat.relay --unless-stopped`` after ``relay stop``."""
EXIT_NEWER = 5
"""Exit status of ``python -m smpchat.relay`` when a newer smpchat wrote the relay's database."""
_STAMP = re.compile(r"\d{4}-\d\d-\d\d [\d:,]+ [A-Z]+ ")  # time and level of a line in the log
_POLL = 0.02
_LOG_LIMIT = 1_000_000  # a start renames a log with more bytes, and begins a new one


def start_background(
    folder: Path,
    options: Options = NOTHING_CHOSEN,
    *,
    port: int = 0,
    ws_port: int | None = None,
    files_port: int | None = None,
    keep: bool = False,
    reset: bool = False,
    versions: VersionRange = SMP_VERSIONS,
    extensions: bool = True,
    on_demand: bool = False,
    timeout: float = 20.0,
) -> RelayInfo:
    """Starts the relay of ``folder`` in a background process. Returns when the relay accepts connections.

    The new process is detached from the terminal, inherits no file descriptors, and continues when this process ends. A
    relay that is already running is not changed. This function blocks: call it in a thread in asyncio programs.

    Args:
        options, port, ws_port, files_port, keep, reset: See `run_relay`.
        on_demand: Whether the relay is started because a command needs it, not because the user asked for it. A start
            on demand fails if the user has stopped the relay with ``relay stop``.
        timeout: Seconds within which the relay must accept connections.
    Raises:
        RelayTurnedOff: The relay is not running, because the user stopped it with ``relay stop``.
        RelayStoreNewer: A newer smpchat wrote the relay's database.
        RelayStartFailed: The relay ended at once (the message gives its reason), or was not ready in time.
        RelayError: The relay's folder cannot be used.
    """
    folder = prepare_folder(folder)
    if not on_demand:
        turn_on(folder)
    info = status(folder)
    if info.state == "running" and _accepts(info):
        return info
    if is_turned_off(folder):
        raise RelayTurnedOff(TURNED_OFF)
    arguments = [str(folder), "--unless-stopped", "--port", str(port), "--versions", str(versions)]
    arguments += options.arguments()
    if ws_port is not None:
        arguments += ["--ws-port", "off" if ws_port == NO_WEBSOCKET else str(ws_port)]
    if files_port is not None:
        arguments += ["--files-port", "off" if files_port == NO_FILES else str(files_port)]
    arguments += ["--keep"] * keep + ["--reset"] * reset + ["--no-extensions"] * (not extensions)
    deadline = time.monotonic() + timeout
    log_start, process = _spawn(folder, arguments, options.password)
    while time.monotonic() < deadline:
        ended = process.poll()  # before the mark is checked: if `stop` ended the process, the mark exists already
        info = status(folder)
        if info.state == "running" and _accepts(info):
            return info
        if ended in (0, EXIT_TURNED_OFF) or is_turned_off(folder):  # 0: it was running, and was stopped
            raise RelayTurnedOff(TURNED_OFF)
        if ended == EXIT_RUNNING and not is_locked(folder):  # the other relay has ended meanwhile
            log_start, process = _spawn(folder, arguments, options.password)
        elif ended not in (None, EXIT_RUNNING):
            if ended == EXIT_NEWER:
                raise RelayStoreNewer(folder)
            raise RelayStartFailed(f"The relay did not start: {_last_words(folder, log_start)}")
        time.sleep(_POLL)
    raise RelayStartFailed(f"The relay still does not accept connections after {timeout:g} seconds.")


def _spawn(folder: Path, arguments: list[str], password: str | None) -> tuple[int, subprocess.Popen[bytes]]:
    """Starts the relay's process. Returns the position in the log at which the new process begins to write, and the
    new process."""
    path = folder / LOG
    environment = for_own_process(password)
    # -P: do not import modules from the current directory.
    command = [sys.executable, "-P", "-m", "smpchat.relay", *arguments]
    try:
        if path.exists() and path.stat().st_size > _LOG_LIMIT:
            path.replace(folder / f"{LOG}.1")
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as log:
            start = log.seek(0, os.SEEK_END)
            if sys.platform == "win32":
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=log,
                    env=environment,
                    cwd=folder,
                    creationflags=subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP,
                )
            else:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=log,
                    env=environment,
                    cwd=folder,
                    start_new_session=True,
                )
    except OSError as error:
        raise RelayStartFailed(f"The relay's process cannot be started: {error}.") from error
    # A thread waits for the end of the relay's process. Otherwise the relay would become a zombie if it ended before
    # this process.
    threading.Thread(target=process.wait, name="relay-process", daemon=True).start()
    return start, process


def _accepts(info: RelayInfo) -> bool:
    """Whether connections to the relay's address are accepted."""
    if info.address is None or info.port is None:
        return False
    hosts = parse_server(info.address).server.hosts
    for host in (*hosts, LOOPBACK):  # a relay that listens on all addresses is reached at any of them
        try:
            with socket.create_connection((host, info.port), timeout=1):
                return True
        except OSError:
            continue
    return False


def _last_words(folder: Path, start: int) -> str:
    try:
        with (folder / LOG).open("rb") as log:
            log.seek(start)
            lines = log.read(65_536).decode("utf-8", "replace").split("\n")
    except OSError as error:
        return f"its log cannot be read: {error}."
    return next((_STAMP.sub("", line.strip()) for line in reversed(lines) if line.strip()), "it gave no reason.")


def stop(folder: Path, *, timeout: float = 10.0) -> RelayInfo:
    """Stops the relay of ``folder``, no matter how it was started. After that, only ``relay start`` or ``relay run``
    starts the relay again. Blocks.

    Args:
        timeout: If the relay has not ended after this many seconds, it is killed. Even then, no message that the relay
            has confirmed is lost.
    Raises:
        RelayError: The relay does not stop, or belongs to another user.
    """
    asked: int | None = None
    deadline = time.monotonic() + timeout
    while not _is_stopped(folder):
        late = time.monotonic() > deadline
        pid = read_state(folder).pid  # None if the relay is just starting
        if pid is not None and (late or pid != asked):
            _signal(pid, kill=late)
            asked = pid
        if time.monotonic() > deadline + 5:
            raise RelayError("The relay does not stop.")
        time.sleep(_POLL)
    return status(folder)


def _is_stopped(folder: Path) -> bool:
    """Creates the file ``stopped``. Returns True if the relay has ended and the file still exists."""
    turn_off(folder)
    return not is_locked(folder) and is_turned_off(folder)


def _signal(pid: int, *, kill: bool) -> None:
    number = signal.SIGTERM
    if kill and sys.platform != "win32":
        number = signal.SIGKILL
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return  # it ended before it got the signal
    except OSError as error:
        raise RelayError(f"The relay cannot be stopped: {error}.") from error
