"""Messages that a listener's program has still to handle.

Not the same as those that nobody was shown: a `chat` beside may show a message first, and the program gets it all the
same, also if it or the listener failed in between.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable


def keep(tx: sqlite3.Connection, message_ids: Iterable[int]) -> None:
    """These are to be handled; those that are gone meanwhile are not."""
    tx.executemany(
        "INSERT OR IGNORE INTO to_handle (message_id) SELECT id FROM messages WHERE id = ?",
        [(number,) for number in message_ids],
    )


def kept(tx: sqlite3.Connection) -> list[int]:
    """What is to be handled, in the order in which it came."""
    return [row[0] for row in tx.execute("SELECT message_id FROM to_handle WHERE NOT skipped ORDER BY message_id")]


def skipped(tx: sqlite3.Connection) -> set[int]:
    """What the program failed on so often that it does not get it any more."""
    return {row[0] for row in tx.execute("SELECT message_id FROM to_handle WHERE skipped")}


def failed(tx: sqlite3.Connection, message_id: int) -> int:
    """The program failed on it once more. Returns how often by now."""
    keep(tx, [message_id])
    tx.execute("UPDATE to_handle SET failures = failures + 1 WHERE message_id = ?", (message_id,))
    row = tx.execute("SELECT failures FROM to_handle WHERE message_id = ?", (message_id,)).fetchone()
    return int(row[0]) if row else 0


def skip(tx: sqlite3.Connection, message_id: int) -> None:
    """The program does not get it any more."""
    tx.execute("UPDATE to_handle SET skipped = 1 WHERE message_id = ?", (message_id,))


def handled(tx: sqlite3.Connection, message_id: int) -> None:
    """It was handled."""
    tx.execute("DELETE FROM to_handle WHERE message_id = ?", (message_id,))
