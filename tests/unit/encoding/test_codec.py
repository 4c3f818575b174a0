"""Codecs and their combinators: exact bytes, limits both ways, and properties over any input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smpchat.encoding.codec import (
    Codec,
    boolean,
    byte,
    fixed,
    int64,
    large_bytes,
    literal,
    many,
    mapped,
    maybe,
    non_empty,
    pair,
    prefixed,
    record,
    short_bytes,
    tagged,
    tail,
    uint,
    within,
    word16,
    word32,
)
from smpchat.encoding.reader import DecodeError, EncodeError, Reader


@dataclass(frozen=True)
class Point:
    x: int
    name: bytes


@dataclass(frozen=True)
class Ping: ...


@dataclass(frozen=True)
class Say:
    words: tuple[bytes, ...]


point: Codec[Point] = record(Point, x=word16, name=short_bytes)
statement: Codec[Any] = tagged(
    "statement",
    [(b"S", Point, point), (b"SAY", Say, record(Say, words=many(short_bytes))), (b"P", Ping, record(Ping))],
)


@pytest.mark.parametrize(
    ("codec", "value", "expected"),
    [
        (byte, 255, "ff"),
        (word16, 258, "0102"),
        (word32, 1, "00000001"),
        (uint(8), 1, "0000000000000001"),
        (int64, -2, "fffffffffffffffe"),
        (int64, (1 << 63) - 1, "7fffffffffffffff"),
        (boolean, True, "54"),
        (boolean, False, "46"),
        (fixed(3), b"abc", "616263"),
        (short_bytes, b"", "00"),
        (short_bytes, b"ab", "026162"),
        (large_bytes, b"ab", "00026162"),
        (maybe(byte), None, "30"),
        (maybe(byte), 7, "3107"),
        (many(byte), (), "00"),
        (many(byte), (1, 2), "020102"),
        (non_empty(byte), (9,), "0109"),
        (literal(b"OK"), b"OK", "4f4b"),
        (tail, b"xyz", "78797a"),
        (pair(byte, tail), (1, b"z"), "017a"),
        (point, Point(3, b"n"), "0003016e"),
        (within(large_bytes, point), Point(3, b"n"), "00040003016e"),
        (statement, Point(1, b""), "53000100"),
        (statement, Say((b"a",)), "534159010161"),
        (statement, Ping(), "50"),
    ],
)
def test_known_bytes(codec: Codec[Any], value: Any, expected: str) -> None:
    assert codec.encode(value).hex() == expected
    assert codec.decode(bytes.fromhex(expected)) == value


@pytest.mark.parametrize(
    ("codec", "value"),
    [
        (byte, 256),
        (byte, -1),
        (word16, 65536),
        (word32, 1 << 32),
        (int64, 1 << 63),
        (int64, -(1 << 63) - 1),
        (fixed(3), b"ab"),
        (short_bytes, bytes(256)),
        (large_bytes, bytes(65536)),
        (many(byte), (0,) * 256),
        (non_empty(byte), ()),
        (literal(b"OK"), b"NO"),
        (statement, 3),
        (point, Point(-1, b"")),
        (within(short_bytes, large_bytes), bytes(254)),
    ],
)
def test_values_that_do_not_fit_are_refused(codec: Codec[Any], value: Any) -> None:
    with pytest.raises(EncodeError):
        codec.encode(value)


@pytest.mark.parametrize(
    ("codec", "data"),
    [
        (byte, b""),
        (byte, b"\0\0"),
        (word32, b"\0\0\0"),
        (boolean, b"t"),
        (boolean, b""),
        (fixed(3), b"ab"),
        (short_bytes, b"\x03ab"),
        (large_bytes, b"\x00"),
        (maybe(byte), b"2"),
        (maybe(byte), b"1"),
        (maybe(byte), b"00"),
        (many(byte), b"\x02\x01"),
        (non_empty(byte), b"\x00"),
        (literal(b"OK"), b"OX"),
        (literal(b"OK"), b"O"),
        (statement, b""),
        (statement, b"X"),
        (within(short_bytes, byte), b"\x02\x01\x01"),
        (within(short_bytes, word16), b"\x01\x01\x01"),
    ],
)
def test_malformed_bytes_are_refused(codec: Codec[Any], data: bytes) -> None:
    with pytest.raises(DecodeError):
        codec.decode(data)


def test_longer_tags_win() -> None:
    assert statement.decode(b"SAY\x00") == Say(())


def test_errors_say_where() -> None:
    with pytest.raises(DecodeError) as caught:
        point.decode(b"\x00\x01\x05ab")
    assert caught.value.offset == 3
    with pytest.raises(DecodeError, match="greeting: 1 unexpected bytes"):
        byte.decode(b"ab", "greeting")


def test_mapped_refuses_where_the_inner_type_is_wider() -> None:
    def even(value: int) -> int:
        if value % 2:
            raise DecodeError("odd")
        return value // 2

    half = mapped(byte, even, lambda value: value * 2)
    assert half.decode(b"\x08") == 4
    assert half.encode(4) == b"\x08"
    with pytest.raises(DecodeError, match="odd"):
        half.decode(b"\x07")


def test_fields_are_read_in_the_order_written() -> None:
    reversed_point = record(Point, name=short_bytes, x=word16)
    assert reversed_point.encode(Point(1, b"a")) == b"\x01a\x00\x01"


# Codecs that know where they end, with the values they take.
DELIMITED: list[tuple[Codec[Any], st.SearchStrategy[Any]]] = [
    (word16, st.integers(0, 65535)),
    (int64, st.integers(-(1 << 63), (1 << 63) - 1)),
    (boolean, st.booleans()),
    (short_bytes, st.binary(max_size=255)),
    (large_bytes, st.binary(max_size=600)),
    (maybe(large_bytes), st.none() | st.binary(max_size=40)),
    (many(short_bytes), st.lists(st.binary(max_size=5), max_size=255).map(tuple)),
    (prefixed(word32), st.binary(max_size=40)),
    (
        statement,
        st.builds(Point, st.integers(0, 65535), st.binary(max_size=9))
        | st.builds(Ping)
        | st.builds(Say, st.lists(st.binary(max_size=4), max_size=5).map(tuple)),
    ),
]
WITH_TAIL = (pair(short_bytes, tail), st.tuples(st.binary(max_size=40), st.binary(max_size=40)))


@given(st.data())
def test_round_trip(data: st.DataObject) -> None:
    codec, values = data.draw(st.sampled_from([*DELIMITED, WITH_TAIL]))
    value = data.draw(values)
    assert codec.decode(codec.encode(value)) == value


@given(st.data())
def test_delimited_codecs_stop_at_their_end(data: st.DataObject) -> None:
    codec, values = data.draw(st.sampled_from(DELIMITED))
    value = data.draw(values)
    encoded = codec.encode(value)
    with pytest.raises(DecodeError):
        codec.decode(encoded + b"\0")
    reader = Reader(encoded + b"rest")
    assert codec.read(reader) == value
    assert reader.rest() == b"rest"
    cut = data.draw(st.integers(0, len(encoded) - 1))
    with pytest.raises(DecodeError):
        codec.decode(encoded[:cut])


@given(st.data(), st.binary(max_size=60))
def test_any_bytes_decode_or_raise_the_documented_error(data: st.DataObject, noise: bytes) -> None:
    codec, _ = data.draw(st.sampled_from([*DELIMITED, WITH_TAIL]))
    try:
        value = codec.decode(noise)
    except DecodeError:
        return
    assert codec.encode(value) == noise  # each value has one form: nothing is read leniently
