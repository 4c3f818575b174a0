"""Turns agent messages into bodies of SEND: encrypted by the ratchet, put into an agent envelope, and sealed in the
queue's box (agent-wire 3.2 to 3.5)."""

from __future__ import annotations

import sqlite3

from smpchat.agent.machines import delivery
from smpchat.agent.machines.chain import Chain
from smpchat.agent.store import connections, ratchets
from smpchat.agent.store.connections import Connection, SendQueue
from smpchat.agent.wire.envelope import (
    AGENT_VERSIONS,
    AgentEnvelope,
    AgentMessage,
    AMessage,
    Confirmation,
    InvitationEnvelope,
    MessageEnvelope,
    RatchetInfo,
    RatchetKeyEnvelope,
    agent_envelope,
    agent_message,
    sizes,
)
from smpchat.crypto import ratchet
from smpchat.crypto.agreement import E2EParams
from smpchat.crypto.entropy import Entropy
from smpchat.protocol.envelope import (
    CONFIRMATION_PADDING,
    MESSAGE_PADDING,
    ClientMessage,
    PHConfirmation,
    PHEmpty,
    client_msg_envelope,
    open_client_message,
    seal_client_message,
)


def seal_first_message(
    tx: sqlite3.Connection,
    entropy: Entropy,
    connection: Connection,
    queue: SendQueue,
    message: AgentMessage,
    *,
    params: E2EParams | None,
    signed: bool,
) -> bytes:
    """Seal the joiner's confirmation (with X3DH ``params``) or the initiator's hello (without), save ratchet and chain,
    and return the body of the SEND.

    If this SEND will not be ``signed``, its body contains the key with which the peer must secure its queue.
    """
    plaintext = agent_message.encode(message)
    ciphertext = _encrypt(tx, connection.id, plaintext, first=True)
    # The confirmation or hello counts as message 1: message 2 contains its hash (agent-wire 3.6, trap 13).
    connections.save_sent(tx, connection.id, Chain().confirmed(plaintext))
    # Envelopes C and I (confirmation and invitation) name the agreed agent version; M and R (message and ratchet keys,
    # below) name our highest one (agent-wire 1.5, trap 21).
    envelope = Confirmation(connection.agent_version, params, ciphertext)
    # A SEND is signed if the queue already has our key; an unsigned SEND has to bring this key to the peer (agent-wire
    # 3.7, trap 15).
    header = PHEmpty() if signed else PHConfirmation(queue.auth_key.public())
    return seal_client_message(
        queue.client_version,
        queue.e2e_public,
        queue.e2e_secret,
        entropy.random(24),
        ClientMessage(header, agent_envelope.encode(envelope)),
        CONFIRMATION_PADDING,
    )


def seal_request(entropy: Entropy, connection: Connection, address: SendQueue, link: str, info: bytes) -> bytes:
    """The body of the SEND that carries a contact request: our invitation (``link``) and profile (``info``), sealed in
    the box of the address's queue. No ratchet protects them."""
    envelope = InvitationEnvelope(connection.agent_version, link.encode(), info)
    return seal_client_message(
        address.client_version,
        address.e2e_public,
        address.e2e_secret,
        entropy.random(24),
        ClientMessage(PHEmpty(), agent_envelope.encode(envelope)),
        CONFIRMATION_PADDING,
    )


def seal_message(
    tx: sqlite3.Connection, entropy: Entropy, connection: Connection, queue: SendQueue, message: AMessage
) -> tuple[bytes, Chain]:
    """Seal the next numbered message, and save ratchet and chain. Returns the body of the message's SEND, and the hash
    chain that now ends with this message."""
    chain, plaintext = delivery.append(connection.sent, message)
    ciphertext = _encrypt(tx, connection.id, plaintext, first=False)
    connections.save_sent(tx, connection.id, chain)
    return seal_envelope(entropy, queue, MessageEnvelope(AGENT_VERSIONS.maximum, ciphertext)), chain


def seal_ratchet_keys(
    tx: sqlite3.Connection, entropy: Entropy, connection: Connection, queue: SendQueue, params: E2EParams
) -> bytes:
    """The body of the SEND that carries an R envelope (our keys for a new ratchet). An R envelope is not encrypted by
    the ratchet, but uses up a message id, so this id is saved as the last one of the chain."""
    connections.save_sent(tx, connection.id, delivery.renegotiated(connection.sent))
    info = agent_message.encode(RatchetInfo())
    return seal_envelope(entropy, queue, RatchetKeyEnvelope(AGENT_VERSIONS.maximum, params, info))


def seal_again(entropy: Entropy, body: bytes, old: SendQueue, new: SendQueue) -> bytes:
    """Open the body of a SEND that was made for the queue ``old``, and seal its content, unchanged, in the box of the
    queue ``new``."""
    # Both ends of a queue share one secret (agent-wire 3.2), so we can open the boxes that we sealed with it.
    message = open_client_message(old.e2e_secret, client_msg_envelope.decode(body))
    return _seal_client_message(entropy, new, message)


def seal_envelope(entropy: Entropy, queue: SendQueue, envelope: AgentEnvelope) -> bytes:
    """The body of the SEND that carries an envelope after the handshake: its header contains no keys."""
    return _seal_client_message(entropy, queue, ClientMessage(PHEmpty(), agent_envelope.encode(envelope)))


def _seal_client_message(entropy: Entropy, queue: SendQueue, message: ClientMessage) -> bytes:
    return seal_client_message(
        queue.client_version, None, queue.e2e_secret, entropy.random(24), message, MESSAGE_PADDING
    )


def _encrypt(tx: sqlite3.Connection, connection_id: int, plaintext: bytes, *, first: bool) -> bytes:
    before = ratchets.load(tx, connection_id)
    # Take the length that goes with the size of the ratchet's headers, not with the connection's flag ``pq_support``:
    # header and body must always fit into one SEND.
    lengths = sizes(before.large_headers)
    padded_length = lengths.confirmation if first else lengths.message
    advanced, ciphertext = ratchet.encrypt(before, plaintext, padded_length)
    ratchets.save(tx, connection_id, advanced)
    return ciphertext
