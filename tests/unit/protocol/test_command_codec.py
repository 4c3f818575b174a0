"""Commands and messages at the versions where their forms change; every case at every version is in tests/vectors."""

from __future__ import annotations

import pytest

from smpchat.encoding.reader import DecodeError, EncodeError
from smpchat.protocol.command_codec import (
    CommandDecodeError,
    decode_broker,
    decode_command,
    encode_broker,
    encode_command,
)
from smpchat.protocol.commands import (
    Ack,
    BrokerMessage,
    Command,
    Deld,
    End,
    Err,
    Get,
    Ids,
    Info,
    Key,
    LinkData,
    Msg,
    New,
    NtfIds,
    NtfRequest,
    Ok,
    Ping,
    QueueRequest,
    RKey,
    Send,
    SKey,
    Sok,
    Sub,
)
from smpchat.protocol.errors import ErrorCode
from smpchat.protocol.queue_mode import QueueMode
from tests.unit.protocol.numbers import SIGNER, A, B

KEY, DH = SIGNER.public(), A.public()
K, D = b"\x2c" + KEY.der, b"\x2c" + DH.der
MESSAGING, CONTACT = QueueRequest(QueueMode.MESSAGING), QueueRequest(QueueMode.CONTACT)


class TestNew:
    @pytest.mark.parametrize(
        ("new", "version", "rest"),
        [
            (New(KEY, DH), 6, b"S"),
            (New(KEY, DH, b"pw", subscribe=False), 8, b"A\x02pwC"),
            (New(KEY, DH, queue=MESSAGING), 9, b"0ST"),
            (New(KEY, DH, queue=CONTACT), 14, b"0SF"),
            (New(KEY, DH, b"pw", queue=MESSAGING), 14, b"1\x02pwST"),
            (New(KEY, DH), 15, b"0S0"),
            (New(KEY, DH, queue=MESSAGING), 15, b"0S1M0"),
            (New(KEY, DH, queue=CONTACT), 16, b"0S1C0"),
            (
                New(KEY, DH, queue=QueueRequest(QueueMode.MESSAGING, LinkData(b"s", b"f", b"u"))),
                15,
                b"0S1M1\x01s\x00\x01f\x00\x01u",
            ),
            (
                New(KEY, DH, queue=QueueRequest(QueueMode.CONTACT, LinkData(b"s", b"f", b"u", b"l"))),
                15,
                b"0S1C1\x01l\x01s\x00\x01f\x00\x01u",
            ),
            (New(KEY, DH), 17, b"0S00"),
            (New(KEY, DH, ntf=NtfRequest(KEY, DH)), 18, b"0S01" + K + D),
        ],
    )
    def test_form(self, new: New, version: int, rest: bytes) -> None:
        data = b"NEW " + K + D + rest
        assert encode_command(new, version) == data
        assert decode_command(data, version) == new

    def test_queue_without_a_mode_is_read_as_a_contact_queue_before_version_15(self) -> None:
        assert decode_command(encode_command(New(KEY, DH), 9), 9) == New(KEY, DH, queue=CONTACT)

    def test_sender_key_needs_negotiation(self) -> None:
        new = New(KEY, DH, queue=MESSAGING, sender_key=KEY)
        with pytest.raises(EncodeError):
            encode_command(new, 18)
        data = encode_command(new, 18, keyed_new=True)
        assert data == b"NEW " + K + D + b"0S1M001" + K
        assert decode_command(data, 18, keyed_new=True) == new
        with pytest.raises(CommandDecodeError):
            decode_command(data, 18)

    def test_negotiated_without_a_key(self) -> None:
        data = encode_command(New(KEY, DH), 18, keyed_new=True)
        assert data.endswith(b"0S000")
        assert decode_command(data, 18, keyed_new=True) == New(KEY, DH)

    def test_password_stays_out_of_repr(self) -> None:
        assert "pw" not in repr(New(KEY, DH, b"pw"))


@pytest.mark.parametrize(
    ("command", "data"),
    [
        (Sub(), b"SUB"),
        (Ping(), b"PING"),
        (Get(), b"GET"),
        (Key(KEY), b"KEY " + K),
        (SKey(DH), b"SKEY " + D),
        (RKey((KEY, KEY)), b"RKEY \x02" + K + K),
        (Ack(b"id"), b"ACK \x02id"),
        (Send(True, b"a b"), b"SEND T a b"),
        (Send(False, b""), b"SEND F "),
    ],
)
def test_same_form_at_every_version(command: Command, data: bytes) -> None:
    for version in range(6, 19):
        assert encode_command(command, version) == data
        assert decode_command(data, version) == command


def test_flags_to_come_are_skipped() -> None:
    assert decode_command(b"SEND Tabcdefg body", 18) == Send(True, b"body")


