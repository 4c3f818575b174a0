"""Live messages, which their authors are still writing. A live message is held back until its author has finished it,
or has not changed it for a while.

A contact's live message arrives as a short first version, followed by many longer ones. `chat` shows all versions.
`listen`, programs and the count of unread messages get only the finished message.
"""

from __future__ import annotations

import sqlite3

from smpchat.chat.store import records
from smpchat.chat.store.records import Message

SILENCE = 30.0
"""A live message counts as finished if no new version of it has come for this many seconds. Apps send a new version
every few seconds."""


def hold(tx: sqlite3.Connection, message_id: int, now: float) -> None:
    """Holds a message back, because its author has just changed it."""
    tx.execute("UPDATE messages SET written_at = ? WHERE id = ?", (now, message_id))


def release(tx: sqlite3.Connection, message_id: int) -> None:
    """Stops holding a message back, so that it can be shown."""
    tx.execute("UPDATE messages SET written_at = NULL WHERE id = ?", (message_id,))


def abandoned(tx: sqlite3.Connection, now: float) -> list[int]:
    """Messages that are still held back, although their authors have not changed them for `SILENCE` seconds.

    If the clock was set back, the last change of a message may seem to lie in the future. Such a message is included
    too: otherwise it would be held back for too long.
    """
    rows = tx.execute(
        "SELECT id FROM messages WHERE written_at IS NOT NULL AND NOT written_at BETWEEN ? AND ? ORDER BY id",
        (now - SILENCE, now + SILENCE),
    )
    return [row["id"] for row in rows]


def next_abandoned(tx: sqlite3.Connection) -> float | None:
    """The time, in POSIX seconds, at which the next live message counts as finished unless its author changes it; None
    if no message is held back."""
    [began] = tx.execute("SELECT min(written_at) FROM messages WHERE written_at IS NOT NULL").fetchone()
    return None if began is None else float(began) + SILENCE


def being_written(tx: sqlite3.Connection, contact_id: int) -> list[Message]:
    """The messages that a contact is writing now, in the order in which they were begun."""
    query = "SELECT id FROM messages WHERE written_at IS NOT NULL AND contact_id = ? ORDER BY id"
    found = [records.message(tx, row["id"]) for row in tx.execute(query, (contact_id,)).fetchall()]
    return [message for message in found if message is not None]
