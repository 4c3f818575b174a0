"""When a process of this profile last listened at each relay. We know what happened at the relay before this time, and
nothing that happened since.

A *visit* lasts from the time when our queues at a relay are subscribed until the session ends.
"""

from __future__ import annotations

import sqlite3


def arrived(tx: sqlite3.Connection, server: str, now: float) -> None:
    """Note that a visit begins: we have subscribed our queues at a relay, or a new queue there."""
    tx.execute(
        "INSERT INTO relay_visits (server, since) VALUES (?, ?)"
        " ON CONFLICT (server) DO UPDATE SET since = excluded.since, until = NULL",
        (server, now),
    )


def left(tx: sqlite3.Connection, server: str, now: float) -> None:
    """Note that a visit ends, because the session ended."""
    tx.execute("UPDATE relay_visits SET until = ? WHERE server = ? AND until IS NULL", (now, server))


def all_left(tx: sqlite3.Connection, now: float) -> None:
    """Note that all visits end, because the process ends normally. Relays that no longer have a queue of ours are
    deleted from the list."""
    tx.execute("DELETE FROM relay_visits WHERE server NOT IN (SELECT server FROM receive_queues)")
    tx.execute("UPDATE relay_visits SET until = ? WHERE until IS NULL", (now,))


def unfinished(tx: sqlite3.Connection) -> bool:
    """Whether there is a visit without an end."""
    return tx.execute("SELECT 1 FROM relay_visits WHERE until IS NULL").fetchone() is not None


def end_of_killed(tx: sqlite3.Connection) -> None:
    """End the visits of a killed process, which could not note when they ended. As only their beginning is certain, it
    counts as their end."""
    tx.execute("UPDATE relay_visits SET until = since WHERE until IS NULL")


def latest(tx: sqlite3.Connection, server: str, now: float, *, online: bool) -> float | None:
    """Until when we listened at a relay, in POSIX seconds: ``now`` if we still listen, None if the time is not known.

    Args:
        online: Whether a process is online for the profile: if so, a visit without an end is still going on.
    """
    row = tx.execute("SELECT since, until FROM relay_visits WHERE server = ?", (server,)).fetchone()
    if row is None:
        return None
    if row["until"] is not None:
        return float(row["until"])
    return now if online else float(row["since"])
