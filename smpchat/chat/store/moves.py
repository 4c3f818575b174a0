"""Unfinished moves of our own queues to other relays, in the form that is shown to users and scripts."""

from __future__ import annotations

import sqlite3

from smpchat.agent.store import moves
from smpchat.encoding.record import Record


class MoveView(Record):
    """An unfinished move of one of our own queues to another relay.

    Attributes:
        step: How far the move is: ``creating``, ``asked``, ``securing`` or ``using``, as described in
            `smpchat.agent.machines.moving`.
        since: When the present step of the move began, in POSIX seconds.
        relay: Host of the new relay; None if this relay is not chosen yet.
    """

    step: str
    since: float
    relay: str | None


def move_views(tx: sqlite3.Connection) -> dict[int, MoveView]:
    """All unfinished moves of our queues. The key of each move is the number of the queue's connection."""
    return {number: _view(tx, number, move) for number, move in moves.load_all(tx).items()}


def _view(tx: sqlite3.Connection, connection_id: int, move: moves.Move) -> MoveView:
    new = moves.new_queue(tx, connection_id)
    server = new.queue.server if new else move.relay.server if move.relay else None
    return MoveView(type(move.state).__name__.lower(), move.since, server.hosts[0] if server else None)
