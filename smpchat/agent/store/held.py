"""Lanes of the outbox (see `Lane`) that wait because of what a relay answered, for example that a queue or its disk is
full, or that the password is wrong."""

from __future__ import annotations

import sqlite3

from smpchat.agent.store.outgoing import Lane
from smpchat.client.trouble import Trouble
from smpchat.encoding.record import Record


class Held(Record):
    """Why a lane waits.

    Attributes:
        error: What the relay answered, in words.
        since: POSIX seconds of the first such answer.
        tried_at: POSIX seconds of the last such answer.
        next_try_at: When the lane is tried again, in POSIX seconds; 0 if this is not known, or if a new process may
            already be trying.
    """

    kind: Trouble
    error: str
    since: float
    tried_at: float
    next_try_at: float = 0


def hold(tx: sqlite3.Connection, connection_id: int, lane: Lane, held: Held) -> None:
    """Save that the lane waits, and why. The stored ``since`` changes only if the reason is of another kind than
    before."""
    tx.execute(
        "INSERT INTO held_lanes (connection_id, lane, kind, error, since, tried_at) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (connection_id, lane) DO UPDATE SET error = excluded.error, kind = excluded.kind,"
        " since = CASE WHEN kind = excluded.kind THEN since ELSE excluded.since END,"
        " tried_at = excluded.tried_at, next_try_at = 0",
        (connection_id, lane, held.kind, held.error, held.since, held.tried_at),
    )


def rests_until(tx: sqlite3.Connection, connection_id: int, lane: Lane, moment: float) -> None:
    """Save when a held lane is tried again."""
    query = "UPDATE held_lanes SET next_try_at = ? WHERE connection_id = ? AND lane = ?"
    tx.execute(query, (moment, connection_id, lane))


def begin_anew(tx: sqlite3.Connection) -> None:
    """A new process is online, and tries every lane immediately, so forget until when an earlier process wanted to
    wait."""
    tx.execute("UPDATE held_lanes SET next_try_at = 0")


def let_go(tx: sqlite3.Connection, connection_id: int, lane: Lane) -> None:
    """The lane does not wait any more."""
    tx.execute("DELETE FROM held_lanes WHERE connection_id = ? AND lane = ?", (connection_id, lane))


def load_all(tx: sqlite3.Connection) -> dict[tuple[int, Lane], Held]:
    """All lanes that wait because of a relay's answer, except those with nothing left to do."""
    rows = tx.execute(
        "SELECT * FROM held_lanes AS held WHERE EXISTS"
        " (SELECT 1 FROM outbox WHERE connection_id = held.connection_id AND lane = held.lane)"
    )
    return {(row["connection_id"], Lane(row["lane"])): _held(row) for row in rows}


def _held(row: sqlite3.Row) -> Held:
    return Held(Trouble(row["kind"]), row["error"], row["since"], row["tried_at"], row["next_try_at"])
