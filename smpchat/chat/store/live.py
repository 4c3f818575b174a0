"""Messages that their authors are still writing: held back until they are finished, or left alone for a while.

What a contact writes live arrives as a beginning and many longer versions of it. `chat` shows it as it grows; whoever
acts on messages (`listen`, programs, counts of what is unread) gets it once.
"""

from __future__ import annotations

import sqlite3

from smpchat.chat.store import records
from smpchat.chat.store.records import Message

SILENCE = 30.0
"""Seconds without a new version after which a message counts as finished; apps send one at least every few seconds."""


def hold(tx: sqlite3.Connection, message_id: int, now: float) -> None:
    """The author of a message has just written at it: it is not to be shown as a message yet."""
    tx.execute("UPDATE messages SET written_at = ? WHERE id = ?", (now, message_id))


def release(tx: sqlite3.Connection, message_id: int) -> None:
    """A message is to be shown."""
    tx.execute("UPDATE messages SET written_at = NULL WHERE id = ?", (message_id,))


def abandoned(tx: sqlite3.Connection, now: float) -> list[int]:
    """Messages that are held back although nobody has written at them for `SILENCE`.

    A clock that was set back releases them too: nothing may be held for ever.
    """
    rows = tx.execute(
        "SELECT id FROM messages WHERE written_at IS NOT NULL AND NOT written_at BETWEEN ? AND ? ORDER BY id",
        (now - SILENCE, now + SILENCE),
    )
    return [row["id"] for row in rows]


def next_abandoned(tx: sqlite3.Connection) -> float | None:
    """When the next message counts as finished if nobody writes at it; POSIX seconds."""
    [began] = tx.execute("SELECT min(written_at) FROM messages WHERE written_at IS NOT NULL").fetchone()
    return None if began is None else float(began) + SILENCE


def being_written(tx: sqlite3.Connection, contact_id: int) -> list[Message]:
    """What a contact is writing now, in the order in which it was begun."""
    query = "SELECT id FROM messages WHERE written_at IS NOT NULL AND contact_id = ? ORDER BY id"
    found = [records.message(tx, row["id"]) for row in tx.execute(query, (contact_id,)).fetchall()]
    return [message for message in found if message is not None]
