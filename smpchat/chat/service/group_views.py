"""Groups as users see them, with their members, and the state of our connection to each member."""

from __future__ import annotations

import sqlite3

from smpchat.agent.machines.handshake_states import ConnectionState, Role
from smpchat.agent.store import connections
from smpchat.chat.errors import InputError
from smpchat.chat.machines.group_states import Group, Member, Standing
from smpchat.chat.service.views import GroupView, MemberView
from smpchat.chat.store import events, groups, member_names, memberships, names, records
from smpchat.chat.store.feed import describe_state
from smpchat.chat.store.records import Contact
from smpchat.chat.wire.alias import fold
from smpchat.chat.wire.group_values import Feature, MemberId

FEATURES = {
    "reactions": Feature.REACTIONS,
    "voice": Feature.VOICE,
    "files": Feature.FILES,
    "links": Feature.SIMPLEX_LINKS,
    "direct": Feature.DIRECT_MESSAGES,
    "fulldelete": Feature.FULL_DELETE,
    "history": Feature.HISTORY,
}
"""The features that an owner can turn on and off for everybody in the group. The keys of this dict are the names that
users type."""
_OUT = {
    Standing.LEFT: "You left this group.",
    Standing.REMOVED: "You were removed from this group.",
    Standing.DELETED: "This group was deleted.",
}


def of_contact(tx: sqlite3.Connection, contact: Contact) -> GroupView | None:
    """The group to which a conversation belongs; None if the conversation is with a person."""
    group_id = memberships.group_number(contact.connection_id)
    return None if group_id is None else view(tx, group_id, contact.alias)


def view(tx: sqlite3.Connection, group_id: int, alias: str | None) -> GroupView | None:
    """One group; None if there is none with this number."""
    group = groups.load(tx, group_id)
    if group is None:
        return None
    called = member_names.all_of(tx, group_id)
    inviter = groups.inviter(tx, group_id)
    return GroupView(
        id=group_id,
        alias=alias,
        name=group.profile.name,
        inviter=None if inviter is None else names.by_number(tx).get(inviter),
        role=group.own.role.word,
        standing=group.own.standing,
        members=tuple(_member(group, member, called[member.id]) for member in group.members.values()),
        business=group.business is not None,
        description=group.profile.description,
        welcome=group.profile.welcome,
        allows=tuple(name for name, one in FEATURES.items() if group.profile.allows(one, group.own.role)),
        disappear_after=group.profile.disappear_after,
        incognito=groups.incognito(tx, group_id),
    )


def _member(group: Group, member: Member, name: str) -> MemberView:
    return MemberView(
        name=name,
        role=member.role.word,
        standing=member.standing,
        connection=member.link,
        blocked=member.blocked,
        host=member.id == group.host,
        versions="" if member.versions is None else str(member.versions),
    )


def member(tx: sqlite3.Connection, group_id: int, id: MemberId) -> MemberView | None:
    """One member; None if there is none with this id."""
    group = groups.load(tx, group_id)
    known = None if group is None else group.members.get(id)
    return None if group is None or known is None else _member(group, known, member_names.name(tx, group_id, id))


def all_views(tx: sqlite3.Connection) -> list[GroupView]:
    """All groups: first those with a conversation, sorted by alias; then invitations, in the order in which they
    arrived."""
    aliases = {memberships.group_number(contact.connection_id): contact.alias for contact in records.contacts(tx)}
    found = [view(tx, number, aliases.get(number)) for number in groups.numbers(tx)]
    known = [group for group in found if group is not None and (group.alias or group.standing == Standing.INVITED)]
    return sorted(known, key=lambda group: (group.alias is None, fold(group.alias or ""), group.id))


def find(tx: sqlite3.Connection, who: str) -> int:
    """The number of the group with this alias or number, or of the invitation with this name. Raises `InputError`."""
    contact = records.find_contact(tx, who.removeprefix("@").removeprefix("#"))
    if contact is not None:
        number = memberships.group_number(contact.connection_id)
        if number is None:
            raise InputError(f"{contact.alias} is a person, not a group.", "`smpchat groups` lists your groups.")
        return number
    views = [group for group in all_views(tx) if group.alias is None]
    by_number = [group.id for group in views if str(group.id) == who]
    by_name = [group.id for group in views if fold(group.name) == fold(who)]
    matching = by_number or by_name
    if len(matching) > 1:
        raise InputError(f"You are invited to several groups named {who!r}.", "Give the number from `smpchat groups`.")
    if not matching:
        raise InputError(f"There is no group {who!r}.", "`smpchat groups` lists your groups and invitations.")
    return matching[0]


def state(tx: sqlite3.Connection, contact: Contact, now: float) -> events.StateChanged:
    """The state of a group, in the form that is used for connections: *connected* if we are in the group."""
    group_id = memberships.group_number(contact.connection_id)
    group = None if group_id is None else groups.load(tx, group_id)
    assert group_id is not None and group is not None
    standing = group.own.standing
    if standing is Standing.JOINING:
        host = groups.connection_of(tx, group_id, group.host)
        if host is not None:
            return describe_state(connections.load(tx, host), contact, now)
    reached = ConnectionState.CONNECTED
    if standing in _OUT:
        reached = ConnectionState.DELETED
    elif standing is not Standing.CURRENT:
        reached = ConnectionState.READY
    return events.StateChanged(
        connection=contact.connection_id,
        alias=contact.alias,
        role=Role.JOINER,
        variant=None,
        step=3,
        state=reached,
        elapsed_ms=0,
        reason=_OUT.get(standing),
    )
