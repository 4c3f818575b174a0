"""Who listens to which queue, and what was delivered but not yet acknowledged. Lives only in memory (smp-wire 7.3)."""

from __future__ import annotations

from smpchat.crypto.keys import X25519PrivateKey

MAX_UNSENT_PUSHES = 64
"""Pushed messages (16 kB each) that may wait for a connection that does not read."""


class Client:
    """One connection as the commands see it.

    Attributes:
        version: Agreed SMP version.
        session_id: The TLS channel binding, part of what is authorised.
        session_key: Our key of this session, for X25519 authorisation; None where there is none.
        keyed_new: The extension of handshake.md 3.6 was agreed.
        subscribed: Recipient ids this connection listens to, each with the message delivered and not acknowledged.
        getting: Recipient ids this connection used GET on, each with the message it got and did not acknowledge.
        unsent: Pushed messages not yet written to the connection.
        deferred: Recipient ids whose message was held back because too many were unsent, first come first served.
    """

    __slots__ = (
        "deferred",
        "getting",
        "keyed_new",
        "session_id",
        "session_key",
        "subscribed",
        "unsent",
        "version",
    )

    def __init__(
        self, version: int, session_id: bytes, session_key: X25519PrivateKey | None, *, keyed_new: bool = False
    ) -> None:
        self.version = version
        self.session_id = session_id
        self.session_key = session_key
        self.keyed_new = keyed_new
        self.subscribed: dict[bytes, bytes | None] = {}
        self.getting: dict[bytes, bytes | None] = {}
        self.unsent = 0
        self.deferred: dict[bytes, None] = {}


class Subscriptions:
    """The one subscriber of each queue."""

    def __init__(self) -> None:
        self._clients: dict[bytes, Client] = {}

    def __len__(self) -> int:
        return len(self._clients)

    def subscriber(self, rcv_id: bytes) -> Client | None:
        """Who listens to the queue."""
        return self._clients.get(rcv_id)

    def subscribe(self, rcv_id: bytes, client: Client) -> Client | None:
        """Makes ``client`` the listener, with nothing delivered; returns another one that lost the queue by it."""
        previous = self._clients.get(rcv_id)
        self._clients[rcv_id] = client
        client.subscribed[rcv_id] = None
        if previous is None or previous is client:
            return None
        del previous.subscribed[rcv_id]
        previous.deferred.pop(rcv_id, None)
        return previous

    def end(self, rcv_id: bytes) -> Client | None:
        """Ends the subscription of a queue that goes away; returns who had it."""
        client = self._clients.pop(rcv_id, None)
        if client is not None:
            del client.subscribed[rcv_id]
            client.deferred.pop(rcv_id, None)
        return client

    def drop(self, client: Client) -> None:
        """Forgets a connection that ended."""
        for rcv_id in client.subscribed:
            del self._clients[rcv_id]
        client.subscribed.clear()
        client.getting.clear()
        client.deferred.clear()
