"""Ratchet messages on the wire (agent-wire 4.5).

::

    message  = len(header envelope) header-envelope  tag16  body
    envelope = version(2)  iv16  tag16  len(sealed header)  sealed-header
    header   = max-version(2)  s8(ratchet key DER)  [v3: opt(KEM)]  previous-sent(4)  index(4)
"""

from __future__ import annotations

from smpchat.crypto.aead import IV_SIZE, TAG_SIZE
from smpchat.crypto.agreement import E2E_VERSION_KEM, E2E_VERSION_MAX, E2E_VERSION_MIN
from smpchat.crypto.kem import KEMParams, kem_params
from smpchat.crypto.keys import X448PublicKey, x448_key
from smpchat.encoding.codec import byte, maybe, word16, word32
from smpchat.encoding.reader import DecodeError, Reader
from smpchat.encoding.record import Record

SMALL_HEADER, LARGE_HEADER = 88, 2310
"""Padded sizes of a header in bytes; the large one has room for a KEM's keys."""
_LARGEST_FIRST_BYTE = 32

_maybe_kem = maybe(kem_params)


class Header(Record):
    """The content of a header, decrypted.

    Attributes:
        max_version: Highest version of end-to-end encryption that the sender supports.
        ratchet_key: The sender's current ratchet key (DHRs).
        previous_sent: Number of messages in the sender's previous chain (PN).
        index: Number of this message in its chain, from 0 (Ns).
        kem: The sender's KEM key, and the sender's answer to the receiver's KEM key if there is one. This field is the
            same in every message of a chain.
    """

    max_version: int
    ratchet_key: X448PublicKey
    previous_sent: int
    index: int
    kem: KEMParams | None = None


class SealedHeader(Record):
    """An encrypted header; ``raw`` is the whole header envelope, without the length before the envelope."""

    version: int
    iv: bytes
    tag: bytes
    sealed: bytes
    raw: bytes


class SealedMessage(Record):
    """The parts of an encrypted message."""

    header: SealedHeader
    tag: bytes
    body: bytes


def header_size(version: int, large: bool) -> int:
    """Padded size of a header: `LARGE_HEADER` if ``large`` and the version has a KEM field, even if this field is
    empty; otherwise `SMALL_HEADER`."""
    # The padded size must not show which headers contain KEM keys (agent-wire 4.5, trap 8).
    return LARGE_HEADER if large and version >= E2E_VERSION_KEM else SMALL_HEADER


def encode_header(header: Header, version: int) -> bytes:
    """Encode a header, without padding. KEM keys are left out if ``version`` has no field for them."""
    kem = _maybe_kem.write(header.kem) if version >= E2E_VERSION_KEM else b""
    numbers = word32.write(header.previous_sent) + word32.write(header.index)
    return word16.write(header.max_version) + x448_key.write(header.ratchet_key) + kem + numbers


def decode_header(data: bytes, version: int) -> Header:
    """Decode the header in ``data``. Bytes after the header are ignored, as in the reference. Raises `DecodeError`."""
    reader = Reader(data)
    max_version, ratchet_key = word16.read(reader), x448_key.read(reader)
    kem = _maybe_kem.read(reader) if version >= E2E_VERSION_KEM else None
    # Do not call `Reader.finish` here: newer versions may add fields at the end, which the reference ignores
    # (agent-wire 4.5).
    return Header(max_version, ratchet_key, word32.read(reader), word32.read(reader), kem)


def encode_envelope(version: int, iv: bytes, tag: bytes, sealed: bytes) -> bytes:
    """The header envelope, without the length before it."""
    return word16.write(version) + iv + tag + with_length(sealed, version)


def with_length(data: bytes, version: int) -> bytes:
    """The length of ``data``, then ``data``. The length has 1 byte in version 2, and 2 bytes from version 3 on."""
    return (word16 if version >= E2E_VERSION_KEM else byte).write(len(data)) + data


def _take_with_length(reader: Reader, what: str) -> bytes:
    # The first byte shows whether the length has 1 byte (version 2) or 2 bytes (version 3). The one byte is at least
    # 88; the first of two bytes is below 32, because the length is below 8,192 (agent-wire 4.5, trap 7). The version
    # itself comes after the length, so we do not know it yet.
    first = reader.peek()
    length = word16 if first is not None and first < _LARGEST_FIRST_BYTE else byte
    return reader.take(length.read(reader), what)


def parse_message(data: bytes) -> SealedMessage:
    """Split a ratchet message into its parts. Raises `DecodeError`, also for a version that we do not support."""
    reader = Reader(data)
    raw = _take_with_length(reader, "header envelope")
    envelope = Reader(raw)
    version = word16.read(envelope)
    if not E2E_VERSION_MIN <= version <= E2E_VERSION_MAX:
        raise DecodeError(f"ratchet version {version} is not supported")
    iv, tag = envelope.take(IV_SIZE, "header IV"), envelope.take(TAG_SIZE, "header tag")
    sealed = _take_with_length(envelope, "sealed header")
    envelope.finish("header envelope")
    return SealedMessage(SealedHeader(version, iv, tag, sealed, raw), reader.take(TAG_SIZE, "body tag"), reader.rest())


def has_large_header(data: bytes) -> bool:
    """Whether the header of a message has room for a KEM's keys; if so, the sender supports post-quantum ratchets.

    False if the message cannot be parsed. The message may come from anyone: only decrypting shows that the peer sent
    it.
    """
    try:
        return len(parse_message(data).header.sealed) >= LARGE_HEADER
    except DecodeError:
        return False
