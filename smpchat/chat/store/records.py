"""Contacts and messages: records and the statements that load and save them."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from enum import StrEnum

from smpchat.chat.errors import AmbiguousContact, UnknownContact
from smpchat.chat.store import feed_rows, files, memberships, searching
from smpchat.chat.store.codes import is_verified
from smpchat.chat.wire.alias import fold, looks, nearest
from smpchat.chat.wire.content import PLAIN, Content, Preview
from smpchat.chat.wire.profile import Profile
from smpchat.encoding.record import Record, field

_INTEGER_BITS = 63


class Direction(StrEnum):
    """Whether a message was sent or received."""

    SENT = "sent"
    RECEIVED = "received"


class MessageStatus(StrEnum):
    """The status of a message (docs/json.md says what each means)."""

    PENDING = "pending"
    SENT = "sent"
    DELIVERED = "delivered"
    FAILED = "failed"
    RECEIVED = "received"


class Contact(Record):
    """A person or group to whom the user can write.

    Attributes:
        unread: How many received messages were not shown yet.
        chat_version: The chat version agreed with the contact's app; None until the app has said its version.
        gone: The contact removed us, so messages no longer reach it.
        verified_code: The security code that the user compared. The contact counts as verified only as long as the
            connection still has this code.
        link_name: The name in the link by which we connected; None if there is none.
        provisional: The alias was made up by smpchat. When the link is read, the name in the link replaces this alias.
        business: The contact is a business, in which several people may read the messages.
        picture: The contact's profile has a picture. `smpchat.chat.store.profiles` loads the picture.
        confirmed: The user chose the alias, or compared the security code of the contact.
        resembles: The number of another contact, whose alias looks like the name that this contact chose; None if there
            is none.
    """

    id: int
    connection_id: int
    alias: str
    profile: Profile | None
    unread: int
    chat_version: int | None = None
    gone: bool = False
    verified_code: str | None = None
    link_name: str | None = None
    provisional: bool = False
    business: bool = False
    picture: bool = False
    confirmed: bool = True
    resembles: int | None = None

    @property
    def is_group(self) -> bool:
        """Whether this contact stands for a group; then ``connection_id`` is the negative number of the group."""
        return self.connection_id < 0

    @property
    def self_named(self) -> bool:
        """Whether the alias comes from the contact's own profile. Such an alias does not prove who the contact is."""
        return not self.confirmed and not self.provisional


class Quoted(Record):
    """The message that a reply answers.

    Attributes:
        id: Our number for the quoted message; None if we do not have this message.
        direction: Whether the quoted message was sent by us or received.
        text: The present text of the quoted message; if we do not have this message, the text that the reply quotes.
        deleted: The quoted message was deleted, or has disappeared.
        sender: The member of a group or business who wrote the quoted message; None if no known member wrote it.
    """

    id: int | None
    direction: Direction
    text: str = field(repr=False)
    deleted: bool = False
    sender: str | None = None


class Reaction(Record):
    """An emoji on a message. ``direction``: *sent* if we reacted, *received* if others did. ``people``: how many
    members of a group reacted with this emoji; ``members``: the names of these members, without ours."""

    emoji: str = field(repr=False)
    direction: Direction
    people: int = 1
    members: tuple[str, ...] = ()


