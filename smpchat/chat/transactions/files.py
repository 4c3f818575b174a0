"""Operations on files of messages, each inside one transaction: they send, receive and cancel files, and store what the
agent or a contact reports about them.

Sending: the file is encrypted before the transaction; then the message and the upload are stored together. When the
agent reports that the file was uploaded, the file's description (what the contact needs to fetch the file) is sent. The
message counts as sent only when the last part of the description was sent, because before that the contact cannot fetch
the file.

Receiving: a message offers a file. The file is fetched as soon as its description has arrived and the user, or a
setting, has asked for the file. The description may come before or after the user asks.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from smpchat.agent.context import Context
from smpchat.agent.errors import AgentError, FileRefused, RelaysNotApproved
from smpchat.agent.store import consents
from smpchat.chat import troubles
from smpchat.chat.errors import FileDamaged, FileUnavailable, InputError
from smpchat.chat.store import events, files, lines, memberships, records
from smpchat.chat.store.feed import publish
from smpchat.chat.store.files import FileState, MessageFile
from smpchat.chat.store.records import Contact, Direction, Message, MessageStatus
from smpchat.chat.transactions import preferences
from smpchat.chat.transactions.changes import SentChange
from smpchat.chat.transactions.room import room_of
from smpchat.chat.transactions.submitting import new_id, submit
from smpchat.chat.wire.content import read_content
from smpchat.chat.wire.files import (
    MAX_DESCRIPTION,
    MAX_FILE,
    DescriptionPart,
    FileInvitation,
    encode_file,
    invitation_params,
)
from smpchat.client.trouble import Trouble
from smpchat.encoding.reader import DecodeError

if TYPE_CHECKING:  # imported where they are used: most messages have no file
    from smpchat.agent.store.encrypted_files import EncryptedFile
    from smpchat.chat.wire.media import Media
    from smpchat.protocol.address import FileServer

log = logging.getLogger("smpchat.chat")

Known = Callable[["FileServer"], bool]
Describing = Callable[[sqlite3.Connection, Context, Contact, MessageFile, Message], SentChange]
"""Sends a contact, or a group, the description of a file, in one or more messages. Returns a change that has the status
of the last of these messages."""
Withdrawing = Callable[[sqlite3.Connection, Context, Contact, Message], None]
"""Tells a contact, or a group, that a file is no longer available."""
CANCELLED_BY_US = "You cancelled the file."
CANCELLED_BY_THEM = "{alias} cancelled the file."
EXPIRED = "The file is no longer available: relays keep files for two days."
PARTS_MISSING = "A part of the file's description was lost. Ask {alias} to send the file again."
NOT_SENT = "The message with the file was not sent."


# -- sending ----------------------------------------------------------------------------------------------------------


def send(
    tx: sqlite3.Connection,
    context: Context,
    contact: Contact,
    path: Path,
    name: str,
    encrypted: EncryptedFile,
    media: Media,
    text: str,
    *,
    forwarded: bool = False,
) -> Message:
    """Stores a new, pending message of ours with a file. After an `InputError` or `AgentError`, nothing is stored."""
    from smpchat.agent.transactions.files import submit_file
    from smpchat.chat.transactions import file_bodies

    content = file_bodies.check(tx, contact, media, name, encrypted.plain_size, text, forwarded=forwarded)
    own_id, ttl = new_id(context), preferences.agreement(tx, contact).ttl
    invitation = FileInvitation(name, encrypted.plain_size)
    body = room_of(tx, contact).pack(encode_file(content, invitation, own_id, ttl, forwarded=forwarded))
    read = read_content(content, invitation_params(invitation))
    assert body is not None and read is not None
    message_id = records.insert_message(
        tx,
        contact.id,
        Direction.SENT,
        read[0],
        context.now(),
        own_id,
        ttl=ttl,
        content=read[1],
        forwarded=forwarded,
    )
    transfer = submit_file(tx, context, encrypted, name)
    files.send(tx, message_id, name, encrypted.plain_size, path, transfer, content)
    submit(tx, context, contact, body, message_id, notify=True)
    publish(tx, events.MessageAdded(message_id))
    found = records.message(tx, message_id)
    assert found is not None
    return found


def uploaded(tx: sqlite3.Connection, transfer: int, descriptions: tuple[str, ...], expires_at: float) -> None:
    """Saves the description of an uploaded file. A file for a group has several descriptions, which are saved as a JSON
    list."""
    file, message, contact = _of_transfer(tx, transfer)
    if file is None or message is None or contact is None:
        return
    description = descriptions[0]
    if contact.is_group:
        import json

        description = json.dumps(descriptions)
    files.keep_description(tx, message.id, description, expires_at)


def describe(tx: sqlite3.Connection, context: Context, to_contact: Describing) -> None:
    """Sends the descriptions of files that were uploaded. ``to_contact`` sends one description."""
    for file in files.to_describe(tx):
        message = records.message(tx, file.message_id)
        if message is not None:
            _describe(tx, context, file, message, to_contact)


def _describe(
    tx: sqlite3.Connection, context: Context, file: MessageFile, message: Message, to_contact: Describing
) -> None:
    contact = records.contact(tx, message.contact)
    files.forget_description(tx, message.id)
    try:
        change = to_contact(tx, context, contact, file, message)
    except (AgentError, InputError) as error:  # the contact removed us, or too many messages are waiting for it
        files.leave(tx, message.id)
        _end_sending(tx, file, message, FileState.FAILED, str(error), None)
        return
    files.describing(tx, message.id, change.id)
    _changed(tx, message, FileState.SENDING)


def invited(tx: sqlite3.Connection, file: MessageFile, status: MessageStatus) -> MessageStatus | None:
    """Saves that the message with a file of ours was sent or delivered. Returns the message's new status; None if its
    status stays as it is for now, because the file's description has not been sent yet."""
    if file.invited != MessageStatus.DELIVERED:
        files.set_invited(tx, file.message_id, status)
    return status if file.is_described else None


