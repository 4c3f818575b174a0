"""Handles what members say about each other and about the group: who joins or leaves, and who has which role
(group-wire 7)."""

from __future__ import annotations

from smpchat.chat.machines.group_effects import (
    AcceptNewcomer,
    Disconnect,
    Effect,
    News,
    Refused,
    RemoveAll,
    SaveGroup,
    SaveProfile,
    Tell,
)
from smpchat.chat.machines.group_links import Step, announced_as, enter, waits
from smpchat.chat.machines.group_rights import Deed, may
from smpchat.chat.machines.group_states import Group, Link, Member, Standing, unknown_name
from smpchat.chat.wire.group_events import (
    HostProfile,
    LinkAccepted,
    MemberAnnounced,
    MemberProfile,
    MemberRemoved,
    MemberRestricted,
    RoleChanged,
)
from smpchat.chat.wire.group_values import Acceptance, Feature, GroupProfile, JsonObject, MemberId, Restriction, Role
from smpchat.encoding.record import replace


def announced(group: Group, by: Member, event: MemberAnnounced) -> Step:
    """``x.grp.mem.new``: a host announces a newcomer."""
    info = event.info
    if not may(Deed.ANNOUNCE, by.role, info.role):
        return group, (Refused("x.grp.mem.new", "the author's role does not allow this event"),)
    if info.member == group.own.id:
        return group, ()
    # Only moderators may know of a newcomer under review, so a member who is not a moderator ignores the announcement
    # of such a newcomer.
    if event.scope is not None and (event.scope != info.member or group.own.role < Role.MODERATOR):
        return group, (Refused("x.grp.mem.new", "a newcomer under review, of whom only moderators may know"),)
    known = group.members.get(info.member)
    if known is not None and known.standing is not Standing.UNKNOWN:
        return group, (Refused("x.grp.mem.new", "we already know this member"),)
    standing = Standing.CURRENT if event.scope is None else Standing.REVIEW
    member = announced_as(info, by, standing)
    if known is not None:
        member = replace(member, blocked=known.blocked)
    after, effects = enter(group, member)
    if member.id not in after.members:
        return after, effects
    news = News.MEMBER_JOINED if event.scope is None else News.MEMBER_REVIEWED
    return after, (*effects, SaveProfile(member.id, info.profile), Tell(news, member.id, by.id))


def accepted(group: Group, by: Member, event: LinkAccepted) -> Step:
    """``x.grp.link.acpt``: we are admitted, or another newcomer is."""
    if not may(Deed.ACCEPT, by.role, event.role):
        return group, (Refused("x.grp.link.acpt", "the author's role does not allow this event"),)
    if event.member == group.own.id:
        return _we_are_accepted(group, event)
    member = group.members.get(event.member)
    if member is None or not member.pending:
        return group, (Refused("x.grp.link.acpt", "this member is not waiting to be admitted"),)
    if event.acceptance is not Acceptance.ACCEPTED:
        return group.changed(member.id, standing=_standing(event.acceptance)), ()
    after = group.changed(member.id, standing=Standing.CURRENT, role=event.role)
    ours = (AcceptNewcomer(member.id, ours=False),) if member.introducer == group.own.id else ()
    return after, (*ours, Tell(News.MEMBER_ACCEPTED, member.id, by.id))


def _we_are_accepted(group: Group, event: LinkAccepted) -> Step:
    own = group.own
    if own.standing is Standing.CURRENT:
        return group, (Refused("x.grp.link.acpt", "we are in the group already"),)
    standing = _standing(event.acceptance)
    # If we are accepted before our connection to the host works, we are still joining. As soon as the connection works,
    # `smpchat.chat.machines.group_links.connected` makes us a current member, and tells the user.
    if standing is Standing.CURRENT and group.members[group.host].link is not Link.CONNECTED:
        standing = Standing.JOINING
    after = group.changed(own.id, standing=standing, role=event.role)
    if standing is Standing.CURRENT:
        return after, (Tell(News.ACCEPTED),)
    return after, (Tell(waits(standing)),) if after.own.pending and own.standing is not standing else ()


def _standing(acceptance: Acceptance) -> Standing:
    match acceptance:
        case Acceptance.ACCEPTED:
            return Standing.CURRENT
        case Acceptance.REVIEW:
            return Standing.REVIEW
        case Acceptance.PENDING:
            return Standing.PENDING


def host_named(group: Group, by: Member, event: HostProfile) -> Step:
    """``x.grp.link.mem``: the host's profile; accepted only once, and only from the host of a group that we joined by a
    link (group-wire 11, trap 11)."""
    if by.id != group.host or not group.by_link or by.named:
        return group, (Refused("x.grp.link.mem", "we expect no profile from this member"),)
    after = group.changed(by.id, name=event.profile.display_name, named=True)
    return after, (SaveProfile(by.id, event.profile),)


def renamed(group: Group, by: Member, event: MemberProfile) -> Step:
    """``x.info``: a member has a new profile."""
    name = event.profile.display_name
    effects: tuple[Effect, ...] = (SaveProfile(by.id, event.profile),)
    if name != by.name:
        effects += (Tell(News.RENAMED, by.id, before=by.name),)
    return group.changed(by.id, name=name), effects


