"""Files of ours in a group: encrypted and uploaded once, and described to each member separately.

Each member gets its own ids for the chunks, so that relays cannot tell which members fetch the same file (xftp-wire 7).
Members to whom we are not connected get the description from a host, and use the ids that the host got.
"""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smpchat.agent.context import Context
from smpchat.chat.errors import InputError, TextTooLong
from smpchat.chat.machines.group_sending import recipients
from smpchat.chat.machines.group_states import Link
from smpchat.chat.store import events, files
from smpchat.chat.store.files import MessageFile
from smpchat.chat.store.records import Contact, Message
from smpchat.chat.transactions import changes
from smpchat.chat.transactions.changes import SentChange
from smpchat.chat.transactions.file_bodies import check_size
from smpchat.chat.transactions.group_talk import GroupTalk
from smpchat.chat.wire.bodies import MAX_JSON
from smpchat.chat.wire.content import read_content, whole
from smpchat.chat.wire.files import PART, FileInvitation, description_params, invitation_params, parts_of
from smpchat.chat.wire.group_encoding import encode_group_event
from smpchat.chat.wire.group_events import Edit, FileDescribed, FileWithdrawn, Post
from smpchat.chat.wire.group_values import Feature

if TYPE_CHECKING:  # imported only if a file is sent
    from smpchat.agent.store.encrypted_files import EncryptedFile
    from smpchat.chat.wire.media import Media

MAX_SLOTS = 64
"""Each chunk of a file is registered for at most this many recipients, because each recipient adds a key of 32 bytes to
the command that registers the chunk. In a larger group, several members use the same recipient's ids."""
_SLOTS = 4
"""Each chunk of a file is registered for at least this many recipients, as SimpleX apps do: a smaller number would show
the relay that the sender does not use a SimpleX app."""
_ID = "A" * 16


def check(talk: GroupTalk, media: Media, name: str, size: int, text: str, *, forwarded: bool = False) -> dict[str, Any]:
    """The ``content`` of a message with a file, in the best form that fits into the message. Raises `InputError`."""
    check_size(size)
    group = talk.group
    if not group.profile.allows(Feature.FILES, group.own.role):
        raise InputError("Nothing was sent: this group does not allow files from you.", "Send a text instead.")
    if not recipients(group, talk.scope):
        raise InputError("Nothing was sent: nobody else is in this group yet.", "Send it once somebody has joined.")
    voice = group.profile.allows(Feature.VOICE, group.own.role)
    invitation, size_of = invitation_params(FileInvitation(name, size)), 0
    for content in media.contents(whole(text)):
        if content["type"] != "voice" or voice:
            ttl = group.profile.disappear_after
            post = Post(content, invitation, ttl=ttl, scope=talk.scope, forwarded=forwarded)
            size_of = len(encode_group_event(post, _ID))
            if size_of <= MAX_JSON:
                return content
    raise TextTooLong(size_of - MAX_JSON, max(0, len(text.encode("utf-8", "replace")) - size_of + MAX_JSON))


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

    talk = GroupTalk(tx, context, contact)
    content = check(talk, media, name, encrypted.plain_size, text, forwarded=forwarded)
    invitation = invitation_params(FileInvitation(name, encrypted.plain_size))
    read = read_content(content, invitation)
    assert read is not None
    slots = min(MAX_SLOTS, max(_SLOTS, len(recipients(talk.group, talk.scope))))

    def keep(message_id: int) -> None:
        transfer = submit_file(tx, context, encrypted, name, slots)
        files.send(tx, message_id, name, encrypted.plain_size, path, transfer, content)

    return talk.post(Post(content, invitation, forwarded=forwarded), read[0], content=read[1], before=keep)


def describe(
    tx: sqlite3.Connection, context: Context, contact: Contact, file: MessageFile, message: Message
) -> SentChange:
    """Sends each member the description of a file, in one or more messages. Returns the stored change: its status is
    that of the last of these messages. Raises `InputError`, `AgentError`."""
    talk, texts = GroupTalk(tx, context, contact), json.loads(file.description)
    shared_id, change = message.shared_id or "", changes.insert_sent(tx, message.id, contact.id)
    # Connected members come first: the change counts as sent as soon as one of them can fetch the file.
    members = sorted(recipients(talk.group, talk.scope), key=lambda member: member.link is not Link.CONNECTED)
    for number, member in enumerate(members):
        *parts, last = _parts(shared_id, texts[number % len(texts)])
        for part in parts:
            talk.tell(member.id, part)
        talk.tell(member.id, last, change.reference if member.link is members[0].link else None)
    return change


def _parts(shared_id: str, text: str) -> list[FileDescribed]:
    size = PART
    while True:
        found = [FileDescribed(shared_id, description_params(part)) for part in parts_of(text, size)]
        if all(len(encode_group_event(part, _ID)) <= MAX_JSON for part in found):
            return found
        size = size * 2 // 3


def withdraw(tx: sqlite3.Connection, context: Context, contact: Contact, message: Message) -> None:
    """Tells the members that a file of ours is no longer available."""
    change = changes.insert_sent(tx, message.id, contact.id)
    GroupTalk(tx, context, contact).say(FileWithdrawn(message.shared_id or ""), change.reference)


def new_caption(talk: GroupTalk, file: MessageFile, original: Message, text: str) -> SentChange:
    """Changes the caption of a file of ours."""
    content = (file.content or {"type": "file"}) | {"text": text}
    read = read_content(content, invitation_params(FileInvitation(file.name, file.size)))
    assert read is not None
    edit = Edit(original.shared_id or "", content, original.ttl, scope=talk.scope)
    talk.check_room(edit, text)
    files.set_content(talk.tx, file.message_id, content)
    changes.edit(talk.tx, original.id, read[0], edited=True, live=False, content=read[1])
    return talk.change(original, edit, events.Change.EDITED)
