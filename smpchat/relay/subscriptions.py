"""Which connection is subscribed to which queue or notifier, and which message it must acknowledge (smp-wire 7.3).

All this is only in memory, and ends with the connection.
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
        session_id: The TLS channel binding, which authorisations include.
        session_key: Our X25519 key of this session, for checking authenticators; None if there is none.
        peer_key: The client's X25519 key of this session, for private routing; None if there is none.
        keyed_new: Whether client and relay agreed on our extension: NEW may contain the sender's key, and so create a
            queue that is already secured.
        subscribed: For each queue to which this connection is subscribed, its recipient id, and the id of the message
            that the client must acknowledge, if any.
        notified: Notifier ids to which this connection is subscribed; the values are not used.
        getting: For each queue for which this connection used GET, its recipient id, and the id of the message that the
            client must acknowledge, if any.
        unsent: Number of pushed messages that are not sent yet.
        deferred: Recipient and notifier ids whose messages were held back because too many were unsent; in order of
            arrival.
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
        """The shared secret of both session keys, 32 bytes; None if one of them is missing.

        Raises:
            CryptoError: The client's key has low order.
        """
        if self._secret is None and self.session_key is not None and self.peer_key is not None:
            self._secret = self.session_key.exchange(self.peer_key)
        return self._secret


class Subscriptions:
    """The subscriber of each queue, or of each notifier. A queue or notifier has at most one.

    Args:
        held: Returns `Client.subscribed` of a client, or its `Client.notified`. The keys of this dict are the ids to
            which the client is subscribed.
    """

    def __init__(self, held: Callable[[Client], dict[bytes, bytes | None]]) -> None:
        self._held = held
        self._clients: dict[bytes, Client] = {}

    def __len__(self) -> int:
        return len(self._clients)

    def subscriber(self, entity_id: bytes) -> Client | None:
        """The connection that is subscribed to a queue or notifier."""
        return self._clients.get(entity_id)

    def subscribe(self, entity_id: bytes, client: Client) -> Client | None:
        """Makes ``client`` the subscriber, with no message to acknowledge. Returns another connection that was the
        subscriber before, if any."""
        previous = self._clients.get(entity_id)
        self._clients[entity_id] = client
        self._held(client)[entity_id] = None
        if previous is None or previous is client:
            return None
        self._forget(entity_id, previous)
        return previous

    def end(self, entity_id: bytes) -> Client | None:
        """Ends the subscription to a queue or notifier that is deleted. Returns the connection that was subscribed, if
        any."""
        client = self._clients.pop(entity_id, None)
        if client is not None:
            self._forget(entity_id, client)
        return client

    def _forget(self, entity_id: bytes, client: Client) -> None:
        del self._held(client)[entity_id]
        client.deferred.pop(entity_id, None)

    def drop(self, client: Client) -> None:
        """Forgets a connection that has ended."""
        held = self._held(client)
        for entity_id in held:
            del self._clients[entity_id]
            client.deferred.pop(entity_id, None)
        held.clear()
