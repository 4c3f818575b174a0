"""Limits how often the user is shown that a contact has changed messages. After too many changes in a minute, the next
ones are put off: a minute later, each changed message is shown once, in its newest form."""

from __future__ import annotations

import sqlite3

MOST = 60
"""The most changes of one contact (edits, reactions, versions of unfinished messages) that are shown one by one within
`WINDOW` seconds. Further changes are put off, because each change that is shown must be drawn, printed and handled."""
WINDOW = 60.0
"""The time in seconds for which a contact's changes are counted. A change that was put off is shown within this
time."""


def may_tell(tx: sqlite3.Connection, contact_id: int, now: float) -> bool:
    """Counts a change that a contact made to a message, and returns whether the change is shown at once. If the clock
    was set back, the count of changes starts again at 1."""
    row = tx.execute(
        "UPDATE contacts SET"
        " changes_told = CASE WHEN :now - changes_since BETWEEN 0 AND :window THEN changes_told + 1 ELSE 1 END,"
        " changes_since = CASE WHEN :now - changes_since BETWEEN 0 AND :window THEN changes_since ELSE :now END"
        " WHERE id = :id RETURNING changes_told",
        {"id": contact_id, "now": now, "window": WINDOW},
    ).fetchone()
    return row is None or row["changes_told"] <= MOST


def put_off(tx: sqlite3.Connection, message_id: int, now: float) -> None:
    """Puts off showing a change of a message. `WINDOW` seconds after the first change that was put off, all changes of
    the message are shown together."""
    query = "UPDATE messages SET told_at = coalesce(told_at, ?) WHERE id = ?"
    tx.execute(query, (now + WINDOW, message_id))


def told(tx: sqlite3.Connection, message_id: int) -> None:
    """Stores that no change of this message is put off any more."""
    tx.execute("UPDATE messages SET told_at = NULL WHERE id = ? AND told_at IS NOT NULL", (message_id,))


def due(tx: sqlite3.Connection, now: float) -> list[int]:
    """Numbers of the messages with changes that were put off and must be shown now, because their time has come or the
    clock was set back."""
    query = "SELECT id FROM messages WHERE told_at IS NOT NULL AND NOT told_at BETWEEN ? AND ? ORDER BY id"
    return [row["id"] for row in tx.execute(query, (now, now + WINDOW))]


def next_due(tx: sqlite3.Connection) -> float | None:
    """The time at which changes that were put off must next be shown, in POSIX seconds; None if none were put off."""
    [first] = tx.execute("SELECT min(told_at) FROM messages WHERE told_at IS NOT NULL").fetchone()
    return None if first is None else float(first)
