"""When a process of this profile last listened at each relay. We cannot know what has happened at a relay since we last
listened there.

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
    """Note that the visit at this relay ends, because our session with the relay has ended."""
    tx.execute("UPDATE relay_visits SET until = ? WHERE server = ? AND until IS NULL", (now, server))


def all_left(tx: sqlite3.Connection, now: float) -> None:
    """Note that the visits at all relays end, because the process ends normally. Forget the relays at which none
    of our connections has its receive queue any more."""
    tx.execute("DELETE FROM relay_visits WHERE server NOT IN (SELECT server FROM receive_queues)")
    tx.execute("UPDATE relay_visits SET until = ? WHERE until IS NULL", (now,))


def unfinished(tx: sqlite3.Connection) -> bool:
    """Whether some visit has no stored end: the visit is still going on, or its process was killed."""
    return tx.execute("SELECT 1 FROM relay_visits WHERE until IS NULL").fetchone() is not None


def end_of_killed(tx: sqlite3.Connection) -> None:
    """End the visits of a killed process, which could not note when they ended. The beginning of such a visit counts as
    its end, because no later time is certain."""
    tx.execute("UPDATE relay_visits SET until = since WHERE until IS NULL")


def latest(tx: sqlite3.Connection, server: str, now: float, *, online: bool) -> float | None:
    """The time until which we listened at a relay, in POSIX seconds: ``now`` if we still listen, None if we do not know
    the time.

    Args:
        online: Whether a process is online for the profile. If so, a visit for which no end is stored is still going
            on.
    """
    row = tx.execute("SELECT since, until FROM relay_visits WHERE server = ?", (server,)).fetchone()
    if row is None:
        return None
    if row["until"] is not None:
        return float(row["until"])
    return now if online else float(row["since"])
