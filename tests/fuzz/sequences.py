"""Targets of several messages: what one leaves behind is what the next one meets.

An input is a short story of Bob and Alice: texts, what only a changed program would send inside the right boxes and
ratchets, copies, messages that come late or never, answers that turn the ratchets, new keys and what Alice decides of
them. It is played in transactions that are rolled back at both ends, with the same randomness each time, so that its
bytes alone tell it again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from smpchat.agent.context import Context
from smpchat.agent.errors import AgentError, EnvelopeRefused, HeldBack, UnexpectedEvent
from smpchat.agent.store import connections, outgoing, ratchets
from smpchat.agent.store.connections import ReceiveQueue
from smpchat.agent.store.outgoing import Kind, Lane
from smpchat.agent.transactions import connection, outbox, receiving, sealing, sending
from smpchat.agent.wire import envelope as wire
from smpchat.crypto import ratchet
from smpchat.crypto.agreement import X3DHKeys
from smpchat.crypto.box import cb_encrypt
from smpchat.encoding.record import replace
from smpchat.protocol.commands import Send
from smpchat.protocol.messages import RCV_PADDING, QuotaMarker, RcvMessage, encode_rcv_message
from smpchat.testing.entropy import SeededEntropy
from smpchat.testing.kem import HashKEM
from tests.fuzz import receiver
from tests.fuzz.mutate import Mutator
from tests.fuzz.receiver import Broken, World, world
from tests.fuzz.target import Target
from tests.unit.agent.agents import NOW, RELAY, Agent

MOST_STEPS = 6
_PIPELINE = 20
_LAST = b'{"v":"1-16","msgId":"bGFzdA==","event":"x.msg.new","params":{"content":{"text":"the last","type":"text"}}}'
REFUSED = (EnvelopeRefused, HeldBack)


class _Undo(Exception):
    pass


class Story:
    """Bob and Alice while an input is played."""

    def __init__(self, here: World, alice: sqlite3.Connection, bob: sqlite3.Connection) -> None:
        self.here, self.alice, self.bob = here, alice, bob
        self.alices = replace(here.alice.context, entropy=SeededEntropy("alice in a story"))
        self.bobs = replace(here.bob.context, entropy=SeededEntropy("bob in a story"))
        self.sent: list[bytes] = []
        self.late: list[bytes] = []
        self.holds = False
        self.new_keys = False
        self.numbers = 0

    # -- what can happen ----------------------------------------------------------------------------------------------

    def text(self, data: bytes) -> None:
        """A message as Bob's own program sends it."""
        with _user():
            sending.submit(self.bob, self.bobs, self.here.bob.id, wire.UserMessage(data[:10_000]), reference=None)
        self._from_bob(self._carry_out(self.here.bob, self.bob, self.bobs, self.here.bob.id))

    def numbered(self, data: bytes) -> None:
        """An agent message of any kind, with the next number."""
        chain = connections.load(self.bob, self.here.bob.id).sent
        self.agent_message(receiver.numbered_start(chain) + data)

    def agent_message(self, data: bytes) -> None:
        """What the ratchet's message says."""
        before = ratchets.load(self.bob, self.here.bob.id)
        if before.sending is None:
            return
        length = wire.sizes(before.large_headers).message
        after, sealed = ratchet.encrypt(before, data[: length - 2], length)
        ratchets.save(self.bob, self.here.bob.id, after)
        self.envelope(wire.agent_envelope.encode(wire.MessageEnvelope(7, sealed)))

    def envelope(self, data: bytes) -> None:
        """The agent envelope."""
        self._from_bob([self.here.boxed_envelope(data)])

    def keys(self, data: bytes) -> None:
        """New keys for a ratchet: of Bob's, or of who stole the queues' secrets."""
        self.new_keys = True
        made = X3DHKeys.generate(SeededEntropy(f"keys {data[:4].hex()}"))
        version = 2 + (data[5:6] < b"\x80")
        kem = ratchet.KEMState.propose(HashKEM("story")) if version > 2 and data[4:5] < b"\x80" else None
        params = made.params(version, kem.params if kem else None)
        queue = connections.send_queue(self.bob, self.here.bob.id)
        assert queue is not None
        envelope = wire.RatchetKeyEnvelope(7, params, wire.agent_message.encode(wire.RatchetInfo()))
        self._from_bob([sealing.seal_envelope(self.bobs.entropy, queue, envelope)])

    def resync(self, data: bytes) -> None:
        """Somebody renews the encryption by hand."""
        self.new_keys = True
        with _user():
            if data[:1] < b"\x80":
                connection.resync(self.alice, self.alices, self.here.bobs)
            else:
                connection.resync(self.bob, self.bobs, self.here.bob.id)
        self._exchange()

    def refuse(self, data: bytes) -> None:
        """Alice wants none of the keys, or writes all the same."""
        with _user():
            decide = connection.refuse_keys if data[:1] < b"\x80" else connection.overrule_keys
            decide(self.alice, self.alices, self.here.bobs)
        self._exchange()

    def again(self, data: bytes) -> None:
        """The relay brings an earlier message once more."""
        if self.sent:
            self._to_alice(self.sent[(data or b"\0")[0] % len(self.sent)])

    def hold(self, data: bytes) -> None:
        """What follows comes late."""
        self.holds = not self.holds

    def release(self, data: bytes) -> None:
        """One of the late ones comes."""
        if self.late:
            self._to_alice(self.late.pop((data or b"\0")[0] % len(self.late)))

    def answer(self, data: bytes) -> None:
        """Alice writes, and Bob reads it: the ratchets turn."""
        with _user():
            message = wire.UserMessage(receiver.TEXT)
            sending.submit(self.alice, self.alices, self.here.bobs, message, reference=None)
        self._exchange()

    def marker(self, data: bytes) -> None:
        """Her relay says that the queue was full."""
        queue = self.here.queue
        self._receive(queue, encode_rcv_message(QuotaMarker(int(NOW))))

    def relay(self, data: bytes) -> None:
        """Her relay says anything."""
        self._receive(self.here.queue, data)

    # -- how it goes on its way ---------------------------------------------------------------------------------------

    def _from_bob(self, bodies: list[bytes]) -> None:
        self.sent += bodies
        if self.holds:
            self.late += bodies
            return
        for body in bodies:
            self._to_alice(body)

    def _exchange(self) -> None:
        """What both have to say; it ends, or somebody answers for ever."""
        for _ in range(12):
            out = self._carry_out(self.here.alice, self.alice, self.alices, self.here.bobs)
            for body in out:
                self._to_bob(body)
            back = self._carry_out(self.here.bob, self.bob, self.bobs, self.here.bob.id)
            self._from_bob(back)
            if not out and not back:
                return
        raise Broken("they answer each other for ever")

    @staticmethod
    def _carry_out(agent: Agent, tx: sqlite3.Connection, context: Context, connection_id: int) -> list[bytes]:
        """Everything that is to be sent to the other, as a relay takes it."""
        sent: list[bytes] = []
        while items := outgoing.head(tx, connection_id, Lane.SEND, _PIPELINE, agent.now):
            for item in items:
                if item.kind is Kind.RECEIPT:
                    sending.seal_receipt(tx, context, item)
                    continue
                request = outbox.request(tx, item)
                outbox.accepted(tx, context, item, request.entity_id)
                if isinstance(request.command, Send):
                    sent.append(request.command.body)
        return sent

    def _to_alice(self, body: bytes) -> None:
        self._receive(self.here.queue, encode_rcv_message(RcvMessage(int(NOW), True, body)))

    def _receive(self, queue: ReceiveQueue, content: bytes) -> None:
        """One message of the relay; what is refused changes nothing, as in the program."""
        assert queue.dh_secret is not None
        self.numbers += 1
        msg_id = self.numbers.to_bytes(24, "big")
        sealed = cb_encrypt(queue.dh_secret, msg_id, content[: RCV_PADDING - 2], RCV_PADDING)
        changes = self.alice.total_changes
        self.alice.execute("SAVEPOINT message")
        try:
            receiving.receive(self.alice, self.alices, RELAY, queue.rcv_id, msg_id, sealed)
        except REFUSED:
            self.alice.execute("ROLLBACK TO message")
        self.alice.execute("RELEASE message")
        if self.alice.total_changes - changes > receiver.MOST_CHANGES:
            raise Broken(f"{self.alice.total_changes - changes} rows changed for one message")

    def _to_bob(self, body: bytes) -> None:
        queue = self.here.bob.queue
        assert queue.dh_secret is not None
        self.numbers += 1
        msg_id = self.numbers.to_bytes(24, "big")
        content = encode_rcv_message(RcvMessage(int(NOW), True, body))
        sealed = cb_encrypt(queue.dh_secret, msg_id, content, RCV_PADDING)
        self.bob.execute("SAVEPOINT message")
        try:
            receiving.receive(self.bob, self.bobs, RELAY, queue.rcv_id, msg_id, sealed)
        except REFUSED:
            self.bob.execute("ROLLBACK TO message")
        self.bob.execute("RELEASE message")

    # -- what must hold at the end ------------------------------------------------------------------------------------

    def end(self) -> None:
        """Where nobody touched the keys, the next honest text arrives, whatever came before it."""
        if not self.new_keys:
            self.holds = False
            before = self._count()
            self.text(_LAST)
            if self._count() != before + 1:
                raise Broken("an honest text does not arrive any more")
        if self.here.bystander() != self.here.before:
            raise Broken("another contact was touched")
        self.here.look(self.alice)

    def _count(self) -> int:
        query = "SELECT count(*) FROM messages WHERE text = 'the last' AND direction = 'received'"
        return int(self.alice.execute(query).fetchone()[0])


