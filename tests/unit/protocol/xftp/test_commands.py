"""Commands and answers of XFTP, their credentials, and the block that holds them."""

from __future__ import annotations

import pytest

from smpchat.crypto.errors import VerificationError
from smpchat.crypto.keys import Ed25519PrivateKey, X25519PrivateKey
from smpchat.encoding.reader import DecodeError, EncodeError
from smpchat.encoding.record import replace
from smpchat.protocol.block import BLOCK_SIZE, pad_block, unpad_block
from smpchat.protocol.errors import BlockError, ErrorCode, LocalProtocolError
from smpchat.protocol.transmission import SessionMismatch, Transmission, verify_authorisation
from smpchat.protocol.xftp.command_codec import (
    CommandDecodeError,
    check_credentials,
    decode_answer,
    decode_command,
    encode_answer,
    encode_command,
    password_bytes,
)
from smpchat.protocol.xftp.commands import (
    Err,
    FAck,
    FAdd,
    FDel,
    FGet,
    File,
    FileAnswer,
    FileCommand,
    FNew,
    FPut,
    Ok,
    Ping,
    Pong,
    RIds,
    SIds,
)
from smpchat.protocol.xftp.errors import AUTH, QUOTA, XFTPError, file_error
from smpchat.protocol.xftp.transmission import decode_block, encode_block, signed_block

SENDER, RECIPIENT = Ed25519PrivateKey(bytes(range(32))), Ed25519PrivateKey(bytes(range(32, 64)))
DH = X25519PrivateKey(bytes(range(64, 96)))
SESSION = b"\x11" * 32
NEW = FNew(SENDER.public(), 65_536, b"d" * 32, (RECIPIENT.public(),))
COMMANDS: list[FileCommand] = [
    NEW,
    replace(NEW, password=b"pass", recipient_keys=(RECIPIENT.public(),) * 255),
    FAdd((RECIPIENT.public(), SENDER.public())),
    FPut(),
    FDel(),
    FGet(DH.public()),
    FAck(),
    Ping(),
]
ANSWERS: list[FileAnswer] = [
    SIds(b"s" * 16, (b"r" * 16,)),
    RIds((b"r" * 16, b"t" * 16)),
    File(DH.public(), bytes(24)),
    Ok(),
    Pong(),
    Err(AUTH),
    Err(ErrorCode.cmd("SYNTAX")),
    Err(ErrorCode(("BLOCKED",), b'reason=spam,notice={"ttl":1}')),
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: type(command).__name__)
def test_commands_are_read_as_written(command: FileCommand) -> None:
    assert decode_command(encode_command(command)) == command


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: type(answer).__name__)
def test_answers_are_read_as_written(answer: FileAnswer) -> None:
    assert decode_answer(encode_answer(answer, 3)) == answer


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"", "UNKNOWN"),
        (b"FOO", "UNKNOWN"),
        (b"FPUT=", "UNKNOWN"),
        (b"fput", "UNKNOWN"),
        (b"FPUT ", "SYNTAX"),
        (b"PING x", "SYNTAX"),
        (b"FNEW", "SYNTAX"),
        (encode_command(NEW)[:-1], "SYNTAX"),
        (encode_command(NEW) + b"\0", "SYNTAX"),
        (encode_command(NEW).replace(b"\x20" + b"d" * 32, b"\x1f" + b"d" * 31), "SYNTAX"),
        (b"FADD \0", "SYNTAX"),
        (b"FGET " + SENDER.public().der, "SYNTAX"),
    ],
)
def test_what_is_no_command_is_told_apart(data: bytes, name: str) -> None:
    with pytest.raises(CommandDecodeError) as caught:
        decode_command(data)
    assert caught.value.code == ErrorCode.cmd(name)


@pytest.mark.parametrize("data", [b"", b"SIDS", b"SIDS \x01a\0", b"OK ", b"FILE " + bytes(24), b"ERR", b"ERR NONE"])
def test_what_is_no_answer_is_refused(data: bytes) -> None:
    with pytest.raises(DecodeError):
        decode_answer(data)


