"""Groups over real agents in memory: a host, three members, one store each; what leaves, what comes, what stays."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from smpchat.agent.context import Context
from smpchat.agent.errors import AgentError
from smpchat.agent.machines import handshake_states as states
from smpchat.agent.machines.delivery import Integrity
from smpchat.agent.machines.handshake_states import Terms
from smpchat.agent.store import connections, ratchets, sent_requests
from smpchat.agent.store.connections import Connection
from smpchat.agent.store.database import Database
from smpchat.agent.store.outgoing import OutboxItem
from smpchat.agent.store.schema import AGENT_MIGRATIONS
from smpchat.agent.transactions import connection as agent
from smpchat.agent.transactions import outbox, sending
from smpchat.agent.wire.envelope import UserMessage
from smpchat.chat.errors import InputError
from smpchat.chat.machines.group_effects import Effect, News, Refused, Send, Show, Tell
from smpchat.chat.machines.group_hosting import Hosting, admit, link_came, pass_on, reported
from smpchat.chat.machines.group_links import invited
from smpchat.chat.machines.group_sending import FORWARDABLE
from smpchat.chat.machines.group_states import Group, Link, Member, Standing
from smpchat.chat.store import groups
from smpchat.chat.store.schema import CHAT_MIGRATIONS
from smpchat.chat.transactions.group_conversation import digest
from smpchat.chat.transactions.groups import GroupTransactions
from smpchat.chat.wire.bodies import decode_body
from smpchat.chat.wire.group_encoding import encode_group_event
from smpchat.chat.wire.group_events import (
    Agreed,
    Forward,
    GroupEvent,
    Invitation,
    InvitationAccepted,
    JoinRequest,
    LinkForMember,
    LinkInvitation,
    LinkOfMember,
    LinkRejection,
    MemberRemoved,
    MembersConnected,
    Post,
)
from smpchat.chat.wire.group_values import GroupProfile, MemberId, MemberIdRole, MemberInfo, Role
from smpchat.chat.wire.groups import decode_group_messages
from smpchat.chat.wire.profile import Profile
from smpchat.encoding.record import replace
from smpchat.protocol.commands import Send as SMPSend
from smpchat.protocol.version import VersionRange
from smpchat.testing.kem import HashKEM
from tests.unit.agent.agents import Agent, Recorder, close_with
from tests.unit.agent.transactions.test_contact_address import owner
from tests.unit.agent.transactions.test_group_links import link_of
from tests.unit.chat.machines.team import text

HOST = MemberId(b"host")
TEAM = GroupProfile({"displayName": "team", "fullName": ""})
SPEAKS = VersionRange(1, 16)
INSTANT = Terms(sender_securable=True, reply_key=True)


class Someone(Agent):
    """A profile with all its connections; its application comes later."""

    def __init__(self, name: str, folder: Path, application: Recorder) -> None:
        super().__init__(name, folder, HashKEM())
        components = {"agent": AGENT_MIGRATIONS, "chat": CHAT_MIGRATIONS}
        self.database = Database(folder / f"{name}-groups.db", components)
        close_with(self, self.database)
        self.name = MemberId(name.encode())
        self.application = application
        self.context = Context(application, self.entropy, lambda: self.now, HashKEM())
        self.sent: list[tuple[bytes, bytes]] = []
        """Queue and body of what left and has not arrived."""

    def _carry_out(self, item: OutboxItem) -> list[bytes]:
        queue = b""
        if item.kind.name not in ("CREATE", "REACH", "RECEIPT"):
            request = outbox.request(self.tx, item)
            queue = request.entity_id if isinstance(request.command, SMPSend) else b""
        bodies = super()._carry_out(item)
        self.sent += [(queue, body) for body in bodies]
        return bodies


class MemberApplication(Recorder):
    """A member: everything goes to `GroupTransactions`; what people see is kept in lists."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[str] = []
        self.news: list[News] = []
        self.begun_with: list[int] = []
        self.said: GroupTransactions | None = None
        self.wanted: list[bool | None] = []

    @property
    def groups(self) -> GroupTransactions:
        assert self.said is not None
        return self.said

    def profile(self, tx: sqlite3.Connection, group_id: int | None) -> Profile:
        return Profile("somebody")

    def begun(self, tx: sqlite3.Connection, group_id: int, connection_id: int) -> None:
        self.begun_with.append(connection_id)

    def perform(self, tx: sqlite3.Connection, group_id: int, effect: Effect) -> None:
        match effect:
            case Show(author, post=post):
                self.shown.append(f"{author.decode()}: {post.text}")
            case Tell(news):
                self.news.append(news)

    def connection_info(self, tx: sqlite3.Connection, connection_id: int) -> bytes:
        info = self.groups.connection_info(tx, connection_id)
        assert info is not None
        return info

    def peer_info_received(self, tx: sqlite3.Connection, connection_id: int, info: bytes) -> str | None:
        return self.groups.peer_info(tx, connections.load(tx, connection_id), info)

    def state_changed(self, tx: sqlite3.Connection, connection: Connection) -> None:
        self.groups.state_changed(tx, connection)

    def message_received(
        self, tx: sqlite3.Connection, connection_id: int, body: bytes, sent_at: int, integrity: Integrity
    ) -> bool:
        wanted = self.groups.message(tx, connection_id, body, sent_at)
        self.wanted.append(wanted)
        return wanted is True


