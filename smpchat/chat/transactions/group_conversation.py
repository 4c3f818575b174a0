"""Stores what users see of a group: its messages, and lines about its events. `smpchat.chat.transactions.groups` calls
this module inside its own transactions.

A conversation belongs to a contact, so there is also a contact for each group. The ``connection_id`` of this contact is
the negative number of the group (`smpchat.chat.store.memberships`). With each message of a member, the member's name is
stored. Events of the group become lines between the messages.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

from smpchat.agent.context import Context
from smpchat.chat.machines import group_effects as effects
from smpchat.chat.machines.group_effects import Effect, Hidden, News
from smpchat.chat.store import (
    events,
    expiry,
    groups,
    incognito,
    lines,
    live,
    member_names,
    memberships,
    names,
    profiles,
    records,
)
from smpchat.chat.store import files as message_files
from smpchat.chat.store.feed import publish
from smpchat.chat.store.member_names import YOU
from smpchat.chat.store.records import Contact, Direction, Message, Quoted
from smpchat.chat.transactions import changes, files, hearing, naming
from smpchat.chat.transactions.groups import GroupTransactions
from smpchat.chat.wire.content import GROUP_EVENT, short_name
from smpchat.chat.wire.files import DescriptionPart, read_description
from smpchat.chat.wire.group_events import FileDescribed, FileWithdrawn, Post, said
from smpchat.chat.wire.group_values import GroupProfile, GroupQuote, MemberId, Role
from smpchat.chat.wire.happenings import Happening
from smpchat.chat.wire.message import MessageUpdate, TextMessage
from smpchat.chat.wire.profile import Profile

MAX_LINES = 60
"""The most lines about events that one group gets in an hour. The number is limited, because each line is shown, and
any admin can cause many lines."""
_TOO_MUCH = Happening(
    "[too much happens in this group to show all of it: `smpchat group members` lists the members]", GROUP_EVENT
)
"""This line comes after `MAX_LINES` lines within an hour. For an hour, it stands for all further events."""


class GroupConversation:
    """The conversations of all groups of a profile."""

    def __init__(self, own_profile: Callable[[sqlite3.Connection], Profile], now: Callable[[], float]) -> None:
        self._own_profile = own_profile
        self._now = now

    def profile(self, tx: sqlite3.Connection, group_id: int | None) -> Profile:
        """The profile of ours that the members of a group see: our own, or one with a made-up name. If ``group_id`` is
        None, our own profile."""
        made = None if group_id is None else groups.incognito(tx, group_id)
        return self._own_profile(tx) if made is None else Profile(made)

    def begun(self, tx: sqlite3.Connection, group_id: int, connection_id: int) -> None:
        """Begins the conversation of a group: decides which contact stands for the group. If we used the group's link,
        this is the contact that was made for the link. If a contact invited us, a new contact is made."""
        group = groups.load(tx, group_id)
        assert group is not None
        contact = records.contact_of(tx, connection_id)
        if contact is None:
            contact = self._new_contact(tx, group_id, naming.free_alias(tx, group.profile.name))
        else:
            groups.save_incognito(tx, group_id, incognito.name(tx, connection_id))
            memberships.become_group(tx, contact.id, group_id)
            if contact.provisional:
                names.rename(tx, contact.id, naming.free_alias(tx, group.profile.name, contact.id))
            names.confirm(tx, contact.id)
        if group.business is not None:
            records.mark_business(tx, contact.id)
            self._line(tx, contact, "several people there may read your messages and answer you")
        for message_id, shared_id in lines.own_ids(tx, contact.id):  # our messages to a business before it answered
            groups.add_message(tx, group_id, message_id, group.own.id, shared_id)
        self._attach(tx, group_id, contact, group.profile)

    def founded(self, tx: sqlite3.Connection, group_id: int, alias: str | None = None) -> str:
        """Begins the conversation of a group that we have created, with a new contact that stands for the group.
        Returns the alias of this contact: ``alias``, or if that is None, an alias made from the group's name."""
        group = groups.load(tx, group_id)
        assert group is not None
        contact = self._new_contact(tx, group_id, alias or naming.free_alias(tx, group.profile.name))
        self._attach(tx, group_id, contact, group.profile)
        return contact.alias

    @staticmethod
    def _new_contact(tx: sqlite3.Connection, group_id: int, alias: str) -> Contact:
        records.insert_contact(tx, -group_id, alias, confirmed=True)
        return records.contact(tx, alias)

    def _attach(self, tx: sqlite3.Connection, group_id: int, contact: Contact, profile: GroupProfile) -> None:
        """Stores that this contact stands for the group, and which profile of ours the members see. Publishes the event
        `events.ContactChanged`."""
        groups.attach(tx, group_id, contact.id)
        self._save_profile(tx, contact.id, profile)
        profiles.save_told(tx, contact.id, digest(self.profile(tx, group_id)))
        publish(tx, events.ContactChanged(self._contact(tx, group_id).alias))

    def perform(self, tx: sqlite3.Connection, group_id: int, effect: Effect) -> None:
        """Stores what an effect of the group's state machine changes in the conversation."""
        match effect:
            case effects.SaveProfile(member, who):
                groups.save_profile(tx, group_id, member, who)
                return
            case effects.KeepDeletion(author, shared_id, by):
                groups.keep_deletion(tx, group_id, author, shared_id, by)
                return
            case effects.Forget():
                return  # the member's record was deleted before; the member's messages stay
        contact = self._contact(tx, group_id)
        match effect:
            case effects.Show():
                self._show(tx, group_id, contact, effect)
            case effects.Prove(author, shared_id, post):
                self._prove(tx, group_id, author, shared_id, post)
            case effects.Change():
                self._change(tx, group_id, contact, effect)
            case effects.Remove(author, shared_id, by, whole):
                found = groups.find_message(tx, group_id, author, shared_id)
                self._remove(tx, contact, found, self._name(tx, group_id, by), by != author, whole)
            case effects.RemoveAll(author, by, whole):
                for message_id in groups.messages_of(tx, group_id, author):
                    self._remove(tx, contact, message_id, self._name(tx, group_id, by), by != author, whole)
            case effects.React():
                self._react(tx, group_id, contact, effect)
            case effects.FileEvent(author, event):
                self._file(tx, group_id, contact, author, event)
            case effects.SaveGroup(profile):
                self._save_profile(tx, contact.id, profile)
                publish(tx, events.ContactChanged(contact.alias))
            case effects.Tell():
                self._tell(tx, group_id, contact, effect)
            case effects.DirectOffer(member, link):
                name = member_names.name(tx, group_id, member)
                self._line(tx, contact, f"{short_name(name)} invites you to write privately, with this link: {link}")

    # -- messages of members -------------------------------------------------------------------------------------------

    def _show(self, tx: sqlite3.Connection, group_id: int, contact: Contact, show: effects.Show) -> None:
        if show.hidden is Hidden.BLOCKED:
            return
        own = groups.own_id(tx, group_id)
        if show.scope is not None and show.scope != own:
            # Messages to moderators must not appear among messages that all members can read.
            who = short_name(member_names.name(tx, group_id, show.author))
            self._line(tx, contact, f"{who} wrote to the moderators: smpchat cannot show such messages yet")
            return
        message = said(show.post, show.shared_id)
        if message is None:
            return
        sender = member_names.name(tx, group_id, show.author)
        if show.hidden is Hidden.FEATURE:
            self._line(tx, contact, f"{short_name(sender)} sent something that this group does not allow")
            return
        message_id = records.insert_message(
            tx,
            contact.id,
            Direction.SENT if show.author == own else Direction.RECEIVED,
            message.text,
            show.said_at,
            show.shared_id,
            reply_to=self._quoted(tx, group_id, show.post.quote, message),
            live=message.live,
            ttl=show.ttl,
            content=message.content,
            sender=None if show.author == own else sender,
            forwarded=message.forwarded,
        )
        if show.author == own:  # a message of ours in the history: we were in the group before
            records.set_status(tx, message_id, records.MessageStatus.SENT)
        if show.shared_id is not None:
            groups.add_message(tx, group_id, message_id, show.author, show.shared_id, show.scope, show.forwarder)
            count_reactions(tx, group_id, message_id, show.author, show.shared_id)
        if message.file is not None and show.author != own:
            message_files.offer(tx, message_id, message.file, show.said_at)
        if show.hidden is Hidden.MODERATED:
            by = None if show.by in (None, show.author) else self._name(tx, group_id, show.by)
            changes.delete(tx, message_id, by)
        elif message.live:
            live.hold(tx, message_id, self._now())
        publish(tx, events.MessageAdded(message_id))

    def _quoted(
        self, tx: sqlite3.Connection, group_id: int, quote: GroupQuote | None, message: TextMessage
    ) -> Quoted | None:
        """The message that a reply quotes. If we have the quoted message, the text in our store is shown, not the text
        in the quote."""
        if quote is None or message.quote is None:
            return None
        if quote.author is None:
            return Quoted(None, Direction.RECEIVED, message.quote.text)
        own = quote.author == groups.own_id(tx, group_id)
        direction = Direction.SENT if own else Direction.RECEIVED
        sender = None if own else member_names.name(tx, group_id, quote.author)
        original = None
        if quote.shared_id is not None:
            original = groups.find_message(tx, group_id, quote.author, quote.shared_id)
            if original is None and groups.is_gone(tx, group_id, quote.author, quote.shared_id):
                return Quoted(None, direction, "", deleted=True, sender=sender)
        return Quoted(original, direction, message.quote.text, sender=sender)

    def _prove(self, tx: sqlite3.Connection, group_id: int, author: MemberId, shared_id: str, post: Post) -> None:
        message = self._message(tx, group_id, author, shared_id)
        if message is None:
            return
        groups.proven(tx, message.id)
        own = said(post, shared_id)
        # If the author has edited the message meanwhile, the text of the edit stays. The edit is newer than both copies
        # of the message: the one that was passed on, and the author's own.
        if own is None or message.edited or message.deleted or own.text == message.text:
            return
        changes.edit(tx, message.id, own.text, edited=False, live=message.live, content=own.content)
        changes.count(tx, message.id)
        publish(tx, events.MessageChanged(message.id, message.contact, events.Change.EDITED, Direction.RECEIVED))

    def _change(self, tx: sqlite3.Connection, group_id: int, contact: Contact, change: effects.Change) -> None:
        edit = change.edit
        original = self._message(tx, group_id, change.author, edit.original)
        text = said(Post(edit.content), edit.original)
        if original is None or text is None:
            return
        if change.ttl is not None:
            expiry.shorten(tx, original.id, change.ttl, self._now())
        update = MessageUpdate(edit.original, text.text, edit.live, content=text.content)
        hearing.edit_message(tx, contact, original, update, self._now())

    def _remove(
        self, tx: sqlite3.Connection, contact: Contact, message_id: int | None, by: str, moderated: bool, whole: bool
    ) -> None:
        message = None if message_id is None else records.message(tx, message_id)
        if message is None or message.deleted:
            return
        hearing.take_back(tx, contact, message, whole=whole, by=by, moderated=moderated)

    def _react(self, tx: sqlite3.Connection, group_id: int, contact: Contact, react: effects.React) -> None:
        author, shared_id, emoji, add = react.author, react.shared_id, react.emoji, react.add
        if not groups.react(tx, group_id, author, shared_id, react.by, emoji, add=add):
            return
        message = self._message(tx, group_id, author, shared_id)
        if message is None or message.deleted:
            return
        count_reactions(tx, group_id, message.id, author, shared_id)
        by, now = self._name(tx, group_id, react.by), self._now()
        change = events.Change.REACTION
        hearing.tell_change(tx, contact, message, change, now, by=by, emoji=emoji if add else None)

    def _file(self, tx: sqlite3.Connection, group_id: int, contact: Contact, author: MemberId, event: object) -> None:
        match event:
            case FileDescribed(original, part):
                description = read_description(part)
                if description is not None and description.number > 0:
                    said_of = DescriptionPart(original, description)
                    files.part_of(tx, contact, self._message(tx, group_id, author, original), said_of)
            case FileWithdrawn(original):
                message = self._message(tx, group_id, author, original)
                if message is not None:
                    hearing.withdraw_file(tx, contact, message, self._now())

    @staticmethod
    def _name(tx: sqlite3.Connection, group_id: int, member: MemberId) -> str:
        return YOU if member == groups.own_id(tx, group_id) else member_names.name(tx, group_id, member)

    def _message(self, tx: sqlite3.Connection, group_id: int, author: MemberId, shared_id: str) -> Message | None:
        message_id = groups.find_message(tx, group_id, author, shared_id)
        return None if message_id is None else records.message(tx, message_id)

    # -- events of the group -------------------------------------------------------------------------------------------

    def _contact(self, tx: sqlite3.Connection, group_id: int) -> Contact:
        contact = records.contact_of(tx, -group_id)
        assert contact is not None
        return contact

    def _save_profile(self, tx: sqlite3.Connection, contact_id: int, profile: GroupProfile) -> None:
        known_as = Profile.from_wire({name: profile.value.get(name) for name in ("displayName", "fullName", "image")})
        if known_as is not None:
            profiles.save(tx, contact_id, known_as)
            records.mark_profile_shown(tx, contact_id)

    def _tell(self, tx: sqlite3.Connection, group_id: int, contact: Contact, tell: effects.Tell) -> None:
        publish(tx, events.ContactChanged(contact.alias))
        text = _sentence(
            tell,
            lambda member: self._name(tx, group_id, member),
        )
        if text is not None:
            self._line(tx, contact, text)

    def _line(self, tx: sqlite3.Connection, contact: Contact, text: str) -> None:
        line = Happening(f"[{text}]", GROUP_EVENT)
        hearing.add_limited_line(tx, contact, line, self._now(), most=MAX_LINES, too_many=_TOO_MUCH)


