"""A connection's outbox is divided into lanes (see `Lane`). This module stores which lanes wait because a relay has
refused a command: for example, a queue or the relay's disk is full, or our password is wrong."""

from __future__ import annotations

import sqlite3

from smpchat.agent.store.outgoing import Lane
from smpchat.client.trouble import Trouble
from smpchat.encoding.record import Record


class Held(Record):
    """Why a lane of the outbox waits.

    Attributes:
        error: A description of the relay's answer in words.
        since: When the relay first refused a command of the lane for this kind of reason, in POSIX seconds.
        tried_at: When the relay last refused a command of the lane, in POSIX seconds.
        next_try_at: When we try the lane's next command again, in POSIX seconds. 0 if this is not known, or if a new
            process may already be trying.
    """

    kind: Trouble
    error: str
    since: float
    tried_at: float
    next_try_at: float = 0


def hold(tx: sqlite3.Connection, connection_id: int, lane: Lane, held: Held) -> None:
    """Save that this lane of the outbox waits, and why. The stored ``since`` changes only if the reason is of another
    kind than before."""
    tx.execute(
        "INSERT INTO held_lanes (connection_id, lane, kind, error, since, tried_at) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (connection_id, lane) DO UPDATE SET error = excluded.error, kind = excluded.kind,"
        " since = CASE WHEN kind = excluded.kind THEN since ELSE excluded.since END,"
        " tried_at = excluded.tried_at, next_try_at = 0",
        (connection_id, lane, held.kind, held.error, held.since, held.tried_at),
    )


def rests_until(tx: sqlite3.Connection, connection_id: int, lane: Lane, moment: float) -> None:
    """Save when we try the next command of a waiting lane again. ``moment``: POSIX seconds."""
    query = "UPDATE held_lanes SET next_try_at = ? WHERE connection_id = ? AND lane = ?"
    tx.execute(query, (moment, connection_id, lane))


def begin_anew(tx: sqlite3.Connection) -> None:
    """A new process has gone online, and tries every lane of the outbox at once. So forget how long an earlier process
    wanted to wait."""
    tx.execute("UPDATE held_lanes SET next_try_at = 0")


def let_go(tx: sqlite3.Connection, connection_id: int, lane: Lane) -> None:
    """Save that this lane of the outbox does not wait any more."""
    tx.execute("DELETE FROM held_lanes WHERE connection_id = ? AND lane = ?", (connection_id, lane))


def load_all(tx: sqlite3.Connection) -> dict[tuple[int, Lane], Held]:
    """Every lane of the outbox that waits because of a relay's answer, and why. Empty lanes are left out."""
    rows = tx.execute(
        "SELECT * FROM held_lanes AS held WHERE EXISTS"
        " (SELECT 1 FROM outbox WHERE connection_id = held.connection_id AND lane = held.lane)"
    )
    return {(row["connection_id"], Lane(row["lane"])): _held(row) for row in rows}


def _held(row: sqlite3.Row) -> Held:
    return Held(Trouble(row["kind"]), row["error"], row["since"], row["tried_at"], row["next_try_at"])
