"""Targets: the whole receiver of a profile, fed with content that was mutated at one layer and is right at all above.

Each input is received by a profile whose connections are real: sealed for the relay, in the queue's box, in an agent
envelope, encrypted by the ratchet, with its header sealed by the header key. Nothing is ever committed, so that every
input meets the same state, and a finding is found again by its bytes alone.
"""

from __future__ import annotations

import json
import random
import sqlite3
import tempfile
import weakref
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

from smpchat.agent.errors import EnvelopeRefused, HeldBack
from smpchat.agent.machines.chain import Chain
from smpchat.agent.store import connections, ratchets
from smpchat.agent.store.connections import ReceiveQueue
from smpchat.agent.store.database import Database
from smpchat.agent.transactions import receiving, sending
from smpchat.agent.wire import envelope as wire
from smpchat.agent.wire.links import ContactLink, InvitationLink, format_link, parse_link
from smpchat.agent.wire.queue import QueueAddress
from smpchat.chat.service import attention
from smpchat.chat.service.connecting import ChatService
from smpchat.chat.store import events, feed_rows, records
from smpchat.chat.wire.bodies import compress_body
from smpchat.chat.wire.message import ContactRequest, encode_contact_request, encode_profile
from smpchat.chat.wire.profile import Profile as Named
from smpchat.cli.views.messages import message_fields, message_line
from smpchat.crypto import ratchet
from smpchat.crypto.aead import aead_encrypt
from smpchat.crypto.box import cb_encrypt
from smpchat.crypto.kdf import chain_step
from smpchat.crypto.keys import Ed25519PrivateKey, X448PrivateKey, X25519PrivateKey
from smpchat.crypto.padding import pad
from smpchat.crypto.ratchet import MessageKey, Ratchet
from smpchat.crypto.ratchet_wire import Header, encode_envelope, encode_header, header_size
from smpchat.encoding.codec import large_bytes, many
from smpchat.encoding.record import replace
from smpchat.protocol.envelope import (
    CONFIRMATION_PADDING,
    MESSAGE_PADDING,
    ClientMessage,
    ClientMsgEnvelope,
    PHEmpty,
    client_message,
    client_msg_envelope,
    open_client_message,
)
from smpchat.protocol.messages import RCV_PADDING, RcvMessage, encode_rcv_message
from smpchat.protocol.version import SMP_VERSIONS
from smpchat.testing.entropy import SeededEntropy
from smpchat.testing.kem import HashKEM
from tests.fuzz.mutate import BYTES, JSON, Mutate
from tests.fuzz.seeds import DATA
from tests.fuzz.target import Target
from tests.unit.agent.agents import INSTANT, NOW, RELAY, Agent, exchange

MOST_CHANGES = 1_500
"""Rows that one message may touch; a batch of the most events that are read makes some hundreds."""
_LOOKED_AT = 8
"""Every so many inputs, all that commands show is read as well."""
_BYSTANDER = ("connections", "receive_queues", "send_queues", "ratchets", "skipped_keys", "outbox", "waiting_messages")


class Broken(Exception):
    """Something does not hold that always must."""


class _Undo(Exception):
    pass


class _Quick(Database):
    SYNCHRONOUS = "OFF"


class Alice(Agent):
    """A profile with a chat layer."""

    def __init__(self, folder: Path) -> None:
        self.messaging, self.version, self.now, self.id = True, SMP_VERSIONS.maximum, NOW, 0
        self.news, self.lnk = [], None
        self.entropy = SeededEntropy("alice")
        self.service = ChatService(
            folder, "alice", entropy=self.entropy, now=lambda: NOW + 60, open_database=_Quick, kem=HashKEM()
        )
        self.database, self.context = self.service.database, self.service.context


class Peer(Agent):
    """Somebody else's agent, who says their name as apps do."""

    def __init__(self, name: str, folder: Path) -> None:
        super().__init__(name, folder, HashKEM(name))
        info = encode_profile(Named(name))
        self.application.connection_info = lambda tx, connection_id: info  # type: ignore[method-assign]
        self.texts = 0

    def say(self, body: bytes) -> None:
        self.texts += 1
        self.do(lambda tx, context: sending.submit(tx, context, self.id, wire.UserMessage(body), reference=self.texts))