class Message(Record):
    """One message of a conversation.

    Attributes:
        sent_at: When the message was sent, in POSIX seconds.
        reason: Why the message failed; None if its status is not *failed*.
        shared_id: The id by which both our app and the contact's app know the message.
        reply_to: The quoted message, if this message is a reply; otherwise None.
        content: The kind of the message: ``text``, ``image``, ``call`` and so on (see `Content`).
        note: Words in brackets before the text, such as ``[file a.jpg]``; empty if the message is only text.
        preview: The preview of a link in the message; None if there is none.
        sender: The member of a group or business who wrote the message; None if no such member wrote it.
        forwarded: The author did not write the text for this conversation, but forwarded an earlier message.
        live: The message is a live message, and its author has not said that it is finished.
        held: The author is writing the message now, so only `chat` shows it.
        command: If the message calls a command of our bot, the keyword of this command; otherwise None.
        arguments: The text after the keyword ``command``.
        edited: The text was changed.
        deleted: The message was deleted, so its text is empty.
        deleted_by: In a group: the member who deleted the message, if not the author; ``you`` if we did; else None.
        reactions: The reactions of the user, and of the contact or the members of the group.
        contact_id: Number of the contact. This number never changes, and is never used for another contact.
        self_named: The alias comes from the contact's own profile, so it does not prove who the contact is.
        verified: The user compared the contact's security code, and the code is still the same.
        shown: Whether the user was shown the message; messages of ours always count as shown.
        changes: How often the contact has edited or deleted the message, or reacted to it.
        ttl: The message disappears this many seconds after it was shown (or, if ours, sent); None if it stays.
        expires_at: When the message disappears, in POSIX seconds; None if it stays, or was not shown or sent yet.
        file: The file that was sent with the message; None if there is none.
        group: The contact is a group, and ``sender`` is one of its members.
        copies: For a message to a group: how many members have received it, and to how many it is sent directly.
        via: The member of the group who passed the message on, and may have changed it; None if the author's own copy
            has arrived.
    """

    id: int
    contact: str
    direction: Direction
    text: str = field(repr=False)
    sent_at: float
    status: MessageStatus
    reason: str | None
    shared_id: str | None = None
    reply_to: Quoted | None = None
    live: bool = False
    edited: bool = False
    deleted: bool = False
    reactions: tuple[Reaction, ...] = ()
    shown: bool = True
    changes: int = 0
    ttl: int | None = None
    expires_at: float | None = None
    content: str = "text"
    note: str = field(default="", repr=False)
    preview: Preview | None = None
    sender: str | None = None
    forwarded: bool = False
    held: bool = False
    command: str | None = None
    arguments: str = field(default="", repr=False)
    contact_id: int = 0
    self_named: bool = False
    verified: bool = False
    file: files.FileView | None = None
    group: bool = False
    copies: tuple[int, int] | None = None
    via: str | None = None
    deleted_by: str | None = None


# -- contacts ---------------------------------------------------------------------------------------------------------

CONTACTS = """
    SELECT contacts.*, EXISTS (SELECT 1 FROM pictures WHERE contact_id = contacts.id) AS picture, (
        SELECT count(*) FROM messages WHERE contact_id = contacts.id AND shown = 0 AND written_at IS NULL
    ) AS unread
    FROM contacts
"""
"""The query for the columns that `contact_from` reads; a WHERE clause may follow."""


def contact_from(row: sqlite3.Row) -> Contact:
    """The contact in a row of `CONTACTS`."""
    return Contact(
        id=row["id"],
        connection_id=row["connection_id"],
        alias=row["alias"],
        profile=Profile.from_json(row["profile"]),
        unread=row["unread"],
        chat_version=row["chat_version"],
        gone=bool(row["gone"]),
        verified_code=row["verified_code"],
        link_name=row["link_name"],
        provisional=bool(row["provisional"]),
        business=bool(row["business"]),
        picture=bool(row["picture"]),
        confirmed=bool(row["confirmed"]),
        resembles=row["resembles"],
    )


def insert_contact(
    tx: sqlite3.Connection, connection_id: int, alias: str, *, provisional: bool = False, confirmed: bool = True
) -> None:
    """Adds a contact for a connection. ``provisional``, ``confirmed``: see `Contact`."""
    query = (
        "INSERT INTO contacts (connection_id, alias, folded, looks, provisional, confirmed) VALUES (?, ?, ?, ?, ?, ?)"
    )
    tx.execute(query, (connection_id, alias, fold(alias), joined_looks(alias), provisional, confirmed))


def joined_looks(alias: str) -> str:
    """The `looks` of an alias (the forms by which similar aliases are found), joined to one text for the store."""
    return "\n".join(sorted(looks(alias)))


def contacts(tx: sqlite3.Connection) -> list[Contact]:
    """All contacts, sorted by alias."""
    return [contact_from(row) for row in tx.execute(CONTACTS + "ORDER BY folded")]


