from __future__ import annotations

import pytest

from smpchat.agent.wire.envelope import (
    Confirmation,
    ConnInfo,
    ConnInfoReply,
    ConnInfoSecured,
    Hello,
    InvitationEnvelope,
    MessageEnvelope,
    NumberedMessage,
    QueueUse,
    RatchetInfo,
    RatchetKeyEnvelope,
    RatchetReady,
    Receipt,
    Receipts,
    UserMessage,
    agent_envelope,
    agent_message,
)
from smpchat.agent.wire.queue import QueueAddress, queue_info
from smpchat.crypto.agreement import E2EParams, e2e_params
from smpchat.crypto.keys import Ed25519PublicKey, X448PublicKey
from smpchat.encoding.reader import DecodeError, EncodeError
from tests.unit.agent.wire.test_queue import INFO, SERVER

HASH = b"\xdd" * 32
KEY = Ed25519PublicKey(bytes(32))
PARAMS = E2EParams(3, X448PublicKey(bytes(56)), X448PublicKey(bytes(56)))


class TestMessages:
    def test_numbers(self) -> None:
        """agent-wire 3.4."""
        message = NumberedMessage(2, HASH, UserMessage(b'{"event":"x.ok"}'))
        data = "4d0000000000000002" + "20" + "dd" * 32 + "4d" + "7b226576656e74223a22782e6f6b227d"
        assert agent_message.encode(message).hex() == data
        assert agent_message.decode(bytes.fromhex(data)) == message

    @pytest.mark.parametrize(
        ("message", "data"),
        [
            (ConnInfo(b"{}"), b"I{}"),
            (ConnInfoReply((INFO,), b"{}"), b"D\x01" + queue_info.encode(INFO) + b"{}"),
            (ConnInfoSecured(KEY, (INFO,), b"{}"), b"S\x2c" + KEY.der + b"\x01" + queue_info.encode(INFO) + b"{}"),
            (RatchetInfo(), b"R"),
            (NumberedMessage(1, b"", Hello()), b"M" + bytes(7) + b"\x01\x00H"),
            (NumberedMessage(-1, b"", RatchetReady(5)), b"M" + b"\xff" * 8 + b"\x00E" + bytes(7) + b"\x05"),
            (
                NumberedMessage(1, b"", Receipts((Receipt(2, HASH), Receipt(3, HASH, b"i")))),
                b"M" + bytes(7) + b"\x01\x00V\x02" + bytes(7) + b"\x02\x20" + HASH + b"\x00\x00"
                + bytes(7) + b"\x03\x20" + HASH + b"\x00\x01i",
            ),
        ],
    )  # fmt: skip
    def test_form(self, message: object, data: bytes) -> None:
        assert agent_message.encode(message) == data  # type: ignore[arg-type]
        assert agent_message.decode(data) == message

    def test_two_letter_tags(self) -> None:
        message = NumberedMessage(1, b"", QueueUse(((QueueAddress(SERVER, b"id"), True),)))
        data = agent_message.encode(message)
        assert data[9:13] == b"\x00QU\x01"
        assert data.endswith(b"\x02idT")
        assert agent_message.decode(data) == message

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"X",
            b"M",
            b"M" + bytes(9),
            b"M" + bytes(9) + b"X",
            b"M" + bytes(9) + b"Q",
            b"M" + bytes(9) + b"Hx",
            b"M" + bytes(9) + b"V\x00",
            b"M" + bytes(9) + b"QA\x00",
            b"D\x00",
            b"S\x00\x00",
        ],
    )
    def test_other_bytes(self, data: bytes) -> None:
        with pytest.raises(DecodeError):
            agent_message.decode(data)

    def test_empty_lists_are_not_written(self) -> None:
        with pytest.raises(EncodeError):
            agent_message.encode(ConnInfoReply((), b""))

    def test_profiles_and_texts_stay_out_of_repr(self) -> None:
        messages = [
            ConnInfo(b"secret"),
            ConnInfoReply((INFO,), b"secret"),
            NumberedMessage(1, b"", UserMessage(b"secret")),
        ]
        assert "secret" not in repr(messages)


class TestEnvelopes:
    @pytest.mark.parametrize(
        ("envelope", "data"),
        [
            (Confirmation(7, None, b"ratchet"), b"\x00\x07C0ratchet"),
            (Confirmation(7, PARAMS, b"ratchet"), b"\x00\x07C1" + e2e_params.encode(PARAMS) + b"ratchet"),
            (MessageEnvelope(7, b"ratchet"), b"\x00\x07Mratchet"),
            (InvitationEnvelope(7, b"link", b"{}"), b"\x00\x07I\x00\x04link{}"),
            (RatchetKeyEnvelope(7, PARAMS, b"R"), b"\x00\x07R" + e2e_params.encode(PARAMS) + b"R"),
        ],
    )
    def test_form(self, envelope: object, data: bytes) -> None:
        assert agent_envelope.encode(envelope) == data  # type: ignore[arg-type]
        assert agent_envelope.decode(data) == envelope

    @pytest.mark.parametrize(
        "data", [b"", b"\x00", b"\x00\x07", b"\x00\x07X", b"\x00\x07C", b"\x00\x07C2", b"\x00\x07I\x00\x05link"]
    )
    def test_other_bytes(self, data: bytes) -> None:
        with pytest.raises(DecodeError):
            agent_envelope.decode(data)

    def test_version_that_does_not_fit(self) -> None:
        with pytest.raises(EncodeError):
            agent_envelope.encode(MessageEnvelope(65536, b""))
