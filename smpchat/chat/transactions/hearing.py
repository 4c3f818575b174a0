"""Stores what a contact sends: messages, changes of messages, and other events.

`smpchat.chat.transactions.incoming` calls `hear` for every event of a contact that concerns a conversation. Nobody can
change the messages of others: a contact cannot change ours, and a member cannot change those of another member. There
is one exception: moderators of a group can delete the messages of other members.
"""

from __future__ import annotations

import logging
import sqlite3

from smpchat.agent.store.allowances import HOUR
from smpchat.chat.store import events, expiry, lines, live, records, untold
from smpchat.chat.store import files as message_files
from smpchat.chat.store.feed import publish
from smpchat.chat.store.records import Contact, Direction, Message, Quoted
from smpchat.chat.transactions import changes, files, preferences
from smpchat.chat.wire.content import DELETABLE, Content, joined
from smpchat.chat.wire.files import DescriptionPart
from smpchat.chat.wire.happenings import FileCancelled, Happening
from smpchat.chat.wire.message import (
    ChatEvent,
    MessageDeletion,
    MessageUpdate,
    Quote,
    ReactionChange,
    TextMessage,
    UnsupportedEvent,
)
from smpchat.chat.wire.preferences import Feature

log = logging.getLogger("smpchat.chat")

_CANCELLED = "[withdrawn]"


def hear(
    tx: sqlite3.Connection,
    contact: Contact,
    event: ChatEvent,
    sent_at: float,
    now: float,
    sender: str | None = None,
) -> bool:
    """Stores an event from a contact or, with ``sender``, one that the contact passes on. Returns whether the contact
    should get a receipt.

    Args:
        sent_at: When the relay received the event, by the relay's clock, in POSIX seconds. For an event that the
            contact passes on, this can be an earlier time, which the contact states.
        now: The present time by our clock, in POSIX seconds.
        sender: The member of a group or business who sent the event; None: the contact itself.
    """
    match event:
        case TextMessage() as text:
            add_message(tx, contact, text, sent_at, now, sender)
            return sender is None
        case Happening() as line:
            add_line(tx, contact, line, sent_at, sender)
            return line.receipt and sender is None
        case MessageUpdate() as update:
            _update_message(tx, contact, update, sent_at, now, sender)
        case MessageDeletion(shared_id):
            _delete_message(tx, contact, shared_id, sent_at, sender)
        case ReactionChange() as reaction:
            _react(tx, contact, reaction, now)
        case DescriptionPart() as part:
            files.part_came(tx, contact, part, sender)
        case FileCancelled(shared_id):
            _cancel_file(tx, contact, shared_id, now, sender)
        case UnsupportedEvent(name):
            log.info("chat event of %r ignored: %r", contact.alias, name)
        case other:
            log.info("chat event of %r ignored: %s", contact.alias, type(other).__name__)
    return False


def add_message(
    tx: sqlite3.Connection,
    contact: Contact,
    message: TextMessage,
    sent_at: float,
    now: float,
    sender: str | None = None,
) -> int | None:
    """Stores a new message, and returns its number; None if a copy of it came before.

    Args:
        sender: The member of a group or business who sent the message; None: the contact itself.
    """
    # Only a message that a contact passes on can arrive here twice. The agent has already dropped copies of the
    # contact's own messages, which it recognizes by their hash (agent-wire 5.4).
    if sender is not None and lines.find_said(tx, contact.id, message.shared_id, sender) is not None:
        return None
    message_id = records.insert_message(
        tx,
        contact.id,
        Direction.RECEIVED,
        message.text,
        sent_at,
        message.shared_id,
        reply_to=_quoted(tx, contact, message.quote),
        live=message.live,
        ttl=preferences.agreement(tx, contact).ttl_of(message.ttl),
        content=message.content,
        sender=sender,
        forwarded=message.forwarded,
    )
    if message.file is not None:
        message_files.offer(tx, message_id, message.file, sent_at)
    if message.live:
        live.hold(tx, message_id, now)
    publish(tx, events.MessageAdded(message_id))
    return message_id


