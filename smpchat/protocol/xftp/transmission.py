"""The block at the beginning of every HTTP/2 body: one transmission, which contains the session id (xftp-wire 2.1)."""

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
    """Encode a transmission as a block. Raises `EncodeError` if the transmission does not fit into a block."""
    signed = signed_bytes(session_id, transmission.corr_id, transmission.entity_id, transmission.body)
    # In XFTP, every transmission contains the session id: at all versions, and in both directions. In SMP, this ended
    # with version 7 (xftp-wire trap 2).
    return pad_block(_ONE + large_bytes.write(bytes([len(transmission.auth)]) + transmission.auth + signed))


def decode_block(block: bytes, session_id: bytes) -> tuple[Transmission, bytes]:
    """Decode a block. Returns the block's transmission, and the bytes that the transmission's authorisation covers.

    Raises:
        SessionMismatch: The transmission contains the id of another session.
        BlockError: The bytes are not a block with one transmission.
    """
    reader = Reader(unpad_block(block))
    try:
        if reader.take(1, "count") != _ONE:
            raise BlockError("a block does not contain exactly one transmission")
        inside = Reader(large_bytes.read(reader))
        if reader.remaining:
            raise BlockError("a block has bytes after its transmission")
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
    """Make a client's block, with a command that ``key`` signs; if ``key`` is None, the command is not signed.

    Raises:
        LocalProtocolError: ``key`` is an X25519 key, which cannot sign.
        EncodeError: The command does not fit into a block.
    """
    if isinstance(key, X25519PrivateKey):
        # An X25519 authenticator uses the correlation id as its nonce. In XFTP the correlation id is empty, so all
        # authenticators would have the same nonce (xftp-wire trap 3).
        raise LocalProtocolError("commands for file relays must be signed, and an X25519 key cannot sign")
    auth = b"" if key is None else key.sign(signed_bytes(session_id, b"", entity_id, body))
    return encode_block(Transmission(b"", entity_id, body, auth), session_id)
