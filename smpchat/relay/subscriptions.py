"""Which connection is subscribed to which queue or notifier, and which message it must acknowledge (smp-wire 7.3).

Subscriptions are only in memory, and end with the connection.
"""

from __future__ import annotations

from collections.abc import Callable

from smpchat.crypto.keys import X25519PrivateKey, X25519PublicKey

MAX_UNSENT_PUSHES = 64
"""Maximum number of pushed messages, 16 kB each, that wait for a connection that does not read."""


class Client:
    """The part of a connection that `smpchat.relay.commands` uses.

    Attributes:
        version: The agreed SMP version.
        session_id: The TLS channel binding, which the authorisation of each command covers.
        session_key: The relay's X25519 key for this session, for checking authenticators; None if there is none.
        peer_key: The client's X25519 key for this session, for private routing; None if there is none.
        keyed_new: Whether the client and the relay agreed on smpchat's extension of NEW. NEW may then contain the
            sender's key, and so create a queue that is already secured.
        subscribed: The keys are the recipient ids of the queues to which this connection is subscribed. Each value is
            the id of the message that the client must acknowledge, or None.
        notified: The keys are the ids of the notifiers to which this connection is subscribed. The values are not
            used.
        getting: The keys are the recipient ids of the queues for which this connection used GET. Each value is the id
            of the message that the client must acknowledge, or None.
        unsent: Number of messages and notifications that were pushed to this connection, but are not sent yet.
        deferred: Recipient ids and notifier ids whose pushes were held back, because too many pushes to this connection
            were unsent. The id that has waited longest comes first.
    """

    __slots__ = (
        "_secret",
        "deferred",
        "getting",
        "keyed_new",
        "notified",
        "peer_key",
        "session_id",
        "session_key",
        "subscribed",
        "unsent",
        "version",
    )

    def __init__(
        self,
        version: int,
        session_id: bytes,
        session_key: X25519PrivateKey | None,
        *,
        peer_key: X25519PublicKey | None = None,
        keyed_new: bool = False,
    ) -> None:
        self.version = version
        self.session_id = session_id
        self.session_key = session_key
        self.peer_key = peer_key
        self.keyed_new = keyed_new
        self.subscribed: dict[bytes, bytes | None] = {}
        self.notified: dict[bytes, bytes | None] = {}
        self.getting: dict[bytes, bytes | None] = {}
        self.unsent = 0
        self.deferred: dict[bytes, None] = {}
        self._secret: bytes | None = None

    def session_secret(self) -> bytes | None:
        """The 32-byte secret that follows from the session keys of relay and client; None if either key is missing.

        Raises:
            CryptoError: The client's key has low order.
        """
        if self._secret is None and self.session_key is not None and self.peer_key is not None:
            self._secret = self.session_key.exchange(self.peer_key)
        return self._secret


class Subscriptions:
    """The subscriber of each queue, or of each notifier. A queue or notifier has at most one subscriber.

    Args:
        held: Function that returns either `Client.subscribed` or `Client.notified` of a client. The keys of the
            returned dict are the ids to which the client is subscribed.
    """

    def __init__(self, held: Callable[[Client], dict[bytes, bytes | None]]) -> None:
        self._held = held
        self._clients: dict[bytes, Client] = {}

    def __len__(self) -> int:
        return len(self._clients)

    def subscriber(self, entity_id: bytes) -> Client | None:
        """The connection that is subscribed to a queue or notifier; None if there is none."""
        return self._clients.get(entity_id)

    def subscribe(self, entity_id: bytes, client: Client) -> Client | None:
        """Makes ``client`` the subscriber of a queue or notifier, with no message to acknowledge. If another connection
        was the subscriber, returns that connection."""
        previous = self._clients.get(entity_id)
        self._clients[entity_id] = client
        self._held(client)[entity_id] = None
        if previous is None or previous is client:
            return None
        self._forget(entity_id, previous)
        return previous

    def end(self, entity_id: bytes) -> Client | None:
        """Ends the subscription to a queue or notifier that is deleted. Returns the connection that was its subscriber,
        if any."""
        client = self._clients.pop(entity_id, None)
        if client is not None:
            self._forget(entity_id, client)
        return client

    def _forget(self, entity_id: bytes, client: Client) -> None:
        del self._held(client)[entity_id]
        client.deferred.pop(entity_id, None)

    def drop(self, client: Client) -> None:
        """Ends all subscriptions of a connection that has ended."""
        held = self._held(client)
        for entity_id in held:
            del self._clients[entity_id]
            client.deferred.pop(entity_id, None)
        held.clear()
