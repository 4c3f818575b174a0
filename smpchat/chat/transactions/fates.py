"""Saves the status of what we have sent: messages, changes of messages and, in groups, each member's copy of a message.

The agent refers to a message, a change or a copy by a number, its *reference*. The reference of a message is positive,
that of a change is negative, and that of a member's copy is larger than `memberships.COPIES`.
"""

from __future__ import annotations

import sqlite3

from smpchat.chat.store import events, expiry, memberships, records
from smpchat.chat.store import files as message_files
from smpchat.chat.store.feed import publish
from smpchat.chat.store.records import Message, MessageStatus
from smpchat.chat.transactions import changes, files, telling
from smpchat.chat.transactions.changes import SentChange


def progress(
    tx: sqlite3.Connection, reference: int, status: MessageStatus, now: float, reason: str | None = None
) -> None:
    """Saves the new status of the message, change or copy that has this reference. Does nothing if the message, change
    or copy was deleted meanwhile."""
    if reference >= memberships.COPIES:
        _progress_copy(tx, reference, status, now, reason)
        return
    if reference < 0:
        _progress_change(tx, changes.sent(tx, -reference), status, now, reason)
        return
    message = records.message(tx, reference)
    if message is None or message.status is status:
        return
    if not _waits_for_file(tx, message, status):
        _set_status(tx, message, status, now, reason)


def _waits_for_file(tx: sqlite3.Connection, message: Message, status: MessageStatus) -> bool:
    """If the message has a file, saves the new status in the file's record. Returns whether the message's own status
    must stay as it is, because the contact cannot fetch the file yet."""
    file = message_files.find(tx, message.id) if message.file is not None else None
    if file is None:
        return False
    if status is MessageStatus.FAILED:
        files.not_invited(tx, message.id)
        return False
    return files.invited(tx, file, status) is None


def _progress_copy(
    tx: sqlite3.Connection, reference: int, status: MessageStatus, now: float, reason: str | None
) -> None:
    """Saves the status of one member's copy of a message. The message itself counts as sent or delivered as soon as one
    copy does, and as failed when all copies have failed."""
    message_id = memberships.copy_went_on(tx, reference, status)
    message = None if message_id is None else records.message(tx, message_id)
    if message is None:
        return
    left = memberships.copies(tx, message.id)
    if status is MessageStatus.FAILED:
        if message.status is MessageStatus.PENDING and set(left) == {MessageStatus.FAILED}:
            _waits_for_file(tx, message, status)
            _set_status(tx, message, status, now, reason)
        return
    if _waits_for_file(tx, message, status):
        return
    have = (left.get(MessageStatus.DELIVERED, 0), sum(left.values()))
    if status is MessageStatus.DELIVERED and message.status is status:  # one more member has received it
        publish(tx, events.StatusChanged(message.id, message.contact, message.status, None, *have))
        return
    _set_status(tx, message, status, now, copies=have)


def _set_status(
    tx: sqlite3.Connection,
    message: Message,
    status: MessageStatus,
    now: float,
    reason: str | None = None,
    *,
    copies: tuple[int, int] | tuple[None, None] = (None, None),
) -> None:
    if message.status is status:
        return
    # The status never goes back from delivered to sent: the relay's OK may come after the receipt, or belong to another
    # copy.
    if status is MessageStatus.SENT and message.status is not MessageStatus.PENDING:
        return
    records.set_status(tx, message.id, status, reason)
    expiry.start(tx, message.id, now)
    publish(tx, events.StatusChanged(message.id, message.contact, status, reason, *copies))


def _progress_change(
    tx: sqlite3.Connection, change: SentChange | None, status: MessageStatus, now: float, reason: str | None
) -> None:
    if change is None or (status is MessageStatus.SENT and change.status is not MessageStatus.PENDING):
        return
    changes.set_status(tx, change.id, status, reason)
    message = records.message(tx, change.message_id)
    file = message_files.of_change(tx, change.id)
    if message is not None and file is not None:
        if status is MessageStatus.FAILED:
            files.not_invited(tx, message.id)
            _set_status(tx, message, status, now, reason)
        else:
            _set_status(tx, message, files.described(tx, file), now)
        return
    if message is not None and status is MessageStatus.FAILED:
        sentence = f"Your change to message {message.id} did not reach {{alias}}: {reason}"
        telling.tell(tx, records.contact(tx, message.contact).connection_id, sentence, now)