def described(tx: sqlite3.Connection, file: MessageFile) -> MessageStatus:
    """Stores that the last part of a file's description was sent, so that the contact can fetch the file. Returns the
    new status of the message."""
    files.is_described(tx, file.message_id)
    if file.state is FileState.SENDING:
        files.set_state(tx, file.message_id, FileState.SENT)
    message = records.message(tx, file.message_id)
    if message is not None:
        _changed(tx, message, FileState.SENT)
    return MessageStatus(file.invited or MessageStatus.SENT)


def not_invited(tx: sqlite3.Connection, message_id: int) -> None:
    """Stores that the message with a file of ours will never arrive: the file counts as failed too."""
    message = records.message(tx, message_id)
    if message is not None and message.file is not None and message.file.state is FileState.SENDING:
        files.set_state(tx, message_id, FileState.FAILED, NOT_SENT)
        files.leave(tx, message_id)
        _changed(tx, message, FileState.FAILED)


def _end_sending(
    tx: sqlite3.Connection,
    file: MessageFile,
    message: Message,
    state: FileState,
    reason: str,
    trouble: Trouble | None,
) -> None:
    files.set_state(tx, file.message_id, state, reason, trouble=trouble)
    if message.status is MessageStatus.PENDING:
        records.set_status(tx, message.id, MessageStatus.FAILED, reason)
        publish(tx, events.StatusChanged(message.id, message.contact, MessageStatus.FAILED, reason))
    _changed(tx, message, state)


# -- events from a contact ---------------------------------------------------------------------------------------------


def part_came(tx: sqlite3.Connection, contact: Contact, part: DescriptionPart, sender: str | None) -> None:
    """Called when a contact has sent the next part of a file's description. Stores the part."""
    part_of(tx, contact, lines.find_said(tx, contact.id, part.shared_id, sender), part)


def part_of(tx: sqlite3.Connection, contact: Contact, message: Message | None, part: DescriptionPart) -> None:
    """Stores the next part of the file description that belongs to ``message``. Parts must arrive in order (xftp-wire
    7.1)."""
    file = None if message is None else files.find(tx, message.id)
    if message is None or file is None or file.state not in (FileState.OFFERED, FileState.RECEIVING):
        log.info("a part of a file's description was ignored; it came from %r", contact.alias)
        return
    said = part.description
    if file.complete or said.number <= file.parts:
        return  # this part is stored already
    if said.number != file.parts + 1 or len(file.description) + len(said.text) > MAX_DESCRIPTION:
        _lose(tx, message, PARTS_MISSING.format(alias=contact.alias), Trouble.DAMAGED)
        return
    files.append(tx, message.id, said)
    if said.complete:
        _changed(tx, message, file.state)


def cancelled(tx: sqlite3.Connection, message: Message, contact: Contact) -> None:
    """Stores that the contact has withdrawn a file. If we have already received the file, we keep it."""
    file = files.find(tx, message.id)
    if file is None or file.state is FileState.RECEIVED:
        return
    files.leave(tx, message.id)
    files.set_state(tx, message.id, FileState.CANCELLED, CANCELLED_BY_THEM.format(alias=contact.alias))
    files.forget_description(tx, message.id)
    _changed(tx, message, FileState.CANCELLED)


# -- receiving --------------------------------------------------------------------------------------------------------


