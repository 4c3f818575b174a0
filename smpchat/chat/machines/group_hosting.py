"""The duties of a host, the member who let newcomers in: it introduces them to the other members, and passes on
messages between two members until these two are connected.

`Hosting` says for each introduced pair whether the newcomer's link was passed on, and which of the two members reported
that they are connected.

Source: group-wire 4, 6, 8 and 12. SimpleX apps stop passing on the messages of both members as soon as one of them
reports the connection. In smpchat, a host that gets one member's report stops passing on the messages of this member,
but not those of the other. The report arrives after all earlier messages of this member, so no message is lost, even if
we were offline. If a member gets a message twice, it recognises the message's id and drops the second copy.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from smpchat.chat.machines.group_effects import Effect, Refused, Send
from smpchat.chat.machines.group_rights import Deed, may
from smpchat.chat.machines.group_sending import FORWARDABLE, SCOPES_SINCE, to_member
from smpchat.chat.machines.group_states import Group, Link, Member, Standing
from smpchat.chat.wire.group_events import (
    Forward,
    GroupEvent,
    HostProfile,
    LinkAccepted,
    LinkForMember,
    LinkOfMember,
    MemberAnnounced,
    MemberIntroduced,
    MemberRestricted,
    Post,
)
from smpchat.chat.wire.group_values import Acceptance, MemberId, MemberInfo, Restriction, Role
from smpchat.chat.wire.profile import Profile
from smpchat.encoding.record import Record, field, replace

INTRODUCED_SINCE = 2
"""Only members whose app speaks at least this chat version can be introduced."""
Pair = tuple[MemberId, MemberId]
"""The id of a newcomer, and the id of a member who was in the group before the newcomer."""


class Introduction(Record):
    """How far we have come in introducing two members to each other: a newcomer, whom we let in, and an older member.

    Attributes:
        asked: We passed the newcomer's link on to the older member.
        reported: Which of the two members have told us that they are connected to each other.
    """

    asked: bool = False
    reported: frozenset[MemberId] = frozenset()


class Hosting(Record):
    """Unfinished introductions in one group: those that are needed to handle one event."""

    pairs: Mapping[Pair, Introduction] = field(default_factory=dict, repr=False)

    def find(self, one: MemberId, other: MemberId) -> Pair | None:
        """The key in ``pairs`` for these two members, whichever of them is the newcomer; None if there is none."""
        return next((pair for pair in ((one, other), (other, one)) if pair in self.pairs), None)

    def with_pair(self, pair: Pair, introduction: Introduction) -> Hosting:
        """A copy in which ``pair`` has this introduction."""
        return Hosting({**self.pairs, pair: introduction})

    def without(self, member: MemberId) -> Hosting:
        """A copy without the introductions of a member who is no longer in the group."""
        return Hosting({pair: known for pair, known in self.pairs.items() if member not in pair})


Step = tuple[Hosting, tuple[Effect, ...]]


# -- admitting newcomers -----------------------------------------------------------------------------------------------


def admit(
    group: Group,
    hosting: Hosting,
    id: MemberId,
    own: Profile,
    profiles: Mapping[MemberId, Profile],
    *,
    by_link: bool,
) -> Step:
    """Our connection to a newcomer works: introduce the newcomer to everybody, and everybody to the newcomer.

    While the newcomer is under review, it is introduced only to moderators.

    Args:
        own: Our profile.
        profiles: The profiles of the group's members.
        by_link: The newcomer joined through our link, so it knows only our name, and now gets our profile.
    """
    newcomer = group.members[id]
    if not may(Deed.ANNOUNCE, group.own.role, newcomer.role):
        return hosting, (Refused("admit", "our role no longer allows us to announce newcomers"),)
    greeting = to_member(group, id, HostProfile(own)) if by_link else ()
    review = newcomer.standing is Standing.REVIEW
    told = [member for member in _others(group, id) if not review or _moderates(member)]
    announcement = MemberAnnounced(_info(newcomer, profiles), id if review else None)
    # the newcomer gets its own announcement too, even in a group of two (group-wire 12, fact 6)
    hearers = told if review else [*told, newcomer]
    if review:
        greeting += to_member(group, id, LinkAccepted(Acceptance.REVIEW, newcomer.role, id))
    after, introductions = introduce(group, hosting, id, told, profiles)
    return after, (*greeting, *((_to_all(announcement, hearers),) if hearers else ()), *introductions)


def accept(
    group: Group,
    hosting: Hosting,
    id: MemberId,
    role: Role,
    profiles: Mapping[MemberId, Profile],
    *,
    said: bool = False,
) -> Step:
    """Moderators have admitted a newcomer: announce the newcomer to the members who did not know of it, and introduce
    these members to the newcomer.

    Args:
        said: Another moderator has admitted the newcomer, and has told the newcomer and the moderators so.
    """
    newcomer = group.members[id]
    if not said and not may(Deed.ACCEPT, group.own.role, role):
        return hosting, (Refused("accept", "our role does not allow us to admit newcomers"),)
    others = _others(group, id)
    moderators = [member for member in others if _moderates(member)]
    rest = [member for member in others if not _moderates(member)]
    welcome = _to_all(LinkAccepted(Acceptance.ACCEPTED, role, id), [newcomer, *moderators])
    announcement = _to_all(MemberAnnounced(_info(replace(newcomer, role=role), profiles)), rest)
    after, introductions = introduce(group, hosting, id, rest, profiles)
    return after, (*(() if said else (welcome,)), *((announcement,) if rest else ()), *introductions)


def introduce(
    group: Group, hosting: Hosting, id: MemberId, members: Iterable[Member], profiles: Mapping[MemberId, Profile]
) -> Step:
    """Introduces these members to a newcomer, each once: admins first, then those with a picture (group-wire 12, fact
    7)."""
    new = [member for member in members if _introducible(member) and hosting.find(id, member.id) is None]
    pairs = {(id, member.id): Introduction() for member in new}
    ordered = sorted(new, key=lambda member: _place(member, profiles.get(member.id)))
    effects: list[Effect] = []
    for member in ordered:
        restriction = Restriction.BLOCKED if member.blocked else None
        effects += to_member(group, id, MemberIntroduced(_info(member, profiles), restriction))
    return Hosting({**hosting.pairs, **pairs}), tuple(effects)


def _place(member: Member, profile: Profile | None) -> int:
    if member.role >= Role.ADMIN:
        return 0
    return 1 if profile is not None and profile.picture is not None else 2


def _introducible(member: Member) -> bool:
    return member.versions is not None and member.speaks >= INTRODUCED_SINCE


def link_came(
    group: Group, hosting: Hosting, by: Member, event: LinkForMember, profiles: Mapping[MemberId, Profile]
) -> Step:
    """``x.grp.mem.inv``: a newcomer sends us its link for another member. We accept it only from a newcomer that we let
    in, and only one link for each member."""
    pair = (by.id, event.member)
    introduction = hosting.pairs.get(pair)
    if introduction is None or introduction.asked or by.gone:
        return hosting, (Refused("x.grp.mem.inv", "we did not introduce these members, or have the link already"),)
    passed_on = LinkOfMember(_info(by, profiles), event.link, event.direct)
    return hosting.with_pair(pair, replace(introduction, asked=True)), to_member(group, event.member, passed_on)


def reported(hosting: Hosting, by: MemberId, member: MemberId) -> Hosting:
    """``x.grp.mem.con``: ``by`` tells us that it is connected to ``member``. We no longer pass on to ``member`` what
    ``by`` says."""
    pair = hosting.find(by, member)
    if pair is None:
        return hosting
    known = hosting.pairs[pair]
    return hosting.with_pair(pair, replace(known, reported=known.reported | {by}))


# -- passing on -------------------------------------------------------------------------------------------------------


def pass_on(group: Group, hosting: Hosting, author: Member, forward: Forward) -> Send | None:
    """The effect that passes an event on to the members who are perhaps not connected to its author; None if nobody
    gets the event from us.

    Args:
        forward: The event in the form in which we pass it on. The kind of the event decides which members get it.
    """
    event = forward.event
    if group.own.role < Role.ADMIN or author.blocked or author.gone or not isinstance(event, FORWARDABLE):
        return None
    to = [
        other
        for other in (group.members.get(id) for id in waiting_for(hosting, author.id))
        if other is not None and other.standing is Standing.CURRENT and _may_see(other, event)
    ]
    return _to_all(forward, to) if to else None


def waiting_for(hosting: Hosting, author: MemberId) -> list[MemberId]:
    """Members to whom we pass on what ``author`` says, because ``author`` has not reported a connection to them."""
    return [
        pair[1] if pair[0] == author else pair[0]
        for pair, known in hosting.pairs.items()
        if author in pair and author not in known.reported
    ]


def _may_see(member: Member, event: GroupEvent) -> bool:
    """Whether a member may get an event. A blocked member is not told of the block; reports go only to moderators, and
    events of a support chat only to moderators and the member whose chat it is."""
    if isinstance(event, MemberRestricted):
        return member.id != event.member
    scope = getattr(event, "scope", None)
    if scope is None and not (isinstance(event, Post) and event.kind == "report"):
        return True
    return _moderates(member) or member.id == scope


# -- recipients --------------------------------------------------------------------------------------------------------


def _others(group: Group, id: MemberId) -> list[Member]:
    return [member for member in group.members.values() if member.standing is Standing.CURRENT and member.id != id]


def _moderates(member: Member) -> bool:
    return member.role >= Role.MODERATOR and member.speaks >= SCOPES_SINCE


def _to_all(event: GroupEvent, members: Iterable[Member]) -> Send:
    """Sends an event to each of these members now, or as soon as our connection to the member works. No other
    member passes on what we send as a host. So we keep the event for members to whom our connection does not work
    yet."""
    known = list(members)
    now = tuple(member.id for member in known if member.link is Link.CONNECTED)
    return Send(event, now, tuple(member.id for member in known if member.link is not Link.CONNECTED))


def _info(member: Member, profiles: Mapping[MemberId, Profile]) -> MemberInfo:
    profile = profiles.get(member.id) or Profile(member.name)
    return MemberInfo(member.id, member.role, profile, member.versions)
