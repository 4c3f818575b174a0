"""Edits, deletions and reactions of either side, in the store.

A change of ours is itself something to send, with a status. The agent knows messages and changes by one number, the
reference: positive for a message, negative for a change.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from smpchat.agent.store.erasure import empty_log
from smpchat.chat.store import expiry, files, searching
from smpchat.chat.store.records import Direction, Message, MessageStatus
from smpchat.chat.wire.content import PLAIN, Content
from smpchat.encoding.record import Record

KEPT = 1000
"""Changes of ours whose outcome can be looked up. Only the command that made the change waits for it."""


class SentChange(Record):
    """A change of ours on its way to the contact.

    Attributes:
        status: Pending, sent or failed.
        reason: Why it failed.
        message: The message as the change left it, for whoever has made it just now; it may be gone since.
    """

    id: int
    message_id: int
    status: MessageStatus
    reason: str | None
    message: Message | None = None

    @property
    def reference(self) -> int:
        """The number under which the agent sends it."""
        return -self.id


def edit(
    tx: sqlite3.Connection, message_id: int, text: str, *, edited: bool, live: bool, content: Content = PLAIN
) -> None:
    """Give a message another text."""
    searching.forget(tx, message_id)
    tx.execute(
        "UPDATE messages SET text = ?, content = ?, note = ?, preview = ?, edited = max(edited, ?), live = ?"
        " WHERE id = ?",
        (text, content.kind, content.note, content.preview_json, edited, live, message_id),
    )
    searching.forget(tx, message_id)  # once more: it may have been one that was still being written


def delete(tx: sqlite3.Connection, message_id: int) -> None:
    """Mark a message as deleted; its text is removed."""
    searching.forget(tx, message_id)
    files.drop(tx, message_id)
    tx.execute(
        "UPDATE messages SET text = '', note = '', preview = NULL, deleted = 1, live = 0, written_at = NULL"
        " WHERE id = ?",
        (message_id,),
    )
    tx.execute("DELETE FROM reactions WHERE message_id = ?", (message_id,))
    empty_log(tx)


def erase(tx: sqlite3.Connection, message: Message) -> None:
    """Delete a message without a trace: neither its text, nor a mark, nor a quote of it stays.

    One that the contact has taken back after somebody was shown it is told of once more, as deleted, before its row
    goes as well.
    """
    if message.direction is Direction.SENT or not message.shown:
        expiry.remove(tx, message.id)
    else:
        delete(tx, message.id)
        expiry.empty(tx, message.id)


def react(tx: sqlite3.Connection, message_id: int, direction: Direction, emoji: str, *, add: bool) -> bool:
    """Add or remove a reaction; False if that changes nothing."""
    if add:
        cursor = tx.execute(
            "INSERT OR IGNORE INTO reactions (message_id, direction, emoji) VALUES (?, ?, ?)",
            (message_id, direction, emoji),
        )
    else:
        cursor = tx.execute(
            "DELETE FROM reactions WHERE message_id = ? AND direction = ? AND emoji = ?", (message_id, direction, emoji)
        )
    return cursor.rowcount > 0


def set_reactions(tx: sqlite3.Connection, message_id: int, counted: Mapping[tuple[Direction, str], int]) -> None:
    """All reactions to a message of a group: how many members put each."""
    tx.execute("DELETE FROM reactions WHERE message_id = ?", (message_id,))
    rows = [(message_id, direction, emoji, people) for (direction, emoji), people in counted.items()]
    tx.executemany("INSERT INTO reactions VALUES (?, ?, ?, ?)", rows)


def count(tx: sqlite3.Connection, message_id: int) -> None:
    """The contact changed a message: it is to be shown again."""
    tx.execute("UPDATE messages SET changes = changes + 1 WHERE id = ?", (message_id,))


def insert_sent(tx: sqlite3.Connection, message_id: int, contact_id: int) -> SentChange:
    """A new change of ours, pending. Of those before the last `KEPT` only what is pending is kept."""
    cursor = tx.execute(
        "INSERT INTO changes (message_id, contact_id, status) VALUES (?, ?, ?)",
        (message_id, contact_id, MessageStatus.PENDING),
    )
    assert cursor.lastrowid is not None
    # Not those that are pending: their outcome is still to be written.
    query = "DELETE FROM changes WHERE id <= ? AND status <> ?"
    tx.execute(query, (cursor.lastrowid - KEPT, MessageStatus.PENDING))
    return SentChange(cursor.lastrowid, message_id, MessageStatus.PENDING, None)


def sent(tx: sqlite3.Connection, change_id: int) -> SentChange | None:
    """A change of ours; None once its contact was deleted."""
    row = tx.execute("SELECT * FROM changes WHERE id = ?", (change_id,)).fetchone()
    return SentChange(row["id"], row["message_id"], MessageStatus(row["status"]), row["reason"]) if row else None


def set_status(tx: sqlite3.Connection, change_id: int, status: MessageStatus, reason: str | None = None) -> None:
    """Save what became of a change of ours."""
    tx.execute("UPDATE changes SET status = ?, reason = ? WHERE id = ?", (status, reason, change_id))