def receive(
    tx: sqlite3.Connection,
    context: Context,
    message: Message,
    target: Path,
    *,
    approved: bool,
    known: Known,
    agreed: bool = False,
) -> None:
    """Called when the user, or a setting, asks for the file of ``message``. The file is fetched as soon as its
    description has arrived.

    Args:
        target: The folder in which the file is saved, or the whole path of the new file.
        approved: Whether smpchat may connect to relays that the sender chose. The sender's relays then see this
            computer's address, or the proxy's address if a proxy is used.
        agreed: The user was shown the file's relays and agreed to them, so they are used even if they are in the user's
            own network.
        known: Tells whether a relay is one that the user has chosen or already uses.
    Raises:
        InputError: The message has no file, or its file is our own, is too large or was already received.
        FileUnavailable: The file is no longer available.
        RelaysNotApproved: The user must first approve the file's relays. Nothing has changed.
    """
    file = required(tx, message)
    if message.direction is Direction.SENT:
        raise InputError(
            f"The file of message {message.id} is your own.", "`smpchat files` lists what can be received."
        )
    match file.state:
        case FileState.RECEIVED:
            raise InputError(f"You have already received the file of message {message.id}.", f"It is {file.path}.")
        case FileState.RECEIVING:
            return
        case FileState.EXPIRED:
            raise FileUnavailable(file.reason or EXPIRED)
        case FileState.CANCELLED | FileState.FAILED if not (file.complete or file.reason == CANCELLED_BY_US):
            kind = FileDamaged if file.trouble == Trouble.DAMAGED else FileUnavailable
            raise kind(file.reason or EXPIRED)
    if file.size > MAX_FILE:
        raise InputError(
            f"The file has {file.size:,} bytes; smpchat receives at most {MAX_FILE:,}.", "Ask the sender to split it."
        )
    from smpchat.chat.wire.file_names import safe_name

    place = target / safe_name(file.name) if target.is_dir() else target
    files.ask_for(tx, message.id, place, approved=approved)
    if agreed and file.complete:
        _agree(tx, message, file.description)
    asked = files.find(tx, message.id)
    if asked is not None and asked.complete:
        start(tx, context, asked, approved=approved, known=known)
    _changed(tx, message, FileState.RECEIVING)


def _agree(tx: sqlite3.Connection, message: Message, description: str) -> None:
    from smpchat.xftp.description import read_description

    connection = _connection(tx, message)
    try:
        relays = {replica.server for chunk in read_description(description).chunks for replica in chunk.replicas}
    except DecodeError:
        return  # `start` reports what is wrong with the description
    for server in relays:
        consents.add(tx, connection, server)


def start(tx: sqlite3.Connection, context: Context, file: MessageFile, *, approved: bool, known: Known) -> None:
    """Lets the agent fetch a file that was asked for. Raises `AgentError` if the agent cannot fetch the file, or if the
    user must first approve the file's relays."""
    from smpchat.agent.transactions.files import receive_file

    assert file.target is not None
    transfer = receive_file(
        tx, context, file.description, file.target, approved=approved or file.approved, known=known, size=file.size
    )
    files.started(tx, file.message_id, transfer)


def start_waiting(tx: sqlite3.Connection, context: Context, *, approved: bool, known: Known) -> None:
    """Lets the agent fetch files whose descriptions have now arrived, if the user had asked for the files before."""
    for file in files.to_start(tx):
        message = records.message(tx, file.message_id)
        if message is None:
            continue
        try:
            start(tx, context, file, approved=approved, known=known)
        except RelaysNotApproved as error:
            files.offer_again(tx, file.message_id, str(error))
            context.application.notice(tx, _connection(tx, message), _ask_again(message, error))
            _changed(tx, message, FileState.OFFERED)
        except FileRefused as error:
            _lose(tx, message, str(error), Trouble.DAMAGED)
        except AgentError as error:  # too many files are being received: the user can ask again later
            files.offer_again(tx, file.message_id, str(error))
            _changed(tx, message, FileState.OFFERED)


def receive_automatically(
    tx: sqlite3.Connection,
    context: Context,
    folder: Path,
    wanted: Callable[[MessageFile, Message], bool],
    *,
    approved: bool,
    known: Known,
) -> None:
    """Asks for the files that were offered since the last call and for which ``wanted`` returns True. The user is not
    asked: a file whose relays the user must first approve is not fetched, and the user can ask for it later."""
    for file in files.to_judge(tx):
        message = records.message(tx, file.message_id)
        files.judged(tx, file.message_id)
        if message is None or not wanted(file, message):
            continue
        try:
            receive(tx, context, message, folder, approved=approved, known=known)
        except (AgentError, InputError) as error:
            log.info("a file was not received automatically: %s", type(error).__name__)
            files.offer_again(tx, file.message_id)


def _ask_again(message: Message, error: RelaysNotApproved) -> str:
    return (
        f"The file of message {message.id} from {{alias}} is at relays that you do not use ({', '.join(error.relays)})."
        f" They would see your IP address. To receive it anyway: `smpchat receive {message.id} --approve`."
    )


