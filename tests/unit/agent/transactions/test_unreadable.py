"""Messages that arrive and cannot be read: each is told with its time; copies of old ones hold nothing up."""

from __future__ import annotations

from pathlib import Path

import pytest

from smpchat.agent.machines.resync import Notice
from smpchat.agent.machines.resync_states import Allowed, InSync, Required
from smpchat.agent.store import connections, ratchets, resyncs
from smpchat.agent.transactions import connection
from smpchat.agent.transactions.renegotiation import EARLIER, NOTICES, REPEATED, at
from smpchat.agent.wire.envelope import UserMessage
from tests.unit.agent.agents import NOW, Agent, connected

MINUTE = 60


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Agent, Agent]:
    """Alice remembers three messages whole, and her receipts would only be in the way."""
    monkeypatch.setattr(ratchets, "KEPT_SEEN", 3)
    alice, bob = connected(tmp_path)
    alice.application.receipts = bob.application.receipts = False
    return alice, bob


def write(sender: Agent, text: str) -> bytes:
    sender.do(lambda tx, context: connection.submit(tx, context, sender.id, UserMessage(text.encode())))
    [body] = sender.carry_out()
    return body


def restore(agent: Agent, copy: tuple[object, ...]) -> None:
    """As from a copy of the data: ratchet and chain."""
    ratchet, sent, received = copy
    agent.do(lambda tx, _: ratchets.save(tx, agent.id, ratchet))  # type: ignore[arg-type]
    agent.do(lambda tx, _: connections.save_sent(tx, agent.id, sent))  # type: ignore[arg-type]
    agent.do(lambda tx, _: connections.save_received(tx, agent.id, received))  # type: ignore[arg-type]


def copied(agent: Agent) -> tuple[object, ...]:
    return ratchets.load(agent.tx, agent.id), agent.connection.sent, agent.connection.received


def test_the_first_message_after_a_copy_that_is_one_message_old_is_told(pair: tuple[Agent, Agent]) -> None:
    alice, bob = pair
    alice.receive(write(bob, "one"))
    copy = copied(bob)
    alice.receive(write(bob, "two"))
    restore(bob, copy)
    lost = write(bob, "lost: its number was used before")
    alice.receive(lost, at=NOW + MINUTE)
    assert alice.notices == [at(NOTICES[Notice.ALLOWED][1], int(NOW) + MINUTE)]
    assert "2023-11-14 22:14 UTC" in alice.notices[0]
    assert resyncs.load(alice.tx, alice.id) == Allowed()
    alice.receive(write(bob, "three"))
    assert resyncs.load(alice.tx, alice.id) == InSync()
    assert len(alice.messages) == 3


def test_of_a_copy_that_is_older_each_one_is_told_and_nothing_waits(pair: tuple[Agent, Agent]) -> None:
    alice, bob = pair
    copy = copied(bob)
    for number in range(4):
        alice.receive(write(bob, str(number)))
    restore(bob, copy)
    for number in range(4):
        alice.receive(write(bob, f"lost {number}"), at=NOW + (number + 1) * MINUTE)
    alice.receive(write(bob, "heard again"))
    dates = [int(NOW) + (number + 1) * MINUTE for number in range(3)]
    assert alice.notices == [*(at(EARLIER, date) for date in dates), at(NOTICES[Notice.ALLOWED][1], dates[-1] + MINUTE)]
    assert len(alice.messages) == 5
    bob.receive(write(alice, "goes out"))


@pytest.mark.parametrize("age", [1, 2, 4])
def test_if_an_old_copy_goes_on_with_a_new_chain_the_cure_is_told(pair: tuple[Agent, Agent], age: int) -> None:
    """Then no later message can be decrypted: every header of the new chain tells how short the old chain was."""
    alice, bob = pair
    for number in range(4):
        if number == 4 - age:
            copy = copied(bob)
        alice.receive(write(bob, str(number)))
    restore(bob, copy)
    bob.receive(write(alice, "a new ratchet key"))
    alice.receive(write(bob, "lost"), at=NOW + MINUTE)
    assert alice.notices == [at(NOTICES[Notice.REQUIRED][1], int(NOW) + MINUTE)]
    assert resyncs.load(alice.tx, alice.id) == Required()
    alice.receive(write(bob, "lost, too"), at=NOW + 2 * MINUTE)
    assert alice.notices[1:] == [at(NOTICES[Notice.LOST][1], int(NOW) + 2 * MINUTE)]
    assert len(alice.messages) == 4


@pytest.mark.parametrize("turns", [False, True], ids=["one chain", "finished chains"])
def test_an_old_message_with_a_new_time_is_counted_and_holds_nothing_up(pair: tuple[Agent, Agent], turns: bool) -> None:
    """A relay that means harm keeps messages, and brings them again as if they were new."""
    alice, bob = pair
    bodies = []
    for number in range(15):
        bodies.append(write(bob, str(number)))
        alice.receive(bodies[-1])
        if turns:
            bob.receive(write(alice, "answer"))
    for body in bodies[:11]:
        alice.receive(body, at=NOW + MINUTE)
    said = [at(REPEATED, int(NOW) + MINUTE).replace("{number}", many) for many in ("An old message", "10 old messages")]
    assert alice.notices == said, "told at 1, at 10, at 100"
    assert resyncs.load(alice.tx, alice.id) == InSync()
    bob.receive(write(alice, "goes out"))
    alice.receive(write(bob, "comes in"))
    assert len(alice.messages) == 16
    assert not any("resync" in notice for notice in alice.notices)


def test_of_a_finished_chain_nothing_is_acted_on_even_if_it_is_not_remembered(
    pair: tuple[Agent, Agent], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key of a message that never came is kept, and with it the header key of its chain."""
    monkeypatch.setattr(ratchets, "KEPT_OLD", 0)
    alice, bob = pair
    old = write(bob, "old")
    alice.receive(old)
    write(bob, "never comes")
    for number in range(6):
        alice.receive(write(bob, str(number)))
        bob.receive(write(alice, "answer"))
    alice.application.told.clear()
    alice.receive(old, at=NOW + MINUTE)
    assert alice.notices == [at(EARLIER, int(NOW) + MINUTE)]
    assert resyncs.load(alice.tx, alice.id) == InSync()


def test_as_many_old_ones_are_remembered_and_no_more(
    pair: tuple[Agent, Agent], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ratchets, "KEPT_OLD", 5)
    alice, bob = pair
    for number in range(20):
        alice.receive(write(bob, str(number)))
    [count] = alice.tx.execute("SELECT count(*) FROM old_messages").fetchone()
    assert count == 5
