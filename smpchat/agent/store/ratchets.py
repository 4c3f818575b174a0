"""Ratchet states, skipped message keys, and hashes of the ratchet messages that were opened last."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from smpchat.agent.errors import MissingRecord

if TYPE_CHECKING:  # imported where they are loaded: many commands need no ratchet
    from smpchat.crypto.ratchet_skipped import SkippedDiff, SkippedKeys
    from smpchat.crypto.ratchet_state import Ratchet

KEPT_SEEN = 1000
"""How many complete hashes we keep for a connection: those of the messages that we opened last. A relay that did not
get our ACK delivers the last message again. A sender that got no answers sends messages again: smpchat up to 16, an app
only one. If a queue is moved, the sender sends again what the old queue holds, usually up to 128 messages. Only two
kinds of relays deliver older messages again: a relay that was restored from a backup (we notice this by
`forgotten_until`), and a relay that repeats messages on purpose, with a new time (we notice this by `was_opened`)."""
KEPT_OLD = 100_000
"""How many shortened hashes we keep for a connection: those of messages that we opened before the last `KEPT_SEEN`.
They take about 2 MB."""
_BEGINNING = 8
"""The length of a shortened hash (see `KEPT_OLD`), in bytes: the first bytes of the hash are kept. If we cannot open a
message, they show whether it is a copy of a message that we opened before. They decide nothing else, so nobody gains
from making two messages whose hashes begin alike."""


def load(tx: sqlite3.Connection, connection_id: int) -> Ratchet:
    """The connection's ratchet. Raises `MissingRecord` if the connection has no ratchet."""
    ratchet = find(tx, connection_id)
    if ratchet is None:
        raise MissingRecord("The connection's keys were not made yet, or are erased.")
    return ratchet


def save(tx: sqlite3.Connection, connection_id: int, ratchet: Ratchet) -> None:
    """Insert or replace the ratchet."""
    tx.execute("INSERT OR REPLACE INTO ratchets VALUES (?, ?)", (connection_id, ratchet.to_bytes()))


def replace(tx: sqlite3.Connection, connection_id: int, ratchet: Ratchet) -> None:
    """Replace the ratchet by a new one. Delete the keys that the old ratchet set aside for messages still to come."""
    save(tx, connection_id, ratchet)
    # The keys of skipped messages are deleted in the same transaction. From now on, they could only help a thief of the
    # database who has also recorded the messages that we lost.
    forget_skipped(tx, connection_id)


def delete(tx: sqlite3.Connection, connection_id: int) -> None:
    """Delete the ratchet, so that nothing can be sealed or opened on the connection any more."""
    tx.execute("DELETE FROM ratchets WHERE connection_id = ?", (connection_id,))
    forget_skipped(tx, connection_id)


def find(tx: sqlite3.Connection, connection_id: int) -> Ratchet | None:
    """The connection's ratchet; None if there is none yet, or if it was deleted."""
    row = tx.execute("SELECT state FROM ratchets WHERE connection_id = ?", (connection_id,)).fetchone()
    if row is None:
        return None
    from smpchat.crypto.ratchet_state import Ratchet

    return Ratchet.from_bytes(row["state"])


def pq_active(tx: sqlite3.Connection, connection_id: int) -> bool:
    """Whether post-quantum secrets now protect sent and received messages."""
    ratchet = find(tx, connection_id)
    return ratchet is not None and ratchet.kem_sending and ratchet.kem_receiving


def load_skipped(tx: sqlite3.Connection, connection_id: int) -> SkippedKeys:
    """Keys of messages that have not arrived yet, oldest first."""
    from smpchat.crypto.ratchet_skipped import SkippedId, SkippedKey, SkippedKeys

    # The oldest key must come first: if there are too many keys, `set_aside` drops the first ones.
    rows = tx.execute("SELECT * FROM skipped_keys WHERE connection_id = ? ORDER BY rowid", (connection_id,))
    return SkippedKeys(
        (SkippedId(row["header_key"], row["number"]), SkippedKey(row["message_key"], row["iv"])) for row in rows
    )


def forget_skipped(tx: sqlite3.Connection, connection_id: int) -> None:
    """Forget the keys of messages that have not arrived yet."""
    tx.execute("DELETE FROM skipped_keys WHERE connection_id = ?", (connection_id,))