class World:
    """Alice, who knows Bob and Carol, waits for somebody to use a link, and has an address."""

    def __init__(self, folder: Path) -> None:
        self.alice = alice = Alice(folder / "alice")
        self.bob, self.carol = Peer("bob", folder), Peer("carol", folder)
        for peer in (self.carol, self.bob):
            alice.id = alice.service.invite(None)
            alice.carry_out()
            link = alice.connection.link
            assert link is not None
            peer.join(link)
            exchange(alice, peer)
            peer.say(TEXT)
            exchange(alice, peer)
            contact = records.contact_of(alice.tx, alice.id)
            assert contact is not None
            alice.service.send(contact.alias, "hello")
            exchange(alice, peer)
            if peer is self.carol:
                self.carols = alice.id
        self.bobs, self.queue = alice.id, alice.queue
        self.bob.say(TEXT)
        self.bob.carry_out()  # lost: what follows sets a key aside
        self.bobs_queue = connections.send_queue(self.bob.tx, self.bob.id)
        self.bobs_ratchet = ratchets.load(self.bob.tx, self.bob.id)
        self.bobs_chain = self.bob.connection.sent
        self._invite(folder)
        self._publish()
        self.before = self.bystander()
        self.seen = alice.service.last_event()
        self.count = 0

    def _invite(self, folder: Path) -> None:
        """An invitation that Dave is about to answer: his confirmation is made, and has not come."""
        alice, self.dave = self.alice, Peer("dave", folder)
        self.pending = alice.id = alice.service.invite(None)
        alice.carry_out()
        self.pending_queue = alice.queue
        assert alice.connection.link is not None
        self.dave.join(alice.connection.link)
        [first, *_] = self.dave.carry_out()
        self.daves_queue = connections.send_queue(self.dave.tx, self.dave.id)
        assert self.daves_queue is not None
        opened = client_msg_envelope.decode(first)
        self.confirmation = open_client_message(self.daves_queue.e2e_secret, opened)
        self.confirmation_key = opened.sender_key
        self.daves_ratchet = ratchets.load(self.dave.tx, self.dave.id)

    def _publish(self) -> None:
        alice = self.alice
        self.address = alice.id = alice.service.create_address()
        alice.carry_out()
        self.address_queue = alice.queue
        link = parse_link(alice.connection.link or "")
        assert isinstance(link, ContactLink)
        self.address_link = link

    # -- sealing, from the outside in ---------------------------------------------------------------------------------

    def relay(self, content: bytes) -> None:
        """What the relay says a message is."""
        self.deliver(self.queue, content)

    def body(self, data: bytes) -> None:
        """The body of SEND."""
        self.deliver(self.queue, _from_relay(data))

    def inside_box(self, content: bytes) -> None:
        """What is in the queue's box: header and agent envelope."""
        self.body(self._boxed(content))

    def _boxed(self, content: bytes) -> bytes:
        assert self.bobs_queue is not None
        nonce = bytes(24)
        sealed = cb_encrypt(self.bobs_queue.e2e_secret, nonce, content[: MESSAGE_PADDING - 2], MESSAGE_PADDING)
        return client_msg_envelope.encode(ClientMsgEnvelope(self.bobs_queue.client_version, None, nonce, sealed))

    def agent_envelope(self, data: bytes) -> None:
        """The agent envelope."""
        self.inside_box(client_message.encode(ClientMessage(PHEmpty(), data)))

    def boxed_envelope(self, data: bytes) -> bytes:
        """An agent envelope as Bob's program sends it."""
        return self._boxed(client_message.encode(ClientMessage(PHEmpty(), data)))

    def ratchet_message(self, data: bytes) -> None:
        """The ratchet's message, unread."""
        self.agent_envelope(wire.agent_envelope.encode(wire.MessageEnvelope(7, data)))

    def header(self, data: bytes) -> None:
        """The header inside its seal, with the body under the key of the next message."""
        plain = wire.agent_message.encode(wire.NumberedMessage(9, b"", wire.UserMessage(TEXT)))
        self.ratchet_message(_with_header(self.bobs_ratchet, data, plain))

    def agent_message(self, data: bytes) -> None:
        """What the ratchet's message says."""
        self.ratchet_message(self._encrypted(data))

    def _encrypted(self, data: bytes) -> bytes:
        length = wire.sizes(self.bobs_ratchet.large_headers).message
        return ratchet.encrypt(self.bobs_ratchet, data[: length - 2], length)[1]

    def numbered(self, data: bytes) -> None:
        """The message behind its number and hash."""
        self.agent_message(numbered_start(self.bobs_chain) + data)

    def chat(self, body: bytes) -> None:
        """The body of a chat message."""
        self.numbered(b"M" + body)

    def compressed(self, body: bytes) -> None:
        """The same, compressed."""
        self.chat(compress_body(body[:60_000]))

    def batch(self, body: bytes) -> None:
        """Many of them in one message: each piece between blanks of a kind that JSON does not have."""
        self.chat(b"=" + many(large_bytes).write(tuple(part[:60_000] for part in body.split(b"\x1e")[:255])))

    def confirm(self, data: bytes) -> None:
        """The envelope of the joiner's confirmation."""
        self._to_pending(data)

    def confirm_info(self, data: bytes) -> None:
        """What the ratchet of the joiner's confirmation says: queues, keys, profile."""
        envelope = wire.agent_envelope.decode(self.confirmation.body)
        assert isinstance(envelope, wire.Confirmation)
        length = wire.sizes(self.daves_ratchet.large_headers).confirmation
        sealed = ratchet.encrypt(self.daves_ratchet, data[: length - 2], length)[1]
        self._to_pending(wire.agent_envelope.encode(replace(envelope, ratchet_message=sealed)))

    def _to_pending(self, data: bytes) -> None:
        assert self.daves_queue is not None
        content = client_message.encode(replace(self.confirmation, body=data))[: CONFIRMATION_PADDING - 2]
        sealed = cb_encrypt(self.daves_queue.e2e_secret, bytes(24), content, CONFIRMATION_PADDING)
        whole = ClientMsgEnvelope(self.daves_queue.client_version, self.confirmation_key, bytes(24), sealed)
        self.deliver(self.pending_queue, _from_relay(client_msg_envelope.encode(whole)))

    def request(self, data: bytes) -> None:
        """The envelope of a contact request."""
        key = X25519PrivateKey(bytes(31) + b"\x41")
        secret = key.exchange(self.address_link.queues[0].dh_key)
        content = client_message.encode(ClientMessage(PHEmpty(), data))[: CONFIRMATION_PADDING - 2]
        sealed = cb_encrypt(secret, bytes(24), content, CONFIRMATION_PADDING)
        whole = ClientMsgEnvelope(4, key.public(), bytes(24), sealed)
        self.deliver(self.address_queue, _from_relay(client_msg_envelope.encode(whole)))

    def request_info(self, data: bytes) -> None:
        """The profile in a contact request."""
        link = format_link(a_request(invitation=True))
        self.request(wire.agent_envelope.encode(wire.InvitationEnvelope(7, link.encode(), data)))

    # -- receiving ----------------------------------------------------------------------------------------------------

    def deliver(self, queue: ReceiveQueue, content: bytes) -> None:
        """One message of the relay, received in a transaction that is not committed."""
        assert queue.dh_secret is not None
        msg_id = b"m" * 24
        sealed = cb_encrypt(queue.dh_secret, msg_id, content[: RCV_PADDING - 2], RCV_PADDING)
        self.count += 1
        refused: Exception | None = None
        try:
            with self.alice.database.transaction() as tx:
                changes = tx.total_changes
                tx.execute("SAVEPOINT input")
                try:
                    receiving.receive(tx, self.alice.context, RELAY, queue.rcv_id, msg_id, sealed)
                except (EnvelopeRefused, HeldBack) as error:  # acknowledged, or left: the transaction is rolled back
                    tx.execute("ROLLBACK TO input")
                    refused = error
                if tx.total_changes - changes > MOST_CHANGES:
                    raise Broken(f"{tx.total_changes - changes} rows changed for {len(content)} bytes")
                if self.bystander() != self.before:
                    raise Broken("another contact was touched")
                if self.count % _LOOKED_AT == 0 and refused is None:
                    self.look(tx)
                raise _Undo
        except _Undo:
            pass
        if refused is not None:
            raise refused

    def bystander(self) -> list[object]:
        """All rows of a contact whom nothing concerns."""
        rows: list[object] = []
        for table in _BYSTANDER:
            column = "id" if table == "connections" else "connection_id"
            found = self.alice.tx.execute(f"SELECT * FROM {table} WHERE {column} = ?", (self.carols,)).fetchall()
            rows += [tuple(row) for row in found]
        return rows

    def look(self, tx: sqlite3.Connection) -> None:
        """Everything that people would be shown now."""
        for contact in records.contacts(tx):
            for message in records.page(tx, contact.id, 2**62, 20, later=False):
                json.dumps(message_fields(message))
                message_line(message)
        for _, kind, payload in feed_rows.events_after(tx, self.seen):
            events.from_row(kind, payload)
        attention.of_profile(tx, NOW)


