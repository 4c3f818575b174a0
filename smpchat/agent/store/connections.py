"""Connections and their queues: the records, and the SQL statements that load and save them."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from smpchat.agent.errors import MissingRecord
from smpchat.agent.machines.chain import Chain
from smpchat.agent.machines.handshake_states import ConnectionState, State, connection_state
from smpchat.agent.store.states import state_from_json, state_to_json
from smpchat.crypto.keys import Ed25519PrivateKey, X448PrivateKey, X25519PrivateKey, X25519PublicKey
from smpchat.encoding.record import Record, field
from smpchat.protocol.address import SMPServer, SMPServerAddress, format_server, parse_server
from smpchat.protocol.queue_mode import QueueMode

if TYPE_CHECKING:
    from smpchat.crypto.agreement import X3DHKeys


class UnknownConnection(LookupError):
    """There is no connection with this id, perhaps because it was deleted meanwhile."""


class Connection(Record):
    """One duplex connection.

    Attributes:
        link: The full link of the invitation that we made or joined; None as long as the full link is not known. If we
            sent a request to an address, this is the address's full or short link instead, in one standard spelling.
        x3dh_keys: If we are the initiator: our private keys for the key agreement. They are kept until the first
            message is decrypted. A joiner uses its keys in the transaction that makes them, and never stores them.
        x3dh_public: If we are the joiner: the raw bytes of our public keys for the key agreement. They are kept until
            our confirmation is made, which contains them.
        reply_key: If we are the initiator: the private half of the reply key in our link or request. It is kept as long
            as ``x3dh_keys``.
        sent: Hash chain of the messages that we sent.
        received: Hash chain of the messages that arrived.
        pq_support: Whether messages are padded so that each ratchet header has room for KEM keys. Before the handshake,
            this value is our wish; afterwards it is what we and the peer agreed.
        plain: Whether this is a connection between members of a group. Such a connection never uses a KEM, and an
            invitation for it never gets a short link (group-wire 0 and 1).
        created_at: When the link was made or used; POSIX seconds, like the other times.
        ready_at: When the connection became *ready*, that is, when the relay accepted our confirmation or request, or
            when we processed the peer's confirmation.
    """

    id: int
    state: State
    link: str | None = field(repr=False)
    agent_version: int
    client_version: int
    e2e_version: int
    x3dh_keys: X3DHKeys | None = field(repr=False)
    x3dh_public: bytes | None = field(repr=False)
    reply_key: Ed25519PrivateKey | None
    sent: Chain
    received: Chain
    pq_support: bool
    created_at: float
    ready_at: float | None
    connected_at: float | None
    plain: bool = False

    @property
    def agreement_keys(self) -> X3DHKeys:
        """The same as ``x3dh_keys``, but raises `MissingRecord` if these keys were used and erased."""
        if self.x3dh_keys is None:
            raise MissingRecord("The keys for agreeing on this connection's encryption have already been used.")
        return self.x3dh_keys


class ReceiveQueue(Record):
    """A queue at a relay from which we receive messages.

    Attributes:
        auth_key: Authorises our commands on the queue.
        dh_secret: Opens the relay's box (a layer of encryption) around each message; None when the queue is not read
            any more.
        e2e_key: Our private key for the per-queue box, the sender's layer of encryption. A new sender needs the public
            half. None when the queue accepts no new sender, or is not read any more.
        e2e_secret: The secret that we share with the sender, for the per-queue box. None as long as the sender's key is
            not known, and when the queue is not read any more.
        peer_key: DER of the sender key with which the queue is, or will be, secured.
    """

    connection_id: int
    server: SMPServer
    rcv_id: bytes
    snd_id: bytes
    mode: QueueMode | None
    auth_key: Ed25519PrivateKey
    dh_secret: bytes | None = field(repr=False)
    e2e_key: X25519PrivateKey | None
    e2e_secret: bytes | None = field(default=None, repr=False)
    peer_key: bytes | None = None

    @property
    def link_key(self) -> X25519PrivateKey:
        """The same as ``e2e_key``, but raises `MissingRecord` if the key was erased."""
        if self.e2e_key is None:
            raise MissingRecord("The key of the receive queue was forgotten.")
        return self.e2e_key


class SendQueue(Record):
    """The peer's queue, to which we send.

    Attributes:
        auth_key: Authorises our SENDs once the queue is secured with this key.
        e2e_public: The public half of our key for the per-queue box. We use the private half only once, to derive
            ``e2e_secret``, and do not store it.
    """

    connection_id: int
    server: SMPServer
    snd_id: bytes
    mode: QueueMode | None
    client_version: int
    auth_key: Ed25519PrivateKey
    e2e_public: X25519PublicKey
    e2e_secret: bytes = field(repr=False)


def insert(
    tx: sqlite3.Connection,
    *,
    state: State,
    link: str | None,
    agent_version: int,
    client_version: int,
    e2e_version: int,
    x3dh_keys: X3DHKeys | None,
    reply_key: Ed25519PrivateKey | None,
    pq_support: bool,
    now: float,
    plain: bool = False,
) -> int:
    """Insert a connection, and return its id. ``x3dh_keys`` are given only for an initiator."""
    cursor = tx.execute(
        "INSERT INTO connections (state, link, agent_version, client_version, e2e_version, x3dh_key1, x3dh_key2,"
        " reply_key, pq_support, created_at, plain) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            state_to_json(state),
            link,
            agent_version,
            client_version,
            e2e_version,
            x3dh_keys.key1.raw if x3dh_keys else None,
            x3dh_keys.key2.raw if x3dh_keys else None,
            reply_key.raw if reply_key else None,
            pq_support,
            now,
            plain,
        ),
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def is_plain(tx: sqlite3.Connection, connection_id: int) -> bool:
    """Whether this is a connection between members of a group, or will become one. False if there is no connection with
    this id."""
    row = tx.execute("SELECT plain FROM connections WHERE id = ?", (connection_id,)).fetchone()
    return row is not None and bool(row["plain"])


def load(tx: sqlite3.Connection, connection_id: int) -> Connection:
    """The connection with this id. Raises `UnknownConnection` if there is none."""
    row = tx.execute("SELECT * FROM connections WHERE id = ?", (connection_id,)).fetchone()
    if row is None:
        raise UnknownConnection(connection_id)
    return _connection(row)


def load_all(tx: sqlite3.Connection) -> list[Connection]:
    """Every connection, oldest first."""
    return [_connection(row) for row in tx.execute("SELECT * FROM connections ORDER BY id")]


def find_by_link(tx: sqlite3.Connection, link: str) -> Connection | None:
    """The connection whose ``link`` is exactly this text."""
    row = tx.execute("SELECT * FROM connections WHERE link = ?", (link,)).fetchone()
    return _connection(row) if row else None


def find_by_link_start(tx: sqlite3.Connection, start: str) -> Connection | None:
    """The connection whose short link begins with ``start``, followed by a ``?``. In a short link, the text after the
    ``?`` only says where the link's relay is."""
    row = tx.execute("SELECT * FROM connections WHERE link >= ? AND link < ?", (f"{start}?", f"{start}@")).fetchone()
    return _connection(row) if row else None