def apply_skipped(tx: sqlite3.Connection, connection_id: int, diff: SkippedDiff) -> None:
    """Save how the decryption of one message changed the stored keys of messages that have not arrived yet."""
    tx.executemany(
        "DELETE FROM skipped_keys WHERE connection_id = ? AND header_key = ? AND number = ?",
        [(connection_id, header_key, number) for header_key, number in diff.removed],
    )
    tx.executemany(
        "INSERT OR REPLACE INTO skipped_keys VALUES (?, ?, ?, ?, ?)",
        [
            (connection_id, header_key, number, message_key, iv)
            for (header_key, number), (message_key, iv) in diff.added.items()
        ],
    )


def was_seen(tx: sqlite3.Connection, connection_id: int, ratchet_message_hash: bytes) -> bool:
    """Whether this is the hash of one of the `KEPT_SEEN` messages that were opened last. If such a message arrives
    again, it is acknowledged and dropped."""
    query = "SELECT 1 FROM seen_messages WHERE connection_id = ? AND hash = ?"
    return tx.execute(query, (connection_id, ratchet_message_hash)).fetchone() is not None


def mark_seen(tx: sqlite3.Connection, connection_id: int, ratchet_message_hash: bytes, sent_at: int) -> None:
    """Save the hash of a message that was just opened. The hash of the message that was opened `KEPT_SEEN` messages
    earlier is shortened: from now on, only its beginning is kept.

    Args:
        sent_at: When the relay received the message, by the relay's clock; POSIX seconds.
    """
    number = _last_seen(tx, connection_id) + 1
    row = (connection_id, ratchet_message_hash, number, sent_at)
    tx.execute("INSERT OR IGNORE INTO seen_messages VALUES (?, ?, ?, ?)", row)
    over = (connection_id, number - KEPT_SEEN)
    query = (
        "SELECT connection_id, substr(hash, 1, ?), number FROM seen_messages WHERE connection_id = ? AND number <= ?"
    )
    tx.execute(f"INSERT OR REPLACE INTO old_messages {query}", (_BEGINNING, *over))
    tx.execute("DELETE FROM seen_messages WHERE connection_id = ? AND number <= ?", over)
    query = "DELETE FROM old_messages WHERE connection_id = ? AND number <= ?"
    tx.execute(query, (connection_id, number - KEPT_SEEN - KEPT_OLD))


def was_opened(tx: sqlite3.Connection, connection_id: int, ratchet_message_hash: bytes) -> bool:
    """Whether this is the hash of an older message: one that was opened before those that `was_seen` knows. Only the
    beginning of the hash is compared."""
    query = "SELECT 1 FROM old_messages WHERE connection_id = ? AND hash = ?"
    return tx.execute(query, (connection_id, ratchet_message_hash[:_BEGINNING])).fetchone() is not None


def count_copy(tx: sqlite3.Connection, connection_id: int) -> int:
    """Count one more old message that came again, and return how many have come again so far."""
    row = tx.execute(
        "INSERT INTO old_copies VALUES (?, 1) ON CONFLICT (connection_id) DO UPDATE SET number = number + 1"
        " RETURNING number",
        (connection_id,),
    ).fetchone()
    return int(row["number"])


def forgotten_until(tx: sqlite3.Connection, connection_id: int) -> int | None:
    """`was_seen` recognises repeated messages only if the relay received them after this time: a message that the relay
    received later, and that `was_seen` does not know, is new. In POSIX seconds, by the relay's clock; None until
    `KEPT_SEEN` messages have been opened.

    This is the time of the message in the middle of those that `was_seen` knows, not of the oldest of them. The reason:
    a sender may repeat a message that `was_seen` no longer knows, and the relay may receive this copy after the oldest
    message that `was_seen` knows.
    """
    last = _last_seen(tx, connection_id)
    if last < KEPT_SEEN:
        return None
    query = "SELECT sent_at FROM seen_messages WHERE connection_id = ? AND number = ?"
    row = tx.execute(query, (connection_id, last - KEPT_SEEN // 2)).fetchone()
    return row["sent_at"] if row else None


def _last_seen(tx: sqlite3.Connection, connection_id: int) -> int:
    """Number of the message that was opened last; 0 if none was."""
    query = "SELECT coalesce(max(number), 0) FROM seen_messages WHERE connection_id = ?"
    return int(tx.execute(query, (connection_id,)).fetchone()[0])
