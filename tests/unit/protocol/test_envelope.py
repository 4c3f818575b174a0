from __future__ import annotations

import hashlib

import pytest

from smpchat.crypto.errors import PaddingError, VerificationError
from smpchat.encoding.reader import DecodeError
from smpchat.protocol.envelope import (
    CONFIRMATION_PADDING,
    MESSAGE_PADDING,
    ClientMessage,
    ClientMsgEnvelope,
    PHConfirmation,
    PHEmpty,
    client_message,
    client_msg_envelope,
    open_client_message,
    seal_client_message,
)
from tests.unit.protocol.numbers import NONCE, SECRET, SIGNER, A, B

MESSAGE = ClientMessage(PHEmpty(), b"hello")
CONFIRMATION = ClientMessage(PHConfirmation(SIGNER.public()), b"hello")


def test_numbers_of_a_message() -> None:
    data = seal_client_message(4, None, SECRET, NONCE, MESSAGE, MESSAGE_PADDING)
    assert len(data) == 16043
    assert hashlib.sha256(data).hexdigest() == "7fb216a311e1d5b973d23f45c0852600764db54df37e09a6ba15c128b0901bc4"


def test_numbers_of_a_confirmation() -> None:
    data = seal_client_message(4, A.public(), SECRET, NONCE, CONFIRMATION, CONFIRMATION_PADDING)
    assert len(data) == 15992
    assert hashlib.sha256(data).hexdigest() == "bbdb10ce14721b28351270727251af06943115669872b4f8aa8e5030d1e3b33b"


def test_the_other_side_opens_it() -> None:
    data = seal_client_message(4, A.public(), SECRET, NONCE, CONFIRMATION, CONFIRMATION_PADDING)
    envelope = client_msg_envelope.decode(data)
    assert envelope.sender_key == A.public()
    assert open_client_message(B.exchange(A.public()), envelope) == CONFIRMATION


def test_content_form() -> None:
    assert client_message.encode(MESSAGE) == b"_hello"
    assert client_message.encode(CONFIRMATION) == b"K\x2c" + SIGNER.public().der + b"hello"


@pytest.mark.parametrize("data", [b"", b"X", b"K", b"K\x01x", b"K\x2c" + bytes(44)])
def test_malformed_content(data: bytes) -> None:
    with pytest.raises(DecodeError):
        client_message.decode(data)


@pytest.mark.parametrize(
    "data", [b"", b"\x00\x04", b"\x00\x042", b"\x00\x040" + bytes(23), b"\x00\x041\x00" + bytes(24)]
)
def test_malformed_envelope(data: bytes) -> None:
    with pytest.raises(DecodeError):
        client_msg_envelope.decode(data)


def test_a_box_changed_on_its_way_does_not_open() -> None:
    data = seal_client_message(4, None, SECRET, NONCE, MESSAGE, 64)
    envelope = client_msg_envelope.decode(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(VerificationError):
        open_client_message(SECRET, envelope)
    with pytest.raises(VerificationError):
        open_client_message(SECRET, ClientMsgEnvelope(4, None, NONCE, b"short"))


def test_message_that_is_too_long() -> None:
    with pytest.raises(PaddingError):
        seal_client_message(4, None, SECRET, NONCE, ClientMessage(PHEmpty(), bytes(62)), 64)
