"""The two layers of encryption around a transmission in private routing: client to relay, and proxy to relay (smp-wire
5.6).

The client encrypts for the relay, so that the proxy cannot read the transmission. The proxy encrypts again, so that
nobody can match the bytes that enter the proxy with the bytes that leave it. The relay encrypts its answer in both
layers too. In each layer, the answer's nonce is the request's nonce with its bytes in reverse order. The reference's
documents wrongly say that the answer's nonce is the request's nonce plus one (smp-wire trap 19).
"""

from __future__ import annotations

from smpchat.crypto.box import cb_decrypt, cb_encrypt, open_box, seal
from smpchat.crypto.keys import X25519PublicKey, x25519_key
from smpchat.encoding.codec import record, short_bytes, tail, word16
from smpchat.encoding.record import Record, field
from smpchat.protocol.transmission import nonce_of

# The reference's comments say that a forwarded transmission is padded to 16,242 bytes, but this is its size after
# encryption (smp-wire trap 20).
FORWARDED_PADDING = 16226
"""A forwarded transmission, or its answer, is padded to this many bytes before it is encrypted."""


class Forwarded(Record):
    """A forwarded transmission: the content of RFWD, before the proxy encrypts it.

    Attributes:
        corr_id: The correlation id of the client's PFWD, which is also the nonce for ``sealed``.
        version: The SMP version of the encrypted transmission.
        key: The client's key for this one transmission.
        sealed: The result of `seal_forwarded`.
    """

    corr_id: bytes
    version: int
    key: X25519PublicKey
    sealed: bytes = field(repr=False)


class ForwardedAnswer(Record):
    """A relay's answer to a forwarded transmission: the content of RRES, before the relay encrypts it for the proxy.
    ``corr_id`` is repeated from `Forwarded`; ``sealed`` is the result of `seal_answer`."""

    corr_id: bytes
    sealed: bytes = field(repr=False)


_forwarded = record(Forwarded, corr_id=short_bytes, version=word16, key=x25519_key, sealed=tail)
_forwarded_answer = record(ForwardedAnswer, corr_id=short_bytes, sealed=tail)


# -- between client and relay -----------------------------------------------------------------------------------------
# In this layer, ``secret`` comes from an X25519 exchange between the relay's session key and the client's key for this
# one transmission. ``corr_id`` is the correlation id of the client's PFWD.


def seal_forwarded(secret: bytes, corr_id: bytes, content: bytes) -> bytes:
    """Encrypt a transmission, so that only the relay can read it. The result has 16,242 bytes.

    Args:
        content: A block's content with just this transmission.
    Raises:
        PaddingError: The content is too long.
    """
    return cb_encrypt(secret, nonce_of(corr_id), content, FORWARDED_PADDING)


def open_forwarded(secret: bytes, corr_id: bytes, sealed: bytes) -> bytes:
    """Decrypt the result of `seal_forwarded`. Raises `CryptoError`."""
    return cb_decrypt(secret, nonce_of(corr_id), sealed)


def seal_answer(secret: bytes, corr_id: bytes, content: bytes) -> bytes:
    """Encrypt the relay's answer, so that only the client can read it. The result has 16,242 bytes.

    Args:
        content: A block's content with just this answer.
    Raises:
        PaddingError: The content is too long.
    """
    return cb_encrypt(secret, nonce_of(corr_id)[::-1], content, FORWARDED_PADDING)


def open_answer(secret: bytes, corr_id: bytes, sealed: bytes) -> bytes:
    """Decrypt the result of `seal_answer`. Raises `CryptoError`."""
    return cb_decrypt(secret, nonce_of(corr_id)[::-1], sealed)


# -- between proxy and relay ------------------------------------------------------------------------------------------
# In this layer, ``secret`` comes from an X25519 exchange between the session keys of proxy and relay. ``corr_id`` is
# the correlation id of RFWD.


def seal_for_relay(secret: bytes, corr_id: bytes, forwarded: Forwarded) -> bytes:
    """Encrypt a forwarded transmission, as the proxy does. Returns the body of RFWD."""
    return seal(secret, nonce_of(corr_id), _forwarded.encode(forwarded))


def open_at_relay(secret: bytes, corr_id: bytes, body: bytes) -> Forwarded:
    """Decrypt the body of RFWD. Raises `CryptoError`, or `DecodeError` for content in a wrong form."""
    return _forwarded.decode(open_box(secret, nonce_of(corr_id), body), "forwarded transmission")


def seal_for_proxy(secret: bytes, corr_id: bytes, answer: ForwardedAnswer) -> bytes:
    """Encrypt the answer for the proxy, as the relay does. Returns the body of RRES."""
    return seal(secret, nonce_of(corr_id)[::-1], _forwarded_answer.encode(answer))


def open_at_proxy(secret: bytes, corr_id: bytes, body: bytes) -> ForwardedAnswer:
    """Decrypt the body of RRES. Raises `CryptoError`, or `DecodeError` for content in a wrong form."""
    return _forwarded_answer.decode(open_box(secret, nonce_of(corr_id)[::-1], body), "forwarded answer")
