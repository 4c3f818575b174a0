"""What the agent's operations need besides the store: the application above the agent, randomness, time, and a KEM (for
post-quantum encryption) if one is installed."""

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
    """The methods that the agent calls in the layer above it. They are called inside the agent's transactions, so they
    may use the store, but must not wait.

    ``reference`` is the application's own number for a message that it submitted.
    """

    def connection_info(self, tx: sqlite3.Connection, connection_id: int) -> bytes:
        """Returns our profile. The agent puts it into our first message of the handshake, which is the confirmation if
        we are the joiner, and the hello if we are the initiator."""
        ...

    def link_info(self, tx: sqlite3.Connection, connection_id: int) -> bytes:
        """The data that people can read through the short link of our invitation before they connect."""
        ...

    def link_info_received(self, tx: sqlite3.Connection, connection_id: int, info: bytes) -> None:
        """We opened a short link and have read the data that it leads to. The link's maker wrote this data, so it may
        contain anything."""
        ...

    def state_changed(self, tx: sqlite3.Connection, connection: Connection) -> None:
        """The connection has a new handshake state."""
        ...

    def peer_info_received(self, tx: sqlite3.Connection, connection_id: int, info: bytes) -> str | None:
        """The peer's first message of the handshake arrived. ``info``: what the peer says about itself in this message.

        Returns:
            A sentence that says why we cannot connect with this peer; None if we can.
        """
        ...

    def message_received(
        self, tx: sqlite3.Connection, connection_id: int, body: bytes, sent_at: int, integrity: Integrity
    ) -> bool:
        """A user message arrived. Returns whether the agent should send a receipt for it. ``sent_at``: when the relay
        received the message, by the relay's clock; POSIX seconds."""
        ...

    def gives_receipts(self, tx: sqlite3.Connection, connection_id: int) -> bool:
        """Whether we send receipts to the peer. The agent calls this just before it seals a receipt, because the user
        may have turned receipts off after the message arrived."""
        ...

    def message_sent(self, tx: sqlite3.Connection, reference: int) -> None:
        """The peer's relay has accepted the message."""
        ...

    def message_delivered(self, tx: sqlite3.Connection, reference: int) -> None:
        """The peer's receipt for the message arrived, and the hash in the receipt is the message's hash."""
        ...

    def message_failed(self, tx: sqlite3.Connection, reference: int, reason: str) -> None:
        """The message has failed for good: the peer will never receive it. ``reason`` is a sentence that says why
        the message failed."""
        ...

    def notice(
        self,
        tx: sqlite3.Connection,
        connection_id: int,
        sentence: str,
        kind: NoticeKind = NoticeKind.INFORMATION,
    ) -> None:
        """Stores ``sentence``, which tells the user what happened to the connection, and shows it in the conversation.

        In ``sentence``, ``{alias}`` stands for the contact's name, and ``{who}`` for the name in the form that a person
        types in a command. Some kinds report a lasting problem (`CONDITIONS` in
        `smpchat.agent.machines.notices`): people see the notice until the problem is fixed.
        """
        ...

    def mended(self, tx: sqlite3.Connection, connection_id: int, *kinds: NoticeKind) -> None:
        """Lasting problems of the connection are over: those that notices of the given ``kinds`` told the user
        about."""
        ...

    def request_id(self, info: bytes) -> str | None:
        """The id that all copies of a contact request have in common; None if the sender's program gives no id. Raises
        `EnvelopeRefused` if ``info`` cannot be decoded."""
        ...

    def request_received(self, tx: sqlite3.Connection, request: ReceivedRequest) -> None:
        """Someone sent a request to our address and waits for an answer."""
        ...

    def request_accepted(
        self, tx: sqlite3.Connection, context: Context, connection_id: int, request: ReceivedRequest
    ) -> None:
        """The request was accepted automatically and has become the connection ``connection_id``. From now on, messages
        for this connection can be submitted."""
        ...

    def file_uploaded(self, tx: sqlite3.Connection, file_id: int, descriptions: tuple[str, ...]) -> None:
        """A file has been uploaded completely. Each description tells one recipient where the file is; the agent does
        not keep the descriptions."""
        ...

    def file_received(self, tx: sqlite3.Connection, file_id: int, path: Path) -> None:
        """A file was received completely, and is now at ``path``."""
        ...

    def file_failed(self, tx: sqlite3.Connection, file_id: int, trouble: Trouble) -> None:
        """The transfer of a file has failed for good. ``trouble``: the kind of the reason; the function
        `smpchat.agent.transactions.files.transfer` returns the reason in full."""
        ...


class Context(Record):
    """What every operation of the agent needs besides the store.

    Attributes:
        kem: The mechanism that makes the ratchet's post-quantum secrets; None if it is not available, or not wanted.
    """

    application: Application
    entropy: Entropy
    now: Callable[[], float]
    kem: KEMProvider | None = None

    def wants_pq(self, agent_version: int, e2e_version: int) -> bool:
        """Whether we use a KEM in a connection with these versions of the agent protocol and of end-to-end
        encryption."""
        return agent_version >= PQ_SINCE and e2e_version >= E2E_VERSION_KEM and self.has_kem

    def wants_pq_in(self, connection: Connection, e2e_version: int, agent_version: int | None = None) -> bool:
        """Whether we use a KEM in this connection. ``agent_version``: if given, it counts instead of the agent version
        that is stored with the connection."""
        version = connection.agent_version if agent_version is None else agent_version
        return not connection.plain and self.wants_pq(version, e2e_version)

    @property
    def has_kem(self) -> bool:
        """Whether a KEM is installed and works."""
        return self.kem is not None and self.kem.available()

    def kem_in(self, tx: sqlite3.Connection) -> SparedKEM:
        """The KEM for use inside this transaction. If a key pair was generated earlier and stored, the KEM takes this
        pair instead of generating a new one."""
        return SparedKEM(tx, self.kem)


class SparedKEM(Record):
    """A `KEMProvider` for one transaction, which uses up stored key pairs before it generates new ones.

    Without a KEM, every call except `available` raises `KEMUnavailable`.
    """

    tx: sqlite3.Connection
    kem: KEMProvider | None

    def available(self) -> bool:
        """See `KEMProvider`."""
        return self.kem is not None and self.kem.available()

    def generate(self) -> tuple[KEMPublicKey, KEMPrivateKey]:
        """A key pair that was generated earlier and stored, if there is one, else a new one."""
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
