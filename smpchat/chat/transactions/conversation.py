"""What we send to a contact: texts, replies, edits, deletions, reactions, and a last message when we delete the
contact. Each of these is made inside one transaction.

An edit, a deletion or a reaction changes our own store at once, and is sent to the contact. The contact gets everything
in the order in which we sent it.
"""

from __future__ import annotations

import shlex
import sqlite3
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from smpchat.agent.context import Context
from smpchat.agent.store import connections
from smpchat.chat.errors import InputError, TextTooLong, UnknownMessage
from smpchat.chat.store import events, records
from smpchat.chat.store import files as message_files
from smpchat.chat.store.feed import publish
from smpchat.chat.store.records import Contact, Direction, Message, MessageStatus, Quoted
from smpchat.chat.transactions import changes, files, preferences
from smpchat.chat.transactions.changes import SentChange
from smpchat.chat.transactions.room import room_of
from smpchat.chat.transactions.submitting import new_id, submit
from smpchat.chat.wire.content import GROUP_EVENT, whole
from smpchat.chat.wire.message import (
    REACTIONS,
    MessageDeletion,
    MessageUpdate,
    Quote,
    ReactionChange,
    encode_contact_deleted,
    encode_deletion,
    encode_group_left,
    encode_reaction,
    encode_text,
    encode_update,
    quotation,
)
from smpchat.chat.wire.preferences import Allow, Feature, allowed
from smpchat.encoding.characters import is_blank
from smpchat.encoding.record import replace

if TYPE_CHECKING:
    from smpchat.chat.transactions.group_talk import GroupTalk

_VARIATION_SELECTOR = "\ufe0f"


def send_text(
    tx: sqlite3.Connection,
    context: Context,
    contact: Contact,
    text: str,
    reply_to: Message | None = None,
    *,
    forwarded: bool = False,
) -> Message:
    """Stores a new message of ours as pending, and gives it to the agent.

    Args:
        forwarded: Whether the message is marked as forwarded from another conversation.
    Raises:
        InputError: The text is empty or too long, the contact removed us, or no reply to the message ``reply_to`` is
            possible.
    """
    text = whole(text)
    if contact.is_group:
        return _talk(tx, context, contact).send_text(text, reply_to, forwarded=forwarded)
    check_joined(tx, contact)
    shared_id = new_id(context)
    quote = quoted = None
    if reply_to is not None:
        quote, quoted = _quotation(reply_to), Quoted(reply_to.id, reply_to.direction, reply_to.text)
    ttl = preferences.agreement(tx, contact).ttl
    body = _packed(tx, contact, text, lambda text: encode_text(text, shared_id, quote, ttl, forwarded=forwarded))
    message_id = records.insert_message(
        tx, contact.id, Direction.SENT, text, context.now(), shared_id, reply_to=quoted, ttl=ttl, forwarded=forwarded
    )
    # ``notify`` lets the relay wake the contact's phone: for texts, not for changes or receipts (agent-wire 6.2).
    submit(tx, context, contact, body, message_id, notify=True)
    publish(tx, events.MessageAdded(message_id))
    return message(tx, message_id)


def check_joined(tx: sqlite3.Connection, contact: Contact) -> None:
    """Raises `InputError` for a group that has not let us in yet, because only its host would get what we write."""
    if connections.is_plain(tx, contact.connection_id):
        raise InputError(
            f"You are not in the group {contact.alias} yet.",
            "You can write as soon as the member whose link or invitation you used comes online and lets you in.",
        )


def send_welcome(
    tx: sqlite3.Connection, context: Context, contact: Contact, text: str, welcome_id: str | None
) -> Message:
    """Sends the welcome text of our address as our first message to an accepted contact.

    Args:
        welcome_id: If the contact's app has read the welcome text in our link, the app has stored the text as a message
            with this id. Then we send the text as an edit of that message, so that the contact does not see it twice.
            None: the app did not read the text.
    """
    if welcome_id is None:
        return send_text(tx, context, contact, text)
    update, own_id = MessageUpdate(welcome_id, text), new_id(context)
    body = _packed(tx, contact, text, lambda text: encode_update(replace(update, text=text), own_id))
    message_id = records.insert_message(tx, contact.id, Direction.SENT, text, context.now(), welcome_id)
    submit(tx, context, contact, body, message_id, notify=False)
    publish(tx, events.MessageAdded(message_id))
    return message(tx, message_id)


