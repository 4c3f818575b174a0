"""The two layers of encryption around a transmission in private routing: client to relay, and proxy to relay (smp-wire
5.6).

The client encrypts for the relay, so that the proxy cannot read the transmission. The proxy encrypts again, so that
nobody can match the bytes that enter the proxy with the bytes that leave it. Answers are encrypted in the same two
layers, with the bytes of each nonce in reverse order. The reference's documents say instead that one is added to the
nonce (trap 19).
"""

from __future__ import annotations

from smpchat.crypto.box import cb_decrypt, cb_encrypt, open_box, seal
from smpchat.crypto.keys import X25519PublicKey, x25519_key
from smpchat.encoding.codec import record, short_bytes, tail, word16
from smpchat.encoding.record import Record, field
from smpchat.protocol.transmission import nonce_of

# For this number, the reference's comments say 16,242, which is the size after encryption (smp-wire trap 20).
FORWARDED_PADDING = 16226
"""A forwarded transmission, or its answer, is padded to this many bytes before it is encrypted."""


class Forwarded(Record):
    """A forwarded transmission: the content of RFWD, before the proxy encrypts it.

    Attributes:
        corr_id: The client's correlation id, which is also the nonce.
        version: The SMP version of the encrypted transmission.
        key: The client's key for this one transmission.
        sealed: The result of `seal_forwarded`.
    """

    corr_id: bytes
    version: int
    key: X25519PublicKey
    sealed: bytes = field(repr=False)


class ForwardedAnswer(Record):
    """A relay's answer to a `Forwarded`. ``sealed`` is the result of `seal_answer`."""

    corr_id: bytes
    sealed: bytes = field(repr=False)


_forwarded = record(Forwarded, corr_id=short_bytes, version=word16, key=x25519_key, sealed=tail)
_forwarded_answer = record(ForwardedAnswer, corr_id=short_bytes, sealed=tail)


# -- between client and relay: the secret comes from the client's key and the relay's session key ----------------------


def seal_forwarded(secret: bytes, corr_id: bytes, content: bytes) -> bytes:
    """Encrypt a block's content for the relay: 16,242 bytes. Raises `PaddingError` if the content is too long."""
    return cb_encrypt(secret, nonce_of(corr_id), content, FORWARDED_PADDING)


def open_forwarded(secret: bytes, corr_id: bytes, sealed: bytes) -> bytes:
    """Decrypt the result of `seal_forwarded`. Raises `CryptoError`."""
    return cb_decrypt(secret, nonce_of(corr_id), sealed)


def seal_answer(secret: bytes, corr_id: bytes, content: bytes) -> bytes:
    """Encrypt a block's content for the client: 16,242 bytes. Raises `PaddingError` if the content is too long."""
    return cb_encrypt(secret, nonce_of(corr_id)[::-1], content, FORWARDED_PADDING)


def open_answer(secret: bytes, corr_id: bytes, sealed: bytes) -> bytes:
    """Decrypt the result of `seal_answer`. Raises `CryptoError`."""
    return cb_decrypt(secret, nonce_of(corr_id)[::-1], sealed)


# -- between proxy and relay: the secret comes from both session keys; ``corr_id`` is that of RFWD -------------------


def seal_for_relay(secret: bytes, corr_id: bytes, forwarded: Forwarded) -> bytes:
    """Encrypt the body of RFWD."""
    return seal(secret, nonce_of(corr_id), _forwarded.encode(forwarded))


def open_at_relay(secret: bytes, corr_id: bytes, body: bytes) -> Forwarded:
    """Decrypt the body of RFWD. Raises `CryptoError`, or `DecodeError` for content in a wrong form."""
    return _forwarded.decode(open_box(secret, nonce_of(corr_id), body), "forwarded transmission")


def seal_for_proxy(secret: bytes, corr_id: bytes, answer: ForwardedAnswer) -> bytes:
    """Encrypt the body of RRES."""
    return seal(secret, nonce_of(corr_id)[::-1], _forwarded_answer.encode(answer))


def open_at_proxy(secret: bytes, corr_id: bytes, body: bytes) -> ForwardedAnswer:
    """Decrypt the body of RRES. Raises `CryptoError`, or `DecodeError` for content in a wrong form."""
    return _forwarded_answer.decode(open_box(secret, nonce_of(corr_id)[::-1], body), "forwarded answer")
