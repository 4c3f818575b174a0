"""How a member joins a group and connects to every other member (group-wire 2 to 4).

::

    host          x.grp.mem.intro      → newcomer       newcomer makes a link
    newcomer      x.grp.mem.inv        → host           with that link
    host          x.grp.mem.fwd        → member         member joins it
    both          x.grp.mem.con        → host           once it works

A connection proves who a member is. Until we are connected to a member, everything that we know about the member comes
only from the host.
"""

from __future__ import annotations

from smpchat.chat.machines.group_effects import (
    Admit,
    Allow,
    Disconnect,
    Effect,
    Forget,
    JoinHost,
    JoinMember,
    MakeLink,
    News,
    Refused,
    Release,
    Repeat,
    SaveProfile,
    Tell,
    Turn,
)
from smpchat.chat.machines.group_inputs import Confirmed
from smpchat.chat.machines.group_rights import Deed, may
from smpchat.chat.machines.group_sending import to_member
from smpchat.chat.machines.group_states import (
    LINKS_PER_MINUTE,
    MAX_MEMBERS,
    MAX_TOLD,
    MAX_UNKNOWN,
    MINUTE,
    Group,
    Link,
    Member,
    Standing,
)
from smpchat.chat.wire.group_events import (
    Agreed,
    GroupEvent,
    Invitation,
    InvitationAccepted,
    LinkInvitation,
    LinkOfMember,
    MemberIntroduced,
    MemberPresents,
    MemberProfile,
    MembersConnected,
)
from smpchat.chat.wire.group_values import Acceptance, MemberId, MemberInfo, Restriction
from smpchat.encoding.record import replace
from smpchat.protocol.version import VersionRange

Step = tuple[Group, tuple[Effect, ...]]
INTRODUCED_SINCE = 2
"""Only members whose app speaks at least this chat version can be introduced (group-wire, versions)."""


# -- joining the group -------------------------------------------------------------------------------------------------


def invited(invitation: Invitation, host_name: str, versions: VersionRange | None) -> Group | Refused:
    """The group that a contact invites us to; nothing is sent until the user accepts the invitation.

    Args:
        host_name: Our name for that contact.
        versions: The chat versions of the contact's app.
    """
    host, own = invitation.host, invitation.invited
    if host.member == own.member:
        return Refused("x.grp.inv", "the host and we have the same id")
    if not may(Deed.INVITE, host.role, own.role):
        return Refused("x.grp.inv", "the host may not invite us with this role")
    if invitation.profile.channel:
        return Refused("x.grp.inv", "the invitation leads to a channel")
    return Group(
        own=Member(own.member, own.role, "", Standing.INVITED),
        host=host.member,
        profile=invitation.profile,
        by_link=False,
        members={host.member: Member(host.member, host.role, host_name, older=True, versions=versions)},
        business=invitation.business,
        invitation=invitation.link,
    )


def invited_again(group: Group, invitation: Invitation) -> Step:
    """The host sends the same invitation again, because it has changed the role that it offers us (group-wire 12, fact
    10)."""
    host, own = invitation.host, invitation.invited
    if group.own.standing is not Standing.INVITED:
        return group, (Refused("x.grp.inv", "we have already accepted or declined this invitation"),)
    if (host.member, own.member, invitation.link) != (group.host, group.own.id, group.invitation):
        return group, (Refused("x.grp.inv", "this invitation does not match the earlier one"),)
    if not may(Deed.INVITE, host.role, own.role):
        return group, (Refused("x.grp.inv", "the host may not invite us with this role"),)
    after = group.changed(own.member, role=own.role).changed(host.member, role=host.role)
    return replace(after, profile=invitation.profile), ()


def answered(answer: LinkInvitation, versions: VersionRange | None) -> Group | Refused:
    """The group that we join through a link, made from the host's answer to our request; or why we refuse the answer.

    Args:
        versions: The chat versions of the host's app.
    """
    host, own = answer.host, answer.invited
    if host.member == own.member:
        return Refused("x.grp.link.inv", "the host and we have the same id")
    if not may(Deed.INVITE, host.role, own.role):
        return Refused("x.grp.link.inv", "the host may not let us in with this role")
    if answer.profile.channel:
        return Refused("x.grp.link.inv", "the link leads to a channel")
    match answer.accepted:
        case Acceptance.PENDING:
            standing = Standing.PENDING
        case Acceptance.REVIEW:
            standing = Standing.REVIEW
        case _:
            # hosts say "accepted" even where moderators still have to decide (group-wire 12, fact 13)
            standing = Standing.REVIEW if answer.profile.reviews else Standing.JOINING
    known_as = Member(
        host.member, host.role, answer.host_name, link=Link.JOINING, older=True, named=False, versions=versions
    )
    return Group(
        own=Member(own.member, own.role, "", standing),
        host=host.member,
        profile=answer.profile,
        by_link=True,
        members={host.member: known_as},
        business=answer.business,
    )