TEXT = b'{"v":"1-16","msgId":"b25l","event":"x.msg.new","params":{"content":{"text":"hello","type":"text"}}}'


def _from_relay(body: bytes) -> bytes:
    return encode_rcv_message(RcvMessage(int(NOW), True, body))


def numbered_start(chain: Chain) -> bytes:
    """The start of the next numbered message, correct."""
    whole = wire.agent_message.encode(wire.NumberedMessage(chain.last_id + 1, chain.last_hash, wire.Hello()))
    return whole[:-1]


def _with_header(sender: Ratchet, data: bytes, plaintext: bytes) -> bytes:
    """A ratchet message whose header says anything, sealed with the sender's own header key."""
    assert sender.sending is not None
    step = chain_step(sender.sending.chain_key)
    size = header_size(sender.version, sender.large_headers)
    tag, sealed = aead_encrypt(
        sender.sending.header_key, step.header_iv, sender.associated_data, pad(data[: size - 2], size)
    )
    header = encode_envelope(sender.version, step.header_iv, tag, sealed)
    key = MessageKey(step.message_key, step.body_iv, header, sender.associated_data, sender.version)
    return ratchet.encrypt_body(key, plaintext, wire.sizes(sender.large_headers).message)


@cache
def world() -> World:
    """One for each process, made when the first input comes."""
    shared = Path("/dev/shm")
    folder = tempfile.TemporaryDirectory(prefix="smpchat-fuzz-", dir=shared if shared.is_dir() else None)
    made = World(Path(folder.name))
    weakref.finalize(made, folder.cleanup)
    return made


