"""Messages that disappear: when each is due, and how it is deleted so that no text of it remains.

A message with a time to live (``ttl``) is due that many seconds after it was shown or, if it is ours, after it was
sent. As long as the message was not shown or sent, its ``expires_at`` is empty. A deleted message leaves no text
behind, neither in its row nor in the replies that quote it. Of a deleted message, smpchat keeps only the id that both
apps know, so that a later reply that quotes the message does not bring its text back.
"""

from __future__ import annotations

import sqlite3

from smpchat.agent.store.erasure import empty_log
from smpchat.chat.store import files, memberships, searching
from smpchat.encoding.record import Record

KEPT_IDS = 1_000
"""At most this many ids of deleted messages are kept for each contact. More are not needed, because a reply to a
message usually comes soon."""


class Gone(Record):
    """A message that has just disappeared."""

    id: int
    contact: str


def shorten(tx: sqlite3.Connection, message_id: int, ttl: int, now: float) -> None:
    """Applies the time to live that an edit contains. An edit can give a message a time to live, and
    can shorten a time to live, but cannot lengthen it."""
    searching.forget(tx, message_id)
    tx.execute(
        "UPDATE messages SET ttl = min(coalesce(ttl, :ttl), :ttl),"
        # The new time is never later than the old one, so that a contact cannot keep a message from disappearing by
        # editing it.
        " expires_at = CASE WHEN shown = 1 THEN min(coalesce(expires_at, :at), :at) END WHERE id = :id",
        {"ttl": ttl, "at": now + ttl, "id": message_id},
    )


def start(tx: sqlite3.Connection, message_id: int, now: float) -> None:
    """Starts the time to live of a message that was shown or sent. Changes nothing if the message has no time to live,
    or if its time to live has already started."""
    tx.execute(
        "UPDATE messages SET expires_at = ? + ttl WHERE id = ? AND ttl IS NOT NULL AND expires_at IS NULL",
        (now, message_id),
    )


def next_due(tx: sqlite3.Connection) -> float | None:
    """The time at which the next message must be deleted, in POSIX seconds; None if there is none."""
    moment: float | None = tx.execute("SELECT min(expires_at) FROM messages WHERE expires_at IS NOT NULL").fetchone()[0]
    return moment


def take_due(tx: sqlite3.Connection, now: float) -> list[Gone]:
    """Deletes all messages whose time to live is over, and returns them."""
    rows = tx.execute(
        "SELECT messages.id, contacts.alias FROM messages JOIN contacts ON contacts.id = messages.contact_id"
        " WHERE expires_at IS NOT NULL AND expires_at <= ? ORDER BY messages.id",
        (now,),
    ).fetchall()
    for row in rows:
        remove(tx, row["id"])
    return [Gone(row["id"], row["alias"]) for row in rows]


def remove(tx: sqlite3.Connection, message_id: int) -> None:
    """Deletes a message with its reactions, and its text in replies that quote it."""
    # `_forget_words` copies the message's id from the row into another table, so the row is deleted afterwards.
    _forget_words(tx, message_id)
    tx.execute("DELETE FROM messages WHERE id = ?", (message_id,))


def empty(tx: sqlite3.Connection, message_id: int) -> None:
    """Removes the text of a message, also from replies. Its empty row, a *husk*, stays until `sweep`, because the user
    must still be told that the message was deleted."""
    _forget_words(tx, message_id)
    tx.execute(
        "UPDATE messages SET husk = 1, text = '', note = '', preview = NULL, quoted_id = NULL, quoted_direction = NULL,"
        " quoted_text = NULL WHERE id = ?",
        (message_id,),
    )


def sweep(tx: sqlite3.Connection, message_id: int) -> None:
    """Deletes the husk (the empty row) of a message, if the user was told that the message was deleted."""
    tx.execute("DELETE FROM messages WHERE id = ? AND husk = 1 AND changes_shown >= changes", (message_id,))


def _forget_words(tx: sqlite3.Connection, message_id: int) -> None:
    searching.forget(tx, message_id)
    files.drop(tx, message_id)
    memberships.message_gone(tx, message_id)
    empty_log(tx)
    tx.execute("UPDATE messages SET quoted_id = NULL, quoted_text = NULL WHERE quoted_id = ?", (message_id,))
    tx.execute(
        "INSERT INTO gone_messages (contact_id, shared_id)"
        " SELECT contact_id, shared_id FROM messages WHERE id = ? AND shared_id IS NOT NULL",
        (message_id,),
    )
    tx.execute(
        "DELETE FROM gone_messages WHERE contact_id = (SELECT contact_id FROM messages WHERE id = :id) AND id <="
        " (SELECT id FROM gone_messages WHERE contact_id = (SELECT contact_id FROM messages WHERE id = :id)"
        " ORDER BY id DESC LIMIT 1 OFFSET :kept)",
        {"id": message_id, "kept": KEPT_IDS},
    )


def is_gone(tx: sqlite3.Connection, contact_id: int, shared_id: str) -> bool:
    """Whether a message with this id, which both apps know, existed here and has disappeared."""
    query = "SELECT 1 FROM gone_messages WHERE contact_id = ? AND shared_id = ?"
    return tx.execute(query, (contact_id, shared_id)).fetchone() is not None
