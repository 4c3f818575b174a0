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
    """The content of a header.

    Attributes:
        max_version: Highest version that the sender speaks.
        ratchet_key: The sender's current ratchet key (DHRs).
        previous_sent: Messages in the sender's previous sending chain (PN).
        index: Number of this message in its chain, from 0 (Ns).
        kem: The sender's KEM key or answer; repeated in every message of a chain.
    """

    max_version: int
    ratchet_key: X448PublicKey
    previous_sent: int
    index: int
    kem: KEMParams | None = None


class SealedHeader(Record):
    """A header as it is sent; ``raw`` is the whole envelope without its outer length."""

    version: int
    iv: bytes
    tag: bytes
    sealed: bytes
    raw: bytes


class SealedMessage(Record):
    """A message taken apart."""

    header: SealedHeader
    tag: bytes
    body: bytes


def header_size(version: int, large: bool) -> int:
    """Padded size of a header: large once post-quantum support is on, whether or not a KEM is inside."""
    # By the flag and not by what is inside: a header's size must not show when a
    # KEM key travels (agent-wire 4.5, trap 8).
    return LARGE_HEADER if large and version >= E2E_VERSION_KEM else SMALL_HEADER


def encode_header(header: Header, version: int) -> bytes:
    """The header's bytes at ``version``, unpadded. A KEM is left out if the version has no field for it."""
    kem = _maybe_kem.write(header.kem) if version >= E2E_VERSION_KEM else b""
    numbers = word32.write(header.previous_sent) + word32.write(header.index)
    return word16.write(header.max_version) + x448_key.write(header.ratchet_key) + kem + numbers


def decode_header(data: bytes, version: int) -> Header:
    """The header in ``data``; bytes after it are ignored, as the reference does. Raises `DecodeError`."""
    reader = Reader(data)
    max_version, ratchet_key = word16.read(reader), x448_key.read(reader)
    kem = _maybe_kem.read(reader) if version >= E2E_VERSION_KEM else None
    # No `finish`: newer versions add fields at the end, and the reference reads them so (agent-wire 4.5).
    return Header(max_version, ratchet_key, word32.read(reader), word32.read(reader), kem)


def encode_envelope(version: int, iv: bytes, tag: bytes, sealed: bytes) -> bytes:
    """The header envelope, without its own length in front."""
    return word16.write(version) + iv + tag + with_length(sealed, version)


def with_length(data: bytes, version: int) -> bytes:
    """``data`` behind its length: 2 bytes from version 3 on, 1 byte before."""
    return (word16 if version >= E2E_VERSION_KEM else byte).write(len(data)) + data


def _take_with_length(reader: Reader, what: str) -> bytes:
    # Lengths of version 2 are at least 88 and those of version 3 below 8,192: the first byte tells them apart
    # (agent-wire 4.5, trap 7). The message's own version stands behind the length, so it cannot be asked.
    first = reader.peek()
    length = word16 if first is not None and first < _LARGEST_FIRST_BYTE else byte
    return reader.take(length.read(reader), what)


def parse_message(data: bytes) -> SealedMessage:
    """A ratchet message taken apart. Raises `DecodeError`, also for a version that we do not speak."""
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
    """Whether a message's header has room for a KEM's keys: its sender then supports post-quantum ratchets.

    True only if the message can be parsed. Whether it comes from the peer is known when it was opened.
    """
    try:
        return len(parse_message(data).header.sealed) >= LARGE_HEADER
    except DecodeError:
        return False
