"""Contact addresses, and the requests to them that wait for an answer.

Each address also has a connection record and a queue: see `smpchat.agent.store.connections`. The user has at most one
address of their own. The link to each of our groups is stored as an address, too. Only the link of a group has client
data.
"""

from __future__ import annotations

import sqlite3

from smpchat.agent.machines.handshake_states import Deleted
from smpchat.agent.store import connections
from smpchat.crypto.keys import Ed25519PrivateKey
from smpchat.encoding.record import Record, field


class Address(Record):
    """A contact address.

    Attributes:
        auto_accept: Whether requests are accepted automatically.
        root_key: The key that signs the data of the short link; None once the address is being deleted.
        user_data: The part of the short link's data that people see before they send a request.
        short_link: The text of the short link. This field is None until the address's queue exists, and always None if
            the relay does not keep link data.
        fixed_data: The part of the short link's data that never changes, as it is stored at the relay.
        client_data: The data that marks the link of a group (agent-wire 2.1); None for the user's own address.
    """

    connection_id: int
    auto_accept: bool
    root_key: Ed25519PrivateKey | None
    user_data: bytes = field(repr=False)
    short_link: str | None = field(default=None, repr=False)
    fixed_data: bytes | None = None
    client_data: str | None = field(default=None, repr=False)

    @property
    def group(self) -> bool:
        """Whether this is the link of a group: a person who uses it becomes a member, not a contact."""
        return self.client_data is not None


def insert(tx: sqlite3.Connection, address: Address) -> None:
    """Insert an address, whose connection record must be in the store already."""
    tx.execute(
        "INSERT INTO addresses VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            address.connection_id,
            address.auto_accept,
            address.root_key.raw if address.root_key else b"",
            address.user_data,
            address.short_link,
            address.fixed_data,
            address.client_data,
        ),
    )


def load_all(tx: sqlite3.Connection) -> list[Address]:
    """Every address, oldest first, including those that are being deleted."""
    return [_address(row) for row in tx.execute("SELECT * FROM addresses ORDER BY connection_id")]


def current(tx: sqlite3.Connection) -> Address | None:
    """The user's own address, unless it is being deleted."""
    return next((address for address in in_use(tx) if not address.group), None)


def in_use(tx: sqlite3.Connection) -> list[Address]:
    """Every address that is not being deleted, including those of groups."""
    return [one for one in load_all(tx) if not isinstance(connections.load(tx, one.connection_id).state, Deleted)]


def load(tx: sqlite3.Connection, connection_id: int) -> Address | None:
    """The address with this connection record; None if there is none."""
    row = tx.execute("SELECT * FROM addresses WHERE connection_id = ?", (connection_id,)).fetchone()
    return _address(row) if row else None


def _address(row: sqlite3.Row) -> Address:
    return Address(
        connection_id=row["connection_id"],
        auto_accept=bool(row["auto_accept"]),
        root_key=Ed25519PrivateKey(row["root_key"]) if row["root_key"] else None,
        user_data=row["user_data"],
        short_link=row["short_link"],
        fixed_data=row["fixed_data"],
        client_data=row["client_data"],
    )


def save_short_link(tx: sqlite3.Connection, connection_id: int, link: str, fixed_data: bytes) -> None:
    """Save the short link of an address: the relay now has the link's data."""
    tx.execute(
        "UPDATE addresses SET short_link = ?, fixed_data = ? WHERE connection_id = ?", (link, fixed_data, connection_id)
    )


def forget_root_key(tx: sqlite3.Connection, connection_id: int) -> None:
    """Erase the root key: the address is being deleted, so the data of its link will not be signed any more."""
    tx.execute("UPDATE addresses SET root_key = x'' WHERE connection_id = ?", (connection_id,))


def save_user_data(tx: sqlite3.Connection, connection_id: int, user_data: bytes) -> None:
    """Save what people see before they send a request."""
    tx.execute("UPDATE addresses SET user_data = ? WHERE connection_id = ?", (user_data, connection_id))


