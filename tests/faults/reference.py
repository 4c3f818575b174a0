"""A scripted peer that behaves as the reference agent does where ours differs or only answers.

It answers links with ``D``, proposes post-quantum keys, re-synchronises ratchets and moves its queue. It shares codecs
and cryptography with our agent, but no state machine, no store and no sending rules. Its memory never crashes.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from smpchat.agent.wire.envelope import (
    PLAIN_SIZES,
    PQ_SIZES,
    AgentMessage,
    AMessage,
    Confirmation,
    ConnInfo,
    ConnInfoReply,
    Hello,
    InvitationEnvelope,
    MessageEnvelope,
    NumberedMessage,
    QueueAdd,
    QueueContinue,
    QueueKey,
    QueueTest,
    QueueUse,
    RatchetKeyEnvelope,
    RatchetReady,
    UserMessage,
    agent_envelope,
    agent_message,
)
from smpchat.agent.wire.links import ContactLink, InvitationLink, LinkScheme, format_link, parse_link
from smpchat.agent.wire.queue import CLIENT_VERSIONS, QueueAddress, QueueInfo, QueueURI
from smpchat.client.connect import open_session
from smpchat.client.session import DirectSession, ServerSession
from smpchat.crypto import ratchet
from smpchat.crypto.agreement import E2EParams, X3DHKeys, agree_initiator, agree_joiner
from smpchat.crypto.kem import KEMAccepted, KEMProposed, KEMProvider
from smpchat.crypto.keys import AuthPublicKey, Ed25519PrivateKey, X448PrivateKey, X25519PrivateKey, X25519PublicKey
from smpchat.crypto.ratchet import KEMState, Ratchet, RatchetError, SkippedKeys
from smpchat.encoding.record import replace
from smpchat.protocol.address import SMPServer
from smpchat.protocol.commands import Ack, BrokerMessage, Del, Ids, Key, Msg, New, QueueRequest, Send, SKey, Sub
from smpchat.protocol.envelope import (
    CONFIRMATION_PADDING,
    MESSAGE_PADDING,
    ClientMessage,
    PHConfirmation,
    PHEmpty,
    client_msg_envelope,
    open_client_message,
    seal_client_message,
)
from smpchat.protocol.messages import QuotaMarker, open_message
from smpchat.protocol.queue_mode import QueueMode
from smpchat.protocol.version import VersionRange
from smpchat.testing.entropy import SeededEntropy
from smpchat.testing.relay import MemoryRelay

T = TypeVar("T")
_EMPTY = PHEmpty()


@dataclass
class OwnQueue:
    """A queue that the peer receives on; ``secret`` once its sender's key is known."""

    server: SMPServer
    ids: Ids
    auth_key: Ed25519PrivateKey
    dh_secret: bytes
    e2e_key: X25519PrivateKey
    secret: bytes | None = None

    @property
    def address(self) -> QueueAddress:
        return QueueAddress(self.server, self.ids.snd_id)


@dataclass(frozen=True)
class Arrived:
    """One numbered message that opened: which queue brought it, and whether it follows the one before."""

    message: AMessage
    message_id: int
    queue: bytes
    in_order: bool


