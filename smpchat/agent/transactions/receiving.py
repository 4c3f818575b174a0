"""Processes one message from a relay: opens its layers, checks it, passes it to the state machines, and stores it.

Source: agent-wire 3.1 to 3.6 and 5. All this happens in one transaction. A message that cannot be opened, or is not
allowed at this point, raises `EnvelopeRefused`: the caller rolls back, acknowledges the message and forgets it, so it
never blocks the queue.
"""

from __future__ import annotations

import hashlib
import logging
import sqlite3

from smpchat.agent.context import Context
from smpchat.agent.errors import EnvelopeRefused, HeldBack, NumberRefused, UnexpectedEvent, VersionRefused
from smpchat.agent.machines import delivery, resync_states
from smpchat.agent.machines import handshake_states as states
from smpchat.agent.machines.chain import MAX_MESSAGE_ID, Chain
from smpchat.agent.machines.delivery import Integrity
from smpchat.agent.machines.handshake_events import PeerReady
from smpchat.agent.machines.notices import NoticeKind
from smpchat.agent.store import allowances, connections, moves, outgoing, owed, ratchets, resyncs
from smpchat.agent.store.allowances import DAY, Allowance, Use
from smpchat.agent.store.connections import Connection, ReceiveQueue
from smpchat.agent.transactions import connection as connection_steps
from smpchat.agent.transactions import contact_address, moving, renegotiation, rotation, sending
from smpchat.agent.transactions.first_messages import receive_first, receive_repeated
from smpchat.agent.transactions.opening import load_ratchet, open_layers, refusing, save_opened
from smpchat.agent.wire.envelope import (
    AGENT_VERSIONS,
    AMessage,
    Hello,
    InvitationEnvelope,
    MessageEnvelope,
    NumberedMessage,
    QueueAdd,
    QueueContinue,
    QueueKey,
    QueueUse,
    RatchetKeyEnvelope,
    RatchetReady,
    Receipt,
    Receipts,
    UserMessage,
    agent_message,
    sizes,
)
from smpchat.agent.wire.links import E2E_VERSIONS
from smpchat.agent.wire.queue import CLIENT_VERSIONS, QueueAddress
from smpchat.crypto import ratchet
from smpchat.crypto.ratchet import Ratchet, RatchetError
from smpchat.crypto.ratchet_wire import has_large_header
from smpchat.encoding.record import Record
from smpchat.protocol.address import SMPServer
from smpchat.protocol.envelope import (
    ClientMsgEnvelope,
    PHConfirmation,
    client_msg_envelope,
)
from smpchat.protocol.messages import QuotaMarker, open_message

log = logging.getLogger("smpchat.agent")

RECEIPTS_SINCE = 4
"""The first agent version that supports delivery receipts."""
MESSAGES = Allowance("message", 20_000, DAY)
"""How many messages for the application a contact may send in a day: one every four seconds on average, and at most 1.3
GB. Further messages stay at the relay. When the queue there is full, the relay accepts no more from the sender."""
BROKEN_CHAIN = "Messages from {alias} were lost, or arrived out of order."
LAST_MOMENT = 32_503_680_000
"""Every platform can show times before this one as dates. This is the start of the year 3000, in POSIX seconds."""


class Received(Record):
    """What the caller must know about a message that was processed.

    Attributes:
        resume: Whether messages to the peer need not wait any longer: the peer's queue has room again, or the peer uses
            another queue.
    """

    connection_id: int
    resume: bool = False


def receive(
    tx: sqlite3.Connection, context: Context, server: SMPServer, rcv_id: bytes, msg_id: bytes, sealed: bytes
) -> Received | None:
    """Process one message from a relay (MSG).

    Args:
        sealed: The body of the MSG, which the relay has encrypted for us.
    Returns:
        None if the queue is not ours, or is no longer ours.
    Raises:
        EnvelopeRefused: The message cannot be used. Roll the transaction back, and acknowledge the message.
        KEMUnavailable, HeldBack: The message cannot be processed now, and must not be acknowledged.
    """
    try:
        return _receive(tx, context, server, rcv_id, msg_id, sealed)
    except UnexpectedEvent as error:
        raise EnvelopeRefused(str(error)) from error


