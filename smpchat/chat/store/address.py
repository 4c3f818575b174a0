"""Our contact address, and the requests that come through it, as people see them."""

from __future__ import annotations

import sqlite3

from smpchat.agent.store import addresses, connections
from smpchat.encoding.record import Record, field


class AddressView(Record):
    """Our contact address.

    Attributes:
        connection: Id of the connection record that holds its queue.
        link: The full link; None until its queue exists.
        short_link: None where the relay keeps no link data.
        auto_accept: Every request is accepted at once.
        requests: Number of requests that wait for an answer.
    """

    connection: int
    link: str | None = field(repr=False)
    short_link: str | None = field(repr=False)
    auto_accept: bool
    requests: int


class RequestView(Record):
    """Somebody asks to be a contact.

    Attributes:
        name: What they call themselves.
        text: What they say; None if nothing.
        received_at: POSIX seconds.
    """

    id: int
    name: str
    text: str | None = field(repr=False)
    received_at: float


def address_view(tx: sqlite3.Connection, address: addresses.Address) -> AddressView:
    """An address with its links."""
    link = connections.load(tx, address.connection_id).link
    waiting = addresses.count_requests(tx)
    return AddressView(address.connection_id, link, address.short_link, address.auto_accept, waiting)
