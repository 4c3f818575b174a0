"""Hands messages over to a caller that listens for them.

A listener starts with the messages that were not *shown* yet. Then it hands over each message that arrives while it
listens, even if a `chat` has already shown that message.
"""

from __future__ import annotations

from collections.abc import Iterator

from smpchat.chat.service.reading import StoredProfile
from smpchat.chat.store import events, handling, notices, records
from smpchat.chat.store.feed_rows import KEPT_EVENTS
from smpchat.chat.store.records import Direction, Message

_REMEMBERED = 2 * KEPT_EVENTS
"""A listener remembers the last messages that it has handed over, at most this many. Otherwise, it would hand a message
over twice if a later event in the feed names the message again. Of each contact, the feed keeps half as many events."""

NOT_HANDLED_KIND = "not-handled"
NOT_HANDLED = (
    "Message {number} from {{alias}} was skipped: the program of `listen --exec` failed on it {count} times."
    " `smpchat history {{who}}` shows the message."
)


class Listener:
    """Hands each message to its caller once, and also each change that a contact makes to a message later.

    Args:
        after: The number of an event in the feed; the listener starts with the next event.
        is_durable: If this listener cannot hand over a message that arrived, the next durable listener does, even if
            another command has shown the message meanwhile.
    """

    def __init__(self, service: StoredProfile, after: int, *, is_durable: bool = False) -> None:
        self._service, self._after, self._is_durable = service, after, is_durable
        self._arrived: dict[int, None] = {}
        self._changed: dict[int, None] = {}
        self._handed: dict[int, int] = {}  # for each message: how many changes it had when it was handed over
        if is_durable:
            self._arrived = dict.fromkeys(handling.kept(service.database.connection))

    def messages(self) -> Iterator[Message]:
        """New messages, each in its current state; call `done` after each of them."""
        self._look()
        skipped = handling.skipped(self._service.database.connection) if self._is_durable else set()
        for number in sorted(self._arrived.keys() - skipped):
            message = self._service.message(number)
            if message is None:
                self._forget(number)
            elif not message.held:  # its author is still writing it, so it is handed over later
                [message] = self._service.with_commands([message])
                yield message

    def changes(self) -> Iterator[Message]:
        """Messages that contacts changed, in their current state; call `done` after each of them."""
        for message in self._service.unshown_changes():
            self._changed[message.id] = None
        for number in sorted(self._changed):
            found = self._service.message(number)
            if found is None or found.changes <= self._handed.get(number, 0):
                del self._changed[number]
            elif number not in self._arrived:  # otherwise it is handed over as a new message
                yield found

    def done(self, message: Message) -> None:
        """Notes that the caller has handled a message in its present form. Call this only after the
        handling has succeeded: for example, after the line that shows the message was written and flushed."""
        self._service.mark_shown(message.id, message.changes)
        self._forget(message.id)
        # The entry is removed and added again, so that the dict stays in the order in which messages were handed over.
        # If the dict gets too long, its oldest entry is forgotten.
        self._handed.pop(message.id, None)
        self._handed[message.id] = message.changes
        if len(self._handed) > _REMEMBERED:
            del self._handed[next(iter(self._handed))]

    def failed(self, message: Message, limit: int | None) -> bool:
        """Notes that the caller's handler failed on a message. Returns True if the handler has now failed too often on
        this message, so that the message is skipped.

        A skipped message stays unread, and its conversation shows that it was skipped.

        Args:
            limit: After this many failures, the message is skipped. If None, the message is never skipped.
        """
        with self._service.database.transaction() as tx:
            failures = handling.failed(tx, message.id)
            if limit is None or failures < limit:
                return False
            handling.skip(tx, message.id)
            contact = records.contact(tx, message.contact)
            now = self._service.now()
            notices.add(tx, contact.id, NOT_HANDLED_KIND, NOT_HANDLED.format(number=message.id, count=failures), now)
        self._arrived.pop(message.id, None)
        return True

    def _look(self) -> None:
        before = set(self._arrived)
        for message in self._service.unshown_messages():
            self._arrived[message.id] = None
        for number, event in self._service.events_after(self._after):
            self._after = number
            if isinstance(event, events.MessageAdded):
                self._add(event.id)
            elif isinstance(event, events.MessageChanged) and event.direction == Direction.RECEIVED:
                self._change(event.id)
        # The numbers of the new messages are stored before any of these messages is handed over. If this process dies,
        # the next durable listener hands the messages over, even if another command has shown them.
        if self._is_durable and (new := self._arrived.keys() - before):
            with self._service.database.transaction() as tx:
                handling.keep(tx, new)

    def _add(self, number: int) -> None:
        message = self._service.message(number)
        if message is not None and message.direction is Direction.RECEIVED and number not in self._handed:
            self._arrived[number] = None

    def _change(self, number: int) -> None:
        message = self._service.message(number)
        if message is None:
            return
        if message.changes:
            self._changed[number] = None
        elif not (message.held or message.live):  # not an edit: the author has finished writing the message
            self._add(number)

    def _forget(self, number: int) -> None:
        self._arrived.pop(number, None)
        self._changed.pop(number, None)
        if self._is_durable:  # only a durable listener may mark it as handled
            with self._service.database.transaction() as tx:
                handling.handled(tx, number)
