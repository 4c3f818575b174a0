"""Makes the messages about a file of ours: its announcement, its description (what the contact needs to fetch it),
edits of its caption, and its withdrawal."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from smpchat.agent.context import Context
from smpchat.chat.errors import InputError, TextTooLong
from smpchat.chat.store import files
from smpchat.chat.store.files import MessageFile
from smpchat.chat.store.records import Contact, Message
from smpchat.chat.transactions import changes, preferences
from smpchat.chat.transactions.changes import SentChange
from smpchat.chat.transactions.room import room_of
from smpchat.chat.transactions.submitting import new_id, submit
from smpchat.chat.wire.content import read_content, whole
from smpchat.chat.wire.files import (
    MAX_FILE,
    PART,
    DescriptionPart,
    FileInvitation,
    encode_caption,
    encode_description_part,
    encode_file,
    encode_file_cancel,
    invitation_params,
    parts_of,
)
from smpchat.chat.wire.preferences import Feature

if TYPE_CHECKING:  # imported only if a file is sent
    from smpchat.chat.wire.media import Media

_PARTS = (PART, PART * 2 // 3, PART // 3, PART // 8)
"""Possible lengths of a description's parts, in characters; the largest that fits into a message is used."""


def check_size(size: int) -> None:
    """Raises `InputError` if apps would not accept a file of this size."""
    if size > MAX_FILE:
        raise InputError(
            f"The file has {size:,} bytes; SimpleX apps accept at most {MAX_FILE:,}.",
            "Split it, for example with `split -b 1000M`.",
        )


def check(
    tx: sqlite3.Connection, contact: Contact, media: Media, name: str, size: int, text: str, *, forwarded: bool = False
) -> dict[str, Any]:
    """The ``content`` of a message with a file of ours. A file can be offered in several forms, such as a picture with
    a preview or a plain file; this is the best form that fits into the message. Raises `InputError`."""
    check_size(size)
    room, invitation = room_of(tx, contact), FileInvitation(name, size)
    data = b""
    for content in _allowed(tx, contact, media, whole(text)):
        data = encode_file(content, invitation, "A" * 16, preferences.agreement(tx, contact).ttl, forwarded=forwarded)
        if room.pack(data) is not None:
            return content
    limit = room.limit(data)
    raise TextTooLong(max(1, len(data) - limit), max(0, limit - len(data) + len(text.encode("utf-8", "replace"))))


def _allowed(tx: sqlite3.Connection, contact: Contact, media: Media, text: str) -> Iterator[dict[str, Any]]:
    """The forms in which the message may offer its file, the best form first. The form ``voice`` is left out if we or
    the contact do not allow voice messages."""
    voice = preferences.agreement(tx, contact).on(Feature.VOICE).by_us
    return (content for content in media.contents(text) if content["type"] != "voice" or voice)


def describe(
    tx: sqlite3.Connection, context: Context, contact: Contact, file: MessageFile, message: Message
) -> SentChange:
    """Sends a contact the description of a file, in parts. Returns a `SentChange`; its status says whether the
    last part was sent. Raises `InputError`, `AgentError`."""
    room, shared_id = room_of(tx, contact), message.shared_id or ""
    bodies: list[bytes | None] = [None]
    for size in _PARTS:
        bodies = [
            room.pack(encode_description_part(DescriptionPart(shared_id, part), new_id(context)))
            for part in parts_of(file.description, size)
        ]
        if None not in bodies:
            break
    *first, last = [body for body in bodies if body is not None]
    for body in first:
        submit(tx, context, contact, body, None, notify=False)
    change = changes.insert_sent(tx, message.id, contact.id)
    submit(tx, context, contact, last, change.reference, notify=False)
    return change


def new_caption(
    tx: sqlite3.Connection, contact: Contact, file: MessageFile, text: str, shared_id: str, own_id: str, ttl: int | None
) -> tuple[bytes, str, Any]:
    """Changes the caption of a file of ours. Returns three things: the body of the message that tells the contact; the
    text to show; and the new content of the message with the file. Raises `TextTooLong`.

    Args:
        shared_id: The id of the message with the file.
        own_id: The id of the message that tells the contact.
    """
    content = (file.content or {"type": "file"}) | {"text": text}
    data, room = encode_caption(content, shared_id, own_id, ttl), room_of(tx, contact)
    body = room.pack(data)
    if body is None:
        limit = room.limit(data)
        raise TextTooLong(max(1, len(data) - limit), max(0, limit - len(data) + len(text.encode())))
    files.set_content(tx, file.message_id, content)
    read = read_content(content, invitation_params(FileInvitation(file.name, file.size)))
    assert read is not None
    return body, *read


def withdraw(tx: sqlite3.Connection, context: Context, contact: Contact, message: Message) -> None:
    """Tells a contact that a file of ours is no longer available."""
    change = changes.insert_sent(tx, message.id, contact.id)
    body = encode_file_cancel(message.shared_id or "", new_id(context))
    submit(tx, context, contact, body, change.reference, notify=False)