def save_auto_accept(tx: sqlite3.Connection, connection_id: int, auto_accept: bool) -> None:
    """Save whether requests are accepted automatically. If they no longer are, the requests that were waiting to be
    accepted automatically now wait for the user's decision."""
    if not auto_accept:
        tx.execute("UPDATE received_requests SET in_turn = 0 WHERE connection_id = ?", (connection_id,))
    tx.execute("UPDATE addresses SET auto_accept = ? WHERE connection_id = ?", (auto_accept, connection_id))


# -- requests ---------------------------------------------------------------------------------------------------------


class ReceivedRequest(Record):
    """A request from someone who wants to connect.

    Attributes:
        request_id: Id of the request, the same each time the request is sent; None if the sender's program gives no id.
        snd_id: Sender id of the queue that the request offers.
        link: The invitation link in the request.
        info: Connection info of the person who asks.
        received_at: When the address's relay received the request; POSIX seconds.
        shown: Whether the request was shown to the user.
        relay: Hosts of the relay at which the request offers a queue.
        in_turn: Whether the request will be accepted automatically, as soon as the limit on this allows it.
    """

    id: int
    connection_id: int
    request_id: str | None
    snd_id: bytes
    link: str = field(repr=False)
    info: bytes = field(repr=False)
    received_at: float
    shown: bool = False
    relay: str = ""
    in_turn: bool = False


def insert_request(tx: sqlite3.Connection, request: ReceivedRequest) -> int:
    """Insert a request, and return its number; ``request.id`` is ignored."""
    cursor = tx.execute(
        "INSERT INTO received_requests (connection_id, request_id, snd_id, link, info, received_at, relay, in_turn)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            request.connection_id,
            request.request_id,
            request.snd_id,
            request.link,
            request.info,
            request.received_at,
            request.relay,
            request.in_turn,
        ),
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def replace_request(tx: sqlite3.Connection, request: ReceivedRequest) -> None:
    """Replace the stored request that has the number ``request.id``: the request was sent again, with this content."""
    tx.execute(
        "UPDATE received_requests SET request_id = ?, snd_id = ?, link = ?, info = ?, received_at = ?, shown = ?,"
        " relay = ?, in_turn = ? WHERE id = ?",
        (
            request.request_id,
            request.snd_id,
            request.link,
            request.info,
            request.received_at,
            request.shown,
            request.relay,
            request.in_turn,
            request.id,
        ),
    )


_OWN = "connection_id NOT IN (SELECT connection_id FROM addresses WHERE client_data IS NOT NULL)"


def requests(tx: sqlite3.Connection) -> list[ReceivedRequest]:
    """Every request to the user's own address that waits for an answer, oldest first."""
    return [_request(row) for row in tx.execute(f"SELECT * FROM received_requests WHERE {_OWN} ORDER BY id")]


def unshown_requests(tx: sqlite3.Connection) -> list[ReceivedRequest]:
    """Requests to the user's own address that wait for the user's answer but were not shown yet, oldest first."""
    query = f"SELECT * FROM received_requests WHERE shown = 0 AND NOT in_turn AND {_OWN} ORDER BY id"
    return [_request(row) for row in tx.execute(query)]


def same_requests(
    tx: sqlite3.Connection, connection_id: int, request_id: str | None, snd_id: bytes
) -> list[ReceivedRequest]:
    """The waiting copies of a request to an address: requests that have the id ``request_id``, or offer the queue with
    the sender id ``snd_id``."""
    rows = tx.execute(
        "SELECT * FROM received_requests WHERE connection_id = ? AND (request_id = ? OR snd_id = ?) ORDER BY id",
        (connection_id, request_id, snd_id),
    )
    return [_request(row) for row in rows]


def count_requests(tx: sqlite3.Connection) -> int:
    """Number of requests that wait for an answer, at all addresses."""
    return int(tx.execute("SELECT count(*) FROM received_requests").fetchone()[0])


