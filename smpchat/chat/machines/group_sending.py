"""Decides which members get our messages and events, and how: directly, later, or through a host (group-wire 5 and
7.1)."""

from __future__ import annotations

from smpchat.chat.machines.group_effects import Effect, Send
from smpchat.chat.machines.group_rights import Deed, may
from smpchat.chat.machines.group_states import Group, Link, Member, Standing
from smpchat.chat.wire.group_events import (
    Deletion,
    Edit,
    FileDescribed,
    FileWithdrawn,
    GroupChanged,
    GroupDeleted,
    GroupEvent,
    MemberAnnounced,
    MemberLeft,
    MemberProfile,
    MemberRemoved,
    MemberRestricted,
    Post,
    PreferencesChanged,
    Reaction,
    RoleChanged,
)
from smpchat.chat.wire.group_values import MemberId, Role
from smpchat.chat.wire.profile import Profile

FORWARDS_SINCE = 4
"""Since this chat version, hosts pass on messages between two members who are not connected to each other yet."""
PROFILES_SINCE = 7
"""Since this chat version, apps accept a member's new profile in a group."""
SCOPES_SINCE = 15
"""Since this chat version, apps keep support chats separate from the conversation of the whole group."""
MAX_RECEIPTS = 20
"""In groups with at most this many current members, the author of a message gets receipts for it."""
FORWARDABLE = (
    *(Post, Edit, Deletion, Reaction, FileDescribed, FileWithdrawn, MemberProfile, MemberAnnounced),
    *(RoleChanged, MemberRestricted, MemberRemoved, MemberLeft, GroupDeleted, GroupChanged, PreferencesChanged),
)


def scope_of(group: Group, scope: MemberId | None) -> MemberId | None:
    """The member to whose support chat our message belongs; None if it is for everybody. While we wait to be admitted,
    we can write only in our own support chat. After that, ``scope`` counts."""
    return group.own.id if group.own.pending else scope


def may_say(group: Group, event: GroupEvent) -> str | None:
    """Why we may not send this event to the group; None if we may."""
    if group.own.standing not in (Standing.CURRENT, Standing.PENDING, Standing.REVIEW):
        return "You are not in this group."
    scoped = group.own.pending or (isinstance(event, Post | Edit) and event.scope is not None)
    if isinstance(event, Post | Edit) and not scoped and not may(Deed.WRITE, group.own.role):
        return "You are an observer in this group: you can read, react and leave, but not write."
    return None


def recipients(group: Group, scope: MemberId | None = None) -> tuple[Member, ...]:
    """The members who should get our message, whether our connections to them work or not."""
    scope = scope_of(group, scope)
    others = group.members.values()
    if scope is None:
        return tuple(member for member in others if member.standing is Standing.CURRENT)
    if group.own.standing is Standing.PENDING:
        return (group.members[group.host],)
    whose = group.members.get(scope)
    if whose is not None and whose.standing is Standing.PENDING:
        return (whose,)
    return tuple(member for member in others if member is whose or is_moderator(member))


def is_moderator(member: Member) -> bool:
    """Whether this member gets reports and the messages of support chats."""
    current = member.standing is Standing.CURRENT and member.role >= Role.MODERATOR
    return current and member.speaks >= SCOPES_SINCE


def deliver(group: Group, event: GroupEvent, scope: MemberId | None = None) -> Send:
    """Sends one event to all members who should get it."""
    return _send(group, event, recipients(group, scope))


def deliver_to(group: Group, event: GroupEvent, members: tuple[Member, ...]) -> Send:
    """Sends one event to these members: directly, later or through a host."""
    return _send(group, event, members)


def deliver_profile(group: Group, profile: Profile) -> Send:
    """Sends our current profile to all current members whose apps accept it. Call this right before you send a
    message."""
    everybody = recipients(group)
    return _send(
        group, MemberProfile(profile), tuple(member for member in everybody if member.speaks >= PROFILES_SINCE)
    )


def wants_receipts(group: Group) -> bool:
    """Whether the group is small enough for receipts. The user's own setting for receipts is checked elsewhere."""
    return group.size <= MAX_RECEIPTS


def to_member(group: Group, id: MemberId, event: GroupEvent) -> tuple[Effect, ...]:
    """Sends one event to one member, if the member is still in the group."""
    member = group.members.get(id)
    if member is None or member.gone:
        return ()
    if member.link is Link.CONNECTED:
        return (Send(event, (id,)),)
    return (Send(event, (), later=(id,)),)


def _send(group: Group, event: GroupEvent, to: tuple[Member, ...]) -> Send:
    now, later, passed_on = [], [], []
    for member in to:
        if member.link is Link.CONNECTED:
            now.append(member.id)
        elif _passed_on(group, member, event):
            passed_on.append(member.id)
        else:
            later.append(member.id)
    return Send(event, tuple(now), tuple(later), tuple(passed_on))


def _passed_on(group: Group, member: Member, event: GroupEvent) -> bool:
    """Whether a host passes our event on to this member. If a host does, we do not send the event later ourselves: the
    member would get it twice (group-wire 11, trap 6)."""
    host = group.members.get(group.host if member.older else member.introducer or b"")  # type: ignore[arg-type]
    if member.id == group.host or host is None or not isinstance(event, FORWARDABLE):
        return False
    return min(member.speaks, host.speaks) >= FORWARDS_SINCE
