"""Joins connections and commands: one worker runs what has arrived on all connections as one transaction.

Commands that arrive while a group is being committed make up the next group, so one wait for the disk serves all of
them. Nothing is answered and nothing is pushed before the commit that it rests on has returned. Groups are short and
connections have their turns in them, so that a client who keeps the relay busy delays the others by a few milliseconds.

A group that cannot be committed, because the disk is full say, is undone and each of its commands is answered with
ERR INTERNAL; after that each block is a group of its own until something can be stored again, so that those who only
read do not share the failures of those who write.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from smpchat.crypto.entropy import Entropy
from smpchat.crypto.errors import CryptoError
from smpchat.encoding.record import Record
from smpchat.protocol.address import SMPServer
from smpchat.protocol.command_codec import encode_broker
from smpchat.protocol.commands import Err, Msg, PFwd, Prxy
from smpchat.protocol.errors import ErrorCode, ProtocolError
from smpchat.protocol.session import ServerHandshake, SMPSession
from smpchat.protocol.transmission import Transmission, encode_transmission
from smpchat.protocol.version import SMP_VERSIONS, VersionRange
from smpchat.relay.commands import QUOTA, QueueService, forward_nothing
from smpchat.relay.connection import Connection, ConnectionLimits, Received
from smpchat.relay.destinations import Destinations, dial
from smpchat.relay.errors import RelayStoreError
from smpchat.relay.gate import Gate
from smpchat.relay.outgoing import Outgoing, error
from smpchat.relay.proxy import Proxy, ProxyLimits
from smpchat.relay.recovery import take_back
from smpchat.relay.statistics import GROUP_SIZES, Counters, Statistics
from smpchat.relay.store import SQLiteStore
from smpchat.relay.subscriptions import Client
from smpchat.relay.turns import Turns
from smpchat.transport import tls
from smpchat.transport.base import BlockConnection, Listener, TransportError
from smpchat.transport.identity import Identity

GROUP_COMMANDS = 64
"""Commands after which a group takes no more."""
GROUP_SECONDS = 0.001
"""The same for time, since nothing else is done meanwhile; shorter groups cost CPU time, for each has its commit."""
TURN_COMMANDS = 16
"""Commands of one connection that are done in its turn, which is mostly one block with one command."""

CERTIFICATE_WARNING = timedelta(days=30)
"""Before the online certificate runs out."""
GIVE_BACK_PAGES = 64
"""Free pages of the database returned in one step: 1 MB, some milliseconds."""
KEPT_PAGES = 256
"""Free pages that stay for new messages: 4 MB."""
_GIVE_BACK_PAUSE = 0.05
"""Seconds between two steps."""

_OTHER_DESCRIPTORS = 64
"""Files that are open beside connections, with room to spare."""
_LAST_ANSWERS = 2.0
"""Seconds that clients have to take their last answers when the relay stops."""

_log = logging.getLogger("smpchat.relay")


class Limits(Record):
    """What the relay grants. A client that asks for more is held back, refused or closed; others do not notice.

    Attributes:
        handshake: Seconds for TLS, and again for the hellos.
        write: Seconds that a client may take nothing of what is sent to it.
        idle: Seconds without a block after which a client is closed that listens to no queue (smp-wire 7.5).
        connections: Open at a time, handshakes included; more are closed at once.
        connections_per_address: The same for one address, see `Gate`.
        new_queues: Queues that one connection creates in a minute; ERR QUOTA beyond.
        unsent_bytes: Answers that may wait for one client before nothing more is read from it.
        quota: Messages that a queue holds.
        keep: Seconds after which a message that nobody fetched is removed (smp-wire 7.5).
        keep_notifications: The same for notifications.
        expire_every: Seconds between looking for such messages.
        notify_every: Seconds that notifications may come together before they are pushed.
    """

    handshake: float = 60.0
    write: float = 120.0
    idle: float = 21_600.0
    connections: int = 10_000
    connections_per_address: int = 1_000
    new_queues: int = 3_000
    unsent_bytes: int = 1024 * 1024
    quota: int = QUOTA
    keep: int = 21 * 86_400
    keep_notifications: int = 86_400
    expire_every: float = 7_200.0
    notify_every: float = 1.5


class _Arrived(Record):
    connection: Connection
    received: list[Received]
    ends_block: bool


class _Room(Record):
    connection: Connection


class _Ended(Record):
    connection: Connection


class _Expire(Record):
    after: int = 0


class _GiveBack(Record):
    pass


class _Notify(Record):
    pass


_ClientWork = _Arrived | _Room | _Ended
_Upkeep = _Expire | _GiveBack | _Notify
_Work = _ClientWork | _Upkeep


class RelayServer:
    """A relay over one store. The caller opens and closes the store.

    Args:
        identity: Certificates that the relay proves to be.
        clock: Unix time in seconds.
        password: What NEW and PRXY must carry, if anything.
        new_queues: Whether NEW creates queues; ERR AUTH otherwise (smp-wire 8.1).
        destinations: Relays that it forwards to as a proxy; None for what is safe where it listens, see there.
        dial: How it connects to them.
        committer: Runs commits, one at a time; a thread of the relay's own unless given. `close` shuts it down.
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
    ) -> None:
        self._store = store
        self._identity = identity
        self._entropy = entropy
        self._clock = clock
        self._versions = versions
        self._extensions = extensions
        self._limits = limits or Limits()
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
        self._started_at = 0.0
        self._connections: dict[Client, Connection] = {}
        self._writers: set[asyncio.Task[None]] = set()
        self._closing: set[asyncio.Task[None]] = set()
        self._work: Turns[Connection, _ClientWork] = Turns()
        self._upkeep: deque[_Upkeep] = deque()
        self._arrival = asyncio.Event()
        self._keeps_up = False  # whether the last group was upkeep
        self._quick = False  # whether the last group of commands was of newcomers
        self._stopping = False
        self._committer = committer or ThreadPoolExecutor(1, "relay-commit")
        self._failing = False  # whether the last attempt to store something failed
        self._worker: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._notifying: asyncio.TimerHandle | None = None
        self._giving_back: asyncio.TimerHandle | None = None
        self._has_more_room = False  # whether the database has pages to return after those of this group
        self._sweeper: asyncio.TimerHandle | None = None
        self._listener: Listener | None = None
        self._ws_listener: Listener | None = None
        self._gate: Gate | None = None

    async def start(self, host: str | None = None, port: int = 0, *, listen: bool = True) -> None:
        """Starts working; without ``listen`` only connections given to `serve` are served.

        Raises:
            ListenFailed: The address is taken or not of this computer. Nothing was started.
        """
        if self._destinations is None:
            self._destinations = Destinations.for_host(host)
        if listen:
            limits = self._limits
            self._gate = Gate(
                min(limits.connections, descriptors_for(limits.connections)), limits.connections_per_address
            )
            self._listener = await tls.serve(
                self._identity, host, port, self.serve, handshake_timeout=limits.handshake, gate=self._gate
            )
        self._started_at = asyncio.get_running_loop().time()
        self._worker = asyncio.get_running_loop().create_task(self._run())
        self._expire()
        self._sweep()

    async def listen_websocket(self, host: str | None = None, port: int = 0) -> None:
        """Accepts connections over WebSocket too, after `start`.

        Raises:
            ListenFailed: The address is taken or not of this computer. The relay goes on without.
        """
        from smpchat.transport import websocket  # costs 60 ms: only who serves it pays for it

        self._ws_listener = await websocket.serve(
            self._identity, host, port, self.serve, handshake_timeout=self._limits.handshake, gate=self._gate
        )

    @property
    def ws_port(self) -> int | None:
        """The TCP port on which WebSocket is served, if it is."""
        return None if self._ws_listener is None else self._ws_listener.port

    @property
    def port(self) -> int:
        """The TCP port in use. Raises `RuntimeError` when not listening."""
        if self._listener is None:
            raise RuntimeError("the relay does not listen")
        return self._listener.port

    async def statistics(self) -> Statistics:
        """The figures of this moment. Raises `RelayStoreError` if the messages cannot be counted."""
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
            certificate_seconds=int(self._certificate_left().total_seconds()),
            accepted=counters.connections,
            turned_away=0 if self._gate is None else self._gate.refused,
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
        """Returns when ``stop`` is set. Raises `RelayStoreError` if the relay cannot go on before that."""
        if self._worker is None:
            raise RuntimeError("the relay has not been started")
        stopping = asyncio.get_running_loop().create_task(stop.wait())
        try:
            await asyncio.wait([stopping, self._worker], return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
        if self._worker.done():
            self._worker.result()

    async def close(self) -> None:
        """Finishes and answers the commands that had arrived, then ends all connections. May be repeated."""
        self._stopping = True
        self._arrival.set()
        if self._worker is not None:
            await asyncio.wait([self._worker])
        await self._proxy.close()
        for timer in (self._timer, self._sweeper, self._notifying, self._giving_back):
            if timer is not None:
                timer.cancel()
        for connection in self._connections.values():
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
            _log.debug("a client sent no hello in time")
        except (ProtocolError, CryptoError, TransportError) as failure:
            _log.debug("the handshake with a client failed: %s", failure)
        self._counters.handshakes_failed += 1
        return None

    async def _serve(self, blocks: BlockConnection, session: SMPSession) -> None:
        loop = asyncio.get_running_loop()
        limits = ConnectionLimits(self._limits.new_queues, self._limits.unsent_bytes)
        connection = Connection(blocks, session, limits, loop.time, self._has_room)
        self._connections[connection.client] = connection
        _log.debug("a client connected with version %d", session.version)
        writer = loop.create_task(connection.write())
        self._writers.add(writer)
        try:
            while True:
                self._arrived(connection, await connection.read())
        except TransportError as failure:
            _log.debug("a client disconnected: %s", failure)
        finally:
            del self._connections[connection.client]
            self._proxy.drop(connection.client)
            self._put(_Ended(connection))  # behind its commands, so that none of them subscribes it again
            writer.cancel()
            await asyncio.wait([writer])
            self._writers.discard(writer)
            if not writer.cancelled() and (fault := writer.exception()) is not None:
                _log.error("writing to a client failed", exc_info=fault)

    def _has_room(self, connection: Connection) -> None:
        self._put(_Room(connection))

    def _sweep(self) -> None:
        """Ends connections that take nothing, and those that nobody uses."""
        loop, limits = asyncio.get_running_loop(), self._limits
        now = loop.time()
        for connection in self._connections.values():
            if connection.sending_since is not None:
                if now - connection.sending_since > limits.write:
                    _log.info("a client took nothing for %g s: its connection is closed", limits.write)
                    task = loop.create_task(connection.close())
                    self._closing.add(task)
                    task.add_done_callback(self._closing.discard)
            elif now - connection.active_at > limits.idle and not (
                connection.client.subscribed or connection.client.notified
            ):
                _log.debug("a client was idle for %g s: its connection is closed", limits.idle)
                connection.finish()
        self._sweeper = loop.call_later(min(limits.write, limits.idle) / 4, self._sweep)

    # --- work --------------------------------------------------------------------------------------------------

    def _arrived(self, connection: Connection, received: list[Received]) -> None:
        if self._stopping:
            return  # it came too late, and is not answered
        for at in range(0, len(received) or 1, TURN_COMMANDS):
            part = received[at : at + TURN_COMMANDS]
            self._put(_Arrived(connection, part, at + len(part) == len(received)))

    def _put(self, work: _Work) -> None:
        if not isinstance(work, _Upkeep):
            self._work.put(work.connection, work)
        elif not self._stopping:
            self._upkeep.append(work)
        self._arrival.set()

    def _expire(self) -> None:
        self._put(_Expire())
        self._timer = asyncio.get_running_loop().call_later(self._limits.expire_every, self._expire)

    def _notify_later(self) -> None:
        if self._notifying is None and self._service.notifications_due:
            loop = asyncio.get_running_loop()
            self._notifying = loop.call_later(self._limits.notify_every, self._put, _Notify())

    async def _run(self) -> None:
        while True:
            await self._arrival.wait()
            self._arrival.clear()
            while self._work or self._upkeep:
                await self._run_group()
                await asyncio.sleep(0)  # a group without a commit waits for nothing, and others have work too
            self._quick = self._keeps_up = False
            if self._stopping:
                return

    async def _run_group(self) -> None:
        group: list[_Work] = []
        outgoing: list[Outgoing] = []
        try:
            self._perform_some(group, outgoing)
            if self._store.changed:
                await asyncio.get_running_loop().run_in_executor(self._committer, self._store.commit)
                self._succeeded()
                self._counters.committed(sum(len(work.received) for work in group if isinstance(work, _Arrived)))
        except RelayStoreError as failure:
            outgoing = self._undo(group, outgoing, failure)
        self._send(outgoing)
        self._notify_later()
        for work in group:
            if isinstance(work, _Arrived):
                work.connection.answered(len(work.received), block=work.ends_block)

    def _perform_some(self, group: list[_Work], outgoing: list[Outgoing]) -> None:
        """Does as much as belongs together, and lists it in ``group``.

        Upkeep comes between groups of commands, piece by piece, so that it never costs a client an answer. Every other
        group of commands, if there are newcomers, is theirs alone: a single command waits for little, and those who
        brought many are not kept waiting either.

        Raises:
            RelayStoreError: See `SQLiteStore`; the group is not complete.
        """
        self._keeps_up = bool(self._upkeep) and not (self._keeps_up and self._work)
        if self._keeps_up:
            group.append(self._upkeep.popleft())
            self._perform(group[0], outgoing)
            return
        self._quick = self._work.newcomers > 0 and not self._quick
        commands, end = 0, time.perf_counter() + GROUP_SECONDS
        while self._work and commands < GROUP_COMMANDS and time.perf_counter() < end:
            if self._quick and not self._work.newcomers:
                break
            work = self._work.take(newcomers_first=self._quick)
            group.append(work)
            self._perform(work, outgoing)
            if isinstance(work, _Arrived):
                commands += GROUP_COMMANDS if self._failing else len(work.received)

    def _perform(self, work: _Work, outgoing: list[Outgoing]) -> None:
        match work:
            case _Arrived(connection, received):
                for one in received:
                    outgoing += self._execute(connection, one)
            case _Room(connection):
                outgoing += self._service.resume(connection.client)
            case _Ended(connection):
                self._service.disconnect(connection.client)
            case _Expire(after):
                now = int(self._clock())
                if not after:
                    self._warn_of_certificate()
                    self._store.expire_notifications(now - self._limits.keep_notifications)
                removed, next_after = self._store.expire(now - self._limits.keep, after=after)
                if removed:
                    _log.info("%d old messages were removed", removed)
                self._put(_GiveBack() if next_after is None else _Expire(next_after))
            case _GiveBack():
                self._has_more_room = self._store.give_back(GIVE_BACK_PAGES, keep=KEPT_PAGES)
            case _Notify():
                self._notifying = None
                outgoing += self._service.notify()

    def _warn_of_certificate(self) -> None:
        left = self._certificate_left()
        if left < CERTIFICATE_WARNING:
            _log.warning("the certificate runs out in %d days: smpchat relay rotate-certificate", left.days)

    def _execute(self, connection: Connection, received: Received) -> list[Outgoing]:
        client = connection.client
        if isinstance(received, ErrorCode):
            return [Outgoing(client, b"", b"", Err(received))]
        if received.body.startswith(b"NEW") and not connection.may_create():
            return [error(client, received, ErrorCode.QUOTA)]
        try:
            return self._service.execute(client, received)
        except RelayStoreError:
            raise
        except Exception:  # a fault of ours that one client found must not end the others' connections
            _log.exception("a command failed")
            return [error(client, received, ErrorCode.INTERNAL)]

    def _send(self, outgoing: list[Outgoing]) -> None:
        """Hands everything to its connections, and first wakes those that get messages: somebody waits for them, while
        the sender of a message has it off its hands already."""
        counters = self._counters
        messages: dict[Connection, None] = {}
        others: dict[Connection, None] = {}
        for one in outgoing:
            connection = self._connections.get(one.client)
            if connection is None:
                continue  # it ended meanwhile; messages stay in their queues
            if type(one.message) is Msg:
                counters.deliveries += 1
            elif type(one.message) is Err:
                counters.refused[one.message.error.words[0]] += 1
            data = _encoded(one)
            if len(data) > connection.largest:  # only with a correlation id much longer than anyone's
                data = _encoded(one._replace(message=Err(ErrorCode.BLOCK)))
            connection.put(data, push=one.push)
            (messages if one.push else others)[connection] = None
        for connection in (*messages, *others):
            connection.flush()

    def _forward(self, client: Client, t: Transmission, command: Prxy | PFwd) -> ErrorCode | None:
        connection = self._connections.get(client)
        if connection is None or self._destinations is Destinations.NONE:  # if it ended, nobody will read this
            return forward_nothing(client, t, command)
        refused = self._proxy.request(client, t, command)
        if refused is None:
            connection.hold()
        return refused

    def _respond(self, one: Outgoing) -> None:
        connection = self._connections.get(one.client)
        if connection is not None:
            self._send([one])
            connection.release()

    # --- failures of the store -----------------------------------------------------------------------------------

    def _succeeded(self) -> None:
        if self._failing:
            self._failing = False
            _log.info("the relay can store again")
        if self._has_more_room:
            self._has_more_room = False
            self._giving_back = asyncio.get_running_loop().call_later(_GIVE_BACK_PAUSE, self._put, _GiveBack())

    def _undo(self, group: list[_Work], outgoing: list[Outgoing], failure: RelayStoreError) -> list[Outgoing]:
        """Rolls a group back; what to send in place of its answers.

        Raises:
            RelayStoreError: The store cannot be rolled back, so the relay cannot go on.
        """
        self._counters.commits_failed += 1
        if not self._failing:
            self._failing = True
            _log.error("%s Nothing is lost that was acknowledged; the relay goes on trying.", failure)
        self._store.rollback()
        commands: list[tuple[Client, Received]] = []
        resumed: list[Client] = []
        for work in group:
            match work:
                case _Arrived(connection, received):
                    commands += [(connection.client, one) for one in received]
                case _Room(connection):
                    resumed.append(connection.client)
                case _GiveBack():
                    self._has_more_room = False  # it needs room in the log; the next attempt is in a while
                case _Expire():
                    _log.warning("old messages were not removed; the next attempt is in a while")
        undone = take_back(self._service, self._store, commands, resumed, outgoing)
        for work in group:
            if isinstance(work, _Ended):
                self._service.disconnect(work.connection.client)
        for client in undone.waiting:
            if client in self._connections:
                later = self._limits.notify_every
                asyncio.get_running_loop().call_later(later, self._has_room, self._connections[client])
        for client in undone.afresh:
            if client in self._connections:
                self._connections[client].finish()
        return undone.outgoing


def _encoded(one: Outgoing) -> bytes:
    version, session_id = one.client.version, one.client.session_id
    transmission = Transmission(one.corr_id, one.entity_id, encode_broker(one.message, version))
    return encode_transmission(transmission, version, session_id)


def descriptors_for(connections: int) -> int:
    """Connections, at most so many, that the operating system lets this process have; raises its soft limit."""
    if sys.platform == "win32":
        return connections
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _OTHER_DESCRIPTORS
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return connections
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    except (OSError, ValueError) as failure:
        _log.warning("the limit of open files cannot be raised: %s", failure)
        most = soft
    return max(1, most - _OTHER_DESCRIPTORS)