def _find_contacts(tx: sqlite3.Connection, alias: str) -> list[Contact]:
    """The contact with exactly this alias. If there is none, all contacts whose aliases differ from it only in capitals
    or in how letters with marks are encoded."""
    rows = tx.execute(CONTACTS + "WHERE folded = ? ORDER BY id", (fold(alias),)).fetchall()
    return [contact_from(row) for row in rows if row["alias"] == alias] or [contact_from(row) for row in rows]


def aliases(tx: sqlite3.Connection) -> dict[int, str]:
    """For each connection, the alias of its contact. To load only aliases is faster than to load the contacts.

    The connection to a member of a group gets the alias of the group.
    """
    rows = tx.execute(
        "SELECT connection_id, alias FROM contacts UNION ALL SELECT group_members.connection_id, alias"
        " FROM group_members JOIN contacts ON contacts.connection_id = -group_id"
        " WHERE group_members.connection_id IS NOT NULL"
    )
    return {row["connection_id"]: row["alias"] for row in rows}


def find_contact(tx: sqlite3.Connection, alias: str) -> Contact | None:
    """The contact with this alias; capitals, and how letters with marks are encoded, do not matter."""
    return next(iter(_find_contacts(tx, alias)), None)


def contact(tx: sqlite3.Connection, alias: str) -> Contact:
    """The contact with this alias; an @ before the alias is ignored. Raises `UnknownContact` or `AmbiguousContact`."""
    found = _find_contacts(tx, alias.removeprefix("@"))
    if not found:
        known = (row["alias"] for row in tx.execute("SELECT alias FROM contacts"))
        raise UnknownContact(alias, nearest(alias.removeprefix("@"), known))
    if len(found) > 1:
        raise AmbiguousContact(alias, [contact.alias for contact in found])
    return found[0]


def contact_of(tx: sqlite3.Connection, connection_id: int) -> Contact | None:
    """The contact that has this ``connection_id``; None if there is none, for example for an unused invitation."""
    row = tx.execute(CONTACTS + "WHERE connection_id = ?", (connection_id,)).fetchone()
    return contact_from(row) if row else None


def addressee(tx: sqlite3.Connection, connection_id: int) -> Contact | None:
    """The contact to which a connection belongs; for a member's connection, the contact that stands for the group."""
    number = memberships.contact_number(tx, connection_id)
    if number is None:
        return None
    return contact_from(tx.execute(CONTACTS + "WHERE id = ?", (number,)).fetchone())


def save_link_name(tx: sqlite3.Connection, contact_id: int, name: str) -> None:
    """Saves the name in the link by which we connected."""
    tx.execute("UPDATE contacts SET link_name = ? WHERE id = ?", (name, contact_id))


def mark_business(tx: sqlite3.Connection, contact_id: int) -> None:
    """Stores that the contact is a business with several people."""
    tx.execute("UPDATE contacts SET business = 1 WHERE id = ?", (contact_id,))


def contacts_to_show(tx: sqlite3.Connection) -> list[Contact]:
    """Contacts whose profile has arrived and was not shown yet."""
    return [contact_from(row) for row in tx.execute(CONTACTS + "WHERE profile IS NOT NULL AND profile_shown = 0")]


def mark_profile_shown(tx: sqlite3.Connection, contact_id: int) -> None:
    """Stores that the profile of a contact was shown."""
    tx.execute("UPDATE contacts SET profile_shown = 1 WHERE id = ?", (contact_id,))


def raise_chat_version(tx: sqlite3.Connection, contact_id: int, version: int) -> None:
    """Saves the chat version agreed with a contact's app. A saved version is never lowered (agent-wire 1.5)."""
    tx.execute(
        "UPDATE contacts SET chat_version = :version WHERE id = :id AND coalesce(chat_version, 0) < :version",
        {"id": contact_id, "version": version},
    )


def mark_gone(tx: sqlite3.Connection, contact_id: int) -> bool:
    """Stores that the contact removed us. Returns False if that was already stored."""
    return tx.execute("UPDATE contacts SET gone = 1 WHERE id = ? AND gone = 0", (contact_id,)).rowcount > 0


def save_verified_code(tx: sqlite3.Connection, contact_id: int, code: str | None) -> None:
    """Save the security code that the user compared; None if the codes were different."""
    tx.execute("UPDATE contacts SET verified_code = ? WHERE id = ?", (code, contact_id))


