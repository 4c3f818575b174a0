"""Moves of peers' queues to other relays: one row for each connection whose peer is moving its queue."""

from __future__ import annotations

import sqlite3
from enum import StrEnum

from smpchat.agent.store.connections import SendQueue, send_queue_from, send_queue_values
from smpchat.encoding.record import Record


class Stage(StrEnum):
    """How far the move of a peer's queue has got."""

    REACHING = "reaching"
    """The peer asked us to use a new queue (QADD). Before we agree, we find out whether we can reach the relay of this
    queue."""
    KEYED = "keyed"
    """We agreed: our keys for the new queue are on their way to the peer (QKEY)."""
    TESTING = "testing"
    """The peer told us to use the new queue (QUSE), and we do, but its relay has not accepted a message yet."""


class Rotation(Record):
    """A move of a peer's queue that is in progress.

    Attributes:
        queue: The peer's queue that we do not use now: its new queue or, in the stage `TESTING`, its old queue.
        hold_until: The earliest time at which messages may be sent, in POSIX seconds; 0 if they need not wait.
    """

    stage: Stage
    queue: SendQueue
    hold_until: float = 0


def load(tx: sqlite3.Connection, connection_id: int) -> Rotation | None:
    """The move of the peer's queue, if one is in progress."""
    row = tx.execute("SELECT * FROM rotations WHERE connection_id = ?", (connection_id,)).fetchone()
    return Rotation(Stage(row["stage"]), send_queue_from(row), row["hold_until"]) if row else None


def hold_until(tx: sqlite3.Connection, connection_id: int) -> float:
    """When messages that are sealed now may be sent, in POSIX seconds; 0 if they need not wait."""
    rotation = load(tx, connection_id)
    return 0 if rotation is None else rotation.hold_until


def save(tx: sqlite3.Connection, rotation: Rotation) -> None:
    """Insert or replace the move of the peer's queue."""
    first, *rest = send_queue_values(rotation.queue)
    values = (first, rotation.stage, *rest, rotation.hold_until)
    tx.execute("INSERT OR REPLACE INTO rotations VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values)


def delete(tx: sqlite3.Connection, connection_id: int) -> None:
    """Delete the record of the move, because the move is over."""
    tx.execute("DELETE FROM rotations WHERE connection_id = ?", (connection_id,))
