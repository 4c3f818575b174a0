"""From agent messages to bodies of SEND: ratchet, agent envelope, per-queue box (agent-wire 3.2 to 3.5)."""

from __future__ import annotations

import sqlite3

from smpchat.agent.delivery import Chain
from smpchat.agent.envelope import (
    AGENT_VERSIONS,
    CONFIRMATION_LENGTH,
    MESSAGE_LENGTH,
    AgentEnvelope,
    AgentMessage,
    AMessage,
    Confirmation,
    MessageEnvelope,
    agent_envelope,
    agent_message,
)
from smpchat.agent.store import connections, ratchets
from smpchat.agent.store.connections import Connection, SendQueue
from smpchat.crypto import ratchet
from smpchat.crypto.entropy import Entropy
from smpchat.protocol.envelope import (
    CONFIRMATION_PADDING,
    MESSAGE_PADDING,
    ClientMessage,
    PHConfirmation,
    PHEmpty,
    seal_client_message,
)


def seal_first_message(
    tx: sqlite3.Connection,
    entropy: Entropy,
    connection: Connection,
    queue: SendQueue,
    message: AgentMessage,
    *,
    with_keys: bool,
    signed: bool,
) -> bytes:
    """Body of the confirmation (``with_keys``) or hello; the ratchet and chain that made it are saved.

    Unsigned, it carries the key with which the peer must secure its queue.
    """
    plaintext = agent_message.encode(message)
    ciphertext = _encrypt(tx, connection.id, plaintext, CONFIRMATION_LENGTH)
    connections.save_sent(tx, connection.id, Chain().confirmed(plaintext))
    params = connection.x3dh_keys.params(connection.e2e_version) if with_keys else None
    envelope = Confirmation(connection.agent_version, params, ciphertext)
    header = PHEmpty() if signed else PHConfirmation(queue.auth_key.public())
    return seal_client_message(
        queue.client_version,
        queue.e2e_key.public(),
        queue.e2e_secret,
        entropy.random(24),
        ClientMessage(header, agent_envelope.encode(envelope)),
        CONFIRMATION_PADDING,
    )


def seal_message(
    tx: sqlite3.Connection, entropy: Entropy, connection: Connection, queue: SendQueue, message: AMessage
) -> tuple[bytes, Chain]:
    """Body of the next numbered message and the chain that ends with it; both, and the ratchet, are saved."""
    chain, plaintext = connection.sent.append(message)
    ciphertext = _encrypt(tx, connection.id, plaintext, MESSAGE_LENGTH)
    connections.save_sent(tx, connection.id, chain)
    envelope: AgentEnvelope = MessageEnvelope(AGENT_VERSIONS.maximum, ciphertext)
    body = seal_client_message(
        queue.client_version,
        None,
        queue.e2e_secret,
        entropy.random(24),
        ClientMessage(PHEmpty(), agent_envelope.encode(envelope)),
        MESSAGE_PADDING,
    )
    return body, chain


def _encrypt(tx: sqlite3.Connection, connection_id: int, plaintext: bytes, padded_length: int) -> bytes:
    advanced, ciphertext = ratchet.encrypt(ratchets.load(tx, connection_id), plaintext, padded_length)
    ratchets.save(tx, connection_id, advanced)
    return ciphertext
