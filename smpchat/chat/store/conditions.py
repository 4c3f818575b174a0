"""Conditions: problems that a connection has now. Each one is listed until the problem is solved."""

from __future__ import annotations

import sqlite3

from smpchat.encoding.record import Record, field

LOST_STANDS = 7 * 86_400.0
"""Seconds for which lost messages are listed as a condition. Without a limit,
they would be listed for ever, because nothing can bring them back."""


class Condition(Record):
    """A problem that a contact, an invitation or a relay has now.

    Attributes:
        contact: Alias of the contact; None if the condition does not concern one.
        server: Address of the relay; None if the condition is not about a relay.
        kind: A `NoticeKind`, or a `Trouble` of the relay.
        text: One sentence, and the command that helps, if any.
        since: POSIX seconds.
    """

    contact: str | None
    kind: str
    text: str = field(repr=False)
    since: float
    server: str | None = None


def begin(tx: sqlite3.Connection, connection_id: int, kind: str, text: str, now: float) -> bool:
    """Saves a condition. If the connection already has one of this kind, only its text is replaced. Returns whether the
    text is new."""
    query = "SELECT 1 FROM conditions WHERE connection_id = ? AND kind = ? AND text = ?"
    stood = tx.execute(query, (connection_id, kind, text)).fetchone() is not None
    tx.execute(
        "INSERT INTO conditions (connection_id, kind, text, since) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (connection_id, kind) DO UPDATE SET text = excluded.text",
        (connection_id, kind, text, now),
    )
    return not stood


def end(tx: sqlite3.Connection, connection_id: int, kind: str) -> bool:
    """Deletes a condition. Returns whether this condition existed."""
    query = "DELETE FROM conditions WHERE connection_id = ? AND kind = ?"
    return tx.execute(query, (connection_id, kind)).rowcount > 0


def forget(tx: sqlite3.Connection, connection_id: int) -> None:
    """Deletes the conditions of a deleted connection."""
    tx.execute("DELETE FROM conditions WHERE connection_id = ?", (connection_id,))


def standing(tx: sqlite3.Connection) -> list[tuple[int, str, str, float]]:
    """All conditions, oldest first: of each the connection, kind, text with placeholders, and start (POSIX seconds)."""
    rows = tx.execute("SELECT connection_id, kind, text, since FROM conditions ORDER BY since, connection_id, kind")
    return [tuple(row) for row in rows]