def _receive(
    tx: sqlite3.Connection, context: Context, server: SMPServer, rcv_id: bytes, msg_id: bytes, sealed: bytes
) -> Received | None:
    other = moves.find_queue(tx, server, rcv_id)
    queue = other.queue if other else connections.find_receive_queue(tx, server, rcv_id)
    if queue is None:
        return None
    connection = connections.load(tx, queue.connection_id)
    if isinstance(connection.state, states.Failed | states.Deleted) or queue.dh_secret is None:
        return Received(connection.id)
    with refusing("the message does not open"):
        message = open_message(queue.dh_secret, msg_id, sealed)
    if isinstance(message, QuotaMarker):
        if states.may_send(connection.state) and owed.has_room(tx, connection.id):
            # Our queue was full, so the relay put this marker at its end. The relay refuses the peer's SENDs until we
            # have read everything in the queue, including the marker. QCONT tells the peer that it may send again
            # (smp-wire 7.4).
            address = QueueAddress(queue.server, queue.snd_id)
            sending.submit(tx, context, connection.id, QueueContinue(address))
        return Received(connection.id)
    with refusing("the message is malformed"):
        envelope = client_msg_envelope.decode(message.body)
    sent_at = message.timestamp
    if not 0 <= sent_at < LAST_MOMENT:  # the relay may name any time, even one that no calendar can show
        sent_at = int(context.now())
    if isinstance(connection.state, states.Published):
        contact_address.request_received(tx, context, connection.id, _open_request(queue, envelope), sent_at)
        return Received(connection.id)
    if not CLIENT_VERSIONS.contains(envelope.version):
        raise VersionRefused("SMP client", envelope.version, CLIENT_VERSIONS)
    if other is not None and (queue.e2e_secret is None or envelope.sender_key is not None):
        raise EnvelopeRefused("a message of the handshake came through the new queue of a move")
    # The four cases of agent-wire 3.2: does the queue have a secret, and does the message bring a key?
    if queue.e2e_secret is None:
        receive_first(tx, context, connection, queue, envelope, sent_at)
        return Received(connection.id)
    if envelope.sender_key is not None:
        receive_repeated(tx, context, connection, queue, envelope)
        return Received(connection.id)
    opened, inner = open_layers(queue.e2e_secret, envelope)
    if not isinstance(opened.header, PHConfirmation):
        if queue.e2e_key is not None and isinstance(inner, MessageEnvelope | RatchetKeyEnvelope):
            connections.forget_link_key(tx, connection.id)
        if other is not None and isinstance(inner, MessageEnvelope | RatchetKeyEnvelope):
            moving.message_arrived(tx, context, other)
        if isinstance(inner, MessageEnvelope):
            return _receive_message(tx, context, connection, inner, sent_at)
        if isinstance(inner, RatchetKeyEnvelope):
            renegotiation.keys_received(tx, context, connection, inner, sent_at)
            connections.raise_agent_version(tx, connection.id, min(inner.agent_version, AGENT_VERSIONS.maximum))
            return Received(connection.id)
    raise EnvelopeRefused("a handshake message came too late")


# -- requests ---------------------------------------------------------------------------------------------------------


def _open_request(queue: ReceiveQueue, envelope: ClientMsgEnvelope) -> InvitationEnvelope:
    """Open a message that was sent to our contact address. Every message to an address brings its own key, which is not
    kept (agent-wire 3.2)."""
    if envelope.sender_key is None or not CLIENT_VERSIONS.contains(envelope.version):
        raise EnvelopeRefused("a contact request must carry its sender's key, and a version that is known")
    with refusing("the sender's key is bad"):
        secret = queue.link_key.exchange(envelope.sender_key)
    # The secret that we share with this requester is used once and forgotten: the next requester brings another key
    # (agent-wire trap 36).
    message, inner = open_layers(secret, envelope)
    if isinstance(message.header, PHConfirmation) or not isinstance(inner, InvitationEnvelope):
        raise EnvelopeRefused("a message that is not a contact request came to the address")
    return inner


