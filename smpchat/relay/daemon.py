"""One relay per folder: run here until told to stop, or in a process of its own."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from smpchat.crypto.entropy import Entropy, SystemEntropy
from smpchat.protocol.address import SMPServer, SMPServerAddress, format_server, parse_server
from smpchat.protocol.version import SMP_VERSIONS, VersionRange
from smpchat.relay.control import STATISTICS_PATH, Control
from smpchat.relay.destinations import Destinations
from smpchat.relay.errors import RelayError, RelayPortTaken, RelayRunning, RelayStartFailed, RelayTurnedOff
from smpchat.relay.folder import (
    DATABASE,
    IDENTITY,
    LOG,
    FolderLock,
    RelayInfo,
    is_locked,
    is_turned_off,
    read_state,
    status,
    turn_off,
    turn_on,
    write_state,
)
from smpchat.relay.local_http import LOOPBACK, LocalHTTP, Page
from smpchat.relay.options import NOTHING_CHOSEN, OFF, Options
from smpchat.relay.server import Limits, RelayServer
from smpchat.relay.statistics import prometheus_text
from smpchat.relay.store import SQLiteStore
from smpchat.transport.base import ListenFailed, TransportError
from smpchat.transport.identity import Identity, load_identity, load_or_create_identity
from smpchat.transport.identity import rotate_certificate as renew_certificate

EXIT_RUNNING = 3
"""Exit status of ``python -m smpchat.relay`` when another relay has the folder."""
PASSWORD_VARIABLE = "SMPCHAT_RELAY_PASSWORD"
"""Carries the password to the background process: other users can read a command line, but no environment."""
LOCAL = LOOPBACK
NO_WEBSOCKET = -1
"""In place of a port: do not serve WebSocket, and forget the port that was used for it."""

_LOCK_PATIENCE = 0.5  # seconds; whoever asks for the status holds the lock for a moment
_POLL = 0.02
_LOG_LIMIT = 1_000_000  # bytes after which a start puts the log aside

_log = logging.getLogger("smpchat.relay")


async def run_relay(
    folder: Path,
    options: Options = NOTHING_CHOSEN,
    *,
    stop: asyncio.Event,
    port: int = 0,
    ws_port: int | None = None,
    keep: bool = False,
    reset: bool = False,
    versions: VersionRange = SMP_VERSIONS,
    extensions: bool = True,
    ready: Callable[[str, int], None] | None = None,
    entropy: Entropy | None = None,
    clock: Callable[[], float] = time.time,
) -> None:
    """Runs the relay of ``folder`` until ``stop`` is set.

    Args:
        folder: Made at the first start, with certificates, database and port.
        options: What was chosen; what is not comes from those kept in the folder. If it listens on a wildcard, the
            address tells this machine's own.
        port: 0 for the port of the start before, at the first start for any free one.
        ws_port: Where to serve WebSocket as well; None for whatever the start before did, 0 for its port or any free
            one, `NO_WEBSOCKET` for not at all.
        keep: Keeps the options, once it accepts connections, for every start to come.
        reset: Goes by the defaults and not by the options kept; with ``keep`` those are forgotten.
        ready: Called with address and port once connections are accepted.
        clock: Unix time in seconds.
    Raises:
        RelayRunning: Another relay has the folder.
        RelayPortTaken: A port is in use.
        RelayError: The folder, its certificates or its database cannot be used, or another host failure.
    """
    folder = await asyncio.to_thread(_prepare_folder, folder)
    lock = FolderLock(folder)
    await _acquire(lock)
    try:
        known = read_state(folder)
        if known.pid is not None and known.port is not None:  # of a relay that was killed
            write_state(folder, replace(known, state="stopped", pid=None))
        chosen = options.over(NOTHING_CHOSEN if reset else known.options)
        kept = chosen if keep else known.options
        entropy = entropy or SystemEntropy()
        host, password = chosen.host or LOCAL, chosen.password or None
        identity = _identity(folder, entropy, clock, host)
        with closing(SQLiteStore(folder / DATABASE)) as store:
            server = RelayServer(
                store,
                identity,
                entropy=entropy,
                clock=clock,
                versions=versions,
                extensions=extensions,
                password=password,
                new_queues=chosen.new_queues is not False,
                limits=limits_of(chosen),
                destinations=None if chosen.proxy is None else Destinations(chosen.proxy),
            )
            async with _told(folder, server, chosen.metrics_port or OFF):
                serve_ws = known.ws_port if ws_port is None else ws_port or known.ws_port or 0
                await _listen(server, host, port or known.port or 0, serve_ws)
                address = _address(identity, host, server.port, password)
                running = RelayInfo("running", address, os.getpid(), server.port, server.ws_port, kept)
                try:
                    write_state(folder, running)
                    _log.info("the relay is ready with %d queues, versions %s", store.queue_count, versions)
                    if ready is not None:
                        ready(address, server.port)
                    await server.wait(stop)
                finally:
                    await server.close()
                    write_state(folder, replace(running, state="stopped", pid=None))
                    _log.info("the relay has stopped")
    finally:
        lock.release()


def limits_of(options: Options) -> Limits:
    """The bounds that the options ask for."""
    chosen = {
        "quota": options.quota,
        "keep": None if options.keep_days is None else options.keep_days * 86_400,
        "connections": options.max_connections,
        "connections_per_address": options.max_connections_per_address,
        "new_queues": options.max_new_queues,
    }
    return Limits(**{name: value for name, value in chosen.items() if value is not None})


@asynccontextmanager
async def _told(folder: Path, server: RelayServer, metrics_port: int) -> AsyncIterator[None]:
    """Has the relay tell its figures while the block runs. Raises `RelayPortTaken`, or `RelayError`."""

    async def statistics() -> Page:
        return Page("application/json", json.dumps((await server.statistics()).to_json()).encode())

    async def metrics() -> Page:
        return Page("text/plain; version=0.0.4; charset=utf-8", prometheus_text(await server.statistics()).encode())

    control = Control(folder, {STATISTICS_PATH: statistics})
    exporter = LocalHTTP({"/metrics": metrics})
    try:
        try:
            await control.open()
        except OSError as error:
            raise RelayError(f"The relay cannot listen for `relay stats`: {error}.") from error
        if metrics_port != OFF:
            try:
                await exporter.start(metrics_port)
            except OSError as error:
                raise RelayPortTaken(f"Port {metrics_port} is used by another program.") from error
            _log.info("figures for Prometheus are at http://%s:%d/metrics", LOCAL, metrics_port)
        yield
    finally:
        await exporter.close()
        await control.close()


def _prepare_folder(folder: Path) -> Path:
    folder = folder.absolute()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise RelayError(f"The relay's folder cannot be made: {error}.") from error
    return folder


async def _acquire(lock: FolderLock) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _LOCK_PATIENCE
    while not lock.acquire():
        if loop.time() > deadline:
            raise RelayRunning("Another relay already runs on this folder.")
        await asyncio.sleep(_POLL)


def _identity(folder: Path, entropy: Entropy, clock: Callable[[], float], host: str) -> Identity:
    now = datetime.fromtimestamp(clock(), UTC)
    try:
        return load_or_create_identity(folder / IDENTITY, entropy, now, [_public_host(host)])[0]
    except TransportError as error:
        left = certificate_left(folder, clock=clock)
        what_to_do = "; smpchat relay rotate-certificate makes another" if left is not None and left.days < 0 else ""
        raise RelayError(f"The relay's certificates cannot be used: {error}{what_to_do}.") from error


def rotate_certificate(
    folder: Path, *, entropy: Entropy | None = None, clock: Callable[[], float] = time.time
) -> datetime:
    """Makes another online certificate, which the next start uses; the fingerprint stays. Blocks.

    Returns:
        Until when it is valid.
    Raises:
        RelayError: There are no certificates yet, or they cannot be used or written.
    """
    now = datetime.fromtimestamp(clock(), UTC)
    try:
        return renew_certificate(folder / IDENTITY, entropy or SystemEntropy(), now).expires
    except TransportError as error:
        raise RelayError(f"The certificate cannot be replaced: {error}.") from error


def certificate_left(folder: Path, *, clock: Callable[[], float] = time.time) -> timedelta | None:
    """How long the online certificate is still valid; None where there is none that could be used."""
    try:
        return load_identity(folder / IDENTITY).expires - datetime.fromtimestamp(clock(), UTC)
    except TransportError:
        return None


async def _listen(server: RelayServer, host: str, port: int, ws_port: int | None) -> None:
    wanted = port
    try:
        await server.start(host, port)
        if ws_port is not None and ws_port != NO_WEBSOCKET:
            wanted = ws_port
            await server.listen_websocket(host, ws_port)
    except ListenFailed as error:
        await server.close()
        if isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.EADDRINUSE:
            raise RelayPortTaken(f"Port {wanted} is used by another program.") from error
        raise RelayError(f"The relay {error}.") from error


def _address(identity: Identity, host: str, port: int, password: str | None) -> str:
    server = SMPServer((_public_host(host),), str(port), identity.fingerprint)
    return format_server(SMPServerAddress(server, password))


def _public_host(host: str) -> str:
    """What others can connect to when the relay listens on ``host``."""
    try:
        wildcard = ipaddress.ip_address(host).is_unspecified
    except ValueError:
        wildcard = not host
    if not wildcard:
        return host
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing: only asks which own address a way out would have
            return str(probe.getsockname()[0])
        except OSError:
            return LOCAL


def start_background(
    folder: Path,
    options: Options = NOTHING_CHOSEN,
    *,
    port: int = 0,
    ws_port: int | None = None,
    keep: bool = False,
    reset: bool = False,
    versions: VersionRange = SMP_VERSIONS,
    extensions: bool = True,
    on_demand: bool = False,
    timeout: float = 20.0,
) -> RelayInfo:
    """Starts the relay of ``folder`` in a process of its own; returns when it accepts connections.

    The process has a session of its own, inherits no descriptors and outlives this one. A relay that runs already is
    left as it is. Blocks; call it on a thread in asyncio programs.

    Args:
        options, port, ws_port, keep, reset: See `run_relay`.
        on_demand: Not because somebody asked for the relay: refuse if it was stopped on purpose.
        timeout: Seconds until it must accept connections.
    Raises:
        RelayTurnedOff: On demand, but ``relay stop`` was the last word.
        RelayStartFailed: It ended at once, with the reason it gave, or is not ready in time.
        RelayError: The folder cannot be used.
    """
    folder = _prepare_folder(folder)
    if on_demand and is_turned_off(folder):
        raise RelayTurnedOff("The relay of this computer was stopped.")
    turn_on(folder)
    info = status(folder)
    if info.state == "running" and _accepts(info):
        return info
    arguments = [str(folder), "--port", str(port), "--versions", str(versions), *options.arguments()]
    if ws_port is not None:
        arguments += ["--ws-port", "off" if ws_port == NO_WEBSOCKET else str(ws_port)]
    arguments += ["--keep"] * keep + ["--reset"] * reset + ["--no-extensions"] * (not extensions)
    deadline = time.monotonic() + timeout
    log_start, process = _spawn(folder, arguments, options.password)
    while time.monotonic() < deadline:
        info = status(folder)
        if info.state == "running" and _accepts(info):
            return info
        if process.poll() not in (None, EXIT_RUNNING):
            raise RelayStartFailed(f"The relay did not start: {_last_words(folder, log_start)}")
        time.sleep(_POLL)
    raise RelayStartFailed(f"The relay accepts no connections after {timeout:g} seconds.")


def _spawn(folder: Path, arguments: list[str], password: str | None) -> tuple[int, subprocess.Popen[bytes]]:
    """The process, and where in the log its words begin."""
    path = folder / LOG
    environment = {name: value for name, value in os.environ.items() if name != PASSWORD_VARIABLE}
    if password is not None:
        environment[PASSWORD_VARIABLE] = password
    # -P: whatever lies in the current directory must not be imported.
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
    # Waited for, so that it leaves no zombie if this process outlives it.
    threading.Thread(target=process.wait, name="relay-process", daemon=True).start()
    return start, process


def _accepts(info: RelayInfo) -> bool:
    """Whether something accepts connections where the relay's address says."""
    if info.address is None or info.port is None:
        return False
    hosts = parse_server(info.address).server.hosts
    for host in (*hosts, LOCAL):  # on a wildcard it is reached either way
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
    return next((line.strip() for line in reversed(lines) if line.strip()), "it gave no reason.")


def stop(folder: Path, *, timeout: float = 10.0) -> RelayInfo:
    """Stops the relay of ``folder``, wherever it was started, and turns off starting on demand. Blocks.

    Args:
        timeout: Seconds after which it is killed; what it answered is kept all the same.
    Raises:
        RelayError: It runs on nevertheless, or belongs to another user.
    """
    turn_off(folder)
    asked: int | None = None
    deadline = time.monotonic() + timeout
    while is_locked(folder):
        late = time.monotonic() > deadline
        pid = read_state(folder).pid  # a relay that is only starting has written none yet
        if pid is not None and (late or pid != asked):
            _signal(pid, kill=late)
            asked = pid
        if time.monotonic() > deadline + 5:
            raise RelayError("The relay does not stop.")
        time.sleep(_POLL)
    return status(folder)


def _signal(pid: int, *, kill: bool) -> None:
    number = signal.SIGTERM
    if kill and sys.platform != "win32":
        number = signal.SIGKILL
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return  # it ended between the look and the signal
    except OSError as error:
        raise RelayError(f"The relay cannot be stopped: {error}.") from error
