"""The peer's queue moves, step by step: what is kept at each, and what cannot be followed."""

from __future__ import annotations

from pathlib import Path

import pytest

from smpchat.agent.store import outgoing, ratchets, rotations
from smpchat.agent.store.connections import SendQueue
from smpchat.agent.store.outgoing import Kind, Lane
from smpchat.agent.store.rotations import Stage
from smpchat.agent.transactions import connection, outbox, rotation
from smpchat.agent.transactions.outbox import Verdict
from smpchat.agent.transactions.sending import required_send_queue
from smpchat.agent.wire.envelope import (
    AMessage,
    MessageEnvelope,
    NumberedMessage,
    QueueAdd,
    QueueKey,
    QueueTest,
    QueueUse,
    UserMessage,
    agent_envelope,
    agent_message,
)
from smpchat.agent.wire.queue import QueueAddress, QueueURI
from smpchat.crypto import ratchet
from smpchat.crypto.keys import X25519PrivateKey
from smpchat.encoding.record import replace
from smpchat.protocol.address import SMPServer
from smpchat.protocol.envelope import client_msg_envelope, open_client_message
from smpchat.protocol.errors import ErrorCode
from smpchat.protocol.queue_mode import QueueMode
from smpchat.protocol.version import VersionRange
from smpchat.testing.entropy import SeededEntropy
from tests.unit.agent.agents import RELAY, Agent, connected

NEW_RELAY = SMPServer(("new.test", "new.onion"), "443", bytes(32))
NEW_KEY = X25519PrivateKey.generate(SeededEntropy("new queue"))


class Mover:
    """Bob, whose queue moves, and Alice, who follows."""

    def __init__(self, tmp_path: Path) -> None:
        self.alice, self.bob = connected(tmp_path)
        self.old = QueueAddress(RELAY, self.bob.queue.snd_id)
        self.new = QueueAddress(NEW_RELAY, b"new id")

    def bob_says(self, message: AMessage) -> None:
        self.bob.do(lambda tx, context: connection.submit(tx, context, self.bob.id, message))
        for body in self.bob.carry_out():
            self.alice.receive(body)

    def add(self, sender_id: bytes = b"new id") -> None:
        uri = QueueURI(VersionRange(1, 4), NEW_RELAY, sender_id, NEW_KEY.public(), QueueMode.MESSAGING)
        self.bob_says(QueueAdd(((uri, self.old),)))

    def use(self) -> None:
        self.bob_says(QueueUse(((self.new, True),)))

    @property
    def send_queue(self) -> SendQueue:
        return required_send_queue(self.alice.tx, self.alice.id)

    def stage(self) -> Stage | None:
        found = rotations.load(self.alice.tx, self.alice.id)
        return found.stage if found else None

    def read(self, body: bytes, secret: bytes) -> AMessage:
        """What Bob's ratchet makes of a body."""
        inner = agent_envelope.decode(open_client_message(secret, client_msg_envelope.decode(body)).body)
        assert isinstance(inner, MessageEnvelope)
        before = ratchets.load(self.bob.tx, self.bob.id)
        skipped = ratchets.load_skipped(self.bob.tx, self.bob.id)
        opened = ratchet.decrypt(before, skipped, inner.ratchet_message, SeededEntropy("reading"))
        message = agent_message.decode(opened.plaintext)
        assert isinstance(message, NumberedMessage)
        return message.message


def text(mover: Mover, reference: int) -> None:
    agent = mover.alice
    message = UserMessage(b"%d" % reference)
    agent.do(lambda tx, context: connection.submit(tx, context, agent.id, message, reference=reference))


def test_the_whole_move(tmp_path: Path) -> None:
    mover = Mover(tmp_path)
    old = mover.send_queue
    mover.add()
    assert mover.stage() is Stage.REACHING and mover.send_queue == old
    [reach] = mover.alice.next()
    assert (reach.lane, reach.kind) == (Lane.ROTATE, Kind.REACH)
    assert outbox.target(mover.alice.tx, reach) == NEW_RELAY
    [body] = mover.alice.carry_out()
    assert mover.stage() is Stage.KEYED and mover.send_queue == old
    answer = mover.read(body, old.e2e_secret)
    assert isinstance(answer, QueueKey)
    [(info, auth_key)] = answer.queues
    assert (info.server, info.sender_id, info.version, info.mode) == (NEW_RELAY, b"new id", 4, QueueMode.MESSAGING)
    text(mover, 1)
    mover.use()
    assert mover.stage() is Stage.TESTING
    assert (mover.send_queue.server, mover.send_queue.snd_id) == (NEW_RELAY, b"new id")
    assert mover.send_queue.auth_key.public() == auth_key
    secret = NEW_KEY.exchange(info.dh_key)
    first, last = mover.alice.carry_out()
    assert mover.read(first, secret) == UserMessage(b"1"), "what was not sent goes first, to the new queue"
    assert mover.read(last, secret) == QueueTest((mover.new,))
    assert mover.stage() is None
    assert mover.alice.notices == ["{alias} now receives at the relay new.test."]
    assert mover.alice.application.all("sent") == [1]


def test_nothing_follows_our_keys_into_the_old_queue(tmp_path: Path) -> None:
    """The peer would drop it with the old queue, at the first message in the new one."""
    mover = Mover(tmp_path)
    mover.add()
    mover.alice.carry_out()
    text(mover, 1)
    text(mover, 2)
    assert mover.alice.next() == []
    mover.alice.now += 1
    mover.use()
    assert [outbox.target(mover.alice.tx, item) for item in mover.alice.next()] == [NEW_RELAY]
    assert len(mover.alice.carry_out()) == 3 and mover.alice.application.all("sent") == [1, 2]


