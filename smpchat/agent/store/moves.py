"""Moves of our own queues to another relay: the state of each move, the new queue, and abandoned queues that may still
exist at their relays."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, get_args

from smpchat.agent.errors import StoreError
from smpchat.agent.store import connections
from smpchat.agent.store.connections import ReceiveQueue, receive_queue_from, receive_queue_values
from smpchat.encoding.record import Record, field
from smpchat.protocol.address import SMPServer, SMPServerAddress, format_server, parse_server

if TYPE_CHECKING:  # imported only where there is a move: most connections never have one
    from smpchat.agent.machines.moving import State


class Move(Record):
    """A move of our own queue that is in progress.

    Attributes:
        since: When the move reached this state; POSIX seconds.
        relay: The relay that the user asked for; None if any will do.
    """

    state: State
    since: float
    relay: SMPServerAddress | None = field(default=None, repr=False)


class OtherQueue(Record):
    """An additional queue of ours for a connection: the new queue of a move, or an abandoned queue.

    Attributes:
        id: The number by which items in the outbox refer to the queue.
        left_at: When the queue was abandoned; POSIX seconds. None if the queue is the new queue of a move.
    """

    id: int
    queue: ReceiveQueue
    left_at: float | None


# -- moves ------------------------------------------------------------------------------------------------------------


def load(tx: sqlite3.Connection, connection_id: int) -> Move | None:
    """The move of our own queue for this connection; None if no move is in progress."""
    row = tx.execute("SELECT * FROM moves WHERE connection_id = ?", (connection_id,)).fetchone()
    return _move(row) if row else None


def load_all(tx: sqlite3.Connection) -> dict[int, Move]:
    """All moves in progress. The keys of the dict are the ids of the connections."""
    return {row["connection_id"]: _move(row) for row in tx.execute("SELECT * FROM moves")}


def _move(row: sqlite3.Row) -> Move:
    from smpchat.agent.machines.moving import State

    state = next((cls() for cls in get_args(State) if cls.__name__ == row["state"]), None)
    if state is None:
        raise StoreError("The profile's database contains a move that this version of smpchat does not know.")
    return Move(state, row["since"], parse_server(row["relay"]) if row["relay"] else None)


def save(tx: sqlite3.Connection, connection_id: int, move: Move) -> None:
    """Insert or replace the connection's move; delete the move if its state is `Settled`."""
    from smpchat.agent.machines.moving import Settled

    if isinstance(move.state, Settled):
        tx.execute("DELETE FROM moves WHERE connection_id = ?", (connection_id,))
        return
    relay = format_server(move.relay) if move.relay else None
    row = (connection_id, type(move.state).__name__, move.since, relay)
    tx.execute("INSERT OR REPLACE INTO moves VALUES (?, ?, ?, ?)", row)


def wanted_relays(tx: sqlite3.Connection) -> list[SMPServer]:
    """All relays to which the user asked to move a queue."""
    rows = tx.execute("SELECT relay FROM moves WHERE relay IS NOT NULL")
    return [parse_server(row["relay"]).server for row in rows]


# -- new and abandoned queues -----------------------------------------------------------------------------------------


def _other(row: sqlite3.Row) -> OtherQueue:
    return OtherQueue(row["id"], receive_queue_from(row), row["left_at"])


