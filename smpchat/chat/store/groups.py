"""Stores the state of groups. A group is loaded before the state machine handles an event of the group; afterwards,
the changes that the machine has made are saved.

The tables of groups contain the members, their connections, and the ids of events that have arrived. The texts of
messages to groups are in the same table as those of other conversations.
"""

from __future__ import annotations

import json
import sqlite3
from functools import lru_cache
from typing import Any

from smpchat.chat.machines.group_inputs import Asked, Item, Known, Seen
from smpchat.chat.machines.group_states import Group, Link, Member, Standing
from smpchat.chat.wire.group_values import (
    Business,
    GroupProfile,
    MemberId,
    Role,
    business_params,
    read_business,
    read_versions,
)
from smpchat.chat.wire.profile import Profile
from smpchat.encoding.record import Record

KEPT_HEARD = 20_000
"""At most this many event ids are kept for one group; the oldest are dropped. The ids are kept so that no event counts
twice."""
KEPT_EARLY = 1_000
"""Reactions and deletions can arrive before the message that they concern. At most this many of each are kept for one
group until the message arrives; the oldest are dropped."""
KEPT_LEFT = 1_000
"""Copies of our messages are kept for members to whom we have no connection yet: at most this many in one group; the
oldest are dropped. As soon as we are connected to a member, we send the copies that are kept for this member, even if a
host has passed the messages on before."""

MEMBERS_IN_MEMORY = 4_096
"""At most this many members stay in memory after they were read from the store. This is enough for four groups of the
largest size."""
KEPT_INVITATIONS = 20
"""At most this many unanswered invitations from one contact are kept; the oldest are dropped."""


class Place(Record):
    """The group and member to which a connection belongs.

    Attributes:
        group: Number of the group.
        member: The member at the other end of the connection.
    """

    group: int
    member: MemberId


# -- the group --------------------------------------------------------------------------------------------------------


def insert(tx: sqlite3.Connection, group: Group, inviter_id: int | None = None) -> int:
    """Saves a new group, and returns its number. ``inviter_id``: number of the contact who invites us, or None."""
    cursor = tx.execute(
        "INSERT INTO groups (inviter_id, profile, own, role, standing, host, by_link, business)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            inviter_id,
            _json(group.profile.value),
            group.own.id,
            group.own.role,
            group.own.standing,
            group.host,
            group.by_link,
            _json(business_params(group.business)) if group.business else None,
        ),
    )
    assert cursor.lastrowid is not None
    _save_state(tx, cursor.lastrowid, group)
    for member in group.members.values():
        _insert_member(tx, cursor.lastrowid, member)
    return cursor.lastrowid


def load(tx: sqlite3.Connection, group_id: int) -> Group | None:
    """The state of a group, for the state machine of groups; None if there is no such group."""
    row = tx.execute("SELECT * FROM groups WHERE id = ?", (group_id,)).fetchone()
    if row is None:
        return None
    members = tx.execute(f"SELECT {_MEMBER} FROM group_members WHERE group_id = ? ORDER BY place", (group_id,))
    return Group(
        own=Member(MemberId(row["own"]), Role(row["role"]), "", Standing(row["standing"])),
        host=MemberId(row["host"]),
        profile=GroupProfile(json.loads(row["profile"])),
        by_link=bool(row["by_link"]),
        members={member.id: member for member in (_member_from(*row) for row in members)},
        business=_business(row["business"]),
        invitation=row["invitation"],
        minute=row["minute"],
        begun=row["begun"],
        full=bool(row["full"]),
        crowded=bool(row["crowded"]),
    )


def save(tx: sqlite3.Connection, group_id: int, before: Group, after: Group) -> None:
    """Saves all differences between ``before`` and ``after``, two states of a group."""
    if before is after:
        return
    if before.profile is not after.profile:
        tx.execute("UPDATE groups SET profile = ? WHERE id = ?", (_json(after.profile.value), group_id))
    _save_state(tx, group_id, after)
    for id, member in after.members.items():
        known = before.members.get(id)
        if known is None:
            _insert_member(tx, group_id, member)
        elif known is not member:
            _save_member(tx, group_id, member)
    for id in before.members.keys() - after.members.keys():
        tx.execute("DELETE FROM group_members WHERE group_id = ? AND member = ?", (group_id, id))