# -- numbered messages ------------------------------------------------------------------------------------------------


def _receive_message(
    tx: sqlite3.Connection, context: Context, connection: Connection, envelope: MessageEnvelope, sent_at: int
) -> Received:
    copy_of = hashlib.sha256(envelope.ratchet_message).digest()
    # Copies are found before the ratchet is used: the ratchet cannot open a copy of an old message, and we would take
    # this failure as a reason for new keys (agent-wire 5.4). A copy is acknowledged, or the relay would deliver it for
    # ever.
    if ratchets.was_seen(tx, connection.id, copy_of):
        return Received(connection.id)
    before = load_ratchet(tx, context, connection.id)
    if not before.kem_enabled and (before.large_headers or has_large_header(envelope.ratchet_message)):
        before = _support_pq(tx, context, connection, before)
    try:
        opened = ratchet.decrypt(
            before,
            ratchets.load_skipped(tx, connection.id),
            envelope.ratchet_message,
            context.entropy,
            kem=context.kem_in(tx),
        )
    except RatchetError as error:
        if _may_be_forgotten(tx, context, connection.id, sent_at):
            log.info("an old message, whose hash may be forgotten, does not open: %s", error)
            return Received(connection.id)
        copy = ratchets.was_opened(tx, connection.id, copy_of)
        renegotiation.message_failed(tx, context, connection, error, sent_at, copy)
        return Received(connection.id)
    with refusing("the message is malformed"):
        message = agent_message.decode(opened.plaintext)
    if not isinstance(message, NumberedMessage):
        raise EnvelopeRefused("a handshake message came too late")
    if message.message_id > MAX_MESSAGE_ID:
        raise NumberRefused(message.message_id)
    save_opened(tx, connection.id, envelope.ratchet_message, opened, sent_at)
    # The hash is over the agent message, without padding and envelopes (agent-wire 3.6, trap 14). If the chain is
    # broken, the user is told, but the message is delivered.
    chain, integrity = delivery.receive(connection.received, message, opened.plaintext)
    if integrity is Integrity.SKIPPED and _only_keys_are_missing(tx, connection, message, opened.plaintext):
        integrity = Integrity.OK
    connections.save_received(tx, connection.id, chain)
    connections.raise_agent_version(tx, connection.id, min(envelope.agent_version, AGENT_VERSIONS.maximum))
    connections.save_pq_support(tx, connection.id, opened.ratchet.large_headers)
    if integrity is not Integrity.OK and not isinstance(message.message, UserMessage):
        # for a user message, the application itself shows that messages before it are missing
        context.application.notice(tx, connection.id, BROKEN_CHAIN, NoticeKind.MESSAGES_LOST)
    renegotiation.message_opened(tx, context, connection, sent_at, late=opened.ratchet is before)
    renegotiation.kem_changed(tx, context, connection.id, before, opened.ratchet)
    if isinstance(message.message, RatchetReady):
        renegotiation.ready_received(tx, context, connection, receiving_only=before.sending is None)
        return Received(connection.id)
    return _dispatch(tx, context, connection, message.message_id, message.message, chain, sent_at, integrity)


def _only_keys_are_missing(
    tx: sqlite3.Connection, connection: Connection, message: NumberedMessage, plaintext: bytes
) -> bool:
    """Whether the only id missing before this message is that of an R envelope, in which the peer sent new ratchet
    keys.

    If we did not ask for these keys, the R envelope's id is counted only when the user accepts the keys. If newer
    messages may have come after the keys, this id is not counted at all (see `renegotiation.request`).
    """
    after_keys, standing = delivery.renegotiated(connection.received), resyncs.load(tx, connection.id)
    if isinstance(standing, resync_states.Agreed):
        # If the chain of received messages ends with an R envelope, the id of this envelope was counted when the user
        # accepted the keys. Then any id that is missing before this message belongs to a lost message.
        not_counted = after_keys.last_hash != connection.received.last_hash
    else:
        not_counted = isinstance(standing, resync_states.Asked)
    return not_counted and delivery.receive(after_keys, message, plaintext)[1] is Integrity.OK


