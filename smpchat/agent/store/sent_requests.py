"""Our requests to contact addresses of other people."""

from __future__ import annotations

import sqlite3

from smpchat.encoding.record import Record, field

MAX_INFO = 12_000
"""The longest connection info that fits into a request, in bytes: the room in the envelope minus our longest link."""


class SentRequest(Record):
    """Our request to the contact address of another person.

    Attributes:
        address_id: Sender id of the address's queue; None while we know only the address's short link.
        info: Our connection info in the request; empty once the request is sealed.
        reference: The application's number for the text message in the request. None if the request has no text, or as
            soon as we know whether the request arrived.
    """

    connection_id: int
    address_id: bytes | None
    info: bytes = field(repr=False)
    reference: int | None


def insert(tx: sqlite3.Connection, request: SentRequest) -> None:
    """Insert a request. Its connection must exist."""
    tx.execute(
        "INSERT INTO sent_requests VALUES (?, ?, ?, ?)",
        (request.connection_id, request.address_id, request.info, request.reference),
    )


def load(tx: sqlite3.Connection, connection_id: int) -> SentRequest | None:
    """The request with which this connection began; None if it did not begin with one."""
    row = tx.execute("SELECT * FROM sent_requests WHERE connection_id = ?", (connection_id,)).fetchone()
    return SentRequest(*row) if row else None


def find_by_address(tx: sqlite3.Connection, address_id: bytes) -> int | None:
    """The id of the connection that began with our request to this address; None if we sent no request to it."""
    row = tx.execute("SELECT connection_id FROM sent_requests WHERE address_id = ?", (address_id,)).fetchone()
    return row["connection_id"] if row else None


def save_address(tx: sqlite3.Connection, connection_id: int, address_id: bytes) -> None:
    """Save the sender id of the address's queue, which is known once the short link was read."""
    tx.execute("UPDATE sent_requests SET address_id = ? WHERE connection_id = ?", (address_id, connection_id))


def save_info(tx: sqlite3.Connection, connection_id: int, info: bytes, reference: int | None) -> None:
    """Save our connection info for the contact request, at most `MAX_INFO` bytes, and the application's number for the
    text message in the request."""
    tx.execute(
        "UPDATE sent_requests SET info = ?, reference = ? WHERE connection_id = ?", (info, reference, connection_id)
    )


def sealed(tx: sqlite3.Connection, connection_id: int) -> None:
    """The request is sealed, so its content is not needed any more."""
    tx.execute("UPDATE sent_requests SET info = x'' WHERE connection_id = ?", (connection_id,))


def take_reference(tx: sqlite3.Connection, connection_id: int) -> int | None:
    """Return and forget the application's number for the text message in the request, because it is now known whether
    the request arrived. Later calls return None."""
    request = load(tx, connection_id)
    tx.execute("UPDATE sent_requests SET reference = NULL WHERE connection_id = ?", (connection_id,))
    return request.reference if request else None