class HostApplication(Recorder):
    """A host as `smpchat.chat.machines.group_hosting` has it; its store is a dictionary."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: dict[int, MemberId] = {}
        self.group = Group(Member(HOST, Role.OWNER, ""), HOST, TEAM, False, {})
        self.hosting = Hosting()
        self.history: list[Forward] = []
        self.context: Context | None = None
        self.count = 0

    def connection_info(self, tx: sqlite3.Connection, connection_id: int) -> bytes:
        return encode_group_event(Agreed())

    def peer_info_received(self, tx: sqlite3.Connection, connection_id: int, info: bytes) -> str | None:
        [said] = decode_group_messages(info)
        assert said.event == InvitationAccepted(self.ids[connection_id])
        return None

    def state_changed(self, tx: sqlite3.Connection, connection: Connection) -> None:
        id = self.ids.get(connection.id)
        if not isinstance(connection.state, states.Connected) or id is None:
            return
        newcomer = Member(id, Role.MEMBER, id.decode(), link=Link.CONNECTED, introducer=HOST, versions=SPEAKS)
        self.group = self.group.with_member(newcomer)
        self._do(tx, admit(self.group, self.hosting, id, Profile("host"), self._profiles(), by_link=False))
        for forward in self.history:
            self.say(tx, id, forward)

    def message_received(
        self, tx: sqlite3.Connection, connection_id: int, body: bytes, sent_at: int, integrity: Integrity
    ) -> bool:
        by = self.ids[connection_id]
        for part, said in zip(decode_body(body), decode_group_messages(body), strict=True):
            event, member = said.event, self.group.members[by]
            match event:
                case LinkForMember():
                    self._do(tx, link_came(self.group, self.hosting, member, event, self._profiles()))
                case MembersConnected(other):
                    self.hosting = reported(self.hosting, by, other)
            if isinstance(event, FORWARDABLE):
                forward = Forward(by, part, event, "2026-11-30T10:00:00Z", by.decode())  # type: ignore[arg-type]
                self.history += [forward] if isinstance(event, Post) else []
                sent = pass_on(self.group, self.hosting, member, forward)
                self._do(tx, (self.hosting, () if sent is None else (sent,)))
        return False

    def _profiles(self) -> dict[MemberId, Profile]:
        return {id: Profile(id.decode()) for id in self.group.members}

    def _do(self, tx: sqlite3.Connection, step: tuple[Hosting, tuple[Effect, ...]]) -> None:
        self.hosting, found = step
        for effect in found:
            assert isinstance(effect, Send), effect
            for member in effect.now:
                self.say(tx, member, effect.event)

    def say(self, tx: sqlite3.Connection, to: MemberId, event: GroupEvent) -> None:
        assert self.context is not None
        self.count += 1
        connection_id = next(id for id, member in self.ids.items() if member == to)
        body = encode_group_event(event, f"host{self.count:04}".encode().hex())
        sending.submit(tx, self.context, connection_id, UserMessage(body))


class World:
    """A host and those whom it invites; each relay brings everything, in order."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.owner = HostApplication()
        self.host = Someone("host", folder, self.owner)
        self.owner.context = self.host.context
        self.people: dict[str, Someone] = {}
        self.offline: set[str] = set()
        self.kept: list[tuple[bytes, bytes]] = []

    def invite(self, name: str, *, accept: bool = True) -> MemberApplication:
        application = MemberApplication()
        person = self.people[name] = Someone(name, self.folder, application)
        application.said = GroupTransactions(person.context, application)
        self.host.do(
            lambda tx, context: self.owner.ids.update({agent.invite(tx, context, INSTANT, plain=True): person.name})
        )
        self.host.carry_out()
        connection_id = max(self.owner.ids)
        link = connections.load(self.host.tx, connection_id).link
        assert link is not None
        event = Invitation(MemberIdRole(HOST, Role.OWNER), MemberIdRole(person.name, Role.MEMBER), link, TEAM)
        group = invited(event, "host", SPEAKS)
        assert isinstance(group, Group)
        person.do(lambda tx, context: groups.insert(tx, group))
        if accept:
            person.do(lambda tx, context: application.groups.accept(tx, 1))
        return application

    def settle(self) -> None:
        """Until nothing moves; what is for somebody offline is kept by its relay."""
        moved = True
        while moved:
            moved = False
            for person in (self.host, *self.people.values()):
                if person.name.decode() in self.offline:
                    continue
                person.carry_out()
                under_way, person.sent = [*self.kept, *person.sent], []
                self.kept = []
                for queue, body in under_way:
                    moved = self._deliver(queue, body) or moved

    def _deliver(self, queue: bytes, body: bytes) -> bool:
        for person in (self.host, *self.people.values()):
            found = connections.find_receive_queue_by_sender_id(person.tx, queue)
            if found is None:
                continue
            if person.name.decode() in self.offline:
                self.kept.append((queue, body))
                return False
            person.began(found.connection_id)
            person.receive(body)
            return True
        return False

    def say(self, name: str, words: str) -> None:
        person, application = self.people[name], self.application(name)
        person.do(lambda tx, context: application.groups.say(tx, 1, text(words)))

    def application(self, name: str) -> MemberApplication:
        application = self.people[name].application
        assert isinstance(application, MemberApplication)
        return application

    def group(self, name: str) -> Group:
        group = groups.load(self.people[name].tx, 1)
        assert group is not None
        return group

    def states(self, name: str) -> dict[str, str]:
        members = self.group(name).members.values()
        return {member.name: f"{member.standing.value} {member.link.value}" for member in members}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    yield World(tmp_path)


