from __future__ import annotations

import pytest

from smpchat.encoding.reader import DecodeError
from smpchat.protocol.errors import ErrorCode, SMPError, error_code


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"AUTH", ErrorCode.AUTH),
        (b"QUOTA", ErrorCode.QUOTA),
        (b"DUPLICATE_", ErrorCode(("DUPLICATE_",))),
        (b"CMD SYNTAX", ErrorCode.cmd("SYNTAX")),
        (b"STORE disk is full", ErrorCode(("STORE",), b"disk is full")),
        (b"STORE ", ErrorCode(("STORE",), b"")),
        (b"BLOCKED reason=spam", ErrorCode(("BLOCKED",), b"reason=spam")),
        (b'BLOCKED reason=content,notice={"ttl":7}', ErrorCode(("BLOCKED",), b'reason=content,notice={"ttl":7}')),
        (b"PROXY BASIC_AUTH", ErrorCode.proxy("BASIC_AUTH")),
        (b"PROXY PROTOCOL AUTH", ErrorCode.proxy("PROTOCOL", "AUTH")),
        (b"PROXY PROTOCOL STORE x", ErrorCode(("PROXY", "PROTOCOL", "STORE"), b"x")),
        (b"PROXY BROKER TIMEOUT", ErrorCode.proxy("BROKER", "TIMEOUT")),
        (b"PROXY BROKER NETWORK", ErrorCode.proxy("BROKER", "NETWORK")),
        (b"PROXY BROKER NETWORK TIMEOUT", ErrorCode.proxy("BROKER", "NETWORK", "TIMEOUT")),
        (b"PROXY BROKER NETWORK TLS \x03abc", ErrorCode(("PROXY", "BROKER", "NETWORK", "TLS"), b"abc")),
        (b"PROXY BROKER RESPONSE \x00", ErrorCode(("PROXY", "BROKER", "RESPONSE"), b"")),
        (b"PROXY BROKER TRANSPORT VERSION", ErrorCode.proxy("BROKER", "TRANSPORT", "VERSION")),
        (
            b"PROXY BROKER TRANSPORT HANDSHAKE BAD_AUTH",
            ErrorCode.proxy("BROKER", "TRANSPORT", "HANDSHAKE", "BAD_AUTH"),
        ),
    ],
)
def test_form(data: bytes, code: ErrorCode) -> None:
    assert error_code.decode(data) == code
    assert error_code.encode(code) == data


def test_older_name() -> None:
    assert error_code.decode(b"CMD NO_QUEUE") == ErrorCode.cmd("NO_ENTITY")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" ",
        b"NOPE",
        b"AUTH ",
        b"AUTHx",
        b"CMD",
        b"CMD ",
        b"CMD NOPE",
        b"CMD SYNTAX ",
        b"STORE",
        b"BLOCKED",
        b"BLOCKED reason=nope",
        b"BLOCKED reason=spam,notice=",
        b"BLOCKED reason=spam,notice={",
        b"BLOCKED reason=spam,other=1",
        b"PROXY",
        b"PROXY NOPE",
        b"PROXY PROTOCOL",
        b"PROXY PROTOCOL NOPE",
        b"PROXY BROKER",
        b"PROXY BROKER NOPE",
        b"PROXY BROKER RESPONSE",
        b"PROXY BROKER RESPONSE \x05abc",
        b"PROXY BROKER RESPONSE \x01ab",
        b"PROXY BROKER NETWORK NOPE",
        b"PROXY BROKER TRANSPORT NOPE",
        b"PROXY BROKER TRANSPORT HANDSHAKE NOPE",
        b"\xff\xfe",
        b"CMD \xc3\xa9",
    ],
)
def test_malformed(data: bytes) -> None:
    with pytest.raises(DecodeError):
        error_code.decode(data)


@pytest.mark.parametrize("depth", [1, 4])
def test_nesting_within_the_limit(depth: int) -> None:
    data = b"PROXY PROTOCOL " * depth + b"AUTH"
    assert error_code.encode(error_code.decode(data)) == data


@pytest.mark.parametrize("depth", [5, 1000, 100_000])
def test_nesting_beyond_the_limit(depth: int) -> None:
    with pytest.raises(DecodeError, match="deeply"):
        error_code.decode(b"PROXY PROTOCOL " * depth + b"AUTH")


def test_notice_of_a_blocked_queue_is_bounded_in_depth() -> None:
    with pytest.raises(DecodeError):
        error_code.decode(b"BLOCKED reason=spam,notice=" + b'{"a":' * 5000 + b"1" + b"}" * 5000)


@pytest.mark.parametrize(
    ("code", "temporary"),
    [
        (ErrorCode.QUOTA, True),
        (ErrorCode.INTERNAL, True),
        (ErrorCode(("STORE",), b"x"), True),
        (ErrorCode.AUTH, False),
        (ErrorCode.cmd("SYNTAX"), False),
    ],
)
def test_which_errors_pass(code: ErrorCode, temporary: bool) -> None:
    error = SMPError(code)
    assert error.temporary is temporary
    assert str(code) in str(error)
