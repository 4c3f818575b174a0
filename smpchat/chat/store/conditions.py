"""What is wrong with a connection now. A condition remains until it is fixed, so people see it whenever they look."""

from __future__ import annotations

import sqlite3

from smpchat.encoding.record import Record, field

LOST_STANDS = 7 * 86_400.0
"""Seconds for which lost messages are listed as a condition, as nothing can fix them."""


class Condition(Record):
    """What is wrong with a contact, an invitation or a relay now.

    Attributes:
        contact: Alias; None if it does not concern a contact.
        server: Address of the relay, if the condition is a relay that is not reached.
        kind: A `NoticeKind`, or a `Trouble` of the relay.
        text: One sentence, and the command that helps, if there is one.
        since: POSIX seconds.
    """

    contact: str | None
    kind: str
    text: str = field(repr=False)
    since: float
    server: str | None = None


def begin(tx: sqlite3.Connection, connection_id: int, kind: str, text: str, now: float) -> bool:
    """Save a condition; its time stays that of the first time. Returns whether it says anything new."""
    query = "SELECT 1 FROM conditions WHERE connection_id = ? AND kind = ? AND text = ?"
    stood = tx.execute(query, (connection_id, kind, text)).fetchone() is not None
    tx.execute(
        "INSERT INTO conditions (connection_id, kind, text, since) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (connection_id, kind) DO UPDATE SET text = excluded.text",
        (connection_id, kind, text, now),
    )
    return not stood


def end(tx: sqlite3.Connection, connection_id: int, kind: str) -> bool:
    """Delete a condition. Returns whether there was one."""
    query = "DELETE FROM conditions WHERE connection_id = ? AND kind = ?"
    return tx.execute(query, (connection_id, kind)).rowcount > 0


def forget(tx: sqlite3.Connection, connection_id: int) -> None:
    """The connection was deleted, so delete its conditions."""
    tx.execute("DELETE FROM conditions WHERE connection_id = ?", (connection_id,))


def standing(tx: sqlite3.Connection) -> list[tuple[int, str, str, float]]:
    """Connection, kind, text with its placeholders, and since when, of every condition; oldest first."""
    rows = tx.execute("SELECT connection_id, kind, text, since FROM conditions ORDER BY since, connection_id, kind")
    return [tuple(row) for row in rows]
