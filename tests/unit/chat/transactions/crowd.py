"""Profiles with groups on real agents in memory: contacts of each other, members of groups of their own making."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

from smpchat.agent.context import Context
from smpchat.agent.machines import handshake_states as states
from smpchat.agent.machines.delivery import Integrity
from smpchat.agent.store import connections
from smpchat.agent.store.addresses import ReceivedRequest
from smpchat.agent.store.connections import Connection
from smpchat.agent.transactions import connection as agent
from smpchat.agent.wire.links import ContactLink, InvitationLink, parse_link
from smpchat.agent.wire.short_links import ShortContact
from smpchat.chat.machines.group_effects import Effect, Forget, Refused, SaveProfile, Show, Tell
from smpchat.chat.machines.group_links import invited, invited_again
from smpchat.chat.machines.group_states import Group, Link, Standing
from smpchat.chat.store import groups, profiles, records
from smpchat.chat.store.records import Direction
from smpchat.chat.transactions.group_owning import GroupLinkText, GroupOwner
from smpchat.chat.transactions.groups import GroupTransactions
from smpchat.chat.wire.group_encoding import encode_group_event
from smpchat.chat.wire.group_events import Edit, GroupEvent, Invitation, JoinRequest, MemberProfile, Post
from smpchat.chat.wire.group_values import GroupProfile, MemberId, Role
from smpchat.chat.wire.groups import decode_group_messages
from smpchat.chat.wire.profile import Profile
from tests.unit.agent.agents import INSTANT, Recorder
from tests.unit.chat.machines.team import SPEAKS, text
from tests.unit.chat.transactions.test_groups import Someone

TEAM = GroupProfile({"displayName": "team", "fullName": "", "groupPreferences": {"history": {"enable": "on"}}})


class MemberOf(Recorder):
    """Whoever it is: groups in `GroupTransactions`, contacts by themselves; what people see is in the store."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.news: list[Tell] = []
        self.effects: list[Effect] = []
        self.said: GroupTransactions | None = None

    @property
    def groups(self) -> GroupTransactions:
        assert self.said is not None
        return self.said

    @property
    def owner(self) -> GroupOwner:
        return GroupOwner(self.groups)

    def profile(self, tx: sqlite3.Connection, group_id: int | None) -> Profile:
        return Profile(self.name)

    def begun(self, tx: sqlite3.Connection, group_id: int, connection_id: int) -> None:
        self.conversation(tx, group_id)

    def conversation(self, tx: sqlite3.Connection, group_id: int) -> int:
        """The conversation of a group, made once; of the number that no connection has."""
        alias = f"group {group_id}"
        known = tx.execute("SELECT id FROM contacts WHERE alias = ?", (alias,)).fetchone()
        if known is not None:
            return int(known["id"])
        records.insert_contact(tx, -group_id, alias)
        contact = records.contact(tx, alias)
        groups.attach(tx, group_id, contact.id)
        return contact.id

    def perform(self, tx: sqlite3.Connection, group_id: int, effect: Effect) -> None:
        self.effects.append(effect)
        match effect:
            case Show(author, shared_id, post, said_at, hidden=None) if shared_id is not None:
                self.keep(tx, group_id, author, shared_id, post, said_at)
            case SaveProfile(member, profile):
                groups.save_profile(tx, group_id, member, profile)
            case Tell():
                self.news.append(effect)
            case Forget() | Refused():
                pass

    def keep(
        self, tx: sqlite3.Connection, group_id: int, author: MemberId, shared_id: str, post: Post, at: float
    ) -> None:
        contact_id = self.conversation(tx, group_id)
        number = records.insert_message(tx, contact_id, Direction.RECEIVED, post.text, at, shared_id)
        groups.add_message(tx, group_id, number, author, shared_id, post.scope)

    # -- what the agent tells -----------------------------------------------------------------------------------------

    def connection_info(self, tx: sqlite3.Connection, connection_id: int) -> bytes:
        info = self.groups.connection_info(tx, connection_id)
        return encode_group_event(MemberProfile(Profile(self.name))) if info is None else info

    def peer_info_received(self, tx: sqlite3.Connection, connection_id: int, info: bytes) -> str | None:
        connection = connections.load(tx, connection_id)
        if groups.of_connection(tx, connection_id) is None and not connection.plain:
            return None  # a contact's
        return self.groups.peer_info(tx, connection, info)

    def state_changed(self, tx: sqlite3.Connection, connection: Connection) -> None:
        self.groups.state_changed(tx, connection)

    def message_received(
        self, tx: sqlite3.Connection, connection_id: int, body: bytes, sent_at: int, integrity: Integrity
    ) -> bool:
        assert integrity in (Integrity.OK, Integrity.DUPLICATE), integrity
        wanted = self.groups.message(tx, connection_id, body, sent_at)
        if wanted is None:
            for said in decode_group_messages(body):
                if isinstance(said.event, Invitation):
                    self._invited(tx, connection_id, said.event)
        return wanted is True

    def _invited(self, tx: sqlite3.Connection, connection_id: int, event: Invitation) -> None:
        contact = records.contact_of(tx, connection_id)
        assert contact is not None
        known = groups.find(tx, event.invited.member, event.host.member)
        if known is not None:
            before = groups.load(tx, known)
            assert before is not None
            after, refused = invited_again(before, event)
            assert not refused
            groups.save(tx, known, before, after)
            return
        group = invited(event, contact.alias, SPEAKS)
        assert isinstance(group, Group)
        groups.insert(tx, group, contact.id)

    def request_id(self, info: bytes) -> str | None:
        [said] = decode_group_messages(info)
        return said.event.request_id if isinstance(said.event, JoinRequest) else None

    def request_accepted(
        self, tx: sqlite3.Connection, context: Context, connection_id: int, request: ReceivedRequest
    ) -> None:
        assert self.owner.joined(tx, connection_id, request), "nobody has an address here"


