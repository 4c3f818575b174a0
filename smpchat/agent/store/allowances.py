"""Limits on how often a peer can make us do something. The store keeps the counts, so that a new process does not start
counting from zero."""

from __future__ import annotations

import sqlite3
from enum import Enum, auto

from smpchat.encoding.record import Record


class Allowance(Record):
    """A limit: a peer may make us do something at most ``most`` times within ``seconds`` after the first time.

    Attributes:
        kind: The name of what is counted; each name has a count of its own in the store.
    """

    kind: str
    most: int
    seconds: float


HOUR, DAY = 3_600.0, 86_400.0


class Use(Enum):
    """Whether a peer may make us do something one more time."""

    ALLOWED = auto()
    FIRST_TOO_MANY = auto()
    """The limit was exceeded for the first time. Callers tell the user this time, but not the times after that."""
    TOO_MANY = auto()


def use(tx: sqlite3.Connection, connection_id: int, allowance: Allowance, now: float) -> Use:
    """A peer makes us do something once more. Add one to the count, and return whether the limit allows this.

    If the clock was set back, counting starts again. ``now``: POSIX seconds.
    """
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
