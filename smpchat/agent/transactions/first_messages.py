"""Receives the first message of a queue, which is the joiner's confirmation or the initiator's hello, and copies of
this message (agent-wire 5.1 to 5.4).

The ratchet, queue secret, profile and handshake state are stored together, in the transaction that opened the message.
"""

from __future__ import annotations

import sqlite3

from smpchat.agent.context import Context
from smpchat.agent.errors import EnvelopeRefused, VersionRefused
from smpchat.agent.machines import handshake_states as states
from smpchat.agent.machines.chain import Chain
from smpchat.agent.machines.handshake_events import ConfirmationReceived, HelloReceived, PeerUnsuitable
from smpchat.agent.machines.handshake_states import Answer
from smpchat.agent.machines.notices import NoticeKind
from smpchat.agent.store import connections, consents, erasure, links
from smpchat.agent.store.connections import Connection, ReceiveQueue
from smpchat.agent.transactions import connection as connection_steps
from smpchat.agent.transactions import sending
from smpchat.agent.transactions.opening import load_ratchet, open_layers, refusing, save_opened
from smpchat.agent.wire.envelope import (
    AGENT_VERSIONS,
    Confirmation,
    ConnInfo,
    ConnInfoReply,
    ConnInfoSecured,
    agent_message,
)
from smpchat.agent.wire.links import E2E_VERSIONS
from smpchat.agent.wire.queue import CLIENT_VERSIONS
from smpchat.crypto import ratchet
from smpchat.crypto.agreement import agree_initiator
from smpchat.crypto.kem import KEMAccepted
from smpchat.crypto.keys import AuthPublicKey, Ed25519PrivateKey
from smpchat.crypto.ratchet import Ratchet, SkippedKeys
from smpchat.crypto.ratchet_wire import has_large_header
from smpchat.encoding.record import replace
from smpchat.protocol.envelope import (
    ClientMsgEnvelope,
    PHConfirmation,
)
from smpchat.protocol.queue_mode import QueueMode

SECOND_PERSON = (
    "Two people used the link that you made for {alias}, and the first one was accepted. Compare security codes,"
    " over a call or face to face: `smpchat verify {who}`."
)


def receive_first(
    tx: sqlite3.Connection,
    context: Context,
    connection: Connection,
    queue: ReceiveQueue,
    envelope: ClientMsgEnvelope,
    sent_at: int,
) -> None:
    """Process the first message of a queue: the joiner's confirmation, or the initiator's hello.

    Raises:
        EnvelopeRefused, VersionRefused: The message is not allowed at this point, or cannot be used.
    """
    if envelope.sender_key is None:
        raise EnvelopeRefused("the first message of a queue must carry the sender's key")
    with refusing("the sender's key is bad"):
        secret = queue.link_key.exchange(envelope.sender_key)
    message, inner = open_layers(secret, envelope)
    if not isinstance(inner, Confirmation):
        raise EnvelopeRefused("the first message of a queue is not a confirmation")
    # The envelope names one version, which the joiner chose from the link's range. If the version is not in our range,
    # we refuse the message: after the joiner has chosen a version, it can no longer be lowered to our highest one
    # (agent-wire 1.5, trap 20).
    if not AGENT_VERSIONS.contains(inner.agent_version):
        raise VersionRefused("agent protocol", inner.agent_version, AGENT_VERSIONS)
    sender_key = message.header.sender_key if isinstance(message.header, PHConfirmation) else None
    opened = replace(queue, e2e_secret=secret, peer_key=sender_key.der if sender_key else None)
    if states.role(connection.state) is states.Role.INITIATOR:
        _receive_confirmation(tx, context, connection, opened, inner, sender_key, sent_at)
    else:
        _receive_hello(tx, context, connection, opened, inner, sender_key, sent_at)


