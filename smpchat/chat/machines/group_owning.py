"""Creates groups of our own, and carries out those actions of ours for which our role must be high enough, such as
inviting and removing members (group-wire 7, 8).

Our own actions are checked as strictly as those of others. `refusal` checks an action beforehand, and returns a
sentence for the user that says why it is not allowed.
"""

from __future__ import annotations

from smpchat.chat.machines.group_effects import (
    AcceptNewcomer,
    Effect,
    Invite,
    MakeLink,
    News,
    Refused,
    RemoveAll,
    SaveGroup,
    Send,
    Tell,
)
from smpchat.chat.machines.group_inputs import Admission, Block, Change, Dissolve, Expel, Grant, Invitee, Joiner
from smpchat.chat.machines.group_links import Step, enter
from smpchat.chat.machines.group_members import out, over
from smpchat.chat.machines.group_rights import Deed, may
from smpchat.chat.machines.group_sending import deliver, deliver_to, is_moderator
from smpchat.chat.machines.group_states import Group, Link, Member, Standing
from smpchat.chat.wire.group_events import (
    GroupChanged,
    GroupDeleted,
    LinkAccepted,
    MemberRemoved,
    MemberRestricted,
    RoleChanged,
)
from smpchat.chat.wire.group_values import Acceptance, Feature, GroupProfile, MemberId, Restriction, Role
from smpchat.encoding.record import replace

_DEEDS = {
    Deed.INVITE: "invite somebody",
    Deed.ACCEPT: "let somebody in",
    Deed.ROLE: "change what members may do",
    Deed.RESTRICT: "block members",
    Deed.REMOVE: "remove members",
    Deed.CHANGE: "change the group",
    Deed.DELETE: "delete the group",
}
_WHO = {
    Role.MODERATOR: "moderators, admins and owners",
    Role.ADMIN: "admins and owners",
    Role.OWNER: "owners",
}
_LEAST = {Deed.ACCEPT: Role.MODERATOR, Deed.RESTRICT: Role.MODERATOR, Deed.CHANGE: Role.OWNER, Deed.DELETE: Role.OWNER}
_NOT_ALLOWED = "we are not in the group, or our role does not allow this"


def found(own: MemberId, profile: GroupProfile) -> Group:
    """A new group of our own, with nobody else in it."""
    return Group(Member(own, Role.OWNER, ""), own, profile, by_link=False, members={})


def refusal(group: Group, deed: Deed, *roles: Role) -> str | None:
    """A sentence that says why we may not do ``deed``; None if we may. ``roles``: the role of the member concerned, the
    role that it gets, or both; neither may be higher than ours."""
    if group.own.standing is not Standing.CURRENT:
        return "You are not in this group."
    role = group.own.role
    if not may(deed, role):
        return f"Only {_WHO[_LEAST.get(deed, Role.ADMIN)]} can {_DEEDS[deed]}; you are {_a(role)}."
    if any(not may(deed, role, other) for other in roles):
        return (
            f"You are {_a(role)}: you cannot do this to a member with a higher role, or give a role higher than yours."
        )
    return None


def _a(role: Role) -> str:
    return f"an {role.word}" if role.word[0] in "aeiou" else f"a {role.word}"


# -- new members -------------------------------------------------------------------------------------------------------


def invite(group: Group, event: Invitee) -> Step:
    """Invites a contact. A repeated invitation has the same link, and may offer another role (group-wire 12, fact
    10)."""
    if refusal(group, Deed.INVITE, event.role) is not None:
        return group, (Refused("invite", _NOT_ALLOWED),)
    known = group.members.get(event.member)
    if known is None:
        member = Member(
            event.member,
            event.role,
            event.name,
            Standing.INVITED,
            Link.MAKING,
            introducer=group.own.id,
            versions=event.versions,
        )
        after, effects = enter(group, member)
        return after, (*effects, MakeLink(member.id)) if member.id in after.members else effects
    if known.standing is not Standing.INVITED or known.link is Link.JOINING:
        return group, (Refused("invite", "this contact is already a member, or is joining"),)
    after = group.changed(known.id, role=event.role)
    match known.link:
        case Link.OFFERED:
            return after, (Invite(known.id),)
        case Link.NONE:  # the link was used by somebody other than the invited contact
            return after.changed(known.id, link=Link.MAKING), (MakeLink(known.id),)
    return after, ()


def joins(group: Group, event: Joiner) -> Step:
    """Somebody uses our link, and becomes a member when the connection works."""
    if refusal(group, Deed.INVITE, event.role) is not None:
        return group, (Refused("x.contact", _NOT_ALLOWED),)
    if event.member in group.members or event.member == group.own.id:
        return group, (Refused("x.contact", "the new member's id is already used"),)
    member = Member(
        event.member,
        event.role,
        event.name,
        Standing.INVITED,
        Link.JOINING,
        introducer=group.own.id,
        versions=event.versions,
    )
    after, effects = enter(group, member)
    if member.id in after.members:
        return after, effects
    # Anybody can make up requests that never become connections. Such requests must not keep the group full for ever,
    # so the oldest of them makes room for a new request.
    waiting = next((one for one in group.members.values() if _has_not_come(one)), None)
    if waiting is None:
        return after, effects
    smaller, ends = out(group, waiting, Standing.LEFT)
    after, effects = enter(smaller, member)
    return after, (*ends, *effects)


def _has_not_come(member: Member) -> bool:
    return member.standing is Standing.INVITED and member.link is Link.JOINING