def delete_contact(tx: sqlite3.Connection, contact_id: int) -> None:
    """Deletes a contact and its messages."""
    searching.forget_contact(tx, contact_id)
    files.drop_all(tx, contact_id)
    # The contact's events stay, but belong to no contact any more. Newer events without a contact will displace them.
    tx.execute("UPDATE events SET owner = ? WHERE owner = ?", (feed_rows.NOBODYS, contact_id))
    tx.execute("DELETE FROM contacts WHERE id = ?", (contact_id,))


# -- messages ---------------------------------------------------------------------------------------------------------

_MESSAGES = """
    SELECT messages.*, contacts.alias, contacts.confirmed, contacts.provisional, contacts.connection_id,
        contacts.verified_code, original.id AS original_id, original.text AS original_text,
        original.deleted AS original_deleted
    FROM messages
    JOIN contacts ON contacts.id = messages.contact_id
    LEFT JOIN messages AS original ON original.id = messages.quoted_id
"""


def _message(tx: sqlite3.Connection, row: sqlite3.Row) -> Message:
    return Message(
        id=row["id"],
        contact=row["alias"],
        direction=Direction(row["direction"]),
        text=row["text"],
        sent_at=row["sent_at"],
        status=MessageStatus(row["status"]),
        reason=row["reason"],
        shared_id=row["shared_id"],
        reply_to=_quoted(row),
        live=bool(row["live"]),
        edited=bool(row["edited"]),
        deleted=bool(row["deleted"]),
        deleted_by=row["deleted_by"],
        reactions=_reactions(tx, row),
        shown=bool(row["shown"]),
        changes=row["changes"],
        ttl=row["ttl"],
        expires_at=row["expires_at"],
        content=row["content"],
        note=row["note"],
        preview=Preview.from_json(row["preview"]),
        sender=row["sender"],
        forwarded=bool(row["forwarded"]),
        held=row["written_at"] is not None,
        contact_id=row["contact_id"],
        self_named=not row["confirmed"] and not row["provisional"],
        verified=is_verified(tx, row["connection_id"], row["verified_code"]),
        # Every message with a file has a note, such as "[file a.jpg]". So without a note, no file is looked up.
        file=files.view(tx, row["id"]) if row["note"] else None,
        group=row["connection_id"] < 0,
        copies=memberships.delivered(tx, row["id"]) if row["connection_id"] < 0 else None,
        via=memberships.via(tx, row["id"]) if row["connection_id"] < 0 else None,
    )


def _quoted(row: sqlite3.Row) -> Quoted | None:
    if row["quoted_direction"] is None:
        return None
    direction = Direction(row["quoted_direction"])
    if row["original_id"] is None:
        deleted = row["quoted_text"] is None
        return Quoted(None, direction, row["quoted_text"] or "", deleted, row["quoted_sender"])
    said, deleted = row["original_text"], bool(row["original_deleted"])
    return Quoted(row["original_id"], direction, said, deleted, row["quoted_sender"])


def _reactions(tx: sqlite3.Connection, message: sqlite3.Row) -> tuple[Reaction, ...]:
    query = "SELECT direction, emoji, people FROM reactions WHERE message_id = ? ORDER BY direction, emoji"
    rows = tx.execute(query, (message["id"],)).fetchall()
    who = memberships.reacted(tx, message["id"]) if rows and message["connection_id"] < 0 else {}
    return tuple(Reaction(emoji, Direction(side), count, who.get((side, emoji), ())) for side, emoji, count in rows)


