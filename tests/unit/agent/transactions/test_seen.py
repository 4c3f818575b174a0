"""Copies of messages that were opened: how many are remembered, and that nobody notices what is forgotten."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from smpchat.agent.machines.resync import Notice
from smpchat.agent.store import ratchets
from smpchat.agent.store.database import Database
from smpchat.agent.store.ratchets import KEPT_SEEN
from smpchat.agent.store.schema import AGENT_MIGRATIONS
from smpchat.agent.transactions import connection, outbox
from smpchat.agent.transactions.renegotiation import NOTICES
from smpchat.agent.transactions.renegotiation import at as dated
from smpchat.agent.wire.envelope import UserMessage
from tests.unit.agent.agents import NOW, Agent, connected

HOUR = 3600


def write(sender: Agent, text: str) -> bytes:
    sender.do(lambda tx, context: connection.submit(tx, context, sender.id, UserMessage(text.encode())))
    [body] = sender.carry_out()
    return body


def turn(reader: Agent, sender: Agent) -> None:
    """The reader answers, so that what the sender writes next is of a new chain."""
    sender.receive(write(reader, "answer"))


def remembered(agent: Agent) -> list[int]:
    rows = agent.tx.execute("SELECT number FROM seen_messages WHERE connection_id = ? ORDER BY number", (agent.id,))
    return [row["number"] for row in rows]


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Agent, Agent]:
    """Alice remembers three messages, and her receipts would only be in the way."""
    monkeypatch.setattr(ratchets, "KEPT_SEEN", 3)
    alice, bob = connected(tmp_path)
    alice.application.receipts = bob.application.receipts = False
    return alice, bob


def test_as_many_as_are_kept_and_no_more(pair: tuple[Agent, Agent]) -> None:
    alice, bob = pair
    before = remembered(alice)
    bodies = [write(bob, str(number)) for number in range(5)]
    for body in bodies:
        alice.receive(body)
    last = before[-1] + 5
    assert remembered(alice) == [last - 2, last - 1, last]
    for body in bodies[-3:]:
        alice.receive(body)
    assert remembered(alice) == [last - 2, last - 1, last]
    assert len(alice.messages) == 5
    assert alice.notices == []


def test_all_that_a_sender_or_a_moved_queue_may_repeat_is_kept() -> None:
    assert KEPT_SEEN // 2 > 128 + 2 * outbox.PIPELINE


@pytest.mark.parametrize("turns", [False, True])
@pytest.mark.parametrize("apart", [HOUR, 0])
def test_a_copy_of_one_that_is_forgotten_changes_nothing(pair: tuple[Agent, Agent], apart: float, turns: bool) -> None:
    """As from a relay that was restored from a backup; without turns the ratchet knows the chain, else it does not."""
    alice, bob = pair
    taken = []
    for number in range(8):
        taken.append((NOW - (8 - number) * apart, write(bob, str(number))))
        alice.receive(taken[-1][1], at=taken[-1][0])
        if turns:
            turn(alice, bob)
    for at, body in taken:
        alice.receive(body, at=at)
    assert alice.notices == []
    assert len(alice.messages) == 8
    bob.receive(write(alice, "goes out"))  # nothing holds it


def test_nor_does_one_that_its_sender_repeated_in_the_meantime(
    pair: tuple[Agent, Agent], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The relay took the copy later than the oldest of the messages that are remembered."""
    alice, bob = pair
    monkeypatch.setattr(ratchets, "KEPT_SEEN", 4)
    first = write(bob, "first")
    alice.receive(first, at=NOW - 9)
    alice.receive(write(bob, "second"), at=NOW - 8)
    alice.receive(first, at=NOW - 7)
    for number in range(3):
        turn(alice, bob)
        alice.receive(write(bob, str(number)), at=NOW - 6 + number)
    alice.receive(first, at=NOW - 7)
    assert alice.notices == []
    assert len(alice.messages) == 5