def _connection(row: sqlite3.Row) -> Connection:
    x3dh_keys = None
    if row["x3dh_key1"] is not None:
        from smpchat.crypto.agreement import X3DHKeys  # few connections have such keys, and only for a short time

        x3dh_keys = X3DHKeys(X448PrivateKey(row["x3dh_key1"]), X448PrivateKey(row["x3dh_key2"]))
    return Connection(
        id=row["id"],
        state=state_from_json(row["state"]),
        link=row["link"],
        agent_version=row["agent_version"],
        client_version=row["client_version"],
        e2e_version=row["e2e_version"],
        x3dh_keys=x3dh_keys,
        x3dh_public=row["x3dh_public"],
        reply_key=Ed25519PrivateKey(row["reply_key"]) if row["reply_key"] else None,
        sent=Chain(row["sent_id"], row["sent_hash"]),
        received=Chain(row["received_id"], row["received_hash"]),
        pq_support=bool(row["pq_support"]),
        plain=bool(row["plain"]),
        created_at=row["created_at"],
        ready_at=row["ready_at"],
        connected_at=row["connected_at"],
    )


def save_state(tx: sqlite3.Connection, connection_id: int, state: State, now: float) -> None:
    """Save the new state. If the connection has just become *ready* or *connected*, or has just ended, save the time,
    too."""
    reached = connection_state(state)
    connected = reached is ConnectionState.CONNECTED
    ready = connected or reached is ConnectionState.READY
    over = reached in (ConnectionState.FAILED, ConnectionState.DELETED)
    tx.execute(
        # `coalesce` keeps the first time, although the same state may be saved again: the times show people how long
        # each step took.
        "UPDATE connections SET state = ?, ready_at = coalesce(ready_at, ?), connected_at = coalesce(connected_at, ?),"
        " over_at = coalesce(over_at, ?) WHERE id = ?",
        (
            state_to_json(state),
            now if ready else None,
            now if connected else None,
            now if over else None,
            connection_id,
        ),
    )