def _save_state(tx: sqlite3.Connection, group_id: int, group: Group) -> None:
    tx.execute(
        "UPDATE groups SET role = ?, standing = ?, invitation = ?, minute = ?, begun = ?, full = ?, crowded = ?"
        " WHERE id = ?",
        (
            *(group.own.role, group.own.standing, group.invitation, group.minute, group.begun, group.full),
            *(group.crowded, group_id),
        ),
    )


def own_id(tx: sqlite3.Connection, group_id: int) -> MemberId:
    """Our member id in a group; the group must exist."""
    [own] = tx.execute("SELECT own FROM groups WHERE id = ?", (group_id,)).fetchone()
    return MemberId(own)


def host_of(tx: sqlite3.Connection, group_id: int) -> MemberId | None:
    """The member who let us into a group, or ourselves if we created the group; None if the group is deleted."""
    row = tx.execute("SELECT host FROM groups WHERE id = ?", (group_id,)).fetchone()
    return None if row is None else MemberId(row["host"])


def save_incognito(tx: sqlite3.Connection, group_id: int, name: str | None) -> None:
    """Saves the made-up name by which the members of a group know us; None if they know our profile."""
    tx.execute("UPDATE groups SET incognito = ? WHERE id = ?", (name, group_id))


def incognito(tx: sqlite3.Connection, group_id: int) -> str | None:
    """The made-up name by which the members of a group know us; None if they know our profile."""
    row = tx.execute("SELECT incognito FROM groups WHERE id = ?", (group_id,)).fetchone()
    return None if row is None else row["incognito"]


def numbers(tx: sqlite3.Connection) -> list[int]:
    """The numbers of all groups."""
    return [row["id"] for row in tx.execute("SELECT id FROM groups ORDER BY id")]


def inviter(tx: sqlite3.Connection, group_id: int) -> int | None:
    """The number of the contact who invited us; None if no contact did, or the contact was deleted."""
    row = tx.execute("SELECT inviter_id FROM groups WHERE id = ?", (group_id,)).fetchone()
    return None if row is None else row["inviter_id"]


def attach(tx: sqlite3.Connection, group_id: int, contact_id: int) -> None:
    """Saves which contact represents a group in the list of conversations."""
    tx.execute("UPDATE groups SET contact_id = ? WHERE id = ?", (contact_id, group_id))


def of_contact(tx: sqlite3.Connection, contact_id: int) -> int | None:
    """The number of the group that this contact represents; None if the contact is a person."""
    row = tx.execute("SELECT id FROM groups WHERE contact_id = ?", (contact_id,)).fetchone()
    return None if row is None else int(row["id"])


def invitations(tx: sqlite3.Connection) -> list[int]:
    """The numbers of the groups whose invitations we have not answered, oldest invitation first."""
    rows = tx.execute("SELECT id FROM groups WHERE standing = ? ORDER BY id", (Standing.INVITED,))
    return [row["id"] for row in rows]


def forget_old_invitations(tx: sqlite3.Connection, inviter_id: int) -> None:
    """Drops the oldest unanswered invitations of a contact, so that at most `KEPT_INVITATIONS` are left."""
    tx.execute(
        "DELETE FROM groups WHERE inviter_id = :inviter AND standing = :invited AND id <= (SELECT id FROM groups"
        " WHERE inviter_id = :inviter AND standing = :invited ORDER BY id DESC LIMIT 1 OFFSET :kept)",
        {"inviter": inviter_id, "invited": Standing.INVITED, "kept": KEPT_INVITATIONS},
    )


def forget(tx: sqlite3.Connection, group_id: int) -> None:
    """Deletes a group that has no conversation. If a group has a conversation, deleting the conversation deletes the
    group too."""
    tx.execute("DELETE FROM groups WHERE id = ?", (group_id,))


def find(tx: sqlite3.Connection, own: MemberId, host: MemberId) -> int | None:
    """The number of the group in which our member id is ``own``, and the member who let us in has the id ``host``; None
    if there is no such group. An invitation with the two ids of a known group is a repeated invitation."""
    row = tx.execute("SELECT id FROM groups WHERE own = ? AND host = ?", (own, host)).fetchone()
    return None if row is None else int(row["id"])


# -- members ----------------------------------------------------------------------------------------------------------


