"""A link of ours to a group: whoever uses it comes in, within bounds, and is kept apart from those who ask us."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from smpchat.agent.context import Context
from smpchat.agent.errors import EnvelopeRefused
from smpchat.agent.store import addresses, connections, ratchets, sent_requests
from smpchat.agent.store.outgoing import Kind
from smpchat.agent.transactions import contact_address, requesting, strangers
from smpchat.agent.transactions.admitting import AT_ONCE, MAX_REQUESTS, PATIENCE, PER_HOUR
from smpchat.agent.wire.link_data import open_link
from smpchat.agent.wire.links import ContactLink, parse_link
from smpchat.agent.wire.short_links import ContactType, ShortContact
from smpchat.chat.errors import InputError
from smpchat.chat.machines.group_states import MAX_MEMBERS, Link, Member, Standing
from smpchat.chat.store import groups
from smpchat.chat.transactions.group_hosting import packed_group_link
from smpchat.chat.wire.group_encoding import encode_group_event
from smpchat.chat.wire.group_events import JoinRequest
from smpchat.chat.wire.group_values import GroupProfile, MemberId, Role
from smpchat.chat.wire.groups import read_group_link
from smpchat.chat.wire.profile import Profile
from smpchat.encoding.record import replace
from smpchat.protocol.address import SMPServer
from smpchat.protocol.commands import Lnk, LSet
from tests.unit.chat.transactions.crowd import TEAM, Crowd

EVERYBODY = ("host", "ann", "bob", "cath")


def test_a_link_says_that_it_is_a_groups_and_shows_its_profile(tmp_path: Path) -> None:
    crowd = Crowd(tmp_path, "host")
    crowd.found()
    link = crowd.open_link()
    assert link.full is not None and link.short is not None
    full, short = parse_link(link.full), parse_link(link.short)
    assert isinstance(full, ContactLink) and isinstance(short, ShortContact)
    assert short.kind is ContactType.GROUP
    assert list(json.loads(full.client_data or "")) == ["groupLinkId"]
    host = crowd["host"]
    queue = host.news[-1].queue
    assert queue is not None and queue.link is not None
    opened = open_link(short, Lnk(queue.link.sender_id, queue.link.fixed, queue.link.user))
    assert opened.request == full
    assert read_group_link(opened.user_data) == TEAM
    assert addresses.current(host.tx) is None, "it is not the user's own address"
    with pytest.raises(InputError, match="already"):
        host.do(lambda tx, c: host.owner.make_link(tx, 1))


@pytest.mark.parametrize("role", [Role.MEMBER, Role.OBSERVER])
def test_whoever_uses_it_comes_in_with_its_role(tmp_path: Path, role: Role) -> None:
    crowd = Crowd(tmp_path, *EVERYBODY)
    crowd.found()
    crowd.let_in("ann")
    link = crowd.open_link(role=role)
    crowd["ann"].say("before they came")
    crowd.settle()
    for name in ("bob", "cath"):
        crowd.asks(name, link.full or "")
        crowd.settle()
    crowd.whole(*EVERYBODY)
    for name in ("bob", "cath"):
        assert crowd[name].group.own.role is role
        assert crowd[name].shown() == ["ann: before they came"]
        host = crowd[name].group.members[crowd[name].group.host]
        assert (host.name, host.named) == ("host", True)
    for member in crowd["host"].group.members:
        connection_id = groups.connection_of(crowd["host"].tx, 1, member)
        assert connection_id is not None
        assert connections.load(crowd["host"].tx, connection_id).plain
        assert not ratchets.pq_active(crowd["host"].tx, connection_id)


@pytest.mark.parametrize("absent", ["host", "ann", "bob"])
def test_somebody_is_offline_from_any_step_on(tmp_path: Path, absent: str) -> None:
    step, over = 0, False
    while not over:
        crowd = Crowd(tmp_path / f"{step}", "host", "ann", "bob", twice=step % 2 == 1)
        crowd.found()
        link = crowd.open_link()
        crowd.asks("ann", link.full or "")
        crowd.settle()
        crowd["ann"].say("early")
        crowd.settle()
        crowd.asks("bob", link.full or "")
        over = crowd.settle(step)
        crowd.offline.add(absent)
        crowd.settle()
        if absent != "ann":
            crowd["ann"].say("meanwhile")
        crowd.settle()
        crowd.offline.clear()
        crowd.settle()
        crowd.whole("host", "ann", "bob")
        expected = ["ann: early"] + (["ann: meanwhile"] if absent != "ann" else [])
        assert [crowd[name].shown() for name in ("host", "ann", "bob")] == [expected] * 3, step
        step += 2
    assert step > 10


def test_where_moderators_decide_only_they_see_a_newcomer_until_it_is_in(tmp_path: Path) -> None:
    crowd = Crowd(tmp_path, *EVERYBODY, "eve")
    crowd.found(profile=GroupProfile(TEAM.value | {"memberAdmission": {"review": "all"}}))
    crowd.let_in("ann", "bob")
    host = crowd["host"]
    host.do(lambda tx, c: host.owner.set_role(tx, 1, host.id_of("ann"), Role.MODERATOR))
    host.say("before")
    crowd.settle()
    link = crowd.open_link()
    for name, decides in (("cath", "host"), ("eve", "ann")):
        crowd.asks(name, link.full or "")
        crowd.settle()
        assert crowd[name].group.own.standing is Standing.REVIEW
        assert crowd[name].shown() == []
        assert {"host": "current connected", "ann": "current connected"} == crowd[name].links()
        assert host.links()[name] == crowd["ann"].links()[name] == "review connected"
        assert name not in crowd["bob"].links()
        one = crowd[decides]
        newcomer = one.id_of(name)
        one.do(lambda tx, c, o=one, n=newcomer: o.owner.admit(tx, 1, n))  # type: ignore[misc]
        crowd.settle()
        assert crowd[name].group.own.standing is Standing.CURRENT
        assert crowd[name].shown() == ["host: before"]
    crowd.whole(*EVERYBODY, "eve")


def test_a_link_that_is_removed_lets_nobody_in_and_goes_with_the_group(tmp_path: Path) -> None:
    for end in ("remove", "leave", "delete"):
        crowd = Crowd(tmp_path / end, "host", "ann")
        crowd.found()
        link = crowd.open_link()
        host, (address,) = crowd["host"], addresses.load_all(crowd["host"].tx)
        acts = {
            "remove": lambda tx, c, h=host: h.owner.remove_link(tx, 1),
            "leave": lambda tx, c, h=host: h.groups.leave(tx, 1),
            "delete": lambda tx, c, h=host: h.owner.delete(tx, 1),
        }
        host.do(acts[end])
        crowd.settle()
        assert host.owner.link_text(host.tx, 1) is None
        assert addresses.load(host.tx, address.connection_id) is None
        crowd.asks("ann", link.full or "")
        crowd.settle()
        assert host.group.members == {}


def test_what_the_link_shows_follows_the_group(tmp_path: Path) -> None:
    crowd = Crowd(tmp_path, "host")
    crowd.found()
    crowd.open_link()
    host = crowd["host"]
    host.do(lambda tx, c: host.owner.change_profile(tx, 1, {"displayName": "crew"}))
    [item] = [item for item in host.next() if item.kind is Kind.UPDATE_ADDRESS]
    [address] = addresses.load_all(host.tx)
    assert address.user_data == packed_group_link(host.group.profile)
    queue = connections.receive_queue(host.tx, address.connection_id)
    assert queue is not None
    assert isinstance(contact_address.updating(host.tx, queue, item.body).command, LSet)


def test_a_profile_that_is_too_long_for_a_link_loses_picture_and_welcome_first() -> None:
    picture = {"image": "data:image/png;base64," + "".join(f"{n * 7919 % 9973:04x}" for n in range(3_000))}
    texts = {"description": "".join(f"{n * 7907 % 9967:04x} " for n in range(6_000))}
    short = read_group_link(packed_group_link(GroupProfile(TEAM.value | picture | texts)))
    assert short == TEAM
    assert read_group_link(packed_group_link(GroupProfile(TEAM.value | {"description": "be kind"}))) is not None


def test_our_own_address_is_another_one(tmp_path: Path) -> None:
    crowd = Crowd(tmp_path, "host", "ann", "bob")
    crowd.found()
    link = crowd.open_link()
    host, ann = crowd["host"], crowd["ann"]
    host.do(lambda tx, c: contact_address.publish(tx, c, b"{}", auto_accept=False))
    host.carry_out()
    own = addresses.current(host.tx)
    assert own is not None and not own.group
    text = connections.load(host.tx, own.connection_id).link
    address = parse_link(text or "")
    assert isinstance(address, ContactLink)

    def ask(tx: sqlite3.Connection, context: Context) -> None:
        number = requesting.begin(tx, context, address)
        asked = JoinRequest(Profile("ann"), "cmVx")
        sent_requests.save_info(tx, number, encode_group_event(asked), None)

    ann.do(ask)
    crowd.asks("bob", link.full or "")
    crowd.settle()
    [waiting] = addresses.requests(host.tx)
    assert waiting.connection_id == own.connection_id
    assert host.application.all("request") == [waiting]
    assert host.links() == {"bob": "current connected"}
    host.do(lambda tx, c: host.owner.remove_link(tx, 1))
    host.carry_out()
    assert addresses.current(host.tx) == own
    with host.database.transaction() as tx:
        assert contact_address.reject_all(tx, own) == 1


def test_whoever_comes_by_a_public_link_does_not_send_us_into_the_network_of_our_address(tmp_path: Path) -> None:
    """A relay at home may be named by who asks through the address there, and by nobody else."""
    crowd = Crowd(tmp_path, "host")
    crowd.found()
    crowd.open_link()
    host = crowd["host"]
    host.do(lambda tx, c: contact_address.publish(tx, c, b"{}", auto_accept=False))
    host.carry_out()
    own, [link] = addresses.current(host.tx), [one for one in addresses.in_use(host.tx) if one.group]
    assert own is not None
    at_home, other = SMPServer(("192.168.1.5",), "", bytes(32)), SMPServer(("192.168.1.6",), "", bytes(32))
    query = "UPDATE receive_queues SET server = ? WHERE connection_id = ?"
    host.do(lambda tx, c: tx.execute(query, (str(at_home), own.connection_id)))
    assert strangers.reason_against_request(host.tx, other, own.connection_id) is None
    assert strangers.reason_against_request(host.tx, other, link.connection_id) is not None


# -- bounds -----------------------------------------------------------------------------------------------------------


def flood(crowd: Crowd, count: int, link: str) -> None:
    """One asks so often, each time as somebody else: its store forgets that it did."""
    person = crowd["ann"]
    for _ in range(count):
        crowd.asks("ann", link)
        person.carry_out()
        for queue, body in person.sent:
            assert crowd.deliver(queue, body)
        person.sent = []
        person.do(lambda tx, c: tx.execute("UPDATE connections SET link = NULL"))
        person.do(lambda tx, c: tx.execute("UPDATE sent_requests SET address_id = NULL"))


def test_who_comes_by_a_link_is_let_in_by_and_by(tmp_path: Path) -> None:
    crowd = Crowd(tmp_path, "host", "ann")
    crowd.found()
    link = crowd.open_link()
    host = crowd["host"]
    flood(crowd, AT_ONCE + 5, link.full or "")
    assert len(host.group.members) == AT_ONCE
    assert addresses.count_requests(host.tx) == 5
    assert addresses.requests(host.tx) == [], "nobody is asked about them"
    assert len(host.notices) == 5 and "let" in host.notices[0]
    host.now += 3_600
    while (due := contact_address.next_turn(host.tx, host.now)) is not None and due <= host.now:
        host.do(contact_address.accept_next)
    assert len(host.group.members) == AT_ONCE + 5
    assert AT_ONCE < PER_HOUR < MAX_REQUESTS < MAX_MEMBERS + 1


def test_a_full_group_takes_nobody_and_who_never_comes_makes_room(tmp_path: Path) -> None:
    crowd = Crowd(tmp_path, "host", "ann", "bob", "cath")
    crowd.found()
    link = crowd.open_link()
    host = crowd["host"]
    flood(crowd, 1, link.full or "")
    crowd.offline.add("ann")
    before = host.group
    crowd_of = {
        id: Member(id, Role.MEMBER, "x", link=Link.NONE)
        for id in (MemberId(f"{n}".encode()) for n in range(MAX_MEMBERS - 1))
    }
    full = replace(before, members={**before.members, **crowd_of})
    host.do(lambda tx, c: groups.save(tx, 1, before, full))
    crowd.asks("bob", link.full or "")
    crowd.settle()
    [gone] = before.members
    assert gone not in host.group.members, "ann has not come yet, and may ask again"
    assert len(host.group.members) == MAX_MEMBERS
    assert host.links()["bob"] == "current connected"
    assert host.tx.execute("SELECT count(*) FROM connections WHERE plain").fetchone()[0] == 1, "hers is deleted"
    crowd.asks("cath", link.full or "")
    with pytest.raises(EnvelopeRefused):
        crowd.settle()
    assert len(host.group.members) == MAX_MEMBERS
    assert addresses.count_requests(host.tx) == 0


def test_whoever_asks_and_is_never_reached_is_given_up(tmp_path: Path) -> None:
    crowd = Crowd(tmp_path, "host", "ann")
    crowd.found()
    link = crowd.open_link()
    host = crowd["host"]
    flood(crowd, 1, link.full or "")
    host.now += PATIENCE
    host.do(lambda tx, c: contact_address.give_up_next(tx, c))
    [member] = host.group.members.values()
    assert (member.standing, member.link) == (Standing.LEFT, Link.NONE)
