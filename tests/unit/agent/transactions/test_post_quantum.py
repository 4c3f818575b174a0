"""Post-quantum keys that were there and go: it is told, and they come back."""

from __future__ import annotations

from pathlib import Path
from sqlite3 import Connection
from typing import Any

import pytest

from smpchat.agent.context import Context
from smpchat.agent.machines.notices import NoticeKind
from smpchat.agent.store import ratchets
from smpchat.agent.transactions import connection, receiving
from smpchat.agent.transactions.renegotiation import NOT_POST_QUANTUM
from smpchat.agent.transactions.sealing import seal_envelope
from smpchat.agent.transactions.sending import required_send_queue
from smpchat.agent.wire.envelope import RatchetKeyEnvelope, UserMessage, agent_envelope
from smpchat.crypto.agreement import X3DHKeys, agree_initiator, agree_joiner
from smpchat.crypto.keys import X448PrivateKey
from smpchat.crypto.ratchet import Ratchet
from smpchat.protocol.envelope import client_msg_envelope, open_client_message
from smpchat.testing.entropy import SeededEntropy
from smpchat.testing.kem import HashKEM
from tests.unit.agent.agents import Agent, connected, exchange


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Agent, Agent]:
    alice, bob = connected(tmp_path, kem=HashKEM())
    turn(alice, bob, 3)
    assert protected(alice) and protected(bob)
    alice.application.told.clear()
    bob.application.told.clear()
    return alice, bob


def protected(agent: Agent) -> bool:
    return ratchets.pq_active(agent.tx, agent.id)


def turn(alice: Agent, bob: Agent, times: int = 1) -> None:
    for _ in range(times):
        for agent in (alice, bob):
            agent.do(lambda tx, context, a=agent: connection.submit(tx, context, a.id, UserMessage(b"text")))  # type: ignore[misc]
            exchange(alice, bob)


def test_new_keys_do_not_tell_of_a_loss(pair: tuple[Agent, Agent]) -> None:
    alice, bob = pair
    for agent in pair:
        agent.do(lambda tx, context, a=agent: connection.resync(tx, context, a.id))  # type: ignore[misc]
        exchange(alice, bob)
    turn(alice, bob, 2)
    assert protected(alice) and protected(bob)
    assert NOT_POST_QUANTUM not in alice.notices + bob.notices


@pytest.mark.parametrize("alice_sends", [True, False])
def test_keys_at_a_version_without_them_turn_them_off_for_a_moment_only(
    pair: tuple[Agent, Agent], alice_sends: bool
) -> None:
    alice, bob = pair
    seeds = (X3DHKeys.generate(SeededEntropy(f"{number}")) for number in range(99))
    answer_with(alice, bob, next(seeds))
    while (ratchets.load(alice.tx, alice.id).sending is not None) != alice_sends:  # which the keys decide
        answer_with(alice, bob, next(seeds))
    assert alice.notices.count(NOT_POST_QUANTUM) == 1
    assert not protected(alice)
    turn(bob, alice, 4)
    assert protected(alice) and protected(bob), "both can: they are back"
    assert NoticeKind.NOT_POST_QUANTUM in alice.application.over


def answer_with(alice: Agent, bob: Agent, keys: X3DHKeys) -> None:
    """Alice agrees to Bob's keys of version 2, and Bob starts his ratchet from her answer."""
    queue = required_send_queue(bob.tx, bob.id)
    alice.receive(seal_envelope(bob.entropy, queue, RatchetKeyEnvelope(7, keys.params(2), b"R")))
    before = ratchets.load(bob.tx, bob.id)
    alice.do(lambda tx, context: connection.resync(tx, context, alice.id))
    own = required_send_queue(alice.tx, alice.id)
    for body in alice.carry_out():
        opened = agent_envelope.decode(open_client_message(own.e2e_secret, client_msg_envelope.decode(body)).body)
        if isinstance(opened, RatchetKeyEnvelope):
            theirs = opened.e2e_params
            if ratchets.load(alice.tx, alice.id).sending is None:
                secret = agree_joiner(keys, theirs.key1, theirs.key2)
                first = X448PrivateKey.generate(bob.entropy)
                fresh = Ratchet.joiner(secret, theirs.key2, first, 2, kem_enabled=before.kem_enabled)
            else:
                secret = agree_initiator(keys, theirs.key1, theirs.key2)
                fresh = Ratchet.initiator(secret, keys.key2, 2, kem_enabled=before.kem_enabled)
            bob.do(lambda tx, _, fresh=fresh: ratchets.replace(tx, bob.id, fresh))  # type: ignore[misc]
        else:
            bob.receive(body)


def test_a_peer_that_turns_them_off_is_told_of_until_it_turns_them_on(
    pair: tuple[Agent, Agent], monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob = pair
    both = receiving._support_pq

    def only_alice(tx: Connection, context: Context, *rest: Any) -> Ratchet:
        return both(tx, context, *rest) if context is alice.context else rest[-1]

    monkeypatch.setattr(receiving, "_support_pq", only_alice)
    bob.do(lambda tx, _: ratchets.save(tx, bob.id, ratchets.load(tx, bob.id).with_kem(False)))
    turn(alice, bob, 3)
    assert not protected(alice)
    assert alice.notices.count(NOT_POST_QUANTUM) == 1
    monkeypatch.undo()
    turn(alice, bob, 4)
    assert protected(alice) and protected(bob)
    assert NoticeKind.NOT_POST_QUANTUM in alice.application.over