@pytest.mark.parametrize("clock", ["right", "was ahead"])
def test_what_is_new_and_does_not_open_is_told_all_the_same(pair: tuple[Agent, Agent], clock: str) -> None:
    alice, bob = pair
    ahead = 0 if clock == "right" else 1000 * HOUR
    old = ratchets.load(alice.tx, alice.id)
    for number in range(5):
        alice.receive(write(bob, str(number)), at=NOW - (5 - number) * HOUR + ahead)
        turn(alice, bob)
    alice.do(lambda tx, _: ratchets.save(tx, alice.id, old))  # of a profile that was restored from a backup
    alice.receive(write(bob, "new"))
    assert alice.notices == [dated(NOTICES[Notice.REQUIRED][1], int(NOW))]


def test_one_that_was_late_is_opened_though_it_is_from_before(pair: tuple[Agent, Agent]) -> None:
    alice, bob = pair
    late = write(bob, "late")
    for number in range(5):
        alice.receive(write(bob, str(number)))
    alice.receive(late, at=NOW - HOUR)
    assert len(alice.messages) == 6


def test_a_profile_of_an_earlier_version_remembers_what_it_did(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ratchets, "KEPT_SEEN", 3)
    old = Database(tmp_path / "old.db", {"agent": AGENT_MIGRATIONS[:5]})
    with old.transaction() as tx:
        tx.execute("PRAGMA defer_foreign_keys = ON")
        tx.execute(
            "INSERT INTO connections (id, state, agent_version, client_version, e2e_version, created_at)"
            " VALUES (1, '{}', 7, 4, 3, 0)"
        )
        tx.executemany("INSERT INTO seen_messages VALUES (1, ?)", [(bytes([number]) * 32,) for number in range(5)])
    old.close()
    new = Database(tmp_path / "old.db", {"agent": AGENT_MIGRATIONS})
    for number in range(5):
        assert ratchets.was_seen(new.connection, 1, bytes([number]) * 32)
    assert ratchets.forgotten_until(new.connection, 1) is None
    for number in range(10, 14):
        with new.transaction() as tx:
            ratchets.mark_seen(tx, 1, bytes([number]) * 32, number)
    assert [ratchets.was_seen(new.connection, 1, bytes([number]) * 32) for number in (0, 10, 11, 13)] == [
        False,
        False,
        True,
        True,
    ]
    assert ratchets.forgotten_until(new.connection, 1) == 12
    new.close()


# -- any schedule -----------------------------------------------------------------------------------------------------


UNDER_WAY = 3
"""Messages that Bob may have to repeat."""
STEPS = (*3 * ["write"], *4 * ["deliver"], "lost ack", "repeat", "back up", "restore", "turn")


def schedule(folder: Path, seed: int) -> list[tuple[str, object]]:
    """What Alice is told of a run in which her relay and Bob repeat themselves in every way that they may."""
    random = Random(seed)
    alice, bob = connected(folder)
    alice.application.receipts = bob.application.receipts = False
    clock = NOW - 1000 * HOUR
    queue: list[tuple[float, bytes]] = []
    backup: list[tuple[float, bytes]] = []
    written: list[bytes] = []
    for step in range(60):
        clock += random.choice([0, 1, HOUR])
        match random.choice(STEPS):
            case "write":
                written.append(write(bob, str(step)))
                queue.append((clock, written[-1]))
            case "deliver" if queue:
                at, body = queue.pop(0)
                alice.receive(body, at=at)
            case "lost ack" if queue:
                alice.receive(queue[0][1], at=queue[0][0])
            case "repeat":  # the answers to what was under way are lost
                queue += [(clock, body) for body in written[-random.randint(1, UNDER_WAY) :]]
            case "back up":
                backup = list(queue)
            case "restore":
                queue, lost = list(backup), queue
                queue += [entry for entry in lost if entry not in backup]
            case "turn":
                turn(alice, bob)
    for at, body in queue:
        alice.receive(body, at=at)
    return alice.application.told


@pytest.mark.parametrize("seed", [73, 233])
def test_what_is_forgotten_makes_no_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    monkeypatch.setattr(ratchets, "KEPT_SEEN", 10**9)
    everything = schedule(tmp_path / "everything", seed)
    monkeypatch.setattr(ratchets, "KEPT_SEEN", 2 * UNDER_WAY)
    assert schedule(tmp_path / "the last ones", seed) == everything
