from __future__ import annotations

import json

import pytest

from smpchat.agent.wire.user_data import COMPRESS_ABOVE, read_user_json, write_user_json
from smpchat.encoding.reader import EncodeError
from smpchat.encoding.zstd import MAX_DECOMPRESSED, compress


def test_small() -> None:
    value = {"profile": {"displayName": "é"}}
    data = write_user_json(value)
    assert data == '{"profile":{"displayName":"é"}}'.encode()
    assert read_user_json(data) == value


def test_compressed_only_above_the_limit() -> None:
    frame = len(b'{"a":""}')
    longest = write_user_json({"a": "x" * (COMPRESS_ABOVE - frame)})
    assert len(longest) == COMPRESS_ABOVE
    value = {"a": "x" * (COMPRESS_ABOVE - frame + 1)}
    data = write_user_json(value)
    assert data[:5] == b"X\x28\xb5\x2f\xfd"
    assert read_user_json(data) == value


def test_too_much() -> None:
    with pytest.raises(EncodeError):
        write_user_json({"a": "x" * MAX_DECOMPRESSED})


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"text",
        b"[]",
        b'"x"',
        b"{",
        b"\xff",
        b"X",
        b"Xx",
        b"X" + compress(b"[]"),
        b"X" + compress(b"\xff"),
        b"[" * 60_000,
        json.dumps({"a": 1}).encode("utf-16"),
    ],
)
def test_anything_else_is_ignored(data: bytes) -> None:
    assert read_user_json(data) is None
