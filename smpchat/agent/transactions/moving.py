"""Moves our own queue to another relay: carries out in the store what `smpchat.agent.machines.moving` decides.

Each step stores all its changes (state, new queue, entries for the outbox) in one transaction, which also processes the
message or answer that caused the step. If a process is killed, the next process continues the move after the last step
that was stored.

After a move, the old queue is read until it is empty, and only then deleted. Most moves are made because a relay is
gone or soon will be, so nothing else waits for this deletion. The deletion is given up when all messages that could
wait in the queue have expired.
"""

from __future__ import annotations

import logging
import sqlite3

from smpchat.agent.context import Context
from smpchat.agent.errors import MissingRecord, MoveRefused, Refusal, UnexpectedEvent
from smpchat.agent.machines import handshake_states as states
from smpchat.agent.machines import moving
from smpchat.agent.machines.moving import Outcome, Settled
from smpchat.agent.store import allowances, clock, connections, erasure, moves, outgoing
from smpchat.agent.store.allowances import HOUR, Allowance, Use
from smpchat.agent.store.connections import Connection, ReceiveQueue
from smpchat.agent.store.moves import Move, OtherQueue
from smpchat.agent.store.outgoing import Kind, Lane, OutboxItem, Priority
from smpchat.agent.transactions import sending
from smpchat.agent.transactions.rotation import same_address
from smpchat.agent.wire.envelope import QueueAdd, QueueKey, QueueUse
from smpchat.agent.wire.queue import CLIENT_VERSIONS, QueueAddress, QueueURI
from smpchat.crypto.errors import CryptoError
from smpchat.encoding.codec import boolean, pair
from smpchat.protocol.address import SMPServer, SMPServerAddress

log = logging.getLogger("smpchat.agent")

MOVED = "You now receive messages from {{alias}} at the relay {host}."
LOST = "Moving to the relay {host} failed: the new queue there cannot be used. You still receive at {old}."
NOT_FOLLOWED = "{{alias}}'s app cannot use the new relay: {why}. You still receive at the old relay."

REFUSALS = Allowance("refusal", 10, HOUR)
"""How many unusable QKEYs the user is told about within an hour: the peer may answer one move any number of times."""
LEAVE_AFTER = 10.0
"""Seconds to wait, after the peer's first message through the new queue, before the old queue is emptied and deleted.
The peer sends to both relays at the same time, so messages to the old one may still be on their way."""
LEAVE_PAUSE = 900.0
"""Seconds between two tries to reach a relay at which we only have an abandoned queue to empty and delete."""
LEAVE_FOR = 21 * 86_400.0
"""Seconds after which an abandoned queue is forgotten if its relay does not answer. Relays delete a message after 21
days, so no message can be left in the queue by then."""

_NEW = pair(boolean, boolean).encode((True, False))
"""Body of the CREATE item: the queue's sender may secure it, and NEW brings no key of the sender: this key comes later,
with QKEY (agent-wire 5.7)."""


# -- the user ---------------------------------------------------------------------------------------------------------


def begin(tx: sqlite3.Connection, context: Context, connection_id: int, relay: SMPServerAddress | None = None) -> None:
    """Begin a move, or restart one that the peer has not followed yet.

    Args:
        relay: The relay of the new queue; None: the online process chooses one.
    Raises:
        MoveRefused: The connection is not complete, the peer's software is too old to follow a move, or the peer may
            already write to the new queue.
    """
    connection = connections.load(tx, connection_id)
    if not isinstance(connection.state, states.Connected):
        raise MoveRefused(Refusal.NOT_CONNECTED)
    if connection.agent_version < moving.ROTATION_SINCE:
        raise MoveRefused(Refusal.TOO_OLD)
    try:
        _step(tx, context, connection_id, moving.Requested())
    except UnexpectedEvent as error:
        raise MoveRefused(Refusal.IN_USE) from error
    # saved even if the state did not change: the user may have chosen another relay, and the time for which the move
    # has waited is counted from now on
    moves.save(tx, connection_id, Move(moving.Creating(), context.now(), relay))


def cancel(tx: sqlite3.Connection, context: Context, connection_id: int) -> None:
    """Cancel the move. Raises `MoveRefused` if no move is under way, or if the peer may already use the new queue."""
    move = moves.load(tx, connection_id)
    if move is None:
        raise MoveRefused(Refusal.NONE)
    try:
        _step(tx, context, connection_id, moving.Cancelled())
    except UnexpectedEvent as error:
        raise MoveRefused(Refusal.IN_USE) from error


