"""Messages that their authors are still writing: held back until they are finished, or left alone for a while.

A live message of a contact arrives as a beginning, followed by many longer versions. `chat` shows it while it grows;
everything that acts on messages (`listen`, programs, the count of unread messages) gets it once.
"""

from __future__ import annotations

import sqlite3

from smpchat.chat.store import records
from smpchat.chat.store.records import Message

SILENCE = 30.0
"""Seconds without a new version after which a message counts as finished; apps send one at least every few seconds."""


def hold(tx: sqlite3.Connection, message_id: int, now: float) -> None:
    """The author of a message has just added to it, so it must not be shown as a message yet."""
    tx.execute("UPDATE messages SET written_at = ? WHERE id = ?", (now, message_id))


def release(tx: sqlite3.Connection, message_id: int) -> None:
    """A message may be shown."""
    tx.execute("UPDATE messages SET written_at = NULL WHERE id = ?", (message_id,))


def abandoned(tx: sqlite3.Connection, now: float) -> list[int]:
    """Messages that are held back although their authors have not changed them for `SILENCE`.

    They are also released if the clock was set back, so that nothing is held back forever.
    """
    rows = tx.execute(
        "SELECT id FROM messages WHERE written_at IS NOT NULL AND NOT written_at BETWEEN ? AND ? ORDER BY id",
        (now - SILENCE, now + SILENCE),
    )
    return [row["id"] for row in rows]


def next_abandoned(tx: sqlite3.Connection) -> float | None:
    """When the next message counts as finished if its author does not change it; POSIX seconds."""
    [began] = tx.execute("SELECT min(written_at) FROM messages WHERE written_at IS NOT NULL").fetchone()
    return None if began is None else float(began) + SILENCE


def being_written(tx: sqlite3.Connection, contact_id: int) -> list[Message]:
    """The messages that a contact is writing now, in the order in which they were begun."""
    query = "SELECT id FROM messages WHERE written_at IS NOT NULL AND contact_id = ? ORDER BY id"
    found = [records.message(tx, row["id"]) for row in tx.execute(query, (contact_id,)).fetchall()]
    return [message for message in found if message is not None]
