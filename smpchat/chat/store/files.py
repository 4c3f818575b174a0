"""Files of messages: their names, states and places on this computer. The agent stores how far each transfer is.

To receive a file, smpchat needs the *description* of the file, which the contact sends. The description contains the
keys of the file. It is kept as long as the file can still be received, and then deleted.
"""

from __future__ import annotations

import json
import sqlite3
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smpchat.agent.store.erasure import empty_log
from smpchat.encoding.record import Record, field

if TYPE_CHECKING:  # so that commands that only read do not import these modules
    from smpchat.chat.wire.files import FileDescription, FileInvitation

KEPT = 48 * 3600.0
"""Seconds after which relays delete a file, by default (xftp-wire 6)."""


class FileState(StrEnum):
    """The state of a file, as programs see it (docs/json.md)."""

    OFFERED = "offered"
    RECEIVING = "receiving"
    RECEIVED = "received"
    SENDING = "sending"
    SENT = "sent"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    FAILED = "failed"


MOVING = (FileState.SENDING, FileState.RECEIVING)


class FileView(Record):
    """The file of a message, in the form for users and programs.

    Attributes:
        name: The name that the sender gave the file. This name is never used as a path.
        size: Bytes.
        bytes: How many bytes have been transferred; an estimate, because encrypted files are a little larger.
        path: The path of the file on this computer: where it was saved, or from where it was sent.
        reason: A sentence that says why the transfer does not continue, or has failed.
        trouble: Why the transfer does not continue, or has failed, in a form for programs: a `Trouble`; None if no kind
            of `Trouble` fits.
        expires_at: When relays delete the file; POSIX seconds.
        described: For a file of ours: whether its description is queued for the contact, after all earlier messages.
        awaited: For a file of the contact: whether the user wants the file, but its description has not arrived
            completely.
        checking: Whether the whole file has arrived and is being checked and decrypted. For a large file, this takes a
            while.
        rests: Whether the transfer waits because a relay has failed since the online process started. The relay is
            tried again after some time.
    """

    name: str = field(repr=False)
    size: int
    state: FileState
    bytes: int = 0
    path: Path | None = field(default=None, repr=False)
    reason: str | None = None
    trouble: str | None = None
    expires_at: float | None = None
    described: bool = False
    checking: bool = False
    awaited: bool = False
    rests: bool = False

    @property
    def is_moving(self) -> bool:
        """Whether the file is being transferred."""
        return self.state in MOVING


class MessageFile(Record):
    """What the store knows about the file of a message.

    Attributes:
        target: The path where the file will be saved; None if the user has not asked for the file.
        approved: Whether the user agrees that the file's relays, which the sender chose, see this computer's address.
        transfer: The agent's number for the transfer; None if there is no transfer.
        description: The parts of the file's description that have arrived, joined. For a file of ours: the whole
            description, from the end of the upload until the description is queued for the contact.
        parts: How many parts of the description have arrived.
        complete: Whether ``description`` is the whole description of the file.
        judged: False as long as smpchat has not decided whether to receive the file automatically.
        content: For a file of ours: ``content`` of the message, which is needed to change the caption.
        preview: The small picture that came with a file of the contact.
        invited: For a file of ours: the status of its message; None until the message was sent.
        described: For a file of ours: number of the change (see `smpchat.chat.transactions.changes`) that carries the
            last part of its description; None until this change is queued.
        is_described: For a file of ours: whether the last part of its description was sent.
    """

    message_id: int
    name: str = field(repr=False)
    size: int
    state: FileState
    reason: str | None
    trouble: str | None
    path: Path | None = field(repr=False)
    target: Path | None = field(repr=False)
    approved: bool
    transfer: int | None
    description: str = field(repr=False)
    parts: int
    complete: bool
    judged: bool
    content: dict[str, Any] | None = field(repr=False)
    preview: str | None = field(repr=False)
    invited: str | None
    described: int | None
    is_described: bool
    expires_at: float | None


# -- reading ----------------------------------------------------------------------------------------------------------


def find(tx: sqlite3.Connection, message_id: int) -> MessageFile | None:
    """The file of a message; None if the message has no file."""
    return _from(tx.execute("SELECT * FROM message_files WHERE message_id = ?", (message_id,)).fetchone())


def of_transfer(tx: sqlite3.Connection, transfer: int) -> MessageFile | None:
    """The file whose transfer has this number in the agent; None if there is none."""
    return _from(tx.execute("SELECT * FROM message_files WHERE transfer = ?", (transfer,)).fetchone())


