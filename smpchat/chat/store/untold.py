"""Changes of messages that are shown later: if a contact changes messages all the time, only the last change is shown
from time to time."""

from __future__ import annotations

import sqlite3

MOST = 60
"""Edits, reactions and versions of unfinished messages that are shown one by one, as each costs drawing, printing and
handling. If more come than one a second, only the last of each message is shown, when the time is over."""
WINDOW = 60.0
"""Seconds for which they are counted, and after which the rest is shown."""


def may_tell(tx: sqlite3.Connection, contact_id: int, now: float) -> bool:
    """Whether one more change of a contact is shown at once. If the clock was set back, counting starts again."""
    row = tx.execute(
        "UPDATE contacts SET"
        " changes_told = CASE WHEN :now - changes_since BETWEEN 0 AND :window THEN changes_told + 1 ELSE 1 END,"
        " changes_since = CASE WHEN :now - changes_since BETWEEN 0 AND :window THEN changes_since ELSE :now END"
        " WHERE id = :id RETURNING changes_told",
        {"id": contact_id, "now": now, "window": WINDOW},
    ).fetchone()
    return row is None or row["changes_told"] <= MOST


def put_off(tx: sqlite3.Connection, message_id: int, now: float) -> None:
    """A change of a message will be shown later, with those that follow; the first one decides when."""
    query = "UPDATE messages SET told_at = coalesce(told_at, ?) WHERE id = ?"
    tx.execute(query, (now + WINDOW, message_id))


def told(tx: sqlite3.Connection, message_id: int) -> None:
    """All changes so far were shown."""
    tx.execute("UPDATE messages SET told_at = NULL WHERE id = ? AND told_at IS NOT NULL", (message_id,))


def due(tx: sqlite3.Connection, now: float) -> list[int]:
    """Messages whose changes must be shown now. They are also shown if the clock was set back."""
    query = "SELECT id FROM messages WHERE told_at IS NOT NULL AND NOT told_at BETWEEN ? AND ? ORDER BY id"
    return [row["id"] for row in tx.execute(query, (now, now + WINDOW))]


def next_due(tx: sqlite3.Connection) -> float | None:
    """When the next changes must be shown; POSIX seconds."""
    [first] = tx.execute("SELECT min(told_at) FROM messages WHERE told_at IS NOT NULL").fetchone()
    return None if first is None else float(first)
