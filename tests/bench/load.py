"""A light SMP client for load: what can be signed once is signed once, and answers are told apart with few steps.

It speaks standard SMP of version 9 or later to any relay, with one command to a block, as clients send messages.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import nacl.bindings

from smpchat.crypto.entropy import Entropy, SystemEntropy
from smpchat.crypto.keys import Ed25519PrivateKey, X25519PrivateKey
from smpchat.protocol.address import SMPServer
from smpchat.protocol.block import decode_batch, encode_batches
from smpchat.protocol.command_codec import decode_broker, encode_command
from smpchat.protocol.commands import (
    Ack,
    BrokerMessage,
    Command,
    Ids,
    Key,
    Msg,
    New,
    Ok,
    Ping,
    Pong,
    QueueRequest,
    Send,
    Sub,
)
from smpchat.protocol.messages import RcvMessage, open_message
from smpchat.protocol.queue_mode import QueueMode
from smpchat.protocol.session import ClientHandshake, SMPSession
from smpchat.protocol.transmission import Transmission, decode_transmission, encode_transmission, signed_bytes
from smpchat.protocol.version import SMP_VERSIONS, VersionRange
from smpchat.transport import tls
from smpchat.transport.base import BlockConnection, TransportError

ANSWER_TIME = 30.0
"""Seconds after which a relay that has not answered has failed the run."""
VERSIONS = VersionRange(9, SMP_VERSIONS.maximum)

Answered = Callable[[BrokerMessage], None]


class LoadError(Exception):
    """The relay did not do what the load needs, so there is nothing to measure."""


class Signer:
    """An Ed25519 key kept in the form that signs fastest."""

    def __init__(self, entropy: Entropy) -> None:
        key = Ed25519PrivateKey.generate(entropy)
        self.public = key.public()
        _, self._secret = nacl.bindings.crypto_sign_seed_keypair(key.raw)

    def sign(self, message: bytes) -> bytes:
        """64 bytes."""
        return nacl.bindings.crypto_sign(message, self._secret)[:64]


class Line:
    """One connection after its hellos. ``events`` has a handler of messages for each recipient id."""

    def __init__(self, connection: BlockConnection, session: SMPSession, entropy: Entropy) -> None:
        self.events: dict[bytes, Answered] = {}
        self.entropy = entropy
        self._connection = connection
        self._session = session
        self._answers: dict[bytes, Answered] = {}
        self._outgoing: list[bytes] = []
        self._to_write = asyncio.Event()
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._failure.add_done_callback(lambda future: future.cancelled() or future.exception())
        self._tasks = [asyncio.create_task(self._watch(work)) for work in (self._read, self._write)]

    @classmethod
    async def open(cls, server: SMPServer, entropy: Entropy | None = None) -> Line:
        """Connects. Raises `TransportError` or `ProtocolError`."""
        entropy = entropy or SystemEntropy()
        connection = await tls.connect(server.hosts, server.port_number, timeout=ANSWER_TIME)
        try:
            hello = ClientHandshake(
                server.key_hash, connection.session_id, connection.peer_leaf, VERSIONS, entropy, extensions=False
            )
            answer, session = hello.receive_hello(await connection.receive())
            await connection.send([answer])
        except BaseException:
            await connection.close()
            raise
        return cls(connection, session, entropy)

    @property
    def failure(self) -> asyncio.Future[None]:
        """Fails when the connection does."""
        return self._failure

    def encode(
        self, command: Command, entity_id: bytes = b"", signer: Signer | None = None, corr_id: bytes | None = None
    ) -> tuple[bytes, bytes]:
        """Correlation id and bytes of a transmission. The same bytes may be posted again once they are answered."""
        session = self._session
        corr_id = corr_id or self.entropy.random(24)
        body = encode_command(command, session.version)
        auth = b"" if signer is None else signer.sign(signed_bytes(session.session_id, corr_id, entity_id, body))
        return corr_id, encode_transmission(
            Transmission(corr_id, entity_id, body, auth), session.version, session.session_id
        )

    def post(self, corr_id: bytes, data: bytes, answered: Answered) -> None:
        """Writes a transmission soon; ``answered`` is called with the answer."""
        self._answers[corr_id] = answered
        self._outgoing.append(data)
        self._to_write.set()

    async def ask(self, command: Command, entity_id: bytes = b"", signer: Signer | None = None) -> BrokerMessage:
        """Posts one command and waits for its answer. Raises `TransportError`, or `LoadError` for want of one."""
        answer: asyncio.Future[BrokerMessage] = asyncio.get_running_loop().create_future()
        self.post(*self.encode(command, entity_id, signer), answer.set_result)
        waiting: set[asyncio.Future[object]] = {answer, self._failure}  # type: ignore[arg-type]
        await asyncio.wait(waiting, timeout=ANSWER_TIME, return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return answer.result()
        if self._failure.done():
            self._failure.result()
        raise LoadError(f"{type(command).__name__} was not answered in {ANSWER_TIME:g} s")

    async def close(self) -> None:
        """Ends the connection."""
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        await self._connection.close()

    async def _watch(self, work: Callable[[], object]) -> None:
        try:
            await work()  # type: ignore[misc]
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            if not self._failure.done():
                self._failure.set_exception(error)

    async def _read(self) -> None:
        session, answers = self._session, self._answers
        version, session_id = session.version, session.session_id
        while True:
            for data in decode_batch(session.open_block(await self._connection.receive())):
                transmission = decode_transmission(data, version, session_id)
                message = decode_broker(transmission.body, version)
                if transmission.corr_id:
                    answers.pop(transmission.corr_id)(message)
                elif handler := self.events.get(transmission.entity_id):
                    handler(message)

    async def _write(self) -> None:
        session = self._session
        while True:
            await self._to_write.wait()
            self._to_write.clear()
            while self._outgoing:
                some, self._outgoing = self._outgoing[:16], self._outgoing[16:]
                contents = [encode_batches([data], encrypted=session.encrypts)[0] for data in some]
                await self._connection.send([session.seal_block(content) for content in contents])


@dataclass
class LoadQueue:
    """A queue with its recipient's and its sender's connection."""

    recipient: Line
    sender: Line
    rcv_id: bytes
    snd_id: bytes
    dh_secret: bytes = field(repr=False)
    rcv_signer: Signer
    snd_signer: Signer

    @classmethod
    async def create(cls, recipient: Line, sender: Line) -> LoadQueue:
        """A secured queue to which the recipient's connection is subscribed. Raises `LoadError`."""
        entropy = recipient.entropy
        rcv_signer, snd_signer = Signer(entropy), Signer(entropy)
        dh_key = X25519PrivateKey.generate(entropy)
        new = New(rcv_signer.public, dh_key.public(), queue=QueueRequest(QueueMode.MESSAGING))
        ids = await recipient.ask(new, signer=rcv_signer)
        if not isinstance(ids, Ids):
            raise LoadError(f"NEW was answered with {ids}")
        queue = cls(
            recipient, sender, ids.rcv_id, ids.snd_id, dh_key.exchange(ids.server_dh_key), rcv_signer, snd_signer
        )
        secured = await recipient.ask(Key(snd_signer.public), queue.rcv_id, rcv_signer)
        if secured != Ok():
            raise LoadError(f"KEY was answered with {secured}")
        return queue

    def open(self, message: BrokerMessage) -> bytes:
        """The body that the sender sent. Raises `LoadError`."""
        if isinstance(message, Msg):
            content = open_message(self.dh_secret, message.msg_id, message.body)
            if isinstance(content, RcvMessage):
                return content.body
        raise LoadError(f"a message was expected, not {message}")


