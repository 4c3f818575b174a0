"""Outgoing messages: they wait until they may be sealed, and are then put into the outbox in order, exactly once."""

from __future__ import annotations

import sqlite3

from smpchat.agent.context import Context
from smpchat.agent.errors import AgentError, MessageTooLarge, MissingRecord, TooManyWait
from smpchat.agent.machines import handshake_states as states
from smpchat.agent.machines import resync_states
from smpchat.agent.machines.failures import failure_sentence
from smpchat.agent.store import connections, outgoing, owed, resyncs, rotations
from smpchat.agent.store.connections import Connection, SendQueue
from smpchat.agent.store.outgoing import Kind, Lane, OutboxItem, Priority
from smpchat.agent.transactions import sealing
from smpchat.agent.wire.envelope import USER_MESSAGE, AMessage, RatchetReady, Receipts, UserMessage, a_message, sizes
from smpchat.agent.wire.queue import QueueInfo
from smpchat.crypto.agreement import E2EParams
from smpchat.crypto.entropy import Entropy
from smpchat.crypto.keys import Ed25519PrivateKey, X25519PrivateKey


def required_send_queue(tx: sqlite3.Connection, connection_id: int) -> SendQueue:
    """The connection's send queue, which must exist at this point. Raises `MissingRecord`."""
    queue = connections.send_queue(tx, connection_id)
    if queue is None:
        raise MissingRecord("The peer's queue is missing.")
    return queue


def new_send_queue(connection_id: int, entropy: Entropy, queue: QueueInfo, auth_key: Ed25519PrivateKey) -> SendQueue:
    """A send queue for the peer's queue that ``queue`` describes: with ``auth_key``, and a new key for its box. Raises
    `CryptoError` for a bad key of the peer."""
    e2e_key = X25519PrivateKey.generate(entropy)
    return SendQueue(
        connection_id=connection_id,
        server=queue.server,
        snd_id=queue.sender_id,
        mode=queue.mode,
        client_version=queue.version,
        auth_key=auth_key,
        e2e_public=e2e_key.public(),
        e2e_secret=e2e_key.exchange(queue.dh_key),
    )


def max_body(tx: sqlite3.Connection, connection_id: int) -> int:
    """How many bytes a chat message may have on this connection. If its JSON is sent compressed, only the compressed
    bytes count (agent-wire 6.5).

    This maximum becomes smaller at most once, when the connection begins to leave room for a KEM in its ratchet
    headers.
    """
    return sizes(connections.load(tx, connection_id).pq_support).chat_body


def may_send(tx: sqlite3.Connection, connection: Connection) -> bool:
    """Whether the handshake and the ratchet allow messages to be sent. Even if they do, messages of the user may have
    to wait: see `holds_texts`."""
    return states.may_send(connection.state) and not resync_states.holds_all(resyncs.load(tx, connection.id))


def holds_texts(tx: sqlite3.Connection, connection_id: int) -> bool:
    """Whether messages of the user must wait: for the user's decision about changed keys, or for a new ratchet."""
    if outgoing.holds_texts(tx, connection_id):
        return True
    return resync_states.holds_texts(resyncs.load(tx, connection_id))


def hold_texts(tx: sqlite3.Connection, connection_id: int, now: float) -> None:
    """Hold the user's messages until `let_texts_go` is called: those that no relay has accepted yet, and later ones.
    The messages that agents send each other for the protocol itself do not wait."""
    outgoing.hold_texts(tx, connection_id, now)
    outgoing.park(tx, connection_id, USER_MESSAGE)


def let_texts_go(tx: sqlite3.Connection, context: Context, connection_id: int) -> None:
    """End the wait that `hold_texts` began: send the user's messages, unless they also wait for something else."""
    if outgoing.let_texts_go(tx, connection_id):
        release(tx, context, connection_id)


