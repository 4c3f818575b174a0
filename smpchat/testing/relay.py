"""A relay inside a test's process and event loop. For queues, it uses the code of smpchat's real relay
(`smpchat.relay.commands.QueueService`), but its connections are in memory.

Tests choose the commands at which something goes wrong (`Fault`).
"""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from enum import Enum, auto
from typing import Any

from smpchat.crypto.entropy import Entropy
from smpchat.encoding.record import Record
from smpchat.protocol.address import SMPServer
from smpchat.protocol.block import decode_batch, encode_batches
from smpchat.protocol.command_codec import decode_command, encode_broker
from smpchat.protocol.commands import BrokerMessage, Command, Msg
from smpchat.protocol.session import ServerHandshake, SMPSession
from smpchat.protocol.transmission import Transmission, decode_transmission, encode_transmission
from smpchat.protocol.version import SMP_VERSIONS, VersionRange
from smpchat.relay.commands import QueueService
from smpchat.relay.limits import QUOTA
from smpchat.relay.outgoing import Outgoing
from smpchat.relay.store import SQLiteStore
from smpchat.relay.subscriptions import Client
from smpchat.transport.base import ConnectFailed, ConnectionClosed
from smpchat.transport.identity import create_identity
from smpchat.transport.memory import MemoryConnection, memory_pair


class FaultKind(Enum):
    """What goes wrong at one command to a `MemoryRelay`."""

    COMMAND_LOST = auto()
    """The connection ends before the relay executes the command."""
    ANSWER_LOST = auto()
    """The connection ends after the relay has executed the command, so only the answer is lost."""
    STALLED = auto()
    """Nothing is sent or received on the connection for longer than a client waits for an answer."""
    ANSWER_LATE = auto()
    """The answer to this command is late: it arrives after the answers to later commands."""
    REPEATED = auto()
    """The command is executed twice, as if it had been sent twice."""
    SUBSCRIPTION_MISSED = auto()
    """The relay forgets the subscription that the command made, so the next message is not pushed (smp-wire 7.3)."""


class Fault(Record):
    """A fault that happens once, at command number ``at``. Commands of all connections are counted together, from 1."""

    at: int
    kind: FaultKind


STALL = 20.0
"""Seconds that a `FaultKind.STALLED` lasts: longer than a client waits for an answer."""
LATE = 0.5
"""Seconds by which `FaultKind.ANSWER_LATE` delays an answer."""


class _Served(Record):
    connection: MemoryConnection
    session: SMPSession


