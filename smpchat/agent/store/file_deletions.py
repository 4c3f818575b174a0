"""The chunks that file relays must delete, and when we stop asking the relays to delete them."""

from __future__ import annotations

import sqlite3

from smpchat.agent.store.files import Stage
from smpchat.encoding.record import Record, field


class Deletion(Record):
    """A chunk that a relay must delete. ``since``: when the deletion was noted, in POSIX seconds."""

    id: int
    server: str
    sender_id: bytes
    sender_key: bytes = field(repr=False)
    since: float


def owe(tx: sqlite3.Connection, where: str, values: tuple[int, ...], now: float) -> None:
    """Note that chunks must be deleted at their relays. The SQL condition ``where``, with the parameters ``values``,
    selects the chunks."""
    tx.execute(
        "INSERT INTO file_deletions (server, sender_id, sender_key, since)"
        f" SELECT server, sender_id, sender_key, ? FROM file_chunks WHERE {where} AND sender_key IS NOT NULL",
        (now, *values),
    )
    tx.execute(f"UPDATE file_chunks SET server = NULL, sender_id = NULL, sender_key = NULL WHERE {where}", values)


def next_deletion(tx: sqlite3.Connection, server: str, now: float) -> Deletion | None:
    """The next chunk that the relay ``server`` must delete; None if it need not delete any at the time ``now``."""
    query = "SELECT * FROM file_deletions WHERE server = ? AND not_before <= ? ORDER BY id LIMIT 1"
    row = tx.execute(query, (server, now)).fetchone()
    if row is None:
        return None
    return Deletion(row["id"], row["server"], row["sender_id"], row["sender_key"], row["since"])


def deleted(tx: sqlite3.Connection, deletion_id: int) -> None:
    """The relay has deleted the chunk, now or earlier, so forget the deletion."""
    tx.execute("DELETE FROM file_deletions WHERE id = ?", (deletion_id,))


def postpone(tx: sqlite3.Connection, deletion_id: int, not_before: float) -> None:
    """The relay has not deleted the chunk. Do not ask the relay again before ``not_before``, in POSIX seconds."""
    tx.execute("UPDATE file_deletions SET not_before = ? WHERE id = ?", (not_before, deletion_id))


def begin_anew(tx: sqlite3.Connection) -> None:
    """A new process has gone online. Let it try every deletion now, even one that an earlier process has postponed."""
    tx.execute("UPDATE file_deletions SET not_before = 0 WHERE not_before <> 0")


def owe_deletion(tx: sqlite3.Connection, server: str, sender_id: bytes, sender_key: bytes, now: float) -> None:
    """Note that a relay must delete a chunk that we do not need: for example, its file was cancelled before the relay
    had registered the chunk."""
    query = "INSERT INTO file_deletions (server, sender_id, sender_key, since) VALUES (?, ?, ?, ?)"
    tx.execute(query, (server, sender_id, sender_key, now))


def give_up_deletions(tx: sqlite3.Connection, moment: float) -> bool:
    """Stop asking relays for deletions that were noted before the given time, in POSIX seconds. Returns whether any
    deletion was given up."""
    return tx.execute("DELETE FROM file_deletions WHERE since < ?", (moment,)).rowcount > 0


def forget_sender_keys(tx: sqlite3.Connection, moment: float) -> bool:
    """Forget the chunks of files whose transfer began before the given time, in POSIX seconds, and has ended. The keys
    that could delete these chunks at their relays are forgotten, too. Returns whether any chunk was forgotten."""
    changed = tx.execute(
        "DELETE FROM file_chunks WHERE file_id IN (SELECT id FROM files WHERE started < ? AND stage NOT IN (?, ?))",
        (moment, Stage.MOVING, Stage.OPENING),
    ).rowcount
    return changed > 0
