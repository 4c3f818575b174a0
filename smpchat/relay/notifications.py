"""Executes NKEY, NDEL and NSUB, and sends notifications in NMSG (smp-wire 5.5, 7.2 and 8.1).

The transaction that stores a message also stores its notification. A later transaction deletes the notification from
the store, and only then does the relay send it. So a relay that is killed in between loses the notification, but
never the message.
"""

from __future__ import annotations

from operator import attrgetter

from smpchat.crypto.entropy import Entropy
from smpchat.crypto.errors import CryptoError
from smpchat.crypto.keys import AuthPublicKey, X25519PrivateKey, X25519PublicKey
from smpchat.protocol import commands
from smpchat.protocol.errors import ErrorCode
from smpchat.protocol.messages import seal_notification
from smpchat.protocol.transmission import NONCE_LENGTH, Transmission
from smpchat.relay.authorisation import authorised
from smpchat.relay.outgoing import Outgoing, answer, error
from smpchat.relay.records import Notifier, Queue, QueueStore, StoredMessage
from smpchat.relay.subscriptions import MAX_UNSENT_PUSHES, Client, Subscriptions

MAX_WAITING = 128
"""Maximum number of notifications that are kept for a notifier. The relay drops the oldest notifications first:
newer ones also tell the client that messages wait."""
_ID_BYTES = 24


class Notifications:
    """The notifiers of queues, and the connections that are subscribed to them."""

    def __init__(self, store: QueueStore, entropy: Entropy) -> None:
        self._store = store
        self._entropy = entropy
        self._subscriptions = Subscriptions(attrgetter("notified"))
        self._pending: dict[bytes, None] = {}

    @property
    def due(self) -> bool:
        """Whether `deliver` has notifications to return."""
        return bool(self._pending)

    def create(self, key: AuthPublicKey, dh_key: X25519PublicKey) -> tuple[Notifier, X25519PublicKey]:
        """Makes a notifier with a new id, without storing it. Returns the notifier, and the relay's public key, which
        the queue's recipient needs to decrypt notifications.

        Raises:
            CryptoError: The key ``dh_key`` has low order.
        """
        server_key = X25519PrivateKey.generate(self._entropy)
        dh_secret = server_key.exchange(dh_key)
        while self._store.by_notifier(notifier_id := self._entropy.random(_ID_BYTES)) is not None:
            pass
        return Notifier(notifier_id, key, dh_secret), server_key.public()

    def nkey(self, client: Client, t: Transmission, command: commands.NKey, queue: Queue) -> list[Outgoing]:
        """Gives the queue a new notifier, which replaces an earlier one."""
        try:
            notifier, server_key = self.create(command.auth_key, command.dh_key)
        except CryptoError:
            return [error(client, t, ErrorCode.CRYPTO)]
        ended = self.end(client, queue)
        self._store.set_notifier(queue, notifier)
        return [answer(client, t, commands.Nid(notifier.notifier_id, server_key)), *ended]

    def ndel(self, client: Client, t: Transmission, command: commands.NDel, queue: Queue) -> list[Outgoing]:
        """Removes the queue's notifier, if it has one."""
        ended = self.end(client, queue)
        self._store.delete_notifier(queue)
        return [answer(client, t, commands.Ok()), *ended]

    def nsub(self, client: Client, t: Transmission, command: commands.NSub) -> list[Outgoing]:
        """Subscribes the client's connection to a notifier. If another connection was subscribed to it, that one gets
        END."""
        queue = self._store.by_notifier(t.entity_id)
        notifier = None if queue is None else queue.notifier
        allowed = authorised(client, t, () if notifier is None else (notifier.key,))
        if queue is None or notifier is None or not allowed:
            return [error(client, t, ErrorCode.AUTH)]
        out = [answer(client, t, commands.Sok())]
        previous = self._subscriptions.subscribe(notifier.notifier_id, client)
        if previous is not None:
            out.append(Outgoing(previous, b"", notifier.notifier_id, commands.End()))
        if queue.notifications:
            self._pending[notifier.notifier_id] = None
        return out

    def sent(self, queue: Queue, message: StoredMessage) -> None:
        """Stores a notification for a message that was just stored, if the message's sender asked for notifications."""
        notifier = queue.notifier
        if notifier is None or not message.notification:
            return
        self._store.add_notification(queue, message.msg_id, message.timestamp, keep=MAX_WAITING)
        if self._subscriptions.subscriber(notifier.notifier_id) is not None:
            self._pending[notifier.notifier_id] = None

    def end(self, client: Client, queue: Queue) -> list[Outgoing]:
        """Ends the subscription to the queue's notifier, before the caller deletes the notifier. Returns the DELD
        for the connection that was subscribed; an empty list if there was none, or if it was ``client`` itself."""
        if queue.notifier is None:
            return []
        subscriber = self._subscriptions.end(queue.notifier.notifier_id)
        if subscriber is None or subscriber is client:
            return []
        return [Outgoing(subscriber, b"", queue.notifier.notifier_id, commands.Deld())]

    def deliver(self) -> list[Outgoing]:
        """Returns the notifications that became due since the last call, but for each connection only as many as it has
        room for. Removes the returned notifications from the store."""
        pending, self._pending = self._pending, {}
        return [push for notifier_id in pending for push in self.resume(notifier_id)]

    def resume(self, notifier_id: bytes) -> list[Outgoing]:
        """Returns the notifications that wait for one notifier, but only as many as the subscribed connection has room
        for. Removes the returned notifications from the store."""
        client, queue = self._subscriptions.subscriber(notifier_id), self._store.by_notifier(notifier_id)
        if client is None or queue is None or queue.notifier is None:
            return []
        room = max(0, MAX_UNSENT_PUSHES - client.unsent)
        taken = self._store.take_notifications(queue, room)
        client.unsent += len(taken)
        if queue.notifications:
            client.deferred[notifier_id] = None
        pushes = []
        for msg_id, timestamp in taken:
            nonce = self._entropy.random(NONCE_LENGTH)
            sealed = seal_notification(queue.notifier.dh_secret, nonce, msg_id, timestamp)
            pushes.append(Outgoing(client, b"", notifier_id, commands.NMsg(nonce, sealed), push=True))
        return pushes

    def disconnect(self, client: Client) -> None:
        """Removes the subscriptions of a connection that has ended."""
        self._subscriptions.drop(client)
