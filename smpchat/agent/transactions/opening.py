"""What incoming messages have in common: their layers are opened, and the ratchet that opened them is saved.

Source: agent-wire 3.1 to 3.5.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from smpchat.agent.context import Context
from smpchat.agent.errors import EnvelopeRefused
from smpchat.agent.store import ratchets
from smpchat.agent.wire.envelope import (
    AgentEnvelope,
    agent_envelope,
)
from smpchat.crypto import ratchet
from smpchat.crypto.errors import CryptoError
from smpchat.crypto.kem import KEMUnavailable
from smpchat.crypto.ratchet import Ratchet
from smpchat.encoding.reader import DecodeError
from smpchat.protocol.envelope import (
    ClientMessage,
    ClientMsgEnvelope,
    open_client_message,
)


@contextmanager
def refusing(what: str) -> Iterator[None]:
    """Catch errors of decoding or decrypting, and raise `EnvelopeRefused` instead; ``what`` is the start of its
    text."""
    try:
        yield
    except KEMUnavailable:  # not the message's fault: it stays at the relay until a KEM is installed here
        raise
    except (DecodeError, CryptoError) as error:
        raise EnvelopeRefused(f"{what}: {error}") from error


def open_layers(secret: bytes, envelope: ClientMsgEnvelope) -> tuple[ClientMessage, AgentEnvelope]:
    """Decrypt the outer layer with the queue's ``secret``, and decode the agent envelope inside. Raises
    `EnvelopeRefused`."""
    with refusing("the message does not open"):
        message = open_client_message(secret, envelope)
        return message, agent_envelope.decode(message.body)


def load_ratchet(tx: sqlite3.Connection, context: Context, connection_id: int) -> Ratchet:
    """The connection's ratchet. If no KEM is available on this computer, the ratchet's KEM is turned off, because the
    ratchet's next step would fail otherwise."""
    loaded = ratchets.load(tx, connection_id)
    return loaded if not loaded.kem_enabled or context.has_kem else loaded.with_kem(False)


def save_opened(
    tx: sqlite3.Connection, connection_id: int, ratchet_message: bytes, opened: ratchet.Decrypted, sent_at: int
) -> None:
    """A message was opened: save the ratchet, the keys of skipped messages as far as they have changed, and the
    message's hash, by which copies are recognised."""
    # Ratchet, skipped keys and hash are saved together, and only for a message that was opened. The reference also
    # saves the ratchet's steps for a message that did not open. Either way works, but one program must not do both
    # (agent-wire trap 41).
    ratchets.save(tx, connection_id, opened.ratchet)
    ratchets.apply_skipped(tx, connection_id, opened.diff)
    ratchets.mark_seen(tx, connection_id, hashlib.sha256(ratchet_message).digest(), sent_at)