def count_requests_to(tx: sqlite3.Connection, connection_id: int) -> int:
    """Number of waiting requests to one address."""
    query = "SELECT count(*) FROM received_requests WHERE connection_id = ?"
    return int(tx.execute(query, (connection_id,)).fetchone()[0])


def requests_by_relay(tx: sqlite3.Connection) -> dict[str, int]:
    """How many of the waiting requests offer a queue at each relay. The keys of the dict are written as in
    `ReceivedRequest.relay`."""
    rows = tx.execute("SELECT relay, count(*) FROM received_requests GROUP BY relay ORDER BY relay")
    return {row[0]: row[1] for row in rows}


def delete_newest_of(tx: sqlite3.Connection, relay: str) -> None:
    """To make room, drop one of the requests that offer a queue at this relay: the newest that was not shown to the
    user or, if all were shown, the newest."""
    query = "SELECT id FROM received_requests WHERE relay = ? ORDER BY shown, id DESC LIMIT 1"
    tx.execute(f"DELETE FROM received_requests WHERE id = ({query})", (relay,))


def next_in_turn(tx: sqlite3.Connection) -> ReceivedRequest | None:
    """The oldest request, to any address, that will be accepted automatically."""
    query = (
        "SELECT received_requests.* FROM received_requests JOIN addresses USING (connection_id)"
        " WHERE in_turn AND auto_accept ORDER BY received_requests.id LIMIT 1"
    )
    row = tx.execute(query).fetchone()
    return _request(row) if row else None


def turned_away(tx: sqlite3.Connection, connection_id: int) -> tuple[int, float] | None:
    """How many requests to an address were dropped because too many were waiting, and when the first of them was
    dropped, in POSIX seconds. Returns None if no request was dropped."""
    row = tx.execute("SELECT count, since FROM turned_away WHERE connection_id = ?", (connection_id,)).fetchone()
    return (row["count"], row["since"]) if row else None


def count_turned_away(tx: sqlite3.Connection, connection_id: int, now: float) -> None:
    """Count one more dropped request. ``now``: POSIX seconds."""
    tx.execute(
        "INSERT INTO turned_away VALUES (?, 1, ?) ON CONFLICT (connection_id) DO UPDATE SET count = count + 1",
        (connection_id, now),
    )


def forget_turned_away(tx: sqlite3.Connection, connection_id: int) -> None:
    """Set the count of dropped requests to this address to zero."""
    tx.execute("DELETE FROM turned_away WHERE connection_id = ?", (connection_id,))


def note_accepted(tx: sqlite3.Connection, connection_id: int, now: float) -> None:
    """Note that a request was accepted automatically and became this connection. ``now``: POSIX seconds."""
    tx.execute("INSERT INTO accepted_by_themselves VALUES (?, ?)", (connection_id, now))


def accepted_by_themselves(tx: sqlite3.Connection) -> dict[int, float]:
    """Ids of the connections that were accepted automatically, with the times of acceptance in POSIX seconds. Once a
    connection no longer counts towards the limit on automatic acceptance, `forget_accepted` takes it off this list."""
    return {row["connection_id"]: row["at"] for row in tx.execute("SELECT * FROM accepted_by_themselves")}


def forget_accepted(tx: sqlite3.Connection, connection_ids: list[int]) -> None:
    """Forget that these connections were accepted automatically."""
    tx.executemany("DELETE FROM accepted_by_themselves WHERE connection_id = ?", [(one,) for one in connection_ids])


def mark_request_shown(tx: sqlite3.Connection, number: int) -> None:
    """Note that the request was shown to the user."""
    tx.execute("UPDATE received_requests SET shown = 1 WHERE id = ?", (number,))


def delete_request(tx: sqlite3.Connection, number: int) -> None:
    """Delete a request that no longer waits for an answer."""
    tx.execute("DELETE FROM received_requests WHERE id = ?", (number,))


def delete_requests(tx: sqlite3.Connection, connection_id: int) -> None:
    """Delete every request to an address."""
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
        relay=row["relay"],
        in_turn=bool(row["in_turn"]),
    )