def groups_of(context: Context) -> GroupTransactions:
    """The `GroupTransactions` of this process. They are an attribute of the agent's application, which here is always a
    `ChatApplication`."""
    application: Any = context.application
    found: GroupTransactions = application.groups
    return found


def digest(profile: Profile) -> bytes:
    """A digest of the parts of our profile that are sent to a group when they change (group-wire 12, fact 4)."""
    import hashlib

    told = (profile.display_name, profile.full_name, profile.picture or "")
    return hashlib.sha256("\0".join(told).encode()).digest()


def count_reactions(tx: sqlite3.Connection, group_id: int, message_id: int, author: MemberId, shared_id: str) -> None:
    """Updates the number of members who have reacted to a message with each emoji."""
    own = groups.own_id(tx, group_id)
    counted: dict[tuple[Direction, str], int] = {}
    for by, emoji in groups.reactions(tx, group_id, author, shared_id):
        key = (Direction.SENT if by == own else Direction.RECEIVED, emoji)
        counted[key] = counted.get(key, 0) + 1
    changes.set_reactions(tx, message_id, counted)


def _sentence(tell: effects.Tell, name: Callable[[MemberId], str]) -> str | None:
    """The text of the conversation's line about an event in the group. None: the conversation gets no line, and only
    `group members` shows what has changed."""
    who = "" if tell.member is None else short_name(name(tell.member))
    by = "" if tell.by is None else short_name(name(tell.by))
    match tell.news:
        case News.JOINED:
            return "you joined the group"
        case News.ACCEPTED:
            return "you were let into the group"
        case News.PENDING:
            return "you are waiting to be let into the group: until then, only its host can read your messages"
        case News.REVIEW:
            return "you are waiting to be let into the group: until then, only its moderators can read your messages"
        case News.MEMBER_JOINED:
            return f"{who} joined"
        case News.MEMBER_REVIEWED:
            return f"{who} wants to join, and waits for a moderator: `smpchat group accept` lets them in"
        case News.MEMBER_ACCEPTED:
            return f"{who} was let in"
        case News.MEMBER_CONNECTED:
            return None
        case News.MEMBER_LEFT:
            return f"{who} left"
        case News.MEMBER_REMOVED:
            return f"{by} removed {who}" if by else f"{who} was removed"
        case News.MEMBER_BLOCKED:
            return f"{by} blocked {who} for everybody: messages from {who} are not shown"
        case News.MEMBER_UNBLOCKED:
            return f"{by} unblocked {who}"
        case News.ROLE:
            return f"{by} gave {who} the role {_role(tell.role)}"
        case News.RENAMED:
            return f"{short_name(tell.before or '')} is now called {who}"
        case News.CHANGED:
            return f"{by} changed the group's name, picture, texts or rules"
        case News.REMOVED:
            return f"{by} removed you from the group" if by else "you were removed from the group"
        case News.DELETED:
            return f"{by} deleted the group" if by else "the group was deleted"
        case News.CROWDED:
            return "this group has more members than smpchat can keep, so some are missing here"


def _role(role: Role | None) -> str:
    return "" if role is None else role.word