def admission(group: Group, event: Admission) -> Step:
    """Admits a newcomer who waits for a decision of the moderators."""
    member = group.members.get(event.member)
    if member is None or not member.pending:
        return group, (Refused("accept", "this member is not waiting to be admitted"),)
    if refusal(group, Deed.ACCEPT, event.role) is not None:
        return group, (Refused("accept", _NOT_ALLOWED),)
    after = group.changed(member.id, standing=Standing.CURRENT, role=event.role)
    told = Tell(News.MEMBER_ACCEPTED, member.id, group.own.id)
    if member.introducer == group.own.id:
        return after, (AcceptNewcomer(member.id, ours=True), told)
    # The host that let the newcomer in is told too, and introduces it to the members who do not know it yet.
    moderators = tuple(one for one in group.members.values() if is_moderator(one))
    said = LinkAccepted(Acceptance.ACCEPTED, event.role, member.id)
    return after, (deliver_to(group, said, (member, *moderators)), told)


# -- roles, removing, blocking -----------------------------------------------------------------------------------------


def grant(group: Group, event: Grant) -> Step:
    """Gives a member another role; a contact that has not accepted yet gets the new role with a repeated invitation."""
    member = group.members.get(event.member)
    if member is None or member.gone:
        return group, (Refused("role", "this member is not in the group"),)
    if refusal(group, Deed.ROLE, member.role, event.role) is not None:
        return group, (Refused("role", _NOT_ALLOWED),)
    if member.role is event.role:
        return group, ()
    after = group.changed(member.id, role=event.role)
    if member.standing is Standing.INVITED:
        return after, (Invite(member.id),) if member.link is Link.OFFERED else ()
    return after, (deliver(group, RoleChanged(member.id, event.role)), _told(group, News.ROLE, member, event.role))


def expel(group: Group, event: Expel) -> Step:
    """Removes a member. All members are told. The removed member is told too, before its connection ends (group-wire
    11, trap 13)."""
    member = group.members.get(event.member)
    if member is None or member.gone:
        return group, (Refused("remove", "this member is not in the group"),)
    if refusal(group, Deed.REMOVE, member.role) is not None:
        return group, (Refused("remove", _NOT_ALLOWED),)
    after, effects = out(group, member, Standing.REMOVED)
    if member.standing is Standing.INVITED:  # nobody else knows of the invitation
        return after, effects
    whole = group.profile.allows(Feature.FULL_DELETE, group.own.role)
    messages = (RemoveAll(member.id, group.own.id, whole),) if event.messages else ()
    said = _to_all_and(group, member, MemberRemoved(member.id, event.messages))
    return after, (said, *effects, *messages, _told(group, News.MEMBER_REMOVED, member))


def _to_all_and(group: Group, member: Member, event: MemberRemoved) -> Send:
    """Sends a removal to all members. The removed member may be a newcomer who is not admitted yet. Such a newcomer is
    not among the usual recipients, so it is added to them if our connection to it works."""
    send = deliver(group, event)
    if not member.pending or member.link is not Link.CONNECTED:
        return send
    return replace(send, now=(*send.now, member.id))


def block(group: Group, event: Block) -> Step:
    """Blocks a member for everybody, or unblocks it; the member is not told (group-wire 12, fact 12)."""
    member = group.members.get(event.member)
    if member is None or member.gone or member.standing is Standing.INVITED:
        return group, (Refused("block", "this member is not in the group"),)
    if refusal(group, Deed.RESTRICT, member.role) is not None:
        return group, (Refused("block", _NOT_ALLOWED),)
    if member.blocked is event.blocked:
        return group, ()
    restriction = Restriction.BLOCKED if event.blocked else Restriction.UNRESTRICTED
    said = deliver(group.without(member.id), MemberRestricted(member.id, restriction))
    news = News.MEMBER_BLOCKED if event.blocked else News.MEMBER_UNBLOCKED
    return group.changed(member.id, blocked=event.blocked), (said, _told(group, news, member))


# -- the group --------------------------------------------------------------------------------------------------------


def change(group: Group, event: Change) -> Step:
    """Sends the group's new, complete profile to all members, and to newcomers who are not admitted yet (group-wire
    8)."""
    if refusal(group, Deed.CHANGE) is not None:
        return group, (Refused("change", _NOT_ALLOWED),)
    if event.profile == group.profile:
        return group, ()
    waiting = [member for member in group.members.values() if member.standing is Standing.CURRENT or member.pending]
    effects: tuple[Effect, ...] = (
        deliver_to(group, GroupChanged(event.profile), tuple(waiting)),
        SaveGroup(event.profile),
        Tell(News.CHANGED, by=group.own.id),
    )
    return replace(group, profile=event.profile), effects


def dissolve(group: Group, event: Dissolve) -> Step:
    """Deletes the group for everybody."""
    if refusal(group, Deed.DELETE) is not None:
        return group, (Refused("delete", _NOT_ALLOWED),)
    said = deliver(group, GroupDeleted())
    after, effects = over(group, Standing.DELETED)
    # After the deletion nothing is sent in this group, so nothing is kept for members to whom our connection does not
    # work now.
    return after, (Send(said.event, said.now, (), said.passed_on), *effects, Tell(News.DELETED, by=group.own.id))


def _told(group: Group, news: News, member: Member, role: Role | None = None) -> Tell:
    return Tell(news, member.id, group.own.id, role)
