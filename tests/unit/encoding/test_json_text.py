from __future__ import annotations

import pytest

from smpchat.encoding.json_text import MAX_DEPTH, parse_json
from smpchat.encoding.reader import DecodeError


def test_values() -> None:
    assert parse_json(b'{"a": [1, "\\u00e9", null]}') == {"a": [1, "é", None]}


def test_nesting_up_to_the_limit() -> None:
    assert parse_json(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH) is not None
    with pytest.raises(DecodeError, match="deeply"):
        parse_json(b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1))
    with pytest.raises(DecodeError, match="deeply"):
        parse_json(b'{"a":' * 100_000)


@pytest.mark.parametrize("text", [b'"' + b"[" * 1000 + b'"', b'"\\"' + b"{" * 1000 + b'"'])
def test_brackets_in_strings_do_not_nest(text: bytes) -> None:
    assert len(parse_json(text)) >= 1000


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"{",
        b'{"a"}',
        b"[1] x",
        '"é"'.encode("utf-16"),
        b"\x00",
        b"1" * 10_000,
        b"NaN",
        b"[-Infinity]",
        b'"' + b'\\"' * 50_000,
    ],
)
def test_anything_else_is_a_decode_error(data: bytes) -> None:
    with pytest.raises(DecodeError):
        parse_json(data)