@contextmanager
def _user() -> Iterator[None]:
    """What a person asks for may be refused with a sentence."""
    try:
        yield
    except (AgentError, UnexpectedEvent):
        pass


STEPS: tuple[Callable[[Story, bytes], None], ...] = (
    Story.text,
    Story.numbered,
    Story.agent_message,
    Story.envelope,
    Story.keys,
    Story.resync,
    Story.refuse,
    Story.again,
    Story.hold,
    Story.release,
    Story.answer,
    Story.marker,
    Story.relay,
)


def play(data: bytes) -> None:
    """One story, at the end of which nothing has changed."""
    here = world()
    try:
        with here.alice.database.transaction() as alice, here.bob.database.transaction() as bob:
            story = Story(here, alice, bob)
            for kind, content in steps_of(data):
                STEPS[kind](story, content)
            story.end()
            raise _Undo
    except _Undo:
        pass


# -- bytes of a story -------------------------------------------------------------------------------------------------


def steps_of(data: bytes) -> list[tuple[int, bytes]]:
    """Any bytes tell a story: kind, length in two bytes, content, and so on."""
    steps: list[tuple[int, bytes]] = []
    while data and len(steps) < MOST_STEPS:
        length = int.from_bytes(data[1:3], "big")
        steps.append((data[0] % len(STEPS), data[3 : 3 + length]))
        data = data[3 + length :]
    return steps


