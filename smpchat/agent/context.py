"""What the agent's operations need besides the store: the layer above, randomness, time, a KEM where there is one."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from smpchat.agent.machines.delivery import Integrity
from smpchat.agent.machines.notices import NoticeKind
from smpchat.agent.store import kem_spares
from smpchat.agent.store.addresses import ReceivedRequest
from smpchat.agent.store.connections import Connection
from smpchat.client.trouble import Trouble
from smpchat.crypto.agreement import E2E_VERSION_KEM
from smpchat.crypto.entropy import Entropy
from smpchat.crypto.kem import KEMCiphertext, KEMPrivateKey, KEMProvider, KEMPublicKey, KEMUnavailable
from smpchat.encoding.record import Record

PQ_SINCE = 5
"""The first agent version that supports post-quantum ratchets (agent-wire 1.1)."""


class Application(Protocol):
    """What the layer above does inside the agent's transactions: store work only, nothing that waits.

    ``reference`` is the application's own number of a message that it submitted.
    """

    def connection_info(self, tx: sqlite3.Connection, connection_id: int) -> bytes:
        """Our profile, for the confirmation or hello that is sealed now."""
        ...

    def link_info(self, tx: sqlite3.Connection, connection_id: int) -> bytes:
        """What people see behind the short link of an invitation of ours before they connect."""
        ...

    def link_info_received(self, tx: sqlite3.Connection, connection_id: int, info: bytes) -> None:
        """What whoever made the short link says there; anything may stand in it."""
        ...

    def state_changed(self, tx: sqlite3.Connection, connection: Connection) -> None:
        """The connection has a new handshake state."""
        ...

    def peer_info_received(self, tx: sqlite3.Connection, connection_id: int, info: bytes) -> str | None:
        """The peer's connection info arrived.

        Returns:
            A sentence that says why there can be no connection with this peer; None if there can.
        """
        ...

    def message_received(
        self, tx: sqlite3.Connection, connection_id: int, body: bytes, sent_at: int, integrity: Integrity
    ) -> bool:
        """A user message arrived; True asks for a receipt. ``sent_at``: POSIX seconds, by the relay's clock."""
        ...

    def gives_receipts(self, tx: sqlite3.Connection, connection_id: int) -> bool:
        """Whether the peer is to be told that its messages arrived; asked again when a receipt is about to leave."""
        ...

    def message_sent(self, tx: sqlite3.Connection, reference: int) -> None:
        """The relay has the message."""
        ...

    def message_delivered(self, tx: sqlite3.Connection, reference: int) -> None:
        """The peer's receipt came and matches."""
        ...

    def message_failed(self, tx: sqlite3.Connection, reference: int, reason: str) -> None:
        """The message will never arrive."""
        ...

    def notice(
        self,
        tx: sqlite3.Connection,
        connection_id: int,
        sentence: str,
        kind: NoticeKind = NoticeKind.INFORMATION,
    ) -> None:
        """Something that has happened to the connection: kept, and shown as part of the conversation.

        ``{alias}`` in it stands for the contact, ``{who}`` for what names it in a command. Some kinds are conditions:
        they stand until they are mended (see `smpchat.agent.machines.notices`).
        """
        ...

    def mended(self, tx: sqlite3.Connection, connection_id: int, *kinds: NoticeKind) -> None:
        """Conditions of the connection that are over."""
        ...

    def request_id(self, info: bytes) -> str | None:
        """What every copy of a contact request has in common, if it says so. Raises `EnvelopeRefused` if it is none."""
        ...

    def request_received(self, tx: sqlite3.Connection, request: ReceivedRequest) -> None:
        """Somebody asks through our address to be connected, and waits for an answer."""
        ...

    def request_accepted(
        self, tx: sqlite3.Connection, context: Context, connection_id: int, request: ReceivedRequest
    ) -> None:
        """The request became a connection at once; what is said to it may be submitted already."""
        ...

    def file_uploaded(self, tx: sqlite3.Connection, file_id: int, descriptions: tuple[str, ...]) -> None:
        """A file is at its relays. Each description is for one recipient, and is kept by nobody else."""
        ...

    def file_received(self, tx: sqlite3.Connection, file_id: int, path: Path) -> None:
        """A file has arrived whole, and is at this path."""
        ...

    def file_failed(self, tx: sqlite3.Connection, file_id: int, trouble: Trouble) -> None:
        """A file will never be sent or received; `smpchat.agent.transactions.files.transfer` says more."""
        ...


class Context(Record):
    """What every operation of the agent needs besides the store.

    Attributes:
        kem: Makes the ratchet's post-quantum secrets; None where that cannot be had, or is not wanted.
    """

    application: Application
    entropy: Entropy
    now: Callable[[], float]
    kem: KEMProvider | None = None

    def wants_pq(self, agent_version: int, e2e_version: int) -> bool:
        """Whether we take part in a KEM at these versions."""
        return agent_version >= PQ_SINCE and e2e_version >= E2E_VERSION_KEM and self.has_kem

    def wants_pq_in(self, connection: Connection, e2e_version: int, agent_version: int | None = None) -> bool:
        """The same, of one connection; ``agent_version``: where another one than its own counts."""
        version = connection.agent_version if agent_version is None else agent_version
        return not connection.plain and self.wants_pq(version, e2e_version)

    @property
    def has_kem(self) -> bool:
        """Whether there is a KEM, and it works here."""
        return self.kem is not None and self.kem.available()

    def kem_in(self, tx: sqlite3.Connection) -> SparedKEM:
        """The KEM, taking new key pairs from the store first."""
        return SparedKEM(tx, self.kem)


class SparedKEM(Record):
    """A `KEMProvider` inside one transaction. Without a KEM every call raises `KEMUnavailable`."""

    tx: sqlite3.Connection
    kem: KEMProvider | None

    def available(self) -> bool:
        """See `KEMProvider`."""
        return self.kem is not None and self.kem.available()

    def generate(self) -> tuple[KEMPublicKey, KEMPrivateKey]:
        """A spare key pair if there is one, else a new one."""
        provider = self._provider()
        return kem_spares.take(self.tx) or provider.generate()

    def encapsulate(self, public: KEMPublicKey) -> tuple[KEMCiphertext, bytes]:
        """See `KEMProvider`."""
        return self._provider().encapsulate(public)

    def decapsulate(self, private: KEMPrivateKey, ciphertext: KEMCiphertext) -> bytes:
        """See `KEMProvider`."""
        return self._provider().decapsulate(private, ciphertext)

    def _provider(self) -> KEMProvider:
        if self.kem is None or not self.kem.available():
            raise KEMUnavailable("this ratchet needs sntrup761, which is not available here")
        return self.kem
