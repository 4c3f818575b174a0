"""What we send to a group: texts, replies, edits, deletions and reactions. Each of these has the same id for
all members.

`smpchat.chat.transactions.conversation` calls this module for contacts that are groups.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from smpchat.agent.context import Context
from smpchat.chat.errors import InputError, TextTooLong
from smpchat.chat.machines.group_rights import Deed, may
from smpchat.chat.machines.group_sending import scope_of
from smpchat.chat.machines.group_states import Group
from smpchat.chat.store import events, groups, member_names, memberships, profiles, records
from smpchat.chat.store.feed import publish
from smpchat.chat.store.member_names import YOU
from smpchat.chat.store.records import Contact, Direction, Message, Quoted
from smpchat.chat.transactions import changes
from smpchat.chat.transactions.changes import SentChange
from smpchat.chat.transactions.group_conversation import count_reactions, digest, groups_of
from smpchat.chat.transactions.submitting import new_id
from smpchat.chat.wire.alias import fold
from smpchat.chat.wire.bodies import MAX_JSON
from smpchat.chat.wire.content import PLAIN, Content, text_content
from smpchat.chat.wire.group_encoding import encode_group_event
from smpchat.chat.wire.group_events import Deletion, Edit, GroupEvent, Post, Reaction
from smpchat.chat.wire.group_values import Feature, GroupQuote, MemberId, Mention, Role
from smpchat.chat.wire.message import Quote, quotation
from smpchat.encoding.characters import is_blank
from smpchat.encoding.patterns import late
from smpchat.encoding.record import replace

MAX_MENTIONS = 3
"""How many members one text can mention; apps send no more (group-wire 5)."""
_MENTION = late(r"(?<!\w)@(\w[\w.-]*)")


class GroupTalk:
    """Sends messages to one group, inside one transaction."""

    def __init__(self, tx: sqlite3.Connection, context: Context, contact: Contact) -> None:
        group_id = memberships.group_number(contact.connection_id)
        assert group_id is not None
        self.tx, self._context, self.contact, self.group_id = tx, context, contact, group_id
        self._groups = groups_of(context)
        self.group: Group = self._groups.load(tx, group_id)

    def send_text(self, text: str, reply_to: Message | None = None, *, forwarded: bool = False) -> Message:
        """Stores and sends a new text of ours. Raises `InputError`."""
        if is_blank(text):
            raise InputError("The text is empty, so nothing was sent.", "Give a text, or pipe one in with `-`.")
        self._check_links(text)
        quote = None if reply_to is None else self._quotation(reply_to)
        post = Post(text_content(text), quote=quote, forwarded=forwarded, mentions=self._mentions(text))
        self.check_room(replace(post, ttl=self.group.profile.disappear_after, scope=self.scope), text)
        quoted = None
        if reply_to is not None:
            quoted = Quoted(reply_to.id, reply_to.direction, reply_to.text, sender=reply_to.sender)
        return self.post(post, text, reply_to=quoted)

    @property
    def scope(self) -> MemberId | None:
        """The scope (see `smpchat.chat`) of what we send: our own member id while we wait to be admitted, otherwise
        None."""
        return scope_of(self.group, None)

    def post(
        self,
        post: Post,
        text: str,
        *,
        content: Content = PLAIN,
        reply_to: Quoted | None = None,
        before: Callable[[int], None] = lambda _: None,
    ) -> Message:
        """Stores and sends a message of ours. If the group's profile sets a time to live for messages, the message
        disappears after this time. Raises `InputError`.

        Args:
            text: The message's text as we store it and show it to the user.
            before: Called with the message's number, before the message is sent.
        """
        shared_id = new_id(self._context)
        ttl = self.group.profile.disappear_after
        post = replace(post, ttl=ttl, scope=self.scope)
        message_id = records.insert_message(
            self.tx,
            self.contact.id,
            Direction.SENT,
            text,
            self._context.now(),
            shared_id,
            reply_to=reply_to,
            ttl=ttl,
            content=content,
            forwarded=post.forwarded,
        )
        groups.add_message(self.tx, self.group_id, message_id, self.group.own.id, shared_id, post.scope)
        before(message_id)
        self._present()
        self._groups.say(
            self.tx,
            self.group_id,
            post,
            post.scope,
            shared_id=shared_id,
            refer=lambda member: memberships.add_copy(self.tx, message_id, member),
        )
        if not memberships.copies(self.tx, message_id):
            # We are not connected to any member, so no relay or receipt will confirm the message.
            records.set_status(self.tx, message_id, records.MessageStatus.SENT)
        publish(self.tx, events.MessageAdded(message_id))
        found = records.message(self.tx, message_id)
        assert found is not None
        return found

    def say(self, event: GroupEvent, reference: int) -> None:
        """Sends an event to all members. The agent reports the status of all copies under one number, ``reference``.
        Raises `InputError`."""
        self._groups.say(self.tx, self.group_id, event, self.scope, refer=lambda _: reference)

    def tell(self, member: MemberId, event: GroupEvent, reference: int | None = None) -> None:
        """Sends an event to one member: now if we are connected to the member, otherwise as soon as we are."""
        self._groups.tell(self.tx, self.group_id, member, event, reference)

    def edit(self, original: Message, text: str) -> SentChange:
        """Edit a message of ours."""
        if is_blank(text):
            raise InputError("The text is empty, so nothing was sent.", "Give a text, or pipe one in with `-`.")
        assert original.shared_id is not None
        self._check_links(text)
        scope = self.scope
        edit = Edit(original.shared_id, text_content(text), original.ttl, mentions=self._mentions(text), scope=scope)
        self.check_room(edit, text)
        changes.edit(self.tx, original.id, text, edited=True, live=False)
        return self.change(original, edit, events.Change.EDITED)

    def retract(self, original: Message) -> SentChange:
        """Deletes a message of ours or, if our role allows it, of somebody else."""
        author, shared_id = self._author(original)
        mine = author == self.group.own.id
        if not mine and not may(Deed.MODERATE, self.group.own.role, self._role_of(author)):
            raise InputError(
                f"Message {original.id} is not yours, and you may not delete what others wrote in this group.",
                "Ask a moderator or admin of the group to delete it.",
            )
        if mine:
            changes.check_deletable(original, self._context.now())
        deletion = Deletion(shared_id, None if mine else author, self.scope)
        sent = self.change(original, deletion, events.Change.DELETED)
        whole = self.group.profile.allows(Feature.FULL_DELETE, self.group.own.role)
        changes.delete(self.tx, original.id, None if mine else YOU)
        left = records.message(self.tx, original.id)
        if whole and left is not None:
            changes.erase(self.tx, left)
        return replace(sent, message=left)

    def react(self, original: Message, emoji: str, *, add: bool) -> SentChange:
        """Adds or removes a reaction of ours."""
        if not self.group.profile.allows(Feature.REACTIONS, self.group.own.role):
            raise InputError("Nothing was sent: this group does not allow reactions.", "Reply with a text instead.")
        author, shared_id = self._author(original)
        own = self.group.own.id
        if not groups.react(self.tx, self.group_id, author, shared_id, own, emoji, add=add):
            have = "already has a" if add else "has no"
            raise InputError(f"Message {original.id} {have} {emoji} from you.", "Nothing was changed.")
        count_reactions(self.tx, self.group_id, original.id, author, shared_id)
        reaction = Reaction(shared_id, author, emoji, add, self.scope)
        return self.change(original, reaction, events.Change.REACTION)

    def change(self, original: Message, event: GroupEvent, change: events.Change) -> SentChange:
        """Send a change of a message to everybody. Raises `InputError`."""
        sent = changes.insert_sent(self.tx, original.id, self.contact.id)
        self._groups.say(self.tx, self.group_id, event, self.scope, refer=lambda _: sent.reference)
        publish(self.tx, events.MessageChanged(original.id, self.contact.alias, change, Direction.SENT))
        return replace(sent, message=records.message(self.tx, original.id))

    def _author(self, message: Message) -> tuple[MemberId, str]:
        found = groups.author_of(self.tx, message.id)
        if found is None:
            raise InputError(
                f"You cannot reply or react to message {message.id}.", "It is a notice from smpchat, not a message."
            )
        return found

    def _role_of(self, member: MemberId) -> Role | None:
        known = self.group.find(member)
        return None if known is None else known.role

    def _quotation(self, original: Message) -> GroupQuote:
        author, shared_id = self._author(original)
        sent = original.direction is Direction.SENT
        made = quotation(Quote(shared_id, sent, original.text), original.sent_at)
        return GroupQuote(author, shared_id, made["msgRef"]["sentAt"], sent, made["content"])

    def _mentions(self, text: str) -> tuple[Mention, ...]:
        names = [match.group(1) for match in _MENTION().finditer(text)]
        if not names:
            return ()
        by_name = {fold(name): member for member, name in member_names.all_of(self.tx, self.group_id).items()}
        # A full stop or hyphen at the end of a mention may belong to the sentence, not to the member's name.
        spelled = [name if fold(name) in by_name else name.rstrip(".-") for name in names]
        found = {name: by_name[fold(name)] for name in spelled if fold(name) in by_name}
        return tuple(Mention(name, MemberId(member)) for name, member in list(found.items())[:MAX_MENTIONS])

    def _check_links(self, text: str) -> None:
        """Raises `InputError` if the text contains a link that the group does not allow: the members' apps would not
        show such a message."""
        from smpchat.chat.machines.group_content import holds_link

        if holds_link(text) and not self.group.profile.allows(Feature.SIMPLEX_LINKS, self.group.own.role):
            raise InputError(
                "Nothing was sent: this group does not allow SimpleX links from you.", "Leave out the link."
            )

    def check_room(self, event: GroupEvent, text: str) -> None:
        """Raises `TextTooLong` if the event does not fit into a message."""
        size = len(encode_group_event(event, new_id(self._context)))
        if size > MAX_JSON:
            raise TextTooLong(size - MAX_JSON, max(0, len(text.encode()) - (size - MAX_JSON)))

    def _present(self) -> None:
        """Sends our current profile if the members know an older one, but not before we are in the group, and not if
        the members know us by a made-up name."""
        if self.group.own.pending or groups.incognito(self.tx, self.group_id) is not None:
            return
        conversation = self._groups.conversation
        own = conversation.profile(self.tx, self.group_id)
        told = profiles.told(self.tx, self.contact.id)
        if told is not None and told != digest(own):
            self._groups.present(self.tx, self.group_id, own)
        profiles.save_told(self.tx, self.contact.id, digest(own))
