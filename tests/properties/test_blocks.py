"""The decoders that are written out for speed say the same as the combinators that describe the wire."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smpchat.encoding.codec import fixed, large_bytes, maybe, non_empty, short_bytes, within
from smpchat.encoding.reader import DecodeError, Reader
from smpchat.protocol.block import decode_batch, encode_batches
from smpchat.protocol.transmission import (
    AUTH_LENGTHS,
    SessionMismatch,
    Transmission,
    decode_transmission,
    encode_transmission,
)
from smpchat.protocol.version import AUTH_CMDS, SERVICE_CERTS

SESSION = bytes(range(32))
versions = st.integers(6, 18)
short = st.binary(max_size=30)
transmissions = st.builds(
    Transmission,
    corr_id=short,
    entity_id=short,
    body=st.binary(max_size=60),
    auth=st.sampled_from(sorted(AUTH_LENGTHS)).map(bytes),
)


def described_batch(content: bytes) -> tuple[bytes, ...]:
    return non_empty(large_bytes).decode(content)


def described_transmission(data: bytes, version: int) -> Transmission:
    reader = Reader(data)
    auth = short_bytes.read(reader)
    if len(auth) not in AUTH_LENGTHS:
        raise DecodeError("length")
    service_auth = None
    if auth and version >= SERVICE_CERTS:
        service_auth = maybe(within(short_bytes, fixed(64))).read(reader)
    if version < AUTH_CMDS and short_bytes.read(reader) != SESSION:
        raise SessionMismatch("session")
    corr_id, entity_id = short_bytes.read(reader), short_bytes.read(reader)
    return Transmission(corr_id, entity_id, reader.rest(), auth, service_auth)


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=300))
def test_batches_come_back(data: list[bytes]) -> None:
    assert [one for content in encode_batches(data) for one in decode_batch(content)] == data


lists_of_strings = st.lists(st.binary(max_size=4), max_size=4).map(
    lambda items: bytes([len(items)]) + b"".join(map(large_bytes.encode, items))
)
almost_lists = st.builds(
    lambda data, cut, tail: data[: len(data) - cut] + tail, lists_of_strings, st.integers(0, 3), short
)


@given(st.one_of(st.binary(max_size=12), lists_of_strings, almost_lists))
def test_any_content_is_the_described_batch_or_refused(content: bytes) -> None:
    try:
        expected = described_batch(content)
    except DecodeError:
        with pytest.raises(DecodeError):
            decode_batch(content)
    else:
        assert decode_batch(content) == expected


@given(transmissions, versions)
def test_transmissions_come_back(transmission: Transmission, version: int) -> None:
    assert decode_transmission(encode_transmission(transmission, version, SESSION), version, SESSION) == transmission


almost = st.builds(
    lambda transmission, version, cut, tail: encode_transmission(transmission, version, SESSION)[:cut] + tail,
    transmissions,
    versions,
    st.integers(0, 200),
    st.binary(max_size=80),
)


@given(st.one_of(almost, st.binary(max_size=150)), versions)
def test_any_bytes_are_the_described_transmission_or_refused(data: bytes, version: int) -> None:
    try:
        expected = described_transmission(data, version)
    except DecodeError as error:
        with pytest.raises(type(error)):
            decode_transmission(data, version, SESSION)
    else:
        assert decode_transmission(data, version, SESSION) == expected
