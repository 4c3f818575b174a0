"""Who listens to which queue or notifier, and what was delivered but not yet acknowledged (smp-wire 7.3).

This is only in memory, and deleted when a connection ends.
"""

from __future__ import annotations

from collections.abc import Callable

from smpchat.crypto.keys import X25519PrivateKey, X25519PublicKey

MAX_UNSENT_PUSHES = 64
"""Pushed messages, 16 kB each, that may wait for a connection that does not read."""


class Client:
    """One connection as the commands see it.

    Attributes:
        version: Agreed SMP version.
        session_id: The TLS channel binding, part of what is authorised.
        session_key: Our key of this session, for X25519 authorisation; None if there is none.
        peer_key: The other side's key of this session, for private routing; None where there is none.
        keyed_new: The extension of handshake.md 3.6 was agreed.
        subscribed: Recipient ids to which this connection listens, each with the message that was delivered but not
            acknowledged.
        notified: Notifier ids this connection listens to; the values mean nothing.
        getting: Recipient ids for which this connection used GET, each with the message that it got but did not
            acknowledge.
        unsent: Pushed messages not yet written to the connection.
        deferred: Recipient and notifier ids whose messages were held back because too many were unsent, in the order in
            which they came.
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
        """The secret of both sides' session keys, 32 bytes; None where there are none.

        Raises:
            CryptoError: The other side's key has low order.
        """
        if self._secret is None and self.session_key is not None and self.peer_key is not None:
            self._secret = self.session_key.exchange(self.peer_key)
        return self._secret


class Subscriptions:
    """The one subscriber of each queue, or of each notifier.

    Args:
        held: The attribute of a connection with the ids to which it listens.
    """

    def __init__(self, held: Callable[[Client], dict[bytes, bytes | None]]) -> None:
        self._held = held
        self._clients: dict[bytes, Client] = {}

    def __len__(self) -> int:
        return len(self._clients)

    def subscriber(self, entity_id: bytes) -> Client | None:
        """Who listens to it."""
        return self._clients.get(entity_id)

    def subscribe(self, entity_id: bytes, client: Client) -> Client | None:
        """Makes ``client`` the listener, with nothing delivered. Returns the connection that was the listener before,
        if there was one."""
        previous = self._clients.get(entity_id)
        self._clients[entity_id] = client
        self._held(client)[entity_id] = None
        if previous is None or previous is client:
            return None
        self._forget(entity_id, previous)
        return previous

    def end(self, entity_id: bytes) -> Client | None:
        """Ends the subscription of something that is deleted; returns the connection that had it."""
        client = self._clients.pop(entity_id, None)
        if client is not None:
            self._forget(entity_id, client)
        return client

    def _forget(self, entity_id: bytes, client: Client) -> None:
        del self._held(client)[entity_id]
        client.deferred.pop(entity_id, None)

    def drop(self, client: Client) -> None:
        """Forgets a connection that ended."""
        held = self._held(client)
        for entity_id in held:
            del self._clients[entity_id]
            client.deferred.pop(entity_id, None)
        held.clear()
