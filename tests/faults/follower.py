"""A scripted peer that follows when the other side moves its queue, as the reference agent does (agent-wire 5.7).

It answers QADD with keys of its own, sends to both queues from QUSE on until the new one has taken its QTEST, and then
to the new one only; what it had for the old one is dropped with it.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass

from smpchat.agent.wire.envelope import (
    AMessage,
    MessageEnvelope,
    NumberedMessage,
    QueueAdd,
    QueueKey,
    QueueTest,
    QueueUse,
    RatchetKeyEnvelope,
    agent_envelope,
    agent_message,
)
from smpchat.agent.wire.queue import QueueAddress, QueueInfo
from smpchat.crypto.kem import KEMProvider
from smpchat.crypto.keys import Ed25519PrivateKey, X25519PrivateKey
from smpchat.encoding.record import replace
from smpchat.protocol.commands import Send
from smpchat.protocol.envelope import MESSAGE_PADDING, ClientMessage, PHEmpty, seal_client_message
from smpchat.protocol.errors import SMPError
from smpchat.testing.relay import MemoryRelay
from smpchat.transport.base import TransportError
from tests.faults.reference import ReferencePeer


@dataclass
class SendQueue:
    """A queue of the other side, with the peer's keys for it."""

    info: QueueInfo
    auth: Ed25519PrivateKey
    e2e: X25519PrivateKey
    usable: bool = False

    @property
    def address(self) -> QueueAddress:
        return QueueAddress(self.info.server, self.info.sender_id)


class Follower(ReferencePeer):
    """A `ReferencePeer` that follows moves.

    Attributes:
        follows: While it is not set, QADD is not answered.
        tests: While it is not set, QTEST waits, and messages go to both queues.
        moves: How many moves it has completed.
        refused: QADD that named an old address that is not in use.
    """

    def __init__(self, name: str, relays: list[MemoryRelay], kem: KEMProvider | None = None) -> None:
        super().__init__(name, relays, kem)
        self.new: SendQueue | None = None
        self.moves = self.refused = 0
        self.follows, self.tests = asyncio.Event(), asyncio.Event()
        self.follows.set()
        self.tests.set()
        self.faults: list[BaseException] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def _spawn(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self.faults.append(error)

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await super().close()
        assert not self.faults, self.faults

    async def told(self, message: AMessage) -> None:
        match message:
            case QueueAdd(((uri, old), *_)):
                current = self.send_to
                assert current is not None
                if old != QueueAddress(current.server, current.sender_id):
                    self.refused += 1
                    return
                info = uri.at(4)
                auth, e2e = Ed25519PrivateKey.generate(self.entropy), X25519PrivateKey.generate(self.entropy)
                self.new = SendQueue(info, auth, e2e)  # a later QADD takes the place of one that was not used
                self._spawn(self._send_keys_for(self.new))
            case QueueUse(((address, _), *_)):
                if self.new is not None and self.new.address == address and not self.new.usable:
                    self.new.usable = True
                    self._spawn(self._test(self.new))

    async def _send_keys_for(self, queue: SendQueue) -> None:
        await self.follows.wait()
        if queue is self.new:
            info = replace(queue.info, dh_key=queue.e2e.public())
            await self.send(QueueKey(((info, queue.auth.public()),)))

    async def _test(self, queue: SendQueue) -> None:
        await self.tests.wait()
        await self._deliver(queue, self._seal(queue, self._numbered_envelope(QueueTest((queue.address,)))))
        self.send_to, self._auth, self._snd_e2e = queue.info, queue.auth, queue.e2e
        self.new = None
        self.moves += 1

    def _numbered_envelope(self, message: AMessage) -> MessageEnvelope:
        last_id, last_hash = self._sent
        plaintext = agent_message.encode(NumberedMessage(last_id + 1, last_hash, message))
        self._sent = (last_id + 1, hashlib.sha256(plaintext).digest())
        return MessageEnvelope(self.agent_version, self._encrypt(plaintext))

    def _seal(self, queue: SendQueue, envelope: MessageEnvelope | RatchetKeyEnvelope) -> bytes:
        message = ClientMessage(PHEmpty(), agent_envelope.encode(envelope))
        secret = queue.e2e.exchange(queue.info.dh_key)
        return seal_client_message(4, None, secret, self.entropy.random(24), message, MESSAGE_PADDING)

    async def _deliver(self, queue: SendQueue, body: bytes) -> None:
        while True:
            try:
                session = await self._session(queue.info.server)
                await session.request(Send(True, body), queue.info.sender_id, queue.auth)
                return
            except TransportError:
                await asyncio.sleep(5)

    async def _send_envelope(self, envelope: MessageEnvelope | RatchetKeyEnvelope) -> None:
        new = self.new
        if new is None or not new.usable:
            await super()._send_envelope(envelope)
            return
        self._spawn(self._to_the_old_one(envelope))
        await self._deliver(new, self._seal(new, envelope))

    async def _to_the_old_one(self, envelope: MessageEnvelope | RatchetKeyEnvelope) -> None:
        with suppress(TransportError, SMPError):  # what the old queue does not take is dropped with it
            await super()._send_envelope(envelope)