class Stream:
    """Messages through one queue, one after the other: SEND, its answer and MSG in either order, ACK and its answer.

    Args:
        more: Tells whether there is another message to send.
        done: Called with the seconds from SEND to MSG, and to the end.
    """

    def __init__(
        self, queue: LoadQueue, body: bytes, more: Callable[[], bool], done: Callable[[float, float], None]
    ) -> None:
        self._queue = queue
        self._body = body
        self._more = more
        self._done = done
        self._send = queue.sender.encode(Send(False, body), queue.snd_id, queue.snd_signer)
        self._ack_corr_id = queue.recipient.entropy.random(24)
        self._checked = False
        self._began = self._delivered = 0.0
        self._parts = 0
        self.failure: str | None = None

    def begin(self) -> None:
        """Sends the next message, if there is one."""
        if not self._more():
            return
        self._queue.recipient.events[self._queue.rcv_id] = self._message
        self._began = time.perf_counter()
        self._parts = 2
        self._queue.sender.post(*self._send, self._answered)

    def _message(self, message: BrokerMessage) -> None:
        if not isinstance(message, Msg):
            raise LoadError(f"a message was expected, not {message}")
        self._delivered = time.perf_counter()
        if not self._checked:
            self._checked = True
            if self._queue.open(message) != self._body:
                raise LoadError("another message was delivered than the one sent")
        queue = self._queue
        _, data = queue.recipient.encode(Ack(message.msg_id), queue.rcv_id, queue.rcv_signer, self._ack_corr_id)
        queue.recipient.post(self._ack_corr_id, data, self._answered)

    def _answered(self, answer: BrokerMessage) -> None:
        if type(answer) is not Ok:
            raise LoadError(f"SEND or ACK was answered with {answer}")
        self._parts -= 1
        if not self._parts:
            now = time.perf_counter()
            self._done(self._delivered - self._began, now - self._began)
            self.begin()


async def subscribed_lines(server: SMPServer, count: int, at_once: int = 16) -> list[Line]:
    """Connections that do nothing but listen to one queue each."""
    lines: list[Line] = []
    turn = asyncio.Semaphore(at_once)

    async def one() -> None:
        async with turn:
            line = await Line.open(server)
            lines.append(line)
            signer, dh_key = Signer(line.entropy), X25519PrivateKey.generate(line.entropy)
            ids = await line.ask(New(signer.public, dh_key.public()), signer=signer)
            if not isinstance(ids, Ids):
                raise LoadError(f"NEW was answered with {ids}")

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(count):
                group.create_task(one())
    except* (LoadError, TransportError) as failures:
        await close_all(lines)
        raise failures.exceptions[0] from None
    return lines


async def close_all(lines: list[Line]) -> None:
    """Ends all connections."""
    await asyncio.gather(*(line.close() for line in lines))


async def is_alive(line: Line) -> bool:
    """Whether the relay answers PING."""
    return await line.ask(Ping()) == Pong()


async def resubscribe(queue: LoadQueue) -> None:
    """Asks again for a message that did not come: the reference sometimes loses a subscription (smp-wire 7.3)."""
    await queue.recipient.ask(Sub(), queue.rcv_id, queue.rcv_signer)