def role_changed(group: Group, by: Member, event: RoleChanged) -> Step:
    """``x.grp.mem.role``: a member gets another role; the member may be us."""
    target = group.find(event.member)
    if target is None or target.gone:
        return group, (Refused("x.grp.mem.role", "the member whose role changes is not in the group"),)
    if not may(Deed.ROLE, by.role, target.role):
        return group, (Refused("x.grp.mem.role", "the author's role does not allow this event"),)
    if target.role is event.role:
        return group, ()
    after = group.changed(target.id, role=event.role)
    return after, (Tell(News.ROLE, target.id, by.id, event.role),)


def restricted(group: Group, by: Member, event: MemberRestricted) -> Step:
    """``x.grp.mem.restrict``: a member is blocked or unblocked; refused if that member is us (group-wire 7)."""
    target = group.members.get(event.member)
    if event.member == group.own.id:
        return group, (Refused("x.grp.mem.restrict", "the blocked member is us"),)
    if not may(Deed.RESTRICT, by.role, target.role if target else None):
        return group, (Refused("x.grp.mem.restrict", "the author's role does not allow this event"),)
    blocked = event.restriction is Restriction.BLOCKED
    effects: tuple[Effect, ...] = ()
    if target is None:
        group, effects = enter(group, unknown(event.member))
        target = group.members.get(event.member)
    if target is None or target.blocked is blocked:
        return group, effects
    news = News.MEMBER_BLOCKED if blocked else News.MEMBER_UNBLOCKED
    return group.changed(target.id, blocked=blocked), (*effects, Tell(news, target.id, by.id))


def removed(group: Group, by: Member, event: MemberRemoved) -> Step:
    """``x.grp.mem.del``: we are removed, or another member is."""
    target = group.find(event.member)
    if target is None:
        return group, (Refused("x.grp.mem.del", "we do not know the removed member"),)
    if not may(Deed.REMOVE, by.role, target.role):
        return group, (Refused("x.grp.mem.del", "the author's role does not allow this event"),)
    if target.gone:
        return group, ()
    whole = group.profile.allows(Feature.FULL_DELETE, by.role)
    messages = (RemoveAll(target.id, by.id, whole),) if event.messages else ()
    if target.id == group.own.id:
        after, effects = over(group, Standing.REMOVED)
        return after, (*effects, *messages, Tell(News.REMOVED, by=by.id))
    after, effects = out(group, target, Standing.REMOVED)
    return after, (*effects, *messages, Tell(News.MEMBER_REMOVED, target.id, by.id))


def left(group: Group, by: Member) -> Step:
    """``x.grp.leave``: a member leaves the group."""
    after, effects = out(group, by, Standing.LEFT)
    return after, (*effects, Tell(News.MEMBER_LEFT, by.id))


def deleted(group: Group, by: Member) -> Step:
    """``x.grp.del``: an owner deletes the group for everybody."""
    if not may(Deed.DELETE, by.role):
        return group, (Refused("x.grp.del", "the author is not an owner"),)
    after, effects = over(group, Standing.DELETED)
    return after, (*effects, Tell(News.DELETED, by=by.id))


def changed(group: Group, by: Member, profile: GroupProfile) -> Step:
    """``x.grp.info``: the group gets a new profile; in a business chat, only the preferences in it count (group-wire
    7)."""
    if not may(Deed.CHANGE, by.role):
        return group, (Refused("x.grp.info", "the author is not an owner"),)
    if group.business is not None:
        profile = group.profile.with_preferences(profile.preferences)
    return _with_profile(group, by, profile)


def preferences_changed(group: Group, by: Member, preferences: JsonObject) -> Step:
    """``x.grp.prefs``: the group gets new preferences."""
    if not may(Deed.PREFERENCES, by.role):
        return group, (Refused("x.grp.prefs", "the author is not an owner"),)
    return _with_profile(group, by, group.profile.with_preferences(preferences))


def _with_profile(group: Group, by: Member, profile: GroupProfile) -> Step:
    if profile == group.profile:
        return group, ()
    return replace(group, profile=profile), (SaveGroup(profile), Tell(News.CHANGED, by=by.id))


def out(group: Group, member: Member, standing: Standing) -> Step:
    """A member has left, or was removed. The member's record stays, because messages refer to it."""
    after = replace(group, full=False).changed(member.id, standing=standing, link=Link.NONE, offer=None)
    return after, (Disconnect((member.id,)),) if _has_connection(member) else ()


def over(group: Group, standing: Standing) -> Step:
    """We are no longer in the group: all connections end, the messages stay."""
    ends = tuple(member.id for member in group.members.values() if _has_connection(member))
    members = {id: replace(member, link=Link.NONE, offer=None) for id, member in group.members.items()}
    after = replace(group, members=members, invitation=None).changed(group.own.id, standing=standing)
    return after, (Disconnect(ends),) if ends else ()


def _has_connection(member: Member) -> bool:
    return member.link not in (Link.NONE, Link.WANTED, Link.TO_JOIN)


def unknown(member: MemberId, name: str | None = None) -> Member:
    """The record of a member whom we know only from what others told us or passed on."""
    # apps give unknown members the lowest role that may write, so that their passed-on messages can be shown
    return Member(member, Role.AUTHOR, name or unknown_name(member), Standing.UNKNOWN, named=False)