def forward(tx: sqlite3.Connection, context: Context, message_id: int, contact: Contact) -> Message:
    """Forwards a message of any conversation to a contact, as a new message of ours that is marked as forwarded.

    Raises:
        InputError: The message is not a text, was deleted, or is still being written; or `send_text` refuses it.
    """
    original = message(tx, message_id)
    if original.deleted:
        raise _was_deleted(message_id)
    if original.held:
        raise InputError(f"Message {message_id} is still being written.", "Wait until it is finished, then forward it.")
    if original.note:
        raise InputError(f"Message {message_id} is not a text.", "Only texts and files can be forwarded.")
    return send_text(tx, context, contact, original.text, forwarded=True)


def edit(tx: sqlite3.Connection, context: Context, message_id: int, text: str) -> SentChange:
    """Replaces the text of a message of ours, here and in the contact's app.

    Raises:
        InputError: The message is not ours, or cannot be changed; or the text is empty or too long.
    """
    text = whole(text)
    original, contact, shared_id = _own(tx, message_id)
    own_id = new_id(context)
    file = message_files.find(tx, original.id)
    if contact.is_group:
        talk = _talk(tx, context, contact)
        if file is None:
            return talk.edit(original, text)
        from smpchat.chat.transactions.group_files import new_caption

        return new_caption(talk, file, original, text)
    if file is not None:
        from smpchat.chat.transactions import file_bodies

        body, shown, content = file_bodies.new_caption(tx, contact, file, text, shared_id, own_id, original.ttl)
        changes.edit(tx, original.id, shown, edited=True, live=False, content=content)
        return _submit_change(tx, context, contact, original, body, events.Change.EDITED)
    update = MessageUpdate(shared_id, text, ttl=original.ttl)
    body = _packed(tx, contact, text, lambda text: encode_update(replace(update, text=text), own_id))
    changes.edit(tx, original.id, text, edited=True, live=False)
    return _submit_change(tx, context, contact, original, body, events.Change.EDITED)


def retract(tx: sqlite3.Connection, context: Context, message_id: int) -> SentChange:
    """Deletes a message of ours, here and in the contact's app; in a group, also one of somebody else if our role
    allows it. Raises `InputError` if we may not delete the message, it was deleted before, or it is too old.

    Our conversation then still shows that a message was deleted. If the contact allows full deletion, nothing
    is left of the message.
    """
    original, contact, shared_id = _named(tx, message_id)
    if contact.is_group:
        return _talk(tx, context, contact).retract(original)
    _check_own(original)
    changes.check_deletable(original, context.now())
    body = encode_deletion(MessageDeletion(shared_id), new_id(context))
    change = _submit_change(tx, context, contact, original, body, events.Change.DELETED)
    changes.delete(tx, original.id)
    files.leave_dropped(tx, context)
    left = message(tx, original.id)
    if preferences.agreement(tx, contact).on(Feature.FULL_DELETE).by_us:
        changes.erase(tx, left)
    return replace(change, message=left)


def retract_all(tx: sqlite3.Connection, context: Context, message_ids: Sequence[int]) -> list[SentChange]:
    """Deletes several messages of ours, from any conversations. Raises `InputError` if one of them cannot be deleted.
    The error also ends the caller's transaction, so then all messages stay."""
    return [retract(tx, context, message_id) for message_id in dict.fromkeys(message_ids)]


def react(tx: sqlite3.Connection, context: Context, message_id: int, emoji: str, *, add: bool) -> SentChange:
    """Adds or removes a reaction to a message, our own or the contact's.

    Raises:
        InputError: Apps do not know this emoji as a reaction, we or the contact do not allow reactions, the message
            cannot have a reaction, or nothing would change.
    """
    emoji = emoji.strip().removesuffix(_VARIATION_SELECTOR)  # keyboards add it to the heart; apps do not accept it
    if emoji not in REACTIONS:
        raise InputError("SimpleX apps do not accept this reaction.", f"Use one of {' '.join(REACTIONS)}")
    original, contact, shared_id = _named(tx, message_id)
    if contact.is_group:
        return _talk(tx, context, contact).react(original, emoji, add=add)
    if not preferences.agreement(tx, contact).on(Feature.REACTIONS).by_us:
        raise _no_reactions(tx, contact)
    if not changes.react(tx, original.id, Direction.SENT, emoji, add=add):
        have = "already has a" if add else "has no"
        raise InputError(f"Message {message_id} {have} {emoji} from you.", "Nothing was changed.")
    body = encode_reaction(ReactionChange(shared_id, emoji, add), new_id(context))
    return _submit_change(tx, context, contact, original, body, events.Change.REACTION)