def _receive_confirmation(
    tx: sqlite3.Connection,
    context: Context,
    connection: Connection,
    queue: ReceiveQueue,
    envelope: Confirmation,
    sender_key: AuthPublicKey | None,
    sent_at: int,
) -> None:
    params = envelope.e2e_params
    keys = connection.x3dh_keys
    if not states.awaits_confirmation(connection.state) or params is None or keys is None:
        raise EnvelopeRefused("no confirmation is awaited")
    if not E2E_VERSIONS.contains(params.version):
        raise VersionRefused("end-to-end encryption", params.version, E2E_VERSIONS)
    # The sender's key may be missing only if the sender could secure the queue itself (agent-wire 3.2, trap 16).
    if sender_key is None and queue.mode is not QueueMode.MESSAGING:
        raise EnvelopeRefused("the confirmation lacks the key for its queue")
    offered = links.kem(tx, connection.id)
    if isinstance(params.kem, KEMAccepted) and offered is None:
        raise EnvelopeRefused("the confirmation answers a KEM key, but the link has none")
    with refusing("the confirmation does not open"):
        # The joiner wants post-quantum encryption if it sends a KEM key, or leaves room for one in its ratchet header.
        wished = params.kem is not None or has_large_header(envelope.ratchet_message)
        pq = wished and context.wants_pq_in(connection, params.version, envelope.agent_version)
        kem = None
        if isinstance(params.kem, KEMAccepted) and offered is not None:
            kem = offered.accepted(params.kem, context.kem_in(tx))
        kem_secret = kem.answer.secret if kem and kem.answer else b""
        secret = agree_initiator(keys, params.key1, params.key2, kem_secret)
        # The ratchet is made at once, without asking the user about this person, because texts may already follow the
        # confirmation (agent-wire 1.1, trap 19). The link's second X3DH key becomes the ratchet's first key (trap 6).
        fresh = Ratchet.initiator(secret, keys.key2, params.version, kem_enabled=pq, kem=kem)
        # Nothing was opened with this ratchet before, so no key can have been set aside.
        opened = ratchet.decrypt(
            fresh, SkippedKeys({}), envelope.ratchet_message, context.entropy, kem=context.kem_in(tx)
        )
        message = agent_message.decode(opened.plaintext)
    if not isinstance(message, ConnInfoReply | ConnInfoSecured):
        raise EnvelopeRefused("the confirmation holds another message")
    # A confirmation may name several queues, but only the first is used (agent-wire 3.4, trap 35).
    reply = message.queues[0]
    # After a confirmation with the tag D, our key for the reply queue is new, never the link's reply key: anyone who
    # has seen the link could tell by that key whose queue this is.
    auth_key, reply_key_ours = Ed25519PrivateKey.generate(context.entropy), None
    if isinstance(message, ConnInfoSecured):
        if connection.reply_key is None:
            raise EnvelopeRefused("the confirmation names a reply key, but the link has none")
        reply_key_ours = message.reply_key == connection.reply_key.public()
        auth_key = connection.reply_key
    if not CLIENT_VERSIONS.contains(reply.version):
        raise VersionRefused("SMP client", reply.version, CLIENT_VERSIONS)
    with refusing("the reply queue's key is bad"):
        send_queue = sending.new_send_queue(connection.id, context.entropy, reply, auth_key)
    _save_first(tx, connection, queue, envelope.ratchet_message, opened, sent_at)
    # Secret, ratchet, versions and handshake state are saved in one transaction. If they were saved in two, and the
    # process crashed between them, we could not open the confirmation when the relay delivers it again.
    connections.save_versions(tx, connection.id, envelope.agent_version, params.version)
    connections.save_pq_support(tx, connection.id, pq)
    connections.save_send_queue(tx, send_queue)
    # The user has agreed to the peer's relay by making the link that the peer used, or by using the peer's address.
    consents.add(tx, connection.id, send_queue.server)
    erasure.after_agreement(tx, connection.id)
    unsuitable = context.application.peer_info_received(tx, connection.id, message.conn_info)
    if unsuitable is not None:
        connection_steps.apply(tx, context, connection.id, PeerUnsuitable(unsuitable))
        return
    event = ConfirmationReceived(
        answer=Answer.SECURED if isinstance(message, ConnInfoSecured) else Answer.REPLY,
        sender_key=sender_key is not None,
        securable=reply.mode is QueueMode.MESSAGING,
        reply_key_ours=reply_key_ours,
    )
    connection_steps.apply(tx, context, connection.id, event)


