"""Joining through the link of a group: only where that is meant, never a channel, and without a KEM."""

from __future__ import annotations

from pathlib import Path

import pytest

from smpchat.agent.errors import LinkError, LinkJoinedError
from smpchat.agent.machines.handshake_states import Connected, Failed, Failure
from smpchat.agent.store import addresses, ratchets, sent_requests
from smpchat.agent.transactions import connection, requesting
from smpchat.agent.wire.envelope import UserMessage
from smpchat.agent.wire.link_data import ContactLinkData, contact_keys, seal_link, seal_user_data
from smpchat.agent.wire.links import ContactLink
from smpchat.agent.wire.short_links import ContactType, ShortContact
from smpchat.encoding.record import replace
from smpchat.protocol.commands import Lnk
from smpchat.testing.kem import HashKEM
from tests.unit.agent.agents import RELAY, Agent, exchange
from tests.unit.agent.transactions.test_contact_address import INFO, address_of, full_link, owner

TEAM = b'{"groupProfile":{"displayName":"team","fullName":""}}'
DATA = '{"groupLinkId":"nvZgHs_9sWVbtEZLkYuL9w=="}'


def ask(agent: Agent, address: ContactLink | ShortContact, *, plain: bool = True) -> None:
    with agent.database.transaction() as tx:
        agent.id = requesting.begin(tx, agent.context, address, plain=plain)
        sent_requests.save_info(tx, agent.id, INFO, None)


def link_of(alice: Agent) -> ContactLink:
    """The full link of a group of hers; a link of an address but for what it says."""
    return replace(full_link(alice), client_data=DATA)


def short_link_of(alice: Agent, bob: Agent, *, direct: bool = True) -> ShortContact:
    """The short one, and what its relay answers to Bob."""
    address: addresses.Address = address_of(alice)
    assert address.root_key is not None
    request = link_of(alice)
    sealed = seal_link(address.root_key, request, TEAM, alice.entropy)
    user = sealed.user
    if not direct:
        _, box_key = contact_keys(sealed.link_key)
        data = ContactLinkData(request.agent_versions, TEAM, direct=False)
        user = seal_user_data(address.root_key, box_key, data, alice.entropy)
    bob.lnk = Lnk(request.queues[0].sender_id, sealed.fixed, user)
    return ShortContact(RELAY, sealed.link_key, ContactType.GROUP)


@pytest.mark.parametrize("short", [False, True])
def test_the_host_answers_and_neither_side_has_a_kem(tmp_path: Path, short: bool) -> None:
    alice = owner(tmp_path, auto_accept=True)
    bob = Agent("bob", tmp_path, HashKEM())
    ask(bob, short_link_of(alice, bob) if short else link_of(alice))
    [body] = bob.carry_out()
    assert bob.connection.plain
    assert bob.application.all("link info") == ([TEAM] if short else [])
    alice.receive(body)
    [accepted] = alice.application.all("accepted")
    assert isinstance(accepted, int)
    alice.id = accepted
    exchange(alice, bob)
    for agent in (alice, bob):
        agent.do(lambda tx, context, a=agent: connection.submit(tx, context, a.id, UserMessage(b"hi")))  # type: ignore[misc]
        exchange(alice, bob)
        assert isinstance(agent.connection.state, Connected)
        assert not ratchets.pq_active(agent.tx, agent.id)
    assert len(alice.messages) == len(bob.messages) == 1


def test_a_group_is_joined_only_where_that_is_meant(tmp_path: Path) -> None:
    """Whoever takes a group's link for a person's shows all its members what was for one."""
    alice, bob = owner(tmp_path), Agent("bob", tmp_path)
    short = short_link_of(alice, bob)
    for link in (link_of(alice), short):
        assert requesting.is_group(link)
        with pytest.raises(LinkError, match=r"group|channel"):
            ask(bob, link, plain=False)
    person = full_link(alice)
    assert not requesting.is_group(person)
    for other in (person, replace(short, kind=ContactType.CONTACT)):
        with pytest.raises(LinkError, match="not lead to a group"):
            ask(bob, other)


@pytest.mark.parametrize("kind", [ContactType.CHANNEL, ContactType.RELAY])
def test_channels_are_no_groups(tmp_path: Path, kind: ContactType) -> None:
    for plain in (False, True):
        with pytest.raises(LinkError):
            ask(Agent(f"bob {plain}", tmp_path), ShortContact(RELAY, bytes(32), kind), plain=plain)


def test_a_channel_behind_a_groups_letter_is_not_joined_half(tmp_path: Path) -> None:
    """Nobody answers at its queue: its relays would have to be asked (group-wire 10)."""
    alice, bob = owner(tmp_path), Agent("bob", tmp_path)
    ask(bob, short_link_of(alice, bob, direct=False))
    assert bob.carry_out() == []
    state = bob.connection.state
    assert isinstance(state, Failed)
    assert state.reason is Failure.ADDRESS_UNUSABLE
    assert bob.application.all("link info") == []


def test_a_link_is_used_once(tmp_path: Path) -> None:
    alice, bob = owner(tmp_path), Agent("bob", tmp_path)
    ask(bob, link_of(alice))
    with pytest.raises(LinkJoinedError):
        ask(bob, link_of(alice))