def save_wanted_relay(tx: sqlite3.Connection, connection_id: int, address: SMPServerAddress) -> None:
    """Save that the connection's queue must be made at this relay, even if other relays are configured."""
    tx.execute("UPDATE connections SET wanted_relay = ? WHERE id = ?", (format_server(address), connection_id))


def wanted_relay(tx: sqlite3.Connection, connection_id: int) -> SMPServerAddress | None:
    """The relay at which the connection's queue must be made; None if any will do."""
    row = tx.execute("SELECT wanted_relay FROM connections WHERE id = ?", (connection_id,)).fetchone()
    return parse_server(row["wanted_relay"]) if row and row["wanted_relay"] else None


def wanted_relays(tx: sqlite3.Connection) -> list[SMPServer]:
    """All relays that `save_wanted_relay` has saved for any connection."""
    rows = tx.execute("SELECT DISTINCT wanted_relay FROM connections WHERE wanted_relay IS NOT NULL")
    return [parse_server(row["wanted_relay"]).server for row in rows]


def save_link(tx: sqlite3.Connection, connection_id: int, link: str | None) -> None:
    """Save the connection's full link; if ``link`` is None, forget it. We know our own full link as soon as its queue
    exists. If we use another person's short link, we know the full link as soon as we have read the short link's
    data."""
    tx.execute("UPDATE connections SET link = ? WHERE id = ?", (link, connection_id))


def save_versions(tx: sqlite3.Connection, connection_id: int, agent: int, e2e: int) -> None:
    """Save the agent version and the ratchet version (``e2e``) that we and the peer now use."""
    tx.execute("UPDATE connections SET agent_version = ?, e2e_version = ? WHERE id = ?", (agent, e2e, connection_id))


def save_agreed(
    tx: sqlite3.Connection, connection_id: int, agent: int, client: int, e2e: int, *, pq_support: bool
) -> None:
    """We are the joiner and have read the link. Save the protocol versions that we chose, and whether we support a
    KEM."""
    save_versions(tx, connection_id, agent, e2e)
    save_pq_support(tx, connection_id, pq_support)
    tx.execute("UPDATE connections SET client_version = ? WHERE id = ?", (client, connection_id))


def save_pq_support(tx: sqlite3.Connection, connection_id: int, supported: bool) -> None:
    """Save whether messages are padded so that their ratchet headers have room for KEM keys."""
    tx.execute("UPDATE connections SET pq_support = ? WHERE id = ?", (supported, connection_id))


def raise_agent_version(tx: sqlite3.Connection, connection_id: int, version: int) -> None:
    """Raise the agent version of the connection to ``version``. A lower version changes nothing."""
    tx.execute("UPDATE connections SET agent_version = max(agent_version, ?) WHERE id = ?", (version, connection_id))


