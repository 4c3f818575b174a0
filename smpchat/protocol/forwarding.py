"""The two layers of private routing around a transmission: client and relay, and proxy and relay (smp-wire 5.6).

The client seals for the relay, so that the proxy cannot read; the proxy seals again, so that nothing about the client
can be seen on the wire. Answers come back the same way, with the nonces reversed: byte by byte, not plus one (trap 19).
"""

from __future__ import annotations

from smpchat.crypto.box import cb_decrypt, cb_encrypt, open_box, seal
from smpchat.crypto.keys import X25519PublicKey, x25519_key
from smpchat.encoding.codec import record, short_bytes, tail, word16
from smpchat.encoding.record import Record, field
from smpchat.protocol.transmission import nonce_of

# The reference's comments say 16,242: that is after sealing (smp-wire trap 20).
FORWARDED_PADDING = 16226
"""A forwarded transmission, or its answer, is padded to so many bytes before it is sealed."""


class Forwarded(Record):
    """A forwarded transmission, as a proxy passes it on.

    Attributes:
        corr_id: The client's; its nonce.
        version: SMP version of the transmission inside.
        key: The client's key for this one transmission.
        sealed: `seal_forwarded`'s result.
    """

    corr_id: bytes
    version: int
    key: X25519PublicKey
    sealed: bytes = field(repr=False)


class ForwardedAnswer(Record):
    """The answer of a relay to it. ``sealed``: `seal_answer`'s result."""

    corr_id: bytes
    sealed: bytes = field(repr=False)


_forwarded = record(Forwarded, corr_id=short_bytes, version=word16, key=x25519_key, sealed=tail)
_forwarded_answer = record(ForwardedAnswer, corr_id=short_bytes, sealed=tail)


# -- between client and relay; the secret is of the client's key and the relay's session key ---------------------------


def seal_forwarded(secret: bytes, corr_id: bytes, content: bytes) -> bytes:
    """The content of a block for the relay, 16,242 bytes. Raises `PaddingError` if it does not fit."""
    return cb_encrypt(secret, nonce_of(corr_id), content, FORWARDED_PADDING)


def open_forwarded(secret: bytes, corr_id: bytes, sealed: bytes) -> bytes:
    """The content inside. Raises `CryptoError`."""
    return cb_decrypt(secret, nonce_of(corr_id), sealed)


def seal_answer(secret: bytes, corr_id: bytes, content: bytes) -> bytes:
    """The content of a block for the client, 16,242 bytes. Raises `PaddingError` if it does not fit."""
    return cb_encrypt(secret, nonce_of(corr_id)[::-1], content, FORWARDED_PADDING)


def open_answer(secret: bytes, corr_id: bytes, sealed: bytes) -> bytes:
    """The content inside. Raises `CryptoError`."""
    return cb_decrypt(secret, nonce_of(corr_id)[::-1], sealed)


# -- between proxy and relay; the secret is of both session keys, the correlation id that of RFWD ----------------------


def seal_for_relay(secret: bytes, corr_id: bytes, forwarded: Forwarded) -> bytes:
    """The body of RFWD."""
    return seal(secret, nonce_of(corr_id), _forwarded.encode(forwarded))


def open_at_relay(secret: bytes, corr_id: bytes, body: bytes) -> Forwarded:
    """What the body of RFWD holds. Raises `CryptoError`, or `DecodeError` for a form that is wrong."""
    return _forwarded.decode(open_box(secret, nonce_of(corr_id), body), "forwarded transmission")


def seal_for_proxy(secret: bytes, corr_id: bytes, answer: ForwardedAnswer) -> bytes:
    """The body of RRES."""
    return seal(secret, nonce_of(corr_id)[::-1], _forwarded_answer.encode(answer))


def open_at_proxy(secret: bytes, corr_id: bytes, body: bytes) -> ForwardedAnswer:
    """What the body of RRES holds. Raises `CryptoError`, or `DecodeError` for a form that is wrong."""
    return _forwarded_answer.decode(open_box(secret, nonce_of(corr_id)[::-1], body), "forwarded answer")