def farewell(context: Context, contact: Contact) -> bytes | None:
    """The message that tells a contact that we have deleted the contact; None if the contact deleted us first."""
    if contact.gone:
        return None
    # The app of a business has a group for its chat with us, so we tell it that we leave this group (``x.grp.leave``).
    return (encode_group_left if contact.business else encode_contact_deleted)(new_id(context))


def message(tx: sqlite3.Connection, message_id: int) -> Message:
    """One message. Raises `UnknownMessage`."""
    found = records.message(tx, message_id)
    if found is None:
        raise UnknownMessage(message_id)
    return found


def _no_reactions(tx: sqlite3.Connection, contact: Contact) -> InputError:
    """The error for a reaction that we or the contact do not allow; apps neither send nor show such reactions."""
    if allowed(preferences.agreement(tx, contact).theirs, Feature.REACTIONS).allow is Allow.NO:
        said = f"Nothing was sent: {contact.alias} does not allow reactions."
        return InputError(said, "Reply with a text instead.")
    return InputError(
        f"Nothing was sent: you do not allow reactions with {contact.alias}.",
        f"Allow them: `smpchat contact set {shlex.quote(contact.alias)} reactions yes`.",
    )


def _quotation(original: Message) -> dict[str, Any]:
    if original.deleted:
        raise _was_deleted(original.id)
    return quotation(Quote(original.shared_id, original.direction is Direction.SENT, original.text), original.sent_at)


def _was_deleted(message_id: int) -> InputError:
    return InputError(f"Message {message_id} was deleted.", "It can no longer be answered or changed.")


def _named(tx: sqlite3.Connection, message_id: int) -> tuple[Message, Contact, str]:
    """A message, its contact, and the id by which the contact's app knows the message. Raises `InputError` if the
    message has no such id, or if the message was deleted or never reached the contact."""
    found = message(tx, message_id)
    if found.deleted:
        raise _was_deleted(message_id)
    if found.status is MessageStatus.FAILED:
        raise InputError(f"Message {message_id} never reached {found.contact!r}.", "Send the text again instead.")
    if found.shared_id is None:
        why = "The message has no id, so the other app could not tell which message you mean."
        if found.content == GROUP_EVENT:
            why = "This line only says what happened in the group."
        raise InputError(f"You cannot reply to message {message_id}, react to it or change it.", why)
    return found, records.contact(tx, found.contact), found.shared_id


def _own(tx: sqlite3.Connection, message_id: int) -> tuple[Message, Contact, str]:
    found, contact, shared_id = _named(tx, message_id)
    _check_own(found)
    return found, contact, shared_id


def _check_own(message: Message) -> None:
    if message.direction is not Direction.SENT:
        raise InputError(f"Message {message.id} is not yours.", "You can edit or delete only your own messages.")


def _talk(tx: sqlite3.Connection, context: Context, contact: Contact) -> GroupTalk:
    from smpchat.chat.transactions.group_talk import GroupTalk  # imported only for groups

    return GroupTalk(tx, context, contact)


def _packed(tx: sqlite3.Connection, contact: Contact, text: str, encode: Callable[[str], bytes]) -> bytes:
    """The body of a message to this contact with this text; ``encode`` makes the JSON from the text. Raises
    `InputError`."""
    if is_blank(text):
        raise InputError("The text is empty, so nothing was sent.", "Give a text, or pipe one in with `-`.")
    room, data = room_of(tx, contact), encode(text)
    body = room.pack(data)
    if body is None:
        limit = room.limit(data)
        raise TextTooLong(max(1, len(data) - limit), limit - len(encode("")))
    return body


def _submit_change(
    tx: sqlite3.Connection,
    context: Context,
    contact: Contact,
    original: Message,
    body: bytes,
    change: events.Change,
) -> SentChange:
    inserted = changes.insert_sent(tx, original.id, contact.id)
    submit(tx, context, contact, body, inserted.reference, notify=False)
    publish(tx, events.MessageChanged(original.id, contact.alias, change, Direction.SENT))
    return replace(inserted, message=message(tx, original.id))
