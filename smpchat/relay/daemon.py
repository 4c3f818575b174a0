"""Runs the relay of a folder in this process. `smpchat.relay.background` starts a relay in a background process."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import json
import logging
import os
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from smpchat.crypto.entropy import Entropy, SystemEntropy
from smpchat.encoding.record import replace
from smpchat.protocol.address import SMPServer, SMPServerAddress, format_server
from smpchat.protocol.version import SMP_VERSIONS, VersionRange
from smpchat.relay.control import STATISTICS_PATH, Control
from smpchat.relay.destinations import Destinations
from smpchat.relay.errors import RelayError, RelayPortTaken, RelayRunning, RelayStoreError, RelayTurnedOff
from smpchat.relay.files.limits import FileLimits
from smpchat.relay.files.server import FileRelay
from smpchat.relay.folder import (
    DATABASE,
    FILES,
    IDENTITY,
    TURNED_OFF,
    FolderLock,
    RelayInfo,
    is_turned_off,
    prepare_folder,
    read_state,
    write_state,
)
from smpchat.relay.limits import Limits
from smpchat.relay.local_http import LocalHTTP, Page
from smpchat.relay.options import LOOPBACK, NO_FILES, NO_WEBSOCKET, NOTHING_CHOSEN, OFF, Options, hosts_of
from smpchat.relay.server import RelayServer
from smpchat.relay.store import SQLiteStore
from smpchat.transport.base import ListenFailed, TransportError
from smpchat.transport.identity import Identity, load_identity, load_or_create_identity
from smpchat.transport.identity import rotate_certificate as renew_certificate

if TYPE_CHECKING:
    from smpchat.relay.statistics import Statistics

_LOCK_PATIENCE = 0.5  # seconds; a process that checks whether the relay runs takes the lock for a moment
_LOCK_POLL = 0.02

_log = logging.getLogger("smpchat.relay")


async def run_relay(
    folder: Path,
    options: Options = NOTHING_CHOSEN,
    *,
    stop: asyncio.Event,
    port: int = 0,
    ws_port: int | None = None,
    files_port: int | None = None,
    keep: bool = False,
    reset: bool = False,
    unless_stopped: bool = False,
    versions: VersionRange = SMP_VERSIONS,
    extensions: bool = True,
    ready: Callable[[str, int], None] | None = None,
    entropy: Entropy | None = None,
    clock: Callable[[], float] = time.time,
) -> None:
    """Runs the relay of ``folder`` until ``stop`` is set.

    Args:
        folder: The relay's folder. The first start creates it, with certificates, database and port.
        options: The options that the operator chose now. For all other options, the relay uses the values that an
            earlier start stored in the folder. If the relay listens on ``0.0.0.0`` or ``::`` (all addresses), links
            contain this computer's own address instead.
        port: The port for SMP. 0: the port of the last start; at the first start, any free port.
        ws_port: The port for WebSocket. None: the port of the last start, if WebSocket was served then. 0: the port of
            the last start; if there was none, any free port. `NO_WEBSOCKET`: do not serve WebSocket.
        files_port: The port for files. None: the port of the last start, if files were served then; at the first start,
            any free port. With None, the relay serves messages even if files cannot be served, and its state file says
            why. 0: the port of the last start; if there was none, any free port. `NO_FILES`: do not serve files.
        keep: Whether to store the options for later starts. The options are stored when the relay accepts connections.
        reset: Whether to use the defaults instead of the options that an earlier start stored. With ``keep``, those
            stored options are deleted.
        unless_stopped: Whether to refuse to start if the user has stopped the relay with ``relay stop``, even if
            ``relay stop`` has not ended yet (`smpchat.relay.background`).
        ready: Called with the relay's address and port when the relay accepts connections.
        clock: Returns the Unix time in seconds.
    Raises:
        RelayRunning: Another relay is running on the folder.
        RelayTurnedOff: The user has stopped the relay, and ``unless_stopped`` is True.
        RelayPortTaken: One of the relay's ports is used by another program.
        RelayError: The folder, its certificates or its database cannot be used, or something else on this computer
            failed.
    """
    folder = await asyncio.to_thread(prepare_folder, folder)
    lock = FolderLock(folder)
    await _acquire(lock)
    try:
        if unless_stopped and is_turned_off(folder):  # checked after taking the lock: see `background`
            raise RelayTurnedOff(TURNED_OFF)
        known = read_state(folder)
        if known.pid is not None and known.port is not None:  # left by a relay that was killed
            write_state(folder, replace(known, state="stopped", pid=None))
        chosen = options.over(NOTHING_CHOSEN if reset else known.options)
        kept = chosen if keep else known.options
        entropy = entropy or SystemEntropy()
        hosts, password = hosts_of(chosen.host), chosen.password or None
        identity = _identity(folder, entropy, clock, hosts)
        with closing(SQLiteStore(folder / DATABASE)) as store:
            files = FileRelay(
                folder / FILES,
                identity,
                entropy=entropy,
                clock=clock,
                password=password,
                new_files=chosen.new_files is not False,
                limits=file_limits_of(chosen),
            )
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
                descriptors_beside=files.descriptors,
                destinations=None if chosen.proxy is None else Destinations(chosen.proxy),
            )

            async def figures() -> Statistics:
                return (await server.statistics()).with_files(files.figures())

            async with _told(folder, figures, chosen.metrics_port or OFF):
                serve_ws = known.ws_port if ws_port is None else ws_port or known.ws_port or 0
                await _listen(server, hosts, port or known.port or 0, serve_ws)
                running: RelayInfo | None = None
                try:
                    async with _keeping_files(files, hosts, files_port, known.files_port) as (served, trouble):
                        address = _address(identity, hosts, server.port, password)
                        ports = server.port, server.ws_port, served
                        running = RelayInfo("running", address, os.getpid(), *ports, trouble, kept)
                        # Write the state file only now: as soon as it says "running", other processes connect to the
                        # relay.
                        write_state(folder, running)
                        _log.info("the relay is ready with %d queues, versions %s", store.queue_count, versions)
                        if ready is not None:
                            ready(address, server.port)
                        await server.wait(stop)
                finally:
                    await server.close()
                    if running is not None:
                        write_state(folder, replace(running, state="stopped", pid=None))
                    _log.info("the relay has stopped")
    finally:
        lock.release()


def limits_of(options: Options) -> Limits:
    """Turns the options into the limits for clients."""
    chosen = {
        "quota": options.quota,
        "stored": None if options.max_stored is None else options.max_stored * 1024**2,
        "free": None if options.min_free is None else options.min_free * 1024**2,
        "keep": None if options.keep_days is None else options.keep_days * 86_400,
        "connections": options.max_connections,
        "connections_per_address": options.max_connections_per_address,
        "new_queues": options.max_new_queues,
        "unsent_bytes": None if options.max_unsent is None else options.max_unsent * 1024,
        "handshake": options.handshake_time,
        "write": options.write_time,
        "idle": options.idle_time,
    }
    return Limits(**{name: value for name, value in chosen.items() if value is not None})


def file_limits_of(options: Options) -> FileLimits:
    """Turns the options into the limits for clients who store files."""
    default = FileLimits()
    chosen = {
        "quota": None if options.files_quota is None else options.files_quota * 1024**2,
        "free": None if options.min_free is None else max(default.free, options.min_free * 1024**2),
        "keep": None if options.files_hours is None else options.files_hours * 3_600,
        "connections": options.max_file_connections,
        "connections_per_address": options.max_file_connections_per_address,
        "new_chunks": options.max_new_chunks,
        "handshake": options.handshake_time,
        "stalled": options.write_time,
    }
    return FileLimits(**{name: value for name, value in chosen.items() if value is not None})


@asynccontextmanager
async def _keeping_files(
    files: FileRelay, hosts: Sequence[str], wanted: int | None, known: int | None
) -> AsyncIterator[tuple[int | None, str | None]]:
    """Runs the file relay ``files`` while the ``async with`` block runs. Yields the port for files, and the error text
    if files should be served but are not.

    Args:
        wanted: The argument ``files_port`` of `run_relay`.
        known: The port for files at the last start; `OFF` if files were not served, None before the first start.
    Raises:
        RelayPortTaken: ``wanted`` is not None, and the port is used by another program.
        RelayError: ``wanted`` is not None, and files cannot be served for another reason.
    """
    try:
        if wanted == NO_FILES or (wanted is None and known == OFF):
            yield OFF, None
            return
        trouble = None
        try:
            await files.start(hosts, wanted or known or 0)
        except (ListenFailed, RelayStoreError) as error:
            failed = _not_served(error, wanted or known or 0)
            if wanted is not None:
                raise failed from error
            # The relay must still serve messages if another program uses the port for files.
            trouble = str(failed)
            _log.error("the relay does not serve files: %s", trouble)
        yield known if trouble is not None else files.port, trouble
    finally:
        await files.close()


def _not_served(error: ListenFailed | RelayStoreError, port: int) -> RelayError:
    if isinstance(error, RelayStoreError):
        return error
    if isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.EADDRINUSE:
        return RelayPortTaken(f"Port {port} is used by another program.")
    return RelayError(f"The relay {error}.")


@asynccontextmanager
async def _told(folder: Path, figures: Callable[[], Awaitable[Statistics]], metrics_port: int) -> AsyncIterator[None]:
    """Lets other programs ask for the relay's statistics while the ``async with`` block runs. Raises `RelayPortTaken`
    or `RelayError`."""

    async def statistics() -> Page:
        return Page("application/json", json.dumps((await figures()).to_json()).encode())

    async def metrics() -> Page:
        from smpchat.relay.statistics import prometheus_text  # only for monitoring programs

        return Page("text/plain; version=0.0.4; charset=utf-8", prometheus_text(await figures()).encode())

    control = Control(folder, {STATISTICS_PATH: statistics})
    exporter = LocalHTTP({"/metrics": metrics})
    try:
        try:
            await control.open()
        except OSError as error:
            raise RelayError(f"The relay cannot listen for requests for its statistics: {error}.") from error
        if metrics_port != OFF:
            try:
                await exporter.start(metrics_port)
            except OSError as error:
                raise RelayPortTaken(f"Port {metrics_port} is used by another program.") from error
            _log.info("figures for Prometheus are at http://%s:%d/metrics", LOOPBACK, metrics_port)
        yield
    finally:
        await exporter.close()
        await control.close()


async def _acquire(lock: FolderLock) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _LOCK_PATIENCE
    while not lock.acquire():
        if loop.time() > deadline:
            raise RelayRunning("Another relay is already running on this folder.")
        await asyncio.sleep(_LOCK_POLL)


def _identity(folder: Path, entropy: Entropy, clock: Callable[[], float], hosts: Sequence[str]) -> Identity:
    now = datetime.fromtimestamp(clock(), UTC)
    try:
        return load_or_create_identity(folder / IDENTITY, entropy, now, public_hosts(hosts))[0]
    except TransportError as error:
        left = certificate_left(folder, clock=clock)
        what_to_do = "; smpchat relay rotate-certificate makes a new one" if left is not None and left.days < 0 else ""
        raise RelayError(f"The relay's certificates cannot be used: {error}{what_to_do}.") from error


def rotate_certificate(
    folder: Path, *, entropy: Entropy | None = None, clock: Callable[[], float] = time.time
) -> datetime:
    """Makes a new online certificate, which the relay uses from its next start on. The relay's fingerprint does not
    change. Blocks.

    Returns:
        The time at which the new certificate expires.
    Raises:
        RelayError: There are no certificates yet, or they cannot be used or written.
    """
    now = datetime.fromtimestamp(clock(), UTC)
    try:
        return renew_certificate(folder / IDENTITY, entropy or SystemEntropy(), now).expires
    except TransportError as error:
        raise RelayError(f"The certificate cannot be replaced: {error}.") from error


def certificate_left(folder: Path, *, clock: Callable[[], float] = time.time) -> timedelta | None:
    """How long the online certificate is still valid; None if there is no usable certificate."""
    try:
        return load_identity(folder / IDENTITY).expires - datetime.fromtimestamp(clock(), UTC)
    except TransportError:
        return None


async def _listen(server: RelayServer, hosts: Sequence[str], port: int, ws_port: int | None) -> None:
    wanted = port
    try:
        await server.start(hosts, port)
        if ws_port is not None and ws_port != NO_WEBSOCKET:
            wanted = ws_port
            await server.listen_websocket(hosts, ws_port)
    except ListenFailed as error:
        await server.close()
        raise _not_served(error, wanted) from error


def _address(identity: Identity, hosts: Sequence[str], port: int, password: str | None) -> str:
    server = SMPServer(tuple(public_hosts(hosts)), str(port), identity.fingerprint)
    return format_server(SMPServerAddress(server, password))


def public_hosts(hosts: Sequence[str]) -> list[str]:
    """The hosts that other computers can connect to when the relay listens on ``hosts``."""
    return list(dict.fromkeys(map(_public_host, hosts)))


def _public_host(host: str) -> str:
    try:
        listened = ipaddress.ip_address(host)
    except ValueError:
        return host
    if not listened.is_unspecified:
        return host
    # A relay that listens on `::` accepts IPv4 connections too. Prefer this computer's IPv4 address, because more
    # people can reach it.
    return _own_address(socket.AF_INET, "192.0.2.1") or (
        (_own_address(socket.AF_INET6, "2001:db8::1") if listened.version == 6 else None) or LOOPBACK
    )


def _own_address(family: socket.AddressFamily, anywhere: str) -> str | None:
    """This computer's own IPv4 or IPv6 address (``family`` says which); None if it cannot reach other networks with
    such addresses. ``anywhere`` is any address in another network; nothing is sent to it."""
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((anywhere, 9))
            return str(probe.getsockname()[0])
    except OSError:
        return None
