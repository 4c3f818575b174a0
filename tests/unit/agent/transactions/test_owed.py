"""What waits for a contact who does not read, and what a contact can have us answer: each has a number."""

from __future__ import annotations

from pathlib import Path

import pytest

from smpchat.agent.errors import HeldBack, TooManyWait
from smpchat.agent.store import allowances, outgoing, owed
from smpchat.agent.store.allowances import DAY, HOUR, Allowance, Use
from smpchat.agent.store.outgoing import Kind
from smpchat.agent.transactions import connection, moving, receiving, rotation
from smpchat.agent.wire.envelope import QueueKey, QueueUse, UserMessage
from smpchat.agent.wire.queue import QueueAddress, QueueInfo
from smpchat.crypto.keys import Ed25519PrivateKey, X25519PrivateKey
from smpchat.encoding.record import replace
from smpchat.protocol.queue_mode import QueueMode
from smpchat.testing.entropy import SeededEntropy
from tests.unit.agent.agents import RELAY, Agent, connected
from tests.unit.agent.transactions.test_rotation import NEW_RELAY, Mover

SEALED = 16_043
"""Bytes."""


def write(agent: Agent, reference: int | None = None) -> None:
    """A text that no relay takes for now."""
    message = UserMessage(b"text")
    agent.do(lambda tx, context: connection.submit(tx, context, agent.id, message, reference=reference))


def texts(sender: Agent, count: int) -> list[bytes]:
    """Bodies of texts, as the relay gets them."""
    for _ in range(count):
        write(sender)
    return sender.carry_out()


def waiting(agent: Agent) -> list[int]:
    """Sizes of what is sealed and not sent."""
    return [len(item.body) for item in outgoing.numbered(agent.tx, agent.id)]


def receipts(agent: Agent) -> int:
    """How many wait, which are sealed when their turn comes."""
    query = "SELECT count(*) FROM outbox WHERE connection_id = ? AND kind = ?"
    return int(agent.tx.execute(query, (agent.id, Kind.RECEIPT)).fetchone()[0])


RECEIPT = 43
"""Bytes."""


@pytest.mark.parametrize(
    ("brings", "limit", "value"),
    [
        ("texts", "MAX_OWN", 3),
        ("texts", "MAX_OWN_BYTES", 3 * RECEIPT),
        ("markers", "MAX_OWN", 3),
        ("markers", "MAX_OWN_BYTES", 3 * SEALED),
    ],
)
def test_a_contact_that_does_not_read_gets_no_more_than_so_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, brings: str, limit: str, value: int
) -> None:
    """Neither its texts, each of which asks for a receipt, nor markers that the relay makes fill our disk."""
    monkeypatch.setattr(owed, limit, value)
    alice, bob = connected(tmp_path)
    bodies = texts(bob, 5) if brings == "texts" else [None] * 5
    write(alice, 7)
    for body in bodies:
        alice.receive(body)
    assert (receipts(alice), len(waiting(alice))) == ((3, 1) if brings == "texts" else (0, 3 + 1))
    assert len(alice.messages) == (5 if brings == "texts" else 0)
    alice.carry_out()
    alice.receive(None)
    assert len(alice.carry_out()) == 1, "there is room again"


@pytest.mark.parametrize(("limit", "value"), [("MAX_TEXTS", 3), ("MAX_TEXTS_BYTES", 3 * SEALED)])
def test_the_users_texts_wait_up_to_a_number_and_then_get_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    monkeypatch.setattr(owed, limit, value)
    alice, bob = connected(tmp_path)
    for body in texts(bob, 3):
        alice.receive(body)  # receipts do not count
    for reference in range(1, 4):
        write(alice, reference)
    with pytest.raises(TooManyWait, match="already waiting"):
        write(alice, 4)
    assert (len(waiting(alice)), receipts(alice)) == (3, 3)
    alice.carry_out()
    write(alice, 4)


def test_the_numbers_in_bytes_are_those_of_sealed_messages() -> None:
    assert owed.MAX_OWN * SEALED <= owed.MAX_OWN_BYTES and owed.MAX_TEXTS * SEALED <= owed.MAX_TEXTS_BYTES