class Person(Someone):
    """One of the crowd. In each store the group in question is number 1."""

    application: MemberOf

    def __init__(self, name: str, folder: Path) -> None:
        super().__init__(name, folder, MemberOf(name))
        self.application.said = GroupTransactions(self.context, self.application)
        self.word = name

    @property
    def groups(self) -> GroupTransactions:
        return self.application.groups

    @property
    def owner(self) -> GroupOwner:
        return self.application.owner

    @property
    def group(self) -> Group:
        group = groups.load(self.tx, 1)
        assert group is not None
        return group

    def id_of(self, name: str) -> MemberId:
        """The newest member of that name."""
        found = [id for id, member in self.group.members.items() if member.name == name]
        assert found, (self.word, name)
        return found[-1]

    def links(self) -> dict[str, str]:
        """Who is there, and how far the connection to it is."""
        members = [member for member in self.group.members.values() if not member.gone]
        return {member.name: f"{member.standing.value} {member.link.value}" for member in members}

    def shown(self) -> list[str]:
        """Messages with who wrote them, in order."""
        names = {id: member.name for id, member in self.group.members.items()} | {self.group.own.id: self.word}
        rows = self.tx.execute(
            "SELECT author, text FROM group_messages JOIN messages ON messages.id = message_id ORDER BY message_id"
        )
        return [f"{names.get(MemberId(row['author']), '?')}: {row['text']}" for row in rows]

    def say(self, words: str, **more: object) -> str:
        post = text(words, **more)
        with self.database.transaction() as tx:
            shared_id = self.groups.say(tx, 1, post)
            self.application.keep(tx, 1, self.group.own.id, shared_id, post, self.now)
        return shared_id

    def edits(self, shared_id: str, words: str) -> None:
        event: GroupEvent = Edit(shared_id, {"type": "text", "text": words})
        self.do(lambda tx, context: self.groups.say(tx, 1, event))