def connect(tx: sqlite3.Connection, group_id: int, member: MemberId, connection_id: int | None) -> None:
    """Saves which connection leads to a member; None: there is no connection to this member any more."""
    tx.execute(
        "UPDATE group_members SET connection_id = ? WHERE group_id = ? AND member = ?",
        (connection_id, group_id, member),
    )


def of_connection(tx: sqlite3.Connection, connection_id: int) -> Place | None:
    """The member to whom this connection leads; None if it does not lead to a member."""
    query = "SELECT group_id, member FROM group_members WHERE connection_id = ?"
    row = tx.execute(query, (connection_id,)).fetchone()
    return None if row is None else Place(row["group_id"], MemberId(row["member"]))


def connection_of(tx: sqlite3.Connection, group_id: int, member: MemberId) -> int | None:
    """A member's connection, if there is one."""
    query = "SELECT connection_id FROM group_members WHERE group_id = ? AND member = ?"
    row = tx.execute(query, (group_id, member)).fetchone()
    return None if row is None or row["connection_id"] is None else int(row["connection_id"])


def save_profile(tx: sqlite3.Connection, group_id: int, member: MemberId, profile: Profile) -> None:
    """Saves a member's profile."""
    tx.execute(
        "UPDATE group_members SET profile = ? WHERE group_id = ? AND member = ?", (profile.to_json(), group_id, member)
    )


def _member_columns(member: Member) -> dict[str, Any]:
    return {
        "role": member.role,
        "name": member.name,
        "standing": member.standing,
        "link": member.link,
        "older": member.older,
        "introducer": member.introducer,
        "versions": None if member.versions is None else str(member.versions),
        "blocked": member.blocked,
        "named": member.named,
        "offer": member.offer,
        "told": json.dumps([host.hex() for host in member.told]),
    }


def _insert_member(tx: sqlite3.Connection, group_id: int, member: Member) -> None:
    columns = {"group_id": group_id, "member": member.id} | _member_columns(member)
    names = ", ".join(columns)  # the names are constants of ours
    tx.execute(f"INSERT INTO group_members ({names}) VALUES ({', '.join('?' * len(columns))})", tuple(columns.values()))


def _save_member(tx: sqlite3.Connection, group_id: int, member: Member) -> None:
    columns = _member_columns(member)
    changes = ", ".join(f"{name} = ?" for name in columns)
    query = f"UPDATE group_members SET {changes} WHERE group_id = ? AND member = ?"
    tx.execute(query, (*columns.values(), group_id, member.id))


_MEMBER = "member, role, name, standing, link, older, introducer, versions, blocked, named, offer, told"


# A group is loaded for each event, and creating the `Member` objects of a thousand rows takes 15 ms. Most members do
# not change between two events, so `Member` objects are kept in memory and used again.
@lru_cache(maxsize=MEMBERS_IN_MEMORY)
def _member_from(
    id: bytes,
    role: int,
    name: str,
    standing: str,
    link: str,
    older: int,
    introducer: bytes | None,
    versions: str | None,
    blocked: int,
    named: int,
    offer: str | None,
    told: str,
) -> Member:
    """Makes a `Member` from the values of the columns `_MEMBER`. Equal values give the same `Member` object, which is
    safe because the object is immutable."""
    return Member(
        id=MemberId(id),
        role=Role(role),
        name=name,
        standing=Standing(standing),
        link=Link(link),
        older=bool(older),
        introducer=_maybe(introducer),
        versions=read_versions(versions),
        blocked=bool(blocked),
        named=bool(named),
        offer=offer,
        told=tuple(MemberId(bytes.fromhex(host)) for host in json.loads(told)),
    )


# -- events and messages -----------------------------------------------------------------------------------------------


def known(tx: sqlite3.Connection, group_id: int, asked: Asked) -> Known:
    """Looks up what the state machine needs to handle an event: what the store knows about the messages in
    ``asked``."""
    seen, item, gone = None, None, False
    about = asked.item
    if asked.event is not None:
        row = _heard(tx, group_id, asked.by, asked.event)
        seen = None if row is None else Seen(_maybe(row["forwarder"]))
        about = about or (asked.by, asked.event)
    if asked.item is not None:
        row = _heard(tx, group_id, *asked.item)
        gone = row is not None and bool(row["gone"])
        item = _item(tx, group_id, *asked.item, by=asked.by)
    moderators = () if about is None or item is not None else _deletions(tx, group_id, *about)
    return Known(seen, item, gone, moderators)


