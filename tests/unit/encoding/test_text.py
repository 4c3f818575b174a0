"""base64url and queries."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smpchat.encoding.reader import DecodeError
from smpchat.encoding.text import from_base64url, percent_encode, read_query, size_text, to_base64url, write_query


def test_base64url_of_the_link_example() -> None:
    assert to_base64url(bytes.fromhex("d76df8fb")) == "1234-w=="
    assert to_base64url(bytes.fromhex("d76df8fb"), padding=False) == "1234-w"
    assert from_base64url("1234-w==") == bytes.fromhex("d76df8fb")


@pytest.mark.parametrize("text", ["1234-w", "1234-w=", "1234-w==="])
def test_padding_is_optional_on_input(text: str) -> None:
    assert from_base64url(text) == bytes.fromhex("d76df8fb")


@pytest.mark.parametrize(
    "text", ["", "=", "a", "abcde", "ab+d", "ab/d", "ab d", "ab\n", "=abc", "ab=c", "é", "\uff11\uff12\uff13\uff14"]
)
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(DecodeError, match="key hash is not base64url"):
        from_base64url(text, "key hash")


@given(st.binary(min_size=1, max_size=80), st.booleans())
def test_base64url_round_trip(data: bytes, padding: bool) -> None:
    assert from_base64url(to_base64url(data, padding=padding)) == data


@given(st.text(max_size=40))
def test_any_text_is_base64url_or_refused(text: str) -> None:
    try:
        data = from_base64url(text)
    except DecodeError:
        return
    assert to_base64url(data, padding=False)[:-1] == text.rstrip("=")[:-1]  # the last letter may hold unused bits


def test_percent_encoding_keeps_only_unreserved_letters() -> None:
    unreserved = string.ascii_letters + string.digits + "-_.~"
    assert percent_encode(unreserved) == unreserved
    assert percent_encode(";=/?#@+ é") == "%3B%3D%2F%3F%23%40%2B%20%C3%A9"


def test_query_is_written_in_order_and_encoded_once() -> None:
    assert write_query([("v", "2-7"), ("dh", "AA=="), ("smp", "a%3D;b")]) == "v=2-7&dh=AA%3D%3D&smp=a%253D%3Bb"


def test_query_separators_repeats_and_blanks() -> None:
    assert read_query("v=1&v=2;k=a+b&&empty&=nameless&x=%41%3d=") == {"v": "1", "k": "a b", "empty": "", "x": "A=="}


def test_value_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(DecodeError, match="'data' is not UTF-8"):
        read_query("data=%ff")


names = st.text(string.ascii_lowercase, min_size=1, max_size=6)
values = st.text(st.characters(codec="utf-8"), max_size=20)


@given(st.dictionaries(names, values, max_size=5))
def test_query_round_trip(parameters: dict[str, str]) -> None:
    assert read_query(write_query(parameters.items())) == parameters


@given(st.text(st.characters(codec="utf-8"), max_size=60))
def test_any_query_reads_or_raises_the_documented_error(text: str) -> None:
    try:
        parameters = read_query(text)
    except DecodeError:
        return
    assert all(parameters)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"), (1, "1 byte"), (1_023, "1,023 bytes"), (1_024, "1 KiB"), (5_000, "4.88 KiB"),
        (1_024 * 10 - 1, "10 KiB"), (120_000, "117 KiB"), (1_024 * 1_000, "1,000 KiB"), (1_048_575, "1 MiB"),
        (200_000_000, "191 MiB"), (1_500_000_000, "1.4 GiB"), (3 << 30, "3 GiB"), (5 << 50, "5,120 TiB"),
    ],
)  # fmt: skip
def test_a_size_in_three_digits(size: int, text: str) -> None:
    assert size_text(size) == text
