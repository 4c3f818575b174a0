"""The encryption of SEND's content from sender to recipient, with a key for each queue (smp-wire 6, agent-wire 3.2)."""

from __future__ import annotations

from smpchat.crypto.box import cb_decrypt, cb_encrypt
from smpchat.crypto.keys import AuthPublicKey, X25519PublicKey, auth_key, x25519_key
from smpchat.encoding.codec import Codec, fixed, maybe, record, tagged, tail, word16
from smpchat.encoding.record import Record, field

# Each sender's first message to a queue also contains the sender's public key for the encryption. Message and key must
# fit into SEND's 16,048 bytes, so the first message is padded to fewer bytes than later messages (smp-wire 4.6;
# agent-wire trap 17). The reference's documents give other padded lengths, from older versions (smp-wire trap 21).
# Messages that we receive may be padded to any length.
CONFIRMATION_PADDING = 15904
"""Padded length, in bytes, of a sender's first message to a queue. Only this message contains the sender's key for the
encryption."""
MESSAGE_PADDING = 16000


class PHEmpty(Record):
    """Header without a key: the sender has secured the queue already, or the queue is never secured."""


class PHConfirmation(Record):
    """Header with the sender's authorisation key, with which the recipient must secure the queue."""

    sender_key: AuthPublicKey


class ClientMessage(Record):
    """What a sender encrypts for a queue's recipient: a header and an agent envelope."""

    header: PHEmpty | PHConfirmation
    body: bytes = field(repr=False)


class ClientMsgEnvelope(Record):
    """Body of SEND.

    Attributes:
        version: The SMP client version of the queue.
        sender_key: The sender's public key for the encryption; None except in a sender's first message to the queue.
        sealed: The encrypted `ClientMessage`.
    """

    version: int
    sender_key: X25519PublicKey | None
    nonce: bytes
    sealed: bytes = field(repr=False)


_private_header: Codec[PHEmpty | PHConfirmation] = tagged(
    "message header",
    [(b"_", PHEmpty, record(PHEmpty)), (b"K", PHConfirmation, record(PHConfirmation, sender_key=auth_key))],
)
client_message = record(ClientMessage, header=_private_header, body=tail)
client_msg_envelope = record(
    ClientMsgEnvelope, version=word16, sender_key=maybe(x25519_key), nonce=fixed(24, "nonce"), sealed=tail
)


def seal_client_message(
    version: int,
    sender_key: X25519PublicKey | None,
    secret: bytes,
    nonce: bytes,
    message: ClientMessage,
    padded_length: int,
) -> bytes:
    """Make the body of SEND. It has 15,992 bytes with a key and `CONFIRMATION_PADDING`, and 16,043 bytes without a key
    and with `MESSAGE_PADDING`. Raises `PaddingError` if the message is too long."""
    sealed = cb_encrypt(secret, nonce, client_message.encode(message), padded_length)
    return client_msg_envelope.encode(ClientMsgEnvelope(version, sender_key, nonce, sealed))


def open_client_message(secret: bytes, envelope: ClientMsgEnvelope) -> ClientMessage:
    """Decrypt the `ClientMessage` in an envelope. Raises `CryptoError` or `DecodeError`."""
    return client_message.decode(cb_decrypt(secret, envelope.nonce, envelope.sealed), "client message")