def accept(group: Group) -> Step:
    """The invitation is accepted."""
    if group.own.standing is not Standing.INVITED or group.invitation is None:
        return group, (Refused("accept", "there is no invitation to accept"),)
    after = group.changed(group.own.id, standing=Standing.JOINING).changed(group.host, link=Link.JOINING)
    return replace(after, invitation=None), (JoinHost(group.invitation),)


# -- connecting to members ---------------------------------------------------------------------------------------------


def introduced(group: Group, by: Member, event: MemberIntroduced, now: float) -> Step:
    """``x.grp.mem.intro``: we are new, and the host introduces an older member."""
    info = event.info
    if by.id != group.host or not may(Deed.INTRODUCE, by.role):
        return group, (Refused("x.grp.mem.intro", "the sender is not our host, or may not introduce members"),)
    if info.versions is None or info.versions.maximum < INTRODUCED_SINCE:
        return group, (Refused("x.grp.mem.intro", "the member's app does not support introductions"),)
    known = group.find(info.member)
    if known is not None and known.standing is not Standing.UNKNOWN:
        return group, (Refused("x.grp.mem.intro", "we already know this member"),)
    blocked = event.restriction is Restriction.BLOCKED or (known is not None and known.blocked)
    member = replace(_from(info, by), older=True, link=Link.WANTED, blocked=blocked)
    after, effects = enter(group, member)
    if member.id not in after.members:
        return after, effects
    last, turn = turns(after, now)
    return last, (*effects, SaveProfile(member.id, info.profile), *turn)


def announced_as(info: MemberInfo, by: Member, standing: Standing) -> Member:
    """The record of a newcomer, with what its host ``by`` says of it."""
    return replace(_from(info, by), standing=standing)


def link_came(group: Group, by: Member, event: LinkOfMember, now: float) -> Step:
    """``x.grp.mem.fwd``: a host passes on the link that a newcomer made for us. The link can arrive before the host
    announces the newcomer (group-wire 11, trap 9)."""
    info = event.info
    if not may(Deed.LET_JOIN, by.role, info.role):
        return group, (Refused("x.grp.mem.fwd", "the sender's role does not allow this event"),)
    if info.member == group.own.id:
        return group, (Refused("x.grp.mem.fwd", "the link leads to ourselves"),)
    known, after = group.members.get(info.member), group
    effects: tuple[Effect, ...] = ()
    if known is None or known.standing is Standing.UNKNOWN:
        blocked = known is not None and known.blocked
        after, entered = enter(group, replace(_from(info, by), blocked=blocked))
        known, effects = after.members.get(info.member), (*entered, SaveProfile(info.member, info.profile))
        if known is None:
            return after, entered
    # Only the host that let the newcomer in has the newcomer's link. Another admin could send a link of their own, to
    # pose as the newcomer.
    if known.introducer != by.id:
        return group, (Refused("x.grp.mem.fwd", "the sender is not the host that let the newcomer in"),)
    if known.gone or known.link not in (Link.NONE, Link.TO_JOIN):
        return group, (Refused("x.grp.mem.fwd", "the newcomer has left, or our connection to it has begun"),)
    versions = info.versions or known.versions
    last, turn = turns(after.changed(known.id, link=Link.TO_JOIN, offer=event.link, versions=versions), now)
    return last, (*effects, *turn)


def turns(group: Group, now: float) -> Step:
    """Starts the waiting connections to members, at most `LINKS_PER_MINUTE` in one minute."""
    waiting = [member for member in group.members.values() if member.link in (Link.WANTED, Link.TO_JOIN)]
    if not waiting or not group.active:
        return group, ()
    # A new minute begins when the old one is over, or if the clock was set back.
    fresh = not group.minute <= now < group.minute + MINUTE
    minute, begun = (now, 0) if fresh else (group.minute, group.begun)
    effects: list[Effect] = []
    members = dict(group.members)
    for member in waiting[: max(0, LINKS_PER_MINUTE - begun)]:
        if member.link is Link.WANTED:
            members[member.id] = replace(member, link=Link.MAKING)
            effects.append(MakeLink(member.id))
        else:
            assert member.offer is not None
            members[member.id] = replace(member, link=Link.JOINING, offer=None)
            effects.append(JoinMember(member.id, member.offer))
    return replace(group, members=members, minute=minute, begun=begun + len(effects)), tuple(effects)


def confirmed(group: Group, event: Confirmed) -> Step:
    """Handles the peer's connection info, which says who the peer is before the connection is complete."""
    member = group.members.get(event.member)
    if member is None or member.gone or not group.active:
        return group, (Turn(event.member, "this member is no longer in the group, or we are not"),)
    if member.standing is Standing.INVITED:
        return _newcomer_confirmed(group, member, event.info)
    match event.info:
        case MemberPresents(id, profile) if id == member.id and member.id != group.host:
            after = group.changed(member.id, name=profile.display_name)
            return after, (SaveProfile(member.id, profile), Allow(member.id))
        case Agreed() if member.id == group.host and not group.by_link:
            return group, (Allow(member.id),)
        case LinkInvitation(host, invited=own) if member.id == group.host == host.member and own.member == group.own.id:
            return group, (Allow(member.id),)
    # Only the member for whom this link was made may use it (group-wire 11, trap 10).
    return group.changed(member.id, link=Link.NONE), (Turn(member.id, "not the member for whom the link was made"),)


