"""Relays that other people name: in requests to our address, in a contact's move, or in the data of a link.

A person who names a relay makes us connect to it. So a relay that another person names may be only on the internet, or
in a place where our own relay is too: a private network, or this computer. The user may agree to relays in other places
(`smpchat.agent.store.consents`). By making or using a link, the user agrees to the relay that the link names. Earlier
versions of smpchat did not store what the user agreed to. The relays of contacts from that time count as agreed to.
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
    """At which network addresses we may connect to a relay; None: at any, because the user agreed to the relay."""
    if _is_agreed(tx, server):
        return None
    hosts: set[str] = set()
    for connection_id in _used_by(tx, server):
        hosts |= _own_hosts(tx, connection_id)
    return Fence.around(hosts)


def _is_agreed(tx: sqlite3.Connection, server: SMPServer) -> bool:
    return consents.anywhere(tx) or consents.covers(tx, server)


def is_unknown(tx: sqlite3.Connection, server: SMPServer) -> bool:
    """Whether only other people have named this relay, and it has not yet accepted the first message of any connection
    of ours."""
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
    """Our own hosts: those of the relays through which the connection's peer reaches us."""
    queue = connections.receive_queue(tx, connection_id)
    hosts = set(queue.server.hosts) if queue else set()
    terms = connections.load(tx, connection_id).state.terms
    if terms is not None and terms.requested:
        # The request came through our own address or, if the connection is a group member's, through the link of a
        # group.
        plain = connections.load(tx, connection_id).plain
        for address in addresses.in_use(tx):
            hosts |= _address_hosts(tx, address.connection_id) if address.group is plain else set()
    return hosts


def _address_hosts(tx: sqlite3.Connection, address_id: int) -> set[str]:
    queue = connections.receive_queue(tx, address_id)
    return set(queue.server.hosts) if queue else set()


def reason_against_request(tx: sqlite3.Connection, server: SMPServer, address_id: int) -> str | None:
    """Why we may not connect to the relay that a contact request names, judged only by the relay's network address.

    Args:
        address_id: Number of the connection record of our contact address.
    Returns:
        None if we may connect to the relay.
    """
    if _is_agreed(tx, server):
        return None
    return _reason(Fence.around(_address_hosts(tx, address_id)), server)


def reason_against_move(tx: sqlite3.Connection, connection_id: int, server: SMPServer) -> str | None:
    """Why we do not follow a contact to this relay, judged only by its network address; None if we may."""
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