def three(world: World) -> None:
    for name in ("ann", "bob", "cath"):
        world.invite(name)
        world.settle()


def test_three_who_are_invited_come_to_connections_with_each_other(world: World) -> None:
    three(world)
    for name in ("ann", "bob", "cath"):
        group = world.group(name)
        assert group.own.standing is Standing.CURRENT
        assert {one.link for one in group.members.values()} == {Link.CONNECTED}
        assert world.application(name).begun_with != []
        for member in group.members:
            connection_id = groups.connection_of(world.people[name].tx, 1, member)
            assert connection_id is not None
            assert connections.load(world.people[name].tx, connection_id).plain
            assert not ratchets.pq_active(world.people[name].tx, connection_id)
    assert {known.reported for known in world.owner.hosting.pairs.values()} == {
        frozenset(pair) for pair in world.owner.hosting.pairs
    }


def test_what_one_says_all_hear_once_and_receipts_are_asked_of_the_authors_own_copy(world: World) -> None:
    three(world)
    world.say("ann", "hello")
    world.say("bob", "hi ann")
    world.settle()
    assert world.application("cath").shown == ["ann: hello", "bob: hi ann"]
    assert world.application("ann").shown == ["bob: hi ann"]
    assert world.application("cath").wanted[-2:] == [True, True]


@pytest.mark.parametrize("absent", ["host", "ann", "cath"])
def test_one_is_offline_while_another_comes_and_writes(world: World, absent: str) -> None:
    world.invite("ann")
    world.invite("cath")
    world.settle()
    world.offline.add(absent)
    if absent == "host":
        world.say("ann", "meanwhile")
        world.settle()
    else:
        world.invite("bob")
        world.settle()
        world.say("bob", "meanwhile")
        world.settle()
    world.offline.clear()
    world.settle()
    author = "ann" if absent == "host" else "bob"
    for name in world.people:
        if name != author:
            assert world.application(name).shown == [f"{author}: meanwhile"], name
        assert {one.link for one in world.group(name).members.values()} == {Link.CONNECTED}
    assert world.kept == []


def test_who_leaves_tells_all_and_keeps_no_connection(world: World) -> None:
    three(world)
    bob = world.people["bob"]
    bob.do(lambda tx, context: world.application("bob").groups.leave(tx, 1))
    world.settle()
    assert [groups.connection_of(bob.tx, 1, member) for member in world.group("bob").members] == [None] * 3
    for name in ("ann", "cath"):
        assert world.group(name).members[MemberId(b"bob")].standing is Standing.LEFT
        assert world.application(name).news[-1] is News.MEMBER_LEFT
        assert groups.connection_of(world.people[name].tx, 1, MemberId(b"bob")) is None
    with pytest.raises(InputError, match="not in this group"):
        world.say("bob", "one more thing")


def test_who_is_removed_hears_nothing_more(world: World) -> None:
    three(world)
    bob = MemberId(b"bob")
    for id in (bob, MemberId(b"ann")):
        world.host.do(lambda tx, context, id=id: world.owner.say(tx, id, MemberRemoved(bob)))  # type: ignore[misc]
    world.settle()
    world.say("ann", "without bob")
    world.settle()
    assert world.group("bob").own.standing is Standing.REMOVED
    assert world.application("bob").shown == []
    assert world.application("cath").shown == ["ann: without bob"]