def of_change(tx: sqlite3.Connection, change_id: int) -> MessageFile | None:
    """The file of ours for which this change carries the last part of the description; None if there is none."""
    return _from(tx.execute("SELECT * FROM message_files WHERE described = ?", (change_id,)).fetchone())


def view(tx: sqlite3.Connection, message_id: int) -> FileView | None:
    """The file of a message, in the form for users and programs; None if the message has no file."""
    file = find(tx, message_id)
    if file is None:
        return None
    done, reason, trouble, checking, rests = 0, file.reason, file.trouble, False, False
    if file.state in MOVING and file.transfer is not None:
        done, stalled, checking = _progress(tx, file.transfer, file.size)
        if stalled is not None:
            reason, trouble, rests = stalled
    elif file.state in (FileState.SENT, FileState.RECEIVED):
        done = file.size
    return FileView(
        file.name,
        file.size,
        file.state,
        done,
        file.path,
        reason,
        trouble,
        file.expires_at,
        described=file.described is not None,
        checking=checking,
        awaited=file.state is FileState.RECEIVING and not file.complete,
        rests=rests,
    )


def _progress(tx: sqlite3.Connection, transfer: int, size: int) -> tuple[int, tuple[str, str, bool] | None, bool]:
    """Returns three values: how many bytes of the plain file have been transferred; the problem of the transfer; and
    whether the file is being checked.

    The problem has three values too: its text, its kind, and whether it is known when the transfer is tried again.
    If the transfer has no problem, None is returned instead of the problem. The agent counts bytes of padded
    ciphertext, so the bytes of the plain file are an estimate.
    """
    from smpchat.agent.store import files  # imported here: most messages have no file

    found = files.find(tx, transfer)
    if found is None or not found.size:
        return 0, None, False
    problem = found.problem or files.worst_problem(tx, transfer)
    done = min(size, files.moved(tx, transfer) * size // found.size)
    why = None if problem is None else (problem.error, str(problem.kind), problem.next_try_at is not None)
    return done, why, why is None and found.stage is files.Stage.OPENING


def numbers(tx: sqlite3.Connection, contact_id: int | None, limit: int) -> list[int]:
    """Numbers of the newest messages that have a file: at most ``limit`` numbers, oldest message first. If
    ``contact_id`` is None, the messages can be from all conversations."""
    rows = tx.execute(
        "SELECT message_id FROM message_files JOIN messages ON messages.id = message_id"
        " WHERE (:contact IS NULL OR contact_id = :contact) ORDER BY message_id DESC LIMIT :limit",
        {"contact": contact_id, "limit": limit},
    )
    return [row["message_id"] for row in rows][::-1]


def newest(tx: sqlite3.Connection, contact_id: int, *states: FileState) -> int | None:
    """The newest message in a contact's conversation whose file is in one of the given states: its number, or None if
    there is no such message."""
    marks = ", ".join("?" for _ in states)
    row = tx.execute(
        "SELECT max(message_id) FROM message_files JOIN messages ON messages.id = message_id"
        f" WHERE contact_id = ? AND state IN ({marks})",
        (contact_id, *states),
    ).fetchone()
    return None if row[0] is None else int(row[0])


def moving(tx: sqlite3.Connection, contact_id: int) -> list[int]:
    """Numbers of the messages in a contact's conversation whose files are being transferred."""
    rows = tx.execute(
        "SELECT message_id FROM message_files JOIN messages ON messages.id = message_id"
        " WHERE contact_id = ? AND state IN (?, ?) ORDER BY message_id",
        (contact_id, *MOVING),
    )
    return [row["message_id"] for row in rows]


def to_start(tx: sqlite3.Connection) -> list[MessageFile]:
    """Files that the user has asked for and whose description has arrived, but whose transfer has not started."""
    query = "SELECT * FROM message_files WHERE state = ? AND complete = 1 AND transfer IS NULL ORDER BY message_id"
    return [file for row in tx.execute(query, (FileState.RECEIVING,)).fetchall() if (file := _from(row))]


def to_judge(tx: sqlite3.Connection) -> list[MessageFile]:
    """Files for which smpchat has not decided yet whether to receive them automatically."""
    query = "SELECT * FROM message_files WHERE state = ? AND complete = 1 AND judged = 0 ORDER BY message_id"
    return [file for row in tx.execute(query, (FileState.OFFERED,)).fetchall() if (file := _from(row))]


def to_describe(tx: sqlite3.Connection) -> list[MessageFile]:
    """Files of ours whose description must still be sent to the contact."""
    query = "SELECT * FROM message_files WHERE state = ? AND complete = 1 AND described IS NULL ORDER BY message_id"
    return [file for row in tx.execute(query, (FileState.SENDING,)).fetchall() if (file := _from(row))]


def due(tx: sqlite3.Connection, now: float) -> list[int]:
    """Numbers of the messages with a file that is still offered here, although its relays have deleted the file by
    now."""
    query = "SELECT message_id FROM message_files WHERE state = ? AND expires_at <= ?"
    return [row["message_id"] for row in tx.execute(query, (FileState.OFFERED, now))]


# -- writing ----------------------------------------------------------------------------------------------------------


def offer(tx: sqlite3.Connection, message_id: int, invitation: FileInvitation, sent_at: float) -> None:
    """Saves the file of a message that a contact has sent."""
    begun = invitation.begun
    tx.execute(
        "INSERT INTO message_files (message_id, name, size, state, description, complete, preview, expires_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (message_id, invitation.name, invitation.size, FileState.OFFERED, begun.text, begun.complete,
         invitation.preview, sent_at + KEPT),
    )  # fmt: skip


