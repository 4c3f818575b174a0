"""A whole group in memory: members of our machine, and a host that does what apps do (group-wire 4 and 6), or ours.

Each connection brings its messages in order; which one is next, chance decides. Who is offline hears nothing until it
comes back. Nobody looks into anybody.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from smpchat.chat.machines.group_effects import (
    Allow,
    Disconnect,
    Effect,
    JoinMember,
    MakeLink,
    Refused,
    Release,
    Repeat,
    Send,
    Turn,
)
from smpchat.chat.machines.group_hosting import Hosting, admit, link_came, pass_on, reported
from smpchat.chat.machines.group_inputs import Confirmed, Connected, Leave, Linked
from smpchat.chat.machines.group_links import answered
from smpchat.chat.machines.group_sending import FORWARDABLE, deliver
from smpchat.chat.machines.group_states import Group, Link, Member, Standing
from smpchat.chat.wire.bodies import read_envelope
from smpchat.chat.wire.group_encoding import encode_group_event
from smpchat.chat.wire.group_events import (
    Forward,
    GroupEvent,
    HostProfile,
    LinkForMember,
    LinkInvitation,
    LinkOfMember,
    MemberAnnounced,
    MemberIntroduced,
    MemberLeft,
    MemberPresents,
    MembersConnected,
    Post,
)
from smpchat.chat.wire.group_values import GroupProfile, MemberId, MemberIdRole, MemberInfo, Role
from smpchat.chat.wire.groups import decode_group_messages
from smpchat.chat.wire.profile import Profile
from smpchat.encoding.record import replace
from tests.unit.chat.machines.team import HOST, NOW, SPEAKS, text
from tests.unit.chat.machines.view import View

AT = "2027-01-15T07:00:00Z"
TEAM = GroupProfile({"displayName": "team", "fullName": ""})


@dataclass
class Person:
    """A member and its group.

    Attributes:
        later: What waits for connections that do not work yet.
        left: What a host is to pass on, by member.
        unconfirmed: What the host has not heard.
    """

    id: MemberId
    view: View
    later: dict[MemberId, list[bytes]] = field(default_factory=dict)
    left: dict[MemberId, list[bytes]] = field(default_factory=dict)
    unconfirmed: list[bytes] = field(default_factory=list)


@dataclass
class World:
    """Everybody.

    Attributes:
        queues: What is under way, by receiver and sender: what to do when it arrives.
        offline: Who hears nothing for now.
        roles: What the host knows.
        open_pairs: Of those whom it introduced, who have not reported to be connected.
        said: Every message, in the order in which it was written, by author.
        copies: How often a message came to somebody, straight or passed on.
        ours: The host is our own machine.
        repeats: Members say again what a host may not have passed on.
    """

    random: Random
    people: dict[MemberId, Person] = field(default_factory=dict)
    queues: dict[tuple[MemberId, MemberId], deque[Callable[[], None]]] = field(default_factory=dict)
    offline: set[MemberId] = field(default_factory=set)
    roles: dict[MemberId, Role] = field(default_factory=dict)
    open_pairs: set[frozenset[MemberId]] = field(default_factory=set)
    history: list[tuple[MemberId, bytes]] = field(default_factory=list)
    said: dict[MemberId, list[str]] = field(default_factory=dict)
    copies: int = 0
    ours: bool = False
    repeats: bool = True
    hosting: Hosting = field(default_factory=Hosting)
    hosted: Group = field(default_factory=lambda: Group(Member(HOST, Role.OWNER, ""), HOST, TEAM, False, {}))

    # -- going on ---------------------------------------------------------------------------------------------------

    def put(self, to: MemberId, by: MemberId, arrive: Callable[[], None]) -> None:
        self.queues.setdefault((to, by), deque()).append(arrive)

    def step(self) -> bool:
        """One arrival; False if nothing is under way to anybody who listens."""
        ready = [key for key, queue in self.queues.items() if queue and key[0] not in self.offline]
        if not ready:
            return False
        self.queues[self.random.choice(ready)].popleft()()
        return True

    def settle(self) -> None:
        """Everybody is there, until nothing is left."""
        self.offline.clear()
        while self.step():
            pass

    # -- members ----------------------------------------------------------------------------------------------------

    def join(self, name: str, role: Role = Role.MEMBER) -> None:
        """Somebody uses the host's link: they are connected, and the host tells everybody."""
        id = MemberId(name.encode())
        group = answered(LinkInvitation(MemberIdRole(HOST, Role.OWNER), "host", MemberIdRole(id, role), TEAM), SPEAKS)
        assert not isinstance(group, Refused)
        person = self.people[id] = Person(id, View(group))
        self.put(id, HOST, lambda: self._do(person, person.view.happens(Connected(HOST))))
        self.put(HOST, id, lambda: self._admit(id, role))

    def say(self, id: MemberId, words: str) -> None:
        """A member writes."""
        person, post = self.people[id], text(words)
        person.view.says(words, post, NOW)
        self.said.setdefault(id, []).append(words)
        self._send(person, deliver(person.view.group, post), words)

    def leave(self, id: MemberId) -> None:
        person = self.people[id]
        self._do(person, person.view.happens(Leave()))

    def _do(self, person: Person, found: tuple[Effect, ...]) -> None:
        for effect in found:
            match effect:
                case MakeLink(member):
                    self.put(person.id, person.id, lambda member=member: self._linked(person, member))  # type: ignore[misc]
                case JoinMember(member):
                    presents = MemberPresents(person.id, Profile(person.id.decode()))
                    self.put(member, person.id, lambda m=member, p=presents: self._confirm(m, person.id, p, 1))  # type: ignore[misc]
                case Send():
                    self._send(person, effect, f"{person.id.decode()}-{self.random.random()}")
                case Release(member):
                    for body in person.later.pop(member, []):
                        self._carry(member, person.id, body)
                case Repeat(member) if self.repeats:
                    missed = [*person.left.pop(member, []), *person.unconfirmed]
                    for body in dict.fromkeys(missed):
                        self._carry(member, person.id, body)
                case Disconnect(members):
                    for member in members:
                        self.queues.pop((person.id, member), None)
                case Turn():
                    raise AssertionError("nobody is turned away here")

    def _linked(self, person: Person, member: MemberId) -> None:
        self._do(person, person.view.happens(Linked(member, f"simplex:/{person.id.decode()}-{member.decode()}")))

    def _confirm(self, to: MemberId, by: MemberId, presents: MemberPresents, stage: int) -> None:
        """Who we are, there and back; then it works on both sides."""
        person = self.people[to]
        found = person.view.happens(Confirmed(by, presents))
        if not any(isinstance(effect, Allow) for effect in found):
            return
        if stage == 1:
            own = MemberPresents(to, Profile(to.decode()))
            self.put(by, to, lambda: self._confirm(by, to, own, 2))
            self.put(to, by, lambda: self._do(person, person.view.happens(Connected(by))))
        else:
            self._do(person, person.view.happens(Connected(by)))

    def _send(self, person: Person, send: Send, shared_id: str) -> None:
        body = encode_group_event(send.event, shared_id.encode().hex())
        for member in send.now:
            self._carry(member, person.id, body)
        for member in send.passed_on:
            person.left.setdefault(member, []).append(body)
        if isinstance(send.event, FORWARDABLE):
            person.unconfirmed.append(body)
        for member in send.later:
            person.later.setdefault(member, []).append(body)

    def _carry(self, to: MemberId, by: MemberId, body: bytes) -> None:
        self.put(to, by, lambda: self._host_hears(by, body) if to == HOST else self._hears(to, by, body))

    def _hears(self, to: MemberId, by: MemberId, body: bytes) -> None:
        person = self.people[to]
        for said in decode_group_messages(body):
            self.copies += isinstance(said.event, Post) or (
                isinstance(said.event, Forward) and isinstance(said.event.event, Post)
            )
            self._do(person, person.view.hears(by, said, NOW))

    # -- the host ---------------------------------------------------------------------------------------------------

    def _host_says(self, to: MemberId, event: GroupEvent) -> None:
        self._carry(to, HOST, encode_group_event(event, f"host{self.random.random()}".encode().hex()))

    def _info(self, id: MemberId) -> MemberInfo:
        return MemberInfo(id, self.roles[id], Profile(id.decode()), SPEAKS)

    def _profiles(self) -> dict[MemberId, Profile]:
        return {id: Profile(id.decode()) for id in self.roles}

    def _host_does(self, step: tuple[Hosting, tuple[Effect, ...]]) -> None:
        self.hosting, found = step
        for effect in found:
            assert isinstance(effect, Send), effect
            assert effect.later == effect.passed_on == ()
            for member in effect.now:
                self._host_says(member, effect.event)

    def _admit(self, id: MemberId, role: Role) -> None:
        if self.ours:
            self.roles[id] = role
            newcomer = Member(id, role, id.decode(), link=Link.CONNECTED, introducer=HOST, versions=SPEAKS)
            self.hosted = self.hosted.with_member(newcomer)
            profile = Profile("host")
            self._host_does(admit(self.hosted, self.hosting, id, profile, self._profiles(), by_link=True))
            for author, body in self.history:
                self._host_says(id, self._forward(author, body))
            return
        older = list(self.roles)
        self.roles[id] = role
        self._host_says(id, HostProfile(Profile("host")))
        for other in older:
            self._host_says(other, MemberAnnounced(self._info(id)))
            self._host_says(id, MemberIntroduced(self._info(other)))
            self.open_pairs.add(frozenset((id, other)))
        for author, body in self.history:
            self._host_says(id, self._forward(author, body))

    @staticmethod
    def _forward(author: MemberId, body: bytes) -> Forward:
        return Forward(author, read_envelope(json.loads(body)), None, AT, author.decode())

    def _host_hears(self, by: MemberId, body: bytes) -> None:
        [said] = decode_group_messages(body)
        person = self.people[by]
        person.unconfirmed = [other for other in person.unconfirmed if other != body]
        if by not in self.roles:
            return
        if isinstance(said.event, Post):
            self.history.append((by, body))
        if self.ours:
            self._our_host_hears(by, body, said.event)
            return
        match said.event:
            case LinkForMember(member, link) if member in self.roles:
                self._host_says(member, LinkOfMember(self._info(by), link))
            case MembersConnected(member):
                self.open_pairs.discard(frozenset((by, member)))
        if isinstance(said.event, FORWARDABLE):
            for other in self.roles:
                if frozenset((by, other)) in self.open_pairs:
                    self._host_says(other, self._forward(by, body))
        if isinstance(said.event, MemberLeft):
            del self.roles[by]
            self.open_pairs = {pair for pair in self.open_pairs if by not in pair}

    def _our_host_hears(self, by: MemberId, body: bytes, event: GroupEvent) -> None:
        member = self.hosted.members[by]
        match event:
            case LinkForMember():
                self._host_does(link_came(self.hosted, self.hosting, member, event, self._profiles()))
            case MembersConnected(other):
                self.hosting = reported(self.hosting, by, other)
        if isinstance(event, FORWARDABLE):
            passed_on = replace(self._forward(by, body), event=event)
            sent = pass_on(self.hosted, self.hosting, member, passed_on)
            self._host_does((self.hosting, () if sent is None else (sent,)))
        if isinstance(event, MemberLeft):
            del self.roles[by]
            self.hosting = self.hosting.without(by)
            self.hosted = self.hosted.changed(by, standing=Standing.LEFT)

    # -- what came of it --------------------------------------------------------------------------------------------

    def current(self) -> list[Person]:
        """Who is in."""
        return [person for person in self.people.values() if person.view.group.own.standing is Standing.CURRENT]

    def heard_by(self, person: Person, author: MemberId) -> list[str]:
        """What a member has of another, in its order."""
        return [line.text for line in person.view.lines.values() if line.author == author]