def _newcomer_confirmed(group: Group, member: Member, info: GroupEvent) -> Step:
    """Handles connection info of a newcomer: an invited contact accepts, or a person who uses our link sends a
    profile."""
    match info:
        case InvitationAccepted(id) if id == member.id and member.link is Link.OFFERED:
            return group, (Allow(member.id),)
        case MemberProfile(profile) if member.link is Link.JOINING:
            after = group.changed(member.id, name=profile.display_name)
            return after, (SaveProfile(member.id, profile), Allow(member.id))
    after, effects = lost(group, member)
    return after, (*effects, Turn(member.id, "not the person for whom the link was made"))


def lost(group: Group, member: Member) -> Step:
    """A connection to a member failed. If the member is an invited contact, we can invite it again. If the member is a
    newcomer who used our group link, we note that it has left."""
    gone = member.standing is Standing.INVITED and member.link is Link.JOINING
    after = group.changed(member.id, link=Link.NONE, offer=None)
    return (replace(after, full=False).changed(member.id, standing=Standing.LEFT) if gone else after), ()


def connected(group: Group, id: MemberId) -> Step:
    """The connection to a member works. Messages that were kept for the member are sent. The host that let the member
    in, or told us of the member, learns that it need not pass on our messages to this member any more."""
    member = group.members.get(id)
    if member is None or member.gone or not group.active:
        return group, (Disconnect((id,)),)
    if member.link is Link.CONNECTED:
        return group, ()
    if member.standing is Standing.INVITED:
        return _came_in(group, member)
    after = group.changed(id, link=Link.CONNECTED)
    if id == group.host:
        if group.own.standing is Standing.JOINING:
            return after.changed(group.own.id, standing=Standing.CURRENT), (Release(id), Tell(News.JOINED))
        if group.own.pending:
            return after, (Release(id), Tell(waits(group.own.standing)))
        return after, (Release(id),)
    effects: tuple[Effect, ...] = (Release(id), Repeat(id), Tell(News.MEMBER_CONNECTED, id))
    if member.introducer is not None:
        after, told = tell_connected(after, id, member.introducer)
        effects += told
    return after, effects


def _came_in(group: Group, newcomer: Member) -> Step:
    by_link = newcomer.link is Link.JOINING
    review = by_link and group.profile.reviews
    standing, news = (Standing.REVIEW, News.MEMBER_REVIEWED) if review else (Standing.CURRENT, News.MEMBER_JOINED)
    after = group.changed(newcomer.id, link=Link.CONNECTED, standing=standing)
    return after, (Release(newcomer.id), Admit(newcomer.id, by_link), Tell(news, newcomer.id, group.own.id))


def waits(standing: Standing) -> News:
    """What the user is told while we wait to be admitted: whether the moderators or the host must decide."""
    return News.REVIEW if standing is Standing.REVIEW else News.PENDING


def tell_connected(group: Group, member: MemberId, host: MemberId) -> Step:
    """``x.grp.mem.con``: tells a host that this member and we are connected, unless this host was told before. The host
    then need not pass our messages on to the member any more."""
    told = group.members[member].told
    if host in told or len(told) >= MAX_TOLD or host not in group.members:
        return group, ()
    return group.changed(member, told=(*told, host)), to_member(group, host, MembersConnected(member))


# -- records ----------------------------------------------------------------------------------------------------------


def enter(group: Group, member: Member) -> Step:
    """A copy of the group with a member added or replaced, if there is room. To make room, the oldest former member or
    unknown author is dropped."""
    if member.id in group.members:
        return group.with_member(member), ()
    unknown = member.standing is Standing.UNKNOWN
    if not unknown and len(group.members) < MAX_MEMBERS:
        return group.with_member(member), ()
    if group.full and not unknown:
        return group, (_NO_ROOM,)
    strangers = [other.id for other in group.members.values() if other.standing is Standing.UNKNOWN]
    if len(group.members) < MAX_MEMBERS and len(strangers) < MAX_UNKNOWN:
        return group.with_member(member), ()
    gone = (other.id for other in group.members.values() if other.gone)
    out = strangers[0] if unknown and strangers else next(gone, strangers[0] if strangers else None)
    if out is not None:
        return group.without(out).with_member(member), (Forget(out),)
    if group.crowded:
        return replace(group, full=True), (_NO_ROOM,)
    return replace(group, full=True, crowded=True), (_NO_ROOM, Tell(News.CROWDED))


_NO_ROOM = Refused("member", "there is no room for another member")


def _from(info: MemberInfo, by: Member) -> Member:
    return Member(info.member, info.role, info.profile.display_name, introducer=by.id, versions=info.versions)