def test_what_is_kept_beside_a_sealed_message_counts_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A text of 10 kB takes 16 kB sealed, and 10 more."""
    long = UserMessage(bytes(10_000))
    alice, _ = connected(tmp_path)
    monkeypatch.setattr(owed, "MAX_TEXTS_BYTES", 3 * SEALED)
    for reference in range(1, 3):
        alice.do(lambda tx, context: connection.submit(tx, context, alice.id, long, reference=reference))  # noqa: B023
    with pytest.raises(TooManyWait):
        write(alice, 3)
    assert sum(len(row["body"]) + len(row["message"]) for row in alice.tx.execute("SELECT * FROM outbox")) > 3 * SEALED


def test_of_a_contact_that_sends_no_receipts_so_many_are_expected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outgoing, "KEPT_UNCONFIRMED", 3)
    alice, _ = connected(tmp_path)
    for reference in range(1, 7):
        write(alice, reference)
        alice.carry_out()
    assert [row["reference"] for row in alice.tx.execute("SELECT reference FROM sent_messages")] == [4, 5, 6]


def test_so_many_messages_are_taken_in_a_day_and_the_others_stay_at_the_relay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiving, "MESSAGES", replace(receiving.MESSAGES, most=3))
    alice, bob = connected(tmp_path)
    bodies = texts(bob, 4)
    for body in bodies[:3]:
        alice.receive(body)
    for _ in range(3):  # as often as the relay brings it
        with pytest.raises(HeldBack):
            alice.receive(bodies[3])
    assert len(alice.messages) == 3
    alice.now += DAY + 1
    alice.receive(bodies[3])
    assert len(alice.messages) == 4


# -- moves ------------------------------------------------------------------------------------------------------------


def test_so_many_moves_are_followed_in_an_hour_and_the_next_is_told(tmp_path: Path) -> None:
    mover = Mover(tmp_path)
    for number in range(rotation.MOVES.most + 5):
        mover.add(b"%d" % number)
        mover.alice.carry_out()
    assert mover.alice.notices == [rotation.TOO_MANY]
    mover.alice.now += HOUR + 1
    mover.add(b"later")
    assert [item.kind for item in mover.alice.next()] == [Kind.REACH]


def test_a_queue_is_tested_so_often_in_an_hour(tmp_path: Path) -> None:
    mover = Mover(tmp_path)
    address = QueueAddress(mover.send_queue.server, mover.send_queue.snd_id)
    for _ in range(rotation.SWITCHES.most + 5):
        mover.bob_says(QueueUse(((address, True),)))
    assert len(waiting(mover.alice)) == rotation.SWITCHES.most


def test_a_move_is_made_although_receipts_wait_for_the_old_relay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owed, "MAX_OWN", 2)
    monkeypatch.setattr(owed, "MAX_ANSWERS", 1)
    mover = Mover(tmp_path)
    for body in texts(mover.bob, 3):
        mover.alice.receive(body)
    mover.add()
    mover.alice.carry_out()
    for body in texts(mover.bob, 3):
        mover.alice.receive(body)
    mover.use()
    assert mover.send_queue.server == NEW_RELAY
    assert len(waiting(mover.alice)) == 2 + 1
    mover.add(b"another")  # what waits for a relay that takes nothing must not grow with it
    assert len(waiting(mover.alice)) == 2 + 1


def test_keys_that_cannot_be_used_are_told_so_often(tmp_path: Path) -> None:
    alice, bob = connected(tmp_path)
    alice.do(lambda tx, context: moving.begin(tx, context, alice.id))
    alice.carry_out()
    new = alice.tx.execute("SELECT snd_id FROM other_receive_queues").fetchone()
    assert new is not None
    dh_key = X25519PrivateKey.generate(SeededEntropy("a")).public()
    info = QueueInfo(99, RELAY, new["snd_id"], dh_key, QueueMode.MESSAGING)
    key = QueueKey(((info, Ed25519PrivateKey.generate(SeededEntropy("b")).public()),))
    for _ in range(moving.REFUSALS.most + 5):
        bob.do(lambda tx, context: connection.submit(tx, context, bob.id, key))
    for body in bob.carry_out():
        alice.receive(body)
    assert len(alice.notices) == moving.REFUSALS.most


# -- allowances -------------------------------------------------------------------------------------------------------


def test_an_allowance_is_for_one_contact_and_one_thing_and_comes_back(tmp_path: Path) -> None:
    alice, _ = connected(tmp_path)
    twice, other = Allowance("this", 2, 60.0), Allowance("that", 2, 60.0)

    def use(allowance: Allowance, now: float) -> Use:
        return allowances.use(alice.tx, alice.id, allowance, now)

    expected = [Use.ALLOWED, Use.ALLOWED, Use.FIRST_TOO_MANY, Use.TOO_MANY]
    assert [use(twice, 1_000.0 + second) for second in range(4)] == expected
    assert use(other, 1_003.0) is Use.ALLOWED
    assert use(twice, 1_061.0) is Use.ALLOWED
    assert [use(twice, 1_062.0 + second) for second in range(3)] == expected[1:]
    assert use(twice, 1_000.0) is Use.ALLOWED, "a clock that was set back locks nobody out"