def add_limited_line(
    tx: sqlite3.Connection, contact: Contact, line: Happening, now: float, *, most: int, too_many: Happening
) -> None:
    """Adds a line about an event, unless ``most`` lines of its kind were added within the last hour. In that case, adds
    ``too_many`` instead, and then no line of this kind for an hour."""
    if lines.lately(tx, contact.id, line.kind, now - HOUR, too_many.text):
        return
    add_line(tx, contact, line if lines.lately(tx, contact.id, line.kind, now - HOUR) < most else too_many, now)


def add_line(
    tx: sqlite3.Connection, contact: Contact, line: Happening, sent_at: float, sender: str | None = None
) -> None:
    """Adds a line about an event, unless the event already has a line."""
    if line.member is not None and line.member_name is not None and sender is None:
        lines.save_member_name(tx, contact.id, line.member, line.member_name)
    if line.occasion is not None and lines.is_known(tx, contact.id, line.occasion):
        return
    message_id = records.insert_message(
        tx,
        contact.id,
        Direction.RECEIVED,
        line.text,
        sent_at,
        line.shared_id,
        content=line.content,
        sender=sender,
        occasion=line.occasion,
    )
    publish(tx, events.MessageAdded(message_id))


def _quoted(tx: sqlite3.Connection, contact: Contact, quote: Quote | None) -> Quoted | None:
    """The message that a reply quotes. If we have stored this message, users see our copy, not the quoted text."""
    if quote is None:
        return None
    direction = Direction.RECEIVED if quote.by_sender else Direction.SENT
    original = records.find_message(tx, contact.id, quote.shared_id, direction)
    if original is not None:
        return Quoted(original.id, direction, quote.text)
    gone = quote.shared_id is not None and expiry.is_gone(tx, contact.id, quote.shared_id)
    return Quoted(None, direction, "" if gone else quote.text, deleted=gone)


def _update_message(
    tx: sqlite3.Connection,
    contact: Contact,
    update: MessageUpdate,
    sent_at: float,
    now: float,
    sender: str | None,
) -> None:
    """Stores an edit. A contact can edit only its own messages. If we do not have the edited message, the edit is
    stored as a new message (agent-wire 6.2)."""
    # Search only among messages of this contact: ids are not secret, so otherwise a contact could change somebody
    # else's messages.
    original = lines.find_said(tx, contact.id, update.shared_id, sender)
    if original is not None and not original.deleted:
        ttl = preferences.agreement(tx, contact).ttl_of(update.ttl)
        if ttl is not None:
            expiry.shorten(tx, original.id, ttl, now)
    if original is None:
        message = TextMessage(update.text, update.shared_id, live=update.live, ttl=update.ttl, content=update.content)
        added = add_message(tx, contact, message, sent_at, now, sender)
        if added is not None and not update.live:
            changes.edit(tx, added, update.text, edited=True, live=False, content=update.content)
        return
    edit_message(tx, contact, original, update, now)


def edit_message(
    tx: sqlite3.Connection, contact: Contact, original: Message, update: MessageUpdate, now: float
) -> None:
    """Stores the new text that the author of a message has given it."""
    text, content = _edited(original, update)
    if original.deleted or (original.text, original.live) == (text, update.live):
        return
    changes.edit(tx, original.id, text, edited=not original.live, live=update.live, content=content)
    if update.live and not original.shown:
        live.hold(tx, original.id, now)
    elif original.held:
        live.release(tx, original.id)
    # An update does not count as a change if the author is still writing the live message, or if it is not shown yet.
    tell_change(tx, contact, original, events.Change.EDITED, now, counts=not (update.live or original.held))


def _edited(original: Message, update: MessageUpdate) -> tuple[str, Content]:
    """The new text of an edited message. An edit does not mention the file, so the original note about the file
    stays."""
    if not original.note or update.content.kind != original.content:
        return update.text, update.content
    words = update.text.removeprefix(update.content.note).lstrip(" ")
    return joined(original.note, words), Content(original.content, original.note, update.content.preview)


def _cancel_file(tx: sqlite3.Connection, contact: Contact, shared_id: str, now: float, sender: str | None) -> None:
    original = lines.find_said(tx, contact.id, shared_id, sender)
    if original is not None:
        withdraw_file(tx, contact, original, now)


