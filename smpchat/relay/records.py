"""The relay's records of queues and messages, and the interface of their store (smp-wire 7.1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from smpchat.crypto.keys import AuthPublicKey
from smpchat.encoding.record import Record, field
from smpchat.protocol.queue_mode import QueueMode


class Link(Record):
    """The data of a queue's short link. The relay stores this data, but does not interpret it.

    Attributes:
        fixed: Data that never changes while the link exists.
        user: Data that the recipient may replace.
    """

    link_id: bytes
    fixed: bytes = field(repr=False)
    user: bytes = field(repr=False)


class Notifier(Record):
    """A queue's notifier: an id and a key with which a client learns that messages arrived, but cannot read them.

    Attributes:
        key: The key that authorises NSUB.
        dh_secret: Secret of 32 bytes, shared with the recipient, for encrypting NMSG.
    """

    notifier_id: bytes
    key: AuthPublicKey
    dh_secret: bytes = field(repr=False)


class NewQueue(Record):
    """A queue that will be created.

    Attributes:
        recipient_keys: At least one key. Each of them alone can authorise the recipient's commands.
        dh_secret: Secret of 32 bytes, shared with the recipient, for encrypting MSG.
        sender_key: The key that authorises SEND; None while the queue is unsecured.
        mode: The queue mode in NEW; None if NEW contained no mode, as before SMP version 9.
        link: Link data of the new queue; None if the queue has none.
        notifier: Notifier of the new queue; None if the queue has none.
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
        numbers: The numbers that the store gave the waiting messages, oldest first. A quota marker has a number too,
            and is always the last message.
        full: Whether the last message is a quota marker.
    """

    __slots__ = ("full", "numbers")

    def __init__(self, numbers: list[int] | None = None, full: bool = False) -> None:
        self.numbers = [] if numbers is None else numbers
        self.full = full


class Queue:
    """A stored queue. Only the store may change this object.

    Attributes:
        row: The number that the store gave the queue.
        active: False after OFF; the relay then refuses SEND to this queue.
        read_backlog: Function that reads the list of waiting messages from the store. It is called only once, when the
            list is first needed. So stored messages do not slow down the relay's start, and the lists of unused queues
            need no memory.
        link_id: The id of the queue's link data; None if the queue has no link data.
        notifier: The queue's notifier; None if the queue has none.
        notifications: The number of notifications that wait for the notifier.
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
        """The messages that wait in this queue. Raises `RelayStoreError`."""
        if self._backlog is None:
            self._backlog = self.read_backlog(self)
        return self._backlog

    @property
    def size(self) -> int:
        """The number of waiting messages; a quota marker counts too. Raises `RelayStoreError`."""
        return len(self.backlog.numbers)

    @property
    def full(self) -> bool:
        """Whether the last message is a quota marker. If so, SEND is refused until the queue is empty. Raises
        `RelayStoreError`."""
        return self.backlog.full


class StoredMessage(Record):
    """A message in a queue, or a quota marker, which tells the recipient that the queue was full.

    Attributes:
        msg_id: 24 random bytes, also the nonce of the encryption for the recipient.
        timestamp: When the relay accepted the message, in Unix seconds.
        notification: Whether the sender asked for a notification of this message.
        body: The body of SEND; None for a quota marker.
    """

    msg_id: bytes
    timestamp: int
    notification: bool
    body: bytes | None = field(repr=False)


class QueueStore(Protocol):
    """A store of queues and messages. Changes are visible at once, and durable when `commit` has returned.

    Every method raises `RelayStoreError` if the storage fails; the caller must then call `rollback`.
    """

    @property
    def has_room(self) -> bool:
        """Whether the store has room for new data. If not, commands such as NEW and SEND are refused."""
        ...

    def by_recipient(self, rcv_id: bytes) -> Queue | None:
        """The queue with this recipient id; None if there is no such queue."""
        ...

    def by_sender(self, snd_id: bytes) -> Queue | None:
        """The queue with this sender id; None if there is no such queue."""
        ...

    def by_link(self, link_id: bytes) -> Queue | None:
        """The queue whose link data has this id; None if there is no such queue."""
        ...

    def by_notifier(self, notifier_id: bytes) -> Queue | None:
        """The queue whose notifier has this id; None if there is no such queue."""
        ...

    def create(self, new: NewQueue) -> Queue:
        """Stores a new queue. No other queue may have any of its ids."""
        ...

    def secure(self, queue: Queue, sender_key: AuthPublicKey) -> None:
        """Gives an unsecured queue its sender key."""
        ...

    def set_recipient_keys(self, queue: Queue, keys: tuple[AuthPublicKey, ...]) -> None:
        """Replaces the recipient's keys with ``keys``, which must not be empty."""
        ...

    def suspend(self, queue: Queue) -> None:
        """Makes a queue refuse new messages."""
        ...

    def delete(self, queue: Queue) -> None:
        """Removes a queue and its messages."""
        ...

    def link(self, queue: Queue) -> Link | None:
        """The queue's link data; None if it has none."""
        ...

    def set_link(self, queue: Queue, link: Link) -> None:
        """Sets the link data of a queue, and replaces any earlier link data. No other queue may have this link id."""
        ...

    def delete_link(self, queue: Queue) -> None:
        """Removes the queue's link data, if it has any."""
        ...

    def set_notifier(self, queue: Queue, notifier: Notifier) -> None:
        """Sets the notifier of a queue. No other notifier may have the same id. The queue's previous notifier is
        deleted, together with the notifications for it."""
        ...

    def delete_notifier(self, queue: Queue) -> None:
        """Removes the queue's notifier, if it has one, and the notifications for it."""
        ...

    def add_notification(self, queue: Queue, msg_id: bytes, timestamp: int, *, keep: int) -> None:
        """Stores a notification for the queue's notifier. If ``keep`` notifications wait for it, deletes the oldest."""
        ...

    def take_notifications(self, queue: Queue, limit: int) -> list[tuple[bytes, int]]:
        """Removes at most ``limit`` notifications, oldest first. Returns the message id and Unix time of each."""
        ...

    def append(self, queue: Queue, message: StoredMessage) -> None:
        """Adds a message at the end of a queue. If it is a quota marker, `Queue.full` becomes true."""
        ...

    def head(self, queue: Queue) -> StoredMessage | None:
        """The queue's oldest message, which stays in the queue; None if the queue is empty."""
        ...

    def delete_head(self, queue: Queue, msg_id: bytes) -> bool:
        """Removes the oldest message if ``msg_id`` is the id of that message. Returns whether it was removed."""
        ...

    def commit(self) -> None:
        """Makes all changes since the last commit durable, even if power fails."""
        ...

    def rollback(self) -> None:
        """Undoes all changes since the last commit. `Queue` objects that were returned earlier must not be
        used any more."""
        ...
