"""Conditions: problems that a connection has now. A condition is listed until the problem is solved; a problem that
nothing can solve is listed for `LOST_STANDS` seconds."""

from __future__ import annotations

import sqlite3

from smpchat.encoding.record import Record, field

LOST_STANDS = 7 * 86_400.0
"""For this many seconds, a condition says that messages were lost. Without a limit, it would say so for ever, because
nothing can bring lost messages back."""


class Condition(Record):
    """A problem that a contact, an invitation or a relay has now.

    Attributes:
        contact: Alias of the contact that has the problem; None if no contact has it.
        server: Address of the relay; None if the condition is not about a relay.
        kind: The kind of problem: a `Trouble` if the relay has the problem, otherwise a `NoticeKind`.
        text: A sentence about the problem, and the command that helps, if there is one.
        since: When the problem began; POSIX seconds.
    """

    contact: str | None
    kind: str
    text: str = field(repr=False)
    since: float
    server: str | None = None


def begin(tx: sqlite3.Connection, connection_id: int, kind: str, text: str, now: float) -> bool:
    """Saves a condition. If the connection already has a condition of this kind, only the text of that condition is
    replaced. Returns False if the connection already had a condition with this kind and text."""
    query = "SELECT 1 FROM conditions WHERE connection_id = ? AND kind = ? AND text = ?"
    stood = tx.execute(query, (connection_id, kind, text)).fetchone() is not None
    tx.execute(
        "INSERT INTO conditions (connection_id, kind, text, since) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (connection_id, kind) DO UPDATE SET text = excluded.text",
        (connection_id, kind, text, now),
    )
    return not stood


def end(tx: sqlite3.Connection, connection_id: int, kind: str) -> bool:
    """Deletes a condition. Returns False if the connection had no condition of this kind."""
    query = "DELETE FROM conditions WHERE connection_id = ? AND kind = ?"
    return tx.execute(query, (connection_id, kind)).rowcount > 0


def forget(tx: sqlite3.Connection, connection_id: int) -> None:
    """Deletes all conditions (noted problems) of a connection that was deleted."""
    tx.execute("DELETE FROM conditions WHERE connection_id = ?", (connection_id,))


def standing(tx: sqlite3.Connection) -> list[tuple[int, str, str, float]]:
    """All conditions, oldest first. For each condition, the result has four values: its connection, its kind, its text
    (in which placeholders such as ``{alias}`` are not filled in), and when the problem began (POSIX seconds)."""
    rows = tx.execute("SELECT connection_id, kind, text, since FROM conditions ORDER BY since, connection_id, kind")
    return [tuple(row) for row in rows]
