"""Ratchet messages on the wire: lengths of both versions, and what does not parse."""

from __future__ import annotations

import pytest

from smpchat.crypto.kem import KEMProposed, KEMPublicKey
from smpchat.crypto.keys import X448PublicKey
from smpchat.crypto.ratchet_wire import (
    Header,
    decode_header,
    encode_envelope,
    encode_header,
    has_large_header,
    header_size,
    parse_message,
    with_length,
)
from smpchat.encoding.reader import DecodeError, EncodeError

KEY = X448PublicKey(b"k" * 56)
DER = b"\x44" + KEY.der


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        (2, b"\0\3" + DER + b"\0\0\0\7\0\0\1\0"),
        (3, b"\0\3" + DER + b"0" + b"\0\0\0\7\0\0\1\0"),
    ],
)
def test_header_of_both_versions(version: int, expected: bytes) -> None:
    header = Header(3, KEY, 7, 256)
    assert encode_header(header, version) == expected
    assert decode_header(expected, version) == header
    assert decode_header(expected + b"more", version) == header
    for end in range(len(expected)):
        with pytest.raises(DecodeError):
            decode_header(expected[:end], version)


def test_header_with_a_kem_key() -> None:
    header = Header(3, KEY, 0, 0, KEMProposed(KEMPublicKey(b"p" * 1158)))
    wire = encode_header(header, 3)
    assert wire[71:73] == b"1P"
    assert decode_header(wire, 3) == header
    assert decode_header(encode_header(header, 2), 2).kem is None


@pytest.mark.parametrize("number", [-1, 1 << 32])
def test_counters_have_four_bytes(number: int) -> None:
    with pytest.raises(EncodeError):
        encode_header(Header(3, KEY, 0, number), 3)


def test_header_sizes() -> None:
    assert [header_size(*arguments) for arguments in ((2, False), (2, True), (3, False), (3, True))] == [
        88,
        88,
        88,
        2310,
    ]


def test_lengths_of_both_versions() -> None:
    assert with_length(bytes(88), 2)[:1] == b"\x58"
    assert with_length(bytes(88), 3)[:2] == b"\0\x58"
    assert with_length(bytes(2310), 3)[:2] == b"\x09\x06"
    with pytest.raises(EncodeError):
        with_length(bytes(256), 2)


@pytest.mark.parametrize(("version", "size", "envelope_size"), [(2, 88, 123), (3, 88, 124), (3, 2310, 2346)])
def test_message_is_taken_apart(version: int, size: int, envelope_size: int) -> None:
    envelope = encode_envelope(version, b"i" * 16, b"t" * 16, b"s" * size)
    assert len(envelope) == envelope_size
    parsed = parse_message(with_length(envelope, version) + b"T" * 16 + b"body")
    assert (parsed.header.version, parsed.header.iv, parsed.header.tag) == (version, b"i" * 16, b"t" * 16)
    assert (parsed.header.sealed, parsed.header.raw) == (b"s" * size, envelope)
    assert (parsed.tag, parsed.body) == (b"T" * 16, b"body")


def test_first_byte_tells_the_length_apart() -> None:
    """A version 2 message may come with 2-byte lengths and the other way round: what counts is the first byte."""
    envelope = b"\0\2" + bytes(32) + b"\0\x58" + bytes(88)
    assert parse_message(with_length(envelope, 3) + bytes(16)).header.version == 2
    assert parse_message(bytes([len(envelope)]) + envelope + bytes(16)).header.version == 2


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\0",
        b"\x7b" + bytes(122),
        b"\0\x7c" + b"\0\3" + bytes(121),
        b"\0\x02\0\3" + bytes(16),
        with_length(encode_envelope(3, bytes(16), bytes(16), bytes(88)), 3) + bytes(15),
        with_length(encode_envelope(3, bytes(16), bytes(16), bytes(88)) + b"!", 3) + bytes(16),
        with_length(encode_envelope(4, bytes(16), bytes(16), bytes(88)), 3) + bytes(16),
        with_length(encode_envelope(1, bytes(16), bytes(16), bytes(88)), 2) + bytes(16),
    ],
)
def test_malformed_messages_are_refused(message: bytes) -> None:
    with pytest.raises(DecodeError):
        parse_message(message)


@pytest.mark.parametrize(("version", "size", "large"), [(2, 88, False), (3, 88, False), (3, 2310, True)])
def test_a_large_header_shows(version: int, size: int, large: bool) -> None:
    envelope = encode_envelope(version, b"i" * 16, b"t" * 16, b"s" * size)
    assert has_large_header(with_length(envelope, version) + b"T" * 16 + b"body") is large


@pytest.mark.parametrize("data", [b"", b"\x09\x2a", bytes(3000)])
def test_what_is_no_message_has_no_large_header(data: bytes) -> None:
    assert not has_large_header(data)
