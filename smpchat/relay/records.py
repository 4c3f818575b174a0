"""The relay's records: queues, messages, and the interface of their store (smp-wire 7.1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from smpchat.crypto.keys import AuthPublicKey
from smpchat.encoding.record import Record, field
from smpchat.protocol.queue_mode import QueueMode


class Link(Record):
    """Short-link data of a queue; both blobs are opaque here.

    Attributes:
        fixed: Never changes while the link exists.
        user: What the recipient may replace.
    """

    link_id: bytes
    fixed: bytes = field(repr=False)
    user: bytes = field(repr=False)


class Notifier(Record):
    """A notifier, which is told that messages arrived without seeing them.

    Attributes:
        key: The key that authorises NSUB.
        dh_secret: 32 bytes shared with the recipient, for NMSG.
    """

    notifier_id: bytes
    key: AuthPublicKey
    dh_secret: bytes = field(repr=False)


class NewQueue(Record):
    """A queue about to be created.

    Attributes:
        recipient_keys: At least one; any of them authorises the recipient's commands.
        dh_secret: 32 bytes shared with the recipient, for the bodies of MSG.
        sender_key: The key that authorises SEND, or None as long as the queue is unsecured.
        mode: None for queues made with a version below 9, or without a mode.
        link: Link data that the queue is created with.
        notifier: The notifier that the queue is created with.
    """

    rcv_id: bytes
    snd_id: bytes
    recipient_keys: tuple[AuthPublicKey, ...]
    dh_secret: bytes = field(repr=False)
    sender_key: AuthPublicKey | None = None
    mode: QueueMode | None = None
    link: Link | None = None
    notifier: Notifier | None = None


class Backlog:
    """The messages that wait in a queue.

    Attributes:
        numbers: The store's numbers of these messages, a quota marker included, oldest first.
        full: Whether the last one is a quota marker.
    """

    __slots__ = ("full", "numbers")

    def __init__(self, numbers: list[int] | None = None, full: bool = False) -> None:
        self.numbers = [] if numbers is None else numbers
        self.full = full


class Queue:
    """A stored queue. Read freely; only its store changes it.

    Attributes:
        row: The store's number of the queue.
        active: False after OFF: SEND is refused.
        read_backlog: A function of the store that finds out what waits. It is used once, and only for a queue that is
            in use, so that neither the time of a start nor the relay's memory grows with the stored messages.
        link_id: The id of its link data, if it has any.
        notifier: Its notifier, if it has one.
        notifications: How many notifications wait for the notifier.
    """

    __slots__ = (
        "_backlog",
        "active",
        "dh_secret",
        "link_id",
        "mode",
        "notifications",
        "notifier",
        "rcv_id",
        "read_backlog",
        "recipient_keys",
        "row",
        "sender_key",
        "snd_id",
    )

    def __init__(
        self,
        row: int,
        rcv_id: bytes,
        snd_id: bytes,
        recipient_keys: tuple[AuthPublicKey, ...],
        dh_secret: bytes,
        sender_key: AuthPublicKey | None,
        mode: QueueMode | None,
        active: bool = True,
        link_id: bytes | None = None,
        notifier: Notifier | None = None,
        notifications: int = 0,
        read_backlog: Callable[[Queue], Backlog] = lambda queue: Backlog(),
    ) -> None:
        self.row = row
        self.rcv_id = rcv_id
        self.snd_id = snd_id
        self.recipient_keys = recipient_keys
        self.dh_secret = dh_secret
        self.sender_key = sender_key
        self.mode = mode
        self.active = active
        self.link_id = link_id
        self.notifier = notifier
        self.notifications = notifications
        self.read_backlog = read_backlog
        self._backlog: Backlog | None = None

    @property
    def backlog(self) -> Backlog:
        """What waits. Raises `RelayStoreError`."""
        if self._backlog is None:
            self._backlog = self.read_backlog(self)
        return self._backlog

    @property
    def size(self) -> int:
        """The number of waiting messages, a quota marker included. Raises `RelayStoreError`."""
        return len(self.backlog.numbers)

    @property
    def full(self) -> bool:
        """Whether there is a quota marker, so that nothing is accepted until the queue is empty. Raises
        `RelayStoreError`."""
        return self.backlog.full


class StoredMessage(Record):
    """A message as the sender sent it, or a quota marker.

    Attributes:
        msg_id: 24 random bytes, also the nonce towards the recipient.
        timestamp: When the relay accepted it, in Unix seconds.
        notification: The sender's notification flag.
        body: The body of SEND, or None for the quota marker.
    """

    msg_id: bytes
    timestamp: int
    notification: bool
    body: bytes | None = field(repr=False)


class QueueStore(Protocol):
    """Queues and messages. Changes are visible at once, and permanent when `commit` has returned.

    Every method raises `RelayStoreError` when the storage fails; the caller then rolls back.
    """

    @property
    def has_room(self) -> bool:
        """Whether more may be stored."""
        ...

    def by_recipient(self, rcv_id: bytes) -> Queue | None:
        """The queue with this recipient id."""
        ...

    def by_sender(self, snd_id: bytes) -> Queue | None:
        """The queue with this sender id."""
        ...

    def by_link(self, link_id: bytes) -> Queue | None:
        """The queue whose link data has this id."""
        ...

    def by_notifier(self, notifier_id: bytes) -> Queue | None:
        """The queue with this notifier."""
        ...

    def create(self, new: NewQueue) -> Queue:
        """Stores a queue; none of its ids may be in use."""
        ...

    def secure(self, queue: Queue, sender_key: AuthPublicKey) -> None:
        """Gives an unsecured queue its sender key."""
        ...

    def set_recipient_keys(self, queue: Queue, keys: tuple[AuthPublicKey, ...]) -> None:
        """Replaces the keys that authorise the recipient; at least one."""
        ...

    def suspend(self, queue: Queue) -> None:
        """Makes a queue refuse messages."""
        ...

    def delete(self, queue: Queue) -> None:
        """Removes a queue and its messages."""
        ...

    def link(self, queue: Queue) -> Link | None:
        """The queue's link data."""
        ...

    def set_link(self, queue: Queue, link: Link) -> None:
        """Gives a queue link data, in place of any it has; the id may not be another queue's."""
        ...

    def delete_link(self, queue: Queue) -> None:
        """Removes the queue's link data, if it has any."""
        ...

    def set_notifier(self, queue: Queue, notifier: Notifier) -> None:
        """Gives a queue a notifier. An earlier one is replaced, and its notifications are deleted. The id must not be
        in use."""
        ...

    def delete_notifier(self, queue: Queue) -> None:
        """Removes the queue's notifier and its notifications, if it has one."""
        ...

    def add_notification(self, queue: Queue, msg_id: bytes, timestamp: int, *, keep: int) -> None:
        """Notes a message for the notifier that the queue has; if there are more than ``keep``, the oldest is
        deleted."""
        ...

    def take_notifications(self, queue: Queue, limit: int) -> list[tuple[bytes, int]]:
        """Removes at most ``limit`` notifications, oldest first: id and Unix seconds of each message."""
        ...

    def append(self, queue: Queue, message: StoredMessage) -> None:
        """Adds a message at the end of the queue; a quota marker makes the queue full."""
        ...

    def head(self, queue: Queue) -> StoredMessage | None:
        """The oldest message, left in place."""
        ...

    def delete_head(self, queue: Queue, msg_id: bytes) -> bool:
        """Removes the oldest message if it has this id; returns whether it did."""
        ...

    def commit(self) -> None:
        """Makes everything since the last commit durable, against power loss too."""
        ...

    def rollback(self) -> None:
        """Forgets everything since the last commit. Earlier `Queue` values must not be used any more."""
        ...
