"""Messages that the program of `listen --exec` must still handle.

The program of `listen --exec` gets a message even if a `chat` has shown it first. The program gets a message again if
it failed on the message, or if `listen` ended before the program had handled the message.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable


def keep(tx: sqlite3.Connection, message_ids: Iterable[int]) -> None:
    """Records that the program of `listen --exec` must handle these messages. Messages that were deleted meanwhile are
    ignored."""
    tx.executemany(
        "INSERT OR IGNORE INTO to_handle (message_id) SELECT id FROM messages WHERE id = ?",
        [(number,) for number in message_ids],
    )


def kept(tx: sqlite3.Connection) -> list[int]:
    """Numbers of the messages that the program of `listen --exec` must still handle, in the order of their arrival."""
    return [row[0] for row in tx.execute("SELECT message_id FROM to_handle WHERE NOT skipped ORDER BY message_id")]


def skipped(tx: sqlite3.Connection) -> set[int]:
    """Numbers of the messages that the program of `listen --exec` does not get any more, because it failed on them too
    often."""
    return {row[0] for row in tx.execute("SELECT message_id FROM to_handle WHERE skipped")}


def failed(tx: sqlite3.Connection, message_id: int) -> int:
    """Records that the program of `listen --exec` failed on a message. Returns how often this program has failed on the
    message."""
    keep(tx, [message_id])
    tx.execute("UPDATE to_handle SET failures = failures + 1 WHERE message_id = ?", (message_id,))
    row = tx.execute("SELECT failures FROM to_handle WHERE message_id = ?", (message_id,)).fetchone()
    return int(row[0]) if row else 0


def skip(tx: sqlite3.Connection, message_id: int) -> None:
    """Records that the program of `listen --exec` does not get the message any more."""
    tx.execute("UPDATE to_handle SET skipped = 1 WHERE message_id = ?", (message_id,))


def handled(tx: sqlite3.Connection, message_id: int) -> None:
    """Records that the program of `listen --exec` has handled a message."""
    tx.execute("DELETE FROM to_handle WHERE message_id = ?", (message_id,))