def received(tx: sqlite3.Connection, transfer: int, path: Path) -> None:
    """Saves that the whole file was received and checked."""
    file, message, _ = _of_transfer(tx, transfer)
    if file is None or message is None:
        return
    files.set_state(tx, message.id, FileState.RECEIVED, path=path)
    files.forget_description(tx, message.id)
    _changed(tx, message, FileState.RECEIVED)


# -- both directions ---------------------------------------------------------------------------------------------------


def failed(tx: sqlite3.Connection, transfer: int, trouble: Trouble) -> None:
    """Saves that the transfer of a file has failed. If the file is a contact's, and may still be at its relays, the
    user can ask for it again."""
    file, message, contact = _of_transfer(tx, transfer)
    if file is None or message is None or contact is None:
        return
    reason = troubles.of_file(trouble, contact.alias, sending=message.direction is Direction.SENT)
    if message.direction is Direction.SENT:
        _end_sending(tx, file, message, FileState.FAILED, reason, trouble)
    elif trouble in (Trouble.GONE, Trouble.DAMAGED, Trouble.BLOCKED):
        _lose(tx, message, reason, trouble)
    else:
        files.set_state(tx, message.id, FileState.FAILED, reason, trouble=trouble)
        _changed(tx, message, FileState.FAILED)


def _lose(tx: sqlite3.Connection, message: Message, reason: str, trouble: Trouble) -> None:
    """Saves that a contact's file can never be received."""
    state = FileState.EXPIRED if trouble is Trouble.GONE else FileState.FAILED
    files.set_state(tx, message.id, state, reason, trouble=trouble)
    files.forget_description(tx, message.id)
    _changed(tx, message, state)


def cancel(tx: sqlite3.Connection, context: Context, message: Message, to_contact: Withdrawing) -> None:
    """Cancels the transfer of a file. A file of ours is deleted at its relays.

    Args:
        to_contact: Called if the file is ours, to tell the contact that the file is no longer available.
    Raises:
        InputError: There is nothing to cancel.
    """
    file = required(tx, message)
    if message.direction is Direction.RECEIVED:
        if file.state is not FileState.RECEIVING:
            raise InputError(f"The file of message {message.id} is not being received.", "There is nothing to cancel.")
        files.leave(tx, message.id)
        files.set_state(tx, message.id, FileState.CANCELLED, CANCELLED_BY_US)
        _changed(tx, message, FileState.CANCELLED)
        return
    if file.state not in (FileState.SENDING, FileState.SENT):
        raise InputError(f"The file of message {message.id} is not at any relay.", "There is nothing to cancel.")
    contact = records.contact(tx, message.contact)
    if not contact.gone:
        to_contact(tx, context, contact, message)
    files.leave(tx, message.id)
    _end_sending(tx, file, message, FileState.CANCELLED, CANCELLED_BY_US, None)


def leave_dropped(tx: sqlite3.Connection, context: Context) -> None:
    """Lets the agent stop the transfers of files whose messages were deleted. Files of ours are deleted at their relays
    too."""
    gone = files.dropped(tx)
    if not gone:
        return
    from smpchat.agent.transactions.files import delete_file

    for transfer in gone:
        delete_file(tx, context, transfer)
        files.left(tx, transfer)


def expire(tx: sqlite3.Connection, now: float) -> None:
    """Marks offered files as expired when they are so old that relays have deleted them."""
    for message_id in files.due(tx, now):
        message = records.message(tx, message_id)
        if message is not None:
            _lose(tx, message, EXPIRED, Trouble.GONE)


def required(tx: sqlite3.Connection, message: Message) -> MessageFile:
    """The file of a message. Raises `InputError`."""
    file = files.find(tx, message.id)
    if file is None:
        raise InputError(f"Message {message.id} has no file.", "`smpchat files` lists messages with files.")
    return file


def _of_transfer(
    tx: sqlite3.Connection, transfer: int
) -> tuple[MessageFile, Message, Contact] | tuple[None, None, None]:
    """The file, message and contact of one of the agent's transfers; ``(None, None, None)`` if the message was deleted
    meanwhile."""
    file = files.of_transfer(tx, transfer)
    message = None if file is None else records.message(tx, file.message_id)
    if file is None or message is None:
        return None, None, None
    return file, message, records.contact(tx, message.contact)


def _connection(tx: sqlite3.Connection, message: Message) -> int:
    """The connection over which a message came. In a group, this may be the connection to the member who passed the
    message on."""
    contact = records.contact(tx, message.contact)
    if not contact.is_group:
        return contact.connection_id
    return memberships.connection_of_message(tx, message.id) or contact.connection_id


def _changed(tx: sqlite3.Connection, message: Message, state: FileState) -> None:
    publish(tx, events.FileChanged(message.id, message.contact, state))