@cache
def a_request(*, invitation: bool) -> InvitationLink | ContactLink:
    """A full link of somebody whom Alice does not know."""
    with tempfile.TemporaryDirectory() as folder:
        erin = Agent("erin", Path(folder), HashKEM("erin"))
        link = parse_link(erin.invite(INSTANT))
        erin.database.close()
    assert isinstance(link, InvitationLink)
    link = replace(link, reply_key=None)
    return link if invitation else ContactLink(link.agent_versions, link.queues)


# -- seeds ------------------------------------------------------------------------------------------------------------


@cache
def bodies() -> list[bytes]:
    """Chat bodies that apps have sent."""
    lines = (DATA / "app-bodies.jsonl").read_text(encoding="utf-8").splitlines()
    found = {json.loads(line)["raw"] for line in lines}
    return [TEXT, *sorted((text.encode() for text in found if text.startswith("{")), key=len)]


@cache
def group_bodies() -> list[bytes]:
    """Bodies that members of groups send, one of each event."""
    lines = (DATA / "group-events.jsonl").read_text(encoding="utf-8").splitlines()
    return [TEXT, *sorted((line.encode() for line in lines if line.startswith("{")), key=len)]


def messages() -> list[bytes]:
    """Agent messages of every kind, behind their number."""
    address = QueueAddress(RELAY, b"sender id")
    link = a_request(invitation=True)
    uri, key = link.queues[0], X25519PrivateKey(bytes(32)).public()
    own = world().queue
    own_address = QueueAddress(own.server, own.snd_id)
    found: list[wire.AMessage] = [
        wire.Hello(),
        wire.UserMessage(TEXT),
        wire.Receipts((wire.Receipt(2, bytes(32)), wire.Receipt(1, b""))),
        wire.QueueContinue(own_address),
        wire.QueueAdd(((uri, own_address), (uri, None))),
        wire.QueueAdd(((uri, address),)),
        wire.QueueKey(((uri.at(4), key),)),
        wire.QueueUse(((own_address, True), (address, True))),
        wire.QueueTest((address,)),
        wire.RatchetReady(5),
    ]
    return [wire.a_message.encode(message) for message in found]


def _agent_messages() -> list[bytes]:
    start = numbered_start(world().bobs_chain)
    return [start + message for message in messages()]