def test_a_password_is_not_shown() -> None:
    assert "hunter2" not in repr(replace(NEW, password=b"hunter2"))
    with pytest.raises(EncodeError):
        password_bytes("x" * 256)


@pytest.mark.parametrize(
    ("command", "auth", "entity", "name"),
    [
        # of the real server: vectors/xftp/xftp-server-probes.json
        (NEW, b"", b"", "NO_AUTH"),
        (NEW, b"a", b"e", "HAS_AUTH"),
        (FGet(DH.public()), b"", b"e", "NO_AUTH"),
        (FGet(DH.public()), b"a", b"", "NO_AUTH"),
        (FPut(), b"a", b"", "NO_AUTH"),
        (Ping(), b"a", b"", "HAS_AUTH"),
        (Ping(), b"", b"e", "HAS_AUTH"),
    ],
)
def test_commands_need_their_credentials(command: FileCommand, auth: bytes, entity: bytes, name: str) -> None:
    with pytest.raises(CommandDecodeError) as caught:
        check_credentials(command, auth, entity)
    assert caught.value.code == ErrorCode.cmd(name)


def test_right_credentials_pass() -> None:
    check_credentials(NEW, b"a", b"")
    check_credentials(Ping(), b"", b"")
    check_credentials(FPut(), b"a", b"e")


def test_old_clients_are_not_told_why_a_chunk_is_blocked() -> None:
    blocked = Err(ErrorCode(("BLOCKED",), b"reason=content"))
    assert encode_answer(blocked, 2) == b"ERR AUTH"
    assert encode_answer(blocked, 3) == b"ERR BLOCKED reason=content"


@pytest.mark.parametrize(
    "text", [b"AUTH x", b"CMD", b"CMD NONE", b"CMD  SYNTAX", b"BLOCKED", b"BLOCKED reason=x", b"X" * 20_000]
)
def test_unknown_errors_are_refused(text: bytes) -> None:
    with pytest.raises(DecodeError):
        file_error.decode(text)


def test_what_may_pass_is_temporary() -> None:
    assert XFTPError(ErrorCode(("INTERNAL",))).temporary
    assert not XFTPError(QUOTA).temporary
    assert str(XFTPError(AUTH)) == "the file relay answered AUTH"


# -- blocks -----------------------------------------------------------------------------------------------------------


def test_a_block_holds_one_signed_transmission() -> None:
    block = signed_block(SENDER, SESSION, b"e" * 16, b"FDEL")
    assert len(block) == BLOCK_SIZE
    transmission, signed = decode_block(block, SESSION)
    assert (transmission.entity_id, transmission.corr_id, transmission.body) == (b"e" * 16, b"", b"FDEL")
    verify_authorisation(SENDER.public(), transmission.auth, signed, b"", None)
    with pytest.raises(VerificationError):
        verify_authorisation(RECIPIENT.public(), transmission.auth, signed, b"", None)


def test_a_block_of_another_session_is_told_apart() -> None:
    block = encode_block(Transmission(b"", b"", b"PING"), b"\x12" * 32)
    with pytest.raises(SessionMismatch):
        decode_block(block, SESSION)


def test_keys_that_cannot_sign_are_not_used() -> None:
    with pytest.raises(LocalProtocolError):
        signed_block(DH, SESSION, b"e", b"FDEL")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0",
        b"\x02" + b"\0\x04\0\0\0\0" * 2,
        b"\x01\0\x04\0\0\0",
        b"\x01\0\x04\0\0\0\0more",
        b"\x01\0\x02\x05a",
        b"\x01\0\x06\x01a\0\0\0\0",
        b"\x01\xff\xff",
    ],
)
def test_other_blocks_are_refused(content: bytes) -> None:
    with pytest.raises(BlockError):
        decode_block(pad_block(content), b"")


def test_a_block_of_another_size_is_refused() -> None:
    with pytest.raises(BlockError):
        decode_block(bytes(100), SESSION)
    with pytest.raises(EncodeError):
        encode_block(Transmission(b"", b"", bytes(BLOCK_SIZE)), SESSION)
    assert unpad_block(encode_block(Transmission(b"", b"", b"PING"), SESSION))[:1] == b"\x01"