def send(
    tx: sqlite3.Connection, message_id: int, name: str, size: int, path: Path, transfer: int, content: dict[str, Any]
) -> None:
    """Saves a file that we send with a message; the agent uploads the file. ``content``: the content of the message."""
    tx.execute(
        "INSERT INTO message_files (message_id, name, size, state, path, transfer, content)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (message_id, name, size, FileState.SENDING, str(path), transfer, json.dumps(content)),
    )


def append(tx: sqlite3.Connection, message_id: int, part: FileDescription) -> None:
    """Stores that the next part of a file's description has arrived, and adds this part to the earlier ones."""
    tx.execute(
        "UPDATE message_files SET description = description || ?, parts = ?, complete = ? WHERE message_id = ?",
        (part.text, part.number, part.complete, message_id),
    )


def ask_for(tx: sqlite3.Connection, message_id: int, target: Path, *, approved: bool) -> None:
    """Notes that the user wants a file, which is received as soon as its description has arrived."""
    tx.execute(
        "UPDATE message_files SET state = ?, reason = NULL, trouble = NULL, target = ?, approved = ?, transfer = NULL,"
        " judged = 1 WHERE message_id = ?",
        (FileState.RECEIVING, str(target), approved, message_id),
    )


def ask_anew(tx: sqlite3.Connection) -> None:
    """Forgets for which files the user has asked, because the profile was imported: the user must ask here again.

    Otherwise, a forged archive could contain paths that make smpchat write to any place on this computer.
    """
    tx.execute(
        "UPDATE message_files SET state = ? WHERE state = ? AND transfer IS NULL",
        (FileState.OFFERED, FileState.RECEIVING),
    )
    tx.execute("UPDATE message_files SET target = NULL, approved = 0, judged = 1")


def offer_again(tx: sqlite3.Connection, message_id: int, reason: str | None = None) -> None:
    """Notes that the file is not being received, but that the user can ask for it again."""
    tx.execute(
        "UPDATE message_files SET state = ?, reason = ?, target = NULL, approved = 0 WHERE message_id = ?",
        (FileState.OFFERED, reason, message_id),
    )


def judged(tx: sqlite3.Connection, message_id: int) -> None:
    """Notes that smpchat is deciding now whether to receive the file automatically, so that it decides only once."""
    tx.execute("UPDATE message_files SET judged = 1 WHERE message_id = ?", (message_id,))


def started(tx: sqlite3.Connection, message_id: int, transfer: int) -> None:
    """Notes the number of the transfer with which the agent fetches the file."""
    tx.execute("UPDATE message_files SET transfer = ? WHERE message_id = ?", (transfer, message_id))


def set_state(
    tx: sqlite3.Connection,
    message_id: int,
    state: FileState,
    reason: str | None = None,
    *,
    trouble: str | None = None,
    path: Path | None = None,
) -> None:
    """Saves the new state of a file; if ``path`` is None, the path does not change."""
    tx.execute(
        "UPDATE message_files SET state = ?, reason = ?, trouble = ?, path = coalesce(?, path) WHERE message_id = ?",
        (state, reason, trouble, None if path is None else str(path), message_id),
    )


