"""Relays that other people name: in requests to our address, in a contact's move, or in the data of a link.

A person who names a relay makes us connect to it. So such a relay may only be on the internet, unless our own relay is
in a network of the same kind; the user may agree to any other (`smpchat.agent.store.consents`). A link that the user
made or used is such an agreement, for the relay in it. For contacts from before this was stored, their relays are not
asked about.
"""

from __future__ import annotations

import sqlite3

from smpchat.agent.errors import RelayNotPublic
from smpchat.agent.machines import handshake_states as states
from smpchat.agent.store import addresses, connections, consents
from smpchat.protocol.address import SMPServer
from smpchat.transport.base import AddressRefused
from smpchat.transport.scope import Fence


def fence_for(tx: sqlite3.Connection, server: SMPServer) -> Fence | None:
    """Where a relay may be before we connect to it; None: anywhere, because the user agreed to it."""
    if _is_agreed(tx, server):
        return None
    hosts: set[str] = set()
    for connection_id in _used_by(tx, server):
        hosts |= _own_hosts(tx, connection_id)
    return Fence.around(hosts)


def _is_agreed(tx: sqlite3.Connection, server: SMPServer) -> bool:
    return consents.anywhere(tx) or consents.covers(tx, server)


def is_unknown(tx: sqlite3.Connection, server: SMPServer) -> bool:
    """Whether the relay was named only by people to whom no message was ever sent there."""
    if consents.covers(tx, server):
        return False
    return not any(_was_reached(tx, connection_id, server) for connection_id in _used_by(tx, server))


def _was_reached(tx: sqlite3.Connection, connection_id: int, server: SMPServer) -> bool:
    queue = connections.send_queue(tx, connection_id)
    joining = isinstance(connections.load(tx, connection_id).state, states.Joining | states.Confirming)
    return queue is not None and queue.server == server and not joining


def _used_by(tx: sqlite3.Connection, server: SMPServer) -> list[int]:
    query = (
        "SELECT connection_id FROM send_queues WHERE server = :server"
        " UNION SELECT connection_id FROM rotations WHERE server = :server"
    )
    return [int(row[0]) for row in tx.execute(query, {"server": str(server)})]


def _own_hosts(tx: sqlite3.Connection, connection_id: int) -> set[str]:
    """Hosts of the relays through which the person who names a relay reaches us."""
    queue = connections.receive_queue(tx, connection_id)
    hosts = set(queue.server.hosts) if queue else set()
    terms = connections.load(tx, connection_id).state.terms
    if terms is not None and terms.requested:
        # It came by our own address, or, where the connection is a member's, by the link of a group.
        plain = connections.load(tx, connection_id).plain
        for address in addresses.in_use(tx):
            hosts |= _address_hosts(tx, address.connection_id) if address.group is plain else set()
    return hosts


def _address_hosts(tx: sqlite3.Connection, address_id: int) -> set[str]:
    queue = connections.receive_queue(tx, address_id)
    return set(queue.server.hosts) if queue else set()


def reason_against_request(tx: sqlite3.Connection, server: SMPServer, address_id: int) -> str | None:
    """Why a request to an address of ours is not answered at this relay, as far as that one's address tells.

    Args:
        address_id: Connection record of the address.
    Returns:
        None if it may be answered.
    """
    if _is_agreed(tx, server):
        return None
    return _reason(Fence.around(_address_hosts(tx, address_id)), server)


def reason_against_move(tx: sqlite3.Connection, connection_id: int, server: SMPServer) -> str | None:
    """Why a contact is not followed to this relay, as far as its address tells; None if it may be."""
    if _is_agreed(tx, server):
        return None
    return _reason(Fence.around(_own_hosts(tx, connection_id)), server)


def _reason(fence: Fence, server: SMPServer) -> str | None:
    try:
        fence.check(server.hosts, server.port_number)
    except AddressRefused as error:
        return str(error).removeprefix("cannot reach relay ")
    return None


def check_request(tx: sqlite3.Connection, server: SMPServer, address_id: int) -> None:
    """Raises `RelayNotPublic` if `reason_against_request` gives a reason."""
    reason = reason_against_request(tx, server, address_id)
    if reason is not None:
        raise RelayNotPublic(reason)
