"""A relay server: accepts connections, and executes their commands with a `Worker` and a `Proxy`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from smpchat.crypto.entropy import Entropy
from smpchat.crypto.errors import CryptoError
from smpchat.protocol.address import SMPServer
from smpchat.protocol.commands import PFwd, Prxy
from smpchat.protocol.errors import ErrorCode, ProtocolError
from smpchat.protocol.session import ServerHandshake, SMPSession
from smpchat.protocol.transmission import Transmission
from smpchat.protocol.version import SMP_VERSIONS, VersionRange
from smpchat.relay.commands import QueueService, forward_nothing
from smpchat.relay.connection import Connection, ConnectionLimits
from smpchat.relay.connections import Connections
from smpchat.relay.counters import GROUP_SIZES, Counters
from smpchat.relay.destinations import Destinations, dial
from smpchat.relay.failures import Failure, FailureLog
from smpchat.relay.gate import Gate
from smpchat.relay.limits import Limits, descriptors_for
from smpchat.relay.outgoing import Outgoing
from smpchat.relay.proxy import Proxy, ProxyLimits
from smpchat.relay.store import SQLiteStore
from smpchat.relay.subscriptions import Client
from smpchat.relay.worker import Worker
from smpchat.transport import tls
from smpchat.transport.base import BlockConnection, Listener, TransportError
from smpchat.transport.identity import Identity
from smpchat.transport.listening import Hosts

if TYPE_CHECKING:
    from smpchat.relay.statistics import Statistics

_LAST_ANSWERS = 2.0
"""Seconds that clients have for receiving their last answers when the relay stops."""

_log = logging.getLogger("smpchat.relay")


class RelayServer:
    """A relay that keeps its queues in ``store``, which the caller opens and closes.

    Args:
        identity: The relay's certificates and key.
        clock: Returns the Unix time in seconds.
        extensions: Whether to offer smpchat's own extensions of SMP to clients.
        password: The password that NEW and PRXY must contain; None if no password is needed.
        new_queues: Whether NEW is allowed; if not, the answer is ERR AUTH (smp-wire 8.1).
        destinations: The relays to which this relay forwards as a proxy. If None, the address on which this relay
            listens decides: see `Destinations.for_host`.
        dial: Function that connects to another relay, so that this relay can forward commands to it.
        descriptors_beside: Number of file descriptors that other parts of this process need.
        committer: Executor that runs the commits of the store, one at a time. If None, the relay makes a thread for the
            commits. `close` shuts the executor down.
    """

    def __init__(
        self,
        store: SQLiteStore,
        identity: Identity,
        *,
        entropy: Entropy,
        clock: Callable[[], float],
        versions: VersionRange = SMP_VERSIONS,
        extensions: bool = True,
        password: str | None = None,
        new_queues: bool = True,
        limits: Limits | None = None,
        destinations: Destinations | None = None,
        dial: Callable[[SMPServer, Destinations, float], Awaitable[BlockConnection]] = dial,
        proxy_limits: ProxyLimits | None = None,
        committer: Executor | None = None,
        descriptors_beside: int = 0,
    ) -> None:
        self._descriptors_beside = descriptors_beside
        self._store = store
        self._identity = identity
        self._entropy = entropy
        self._clock = clock
        self._versions = versions
        self._extensions = extensions
        self._limits = limits or Limits()
        store.keep_within(self._limits.stored, self._limits.free)
        self._service = QueueService(
            store,
            entropy=entropy,
            clock=clock,
            password=password,
            new_queues=new_queues,
            quota=self._limits.quota,
            forward=self._forward,
        )
        self._destinations = destinations
        self._proxy = Proxy(
            lambda server, seconds: dial(server, self._destinations or Destinations.PUBLIC, seconds),
            entropy=entropy,
            clock=clock,
            respond=self._respond,
            password=password,
            limits=proxy_limits,
        )
        self._counters = Counters()
        self._failures = FailureLog()
        self._committer = committer or ThreadPoolExecutor(1, "relay-commit")
        self._started_at = 0.0
        self._connections = Connections(self._counters)
        self._worker = Worker(
            store,
            self._service,
            self._connections,
            self._counters,
            self._limits,
            clock=clock,
            committer=self._committer,
            certificate_left=self._certificate_left,
        )
        self._working: asyncio.Task[None] | None = None
        self._writers: set[asyncio.Task[None]] = set()
        self._closing: set[asyncio.Task[None]] = set()
        self._sweeper: asyncio.TimerHandle | None = None
        self._listener: Listener | None = None
        self._ws_listener: Listener | None = None
        self._gate: Gate | None = None

    async def start(self, host: Hosts = None, port: int = 0, *, listen: bool = True) -> None:
        """Starts the relay. Without ``listen``, the relay serves only the connections that are given to `serve`.

        Raises:
            ListenFailed: Listening is not possible, for example because the address is in use. Nothing was started.
        """
        if self._destinations is None:
            self._destinations = Destinations.for_host(host)
        if listen:
            limits = self._limits
            self._gate = Gate(
                min(limits.connections, descriptors_for(limits.connections, self._descriptors_beside)),
                limits.connections_per_address,
                self._failed,
            )
            self._listener = await tls.serve(
                self._identity, host, port, self.serve, handshake_timeout=limits.handshake, gate=self._gate
            )
        self._started_at = asyncio.get_running_loop().time()
        self._working = asyncio.get_running_loop().create_task(self._worker.run())
        self._worker.expire()
        self._sweep()

    async def listen_websocket(self, host: Hosts = None, port: int = 0) -> None:
        """Accepts connections over WebSocket too. Call this after `start`.

        Raises:
            ListenFailed: Listening is not possible, for example because the address is in use. The relay keeps running,
                but does not accept connections over WebSocket.
        """
        from smpchat.transport import websocket  # importing takes 60 ms, so do it only if needed

        self._ws_listener = await websocket.serve(
            self._identity, host, port, self.serve, handshake_timeout=self._limits.handshake, gate=self._gate
        )

    @property
    def ws_port(self) -> int | None:
        """The TCP port for WebSocket; None if WebSocket is not served."""
        return None if self._ws_listener is None else self._ws_listener.port

    @property
    def port(self) -> int:
        """The TCP port on which the relay listens. Raises `RuntimeError` if the relay does not listen."""
        if self._listener is None:
            raise RuntimeError("the relay does not listen")
        return self._listener.port

    async def statistics(self) -> Statistics:
        """The relay's figures at this moment. Raises `RelayStoreError` if the stored messages cannot be counted."""
        from smpchat.relay.statistics import Statistics  # only when asked for, so that starting is faster

        size = await asyncio.to_thread(self._store.measure)
        counters, done = self._counters, self._store.counts
        return Statistics(
            uptime_seconds=int(asyncio.get_running_loop().time() - self._started_at),
            connections=len(self._connections),
            subscriptions=len(self._service.subscriptions),
            queues=self._store.queue_count,
            messages=size.messages,
            database_bytes=size.database_bytes,
            database_free_bytes=size.free_bytes,
            database_limit_bytes=self._limits.stored,
            full=int(not self._store.has_room),
            certificate_seconds=int(self._certificate_left().total_seconds()),
            accepted=counters.connections,
            turned_away=0 if self._gate is None else self._gate.refused,
            tls_failed=counters.tls_failed,
            handshakes_failed=counters.handshakes_failed,
            queues_created=done.queues_created,
            queues_deleted=done.queues_deleted,
            sends=done.sends,
            deliveries=counters.deliveries,
            acks=done.acks,
            expired=done.expired,
            refused=dict(counters.refused),
            commits_failed=counters.commits_failed,
            commands=counters.commands,
            group_sizes=dict(zip(GROUP_SIZES, counters.groups, strict=True)),
        )

    def _certificate_left(self) -> timedelta:
        return self._identity.expires - datetime.fromtimestamp(self._clock(), UTC)

    async def wait(self, stop: asyncio.Event) -> None:
        """Waits until ``stop`` is set. Raises `RelayStoreError` if the relay cannot continue after an error of its
        store."""
        if self._working is None:
            raise RuntimeError("the relay has not been started")
        stopping = asyncio.get_running_loop().create_task(stop.wait())
        try:
            await asyncio.wait([stopping, self._working], return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
        if self._working.done():
            self._working.result()

    async def close(self) -> None:
        """Executes and answers the commands that have arrived, then ends all connections. May be repeated."""
        self._worker.stop()
        if self._working is not None:
            # First finish the commands that have arrived, then end connections: a message whose sender got OK must
            # exist after the restart.
            await asyncio.wait([self._working])
        await self._proxy.close()
        self._worker.cancel_timers()
        self._failures.write()
        if self._sweeper is not None:
            self._sweeper.cancel()
        for connection in self._connections:
            connection.finish()
        if self._writers or self._closing:
            await asyncio.wait([*self._writers, *self._closing], timeout=_LAST_ANSWERS)
        for listener in (self._listener, self._ws_listener):
            if listener is not None:
                await listener.close()
        self._committer.shutdown()

    # --- connections -------------------------------------------------------------------------------------------

    async def serve(self, blocks: BlockConnection) -> None:
        """Serves one connection until it ends, then closes it."""
        try:
            session = await self._handshake(blocks)
            if session is not None:
                await self._serve(blocks, session)
        finally:
            await blocks.close()

    async def _handshake(self, blocks: BlockConnection) -> SMPSession | None:
        handshake = ServerHandshake(
            self._identity.chain,
            self._identity.sign,
            blocks.session_id,
            self._versions,
            self._entropy,
            extensions=self._extensions,
        )
        try:
            async with asyncio.timeout(self._limits.handshake):
                await blocks.send([handshake.hello()])
                session = handshake.receive_hello(await blocks.receive())
                self._counters.connections += 1
                return session
        except TimeoutError:
            _log.debug("a client sent no SMP hello in time")
        except (ProtocolError, CryptoError, TransportError) as failure:
            _log.debug("the handshake with a client failed: %s", failure)
        self._counters.handshakes_failed += 1
        self._failures.note(Failure.IN_SMP)
        return None

    def _failed(self, failure: Failure) -> None:
        self._counters.tls_failed += 1
        self._failures.note(failure)

    async def _serve(self, blocks: BlockConnection, session: SMPSession) -> None:
        loop = asyncio.get_running_loop()
        limits = ConnectionLimits(self._limits.new_queues, self._limits.unsent_bytes)
        connection = Connection(blocks, session, limits, loop.time, self._worker.has_room)
        self._connections.add(connection)
        _log.debug("a client connected with SMP version %d", session.version)
        writer = loop.create_task(connection.write())
        self._writers.add(writer)
        try:
            while True:
                self._worker.arrived(connection, await connection.read())
        except TransportError as failure:
            _log.debug("a client disconnected: %s", failure)
        finally:
            self._connections.remove(connection)
            self._proxy.drop(connection.client)
            self._worker.ended(connection)
            writer.cancel()
            await asyncio.wait([writer])
            self._writers.discard(writer)
            if not writer.cancelled() and (fault := writer.exception()) is not None:
                _log.error("writing to a client failed", exc_info=fault)

    def _sweep(self) -> None:
        """Ends connections that accept no data, and connections that have been idle for too long."""
        loop, limits = asyncio.get_running_loop(), self._limits
        now = loop.time()
        for connection in self._connections:
            if connection.sending_since is not None:
                if now - connection.sending_since > limits.write:
                    _log.info("a client accepted no data for %g s: its connection is closed", limits.write)
                    task = loop.create_task(connection.close())
                    self._closing.add(task)
                    task.add_done_callback(self._closing.discard)
            elif now - connection.active_at > limits.idle and not (
                connection.client.subscribed or connection.client.notified
            ):
                _log.debug("a client was idle for %g s: its connection is closed", limits.idle)
                connection.finish()
        self._sweeper = loop.call_later(min(limits.write, limits.idle) / 4, self._sweep)

    # --- forwarding as a proxy -----------------------------------------------------------------------------------

    def _forward(self, client: Client, t: Transmission, command: Prxy | PFwd) -> ErrorCode | None:
        connection = self._connections.get(client)
        # If the connection has ended, nobody gets the answer.
        if connection is None or self._destinations is Destinations.NONE:
            return forward_nothing(client, t, command)
        refused = self._proxy.request(client, t, command)
        if refused is None:
            connection.hold()
        return refused

    def _respond(self, one: Outgoing) -> None:
        connection = self._connections.get(one.client)
        if connection is not None:
            self._connections.send([one])
            connection.release()