class ReferencePeer:
    """The other side of one connection.

    Args:
        kem: With it the peer supports post-quantum ratchets.
    Attributes:
        arrived: Everything that opened, in order; copies are dropped.
        unopened: How many messages the ratchet could not open.
        hello_refused: A HELLO came behind another message: the reference then never connects.
        requests: What came to its address, copies included.
        reading: While it is not set, the peer reads nothing.
    """

    def __init__(self, name: str, relays: list[MemoryRelay], kem: KEMProvider | None = None) -> None:
        self.entropy = SeededEntropy(f"reference {name}")
        self.arrived: list[Arrived] = []
        self.requests: list[InvitationEnvelope] = []
        self.unopened = 0
        self.hello_refused = False
        self.info: bytes | None = None
        self.ratchet: Ratchet | None = None
        self.send_to: QueueInfo | None = None
        self.queues: list[OwnQueue] = []
        self.agent_version = 7
        self.client_versions = CLIENT_VERSIONS
        self.reading = asyncio.Event()
        self.reading.set()
        self._kem = kem
        self._relays = {relay.server: relay for relay in relays}
        self._sessions: dict[SMPServer, DirectSession] = {}
        self._incoming: asyncio.Queue[tuple[OwnQueue, Msg]] = asyncio.Queue()
        self._skipped = SkippedKeys()
        self._seen: set[bytes] = set()
        self._sent = (0, b"")
        self._received = (0, b"")
        self._keys = X3DHKeys.generate(self.entropy)
        self._own_kem: KEMState | None = None
        self._resync_keys: X3DHKeys | None = None
        self._keys_seen: set[bytes] = set()
        self._auth = Ed25519PrivateKey.generate(self.entropy)
        self._snd_e2e = X25519PrivateKey.generate(self.entropy)
        self._link: InvitationLink | None = None
        self._invitation: str | None = None

    # -- queues -------------------------------------------------------------------------------------------------------

    async def _session(self, server: SMPServer) -> DirectSession:
        session = self._sessions.get(server)
        if session is None or session.closed.is_set():
            session = await open_session(
                self._relays[server].connect(), server, entropy=self.entropy, on_event=self._pushed
            )
            self._sessions[server] = session
            for queue in [queue for queue in self.queues if queue.server == server]:
                self._event(queue, await session.request(Sub(), queue.ids.rcv_id, queue.auth_key))
        return session

    def _pushed(self, session: ServerSession, rcv_id: bytes, message: BrokerMessage) -> None:
        for queue in self.queues:
            if queue.ids.rcv_id == rcv_id and queue.server == session.server:
                self._event(queue, message)

    def _event(self, queue: OwnQueue, message: BrokerMessage) -> None:
        if isinstance(message, Msg):
            self._incoming.put_nowait((queue, message))

    async def make_session(self, server: SMPServer) -> None:
        """A session that lasts while the relay takes no other connections."""
        await self._session(server)

    async def make_queue(self, server: SMPServer) -> OwnQueue:
        """NEW, messaging mode."""
        return await self._make_queue(server, QueueMode.MESSAGING)

    async def _make_queue(self, server: SMPServer, mode: QueueMode) -> OwnQueue:
        session = await self._session(server)
        auth, dh = Ed25519PrivateKey.generate(self.entropy), X25519PrivateKey.generate(self.entropy)
        new = New(auth.public(), dh.public(), queue=QueueRequest(mode))
        ids = await session.request(new, b"", auth)
        assert isinstance(ids, Ids)
        secret = dh.exchange(ids.server_dh_key)
        queue = OwnQueue(server, ids, auth, secret, X25519PrivateKey.generate(self.entropy))
        self.queues.append(queue)
        return queue

    async def close(self) -> None:
        for session in self._sessions.values():
            await session.close()

    # -- the handshake ------------------------------------------------------------------------------------------------

    @property
    def _pq(self) -> bool:
        return self._kem is not None

    def turn_on(self, kem: KEMProvider) -> None:
        """Support post-quantum ratchets from now on."""
        assert self.ratchet is not None
        self._kem = kem
        self.ratchet = self.ratchet.with_kem(True)

    def _propose(self) -> KEMState | None:
        return KEMState.propose(self._kem) if self._kem is not None else None

    async def join(self, link_text: str, info: bytes, *, reply_at: SMPServer) -> None:
        """SKEY, NEW, and the confirmation with ``D``."""
        link = parse_link(link_text)
        assert isinstance(link, InvitationLink)
        target = link.queues[0].at(4)
        session = await self._session(target.server)
        await session.request(SKey(self._auth.public()), target.sender_id, self._auth)
        reply = await self.make_queue(reply_at)
        kem = self._propose()
        secret = agree_joiner(self._keys, link.e2e.key1, link.e2e.key2)
        first = X448PrivateKey.generate(self.entropy)
        self.ratchet = Ratchet.joiner(secret, link.e2e.key2, first, 3, kem_enabled=self._pq, kem=kem)
        self.send_to = target
        address = QueueInfo(4, reply.server, reply.ids.snd_id, reply.e2e_key.public(), QueueMode.MESSAGING)
        params = self._keys.params(3, kem.params if kem else None)
        await self._send_first(self._answer(address, info), params)

    def _answer(self, queue: QueueInfo, info: bytes) -> AgentMessage:
        return ConnInfoReply((queue,), info)

    async def invite(self, server: SMPServer, *, with_kem: bool = False) -> str:
        """A full link. Only the one inside a short link's data has a KEM key (agent-wire 2.9)."""
        queue = await self.make_queue(server)
        uri = QueueURI(self.client_versions, server, queue.ids.snd_id, queue.e2e_key.public(), QueueMode.MESSAGING)
        self._own_kem = self._propose() if with_kem else None
        e2e = self._keys.params_range(kem=self._own_kem.params if self._own_kem else None)
        return format_link(InvitationLink(VersionRange(2, self.agent_version), (uri,), e2e))

    async def publish(self, server: SMPServer) -> str:
        """A contact address of the peer's; what comes there is in ``requests``."""
        queue = await self._make_queue(server, QueueMode.CONTACT)
        uri = QueueURI(CLIENT_VERSIONS, server, queue.ids.snd_id, queue.e2e_key.public(), QueueMode.CONTACT)
        return format_link(ContactLink(VersionRange(2, self.agent_version), (uri,)), LinkScheme.WEB)

    async def ask(self, address: str, info: bytes, *, receive_at: SMPServer) -> None:
        """NEW, and an invitation to it as an unsigned request; each time with another key."""
        link = parse_link(address)
        assert isinstance(link, ContactLink)
        if self._invitation is None:
            self._invitation = await self.invite(receive_at)
        target, key = link.queues[0], X25519PrivateKey.generate(self.entropy)
        envelope = InvitationEnvelope(self.agent_version, self._invitation.encode(), info)
        body = seal_client_message(
            4,
            key.public(),
            key.exchange(target.dh_key),
            self.entropy.random(24),
            ClientMessage(PHEmpty(), agent_envelope.encode(envelope)),
            CONFIRMATION_PADDING,
        )
        session = await self._session(target.server)
        await session.request(Send(True, body), target.sender_id)

    async def answer(self, info: bytes) -> None:
        """As initiator, on a confirmation: SKEY, and the hello with our profile."""
        assert self.send_to is not None
        session = await self._session(self.send_to.server)
        await session.request(SKey(self._auth.public()), self.send_to.sender_id, self._auth)
        await self._send_first(ConnInfo(info), None)

    async def answer_unsecured(self, info: bytes) -> None:
        """As initiator, where the reply queue is not messaging: the hello carries our key, and their KEY is awaited."""
        assert self.send_to is not None and self.send_to.mode is not QueueMode.MESSAGING
        await self._send_first(ConnInfo(info), None, PHConfirmation(self._auth.public()))

    async def _send_first(
        self, message: AgentMessage, params: E2EParams | None, header: PHEmpty | PHConfirmation = _EMPTY
    ) -> None:
        plaintext = agent_message.encode(message)
        envelope = Confirmation(self.agent_version, params, self._encrypt(plaintext, first=True))
        self._sent = (1, hashlib.sha256(plaintext).digest())
        assert self.send_to is not None
        body = seal_client_message(
            4,
            self._snd_e2e.public(),
            self._snd_e2e.exchange(self.send_to.dh_key),
            self.entropy.random(24),
            ClientMessage(header, agent_envelope.encode(envelope)),
            CONFIRMATION_PADDING,
        )
        await self._send_body(body, signed=header is _EMPTY)

    # -- sending ------------------------------------------------------------------------------------------------------

    def _encrypt(self, plaintext: bytes, *, first: bool = False) -> bytes:
        assert self.ratchet is not None
        sizes = PQ_SIZES if self.ratchet.large_headers else PLAIN_SIZES
        length = sizes.confirmation if first else sizes.message
        self.ratchet, message = ratchet.encrypt(self.ratchet, plaintext, length)
        return message

    async def _send_body(self, body: bytes, *, signed: bool = True) -> None:
        assert self.send_to is not None
        session = await self._session(self.send_to.server)
        await session.request(Send(True, body), self.send_to.sender_id, self._auth if signed else None)

    async def _send_envelope(self, envelope: MessageEnvelope | RatchetKeyEnvelope) -> None:
        assert self.send_to is not None
        message = ClientMessage(PHEmpty(), agent_envelope.encode(envelope))
        secret = self._snd_e2e.exchange(self.send_to.dh_key)
        body = seal_client_message(4, None, secret, self.entropy.random(24), message, MESSAGE_PADDING)
        await self._send_body(body)

    async def send(self, message: AMessage) -> None:
        """The next numbered message."""
        last_id, last_hash = self._sent
        plaintext = agent_message.encode(NumberedMessage(last_id + 1, last_hash, message))
        self._sent = (last_id + 1, hashlib.sha256(plaintext).digest())
        await self._send_envelope(MessageEnvelope(self.agent_version, self._encrypt(plaintext)))

    async def say(self, text: str) -> None:
        """A chat text."""
        content = f'{{"v":"1-7","event":"x.msg.new","params":{{"content":{{"type":"text","text":"{text}"}}}}}}'
        await self.send(UserMessage(content.encode()))

    # -- receiving ----------------------------------------------------------------------------------------------------

    async def serve(self) -> None:
        """Open whatever comes, and acknowledge it; runs until cancelled."""
        while True:
            queue, pushed = await self._incoming.get()
            await self.reading.wait()
            await self._open(queue, pushed)
            session = await self._session(queue.server)
            if queue in self.queues:
                self._event(queue, await session.request(Ack(pushed.msg_id), queue.ids.rcv_id, queue.auth_key))

    async def _open(self, queue: OwnQueue, pushed: Msg) -> None:
        message = open_message(queue.dh_secret, pushed.msg_id, pushed.body)
        if isinstance(message, QuotaMarker):
            await self.send(QueueContinue(queue.address))
            return
        envelope = client_msg_envelope.decode(message.body)
        if envelope.sender_key is not None and queue.ids.queue_mode is QueueMode.CONTACT:
            once = queue.e2e_key.exchange(envelope.sender_key)
            request = agent_envelope.decode(open_client_message(once, envelope).body)
            assert isinstance(request, InvitationEnvelope)
            self.requests.append(request)
            return
        if envelope.sender_key is not None:
            if queue.secret is not None:
                return  # a repeated confirmation
            queue.secret = queue.e2e_key.exchange(envelope.sender_key)
        assert queue.secret is not None
        inner = agent_envelope.decode(open_client_message(queue.secret, envelope).body)
        match inner:
            case Confirmation(_, params, ratchet_message):
                self._confirmed(params, ratchet_message)
            case MessageEnvelope(_, ratchet_message):
                await self._numbered(queue, ratchet_message)
            case RatchetKeyEnvelope(_, params):
                await self._ratchet_keys(params)
            case _:
                raise AssertionError(inner)

    def _confirmed(self, params: E2EParams | None, message: bytes) -> None:
        if params is not None:
            own = self._own_kem
            if isinstance(params.kem, KEMAccepted) and own is not None and self._kem is not None:
                own = own.accepted(params.kem, self._kem)
            kem_secret = own.answer.secret if own and own.answer else b""
            secret = agree_initiator(self._keys, params.key1, params.key2, kem_secret)
            self.ratchet = Ratchet.initiator(secret, self._keys.key2, params.version, kem_enabled=self._pq, kem=own)
        content = agent_message.decode(self._decrypt(message))
        assert isinstance(content, ConnInfo | ConnInfoReply)
        if isinstance(content, ConnInfoReply):
            self.send_to = content.queues[0]
        self.info = content.conn_info
        self._received = (1, hashlib.sha256(agent_message.encode(content)).digest())

    def _decrypt(self, message: bytes) -> bytes:
        assert self.ratchet is not None
        provider = {"kem": self._kem} if self._kem is not None else {}
        opened = ratchet.decrypt(self.ratchet, self._skipped, message, self.entropy, **provider)
        self.ratchet, self._skipped = opened.ratchet, opened.diff.apply(self._skipped)
        return opened.plaintext

    async def _numbered(self, queue: OwnQueue, message: bytes) -> None:
        digest = hashlib.sha256(message).digest()
        if digest in self._seen:
            return
        assert self.ratchet is not None
        receiving_only = self.ratchet.sending is None
        try:
            plaintext = self._decrypt(message)
        except RatchetError:
            self.unopened += 1
            return
        self._seen.add(digest)
        numbered = agent_message.decode(plaintext)
        assert isinstance(numbered, NumberedMessage)
        in_order = (numbered.message_id, numbered.previous_hash) == (self._received[0] + 1, self._received[1])
        self._received = (numbered.message_id, hashlib.sha256(plaintext).digest())
        self.arrived.append(Arrived(numbered.message, numbered.message_id, queue.ids.rcv_id, in_order))
        if isinstance(numbered.message, Hello):
            if len(self.arrived) > 1:
                self.hello_refused = True
            else:
                await self.send(Hello())
        if isinstance(numbered.message, RatchetReady) and receiving_only:
            await self.send(RatchetReady(self._received[0]))
        await self.told(numbered.message)

    async def told(self, message: AMessage) -> None:
        """A message opened; whoever answers more kinds of them does it here."""

    def of(self, kind: type[T]) -> list[T]:
        """Messages of one kind that arrived."""
        return [arrived.message for arrived in self.arrived if isinstance(arrived.message, kind)]

    async def until(self, condition: Callable[[], bool], seconds: float = 900.0) -> None:
        """Wait until something has arrived."""
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110 - what arrives is the only event there is
                await asyncio.sleep(0.05)

    # -- rotation -----------------------------------------------------------------------------------------------------

    async def offer_queue(self, server: SMPServer) -> OwnQueue:
        """A new queue, and QADD."""
        [old] = self.queues
        new = await self.make_queue(server)
        uri = QueueURI(CLIENT_VERSIONS, server, new.ids.snd_id, new.e2e_key.public(), QueueMode.MESSAGING)
        await self.send(QueueAdd(((uri, old.address),)))
        return new

    async def use_queue(self, new: OwnQueue, key: QueueKey) -> None:
        """KEY at the new relay, and QUSE."""
        [(info, auth)] = key.queues
        assert (info.server, info.sender_id) == (new.server, new.ids.snd_id)
        await self.secure(new, info.dh_key, auth)
        await self.send(QueueUse(((new.address, True),)))

    async def secure(self, new: OwnQueue, dh_key: X25519PublicKey, auth: AuthPublicKey) -> None:
        """KEY."""
        new.secret = new.e2e_key.exchange(dh_key)
        session = await self._session(new.server)
        await session.request(Key(auth), new.ids.rcv_id, new.auth_key)

    async def drop_queue(self, old: OwnQueue) -> None:
        """DEL."""
        self.queues.remove(old)
        session = await self._session(old.server)
        await session.request(Del(), old.ids.rcv_id, old.auth_key)

    async def move(self, server: SMPServer) -> None:
        """The whole move, until the first message comes through the new queue."""
        [old] = self.queues
        before = len(self.of(QueueKey))
        new = await self.offer_queue(server)
        await self.until(lambda: len(self.of(QueueKey)) > before)
        await self.use_queue(new, self.of(QueueKey)[-1])
        await self.until(lambda: any(arrived.queue == new.ids.rcv_id for arrived in self.arrived))
        await self.drop_queue(old)

    def tested(self) -> bool:
        return bool(self.of(QueueTest))

    # -- re-synchronisation -------------------------------------------------------------------------------------------

    def break_ratchet(self) -> None:
        """As after restoring an old copy: what comes no longer opens, what is sent the other side cannot open."""
        assert self.ratchet is not None
        strange = self.entropy.random(32)
        sending = self.ratchet.sending
        self.ratchet = replace(
            self.ratchet,
            sending=replace(sending, header_key=strange) if sending else None,
            receiving=None,
            next_receiving_header_key=strange,
        )

    async def start_resync(self) -> None:
        """An R envelope with new keys."""
        self._resync_keys = X3DHKeys.generate(self.entropy)
        await self._send_keys(self._resync_keys, 3)

    async def _send_keys(self, keys: X3DHKeys, version: int) -> None:
        self._own_kem = self._propose()
        params = keys.params(version, self._own_kem.params if self._own_kem else None)
        self._sent = (self._sent[0] + 1, hashlib.sha256(b"R").digest())
        await self._send_envelope(RatchetKeyEnvelope(self.agent_version, params, b"R"))

    async def _ratchet_keys(self, params: E2EParams) -> None:
        theirs = _hash(params)
        if theirs in self._keys_seen:
            return
        self._keys_seen.add(theirs)
        assert params.kem is None or isinstance(params.kem, KEMProposed)
        keys = self._resync_keys
        if keys is None:
            keys = X3DHKeys.generate(self.entropy)
            await self._send_keys(keys, params.version)
        self._resync_keys = None
        self._skipped = SkippedKeys()
        kem = self._own_kem
        if _hash(keys.params(3)) <= theirs:
            secret = agree_initiator(keys, params.key1, params.key2)
            self.ratchet = Ratchet.initiator(secret, keys.key2, params.version, kem_enabled=self._pq, kem=kem)
            return
        secret = agree_joiner(keys, params.key1, params.key2)
        first = X448PrivateKey.generate(self.entropy)
        self.ratchet = Ratchet.joiner(secret, params.key2, first, params.version, kem_enabled=self._pq, kem=kem)
        await self.send(RatchetReady(self._received[0]))


def _hash(params: E2EParams) -> bytes:
    return hashlib.sha256(params.key1.raw + params.key2.raw).digest()