class Crowd:
    """Several of them; each relay brings everything, in order, and keeps it for whoever is offline.

    Attributes:
        twice: Each body comes once more, as from a relay that lost our acknowledgement.
    """

    def __init__(self, folder: Path, *names: str, twice: bool = False) -> None:
        self.people = {name: Person(name, folder) for name in names}
        self.offline: set[str] = set()
        self.twice = twice
        self.kept: list[tuple[bytes, bytes]] = []
        self.delivered = 0

    def __getitem__(self, name: str) -> Person:
        return self.people[name]

    def befriend(self, one: str, other: str) -> None:
        """Two become contacts."""
        a, b = self[one], self[other]
        with a.database.transaction() as tx:
            number = agent.invite(tx, a.context, INSTANT)
        a.carry_out()
        link = parse_link(connections.load(a.tx, number).link or "")
        assert isinstance(link, InvitationLink)
        with b.database.transaction() as tx:
            back = agent.join(tx, b.context, link)
        self.settle()
        for person, name, connection_id in ((a, other, number), (b, one, back)):
            with person.database.transaction() as tx:
                records.insert_contact(tx, connection_id, name)
                contact = records.contact(tx, name)
                profiles.save(tx, contact.id, Profile(name))
                records.raise_chat_version(tx, contact.id, 16)
            assert isinstance(connections.load(person.tx, connection_id).state, states.Connected)

    def contact(self, one: str, other: str) -> int:
        """The connection of one's contact."""
        return records.contact(self[one].tx, other).connection_id

    def found(self, owner: str = "host", profile: GroupProfile = TEAM) -> None:
        """A group, in which nobody else is."""
        with self[owner].database.transaction() as tx:
            number = self[owner].owner.create(tx, profile)
            self[owner].application.conversation(tx, number)
        assert number == 1

    def invite(self, name: str, role: Role = Role.MEMBER, by: str = "host") -> None:
        """Somebody gets an invitation, once its queue is there."""
        host = self[by]
        host.do(lambda tx, context: host.owner.invite(tx, 1, self.contact(by, name), role))

    def accept(self, name: str) -> None:
        person = self[name]
        person.do(lambda tx, context: person.groups.accept(tx, 1))

    def let_in(self, *names: str, by: str = "host") -> None:
        """Some come in, one after the other."""
        for name in names:
            if name not in [row["alias"] for row in self[by].tx.execute("SELECT alias FROM contacts")]:
                self.befriend(by, name)
            self.invite(name, by=by)
            self.settle()
            self.accept(name)
            self.settle()

    def open_link(self, owner: str = "host", role: Role = Role.MEMBER) -> GroupLinkText:
        """A link of the group, by which anybody comes in."""
        host = self[owner]
        host.do(lambda tx, context: host.owner.make_link(tx, 1, role))
        host.carry_out()
        link = host.owner.link_text(host.tx, 1)
        assert link is not None
        return link

    def asks(self, name: str, link: str) -> None:
        """Somebody uses the link of a group."""
        person, address = self[name], parse_link(link)
        assert isinstance(address, ContactLink | ShortContact)
        person.do(lambda tx, context: person.groups.request(tx, address))

    def settle(self, most: int | None = None) -> bool:
        """Until nothing moves, or so many bodies were delivered; whether nothing moves."""
        moved, count = True, 0
        while moved:
            moved = False
            for person in self.people.values():
                if person.word in self.offline:
                    continue
                person.carry_out()
                under_way, self.kept = [*self.kept, *person.sent], []
                person.sent = []
                while under_way:
                    if most is not None and count >= most:
                        self.kept += under_way
                        return False
                    brought = self.deliver(*under_way.pop(0))
                    count, moved = count + brought, brought or moved
        return True

    def deliver(self, queue: bytes, body: bytes) -> bool:
        """What a relay got goes to whose queue it is; whether that one is online."""
        for person in self.people.values():
            found = connections.find_receive_queue_by_sender_id(person.tx, queue)
            if found is None:
                continue
            if person.word in self.offline:
                self.kept.append((queue, body))
                return False
            person.began(found.connection_id)
            message_id = person.entropy.random(24)
            person.receive(body, message_id)
            if self.twice and connections.receive_queue(person.tx, found.connection_id) is not None:
                person.receive(body, message_id)
            self.delivered += 1
            return True
        return False

    def whole(self, *names: str) -> None:
        """All of these are in, and connected with each other."""
        for name in names:
            expected = {other: "current connected" for other in names if other != name}
            assert self[name].links() == expected, name
            assert self[name].group.own.standing is Standing.CURRENT
            assert {one.link for one in self[name].group.members.values() if not one.gone} <= {Link.CONNECTED}

    def each(self, *names: str, do: Callable[[Person], object]) -> list[object]:
        return [do(self[name]) for name in names]
