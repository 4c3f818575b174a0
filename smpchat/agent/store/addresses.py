"""The contact address: what it has beside its connection record and queue, and the requests that wait for an answer."""

from __future__ import annotations

import sqlite3

from smpchat.agent.machines.handshake_states import Deleted
from smpchat.agent.store import connections
from smpchat.crypto.keys import Ed25519PrivateKey
from smpchat.encoding.record import Record, field


class Address(Record):
    """A contact address.

    Attributes:
        auto_accept: Each request becomes a connection at once.
        root_key: Signs what is behind its short link.
        user_data: What people see behind the short link before they send a request.
        short_link: None where the relay keeps no link data, and until the queue exists.
        fixed_data: The part behind the short link that never changes, as the relay has it.
    """

    connection_id: int
    auto_accept: bool
    root_key: Ed25519PrivateKey
    user_data: bytes = field(repr=False)
    short_link: str | None = field(default=None, repr=False)
    fixed_data: bytes | None = None


def insert(tx: sqlite3.Connection, address: Address) -> None:
    """A new address, whose connection record exists."""
    tx.execute(
        "INSERT INTO addresses VALUES (?, ?, ?, ?, ?, ?)",
        (
            address.connection_id,
            address.auto_accept,
            address.root_key.raw,
            address.user_data,
            address.short_link,
            address.fixed_data,
        ),
    )


def load_all(tx: sqlite3.Connection) -> list[Address]:
    """Every address, oldest first, those that are being deleted included."""
    return [_address(row) for row in tx.execute("SELECT * FROM addresses ORDER BY connection_id")]


def current(tx: sqlite3.Connection) -> Address | None:
    """The address, unless it is being deleted."""
    for address in load_all(tx):
        if not isinstance(connections.load(tx, address.connection_id).state, Deleted):
            return address
    return None


def load(tx: sqlite3.Connection, connection_id: int) -> Address | None:
    """The address of this connection record."""
    row = tx.execute("SELECT * FROM addresses WHERE connection_id = ?", (connection_id,)).fetchone()
    return _address(row) if row else None


def _address(row: sqlite3.Row) -> Address:
    return Address(
        connection_id=row["connection_id"],
        auto_accept=bool(row["auto_accept"]),
        root_key=Ed25519PrivateKey(row["root_key"]),
        user_data=row["user_data"],
        short_link=row["short_link"],
        fixed_data=row["fixed_data"],
    )


def save_short_link(tx: sqlite3.Connection, connection_id: int, link: str, fixed_data: bytes) -> None:
    """The relay keeps data behind this short link."""
    tx.execute(
        "UPDATE addresses SET short_link = ?, fixed_data = ? WHERE connection_id = ?", (link, fixed_data, connection_id)
    )


def save_user_data(tx: sqlite3.Connection, connection_id: int, user_data: bytes) -> None:
    """What people are to see from now on."""
    tx.execute("UPDATE addresses SET user_data = ? WHERE connection_id = ?", (user_data, connection_id))


def save_auto_accept(tx: sqlite3.Connection, connection_id: int, auto_accept: bool) -> None:
    """Whether requests are accepted at once."""
    tx.execute("UPDATE addresses SET auto_accept = ? WHERE connection_id = ?", (auto_accept, connection_id))


# -- requests ---------------------------------------------------------------------------------------------------------


class ReceivedRequest(Record):
    """Somebody asks to be connected.

    Attributes:
        request_id: The same each time that this request is sent, where its sender's program says so.
        snd_id: Sender id of the queue that the request offers.
        link: The invitation in it.
        info: Who asks: connection info.
        received_at: When its relay got it; POSIX seconds.
        shown: A person was shown it.
    """

    id: int
    connection_id: int
    request_id: str | None
    snd_id: bytes
    link: str = field(repr=False)
    info: bytes = field(repr=False)
    received_at: float
    shown: bool = False


def insert_request(tx: sqlite3.Connection, request: ReceivedRequest) -> int:
    """A new request's number; the one it has already does not count."""
    cursor = tx.execute(
        "INSERT INTO received_requests (connection_id, request_id, snd_id, link, info, received_at)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (
            request.connection_id,
            request.request_id,
            request.snd_id,
            request.link,
            request.info,
            request.received_at,
        ),
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def replace_request(tx: sqlite3.Connection, request: ReceivedRequest) -> None:
    """The request of this number was sent again, and now says this."""
    tx.execute(
        "UPDATE received_requests SET request_id = ?, snd_id = ?, link = ?, info = ?, received_at = ?, shown = ?"
        " WHERE id = ?",
        (
            request.request_id,
            request.snd_id,
            request.link,
            request.info,
            request.received_at,
            request.shown,
            request.id,
        ),
    )


def requests(tx: sqlite3.Connection) -> list[ReceivedRequest]:
    """Every request that waits for an answer, oldest first."""
    return [_request(row) for row in tx.execute("SELECT * FROM received_requests ORDER BY id")]


def unshown_requests(tx: sqlite3.Connection) -> list[ReceivedRequest]:
    """Requests that no person was shown, oldest first."""
    return [_request(row) for row in tx.execute("SELECT * FROM received_requests WHERE shown = 0 ORDER BY id")]


def same_requests(
    tx: sqlite3.Connection, connection_id: int, request_id: str | None, snd_id: bytes
) -> list[ReceivedRequest]:
    """What waits at an address and is the same request as this one: by its id, or by the queue that it offers."""
    rows = tx.execute(
        "SELECT * FROM received_requests WHERE connection_id = ? AND (request_id = ? OR snd_id = ?) ORDER BY id",
        (connection_id, request_id, snd_id),
    )
    return [_request(row) for row in rows]


def count_requests(tx: sqlite3.Connection) -> int:
    """Number of requests that wait for an answer."""
    return int(tx.execute("SELECT count(*) FROM received_requests").fetchone()[0])


def mark_request_shown(tx: sqlite3.Connection, number: int) -> None:
    """A person was shown the request."""
    tx.execute("UPDATE received_requests SET shown = 1 WHERE id = ?", (number,))


def delete_request(tx: sqlite3.Connection, number: int) -> None:
    """The request was answered, or is to be forgotten."""
    tx.execute("DELETE FROM received_requests WHERE id = ?", (number,))


def delete_requests(tx: sqlite3.Connection, connection_id: int) -> None:
    """Forget every request of an address."""
    tx.execute("DELETE FROM received_requests WHERE connection_id = ?", (connection_id,))


def _request(row: sqlite3.Row) -> ReceivedRequest:
    return ReceivedRequest(
        id=row["id"],
        connection_id=row["connection_id"],
        request_id=row["request_id"],
        snd_id=row["snd_id"],
        link=row["link"],
        info=row["info"],
        received_at=row["received_at"],
        shown=bool(row["shown"]),
    )