def save_x3dh_public(tx: sqlite3.Connection, connection_id: int, public: bytes) -> None:
    """We are the joiner. Save our public keys for the key agreement until our confirmation is made, which contains
    them."""
    tx.execute("UPDATE connections SET x3dh_public = ? WHERE id = ?", (public, connection_id))


def forget_handshake_keys(tx: sqlite3.Connection, connection_id: int) -> None:
    """The key agreement is complete, so forget its keys: anyone who has them and recorded the traffic could open the
    first messages."""
    query = "UPDATE connections SET x3dh_key1 = NULL, x3dh_key2 = NULL, x3dh_public = NULL, reply_key = NULL"
    tx.execute(f"{query} WHERE id = ?", (connection_id,))


def save_sent(tx: sqlite3.Connection, connection_id: int, chain: Chain) -> None:
    """Save the hash chain of sent messages."""
    tx.execute(
        "UPDATE connections SET sent_id = ?, sent_hash = ? WHERE id = ?",
        (chain.last_id, chain.last_hash, connection_id),
    )


def save_received(tx: sqlite3.Connection, connection_id: int, chain: Chain) -> None:
    """Save the hash chain of received messages."""
    tx.execute(
        "UPDATE connections SET received_id = ?, received_hash = ? WHERE id = ?",
        (chain.last_id, chain.last_hash, connection_id),
    )


def delete(tx: sqlite3.Connection, connection_id: int) -> None:
    """Delete the connection and everything that belongs to it."""
    tx.execute("DELETE FROM connections WHERE id = ?", (connection_id,))


# -- queues -----------------------------------------------------------------------------------------------------------


def _mode_text(mode: QueueMode | None) -> str | None:
    return mode.name if mode else None


def _mode(text: str | None) -> QueueMode | None:
    return QueueMode[text] if text else None


def save_receive_queue(tx: sqlite3.Connection, queue: ReceiveQueue) -> None:
    """Insert or replace the connection's receive queue."""
    # Not INSERT OR REPLACE: that would also replace another connection's queue, if a relay gave the same id to both
    # queues.
    delete_receive_queue(tx, queue.connection_id)
    tx.execute("INSERT INTO receive_queues VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", receive_queue_values(queue))


def receive_queue_values(queue: ReceiveQueue) -> tuple[object, ...]:
    """The values of a receive queue, in the order of the table's columns."""
    return (
        queue.connection_id,
        str(queue.server),
        queue.rcv_id,
        queue.snd_id,
        _mode_text(queue.mode),
        queue.auth_key.raw,
        queue.dh_secret or b"",
        queue.e2e_key.raw if queue.e2e_key else b"",
        queue.e2e_secret,
        queue.peer_key,
    )


def receive_queue_from(row: sqlite3.Row) -> ReceiveQueue:
    """The receive queue that a row of the table contains."""
    return ReceiveQueue(
        connection_id=row["connection_id"],
        server=parse_server(row["server"]).server,
        rcv_id=row["rcv_id"],
        snd_id=row["snd_id"],
        mode=_mode(row["mode"]),
        auth_key=Ed25519PrivateKey(row["auth_key"]),
        dh_secret=row["dh_secret"] or None,
        e2e_key=X25519PrivateKey(row["e2e_key"]) if row["e2e_key"] else None,
        e2e_secret=row["e2e_secret"],
        peer_key=row["peer_key"],
    )


def receive_queue(tx: sqlite3.Connection, connection_id: int) -> ReceiveQueue | None:
    """The connection's receive queue; None until it is made."""
    row = tx.execute("SELECT * FROM receive_queues WHERE connection_id = ?", (connection_id,)).fetchone()
    return receive_queue_from(row) if row else None


def find_receive_queue(tx: sqlite3.Connection, server: SMPServer, rcv_id: bytes) -> ReceiveQueue | None:
    """The queue with this recipient id at this relay."""
    row = tx.execute("SELECT * FROM receive_queues WHERE server = ? AND rcv_id = ?", (str(server), rcv_id)).fetchone()
    return receive_queue_from(row) if row else None


