"""Padding."""

from __future__ import annotations

import pytest

from smpchat.crypto.errors import PaddingError
from smpchat.crypto.padding import pad, unpad


def test_number_of_the_wire_description() -> None:
    assert pad(b"hello", 16).hex() == "000568656c6c6f232323232323232323"  # smp-wire 1.3
    assert unpad(pad(b"hello", 16)) == b"hello"


@pytest.mark.parametrize(("size", "length"), [(0, 2), (14, 16), (65533, 65535), (65533, 70000)])
def test_longest_messages_fit(size: int, length: int) -> None:
    padded = pad(bytes(size), length)
    assert len(padded) == length
    assert unpad(padded) == bytes(size)


@pytest.mark.parametrize(("size", "length"), [(0, 1), (0, 0), (15, 16), (65534, 70000)])
def test_messages_that_do_not_fit_are_refused(size: int, length: int) -> None:
    with pytest.raises(PaddingError, match=f"{size} bytes"):
        pad(bytes(size), length)


@pytest.mark.parametrize("padded", [b"", b"\0", b"\0\1", b"\0\5abcd", b"\xff\xff" + bytes(65534)])
def test_padded_bytes_shorter_than_their_length_are_refused(padded: bytes) -> None:
    with pytest.raises(PaddingError):
        unpad(padded)


def test_filler_is_not_looked_at() -> None:
    assert unpad(b"\0\2hi" + bytes(10)) == b"hi"
