"""The bounded cursor."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smpchat.encoding.reader import DecodeError, Reader


def test_take_moves_forward() -> None:
    reader = Reader(b"abcdef")
    assert reader.take(2) == b"ab"
    assert (reader.offset, reader.remaining) == (2, 4)
    assert reader.take(0) == b""
    assert reader.rest() == b"cdef"
    assert reader.remaining == 0


@pytest.mark.parametrize("size", [4, 1000, -1])
def test_take_refuses_more_than_is_left_and_consumes_nothing(size: int) -> None:
    reader = Reader(b"abc")
    with pytest.raises(DecodeError) as caught:
        reader.take(size, "key")
    assert caught.value.offset == 0
    assert "key" in str(caught.value)
    assert reader.take(3) == b"abc"


def test_peek_and_starts_with_consume_nothing() -> None:
    reader = Reader(b"xy")
    reader.take(1)
    assert reader.peek() == ord("y")
    assert reader.starts_with(b"y")
    assert not reader.starts_with(b"x")
    assert not reader.starts_with(b"yz")
    assert reader.offset == 1
    reader.take(1)
    assert reader.peek() is None


def test_finish_refuses_trailing_bytes() -> None:
    reader = Reader(b"abc")
    reader.take(1)
    with pytest.raises(DecodeError, match=r"command: 2 unexpected bytes at the end \(at offset 1\)"):
        reader.finish("command")
    reader.rest()
    reader.finish("command")


def test_error_without_offset_has_only_its_words() -> None:
    error = DecodeError("link is malformed")
    assert str(error) == "link is malformed"
    assert (error.what, error.offset) == ("link is malformed", None)


@given(st.binary(max_size=40), st.lists(st.integers(0, 12), max_size=10))
def test_pieces_are_the_data_in_order(data: bytes, sizes: list[int]) -> None:
    reader, taken = Reader(data), b""
    for size in sizes:
        if size > len(data) - len(taken):
            with pytest.raises(DecodeError):
                reader.take(size)
            break
        taken += reader.take(size)
    assert taken + reader.rest() == data
