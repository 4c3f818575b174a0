"""Stores changes of messages: edits, deletions and reactions, made by the user or by contacts.

A change that the user makes is also sent to the contact, so the change has a status, like a message. The agent refers
to a message or a change by a number, its *reference*: positive for a message, negative for a change.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from smpchat.agent.store.erasure import empty_log
from smpchat.chat.errors import InputError
from smpchat.chat.store import expiry, files, searching
from smpchat.chat.store.records import Direction, Message, MessageStatus
from smpchat.chat.wire.content import DELETABLE, PLAIN, Content
from smpchat.encoding.record import Record

KEPT = 1000
"""This many of our latest changes are kept, each with its outcome. An older change is deleted as soon as its outcome is
known, because only the command that made a change asks for the outcome."""


class SentChange(Record):
    """An edit, a deletion or a reaction that we send to the contact.

    Attributes:
        status: The status of the change: pending, sent, delivered or failed.
        reason: Why the change failed; None if its status is not *failed*.
        message: The message as it is after the change; None if this record was loaded from the store.
    """

    id: int
    message_id: int
    status: MessageStatus
    reason: str | None
    message: Message | None = None

    @property
    def reference(self) -> int:
        """The number by which the agent refers to the change."""
        return -self.id


def edit(
    tx: sqlite3.Connection, message_id: int, text: str, *, edited: bool, live: bool, content: Content = PLAIN
) -> None:
    """Replaces the text of a message."""
    searching.forget(tx, message_id)
    tx.execute(
        "UPDATE messages SET text = ?, content = ?, note = ?, preview = ?, edited = max(edited, ?), live = ?"
        " WHERE id = ?",
        (text, content.kind, content.note, content.preview_json, edited, live, message_id),
    )
    searching.forget(tx, message_id)  # once more: if the message was live before, only now it belongs in the index


def check_deletable(message: Message, now: float) -> None:
    """Raises `InputError` if our own message is too old to be deleted for others: their apps would keep it.

    Args:
        now: POSIX seconds.
    """
    # The apps compare the relay's times of the message and of its deletion. A message that was not sent yet gets both
    # times at once, however long it has waited.
    has_left = message.status in (MessageStatus.SENT, MessageStatus.DELIVERED)
    if has_left and now - message.sent_at > DELETABLE:
        raise InputError(
            f"Message {message.id} was sent more than {DELETABLE // 3600} hours ago, so other people's apps would"
            " keep it.",
            "Nothing was deleted.",
        )


def delete(tx: sqlite3.Connection, message_id: int, by: str | None = None) -> None:
    """Marks a message as deleted, and removes its text and reactions.

    Args:
        by: The group member who deleted the message, if that was not the author.
    """
    searching.forget(tx, message_id)
    files.drop(tx, message_id)
    tx.execute(
        "UPDATE messages SET text = '', note = '', preview = NULL, deleted = 1, deleted_by = ?, live = 0,"
        " written_at = NULL WHERE id = ?",
        (by, message_id),
    )
    tx.execute("DELETE FROM reactions WHERE message_id = ?", (message_id,))
    empty_log(tx)


def erase(tx: sqlite3.Connection, message: Message, by: str | None = None) -> None:
    """Deletes a message completely: its text, quotes of it in replies, and even the mark that there was a message.

    If the contact deletes a message that the user has seen, the message's row stays until the user has been told of the
    deletion.
    """
    if message.direction is Direction.SENT or not message.shown:
        expiry.remove(tx, message.id)
    else:
        delete(tx, message.id, by)
        expiry.empty(tx, message.id)


def react(tx: sqlite3.Connection, message_id: int, direction: Direction, emoji: str, *, add: bool) -> bool:
    """Adds or removes a reaction. Returns False if the reaction was already there, or was not there to be removed."""
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
    """Replaces all reactions to a message in a group. ``counted``: how many members reacted with each emoji; our own
    reactions have the direction *sent*."""
    tx.execute("DELETE FROM reactions WHERE message_id = ?", (message_id,))
    rows = [(message_id, direction, emoji, people) for (direction, emoji), people in counted.items()]
    tx.executemany("INSERT INTO reactions VALUES (?, ?, ?, ?)", rows)


def count(tx: sqlite3.Connection, message_id: int) -> None:
    """Adds 1 to the number of changes that the contact made to a message. This number is then larger than the number
    of changes that were shown, so the message is shown again."""
    tx.execute("UPDATE messages SET changes = changes + 1 WHERE id = ?", (message_id,))


def insert_sent(tx: sqlite3.Connection, message_id: int, contact_id: int) -> SentChange:
    """Adds a change that we send; its status is *pending*. Our changes that are older than the last `KEPT` are
    deleted, except those that are still pending."""
    cursor = tx.execute(
        "INSERT INTO changes (message_id, contact_id, status) VALUES (?, ?, ?)",
        (message_id, contact_id, MessageStatus.PENDING),
    )
    assert cursor.lastrowid is not None
    # Pending changes stay, because their outcome is not known yet.
    query = "DELETE FROM changes WHERE id <= ? AND status <> ?"
    tx.execute(query, (cursor.lastrowid - KEPT, MessageStatus.PENDING))
    return SentChange(cursor.lastrowid, message_id, MessageStatus.PENDING, None)


def sent(tx: sqlite3.Connection, change_id: int) -> SentChange | None:
    """A change that we have sent; None if the change is so old that it is no longer kept, or its contact was
    deleted."""
    row = tx.execute("SELECT * FROM changes WHERE id = ?", (change_id,)).fetchone()
    return SentChange(row["id"], row["message_id"], MessageStatus(row["status"]), row["reason"]) if row else None


def set_status(tx: sqlite3.Connection, change_id: int, status: MessageStatus, reason: str | None = None) -> None:
    """Saves the status of a change that we have sent."""
    tx.execute("UPDATE changes SET status = ?, reason = ? WHERE id = ?", (status, reason, change_id))
