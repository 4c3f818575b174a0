from __future__ import annotations

import hashlib

import pytest

from smpchat.crypto.box import cb_encrypt
from smpchat.crypto.errors import PaddingError, VerificationError
from smpchat.encoding.reader import DecodeError
from smpchat.protocol.messages import (
    RCV_PADDING,
    QuotaMarker,
    RcvMessage,
    decode_rcv_message,
    encode_rcv_message,
    open_message,
    seal_message,
)
from tests.unit.protocol.numbers import NONCE, SECRET, TIME


@pytest.mark.parametrize(
    ("message", "digest"),
    [
        (RcvMessage(TIME, True, b"hello"), "2742fb84e34048a26d77e7eb5ce2e2d60d04753f1f3299e148c97926905d7028"),
        (QuotaMarker(TIME), "6e9302291c7702cb69f471754a0816b14ea858144237e7557f2c16b6b351921c"),
    ],
)
def test_numbers(message: RcvMessage | QuotaMarker, digest: str) -> None:
    sealed = seal_message(SECRET, NONCE, message)
    assert len(sealed) == 16122
    assert hashlib.sha256(sealed).hexdigest() == digest
    assert open_message(SECRET, NONCE, sealed) == message


def test_flags_to_come_are_skipped() -> None:
    assert decode_rcv_message(bytes(8) + b"Fabcdefg body") == RcvMessage(0, False, b"body")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes(8),
        bytes(8) + b"T",
        bytes(8) + b"X body",
        bytes(8) + b"Tabcdefgh body",
        b"QUOTA " + bytes(7),
        b"QUOTA " + bytes(9),
    ],
)
def test_malformed_content(data: bytes) -> None:
    with pytest.raises(DecodeError):
        decode_rcv_message(data)


def test_longest_body() -> None:
    longest = RCV_PADDING - 2 - 10
    assert len(seal_message(SECRET, NONCE, RcvMessage(TIME, False, bytes(longest)))) == 16122
    with pytest.raises(PaddingError):
        seal_message(SECRET, NONCE, RcvMessage(TIME, False, bytes(longest + 1)))


def test_another_message_id_or_key_does_not_open() -> None:
    sealed = seal_message(SECRET, NONCE, RcvMessage(TIME, True, b"hello"))
    with pytest.raises(VerificationError):
        open_message(SECRET, NONCE[::-1], sealed)
    with pytest.raises(VerificationError):
        open_message(bytes(32), NONCE, sealed)
    with pytest.raises(DecodeError, match="message id"):
        open_message(SECRET, NONCE[:23], sealed)


def test_box_with_malformed_content() -> None:
    with pytest.raises(DecodeError):
        open_message(SECRET, NONCE, cb_encrypt(SECRET, NONCE, b"??", 64))


def test_body_stays_out_of_repr() -> None:
    assert "secret" not in repr(RcvMessage(0, True, b"secret"))


def test_time_may_be_of_any_era() -> None:
    assert decode_rcv_message(encode_rcv_message(RcvMessage(-1, True, b""))) == RcvMessage(-1, True, b"")