def end(tx: sqlite3.Connection, context: Context, connection_id: int) -> None:
    """The connection is deleted or has failed, so delete the new queue of its move and its abandoned queues, too,
    whether or not they are empty."""
    moves.save(tx, connection_id, Move(Settled(), context.now()))
    for other in moves.other_queues(tx, connection_id):
        _delete_queue(tx, context, other)


# -- relays -----------------------------------------------------------------------------------------------------------


def wanted_relay(tx: sqlite3.Connection, connection_id: int) -> SMPServerAddress | None:
    """The relay at which the new queue must be made; None if any relay will do."""
    move = moves.load(tx, connection_id)
    return move.relay if move else None


def queue_created(tx: sqlite3.Connection, context: Context, queue: ReceiveQueue) -> None:
    """The relay has made the new queue, and answered with IDS."""
    moves.insert_queue(tx, queue)
    _step(tx, context, queue.connection_id, moving.QueueCreated())


def queue_secured(tx: sqlite3.Connection, context: Context, connection_id: int) -> None:
    """The relay of the new queue executed KEY."""
    _step(tx, context, connection_id, moving.KeyAccepted())


def queue_lost(tx: sqlite3.Connection, context: Context, connection_id: int) -> None:
    """The relay of the new queue answered KEY or SUB with AUTH."""
    if moves.new_queue(tx, connection_id) is not None:
        _step(tx, context, connection_id, moving.QueueLost())


def queue_emptied(tx: sqlite3.Connection, item: OutboxItem) -> None:
    """An abandoned queue is empty, so it can be deleted at its relay."""
    outgoing.enqueue(tx, item.connection_id, Lane.LEAVE, Kind.DELETE_LEFT, Priority.MESSAGE, body=item.body)


def queue_deleted(tx: sqlite3.Connection, item: OutboxItem) -> None:
    """An abandoned queue does not exist any more."""
    moves.delete_queue(tx, _number(item))
    erasure.empty_log(tx)


def forget_left(tx: sqlite3.Connection, other: OtherQueue) -> None:
    """An abandoned queue is given up, whether or not its relay still has it."""
    for kind in (Kind.EMPTY, Kind.DELETE_LEFT):
        outgoing.drop_item(tx, other.queue.connection_id, kind, str(other.id).encode())
    moves.delete_queue(tx, other.id)
    erasure.empty_log(tx)


def left_queue(tx: sqlite3.Connection, item: OutboxItem) -> ReceiveQueue:
    """The abandoned queue that is emptied or deleted by this item of the lane LEAVE. Raises `MissingRecord`."""
    other = moves.queue(tx, _number(item))
    if other is None:
        raise MissingRecord("The abandoned queue is missing.")
    return other.queue


def left_relay_lost(tx: sqlite3.Connection, context: Context, item: OutboxItem) -> bool:
    """The relay of an abandoned queue cannot be reached; try again later, after the other items. Returns True if the
    queue is given up for good."""
    other, now = moves.queue(tx, _number(item)), context.now()
    if other is not None and now - (other.left_at or now) > LEAVE_FOR and not clock.is_held(tx, now):
        moves.delete_queue(tx, other.id)
        erasure.empty_log(tx)
        return outgoing.done(tx, item.id)
    outgoing.postpone_item(tx, item.id, now + LEAVE_PAUSE)
    return False


def _number(item: OutboxItem) -> int:
    return int(item.body)


# -- the peer ---------------------------------------------------------------------------------------------------------


def keys_received(tx: sqlite3.Connection, context: Context, connection: Connection, message: QueueKey) -> None:
    """Process QKEY, which brings the peer's keys for our new queue. Keys for a queue other than the new one answer a
    cancelled move, and are ignored."""
    new = moves.new_queue(tx, connection.id)
    found = next(
        ((info, key) for info, key in message.queues if new is not None and _is_at(new, info.server, info.sender_id)),
        None,
    )
    move = moves.load(tx, connection.id)
    if new is None or found is None or move is None:
        log.info("keys came for a queue that no move leads to")
        return
    info, key = found
    # If the peer sends QKEY several times, only the keys in the first one are used. The relay may already have the
    # peer's key from that QKEY, and would refuse another one (smp-wire 7.2).
    if new.queue.e2e_secret is None:
        if not CLIENT_VERSIONS.contains(info.version):
            _not_followed(
                tx,
                context,
                connection.id,
                f"its answer uses SMP client version {info.version}, which this smpchat does not support",
            )
            return
        try:
            secret = new.queue.link_key.exchange(info.dh_key)
        except CryptoError:
            _not_followed(tx, context, connection.id, "its answer contains a bad key")
            return
        moves.save_keys(tx, new.id, secret, key.der)
        erasure.empty_log(tx)
    _step(tx, context, connection.id, moving.KeysReceived())