def insert_message(
    tx: sqlite3.Connection,
    contact_id: int,
    direction: Direction,
    text: str,
    sent_at: float,
    shared_id: str | None,
    *,
    reply_to: Quoted | None = None,
    live: bool = False,
    ttl: int | None = None,
    content: Content = PLAIN,
    sender: str | None = None,
    forwarded: bool = False,
    occasion: str | None = None,
) -> int:
    """Inserts a message, and returns our number for it. A sent message starts as pending; a received one as not shown.

    Args:
        reply_to: The quoted message. Its text is stored with the reply only if the quoted message is not in our store
            and was not deleted.
        ttl: Seconds after which the new message disappears, counted from when it was shown or sent.
        occasion: For a line about an event: identifies the event, which gets only one line (see `lines.is_known`).
    """
    ours = direction is Direction.SENT
    status = MessageStatus.PENDING if ours else MessageStatus.RECEIVED
    quoted: tuple[int | None, Direction | None, str | None, str | None] = (None, None, None, None)
    if reply_to is not None:
        keeps_text = reply_to.id is None and not reply_to.deleted
        quoted = (reply_to.id, reply_to.direction, reply_to.text if keeps_text else None, reply_to.sender)
    cursor = tx.execute(
        "INSERT INTO messages (contact_id, direction, text, sent_at, status, shared_id, shown, live,"
        " quoted_id, quoted_direction, quoted_text, quoted_sender, ttl, content, note, preview, sender, forwarded,"
        " occasion) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (contact_id, direction, text, sent_at, status, shared_id, ours, live, *quoted, ttl, content.kind, content.note,
         content.preview_json, sender, forwarded, occasion),
    )  # fmt: skip
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def message(tx: sqlite3.Connection, message_id: int) -> Message | None:
    """One message; None if there is none with this number."""
    if message_id.bit_length() > _INTEGER_BITS:  # the user may type any number, but SQLite accepts no larger integers
        return None
    row = tx.execute(_MESSAGES + "WHERE messages.id = ?", (message_id,)).fetchone()
    return _message(tx, row) if row else None


def find_message(
    tx: sqlite3.Connection, contact_id: int, shared_id: str | None, direction: Direction | None = None
) -> Message | None:
    """The newest message of a conversation with this ``shared_id``. ``direction``: whether to look only among
    sent or only among received messages; None: among both."""
    row = tx.execute(
        _MESSAGES + "WHERE messages.contact_id = ? AND messages.shared_id = ?"
        " AND (? IS NULL OR messages.direction = ?) ORDER BY messages.id DESC",
        (contact_id, shared_id, direction, direction),
    ).fetchone()
    return _message(tx, row) if row else None


def set_status(tx: sqlite3.Connection, message_id: int, status: MessageStatus, reason: str | None = None) -> None:
    """Saves the new status of a message."""
    tx.execute("UPDATE messages SET status = ?, reason = ? WHERE id = ?", (status, reason, message_id))


def load(tx: sqlite3.Connection, numbers: Sequence[int]) -> list[Message]:
    """The messages with these numbers, in the same order; deleted ones are left out."""
    return [found for number in numbers if (found := message(tx, number)) is not None]


def page(tx: sqlite3.Connection, contact_id: int, number: int, limit: int, *, later: bool) -> list[Message]:
    """At most ``limit`` messages right after or right before message ``number`` of a conversation, oldest first."""
    side, order = (">", "ASC") if later else ("<", "DESC")
    rows = tx.execute(
        _MESSAGES + f"WHERE messages.contact_id = ? AND messages.husk = 0 AND messages.id {side} ?"
        f" ORDER BY messages.id {order} LIMIT ?",
        (contact_id, number, limit),
    ).fetchall()
    return [_message(tx, row) for row in (rows if later else reversed(rows))]


def messages_to_show(tx: sqlite3.Connection) -> list[Message]:
    """Received, finished messages that neither `listen` nor `chat` has shown, in the order of their arrival."""
    query = _MESSAGES + "WHERE messages.shown = 0 AND messages.written_at IS NULL ORDER BY messages.id"
    return [_message(tx, row) for row in tx.execute(query).fetchall()]


def changes_to_show(tx: sqlite3.Connection) -> list[Message]:
    """Messages that the contact has changed since they were shown."""
    query = _MESSAGES + "WHERE messages.changes > messages.changes_shown AND messages.shown = 1 ORDER BY messages.id"
    return [_message(tx, row) for row in tx.execute(query).fetchall()]


def mark_shown(tx: sqlite3.Connection, message_id: int, changes: int | None = None) -> None:
    """Stores that a message was shown. ``changes``: how many changes of the message were shown with it; None: all."""
    tx.execute(
        "UPDATE messages SET shown = 1, changes_shown = max(changes_shown, coalesce(?, changes)) WHERE id = ?",
        (changes, message_id),
    )
