"""How often a peer may cause something: counted in the store, so that a new process begins with no new allowance."""

from __future__ import annotations

import sqlite3
from enum import Enum, auto

from smpchat.encoding.record import Record


class Allowance(Record):
    """So many times within so many seconds, from the first of them on.

    Attributes:
        kind: What is counted; in the store.
    """

    kind: str
    most: int
    seconds: float


HOUR, DAY = 3_600.0, 86_400.0


class Use(Enum):
    """What one more time amounts to."""

    ALLOWED = auto()
    FIRST_TOO_MANY = auto()
    """The event that the user is told of."""
    TOO_MANY = auto()


def use(tx: sqlite3.Connection, connection_id: int, allowance: Allowance, now: float) -> Use:
    """A peer causes it once more. ``now``: POSIX seconds; a clock that was set back begins a new time."""
    [used] = tx.execute(
        "INSERT INTO allowances VALUES (:id, :kind, 1, :now) ON CONFLICT (connection_id, kind) DO UPDATE SET"
        " used = CASE WHEN :now - since BETWEEN 0 AND :seconds THEN used + 1 ELSE 1 END,"
        " since = CASE WHEN :now - since BETWEEN 0 AND :seconds THEN since ELSE :now END"
        " RETURNING used",
        {"id": connection_id, "kind": allowance.kind, "now": now, "seconds": allowance.seconds},
    ).fetchone()
    if used <= allowance.most:
        return Use.ALLOWED
    return Use.FIRST_TOO_MANY if used == allowance.most + 1 else Use.TOO_MANY
