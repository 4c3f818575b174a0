"""The one block that begins every body: a single transmission, with the session's id in it (xftp-wire 2.1)."""

from __future__ import annotations

import hmac

from smpchat.crypto.keys import AuthPrivateKey, X25519PrivateKey
from smpchat.encoding.codec import large_bytes
from smpchat.encoding.reader import DecodeError, Reader
from smpchat.protocol.block import pad_block, unpad_block
from smpchat.protocol.errors import BlockError, LocalProtocolError
from smpchat.protocol.transmission import AUTH_LENGTHS, SessionMismatch, Transmission, signed_bytes

_ONE = b"\x01"


def encode_block(transmission: Transmission, session_id: bytes) -> bytes:
    """The block of a transmission. Raises `EncodeError` if it does not fit."""
    signed = signed_bytes(session_id, transmission.corr_id, transmission.entity_id, transmission.body)
    # Unlike SMP from version 7 on, the id is sent too, at all versions and both ways (xftp-wire trap 2).
    return pad_block(_ONE + large_bytes.write(bytes([len(transmission.auth)]) + transmission.auth + signed))


def decode_block(block: bytes, session_id: bytes) -> tuple[Transmission, bytes]:
    """The transmission of a block, and the bytes that its authorisation signs.

    Raises:
        SessionMismatch: It names another session.
        BlockError: This is not a block of one transmission.
    """
    reader = Reader(unpad_block(block))
    try:
        if reader.take(1, "count") != _ONE:
            raise BlockError("a block does not hold exactly one transmission")
        inside = Reader(large_bytes.read(reader))
        if reader.remaining:
            raise BlockError("a block has bytes behind its transmission")
        auth = _short(inside)
        if len(auth) not in AUTH_LENGTHS:
            raise BlockError("authorisation of a wrong length")
        session, corr_id, entity_id = _short(inside), _short(inside), _short(inside)
        body = inside.rest()
    except DecodeError as error:
        raise BlockError(f"a block is malformed: {error}") from error
    if not hmac.compare_digest(session, session_id):
        raise SessionMismatch("transmission of another session")
    return Transmission(corr_id, entity_id, body, auth), signed_bytes(session, corr_id, entity_id, body)


def _short(reader: Reader) -> bytes:
    return reader.take(reader.take(1, "length")[0], "string")


def signed_block(key: AuthPrivateKey | None, session_id: bytes, entity_id: bytes, body: bytes) -> bytes:
    """A client's block, with its command authorised by ``key``.

    Raises:
        LocalProtocolError: A key that cannot sign.
        EncodeError: It does not fit a block.
    """
    if isinstance(key, X25519PrivateKey):
        # Its authenticator takes the correlation id for nonce, which the app leaves empty: every one would have the
        # same nonce (xftp-wire trap 3).
        raise LocalProtocolError("commands for file relays are signed")
    auth = b"" if key is None else key.sign(signed_bytes(session_id, b"", entity_id, body))
    return encode_block(Transmission(b"", entity_id, body, auth), session_id)
