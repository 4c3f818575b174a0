"""Messages of a stored profile, and their status."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress

from smpchat.agent.errors import StoreError, StoreNotWritable
from smpchat.agent.store import clock
from smpchat.agent.store.database import Database
from smpchat.chat.store import (
    contact_settings,
    events,
    expiry,
    files,
    leftovers,
    lines,
    live,
    notices,
    profiles,
    records,
    searching,
    untold,
)
from smpchat.chat.store.feed import publish
from smpchat.chat.store.notices import StoredNotice
from smpchat.chat.store.records import Contact, Direction, Message, MessageStatus
from smpchat.chat.store.searching import IndexDamaged, Selection
from smpchat.chat.transactions import changes
from smpchat.chat.transactions.changes import SentChange
from smpchat.chat.wire.bots import BotCommand, called
from smpchat.chat.wire.folding import words_of
from smpchat.encoding.record import Record, replace

_NO_LIMIT = 2**63 - 1
"""The largest number that SQLite can store. If the user asks for even more messages, this number is used instead."""


class Found(Record):
    """A page of messages, oldest first; ``more``: whether there are earlier messages."""

    messages: list[Message]
    more: bool


class StoredMessages:
    """The part of a profile that reads messages, and notes which of them were shown.

    Methods that return messages work even if the store cannot be written. Changes that these methods also make in the
    store, such as deleting disappearing messages, are then made later.
    """

    __slots__ = ()
    database: Database
    now: Callable[[], float]

    @property
    def _tx(self) -> sqlite3.Connection:
        return self.database.connection

    def expire(self) -> None:
        """Deletes disappearing messages whose time is over, so that nobody can read them any more.

        Most methods that read messages call `expire` first. `smpchat.chat.online.presence` calls `expire`, too, so that
        messages disappear even while nobody reads any.
        """
        due = expiry.next_due(self._tx)
        # Checked before a transaction begins: this runs each time messages are read, and a commit waits for the disk.
        if due is None or due > self.now() or clock.is_held(self._tx, self.now()):
            return
        with suppress(StoreNotWritable), self.database.transaction() as tx:
            for gone in expiry.take_due(tx, self.now()):
                publish(tx, events.MessageExpired(gone.id, gone.contact))

    def note_clock(self) -> None:
        """Stores the present time every now and then, and compares it with the time that was stored last. If the clock
        has jumped, logs a warning; for one day, nothing is then deleted because of its age."""
        now = self.now()
        if not clock.is_due(self._tx, now):
            return
        with self.database.transaction() as tx:
            leapt = clock.note(tx, now)
        if leapt:
            import logging  # costs 5 ms, so only a process that logs something loads it

            logging.getLogger("smpchat.chat").warning(
                "the clock jumped, or smpchat did not run for a long time: for one day, nothing is deleted for its age"
            )

    def receipts(self) -> bool:
        """The setting for all contacts: whether they are told that their messages arrived. The user can set something
        else for one contact alone."""
        return contact_settings.receipts_of_all(self._tx) == contact_settings.ON

    def remove_leftovers(self) -> None:
        """Removes unencrypted files beside the store that reveal its content. In a profile that is not encrypted,
        pictures (QR codes) of links that can still be used are kept.

        The files are removed whenever the profile is opened, and whenever `smpchat.chat.online.presence` notices a
        change in the store.
        """
        leftovers.remove(self.database)

    def next_expiry(self) -> float | None:
        """When `expire` or `give_up_waiting` next has something to do, in POSIX seconds; None if neither has. At that
        time, a message disappears, an unfinished message counts as finished, or a change that was put off is
        announced."""
        due = None if clock.is_held(self._tx, self.now()) else expiry.next_due(self._tx)
        return min(filter(None, (due, live.next_abandoned(self._tx), untold.next_due(self._tx))), default=None)

    def change(self, change_id: int) -> SentChange | None:
        """An edit, deletion or reaction of ours; None if its contact was deleted meanwhile, or it is so old that it is
        no longer kept."""
        return changes.sent(self._tx, change_id)

    def fate_of_change(self, change_id: int) -> tuple[MessageStatus, str | None]:
        """The status of an edit, deletion or reaction of ours, and why it has that status."""
        change = self.change(change_id)
        return (MessageStatus.FAILED, "You deleted this contact.") if change is None else (change.status, change.reason)

    def fate(self, message: Message) -> tuple[MessageStatus, str | None]:
        """The status of a message of ours, and why it has that status. A message that has disappeared counts as
        sent."""
        found = self.message(message.id)
        if found is not None:
            return found.status, found.reason
        if message.ttl is not None:
            return MessageStatus.SENT, None
        return MessageStatus.FAILED, "You deleted this contact."

    def message(self, message_id: int) -> Message | None:
        """One message; None if it has disappeared, or its contact was deleted."""
        self.expire()
        return records.message(self._tx, message_id)

    def history(self, who: str, limit: int = 50, search: str | None = None) -> list[Message]:
        """The last messages of a conversation, oldest first. ``search``: only messages that contain all these words.

        Raises:
            UnknownContact: No contact under that name.
        """
        return self.find(search or "", who, limit=limit).messages

    def find(
        self,
        text: str = "",
        who: str | None = None,
        *,
        since: float | None = None,
        until: float | None = None,
        before: int | None = None,
        limit: int = 50,
    ) -> Found:
        """The last messages that contain every word of a text, in any order and also as parts of words.

        Args:
            who: The contact whose conversation is searched. If None, all conversations are searched.
            since: Find only messages sent at this time or later, in POSIX seconds.
            until: Find only messages sent before this time, in POSIX seconds.
            before: Find only messages whose numbers are smaller than this number. Used to get the next page, with older
                messages.
        Raises:
            UnknownContact: No contact under that name.
        """
        self.expire()
        contact_id = None if who is None else records.contact(self._tx, who).id
        if before is not None:
            before = min(before, _NO_LIMIT)
        words = words_of(text)
        selection = Selection(words, contact_id, since, until, before)
        limit = min(limit, _NO_LIMIT - 1)
        try:
            if words:
                self._index()
            numbers = searching.find(self._tx, selection, limit + 1)
        except IndexDamaged:
            with suppress(StoreNotWritable), self.database.transaction() as tx:
                searching.drop(tx)
            numbers = searching.find(self._tx, selection, limit + 1, indexed=False)
        return Found(records.load(self._tx, numbers[limit - 1 :: -1] if limit else []), len(numbers) > limit)

    def _index(self) -> None:
        """Adds messages to the search index if many are missing from it. A search reads the missing messages one by
        one."""
        if not searching.is_due(self._tx):
            return
        # If the store cannot be written, or the installed SQLite cannot make an FTS5 trigram index, the index stays as
        # it is.
        with suppress(StoreError), self.database.transaction() as tx:
            searching.index(tx)

    def files(self, who: str | None = None, limit: int = 50) -> list[Message]:
        """The last messages with files, in one conversation or in all, oldest first. Raises `UnknownContact`."""
        self.expire()
        contact_id = None if who is None else records.contact(self._tx, who).id
        return records.load(self._tx, files.numbers(self._tx, contact_id, min(limit, _NO_LIMIT)))

    def moving_files(self, who: str) -> list[Message]:
        """The messages in a conversation that have a file in transfer, oldest first. Raises `UnknownContact`."""
        return records.load(self._tx, files.moving(self._tx, records.contact(self._tx, who).id))

    def own_texts(self, who: str, limit: int) -> list[tuple[int, str]]:
        """Numbers and texts of the last messages that the user wrote to a contact, newest first, so that the user can
        choose one to edit.

        Disappearing, deleted and forwarded messages are left out. Raises `UnknownContact`.
        """
        return lines.own_texts(self._tx, records.contact(self._tx, who).id, limit)

    def last_of(self, who: str, direction: Direction) -> Message | None:
        """The newest message of a conversation in one direction (sent or received) that can be answered or changed.
        Raises `UnknownContact`."""
        self.expire()
        return lines.last_of(self._tx, records.contact(self._tx, who).id, direction)

    def earlier(self, who: str, before: int, limit: int) -> list[Message]:
        """The messages of a conversation directly before message number ``before``, at most ``limit``, oldest first."""
        self.expire()
        return records.page(self._tx, records.contact(self._tx, who).id, before, limit, later=False)

    def later(self, who: str, after: int, limit: int) -> list[Message]:
        """The messages of a conversation directly after message number ``after``, at most ``limit``, oldest first."""
        self.expire()
        return records.page(self._tx, records.contact(self._tx, who).id, after, limit, later=True)

    def count_earlier(self, who: str, before: int) -> int:
        """How many messages a conversation has before message number ``before``."""
        return lines.count_earlier(self._tx, records.contact(self._tx, who).id, before)

    def skip_unread(self, who: str, before: int) -> None:
        """Marks the unread messages before number ``before`` as read, although they were not printed: the user was only
        told how many there are.

        If a skipped message is a disappearing one, its time does not start yet: it starts when the message is shown.
        """
        with self.database.transaction() as tx:
            lines.skip_unread(tx, records.contact(tx, who).id, before)

    def were_read(self, messages: Sequence[Message]) -> None:
        """Starts the time of received disappearing messages: when the time is over, they are deleted. Called after a
        command has shown ``messages`` without marking them as read."""
        waiting = [message.id for message in messages if _waits_to_be_shown(message)]
        if waiting:
            with suppress(StoreNotWritable), self.database.transaction() as tx:
                for message_id in waiting:
                    expiry.start(tx, message_id, self.now())

    def being_written(self, who: str) -> list[Message]:
        """The unfinished messages that a contact is writing at this moment. Until a message is finished, it does not
        count as unread, and `listen` does not print it."""
        self.give_up_waiting()
        return live.being_written(self._tx, records.contact(self._tx, who).id)

    def give_up_waiting(self) -> None:
        """Treats live messages, whose authors are still writing them, as finished if they were not changed for a while.
        Every method that lists new messages calls `give_up_waiting` first.

        This method also announces the changes that were put off because a contact changed messages too often in a short
        time.
        """
        if not live.abandoned(self._tx, self.now()) and not untold.due(self._tx, self.now()):
            return
        from smpchat.chat.transactions import hearing  # rarely needed

        with suppress(StoreNotWritable), self.database.transaction() as tx:
            # The unfinished messages are looked up again inside the transaction: another process may have announced
            # some of them meanwhile, and each must be announced only once.
            for message_id in live.abandoned(tx, self.now()):
                live.release(tx, message_id)
                publish(tx, events.MessageAdded(message_id))
            hearing.tell_put_off(tx, self.now())

    def unshown_messages(self) -> list[Message]:
        """Received, finished messages that neither `listen` nor `chat` has shown."""
        self.expire()
        self.give_up_waiting()
        return self.with_commands(records.messages_to_show(self._tx))

    def with_commands(self, messages: list[Message]) -> list[Message]:
        """Returns these received messages. If our profile is a bot, each message that calls a command of the bot gets
        the command's name and arguments."""
        own = profiles.own(self._tx) if messages else None
        if own is None or not own.bot:
            return messages
        return [_calling(message, own.commands) for message in messages]

    def unshown_changes(self) -> list[Message]:
        """Messages that the contact has edited, deleted or reacted to since they were shown."""
        self.expire()
        return records.changes_to_show(self._tx)

    def mark_shown(self, message_id: int, changes: int | None = None) -> None:
        """Notes that a message was shown. Called after the line that shows the message was written and flushed.
        ``changes``: how many of the message's changes the line includes; None: all."""
        with self.database.transaction() as tx:
            self._mark_shown(tx, message_id, changes)

    def mark_all_shown(self, messages: Sequence[Message]) -> None:
        """Notes that these messages were shown in their present form. Called after the lines that show the messages
        were written and flushed."""
        with self.database.transaction() as tx:
            for message in messages:
                self._mark_shown(tx, message.id, message.changes)

    def _mark_shown(self, tx: sqlite3.Connection, message_id: int, changes: int | None) -> None:
        records.mark_shown(tx, message_id, changes)
        expiry.start(tx, message_id, self.now())
        expiry.sweep(tx, message_id)

    def unshown_contacts(self) -> list[Contact]:
        """Contacts whose profile was not shown yet."""
        return records.contacts_to_show(self._tx)

    def mark_profiles_shown(self, *contact_ids: int) -> None:
        """Notes that the profiles of these contacts were shown. One transaction is used for all contacts, because each
        transaction waits for the disk."""
        with self.database.transaction() as tx:
            for contact_id in contact_ids:
                records.mark_profile_shown(tx, contact_id)

    def notices(self, who: str, since: float = 0) -> list[StoredNotice]:
        """Notices about a contact since the given time, in POSIX seconds, oldest first. Raises `UnknownContact`."""
        return notices.of_contact(self._tx, records.contact(self._tx, who).id, since)

    def unshown_notices(self) -> list[StoredNotice]:
        """The notices about contacts, without those that were already shown."""
        return notices.to_show(self._tx)

    def mark_notices_shown(self, *numbers: int) -> None:
        """Notes that notices were shown. Called after the lines that show the notices were written and
        flushed."""
        with self.database.transaction() as tx:
            for number in numbers:
                notices.mark_shown(tx, number)


def _waits_to_be_shown(message: Message) -> bool:
    return message.ttl is not None and message.expires_at is None and message.direction is Direction.RECEIVED


def _calling(message: Message, offered: Sequence[BotCommand]) -> Message:
    """The message. If it calls a command of our bot, it gets the command's name and arguments."""
    call = called(message.text, offered) if not message.note and message.sender is None else None
    return replace(message, command=call.keyword, arguments=call.arguments) if call is not None else message