def _confirmations() -> list[bytes]:
    uri, info = a_request(invitation=True).queues[0].at(4), encode_profile(Named("dave"))
    key = Ed25519PrivateKey(bytes(32)).public()
    found: list[wire.AgentMessage] = [
        wire.ConnInfo(info),
        wire.ConnInfoReply((uri,), info),
        wire.ConnInfoSecured(key, (uri,), info),
    ]
    return [wire.agent_message.encode(message) for message in found]


def envelopes() -> list[bytes]:
    """Those of a message, and of keys for a new ratchet."""
    here = world()
    params = wire.agent_envelope.decode(here.confirmation.body)
    assert isinstance(params, wire.Confirmation) and params.e2e_params is not None
    message, info = here._encrypted(_agent_messages()[1]), wire.agent_message.encode(wire.RatchetInfo())
    return [
        wire.agent_envelope.encode(wire.MessageEnvelope(7, message)),
        wire.agent_envelope.encode(wire.RatchetKeyEnvelope(7, params.e2e_params, info)),
        here.confirmation.body,
    ]


def _headers() -> list[bytes]:
    sender = world().bobs_ratchet
    kem = None if sender.kem is None else sender.kem.params
    header = Header(sender.max_version, sender.own_public, sender.previous_sent, sender.sent, kem)
    other = replace(header, ratchet_key=X448PrivateKey(b"\x07" * 56).public(), previous_sent=sender.sent, index=3)
    return [encode_header(one, sender.version) for one in (header, replace(header, index=sender.sent + 40), other)]


def _requests() -> list[bytes]:
    link = format_link(a_request(invitation=True)).encode()
    return [wire.agent_envelope.encode(wire.InvitationEnvelope(7, link, info)) for info in _request_infos()]


def _request_infos() -> list[bytes]:
    made = [ContactRequest(Named("erin"), "cmVx"), ContactRequest(Named("erin"), None, "hello")]
    return [*map(encode_contact_request, made), *(body for body in bodies() if b"x.info" in body)][:12]


def _sent() -> list[bytes]:
    here = world()
    return [here._boxed(client_message.encode(ClientMessage(PHEmpty(), envelope))) for envelope in envelopes()]


def _in_box() -> list[bytes]:
    return [client_message.encode(ClientMessage(PHEmpty(), envelope)) for envelope in envelopes()]


def _batches() -> list[bytes]:
    chance = random.Random(1)
    return [b"\x1e".join(chance.choices(bodies(), k=count)) for count in (1, 2, 5, 40)]


def receivers() -> list[Target]:
    """One for each layer whose content is mutated."""

    def target(
        name: str, feed: Callable[[World, bytes], None], seeds: Callable[[], Sequence[bytes]], mutate: Mutate = BYTES
    ) -> Target:
        def run(data: bytes) -> None:
            feed(world(), data)

        return Target(f"receiver.{name}", run, (EnvelopeRefused, HeldBack), seeds, mutate, weight=2)

    return [
        target("relay", World.relay, lambda: [_from_relay(one) for one in _sent()] + [b"QUOTA " + bytes(8)]),
        target("body", World.body, _sent),
        target("box", World.inside_box, _in_box),
        target("envelope", World.agent_envelope, envelopes),
        target("ratchet", World.ratchet_message, lambda: [world()._encrypted(one) for one in _agent_messages()[:3]]),
        target("header", World.header, _headers),
        target("message", World.agent_message, _agent_messages),
        target("numbered", World.numbered, messages),
        target("chat", World.chat, bodies, JSON),
        target("compressed", World.compressed, bodies, JSON),
        target("compressed-frame", World.chat, lambda: [compress_body(one) for one in bodies()[:20]]),
        target("batch", World.batch, _batches),
        target("confirmation", World.confirm, lambda: [world().confirmation.body]),
        target("confirmation-info", World.confirm_info, _confirmations),
        target("confirmation-profile", _profile_confirmed, bodies, JSON),
        target("request", World.request, _requests),
        target("request-info", World.request_info, _request_infos, JSON),
    ]


def _profile_confirmed(here: World, data: bytes) -> None:
    queues = (a_request(invitation=True).queues[0].at(4),)
    here.confirm_info(wire.agent_message.encode(wire.ConnInfoReply(queues, data)))