def _receive_hello(
    tx: sqlite3.Connection,
    context: Context,
    connection: Connection,
    queue: ReceiveQueue,
    envelope: Confirmation,
    sender_key: AuthPublicKey | None,
    sent_at: int,
) -> None:
    state = connection.state
    if not isinstance(state, states.Confirming | states.AwaitingHello) or envelope.e2e_params is not None:
        raise EnvelopeRefused("no hello is awaited")
    secured = state.answer is Answer.SECURED
    if secured and sender_key is not None:
        raise EnvelopeRefused("the hello carries a key for its queue, which is already secured")
    if not secured and sender_key is None and queue.mode is not QueueMode.MESSAGING:
        raise EnvelopeRefused("the hello lacks the key for its queue")
    with refusing("the hello cannot be decrypted or read"):
        opened = ratchet.decrypt(
            load_ratchet(tx, context, connection.id),
            SkippedKeys({}),
            envelope.ratchet_message,
            context.entropy,
            kem=context.kem_in(tx),
        )
        message = agent_message.decode(opened.plaintext)
    if not isinstance(message, ConnInfo):
        raise EnvelopeRefused("the hello holds a message of the wrong kind")
    _save_first(tx, connection, queue, envelope.ratchet_message, opened, sent_at)
    unsuitable = context.application.peer_info_received(tx, connection.id, message.conn_info)
    event = HelloReceived(sender_key is not None) if unsuitable is None else PeerUnsuitable(unsuitable)
    connection_steps.apply(tx, context, connection.id, event)


def _save_first(
    tx: sqlite3.Connection,
    connection: Connection,
    queue: ReceiveQueue,
    ratchet_message: bytes,
    opened: ratchet.Decrypted,
    sent_at: int,
) -> None:
    """The queue's secret is stored together with the ratchet that opened its first message, never before."""
    # A queue that its sender may not secure accepts messages from anybody until we secure it, so a second person with
    # the link may write to it, too. A second person's message can only be opened with the link's key (see
    # `receive_repeated`). So we keep this key until the peer's first message after the handshake: that message is
    # signed, and from then on the queue accepts nobody else.
    shared = states.role(connection.state) is states.Role.INITIATOR and queue.mode is not QueueMode.MESSAGING
    connections.save_receive_queue(tx, queue if shared else replace(queue, e2e_key=None))
    save_opened(tx, connection.id, ratchet_message, opened, sent_at)
    connections.save_received(tx, connection.id, Chain().confirmed(opened.plaintext))


def receive_repeated(
    tx: sqlite3.Connection, context: Context, connection: Connection, queue: ReceiveQueue, envelope: ClientMsgEnvelope
) -> None:
    """Process a message that looks like a first message, although the queue already had one: it is a copy, or the
    confirmation of a second person with the same link."""
    assert queue.e2e_secret is not None and envelope.sender_key is not None
    try:
        _, inner = open_layers(queue.e2e_secret, envelope)
    except EnvelopeRefused:
        if queue.e2e_key is None:
            raise
        with refusing("the sender's key is bad"):
            secret = queue.e2e_key.exchange(envelope.sender_key)
        _, inner = open_layers(secret, envelope)
        # The message opens with the link's key, but not with the secret that the first sender and we share, so it is
        # from another person who has the link.
        if isinstance(inner, Confirmation) and inner.e2e_params is not None:
            context.application.notice(tx, connection.id, SECOND_PERSON, NoticeKind.SECOND_PERSON)
            return
    if not isinstance(inner, Confirmation):
        raise EnvelopeRefused("a handshake message came too late") from None
