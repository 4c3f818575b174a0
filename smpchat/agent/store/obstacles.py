"""What keeps a connection from making progress.

Only the relays that the connection needs at the moment matter; troubles of other relays do not.
"""

from __future__ import annotations

import sqlite3

from smpchat.agent.store import connections, held, links, outgoing
from smpchat.agent.store.connections import UnknownConnection
from smpchat.agent.store.outgoing import Kind, Lane
from smpchat.client.trouble import Trouble
from smpchat.encoding.record import Record


class Obstacle(Record):
    """Why a connection does not make progress.

    Attributes:
        error: What happened, in words.
        since: When the obstacle began; POSIX seconds.
        tried_at: When a relay last answered with this error, in POSIX seconds; 0 if the relay cannot be reached.
        server: Address of the relay, if it cannot be reached.
    """

    kind: Trouble
    error: str
    since: float
    tried_at: float = 0
    server: str | None = None


def of_connection(tx: sqlite3.Connection, connection_id: int, now: float, *, receiving: bool) -> Obstacle | None:
    """Why the connection's messages and commands must wait now: a relay cannot be reached, or has answered with an
    error. None if nothing has to wait.

    Args:
        receiving: Whether we must also be able to receive messages, so that the relay of our own queue matters, too.
    """
    for server in needed_servers(tx, connection_id, receiving=receiving):
        trouble = outgoing.relay_trouble(tx, server)
        if trouble is not None and trouble.kind.ends_sessions and _is_current(trouble.next_try_at, now):
            return Obstacle(trouble.kind, trouble.error, trouble.since, server=server)
    for (held_connection, lane), reason in held.load_all(tx).items():
        if held_connection == connection_id and lane in outgoing.AWAITED and reason.next_try_at > now:
            return Obstacle(reason.kind, reason.error, reason.since, reason.tried_at)
    return None


def of_move(tx: sqlite3.Connection, connection_id: int) -> Obstacle | None:
    """Why the move of our own queue does not make progress; None if it does. The connection's messages and other
    commands never wait for its move."""
    reason = held.load_all(tx).get((connection_id, Lane.MOVE))
    return Obstacle(reason.kind, reason.error, reason.since, reason.tried_at) if reason else None


def _is_current(next_try_at: float | None, now: float) -> bool:
    """Whether a stored trouble of a relay still counts: the time of the next try is in the future, or not known. If
    this time has passed, a process is trying again now, or the process that noted the time has ended."""
    return next_try_at is None or next_try_at > now


def needed_servers(tx: sqlite3.Connection, connection_id: int, *, receiving: bool) -> set[str]:
    """Addresses of the relays that a connection needs now. The relay of a queue that must still be made is left out,
    because perhaps no relay is chosen for this queue yet."""
    kinds = outgoing.kinds(tx, connection_id)
    needed = set()
    send_queue, receive_queue = connections.send_queue(tx, connection_id), connections.receive_queue(tx, connection_id)
    if send_queue is not None and kinds & outgoing.TO_PEER:
        needed.add(str(send_queue.server))
    if receive_queue is not None and (receiving or kinds & {Kind.SECURE_RECEIVE, Kind.DELETE, Kind.UPDATE_ADDRESS}):
        needed.add(str(receive_queue.server))
    if Kind.READ_LINK in kinds:
        needed.add(str(links.joined(tx, connection_id).link.server))
    if Kind.READ_ADDRESS in kinds:
        needed |= _address_server(tx, connection_id)
    return needed


def _address_server(tx: sqlite3.Connection, connection_id: int) -> set[str]:
    from smpchat.agent.wire.short_links import ShortContact, parse_short_link  # needed only to read an address

    try:
        link = parse_short_link(connections.load(tx, connection_id).link or "")
    except UnknownConnection:
        return set()
    return {str(link.server)} if isinstance(link, ShortContact) else set()
