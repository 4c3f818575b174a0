"""Until when we listened at each relay. We know what had happened there until then, but not what happened since."""

from __future__ import annotations

import sqlite3


def arrived(tx: sqlite3.Connection, server: str, now: float) -> None:
    """Our queues at a relay were subscribed, or a new one was: from now on we listen there."""
    tx.execute(
        "INSERT INTO relay_visits (server, since) VALUES (?, ?)"
        " ON CONFLICT (server) DO UPDATE SET since = excluded.since, until = NULL",
        (server, now),
    )


def left(tx: sqlite3.Connection, server: str, now: float) -> None:
    """The session ended. Later than that we know nothing."""
    tx.execute("UPDATE relay_visits SET until = ? WHERE server = ? AND until IS NULL", (now, server))


def all_left(tx: sqlite3.Connection, now: float) -> None:
    """The process ends, in order. Relays that no longer have a queue of ours are deleted from the list."""
    tx.execute("DELETE FROM relay_visits WHERE server NOT IN (SELECT server FROM receive_queues)")
    tx.execute("UPDATE relay_visits SET until = ? WHERE until IS NULL", (now,))


def unfinished(tx: sqlite3.Connection) -> bool:
    """Whether there is a visit without an end."""
    return tx.execute("SELECT 1 FROM relay_visits WHERE until IS NULL").fetchone() is not None


def end_of_killed(tx: sqlite3.Connection) -> None:
    """A process could not note when it ended, so only the beginning of its visits is certain."""
    tx.execute("UPDATE relay_visits SET until = since WHERE until IS NULL")


def latest(tx: sqlite3.Connection, server: str, now: float, *, online: bool) -> float | None:
    """Until when we listened at a relay, POSIX seconds: ``now`` if we do; None if it is not known.

    Args:
        online: Some process is online for the profile: a visit without an end goes on.
    """
    row = tx.execute("SELECT since, until FROM relay_visits WHERE server = ?", (server,)).fetchone()
    if row is None:
        return None
    if row["until"] is not None:
        return float(row["until"])
    return now if online else float(row["since"])
