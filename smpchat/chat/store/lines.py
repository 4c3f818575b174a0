"""Finds lines of a conversation: a message by its author and id, a line by the event that it reports, or the last
messages that the user wrote."""

from __future__ import annotations

import sqlite3

from smpchat.chat.store import records
from smpchat.chat.store.records import Direction, Message

MAX_MEMBERS = 1_000
"""At most this many names of members are kept for one group or business. The number is limited, because a host can
make up members."""


def save_member_name(tx: sqlite3.Connection, contact_id: int, member: str, name: str) -> None:
    """Saves the name of a member of a group or business."""
    changed = tx.execute(
        "UPDATE member_names SET name = ? WHERE contact_id = ? AND member = ?", (name, contact_id, member)
    )
    [count] = tx.execute("SELECT count(*) FROM member_names WHERE contact_id = ?", (contact_id,)).fetchone()
    if changed.rowcount == 0 and count < MAX_MEMBERS:
        tx.execute("INSERT INTO member_names VALUES (?, ?, ?)", (contact_id, member, name))


def member_name(tx: sqlite3.Connection, contact_id: int, member: str) -> str | None:
    """The name of a member; None if it is not known."""
    query = "SELECT name FROM member_names WHERE contact_id = ? AND member = ?"
    row = tx.execute(query, (contact_id, member)).fetchone()
    return row["name"] if row else None


def is_known(tx: sqlite3.Connection, contact_id: int, occasion: str) -> bool:
    """Whether a conversation already has a line about this event."""
    row = tx.execute("SELECT 1 FROM messages WHERE contact_id = ? AND occasion = ?", (contact_id, occasion)).fetchone()
    return row is not None


def find_said(tx: sqlite3.Connection, contact_id: int, shared_id: str | None, sender: str | None) -> Message | None:
    """The newest message with this id that the contact wrote. If ``sender`` is given, it is the newest one that
    this member of a group or business wrote.

    The sender must match, because all members know the ids of all messages, and nobody may change another member's
    message.
    """
    row = tx.execute(
        "SELECT id FROM messages WHERE contact_id = ? AND shared_id = ? AND direction = ? AND sender IS ?"
        " ORDER BY id DESC LIMIT 1",
        (contact_id, shared_id, Direction.RECEIVED, sender),
    ).fetchone()
    return records.message(tx, row["id"]) if row else None


def last_of(tx: sqlite3.Connection, contact_id: int, direction: Direction) -> Message | None:
    """The newest message in this direction (sent or received) that the user can answer or change. Messages without
    an id that both apps know, deleted messages, and messages that the contact is still writing do not count."""
    row = tx.execute(
        "SELECT id FROM messages WHERE contact_id = ? AND direction = ? AND shared_id IS NOT NULL"
        " AND deleted = 0 AND husk = 0 AND written_at IS NULL ORDER BY id DESC LIMIT 1",
        (contact_id, direction),
    ).fetchone()
    return records.message(tx, row["id"]) if row else None


def own_texts(tx: sqlite3.Connection, contact_id: int, limit: int) -> list[tuple[int, str]]:
    """The last text messages that the user wrote to a contact, newest first. Each is returned as its number and
    its text.

    The result does not contain disappearing, deleted or forwarded messages.
    """
    rows = tx.execute(
        "SELECT id, text FROM messages WHERE contact_id = ? AND direction = ? AND content = 'text' AND forwarded = 0"
        " AND deleted = 0 AND husk = 0 AND ttl IS NULL ORDER BY id DESC LIMIT ?",
        (contact_id, Direction.SENT, limit),
    )
    return [(row["id"], row["text"]) for row in rows]


def own_ids(tx: sqlite3.Connection, contact_id: int) -> list[tuple[int, str]]:
    """The messages that the user wrote to a contact. Each is returned as its number here and the id that both apps
    know."""
    query = "SELECT id, shared_id FROM messages WHERE contact_id = ? AND direction = ? AND shared_id IS NOT NULL"
    return [(row["id"], row["shared_id"]) for row in tx.execute(query, (contact_id, Direction.SENT))]


def lately(tx: sqlite3.Connection, contact_id: int, kind: str, since: float, text: str | None = None) -> int:
    """How many lines of one kind were added to a conversation since the given time, in POSIX seconds.

    Args:
        text: Count only the lines with this text.
    """
    query = (
        "SELECT count(*) FROM messages WHERE contact_id = ? AND content = ? AND sent_at >= ? AND text = ifnull(?, text)"
    )
    return int(tx.execute(query, (contact_id, kind, since, text)).fetchone()[0])


def texts(tx: sqlite3.Connection, contact_id: int) -> set[str]:
    """The texts of all messages of a conversation."""
    return {row["text"] for row in tx.execute("SELECT text FROM messages WHERE contact_id = ?", (contact_id,))}


def count_earlier(tx: sqlite3.Connection, contact_id: int, before: int) -> int:
    """Number of messages of a conversation before message number ``before``."""
    query = "SELECT count(*) FROM messages WHERE contact_id = ? AND husk = 0 AND id < ?"
    [count] = tx.execute(query, (contact_id, before)).fetchone()
    return int(count)


def skip_unread(tx: sqlite3.Connection, contact_id: int, before: int) -> None:
    """Marks all messages of a conversation before message number ``before`` as shown. Messages that the contact is
    still writing are not marked."""
    tx.execute(
        "UPDATE messages SET shown = 1, changes_shown = changes WHERE contact_id = ? AND id < ? AND shown = 0"
        " AND written_at IS NULL",
        (contact_id, before),
    )


def pending_counts(tx: sqlite3.Connection) -> dict[int, int]:
    """The number of pending messages for each contact that has any; the keys are the numbers of the contacts."""
    rows = tx.execute("SELECT contact_id, count(*) FROM messages WHERE status = 'pending' GROUP BY contact_id")
    return {row[0]: row[1] for row in rows}
