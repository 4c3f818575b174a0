"""Stores what we need as a *host* of a group, which is a member who lets newcomers in.

These are the contacts that we invited, our link to the group, and our unfinished introductions. An *introduction* helps
a newcomer, whom we let in, and an older member to connect to each other.
"""

from __future__ import annotations

import sqlite3

from smpchat.chat.machines.group_hosting import Hosting, Introduction
from smpchat.chat.wire.bodies import CHAT_VERSIONS, Envelope
from smpchat.chat.wire.content import text_content
from smpchat.chat.wire.group_encoding import group_envelope
from smpchat.chat.wire.group_events import Post
from smpchat.chat.wire.group_values import GroupQuote, MemberId, Role
from smpchat.chat.wire.message import Quote, quotation
from smpchat.chat.wire.profile import Profile
from smpchat.encoding.record import Record

# -- introductions ----------------------------------------------------------------------------------------------------


def load(tx: sqlite3.Connection, group_id: int, member: MemberId) -> Hosting:
    """The introductions in which one member takes part, as the newcomer or as the older member. Handling one event
    needs only the introductions of one member."""
    rows = tx.execute(
        "SELECT * FROM group_introductions WHERE group_id = :group AND newcomer = :member"
        " UNION ALL SELECT * FROM group_introductions WHERE group_id = :group AND other = :member",
        {"group": group_id, "member": member},
    )
    return Hosting({(MemberId(row["newcomer"]), MemberId(row["other"])): _introduction(row) for row in rows})


def _introduction(row: sqlite3.Row) -> Introduction:
    reported = [MemberId(row[who]) for who in ("newcomer", "other") if row[f"{who}_reported"]]
    return Introduction(bool(row["asked"]), frozenset(reported))


def save(tx: sqlite3.Connection, group_id: int, before: Hosting, after: Hosting) -> None:
    """Saves the introductions that differ between ``before`` and ``after``. The introduction of two members is deleted
    once both have reported that they are connected to each other."""
    for pair, introduction in after.pairs.items():
        if before.pairs.get(pair) == introduction:
            continue
        newcomer, other = pair
        if introduction.reported >= {newcomer, other}:
            tx.execute(
                "DELETE FROM group_introductions WHERE group_id = ? AND newcomer = ? AND other = ?", (group_id, *pair)
            )
            continue
        reported = (newcomer in introduction.reported, other in introduction.reported)
        tx.execute(
            "INSERT OR REPLACE INTO group_introductions VALUES (?, ?, ?, ?, ?, ?)",
            (group_id, *pair, introduction.asked, *reported),
        )


def forget(tx: sqlite3.Connection, group_id: int, member: MemberId) -> None:
    """Deletes the introductions and the invitation of a member who is no longer in the group."""
    for column in ("newcomer", "other"):
        tx.execute(f"DELETE FROM group_introductions WHERE group_id = ? AND {column} = ?", (group_id, member))
    tx.execute("DELETE FROM group_invitees WHERE group_id = ? AND member = ?", (group_id, member))


def forget_all(tx: sqlite3.Connection, group_id: int) -> None:
    """After we have left a group, deletes all our introductions between its members, and our invitations to it."""
    tx.execute("DELETE FROM group_introductions WHERE group_id = ?", (group_id,))
    tx.execute("DELETE FROM group_invitees WHERE group_id = ?", (group_id,))


# -- invited contacts --------------------------------------------------------------------------------------------------


def invited(tx: sqlite3.Connection, group_id: int, member: MemberId, connection_id: int) -> None:
    """Saves the connection through which we invited a member, because we may send the invitation again."""
    tx.execute("INSERT OR REPLACE INTO group_invitees VALUES (?, ?, ?)", (group_id, member, connection_id))


def contact_of(tx: sqlite3.Connection, group_id: int, member: MemberId) -> int | None:
    """The connection of the contact whom we invited as this member; None if we did not invite this member."""
    query = "SELECT connection_id FROM group_invitees WHERE group_id = ? AND member = ?"
    row = tx.execute(query, (group_id, member)).fetchone()
    return None if row is None else int(row["connection_id"])


def members_of_contact(tx: sqlite3.Connection, group_id: int, connection_id: int) -> list[MemberId]:
    """The member ids that a contact got with our invitations to a group; ids of former members are left out."""
    query = "SELECT member FROM group_invitees WHERE group_id = ? AND connection_id = ?"
    return [MemberId(row["member"]) for row in tx.execute(query, (group_id, connection_id))]