def _heard(tx: sqlite3.Connection, group_id: int, author: MemberId, shared_id: str) -> sqlite3.Row | None:
    query = "SELECT forwarder, gone FROM group_heard WHERE group_id = ? AND author = ? AND shared_id = ?"
    row: sqlite3.Row | None = tx.execute(query, (group_id, author, shared_id)).fetchone()
    return row


def _item(tx: sqlite3.Connection, group_id: int, author: MemberId, shared_id: str, *, by: MemberId) -> Item | None:
    row = tx.execute(
        "SELECT scope, sent_at FROM group_messages JOIN messages ON messages.id = message_id"
        " WHERE group_id = ? AND author = ? AND group_messages.shared_id = ?",
        (group_id, author, shared_id),
    ).fetchone()
    if row is None:
        return None
    [kinds] = tx.execute(
        "SELECT count(*) FROM group_reactions WHERE group_id = ? AND author = ? AND shared_id = ? AND by = ?",
        (group_id, author, shared_id, by),
    ).fetchone()
    return Item(author, row["sent_at"], _maybe(row["scope"]), kinds)


def _deletions(tx: sqlite3.Connection, group_id: int, author: MemberId, shared_id: str) -> tuple[MemberId, ...]:
    query = "SELECT by FROM group_deletions WHERE group_id = ? AND author = ? AND shared_id = ? ORDER BY id"
    return tuple(MemberId(row["by"]) for row in tx.execute(query, (group_id, author, shared_id)))


def heard(tx: sqlite3.Connection, group_id: int, author: MemberId, shared_id: str, forwarder: MemberId | None) -> None:
    """Records that an event arrived: directly from its author, or from ``forwarder``, a member who passed it on. If the
    event arrives both ways, only the direct arrival is remembered."""
    tx.execute(
        "INSERT INTO group_heard (group_id, author, shared_id, forwarder) VALUES (:group, :author, :id, :forwarder)"
        " ON CONFLICT DO UPDATE SET forwarder = NULL WHERE :forwarder IS NULL",
        {"group": group_id, "author": author, "id": shared_id, "forwarder": forwarder},
    )
    _keep(tx, "group_heard", group_id, KEPT_HEARD)


def add_message(
    tx: sqlite3.Connection,
    group_id: int,
    message_id: int,
    author: MemberId,
    shared_id: str,
    scope: MemberId | None = None,
    forwarder: MemberId | None = None,
) -> None:
    """Saves the author of a message, and its ``scope``: the member to whose support chat it belongs, or None if it is
    for everybody. Reactions that arrived before the message now belong to the message."""
    tx.execute(
        "INSERT INTO group_messages VALUES (?, ?, ?, ?, ?, ?)",
        (message_id, group_id, author, shared_id, scope, forwarder),
    )
    key = (group_id, author, shared_id)
    tx.execute("UPDATE group_reactions SET early = 0 WHERE group_id = ? AND author = ? AND shared_id = ?", key)
    tx.execute("DELETE FROM group_deletions WHERE group_id = ? AND author = ? AND shared_id = ?", key)


def find_message(tx: sqlite3.Connection, group_id: int, author: MemberId, shared_id: str) -> int | None:
    """The number of the message with this author and id; None if we do not have it."""
    query = "SELECT message_id FROM group_messages WHERE group_id = ? AND author = ? AND shared_id = ?"
    row = tx.execute(query, (group_id, author, shared_id)).fetchone()
    return None if row is None else int(row["message_id"])


def author_of(tx: sqlite3.Connection, message_id: int) -> tuple[MemberId, str] | None:
    """The author and id of a message; None for a line that smpchat has written."""
    row = tx.execute("SELECT author, shared_id FROM group_messages WHERE message_id = ?", (message_id,)).fetchone()
    return None if row is None else (MemberId(row["author"]), row["shared_id"])


def messages_of(tx: sqlite3.Connection, group_id: int, author: MemberId) -> list[int]:
    """Numbers of all messages of a member."""
    query = "SELECT message_id FROM group_messages WHERE group_id = ? AND author = ? ORDER BY message_id"
    return [row["message_id"] for row in tx.execute(query, (group_id, author))]


