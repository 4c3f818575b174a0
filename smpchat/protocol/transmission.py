"""Transmissions: one command or message with its authorisation, correlation id and entity id (smp-wire 4.2 to 4.4)."""

from __future__ import annotations

import hashlib

from smpchat.crypto.box import authenticate, verify_authenticator
from smpchat.crypto.errors import CryptoError, VerificationError
from smpchat.crypto.keys import AuthPrivateKey, AuthPublicKey, X25519PrivateKey, X25519PublicKey
from smpchat.encoding.codec import short_bytes
from smpchat.encoding.reader import DecodeError
from smpchat.encoding.record import Record, field
from smpchat.protocol.errors import LocalProtocolError
from smpchat.protocol.version import AUTH_CMDS, SERVICE_CERTS

AUTH_LENGTHS = frozenset({0, 64, 80, 114})
"""Lengths that an authorisation may have, in bytes: 0 if there is none, 64 for an Ed25519 signature, 80 for an X25519
authenticator, 114 for an Ed448 signature."""
NONCE_LENGTH = 24


class SessionMismatch(DecodeError):
    """A transmission contains the id of another session. (Only the transmissions of SMP 6 and of XFTP contain a session
    id.)"""


class Transmission(Record):
    """One command or message as it is put into a block, with its authorisation and ids.

    Attributes:
        corr_id: The correlation id, which the client chooses and the relay repeats in its answer. It is empty in
            messages that a relay sends unasked.
        entity_id: The id of the queue, link or session that the command is about.
        body: Encoded command or message.
        auth: Signature or authenticator; empty if there is none.
        service_auth: A second signature, which only services add; None if there is none.
    """

    corr_id: bytes
    entity_id: bytes
    body: bytes = field(repr=False)
    auth: bytes = field(default=b"", repr=False)
    service_auth: bytes | None = field(default=None, repr=False)


def encode_transmission(transmission: Transmission, version: int, session_id: bytes) -> bytes:
    """Encode a transmission for an SMP version."""
    auth = short_bytes.write(transmission.auth)
    # If the authorisation is empty, the field for a service's signature is left out (smp-wire trap 15).
    if transmission.auth and version >= SERVICE_CERTS:
        service = transmission.service_auth
        auth += b"0" if service is None else b"1" + short_bytes.write(service)
    # The session id is sent only at version 6, but signed at every version (smp-wire 4.2, trap 43).
    session = short_bytes.write(session_id) if version < AUTH_CMDS else b""
    ids = short_bytes.write(transmission.corr_id) + short_bytes.write(transmission.entity_id)
    return auth + session + ids + transmission.body


def decode_transmission(data: bytes, version: int, session_id: bytes) -> Transmission:
    """The transmission in ``data``.

    Raises:
        SessionMismatch: At version 6: the transmission contains the id of another session.
        DecodeError: The transmission is malformed.
    """
    # For speed, this function does not use `smpchat.encoding.codec`. It decodes every command; with the codecs, it took
    # a fifth of all time spent in Python.
    auth, end = _short(data, 0)
    # The length of the authorisation shows with which kind of key it was made. A length that fits no kind is an error,
    # which the reference answers with ERR BLOCK (smp-wire 4.2).
    if len(auth) not in AUTH_LENGTHS:
        raise DecodeError("authorisation of a wrong length")
    service_auth = None
    if auth and version >= SERVICE_CERTS:
        mark, end = data[end : end + 1], end + 1
        if mark == b"1":
            service_auth, end = _short(data, end)
            if len(service_auth) != 64:
                raise DecodeError("service signature of a wrong length")
        elif mark != b"0":
            raise DecodeError("service signature expected", end - 1)
    if version < AUTH_CMDS:
        session, end = _short(data, end)
        if session != session_id:
            raise SessionMismatch("transmission of another session")
    corr_id, end = _short(data, end)
    entity_id, end = _short(data, end)
    return Transmission(corr_id, entity_id, data[end:], auth, service_auth)


def _short(data: bytes, start: int) -> tuple[bytes, int]:
    """The short string at ``start``, and the position after it."""
    if start >= len(data):
        raise DecodeError("string expected", start)
    begin = start + 1
    end = begin + data[start]
    if end > len(data):
        raise DecodeError("string is cut off", start)
    return data[begin:end], end


def signed_bytes(session_id: bytes, corr_id: bytes, entity_id: bytes, body: bytes) -> bytes:
    """The bytes that an authorisation covers; the same in all versions (``tForAuth`` in the reference)."""
    return short_bytes.write(session_id) + short_bytes.write(corr_id) + short_bytes.write(entity_id) + body


def derived_sender_id(corr_id: bytes) -> bytes:
    """Derive the 24-byte sender id of a new queue from the correlation id of NEW. Only queues that are created with
    link data get such a sender id (smp-wire 5.1).

    The client must know the sender id before it sends NEW, because the link data in NEW contains this id.
    """
    # The reference hashes the correlation id with SHA3-384, although the comment in its code says SHA3-256 (smp-wire
    # trap 22, agent-wire trap 10). The sender id is the first half of this hash.
    return hashlib.sha3_384(corr_id).digest()[:24]


def nonce_of(corr_id: bytes) -> bytes:
    """The 24-byte nonce that belongs to a correlation id of any length (smp-wire 4.3)."""
    return corr_id[:NONCE_LENGTH].ljust(NONCE_LENGTH, b"\0")


def authorise(key: AuthPrivateKey, signed: bytes, corr_id: bytes, peer_session_key: X25519PublicKey | None) -> bytes:
    """Authorise a command with a queue's key. Returns a signature; for an X25519 key, an authenticator of 80 bytes.

    Raises:
        LocalProtocolError: The key is an X25519 key, but the relay sent no session key.
    """
    if not isinstance(key, X25519PrivateKey):
        return key.sign(signed)
    if peer_session_key is None:
        raise LocalProtocolError("this relay's session has no key for X25519 authorisation")
    # An authenticator uses the command's correlation id as its nonce. So a correlation id must never be used twice in a
    # session (smp-wire 4.3).
    return authenticate(key.exchange(peer_session_key), nonce_of(corr_id), signed)


def verify_authorisation(
    key: AuthPublicKey, auth: bytes, signed: bytes, corr_id: bytes, session_key: X25519PrivateKey | None
) -> None:
    """Check that ``auth`` authorises the bytes ``signed``, and was made by the owner of ``key``. ``session_key`` is the
    relay's session key. Raises `VerificationError`."""
    if not isinstance(key, X25519PublicKey):
        key.verify(auth, signed)
        return
    if session_key is None:
        raise VerificationError("the session has no key for X25519 authorisation")
    try:
        secret = session_key.exchange(key)
    except CryptoError:
        raise VerificationError("the queue's key is bad") from None
    verify_authenticator(secret, nonce_of(corr_id), signed, auth)