class MemoryRelay:
    """A relay for tests. After `stop` and `start`, its queues still exist, but connections and subscriptions do not.

    Args:
        versions: The SMP versions that the relay offers.
        extensions: Whether the relay offers smpchat's extensions of SMP.
        delay: Seconds that every block takes to arrive, in each direction.
        quota: Maximum number of messages in a queue.
    Attributes:
        commands: Every executed command, in order.
        arrivals: When each command was executed, in the loop's time.
        faults: The faults that have not happened yet.
        rewrite: Called with each answer and push; returns the message that the relay sends instead. With this
            function, tests can imitate a dishonest relay.
        running: Whether the relay accepts connections.
        refused: Number of refused connections.
    """

    def __init__(
        self,
        entropy: Entropy,
        now: Callable[[], float],
        *,
        host: str = "relay.test",
        port: str = "",
        versions: VersionRange = SMP_VERSIONS,
        extensions: bool = True,
        delay: float = 0.0,
        quota: int = QUOTA,
    ) -> None:
        self._entropy = entropy
        self._versions = versions
        self._extensions = extensions
        self._delay = delay
        self._identity = create_identity(entropy, datetime.fromtimestamp(now(), UTC), [host])
        self._store = SQLiteStore(":memory:")
        # Tests do not close their relays, but from 3.13 on, Python warns if a database is not closed.
        weakref.finalize(self, self._store.close)
        self._queues = QueueService(self._store, entropy=entropy, clock=now, quota=quota)
        self._served: dict[Client, _Served] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._connections = 0
        self._received = 0
        self._subscribing: list[int] = []
        self.server = SMPServer((host,), port, self._identity.fingerprint)
        self.commands: list[Command] = []
        self.arrivals: list[float] = []
        self.faults: list[Fault] = []
        self.rewrite: Callable[[BrokerMessage], BrokerMessage] = lambda message: message
        self.running = True
        self.refused = 0

    def restrict(self, versions: VersionRange) -> None:
        """From now on, offer these SMP versions to new connections."""
        self._versions = versions

    def connect(self) -> MemoryConnection:
        """Make a new connection, and return the client's end. Raises `ConnectFailed` while the relay is stopped."""
        if not self.running:
            self.refused += 1
            raise ConnectFailed(f"cannot reach relay {self.server.host}: connection refused")
        self._connections += 1
        session_id = self._connections.to_bytes(32, "big")
        ours, theirs = memory_pair(session_id, leaf=self._identity.chain[0], delay=self._delay)
        self._spawn(self._serve(theirs))
        return ours

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Refuse connections, and end the existing ones."""
        self.running = False
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def sessions(self) -> int:
        """Number of clients that are connected."""
        return len(self._served)

    def start(self) -> None:
        """Accept connections again."""
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
            client = Client(
                session.version,
                session.session_id,
                session.own_session_key,
                peer_key=session.peer_session_key,
                keyed_new=session.keyed_new,
            )
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

    def points(self, kind: FaultKind) -> Sequence[int]:
        """The numbers of those received commands at which a fault of this kind would have changed something."""
        return self._subscribing if kind is FaultKind.SUBSCRIPTION_MISSED else range(1, self._received + 1)

    async def _execute(self, client: Client, transmission: Transmission) -> None:
        self._received += 1
        kinds = {fault.kind for fault in self.faults if fault.at == self._received}
        self.faults = [fault for fault in self.faults if fault.at != self._received]
        if FaultKind.COMMAND_LOST in kinds:
            raise ConnectionClosed("cut by the test")
        if FaultKind.STALLED in kinds:
            await asyncio.sleep(STALL)
        subscribed = set(client.subscribed)
        answers = self._carry_out(client, transmission)
        if FaultKind.REPEATED in kinds:
            answers += self._carry_out(client, transmission)
        anew = set(client.subscribed) - subscribed
        if anew:
            self._subscribing.append(self._received)
        if FaultKind.SUBSCRIPTION_MISSED in kinds:
            for rcv_id in anew:
                self._queues.subscriptions.end(rcv_id)
        if FaultKind.ANSWER_LOST in kinds:
            for outgoing in answers:
                if outgoing.client is not client:
                    await self._send(outgoing)
            raise ConnectionClosed("cut by the test")
        if FaultKind.ANSWER_LATE in kinds:
            self._spawn(self._send_late(answers))
        else:
            await self._send_all(answers)

    def _carry_out(self, client: Client, transmission: Transmission) -> list[Outgoing]:
        self.commands.append(decode_command(transmission.body, client.version, keyed_new=client.keyed_new))
        self.arrivals.append(asyncio.get_running_loop().time())
        answers = self._queues.execute(client, transmission)
        # Like the real relay, this relay commits changes to its database before it sends an answer.
        self._store.commit()
        return answers

    async def _send_late(self, answers: list[Outgoing]) -> None:
        await asyncio.sleep(LATE)
        await self._send_all(answers)

    async def _send_all(self, answers: list[Outgoing]) -> None:
        for outgoing in answers:
            await self._send(outgoing)

    async def _send(self, outgoing: Outgoing) -> None:
        served = self._served.get(outgoing.client)
        if served is None:
            return
        session = served.session
        body = encode_broker(self.rewrite(outgoing.message), session.version)
        transmission = Transmission(outgoing.corr_id, outgoing.entity_id, body)
        data = encode_transmission(transmission, session.version, session.session_id)
        [content] = encode_batches([data], encrypted=session.encrypts)
        with contextlib.suppress(ConnectionClosed):  # a push that fails must not end the sender's connection
            await served.connection.send([session.seal_block(content)])
        # The push is sent now, so there is one unsent push less. If we did not count down, the queue service would push
        # nothing after `MAX_UNSENT_PUSHES` messages.
        if not outgoing.corr_id and isinstance(outgoing.message, Msg):
            outgoing.client.unsent -= 1
