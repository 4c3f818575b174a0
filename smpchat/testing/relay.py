"""A relay inside the test's own process and loop: the real queue service behind in-memory connections, with faults."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from smpchat.crypto.entropy import Entropy
from smpchat.protocol.address import SMPServer
from smpchat.protocol.block import decode_batch, encode_batches
from smpchat.protocol.commands import Command, Msg, decode_command, encode_broker
from smpchat.protocol.session import ServerHandshake, SMPSession
from smpchat.protocol.transmission import Transmission, decode_transmission, encode_transmission
from smpchat.protocol.version import SMP_VERSIONS, VersionRange
from smpchat.relay.queues import Outgoing, QueueService
from smpchat.relay.store import SQLiteStore
from smpchat.relay.subscriptions import Client
from smpchat.transport.base import ConnectFailed, ConnectionClosed
from smpchat.transport.identity import create_identity
from smpchat.transport.memory import MemoryConnection, memory_pair


@dataclass(slots=True)
class Fault:
    """Cut the connection at one command, counted from 1 over all connections; once.

    Attributes:
        at: Which command.
        executed: Whether the relay carries it out before the cut; then only the answer is lost.
    """

    at: int
    executed: bool


@dataclass(frozen=True, slots=True)
class _Served:
    connection: MemoryConnection
    session: SMPSession


class MemoryRelay:
    """A relay for tests. Its queues survive `stop` and `start`; connections and subscriptions do not.

    Args:
        versions: SMP versions that it offers.
        extensions: Whether it offers ours.
        delay: Seconds that every block takes, in each direction.
    Attributes:
        commands: Every command executed, in order.
        arrivals: When each of them arrived, in the loop's time.
        fault: A connection to cut; None once it happened.
        running: Whether it takes connections.
    """

    def __init__(
        self,
        entropy: Entropy,
        now: Callable[[], float],
        *,
        host: str = "relay.test",
        versions: VersionRange = SMP_VERSIONS,
        extensions: bool = True,
        delay: float = 0.0,
    ) -> None:
        self._entropy = entropy
        self._versions = versions
        self._extensions = extensions
        self._delay = delay
        self._identity = create_identity(entropy, datetime.fromtimestamp(now(), UTC), [host])
        self._store = SQLiteStore(":memory:")
        self._queues = QueueService(self._store, entropy=entropy, clock=now)
        self._served: dict[Client, _Served] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._connections = 0
        self._received = 0
        self.server = SMPServer((host,), "", self._identity.fingerprint)
        self.commands: list[Command] = []
        self.arrivals: list[float] = []
        self.fault: Fault | None = None
        self.running = True

    def connect(self) -> MemoryConnection:
        """A new connection's client end. Raises `ConnectFailed` while the relay is stopped."""
        if not self.running:
            raise ConnectFailed(f"cannot reach relay {self.server.hosts[0]}: connection refused")
        self._connections += 1
        session_id = self._connections.to_bytes(32, "big")
        ours, theirs = memory_pair(session_id, leaf=self._identity.chain[0], delay=self._delay)
        task = asyncio.get_running_loop().create_task(self._serve(theirs))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return ours

    async def stop(self) -> None:
        """Refuse connections and end those there are."""
        self.running = False
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def start(self) -> None:
        """Take connections again."""
        self.running = True

    async def _serve(self, connection: MemoryConnection) -> None:
        handshake = ServerHandshake(
            self._identity.chain,
            self._identity.sign,
            connection.session_id,
            self._versions,
            self._entropy,
            extensions=self._extensions,
        )
        client: Client | None = None
        try:
            await connection.send([handshake.hello()])
            session = handshake.receive_hello(await connection.receive())
            client = Client(session.version, session.session_id, session.own_session_key, keyed_new=session.keyed_new)
            self._served[client] = _Served(connection, session)
            while True:
                content = session.open_block(await connection.receive())
                for data in decode_batch(content):
                    await self._execute(client, decode_transmission(data, session.version, session.session_id))
        except ConnectionClosed:
            return
        finally:
            if client is not None:
                del self._served[client]
                self._queues.disconnect(client)
            await connection.close()

    async def _execute(self, client: Client, transmission: Transmission) -> None:
        self._received += 1
        fault = self.fault
        cut = fault is not None and fault.at == self._received
        if cut and fault is not None:
            self.fault = None
            if not fault.executed:
                raise ConnectionClosed("cut by the test")
        self.commands.append(decode_command(transmission.body, client.version, keyed_new=client.keyed_new))
        self.arrivals.append(asyncio.get_running_loop().time())
        answers = self._queues.execute(client, transmission)
        self._store.commit()
        for outgoing in answers:
            if cut and outgoing.client is client:
                continue
            await self._send(outgoing)
        if cut:
            raise ConnectionClosed("cut by the test")

    async def _send(self, outgoing: Outgoing) -> None:
        served = self._served.get(outgoing.client)
        if served is None:
            return
        session = served.session
        body = encode_broker(outgoing.message, session.version)
        transmission = Transmission(outgoing.corr_id, outgoing.entity_id, body)
        data = encode_transmission(transmission, session.version, session.session_id)
        [content] = encode_batches([data], encrypted=session.encrypts)
        await served.connection.send([session.seal_block(content)])
        if not outgoing.corr_id and isinstance(outgoing.message, Msg):
            outgoing.client.unsent -= 1