@pytest.mark.parametrize(
    ("data", "name"),
    [
        # smp-wire 8.1
        (b"HELLO", "UNKNOWN"),
        (b"OK", "UNKNOWN"),
        (b"SUB=", "UNKNOWN"),
        (b"", "UNKNOWN"),
        (b"sub", "UNKNOWN"),
        (b" SUB", "UNKNOWN"),
        (b"NEW", "SYNTAX"),
        (b"NEW x", "SYNTAX"),
        (b"KEY", "SYNTAX"),
        (b"KEY ", "SYNTAX"),
        (b"ACK", "SYNTAX"),
        (b"SEND", "SYNTAX"),
        (b"SEND ", "SYNTAX"),
        (b"SEND X body", "SYNTAX"),
        (b"SEND Tabcdefgh body", "SYNTAX"),
        (b"SUB ", "SYNTAX"),
        (b"SUB x", "SYNTAX"),
        (b"KEY " + K + b"x", "SYNTAX"),
        (b"RKEY \x00", "SYNTAX"),
        (b"NKEY " + K + K, "SYNTAX"),
        (b"NEW " + K + K + b"0S0", "SYNTAX"),
        (b"NEW " + K + D + b"0X000", "SYNTAX"),
        (b"NEW " + K + D + b"0S1X000", "SYNTAX"),
    ],
)
def test_what_a_relay_answers_to_other_bytes(data: bytes, name: str) -> None:
    with pytest.raises(CommandDecodeError) as caught:
        decode_command(data, 18)
    assert caught.value.code == ErrorCode.cmd(name)


def test_field_that_does_not_fit_is_not_written() -> None:
    with pytest.raises(EncodeError):
        encode_command(Ack(bytes(256)), 18)


class TestBroker:
    IDS = b"IDS \x01r\x01s" + b"\x2c" + B.public().der

    @pytest.mark.parametrize(
        ("ids", "version", "rest"),
        [
            (Ids(b"r", b"s", B.public()), 8, b""),
            (Ids(b"r", b"s", B.public(), QueueMode.MESSAGING), 9, b"T"),
            (Ids(b"r", b"s", B.public(), QueueMode.CONTACT), 14, b"F"),
            (Ids(b"r", b"s", B.public(), QueueMode.MESSAGING, b"l"), 15, b"1M1\x01l"),
            (Ids(b"r", b"s", B.public(), QueueMode.CONTACT, None, b"v"), 16, b"1C01\x01v"),
            (Ids(b"r", b"s", B.public()), 17, b"0000"),
            (Ids(b"r", b"s", B.public(), ntf=NtfIds(b"n", DH)), 18, b"0001\x01n" + D),
        ],
    )
    def test_ids(self, ids: Ids, version: int, rest: bytes) -> None:
        assert encode_broker(ids, version) == self.IDS + rest
        assert decode_broker(self.IDS + rest, version) == ids

    @pytest.mark.parametrize(
        ("message", "version", "data"),
        [
            (Sok(), 16, b"SOK 0"),
            (Sok(b"v"), 18, b"SOK 1\x01v"),
            (Sok(b"v"), 15, b"OK"),
            (Deld(), 10, b"DELD"),
            (Deld(), 9, b"END"),
            (End(), 9, b"END"),
            (Err(ErrorCode(("BLOCKED",), b"reason=spam")), 11, b"ERR AUTH"),
            (Err(ErrorCode(("BLOCKED",), b"reason=spam")), 12, b"ERR BLOCKED reason=spam"),
            (Err(ErrorCode(("BLOCKED",), b"reason=spam,notice={}")), 17, b"ERR BLOCKED reason=spam"),
            (Err(ErrorCode(("BLOCKED",), b"reason=spam,notice={}")), 18, b"ERR BLOCKED reason=spam,notice={}"),
            (Ok(), 6, b"OK"),
            (Info(b'{"qiSnd":true}'), 18, b'INFO {"qiSnd":true}'),
        ],
    )
    def test_what_older_clients_get(self, message: BrokerMessage, version: int, data: bytes) -> None:
        assert encode_broker(message, version) == data

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"NOPE",
            b"SUB",
            b"OK ",
            b"MSG",
            b"MSG \x05id",
            b"END x",
            b"SOKS 1",
            b"INFO",
            b"INFO {",
            b"INFO \xff",
            b"INFO " + b"[" * 5000 + b"]" * 5000,
            b"ERR",
            b"ERR NOPE",
            b"PKEY \x00\x00\x09\x00\x08\x01\x00\x00\x00\x00",
        ],
    )
    def test_other_bytes(self, data: bytes) -> None:
        with pytest.raises(DecodeError):
            decode_broker(data, 18)

    def test_body_is_the_rest(self) -> None:
        assert decode_broker(b"MSG \x02id with blanks ", 18) == Msg(b"id", b" with blanks ")

    def test_bodies_stay_out_of_repr(self) -> None:
        assert "secret" not in repr(Msg(b"id", b"secret")) + repr(Send(True, b"secret"))