def _may_be_forgotten(tx: sqlite3.Connection, context: Context, connection_id: int, sent_at: int) -> bool:
    """Whether a message that cannot be opened may be a copy of an old message whose hash is not kept any more. The
    caller ignores the failure to open such a copy.

    A queue delivers its messages in the order of their times, so a new message is later than all that were opened
    before. The worst that a relay can do by lying about times is to make us ignore a message, and it could just as well
    have withheld that message. If the relay's clock was ahead for a while, its times are not trusted until our clock
    has reached them.
    """
    until = ratchets.forgotten_until(tx, connection_id)
    return until is not None and sent_at <= until <= context.now()


def _support_pq(tx: sqlite3.Connection, context: Context, connection: Connection, before: Ratchet) -> Ratchet:
    """Return the ratchet with its KEM turned on. This is called when our headers or the peer's have room for a KEM.

    The ratchet is returned unchanged if we want no KEM, or as long as a waiting message is too long to be sent with the
    longer headers (agent-wire 3.5: room in the headers is only added, never taken away). If the KEM was off because
    this computer had none for a while, the next turn of the ratchet offers a KEM key again.
    """
    fits = before.large_headers or outgoing.longest_waiting(tx, connection.id) <= sizes(True).user_message
    wanted = context.wants_pq_in(connection, E2E_VERSIONS.maximum)
    return before.with_kem(True) if wanted and fits else before


def _dispatch(
    tx: sqlite3.Connection,
    context: Context,
    connection: Connection,
    message_id: int,
    message: AMessage,
    chain: Chain,
    sent_at: int,
    integrity: Integrity,
) -> Received:
    match message:
        case UserMessage(body):
            if allowances.use(tx, connection.id, MESSAGES, context.now()) is not Use.ALLOWED:
                # Raising this error undoes what the message has changed in ratchet and chain. The relay keeps the
                # message, so we can open it on another day.
                raise HeldBack("more messages came within a day than we accept")
            wants_receipt = context.application.message_received(tx, connection.id, body, sent_at, integrity)
            # The connection is loaded again, because this message may have raised its agent version.
            knows_receipts = connections.load(tx, connection.id).agent_version >= RECEIPTS_SINCE
            if wants_receipt and knows_receipts and owed.has_room(tx, connection.id):
                receipt = Receipts((Receipt(message_id, chain.last_hash),))
                sending.submit(tx, context, connection.id, receipt)
        case Receipts(receipts):
            for receipt_ in receipts:
                _receive_receipt(tx, context, connection.id, receipt_)
        case Hello():
            connection_steps.apply(tx, context, connection.id, PeerReady())
        case QueueContinue(address):
            # QCONT counts only for the queue in use: while the peer moves, it may be about the peer's other queue
            current = sending.required_send_queue(tx, connection.id)
            return Received(connection.id, resume=rotation.same_address(address, current))
        case QueueAdd():
            rotation.queue_added(tx, context, connection, message)
        case QueueUse():
            return Received(connection.id, resume=rotation.queues_to_use(tx, context, connection, message))
        case QueueKey():
            moving.keys_received(tx, context, connection, message)
        case _:  # for QTEST, only the queue through which it came matters
            log.debug("%s", type(message).__name__)
    return Received(connection.id)


def _receive_receipt(tx: sqlite3.Connection, context: Context, connection_id: int, receipt: Receipt) -> None:
    sent = outgoing.take_sent(tx, connection_id, receipt.message_id)
    if sent is None:
        return  # a repeated receipt, or a receipt for something that was not a user message
    message_hash, reference = sent
    # A receipt contains the hash of the whole message. If this hash is not that of the message we sent, the contact has
    # received a different message (agent-wire 5.6).
    if message_hash == receipt.message_hash:
        context.application.message_delivered(tx, reference)
    else:
        context.application.message_failed(tx, reference, "Your contact received a different message.")
