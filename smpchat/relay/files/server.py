"""The relay's server for files: accepts connections, and handles their requests with the store of files."""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smpchat.crypto.entropy import Entropy
from smpchat.relay.errors import RelayStoreError
from smpchat.relay.failures import Failure
from smpchat.relay.files.counters import ConnectionCounts
from smpchat.relay.files.limits import FileLimits
from smpchat.relay.files.store import FileStore
from smpchat.relay.gate import Gate, origin_of
from smpchat.relay.limits import descriptors_for
from smpchat.transport.base import ConnectionClosed, Listener
from smpchat.transport.http2 import SERVER_ALPN
from smpchat.transport.identity import Identity
from smpchat.transport.listening import Hosts
from smpchat.transport.tls import TLSListener, server_context
from smpchat.transport.tls_stream import LARGE_READ, TLSStream

if TYPE_CHECKING:
    from smpchat.relay.files.commands import FileService
    from smpchat.relay.files.connection import FileConnection
    from smpchat.transport.http2.server import HTTP2Server, Request

_SHARE = 4
"""Files may use 1/4 of the file descriptors that the system allows."""

_log = logging.getLogger("smpchat.relay")


class FileRelay:
    """A server that stores files in a folder, and sends them to clients. It runs in the same process as the server
    for messages, `smpchat.relay.server.RelayServer`, but neither of the two needs the other.

    Args:
        folder: The folder in which the server stores its chunks; it is created at its first use.
        identity: The relay's certificates and key.
        clock: Returns the Unix time in seconds.
        password: The password that FNEW must contain; None if FNEW needs none.
        new_files: Whether new chunks are accepted.
    """

    def __init__(
        self,
        folder: Path,
        identity: Identity,
        *,
        entropy: Entropy,
        clock: Callable[[], float],
        password: str | None = None,
        new_files: bool = True,
        limits: FileLimits | None = None,
    ) -> None:
        self._folder = folder
        self._identity = identity
        self._entropy = entropy
        self._clock = clock
        self._password = password
        self._new_files = new_files
        self._limits = limits or FileLimits()
        self._each = 1 + self._limits.requests  # descriptors per connection: its socket, and a file for each request
        affordable = descriptors_for(self._limits.connections * self._each * _SHARE) // (self._each * _SHARE)
        self._connections = max(1, min(self._limits.connections, affordable))
        # Files have their own threads, so that a disk busy with files does not delay the commits of messages.
        self._index = ThreadPoolExecutor(1, "files-index")
        self._workers = ThreadPoolExecutor(min(4, (os.cpu_count() or 1) + 1), "files")
        self._store: FileStore | None = None
        self._service: FileService | None = None
        self._gate: Gate | None = None
        self._listener: Listener | None = None
        self._expiring: asyncio.Task[None] | None = None
        self._open: set[FileConnection] = set()
        self._counts = ConnectionCounts()

    @property
    def descriptors(self) -> int:
        """The number of file descriptors that this server may use."""
        return self._connections * self._each

    async def start(self, host: Hosts = None, port: int = 0) -> None:
        """Opens the folder for files, and starts listening. Call `close` even if this method raises.

        Raises:
            RelayStoreError: The folder for files cannot be used.
            ListenFailed: The address is in use, or does not belong to this computer.
        """
        limits = self._limits
        self._store = await asyncio.get_running_loop().run_in_executor(self._index, FileStore, self._folder, limits)
        self._gate = Gate(self._connections, limits.connections_per_address, self._failed)
        self._listener = listener = TLSListener(
            server_context(self._identity, SERVER_ALPN),
            self._serve,
            limits.handshake,
            self._begin,
            self._gate,
            read_size=LARGE_READ,
        )
        await listener.start(host, port)
        self._expiring = asyncio.get_running_loop().create_task(self._expire())

    @property
    def port(self) -> int:
        """The TCP port in use. Raises `RuntimeError` before `start`."""
        if self._listener is None:
            raise RuntimeError("the file relay has not been started")
        return self._listener.port

    async def close(self) -> None:
        """Ends all connections, and closes the store. A chunk is still stored if a thread is already recording it in
        the index; other unfinished uploads are discarded. May be repeated."""
        if self._expiring is not None:
            self._expiring.cancel()
            await asyncio.wait([self._expiring])
        if self._listener is not None:
            await self._listener.close()
        # Wait for the calls that threads are still executing, because the store cannot be closed before they end.
        await asyncio.to_thread(self._workers.shutdown)
        await asyncio.to_thread(self._index.shutdown)
        if self._store is not None:
            self._store.close()
            self._store = None

    async def _begin(self, stream: TLSStream) -> HTTP2Server:
        # These modules take 30 ms to import, and most relays serve only messages. So the modules are imported when the
        # first client for files connects, and in a thread, so that messages do not wait.
        for name in ("smpchat.relay.files.connection", "smpchat.transport.http2.server"):
            await asyncio.to_thread(importlib.import_module, name)
        from smpchat.transport.http2.server import HTTP2Server

        return HTTP2Server(stream, self._limits.stalled)

    def _commands(self) -> FileService:
        from smpchat.relay.files.commands import FileService
        from smpchat.relay.files.shares import Shares

        if self._service is None:
            assert self._store is not None
            self._service = FileService(
                self._store,
                entropy=self._entropy,
                clock=self._clock,
                password=self._password,
                new_files=self._new_files,
                transfer=self._limits.transfer,
                shares=None if self._password is not None else Shares(self._limits, asyncio.get_running_loop().time),
                index=self._index,
                workers=self._workers,
            )
        return self._service

    async def _serve(self, link: HTTP2Server) -> None:
        from smpchat.relay.files.connection import BrokenOff, FileConnection

        loop = asyncio.get_running_loop()
        connection = FileConnection(
            self._commands(),
            self._identity,
            link.session_id,
            link.alpn,
            entropy=self._entropy,
            limits=self._limits,
            clock=loop.time,
            counts=self._counts,
            origin=origin_of(link.peer_host),
        )

        async def answer(request: Request) -> None:
            try:
                await connection.serve(request)
            except BrokenOff as error:
                _log.debug("an answer was broken off: %s", error)
                await link.close()

        self._open.add(connection)
        watching = loop.create_task(self._watch(link, connection))
        try:
            await link.serve(answer)
        except ConnectionClosed as error:
            _log.debug("a client for files disconnected: %s", error)
        finally:
            watching.cancel()
            self._open.discard(connection)
            self._counts.handshakes_failed += connection.version is None

    async def _watch(self, link: HTTP2Server, connection: FileConnection) -> None:
        """Closes a connection if its XFTP hellos are not complete in time, or when it has been idle for too long."""
        limits, loop = self._limits, asyncio.get_running_loop()
        await asyncio.sleep(limits.handshake)
        while connection.version is not None:
            left = limits.idle if link.is_busy else link.last_request + limits.idle - loop.time()
            if left <= 0:
                break
            await asyncio.sleep(left)
        _log.debug("a client for files was silent: its connection is closed")
        await link.close()

    def _failed(self, _: Failure) -> None:
        self._counts.tls_failed += 1

    async def _expire(self) -> None:
        """Removes old chunks, now and at regular intervals."""
        assert self._store is not None
        loop = asyncio.get_running_loop()
        while True:
            try:
                while await loop.run_in_executor(self._index, self._store.expire, int(self._clock())):
                    pass
            except RelayStoreError as error:
                _log.error("%s", error)
            await asyncio.sleep(self._limits.expire_every)

    def figures(self) -> dict[str, Any]:
        """The figures about files at this moment. The keys are names of fields of
        `smpchat.relay.statistics.Statistics`."""
        if self._store is None:
            return {}
        size, done, counts = self._store.measure(), self._store.counts, self._counts
        return {
            "files_connections": len(self._open),
            "files_chunks": size.chunks,
            "files_bytes": size.stored,
            "files_limit_bytes": size.quota,
            "files_accepted": counts.accepted,
            "files_turned_away": 0 if self._gate is None else self._gate.refused,
            "files_tls_failed": counts.tls_failed,
            "files_handshakes_failed": counts.handshakes_failed,
            "files_created": done.created,
            "files_uploads": done.uploads,
            "files_downloads": done.downloads,
            "files_bytes_in": done.bytes_in,
            "files_bytes_out": done.bytes_out,
            "files_deleted": done.deleted,
            "files_expired": done.expired,
            "files_refused": dict(counts.refused),
        }