def find_receive_queue_by_sender_id(tx: sqlite3.Connection, snd_id: bytes) -> ReceiveQueue | None:
    """Our queue with this sender id. Callers use this to find out whether a link is our own."""
    row = tx.execute("SELECT * FROM receive_queues WHERE snd_id = ?", (snd_id,)).fetchone()
    return receive_queue_from(row) if row else None


def receive_queues(tx: sqlite3.Connection) -> list[ReceiveQueue]:
    """Every receive queue."""
    return [receive_queue_from(row) for row in tx.execute("SELECT * FROM receive_queues ORDER BY connection_id")]


def forget_link_key(tx: sqlite3.Connection, connection_id: int) -> None:
    """Only the peer can send to the queue from now on, so forget our private key whose public half is in the link."""
    tx.execute("UPDATE receive_queues SET e2e_key = x'' WHERE connection_id = ?", (connection_id,))


def forget_reading_keys(tx: sqlite3.Connection, connection_id: int) -> None:
    """The connection's queues are not read any more, so erase their keys, except those that are needed to delete the
    queues."""
    for table in ("receive_queues", "other_receive_queues"):
        query = f"UPDATE {table} SET dh_secret = x'', e2e_key = x'', e2e_secret = NULL WHERE connection_id = ?"
        tx.execute(query, (connection_id,))


def delete_receive_queue(tx: sqlite3.Connection, connection_id: int) -> None:
    """Forget the connection's receive queue; this sends nothing to the relay."""
    tx.execute("DELETE FROM receive_queues WHERE connection_id = ?", (connection_id,))


def save_send_queue(tx: sqlite3.Connection, queue: SendQueue) -> None:
    """Insert or replace the connection's send queue."""
    tx.execute("INSERT OR REPLACE INTO send_queues VALUES (?, ?, ?, ?, ?, ?, ?, ?)", send_queue_values(queue))


def send_queue_values(queue: SendQueue) -> tuple[object, ...]:
    """The values of a send queue, in the order of the table's columns."""
    return (
        queue.connection_id,
        str(queue.server),
        queue.snd_id,
        _mode_text(queue.mode),
        queue.client_version,
        queue.auth_key.raw,
        queue.e2e_public.raw,
        queue.e2e_secret,
    )


def send_queue_from(row: sqlite3.Row) -> SendQueue:
    """The send queue that a row of the table contains."""
    return SendQueue(
        connection_id=row["connection_id"],
        server=parse_server(row["server"]).server,
        snd_id=row["snd_id"],
        mode=_mode(row["mode"]),
        client_version=row["client_version"],
        auth_key=Ed25519PrivateKey(row["auth_key"]),
        e2e_public=X25519PublicKey(row["e2e_public"]),
        e2e_secret=row["e2e_secret"],
    )


def send_queue(tx: sqlite3.Connection, connection_id: int) -> SendQueue | None:
    """The connection's send queue; None as long as the peer's queue is not known."""
    row = tx.execute("SELECT * FROM send_queues WHERE connection_id = ?", (connection_id,)).fetchone()
    return send_queue_from(row) if row else None


def senders_to(tx: sqlite3.Connection, server: str) -> list[int]:
    """Ids of the connections that send to queues at a relay."""
    rows = tx.execute("SELECT connection_id FROM send_queues WHERE server = ? ORDER BY connection_id", (server,))
    return [int(row[0]) for row in rows]


def delete_send_queue(tx: sqlite3.Connection, connection_id: int) -> None:
    """Nothing more is sent to the peer, so delete our record of the peer's queue, and our keys for this queue."""
    tx.execute("DELETE FROM send_queues WHERE connection_id = ?", (connection_id,))


def find_send_queue(tx: sqlite3.Connection, server: SMPServer, snd_id: bytes) -> SendQueue | None:
    """Our record of a peer's queue, given by its relay and sender id. Callers use this to find out whether a link was
    already joined."""
    row = tx.execute("SELECT * FROM send_queues WHERE server = ? AND snd_id = ?", (str(server), snd_id)).fetchone()
    return send_queue_from(row) if row else None
