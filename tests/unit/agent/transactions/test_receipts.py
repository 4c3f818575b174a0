"""Receipts that wait: sealed when they are about to leave, and left out if the user wants none by then."""

from __future__ import annotations

from pathlib import Path

from smpchat.agent.machines.delivery import Integrity
from smpchat.agent.store import outgoing
from smpchat.agent.store.outgoing import PARKED, Kind, Lane
from smpchat.agent.transactions import connection, sending
from smpchat.agent.wire.envelope import UserMessage
from tests.unit.agent.agents import Agent, connected, exchange


def write(agent: Agent, body: bytes, reference: int) -> None:
    agent.do(
        lambda tx, context: connection.submit(tx, context, agent.id, UserMessage(body), reference=reference),
    )


def kinds(agent: Agent) -> list[Kind]:
    return [item.kind for item in outgoing.head(agent.tx, agent.id, Lane.SEND, 20, agent.now)]


def receive_some(alice: Agent, bob: Agent, count: int = 2) -> None:
    for number in range(count):
        write(bob, b"%d" % number, number + 1)
    for body in bob.carry_out():
        alice.receive(body)


def test_what_waits_does_not_leave_once_the_user_wants_none(tmp_path: Path) -> None:
    alice, bob = connected(tmp_path)
    receive_some(alice, bob)
    write(alice, b"after", 9)
    alice.application.receipts = False
    exchange(alice, bob)
    assert bob.messages == [(b"after", Integrity.OK)], "nor does anything seem lost"
    assert bob.application.all("delivered") == [] and kinds(alice) == []
    alice.application.receipts = True
    receive_some(alice, bob, 1)
    exchange(alice, bob)
    assert bob.application.all("delivered") == [1], "of the new one alone"


def test_those_that_leave_come_after_what_is_sealed(tmp_path: Path) -> None:
    alice, bob = connected(tmp_path)
    receive_some(alice, bob)
    write(alice, b"after", 9)
    assert kinds(alice) == [Kind.MESSAGE, Kind.RECEIPT, Kind.RECEIPT]
    exchange(alice, bob)
    assert bob.messages == [(b"after", Integrity.OK)] and bob.application.all("delivered") == [1, 2]


def test_a_receipt_that_is_gone_is_not_sealed_twice(tmp_path: Path) -> None:
    alice, bob = connected(tmp_path)
    receive_some(alice, bob, 1)
    [item] = outgoing.head(alice.tx, alice.id, Lane.SEND, 20, alice.now)
    for _ in range(2):
        alice.do(lambda tx, context: sending.seal_receipt(tx, context, item))
    assert kinds(alice) == [Kind.MESSAGE]


def test_while_the_peers_queue_moves_none_is_sealed(tmp_path: Path) -> None:
    alice, bob = connected(tmp_path)
    receive_some(alice, bob, 1)
    alice.do(lambda tx, context: outgoing.hold_numbered(tx, alice.id, PARKED))
    assert kinds(alice) == []
    alice.do(lambda tx, context: outgoing.hold_numbered(tx, alice.id, 0))
    assert kinds(alice) == [Kind.RECEIPT]


def test_while_keys_are_renewed_it_waits_for_the_new_ones(tmp_path: Path) -> None:
    alice, bob = connected(tmp_path)
    receive_some(alice, bob, 1)
    alice.do(lambda tx, context: connection.resync(tx, context, alice.id))
    keys = alice.carry_out()
    assert len(keys) == 1 and kinds(alice) == [], "behind the keys, and not under the ratchet that goes"
    for body in keys:
        bob.receive(body)
    bob.do(lambda tx, context: connection.resync(tx, context, bob.id))
    exchange(bob, alice)
    assert bob.application.all("delivered") == [1]