def withdraw_file(tx: sqlite3.Connection, contact: Contact, original: Message, now: float) -> None:
    """Stores that the author of a message has withdrawn its file."""
    if not original.note or original.note.endswith(_CANCELLED):
        return
    files.cancelled(tx, original, contact)
    words = original.text.removeprefix(original.note).lstrip(" ")
    note = joined(original.note, _CANCELLED)
    content = Content(original.content, note, original.preview)
    changes.edit(tx, original.id, joined(note, words), edited=False, live=original.live, content=content)
    tell_change(tx, contact, original, events.Change.CANCELLED, now)


def _delete_message(
    tx: sqlite3.Connection, contact: Contact, shared_id: str, sent_at: float, sender: str | None
) -> None:
    original = lines.find_said(tx, contact.id, shared_id, sender)
    if original is None or original.deleted:
        return
    # Both times, of the message and of its deletion, are by the relay's clock. If the sender's clock counted, it could
    # be set back to delete old messages.
    if sent_at - original.sent_at > DELETABLE:
        log.info("a message was too old to be deleted")
        return
    take_back(tx, contact, original, whole=preferences.agreement(tx, contact).on(Feature.FULL_DELETE).by_them)


def take_back(
    tx: sqlite3.Connection,
    contact: Contact,
    original: Message,
    *,
    whole: bool,
    by: str | None = None,
    moderated: bool = False,
) -> None:
    """Deletes a message, because its author or a moderator has deleted it. The caller has checked that this author or
    moderator has the right to do so.

    Args:
        whole: Whether the message is deleted without a trace. Otherwise a mark in its place stays.
        by: The group member who deletes the message.
        moderated: Whether ``by`` deletes the message as a moderator, not as its author.
    """
    moderator = by if moderated else None
    if whole:
        changes.erase(tx, original, moderator)
    else:
        changes.delete(tx, original.id, moderator)
    # A message can be deleted only once, so deletions are never too many, and reporting them is never put off.
    changes.count(tx, original.id)
    publish(tx, events.MessageChanged(original.id, contact.alias, events.Change.DELETED, Direction.RECEIVED, by))


def _react(tx: sqlite3.Connection, contact: Contact, reaction: ReactionChange, now: float) -> None:
    # Unlike an edit, a reaction may concern a message of either side.
    original = records.find_message(tx, contact.id, reaction.shared_id)
    if original is None or original.deleted:
        return
    if not preferences.agreement(tx, contact).on(Feature.REACTIONS).by_them:
        log.info("a reaction was ignored: reactions are not allowed")
        return
    if changes.react(tx, original.id, Direction.RECEIVED, reaction.emoji, add=reaction.add):
        tell_change(tx, contact, original, events.Change.REACTION, now)


def tell_change(
    tx: sqlite3.Connection,
    contact: Contact,
    message: Message,
    change: events.Change,
    now: float,
    *,
    counts: bool = True,
    by: str | None = None,
    emoji: str | None = None,
) -> None:
    """Tells the user of a change, or puts that off if there were too many changes lately.

    Args:
        counts: Whether a message that was shown already is shown again because of this change.
        by, emoji: As in `events.MessageChanged`.
    """
    if not untold.may_tell(tx, contact.id, now):
        untold.put_off(tx, message.id, now)
        return
    untold.told(tx, message.id)
    _tell(tx, events.MessageChanged(message.id, contact.alias, change, Direction.RECEIVED, by, emoji), counts=counts)


def _tell(tx: sqlite3.Connection, event: events.MessageChanged, *, counts: bool) -> None:
    if counts:
        changes.count(tx, event.id)
    publish(tx, event)


def tell_put_off(tx: sqlite3.Connection, now: float) -> None:
    """Tells the user of the changes that `tell_change` did not report at once. Each message is reported once, however
    often it has changed."""
    for message_id in untold.due(tx, now):
        untold.told(tx, message_id)
        message = records.message(tx, message_id)
        if message is not None and not message.deleted:
            shown = message.shown and not message.live
            event = events.MessageChanged(message_id, message.contact, events.Change.SEVERAL, Direction.RECEIVED)
            _tell(tx, event, counts=shown)