def _not_followed(tx: sqlite3.Connection, context: Context, connection_id: int, why: str) -> None:
    if allowances.use(tx, connection_id, REFUSALS, context.now()) is Use.ALLOWED:
        context.application.notice(tx, connection_id, NOT_FOLLOWED.format(why=why))


def _is_at(other: OtherQueue, server: SMPServer, sender_id: bytes) -> bool:
    return same_address(QueueAddress(server, sender_id), other.queue)


def message_arrived(tx: sqlite3.Connection, context: Context, other: OtherQueue) -> None:
    """A message of the peer came through the new queue or an abandoned one, and opened with this queue's secret. Only a
    message through the new queue changes the move."""
    if other.left_at is None:
        _step(tx, context, other.queue.connection_id, moving.MessageArrived())


# -- the machine ------------------------------------------------------------------------------------------------------


def _step(tx: sqlite3.Connection, context: Context, connection_id: int, event: moving.Event) -> None:
    move = moves.load(tx, connection_id) or Move(Settled(), context.now())
    after, effects = moving.step(move.state, event)
    if after != move.state:
        moves.save(tx, connection_id, Move(after, context.now(), move.relay))
    for effect in effects:
        _perform(tx, context, connection_id, effect)


def _perform(tx: sqlite3.Connection, context: Context, connection_id: int, effect: moving.Effect) -> None:
    match effect:
        case moving.CreateQueue():
            outgoing.enqueue(tx, connection_id, Lane.MOVE, Kind.CREATE, Priority.SECURE, body=_NEW)
        case moving.SendAdd():
            own, new = _own(tx, connection_id), _new(tx, connection_id).queue
            uri = QueueURI(CLIENT_VERSIONS, new.server, new.snd_id, new.link_key.public(), new.mode)
            added = QueueAdd(((uri, QueueAddress(own.server, own.snd_id)),))
            sending.submit(tx, context, connection_id, added)
        case moving.SecureQueue():
            outgoing.enqueue(tx, connection_id, Lane.MOVE, Kind.SECURE_NEW, Priority.SECURE)
        case moving.SendUse():
            new = _new(tx, connection_id).queue
            use = QueueUse(((QueueAddress(new.server, new.snd_id), True),))
            sending.submit(tx, context, connection_id, use)
        case moving.DropQueue():
            outgoing.drop(tx, connection_id, Lane.MOVE)
            dropped = moves.new_queue(tx, connection_id)
            if dropped is not None:
                _delete_queue(tx, context, dropped)
        case moving.Adopt():
            _adopt(tx, context, connection_id)
        case moving.Tell(Outcome.MOVED):
            context.application.notice(tx, connection_id, MOVED.format(host=_own(tx, connection_id).server.hosts[0]))
        case moving.Tell(Outcome.LOST):
            lost = moves.other_queues(tx, connection_id)[-1].queue  # the one dropped just now
            old = _own(tx, connection_id).server.hosts[0]
            context.application.notice(tx, connection_id, LOST.format(host=lost.server.hosts[0], old=old))


def _adopt(tx: sqlite3.Connection, context: Context, connection_id: int) -> None:
    own, new = _own(tx, connection_id), _new(tx, connection_id)
    moves.delete_queue(tx, new.id)
    connections.save_receive_queue(tx, new.queue)
    number = moves.insert_queue(tx, own, context.now())
    outgoing.enqueue(
        tx,
        connection_id,
        Lane.LEAVE,
        Kind.EMPTY,
        Priority.MESSAGE,
        body=str(number).encode(),
        not_before=context.now() + LEAVE_AFTER,
    )


def _delete_queue(tx: sqlite3.Connection, context: Context, other: OtherQueue) -> None:
    """Delete a queue without reading it first, because we do not need any messages that may wait there."""
    moves.leave_queue(tx, other.id, context.now())
    number = str(other.id).encode()
    outgoing.drop_item(tx, other.queue.connection_id, Kind.EMPTY, number)
    outgoing.enqueue(tx, other.queue.connection_id, Lane.LEAVE, Kind.DELETE_LEFT, Priority.MESSAGE, body=number)


def _own(tx: sqlite3.Connection, connection_id: int) -> ReceiveQueue:
    queue = connections.receive_queue(tx, connection_id)
    if queue is None:
        raise MissingRecord("The receive queue is missing.")
    return queue


def _new(tx: sqlite3.Connection, connection_id: int) -> OtherQueue:
    queue = moves.new_queue(tx, connection_id)
    if queue is None:
        raise MissingRecord("The move's new queue is missing.")
    return queue
