"""Connections between members of a group: never post-quantum, only by a full link, whatever the other side wishes."""

from __future__ import annotations

from pathlib import Path

import pytest

from smpchat.agent.machines.handshake_states import Connected, Terms
from smpchat.agent.store import ratchets
from smpchat.agent.transactions import connection, sending
from smpchat.agent.wire.envelope import PLAIN_SIZES, UserMessage
from smpchat.agent.wire.links import InvitationLink, parse_link
from smpchat.testing.kem import HashKEM
from tests.unit.agent.agents import INSTANT, Agent, exchange

STANDARD = Terms(sender_securable=False, reply_key=False)
SECURED = Terms(sender_securable=True, reply_key=False)


def invite(agent: Agent, terms: Terms, *, plain: bool) -> str:
    agent.do(lambda tx, context: agent.began(connection.invite(tx, context, terms, plain=plain)))
    agent.carry_out()
    assert agent.connection.link is not None
    return agent.connection.link


def join(agent: Agent, text: str, *, plain: bool) -> None:
    link = parse_link(text)
    assert isinstance(link, InvitationLink)
    agent.do(lambda tx, context: agent.began(connection.join(tx, context, link, plain=plain)))


def say(agent: Agent, text: bytes) -> None:
    agent.do(lambda tx, context: connection.submit(tx, context, agent.id, UserMessage(text)))


@pytest.mark.parametrize("terms", [STANDARD, SECURED, INSTANT])
@pytest.mark.parametrize(("inviter", "joiner"), [(True, True), (True, False), (False, True)])
def test_one_side_that_has_none_is_enough(tmp_path: Path, terms: Terms, inviter: bool, joiner: bool) -> None:
    """Apps on both sides of such a connection have none; one of ours that forgot must not hang on another of ours."""
    alice, bob = Agent("alice", tmp_path, HashKEM()), Agent("bob", tmp_path, HashKEM())
    text = invite(alice, terms, plain=inviter)
    join(bob, text, plain=joiner)
    exchange(alice, bob)
    for turn in range(4):
        for agent in (alice, bob):
            say(agent, b"turn %d" % turn)
            exchange(alice, bob)
    for agent, plain in ((alice, inviter), (bob, joiner)):
        assert isinstance(agent.connection.state, Connected)
        assert agent.connection.plain is plain
        assert not ratchets.pq_active(agent.tx, agent.id)
        assert len(agent.messages) == 4
        if plain:
            assert not agent.connection.pq_support
            assert sending.max_body(agent.tx, agent.id) == PLAIN_SIZES.chat_body


def test_new_ratchet_keys_have_none_either(tmp_path: Path) -> None:
    alice, bob = Agent("alice", tmp_path, HashKEM()), Agent("bob", tmp_path, HashKEM())
    join(bob, invite(alice, INSTANT, plain=True), plain=False)
    exchange(alice, bob)
    for agent in (alice, bob):
        agent.do(lambda tx, context, a=agent: connection.resync(tx, context, a.id))  # type: ignore[misc]
        exchange(alice, bob)
    for turn in range(3):
        for agent in (alice, bob):
            say(agent, b"turn %d" % turn)
            exchange(alice, bob)
    assert len(alice.messages) == len(bob.messages) == 3
    assert not ratchets.pq_active(alice.tx, alice.id)
    assert not ratchets.pq_active(bob.tx, bob.id)


@pytest.mark.parametrize("terms", [SECURED, INSTANT])
def test_there_is_no_short_link_to_who_we_are(tmp_path: Path, terms: Terms) -> None:
    """Behind one stands what we tell our contacts; and its relay would keep it."""
    alice = Agent("alice", tmp_path, HashKEM())
    invite(alice, terms, plain=True)
    assert alice.short_link is None
    assert [new.queue.link for new in alice.news if new.queue] == [None]
    bystander = Agent("bystander", tmp_path, HashKEM())
    invite(bystander, terms, plain=False)
    assert bystander.short_link is not None


def test_a_plain_link_has_no_room_for_a_kem_key(tmp_path: Path) -> None:
    link = parse_link(invite(Agent("alice", tmp_path, HashKEM()), SECURED, plain=True))
    assert isinstance(link, InvitationLink)
    assert link.e2e.kem is None
