"""Any bytes and texts into the encoding layer: decoded within bounds, or `DecodeError`."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
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
    maybe,
    non_empty,
    pair,
    short_bytes,
    tail,
    word16,
    word32,
)
from smpchat.encoding.json_text import MAX_DEPTH, parse_json
from smpchat.encoding.reader import DecodeError, Reader
from smpchat.encoding.text import from_base64url, read_query, to_base64url, write_query
from smpchat.encoding.zstd import MAX_DECOMPRESSED, compress, decompress
from tests.properties import wire

CODECS: list[Codec[Any]] = [
    boolean,
    byte,
    word16,
    word32,
    int64,
    tail,
    short_bytes,
    large_bytes,
    fixed(3),
    literal(b"ab"),
    maybe(short_bytes),
    many(word16),
    non_empty(short_bytes),
    pair(maybe(byte), tail),
]


@pytest.mark.parametrize("codec", CODECS)
@given(data=st.binary(max_size=80))
def test_every_codec_reads_back_exactly_what_it_read(codec: Codec[Any], data: bytes) -> None:
    try:
        value = codec.decode(data)
    except DecodeError:
        return
    assert codec.encode(value) == data


@pytest.mark.parametrize("codec", CODECS)
@given(data=st.binary(max_size=80), more=st.binary(max_size=8))
def test_no_codec_reads_past_the_end(codec: Codec[Any], data: bytes, more: bytes) -> None:
    reader = Reader(data)
    try:
        codec.read(reader)
    except DecodeError:
        assert reader.offset <= len(data)
        return
    assert reader.offset + reader.remaining == len(data)


@given(st.text(max_size=60))
def test_any_text_is_base64url_or_refused(text: str) -> None:
    try:
        data = from_base64url(text)
    except DecodeError:
        return
    assert len(to_base64url(data, padding=False)) == len(text.rstrip("="))


names = st.from_regex(r"[a-z_]{1,8}", fullmatch=True)


@given(st.dictionaries(names, st.text(max_size=30)))
def test_queries(parameters: dict[str, str]) -> None:
    assert read_query(write_query(parameters.items())) == parameters


@given(st.text(max_size=200))
def test_any_query(text: str) -> None:
    try:
        parameters = read_query(text)
    except DecodeError:
        return
    assert all(parameters)
    assert sum(len(name) + len(value) for name, value in parameters.items()) <= len(text)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda item: st.lists(item, max_size=4) | st.dictionaries(st.text(max_size=6), item, max_size=4),
)


@given(json_values)
def test_json(value: Any) -> None:
    assert parse_json(json.dumps(value).encode()) == value


def depth(value: Any) -> int:
    if isinstance(value, dict | list):
        return 1 + max(map(depth, value.values() if isinstance(value, dict) else value), default=0)
    return 0


@given(
    st.one_of(
        wire.damaged(json_values.map(lambda value: json.dumps(value).encode())),
        st.text('[]{}",:\\ 1', max_size=400).map(str.encode),
        st.integers(0, 40_000).map(lambda count: b"[" * count + b"]" * count),
    )
)
@example(b'"' + b"\\" * 9 + b"[" * 9_000)
def test_any_json_is_bounded_in_depth(data: bytes) -> None:
    try:
        value = parse_json(data)
    except DecodeError:
        return
    assert depth(value) <= MAX_DEPTH


@given(st.one_of(st.binary(max_size=2000), st.integers(0, MAX_DECOMPRESSED).map(bytes)))
def test_frames(data: bytes) -> None:
    assert decompress(compress(data)) == data


@given(
    wire.damaged(st.one_of(st.binary(max_size=300), st.integers(0, MAX_DECOMPRESSED).map(bytes)).map(compress)),
    st.sampled_from([0, 10, MAX_DECOMPRESSED]),
)
def test_any_frame_is_bounded_in_size(frame: bytes, limit: int) -> None:
    try:
        content = decompress(frame, limit)
    except DecodeError:
        return
    assert len(content) <= limit


@pytest.mark.parametrize("decode", [parse_json, decompress, short_bytes.decode])
@given(data=st.binary(max_size=300))
def test_any_bytes_raise_only_the_documented_error(decode: Callable[[bytes], object], data: bytes) -> None:
    try:
        decode(data)
    except DecodeError as error:
        assert len(str(error)) < 200