def proven(tx: sqlite3.Connection, message_id: int) -> None:
    """Records that a message, which another member had passed on, has now arrived from its author directly."""
    tx.execute("UPDATE group_messages SET forwarder = NULL WHERE message_id = ?", (message_id,))


def is_gone(tx: sqlite3.Connection, group_id: int, author: MemberId, shared_id: str) -> bool:
    """Whether a message once existed here and was deleted for good."""
    row = _heard(tx, group_id, author, shared_id)
    return row is not None and bool(row["gone"])


def keep_deletion(tx: sqlite3.Connection, group_id: int, author: MemberId, shared_id: str, by: MemberId) -> None:
    """Records that a message was deleted that has not arrived here yet. ``by``: the member who deleted it, which is its
    author or a moderator."""
    tx.execute(
        "INSERT OR IGNORE INTO group_deletions (group_id, author, shared_id, by) VALUES (?, ?, ?, ?)",
        (group_id, author, shared_id, by),
    )
    _keep(tx, "group_deletions", group_id, KEPT_EARLY)


def react(
    tx: sqlite3.Connection, group_id: int, author: MemberId, shared_id: str, by: MemberId, emoji: str, *, add: bool
) -> bool:
    """Adds or removes a reaction, even if its message has not arrived yet. Returns whether anything changed."""
    key = (group_id, author, shared_id, by, emoji)
    if not add:
        query = (
            "DELETE FROM group_reactions WHERE group_id = ? AND author = ? AND shared_id = ? AND by = ? AND emoji = ?"
        )
        return tx.execute(query, key).rowcount > 0
    early = find_message(tx, group_id, author, shared_id) is None
    changed = tx.execute(
        "INSERT OR IGNORE INTO group_reactions (group_id, author, shared_id, by, emoji, early)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (*key, early),
    )
    _keep(tx, "group_reactions", group_id, KEPT_EARLY, "early = 1")
    return changed.rowcount > 0


def reactions(tx: sqlite3.Connection, group_id: int, author: MemberId, shared_id: str) -> list[tuple[MemberId, str]]:
    """The reactions to a message: the member and the emoji of each."""
    query = "SELECT by, emoji FROM group_reactions WHERE group_id = ? AND author = ? AND shared_id = ? ORDER BY id"
    return [(MemberId(row["by"]), row["emoji"]) for row in tx.execute(query, (group_id, author, shared_id))]


# -- messages for members without a connection -------------------------------------------------------------------------


def leave_to_host(tx: sqlite3.Connection, group_id: int, member: MemberId, body: bytes) -> None:
    """Keeps a message of ours for a member until we have a connection to this member. Until then, a host may pass a
    copy of the message on to the member."""
    tx.execute("INSERT INTO group_left (group_id, member, body) VALUES (?, ?, ?)", (group_id, member, body))
    _keep(tx, "group_left", group_id, KEPT_LEFT)


def take_left(tx: sqlite3.Connection, group_id: int, member: MemberId) -> list[bytes]:
    """Returns the messages that `leave_to_host` has kept for a member, in order, and deletes them."""
    key = (group_id, member)
    rows = tx.execute("SELECT body FROM group_left WHERE group_id = ? AND member = ? ORDER BY id", key).fetchall()
    tx.execute("DELETE FROM group_left WHERE group_id = ? AND member = ?", key)
    return [row["body"] for row in rows]


def _keep(tx: sqlite3.Connection, table: str, group_id: int, count: int, which: str = "1") -> None:
    """Deletes old rows of a group from a table, so that the ``count`` newest rows are left. Rows that do not meet the
    SQL condition ``which`` are neither counted nor deleted."""
    tx.execute(
        f"DELETE FROM {table} WHERE group_id = :group AND {which} AND id <="  # table and which are constants of ours
        f" (SELECT id FROM {table} WHERE group_id = :group AND {which} ORDER BY id DESC LIMIT 1 OFFSET :count)",
        {"group": group_id, "count": count},
    )


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _business(text: str | None) -> Business | None:
    return read_business(json.loads(text)) if text else None


def _maybe(value: bytes | None) -> MemberId | None:
    return None if value is None else MemberId(value)