def insert_queue(tx: sqlite3.Connection, queue: ReceiveQueue, left_at: float | None = None) -> int:
    """Insert the new queue of a move or, if ``left_at`` is given, an abandoned queue. Returns the queue's id."""
    cursor = tx.execute(
        "INSERT INTO other_receive_queues (connection_id, server, rcv_id, snd_id, mode, auth_key, dh_secret, e2e_key,"
        " e2e_secret, peer_key, left_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (*receive_queue_values(queue), left_at),
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def save_keys(tx: sqlite3.Connection, queue_id: int, e2e_secret: bytes, peer_key: bytes) -> None:
    """The peer's keys for the new queue of a move have arrived. Save the peer's sender key, with which we secure the
    queue, and the secret that we and the peer share for the per-queue encryption. Erase our private key for this
    encryption, which is not needed any more."""
    query = "UPDATE other_receive_queues SET e2e_key = x'', e2e_secret = ?, peer_key = ? WHERE id = ?"
    tx.execute(query, (e2e_secret, peer_key, queue_id))


def leave_queue(tx: sqlite3.Connection, queue_id: int, left_at: float) -> None:
    """Mark a queue as abandoned: it is not the new queue of the move any more. Erase our private key for the per-queue
    encryption: if the peer still sends its keys for this queue, they are of no use."""
    tx.execute("UPDATE other_receive_queues SET left_at = ?, e2e_key = x'' WHERE id = ?", (left_at, queue_id))


def delete_queue(tx: sqlite3.Connection, queue_id: int) -> None:
    """Forget a queue that does not exist any more, or is of no use."""
    tx.execute("DELETE FROM other_receive_queues WHERE id = ?", (queue_id,))


def new_queue(tx: sqlite3.Connection, connection_id: int) -> OtherQueue | None:
    """The queue to which the connection's own queue is being moved; None if there is no move, or if the relay has not
    made the new queue yet."""
    query = "SELECT * FROM other_receive_queues WHERE connection_id = ? AND left_at IS NULL"
    row = tx.execute(query, (connection_id,)).fetchone()
    return _other(row) if row else None


def queue(tx: sqlite3.Connection, queue_id: int) -> OtherQueue | None:
    """The new or abandoned queue with this number; None if it was deleted from the store."""
    row = tx.execute("SELECT * FROM other_receive_queues WHERE id = ?", (queue_id,)).fetchone()
    return _other(row) if row else None


def other_queues(tx: sqlite3.Connection, connection_id: int) -> list[OtherQueue]:
    """The additional queues of a connection: the new queue of its move, and its abandoned queues."""
    query = "SELECT * FROM other_receive_queues WHERE connection_id = ? ORDER BY id"
    return [_other(row) for row in tx.execute(query, (connection_id,))]


def queues_at(tx: sqlite3.Connection, server: str) -> list[OtherQueue]:
    """The new and the abandoned queues at the relay with this address."""
    rows = tx.execute("SELECT * FROM other_receive_queues WHERE server = ? ORDER BY id", (server,))
    return [_other(row) for row in rows.fetchall()]


def find_queue(tx: sqlite3.Connection, server: SMPServer, rcv_id: bytes) -> OtherQueue | None:
    """The new or abandoned queue with this recipient id at this relay."""
    query = "SELECT * FROM other_receive_queues WHERE server = ? AND rcv_id = ?"
    row = tx.execute(query, (str(server), rcv_id)).fetchone()
    return _other(row) if row else None


# -- all our queues ---------------------------------------------------------------------------------------------------


def find_any(tx: sqlite3.Connection, server: SMPServer, rcv_id: bytes) -> ReceiveQueue | None:
    """Our queue with this recipient id at this relay, whatever it is used for."""
    own = connections.find_receive_queue(tx, server, rcv_id)
    if own is not None:
        return own
    other = find_queue(tx, server, rcv_id)
    return other.queue if other else None


def uses_id(tx: sqlite3.Connection, server: SMPServer, entity_id: bytes) -> bool:
    """Whether a queue of ours at this relay has this id, as recipient id or as sender id."""
    query = " UNION ALL ".join(
        f"SELECT 1 FROM {table} WHERE server = :server AND (rcv_id = :id OR snd_id = :id)"
        for table in ("receive_queues", "other_receive_queues")
    )
    return tx.execute(query, {"server": str(server), "id": entity_id}).fetchone() is not None


def every_queue(tx: sqlite3.Connection) -> list[ReceiveQueue]:
    """All queues that may get messages: those of connections, new queues of moves, and abandoned ones."""
    rows = tx.execute("SELECT * FROM other_receive_queues ORDER BY id")
    return connections.receive_queues(tx) + [receive_queue_from(row) for row in rows]


def awaits_first_message(tx: sqlite3.Connection, queue: ReceiveQueue) -> bool:
    """Whether no message has come to a queue yet. Until the first message comes, we subscribe the queue again from time
    to time, because a relay may fail to push this message."""
    if queue.e2e_secret is None:
        return True
    other = find_queue(tx, queue.server, queue.rcv_id)
    return other is not None and other.left_at is None
