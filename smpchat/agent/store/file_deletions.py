"""What relays of files are to delete, and until when they can be told."""

from __future__ import annotations

import sqlite3

from smpchat.agent.store.files import Stage
from smpchat.encoding.record import Record, field


class Deletion(Record):
    """A chunk that a relay is to delete. ``since``: POSIX seconds."""

    id: int
    server: str
    sender_id: bytes
    sender_key: bytes = field(repr=False)
    since: float


def owe(tx: sqlite3.Connection, where: str, values: tuple[int, ...], now: float) -> None:
    """Chunks are no longer to be at their relays; ``where``: which, as SQL with ``values``."""
    tx.execute(
        "INSERT INTO file_deletions (server, sender_id, sender_key, since)"
        f" SELECT server, sender_id, sender_key, ? FROM file_chunks WHERE {where} AND sender_key IS NOT NULL",
        (now, *values),
    )
    tx.execute(f"UPDATE file_chunks SET server = NULL, sender_id = NULL, sender_key = NULL WHERE {where}", values)


def next_deletion(tx: sqlite3.Connection, server: str, now: float) -> Deletion | None:
    """What a relay is to delete next; None if nothing is, at this time."""
    query = "SELECT * FROM file_deletions WHERE server = ? AND not_before <= ? ORDER BY id LIMIT 1"
    row = tx.execute(query, (server, now)).fetchone()
    if row is None:
        return None
    return Deletion(row["id"], row["server"], row["sender_id"], row["sender_key"], row["since"])


def deleted(tx: sqlite3.Connection, deletion_id: int) -> None:
    """The relay has deleted it, or had before."""
    tx.execute("DELETE FROM file_deletions WHERE id = ?", (deletion_id,))


def postpone(tx: sqlite3.Connection, deletion_id: int, not_before: float) -> None:
    """The relay does not do it now; it is asked again at a time given in POSIX seconds."""
    tx.execute("UPDATE file_deletions SET not_before = ? WHERE id = ?", (not_before, deletion_id))


def begin_anew(tx: sqlite3.Connection) -> None:
    """A new process is online: everything is tried at once."""
    tx.execute("UPDATE file_deletions SET not_before = 0 WHERE not_before <> 0")


def owe_deletion(tx: sqlite3.Connection, server: str, sender_id: bytes, sender_key: bytes, now: float) -> None:
    """A relay is to delete a chunk that no file of ours has."""
    query = "INSERT INTO file_deletions (server, sender_id, sender_key, since) VALUES (?, ?, ?, ?)"
    tx.execute(query, (server, sender_id, sender_key, now))


def give_up_deletions(tx: sqlite3.Connection, moment: float) -> bool:
    """Relays that were to delete before a time given in POSIX seconds are asked no more; whether there were any."""
    return tx.execute("DELETE FROM file_deletions WHERE since < ?", (moment,)).rowcount > 0


def forget_sender_keys(tx: sqlite3.Connection, moment: float) -> bool:
    """Chunks of files that began before a POSIX time are not deleted any more; whether there were any."""
    changed = tx.execute(
        "DELETE FROM file_chunks WHERE file_id IN (SELECT id FROM files WHERE started < ? AND stage NOT IN (?, ?))",
        (moment, Stage.MOVING, Stage.OPENING),
    ).rowcount
    return changed > 0