def set_content(tx: sqlite3.Connection, message_id: int, content: dict[str, Any]) -> None:
    """Saves the content of a message of ours after its caption was changed."""
    query = "UPDATE message_files SET content = ? WHERE message_id = ?"
    tx.execute(query, (json.dumps(content), message_id))


def set_invited(tx: sqlite3.Connection, message_id: int, status: str) -> None:
    """For a file of ours, saves the status of its message."""
    tx.execute("UPDATE message_files SET invited = ? WHERE message_id = ?", (status, message_id))


def keep_description(tx: sqlite3.Connection, message_id: int, description: str, expires_at: float) -> None:
    """Saves the description of a file of ours that was uploaded, and the time at which relays delete the file."""
    tx.execute(
        "UPDATE message_files SET description = ?, complete = 1, expires_at = ? WHERE message_id = ?",
        (description, expires_at, message_id),
    )


def describing(tx: sqlite3.Connection, message_id: int, change_id: int) -> None:
    """Notes that the description of a file of ours is queued for the contact. ``change_id``: number of the change that
    carries the last part of the description."""
    tx.execute("UPDATE message_files SET described = ? WHERE message_id = ?", (change_id, message_id))


def is_described(tx: sqlite3.Connection, message_id: int) -> None:
    """Notes that the last part of the description of a file of ours was sent."""
    tx.execute("UPDATE message_files SET is_described = 1 WHERE message_id = ?", (message_id,))


def forget_description(tx: sqlite3.Connection, message_id: int) -> None:
    """Deletes the description of a file, which contains the file's keys, because nobody needs it here any more."""
    tx.execute("UPDATE message_files SET description = '', complete = 0 WHERE message_id = ?", (message_id,))
    empty_log(tx)


# -- deleting ----------------------------------------------------------------------------------------------------------


def drop(tx: sqlite3.Connection, message_id: int) -> None:
    """Deletes everything about the file of a message that is being deleted, except the received file itself."""
    _drop(tx, "message_id = ?", message_id)


def drop_all(tx: sqlite3.Connection, contact_id: int) -> None:
    """Deletes everything about the files of all messages of a contact, except the received files themselves."""
    _drop(tx, "message_id IN (SELECT id FROM messages WHERE contact_id = ?)", contact_id)


def _drop(tx: sqlite3.Connection, which: str, number: int) -> None:
    # The agent is told later to stop these transfers (`smpchat.chat.transactions.files.leave_dropped`): the code that
    # deletes messages has no access to the agent.
    tx.execute(
        f"INSERT OR IGNORE INTO dropped_files SELECT transfer FROM message_files WHERE {which} AND transfer NOTNULL",
        (number,),
    )
    if tx.execute(f"DELETE FROM message_files WHERE {which}", (number,)).rowcount:
        empty_log(tx)


def leave(tx: sqlite3.Connection, message_id: int) -> None:
    """Notes that the agent must stop the transfer of a message's file and, if the file is ours, delete it at its
    relays. The message stays."""
    tx.execute(
        "INSERT OR IGNORE INTO dropped_files SELECT transfer FROM message_files"
        " WHERE message_id = ? AND transfer NOTNULL",
        (message_id,),
    )
    tx.execute("UPDATE message_files SET transfer = NULL WHERE message_id = ?", (message_id,))


def dropped(tx: sqlite3.Connection) -> list[int]:
    """Numbers of the transfers that the agent must stop."""
    return [row[0] for row in tx.execute("SELECT transfer FROM dropped_files ORDER BY transfer")]


def left(tx: sqlite3.Connection, transfer: int) -> None:
    """Notes that the agent has stopped a transfer."""
    tx.execute("DELETE FROM dropped_files WHERE transfer = ?", (transfer,))


def _from(row: sqlite3.Row | None) -> MessageFile | None:
    if row is None:
        return None
    return MessageFile(
        message_id=row["message_id"],
        name=row["name"],
        size=row["size"],
        state=FileState(row["state"]),
        reason=row["reason"],
        trouble=row["trouble"],
        path=None if row["path"] is None else Path(row["path"]),
        target=None if row["target"] is None else Path(row["target"]),
        approved=bool(row["approved"]),
        transfer=row["transfer"],
        description=row["description"],
        parts=row["parts"],
        complete=bool(row["complete"]),
        judged=bool(row["judged"]),
        content=None if row["content"] is None else json.loads(row["content"]),
        preview=row["preview"],
        invited=row["invited"],
        described=row["described"],
        is_described=bool(row["is_described"]),
        expires_at=row["expires_at"],
    )