def test_an_invitation_waits_and_is_answered_once(world: World) -> None:
    application = world.invite("ann", accept=False)
    ann = world.people["ann"]
    assert groups.invitations(ann.tx) == [1]
    assert ann.next() == []
    with pytest.raises(InputError, match="not in this group"):
        world.say("ann", "hello?")
    ann.do(lambda tx, context: application.groups.accept(tx, 1))
    with pytest.raises(InputError, match="already answered"):
        ann.do(lambda tx, context: application.groups.accept(tx, 1))
    world.settle()
    assert world.states("ann") == {"host": "current connected"}


def test_an_invitation_that_leads_nowhere_changes_nothing(world: World) -> None:
    application = world.invite("ann", accept=False)
    ann = world.people["ann"]
    before = world.group("ann")
    broken = replace(before, invitation="simplex:/invitation#/?v=2-7&smp=x")
    ann.do(lambda tx, context: groups.save(tx, 1, before, broken))
    with pytest.raises(AgentError):
        ann.do(lambda tx, context: application.groups.accept(tx, 1))
    assert world.group("ann") == broken
    assert application.begun_with == []


def test_a_members_link_that_is_damaged_costs_only_that_connection(world: World) -> None:
    three(world)
    info = MemberInfo(MemberId(b"dan"), Role.MEMBER, Profile("dan"), SPEAKS)
    world.host.do(
        lambda tx, context: world.owner.say(tx, MemberId(b"ann"), LinkOfMember(info, "simplex:/invitation#/?broken"))
    )
    world.settle()
    assert world.group("ann").members[MemberId(b"dan")].link is Link.NONE
    world.say("bob", "still here")
    world.settle()
    assert world.application("ann").shown == ["bob: still here"]


def test_a_text_that_fits_no_message_is_refused_before_anything_leaves(world: World) -> None:
    three(world)
    with pytest.raises(InputError, match="too long"):
        world.say("ann", "x" * 16_000)
    assert world.people["ann"].next() == []


def test_a_request_says_who_we_are_and_no_more(tmp_path: Path) -> None:
    application = MemberApplication()
    ann = Someone("ann", tmp_path, application)
    application.said = GroupTransactions(ann.context, application)
    link = link_of(owner(tmp_path))
    with ann.database.transaction() as tx:
        connection_id = application.groups.request(tx, link)
        assert connections.load(tx, connection_id).plain
        asked = sent_requests.load(tx, connection_id)
    assert asked is not None
    [said] = decode_group_messages(asked.info)
    assert isinstance(said.event, JoinRequest)
    assert said.event.profile == Profile("somebody")
    assert said.event.request_id is not None
    assert b"preferences" not in asked.info
    assert ann.next() != []


def test_what_a_stranger_answers_is_no_group(tmp_path: Path) -> None:
    """A request through a group's link that is answered by a rejection, a person, or a host without the right."""
    application = MemberApplication()
    ann = Someone("ann", tmp_path, application)
    application.said = GroupTransactions(ann.context, application)
    host, low = MemberIdRole(HOST, Role.OWNER), MemberIdRole(HOST, Role.MEMBER)
    own = MemberIdRole(MemberId(b"ann"), Role.MEMBER)
    for event, expected in (
        (LinkRejection(host, own, TEAM, "blocked_name"), "The group 'team' did not accept you ('blocked_name')."),
        (LinkInvitation(low, "host", own, TEAM), "The member who made the group's link is not allowed to let you in."),
        (Agreed(), "The link does not lead to a group."),
    ):
        with ann.database.transaction() as tx:
            connection_id = agent.invite(tx, ann.context, INSTANT, plain=True)
            found = application.groups.peer_info(tx, connections.load(tx, connection_id), encode_group_event(event))
        assert found == expected
        assert groups.load(ann.tx, 1) is None
    with ann.database.transaction() as tx:
        answer = encode_group_event(LinkInvitation(host, "host", own, TEAM))
        assert application.groups.peer_info(tx, connections.load(tx, connection_id), answer) is None
        assert application.groups.peer_info(tx, connections.load(tx, connection_id), b"{") is not None
    assert groups.of_connection(ann.tx, connection_id) == groups.Place(1, HOST)
    assert application.begun_with == [connection_id]
    assert isinstance(groups.load(ann.tx, 1), Group)
    assert not isinstance(groups.load(ann.tx, 1), Refused)


def test_members_are_told_of_a_new_name_or_picture_and_not_of_other_changes() -> None:
    known = Profile("ann")
    assert digest(known) != digest(Profile("anna"))
    assert digest(known) != digest(replace(known, picture="data:image/png;base64,AAAA"))
    assert digest(known) == digest(replace(known, description="a line about me"))  # group-wire 12, fact 4