def submit(
    tx: sqlite3.Connection,
    context: Context,
    connection_id: int,
    message: AMessage,
    *,
    notify: bool = False,
    reference: int | None = None,
) -> None:
    """Accept a message: it is sealed and sent as soon as handshake and ratchet allow, in order, exactly once.

    Args:
        notify: Whether to ask the relay to notify the peer's devices of the message (a flag of SEND).
        reference: The application's number for a message of the user; None for the agent's own messages.
    Raises:
        MessageTooLarge: A user message is too long for this connection.
        TooManyWait: So many messages of the user are waiting that no more are accepted.
        AgentError: The connection failed or was deleted.
    """
    connection = connections.load(tx, connection_id)
    limit = sizes(connection.pq_support).user_message
    # The size is checked now: a message that waits for the handshake is sealed later, when the caller can no longer be
    # told that it does not fit.
    if isinstance(message, UserMessage) and len(message.body) > limit:
        raise MessageTooLarge(len(message.body), limit)
    if isinstance(connection.state, states.Failed):
        raise AgentError(failure_sentence(connection.state))
    if isinstance(connection.state, states.Deleted):
        raise AgentError("You deleted this contact. To write to them again, connect with a new link.")
    if reference is not None and not owed.takes_texts(tx, connection_id):
        raise TooManyWait
    outgoing.wait(tx, connection_id, a_message.encode(message), notify=notify, reference=reference)
    release(tx, context, connection_id)


def release(tx: sqlite3.Connection, context: Context, connection_id: int) -> None:
    """Put all waiting messages that may be sent now into the outbox, in order: sealed, except for receipts, which
    `seal_receipt` seals later."""
    if not may_send(tx, connections.load(tx, connection_id)):
        return
    held = USER_MESSAGE if holds_texts(tx, connection_id) else None
    if held is None:
        outgoing.unpark(tx, connection_id, rotations.hold_until(tx, connection_id))
    for waiting in outgoing.take_waiting(tx, connection_id, but=held):
        message = a_message.decode(waiting.message)
        if isinstance(message, Receipts):
            _await_turn(tx, connection_id, waiting.message)
            continue
        send(tx, context, connection_id, message, notify=waiting.notify, reference=waiting.reference)


def seal_receipt(tx: sqlite3.Connection, context: Context, item: OutboxItem) -> None:
    """A receipt's turn has come: if the user still allows receipts to be sent, seal this one, after all messages that
    are already sealed.

    A sealed message has a number, and the peer would notice if it were missing. The user may turn receipts off at any
    time, so a receipt is sealed only just before it is sent.
    """
    plaintext = outgoing.take_receipt(tx, item.id)
    if plaintext is None or not context.application.gives_receipts(tx, item.connection_id):
        return
    if may_send(tx, connections.load(tx, item.connection_id)):
        send(tx, context, item.connection_id, a_message.decode(plaintext))
    else:
        outgoing.wait(tx, item.connection_id, plaintext, notify=False, reference=None)


def _await_turn(tx: sqlite3.Connection, connection_id: int, receipt: bytes) -> None:
    outgoing.enqueue(
        tx,
        connection_id,
        Lane.SEND,
        Kind.RECEIPT,
        Priority.RECEIPT,
        not_before=rotations.hold_until(tx, connection_id),
        message=receipt,
    )


def send(
    tx: sqlite3.Connection,
    context: Context,
    connection_id: int,
    message: AMessage,
    *,
    kind: Kind = Kind.MESSAGE,
    notify: bool = False,
    reference: int | None = None,
) -> None:
    """Seal a message now, even if other messages still wait to be sealed, and put it into the outbox."""
    connection, queue = connections.load(tx, connection_id), required_send_queue(tx, connection_id)
    body, chain = sealing.seal_message(tx, context.entropy, connection, queue, message)
    if reference is not None:
        outgoing.record_sent(tx, connection_id, chain.last_id, chain.last_hash, reference)
    # EREADY belongs to the ratchet that sealed it, so it is never sealed again with another ratchet.
    again = None if isinstance(message, RatchetReady) else a_message.encode(message)
    _enqueue(tx, connection_id, kind, body, notify=notify, reference=reference, message=again)


def send_ratchet_keys(tx: sqlite3.Connection, context: Context, connection_id: int, params: E2EParams) -> None:
    """Put an R envelope (our keys for a new ratchet) into the outbox, after all messages that are already sealed."""
    connection, queue = connections.load(tx, connection_id), required_send_queue(tx, connection_id)
    body = sealing.seal_ratchet_keys(tx, context.entropy, connection, queue, params)
    _enqueue(tx, connection_id, Kind.MESSAGE, body, notify=True, reference=None)


def _enqueue(
    tx: sqlite3.Connection,
    connection_id: int,
    kind: Kind,
    body: bytes,
    *,
    notify: bool,
    reference: int | None,
    message: bytes | None = None,
) -> None:
    outgoing.enqueue(
        tx,
        connection_id,
        Lane.SEND,
        kind,
        Priority.MESSAGE,
        body=body,
        notify=notify,
        reference=reference,
        not_before=rotations.hold_until(tx, connection_id),
        message=message,
    )