def test_a_peer_that_does_not_answer_delays_texts_only_so_long(tmp_path: Path) -> None:
    mover = Mover(tmp_path)
    mover.add()
    mover.alice.carry_out()
    text(mover, 1)
    mover.alice.now += rotation.ANSWER_TIME
    text(mover, 2)
    mover.alice.carry_out()
    assert mover.alice.application.all("sent") == [1, 2] and mover.stage() is Stage.KEYED


def test_what_went_to_the_old_queue_is_fetched_before_the_new_one_is_used(tmp_path: Path) -> None:
    mover = Mover(tmp_path)
    mover.add()
    mover.alice.carry_out()
    mover.alice.now += rotation.ANSWER_TIME
    text(mover, 1)
    mover.alice.carry_out()
    mover.use()
    text(mover, 2)
    assert mover.stage() is Stage.TESTING and mover.alice.next() == []
    again = Agent("alice", tmp_path)
    again.id, again.now = mover.alice.id, mover.alice.now + rotation.DRAIN_TIME
    assert len(again.carry_out()) == 2
    assert again.application.all("sent") == [2] and rotations.load(again.tx, again.id) is None


def test_a_replaced_move_holds_nothing_back(tmp_path: Path) -> None:
    mover = Mover(tmp_path)
    mover.add()
    mover.alice.carry_out()
    text(mover, 1)
    mover.add(b"second")
    assert mover.stage() is Stage.REACHING
    assert {item.kind for item in mover.alice.next()} == {Kind.REACH, Kind.MESSAGE}


def test_a_later_offer_replaces_an_earlier_one(tmp_path: Path) -> None:
    mover = Mover(tmp_path)
    mover.add(b"first")
    mover.add(b"new id")
    assert [item.kind for item in mover.alice.next()] == [Kind.REACH]
    mover.alice.carry_out()
    mover.bob_says(QueueUse(((QueueAddress(NEW_RELAY, b"first"), True),)))
    assert mover.stage() is Stage.KEYED
    assert len(mover.alice.notices) == 1 and "not agreed on" in mover.alice.notices[0]
    mover.use()
    assert mover.send_queue.snd_id == b"new id"


def test_use_of_the_queue_in_use_is_only_tested_again(tmp_path: Path) -> None:
    mover = Mover(tmp_path)
    old = mover.send_queue
    mover.bob_says(QueueUse(((mover.old, True),)))
    [body] = mover.alice.carry_out()
    assert mover.read(body, old.e2e_secret) == QueueTest((mover.old,))
    assert mover.alice.notices == [] and mover.send_queue == old


def test_a_new_queue_that_refuses_gives_everything_back(tmp_path: Path) -> None:
    mover = Mover(tmp_path)
    old = mover.send_queue
    mover.add()
    [body] = mover.alice.carry_out()
    mover.bob.receive(body)
    text(mover, 1)
    mover.use()
    assert mover.alice.refuse() is Verdict.MOVED
    assert mover.send_queue == old and mover.stage() is None
    assert "new.test does not accept our messages" in mover.alice.notices[0]
    for body in mover.alice.carry_out():
        mover.bob.receive(body)
    assert [what[0] for what in mover.bob.messages if isinstance(what, tuple)] == [b"1"]
    assert mover.alice.application.all("failed") == []


def test_the_answer_to_what_left_before_the_move(tmp_path: Path) -> None:
    """It was sent to the old queue: its OK proves nothing about the new one, its AUTH does not fail the message."""
    mover = Mover(tmp_path)
    mover.add()
    mover.alice.carry_out()
    text(mover, 1)
    text(mover, 2)
    first, second = outgoing.numbered(mover.alice.tx, mover.alice.id)
    old_id = mover.send_queue.snd_id
    mover.use()
    mover.alice.do(lambda tx, context: outbox.accepted(tx, context, first, old_id))
    assert mover.stage() is Stage.TESTING, "the old queue is kept"
    with mover.alice.database.transaction() as tx:
        assert outbox.refused(tx, mover.alice.context, second, ErrorCode.AUTH, old_id) is Verdict.MOVED
    assert mover.stage() is Stage.TESTING
    mover.alice.carry_out()
    assert mover.alice.application.all("sent") == [1, 2] and mover.stage() is None


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({}, True),
        ({"key_hash": b"another fingerprint"}, True),
        ({"port": "5223"}, False),
        ({"hosts": ("relay.test", "relay.onion")}, False),
    ],
)
def test_addresses_are_compared_letter_by_letter(tmp_path: Path, change: dict[str, object], same: bool) -> None:
    mover = Mover(tmp_path)
    queue = mover.send_queue
    server = replace(queue.server, **change)  # type: ignore[arg-type]
    assert rotation.same_address(QueueAddress(server, queue.snd_id), queue) is same
    assert not rotation.same_address(QueueAddress(server, b"other id"), queue)


def test_a_move_survives_a_restart(tmp_path: Path) -> None:
    mover = Mover(tmp_path)
    mover.add()
    before = rotations.load(mover.alice.tx, mover.alice.id)
    again = Agent("alice", tmp_path)
    again.id = mover.alice.id
    assert rotations.load(again.tx, again.id) == before
    assert [item.kind for item in again.next()] == [Kind.REACH]
    again.carry_out()
    assert (found := rotations.load(again.tx, again.id)) is not None and found.stage is Stage.KEYED


def test_nothing_is_left_behind_by_a_deleted_connection(tmp_path: Path) -> None:
    mover = Mover(tmp_path)
    mover.add()
    mover.alice.do(lambda tx, context: connection.delete(tx, context, mover.alice.id))
    mover.alice.carry_out()
    assert rotations.load(mover.alice.tx, mover.alice.id) is None
