"""The rows in which the feed of events is stored. Each process that follows the profile remembers the number of the
last event it has read."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

KEPT_EVENTS = 1000
"""At most this many events of each contact are kept. Older events are deleted, and a process that has not read them yet
misses them."""
NOBODYS, REQUESTS = 0, -1
"""The ``owner`` of an event that belongs to no contact: `REQUESTS` for contact requests, `NOBODYS` for other events."""


def publish(tx: sqlite3.Connection, kind: str, payload: dict[str, Any], owner: int = NOBODYS) -> None:
    """Adds an event for all processes that follow this profile. Old events of the same ``owner`` are deleted, never
    those of others."""
    tx.execute("INSERT INTO events (kind, payload, owner) VALUES (?, ?, ?)", (kind, json.dumps(payload), owner))
    tx.execute(
        "DELETE FROM events WHERE owner = :owner AND seq <="
        " (SELECT seq FROM events WHERE owner = :owner ORDER BY seq DESC LIMIT 1 OFFSET :kept)",
        {"owner": owner, "kept": KEPT_EVENTS},
    )


def last_event(tx: sqlite3.Connection) -> int:
    """Number of the newest event."""
    row = tx.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()
    return int(row[0])


def events_after(tx: sqlite3.Connection, seq: int) -> list[tuple[int, str, dict[str, Any]]]:
    """The events that were added after event number ``seq``, each as three values: its number, kind and payload."""
    rows = tx.execute("SELECT * FROM events WHERE seq > ? ORDER BY seq", (seq,))
    return [(row["seq"], row["kind"], json.loads(row["payload"])) for row in rows]