# -- our link ---------------------------------------------------------------------------------------------------------


class GroupLink(Record):
    """A link of ours to a group.

    Attributes:
        group: Number of the group.
        connection: The connection that holds the link's queue.
        role: The role of people who join with the link.
    """

    group: int
    connection: int
    role: Role


def save_link(tx: sqlite3.Connection, link: GroupLink) -> None:
    """Saves a new link, or another role for people who join with the link."""
    tx.execute("INSERT OR REPLACE INTO group_links VALUES (?, ?, ?)", (link.group, link.connection, link.role))


def link_of(tx: sqlite3.Connection, group_id: int) -> GroupLink | None:
    """Our link to a group; None if we have none."""
    return _link(tx.execute("SELECT * FROM group_links WHERE group_id = ?", (group_id,)).fetchone())


def link_at(tx: sqlite3.Connection, connection_id: int) -> GroupLink | None:
    """The group link to which a connection belongs; None if it belongs to none."""
    return _link(tx.execute("SELECT * FROM group_links WHERE connection_id = ?", (connection_id,)).fetchone())


def _link(row: sqlite3.Row | None) -> GroupLink | None:
    return None if row is None else GroupLink(row["group_id"], row["connection_id"], Role(row["role"]))


def delete_link(tx: sqlite3.Connection, group_id: int) -> None:
    """Delete our link to the group."""
    tx.execute("DELETE FROM group_links WHERE group_id = ?", (group_id,))


# -- history for newcomers ---------------------------------------------------------------------------------------------


def profiles(tx: sqlite3.Connection, group_id: int) -> dict[MemberId, Profile]:
    """The profiles of a group's members, without pictures, by member id. The result does not contain members who have
    not sent a profile."""
    rows = tx.execute("SELECT member, profile FROM group_members WHERE group_id = ?", (group_id,))
    found = {MemberId(row["member"]): Profile.from_json(row["profile"]) for row in rows}
    return {member: profile for member, profile in found.items() if profile is not None}


class Past(Record):
    """An earlier message of the conversation, which the host sends to a newcomer.

    Attributes:
        at: When the author sent the message; POSIX seconds.
    """

    author: MemberId
    shared_id: str
    post: Post
    at: float

    @property
    def envelope(self) -> Envelope:
        """The message in an envelope, as if the author sent it again."""
        envelope = group_envelope(self.post)
        return Envelope(envelope.event, envelope.params, self.shared_id, CHAT_VERSIONS)


def past(tx: sqlite3.Connection, group_id: int, most: int) -> list[Past]:
    """The last messages that everybody in a group can see: at most ``most`` messages, oldest first.

    The result does not contain deleted messages, disappearing messages, messages that their authors are still writing,
    or messages of blocked members. A message with a file is returned without the file.
    """
    rows = tx.execute(
        "SELECT own.author, own.shared_id, said.text, said.sent_at, quoted.author AS quoted_author,"
        " quoted.shared_id AS quoted_shared, original.text AS original, original.sent_at AS original_at,"
        " original.direction FROM group_messages AS own JOIN messages AS said ON said.id = own.message_id"
        " LEFT JOIN messages AS original ON original.id = said.quoted_id AND NOT original.deleted"
        " LEFT JOIN group_messages AS quoted ON quoted.message_id = original.id AND quoted.scope IS NULL"
        " WHERE own.group_id = :group AND own.scope IS NULL AND said.ttl IS NULL AND said.text != ''"
        " AND NOT said.deleted AND NOT said.husk AND NOT said.live"
        " AND own.author NOT IN (SELECT member FROM group_members WHERE group_id = :group AND blocked)"
        " ORDER BY own.message_id DESC LIMIT :most",
        {"group": group_id, "most": most},
    ).fetchall()
    return [_past(row) for row in reversed(rows)]


def _past(row: sqlite3.Row) -> Past:
    post = Post(text_content(row["text"]), quote=_quote(row))
    return Past(MemberId(row["author"]), row["shared_id"], post, row["sent_at"])


def _quote(row: sqlite3.Row) -> GroupQuote | None:
    """The quoted message, as it is stored here. The quotation names the author of the quoted message (group-wire
    12, fact 2)."""
    if row["quoted_author"] is None:
        return None
    quote = Quote(row["quoted_shared"], row["direction"] == "sent", row["original"])
    said = quotation(quote, row["original_at"])
    reference = said["msgRef"]
    author = MemberId(row["quoted_author"])
    return GroupQuote(author, quote.shared_id, reference["sentAt"], reference["sent"], said["content"])