def bytes_of(steps: Sequence[tuple[int, bytes]]) -> bytes:
    """The other way round."""
    return b"".join(
        bytes([kind]) + min(len(content), 65_535).to_bytes(2, "big") + content[:65_535] for kind, content in steps
    )


def mutate(mutator: Mutator, seed: bytes, others: Sequence[bytes]) -> bytes:
    """Steps changed, repeated, exchanged, left out, or taken from another story; now and then the bytes themselves."""
    chance = mutator.chance
    if chance.random() < 0.05:
        return mutator.data(seed, others)
    steps = steps_of(seed)
    for _ in range(1 + chance.randrange(4)):
        at = chance.randrange(len(steps) + 1)
        other = steps_of(chance.choice(others))
        match chance.randrange(6):
            case 0 if len(steps) > 1:
                del steps[at % len(steps)]
            case 1 if steps:
                steps.insert(at, steps[chance.randrange(len(steps))])
            case 2 if steps:
                there = chance.randrange(len(steps))
                steps[at % len(steps)], steps[there] = steps[there], steps[at % len(steps)]
            case 3 if other:
                steps.insert(at, chance.choice(other))
            case 4:
                steps.insert(at, (chance.randrange(len(STEPS)), chance.randbytes(8)))
            case _ if steps:
                kind, content = steps[at % len(steps)]
                change = mutator.json if kind == 0 else mutator.data
                steps[at % len(steps)] = (kind, change(content, [content or b"x"]))
    return bytes_of(steps[-MOST_STEPS:])


def seeds() -> list[bytes]:
    """Stories as they are told every day, and some of those that the program has to bear."""
    kinds = {step.__name__: number for number, step in enumerate(STEPS)}

    def story(*steps: tuple[str, bytes]) -> bytes:
        return bytes_of([(kinds[name], content) for name, content in steps])

    bodies = receiver.bodies()
    agent = receiver.messages()
    found = [story(("text", body), ("answer", b""), ("text", body)) for body in bodies[:: max(1, len(bodies) // 12)]]
    found += [story(("numbered", message), ("text", receiver.TEXT), ("numbered", message)) for message in agent]
    found += [
        story(
            ("hold", b""), ("text", receiver.TEXT), ("hold", b""), ("answer", b""), ("text", _LAST), ("release", b"")
        ),
        story(("text", receiver.TEXT), ("again", b"\0"), ("answer", b""), ("again", b"\0"), ("marker", b"")),
        story(("keys", b"1234\0\xff"), ("text", receiver.TEXT), ("resync", b"\0"), ("text", _LAST)),
        story(("keys", b"1234\xff\0"), ("refuse", b"\0"), ("text", receiver.TEXT), ("keys", b"5678\0\0")),
        story(("resync", b"\xff"), ("resync", b"\0"), ("answer", b""), ("text", _LAST), ("again", b"\0")),
        story(("resync", b"\0"), ("keys", b"1234\0\0"), ("answer", b""), ("refuse", b"\xff"), ("answer", b"")),
        # Not the first, which spends the key of Bob's next message: of him and a copy of him one loses a text.
        story(*(("envelope", envelope) for envelope in receiver.envelopes()[1:]), ("text", _LAST)),
    ]
    return found


def sequences() -> list[Target]:
    """Stories, and nothing may leave them: what is refused is refused inside."""
    return [Target("receiver.sequence", play, (), seeds, mutate, weight=8)]
