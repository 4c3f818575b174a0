from __future__ import annotations

import time

import pytest

from smpchat.encoding.reader import DecodeError, EncodeError
from smpchat.encoding.text import from_base64url
from smpchat.protocol.address import (
    MAX_HOSTS,
    FileServer,
    FileServerAddress,
    SMPServer,
    SMPServerAddress,
    checked_file_server,
    checked_server,
    format_server,
    masked,
    parse_file_server,
    parse_server,
    smp_server,
)

FIXTURE = "LcJUMfVhwD8yxjAiSaDzzGF3-kLG4Uh0Fl_ZIjrRwjI="
HASH = from_base64url(FIXTURE)
ONION = "abcdefghij234567.onion"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (f"smp://{FIXTURE}@localhost:5001", SMPServerAddress(SMPServer(("localhost",), "5001", HASH))),
        (f"smp://{FIXTURE}@smp.example.com", SMPServerAddress(SMPServer(("smp.example.com",), "", HASH))),
        (
            f"smp://{FIXTURE}:pass-word@smp.example.com,{ONION}:443",
            SMPServerAddress(SMPServer(("smp.example.com", ONION), "443", HASH), "pass-word"),
        ),
        (f"smp://{FIXTURE}@[2001:db8::1]:5223", SMPServerAddress(SMPServer(("2001:db8::1",), "5223", HASH))),
    ],
)
def test_text(text: str, address: SMPServerAddress) -> None:
    assert parse_server(text) == address
    assert format_server(address) == text


@pytest.mark.parametrize("text", [f" smp://{FIXTURE}@h\n", f"smp://{FIXTURE.rstrip('=')}@h", f"smp://{FIXTURE}@h/"])
def test_tolerated_text(text: str) -> None:
    assert parse_server(text) == SMPServerAddress(SMPServer(("h",), "", HASH))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "smp://",
        f"xftp://{FIXTURE}@h",
        f"{FIXTURE}@h",
        f"smp://{FIXTURE}",
        f"smp://{FIXTURE}@",
        f"smp://{FIXTURE}@h:",
        f"smp://{FIXTURE}@h:x",
        f"smp://{FIXTURE}@h:65536",
        f"smp://{FIXTURE}@h:1,2",
        f"smp://{FIXTURE}@a,,b",
        f"smp://{FIXTURE}@h host",
        f"smp://{FIXTURE}@h/path",
        f"smp://{FIXTURE}@h?x=1",
        f"smp://{FIXTURE}@h#x",
        f"smp://{FIXTURE}::@h",
        "smp://key!@h",
        "smp://A@h",
    ],
)
def test_other_text(text: str) -> None:
    with pytest.raises(DecodeError):
        parse_server(text)


def test_a_hostile_text_takes_no_longer_than_another() -> None:
    """A stranger's link comes with an address; one with two readings of each bracket would never be done."""
    began = time.process_time()
    with pytest.raises(DecodeError):
        parse_server(f"smp://{FIXTURE}@" + "[]" * 24 + "?")
    assert time.process_time() - began < 0.5


@pytest.mark.parametrize(
    ("hosts", "key_hash", "within"),
    [
        (("a.example", "b.example"), HASH, True),
        (("b.example",), HASH, True),
        (("elsewhere.example",), HASH, False),
        (("elsewhere.example", "a.example"), HASH, False),
        (("a.example",), b"x" * 32, False),
    ],
)
def test_another_address_of_a_relay_leads_nowhere_else(hosts: tuple[str, ...], key_hash: bytes, within: bool) -> None:
    known = SMPServer(("a.example", "b.example"), "", HASH)
    assert SMPServer(hosts, "443", key_hash).is_within(known) is within


def test_port() -> None:
    assert SMPServer(("h",), "", HASH).port_number == 5223
    assert SMPServer(("h",), "443", HASH).port_number == 443
    # different addresses on the wire (agent-wire trap 27)
    assert SMPServer(("h",), "", HASH) != SMPServer(("h",), "5223", HASH)


def test_bytes() -> None:
    server = SMPServer(("smp.example.com", ONION), "5223", HASH)
    data = b"\x02\x0fsmp.example.com\x16" + ONION.encode() + b"\x045223\x20" + HASH
    assert smp_server.encode(server) == data
    assert smp_server.decode(data) == server


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00\x00\x00",
        b"\x01\x01h\x00",
        b"\x01\x01h\x0299\x20" + HASH + b"x",
        b"\x01\x00\x00\x00",
        b"\x01\x02\xc3\xa9\x00\x00",
    ]
    + [
        b"\x01\x01h" + bytes([len(port)]) + port + b"\x00"
        for port in (b"x", b"-1", b"65536", b"000001", b"0", b"05223")
    ]
    + [b"\x05" + b"\x01h" * 5 + b"\x00\x00"],
)
def test_other_bytes(data: bytes) -> None:
    with pytest.raises(DecodeError):
        smp_server.decode(data)


def test_host_that_is_no_host_is_not_read() -> None:
    letters = " /#,;\n@:?\0\x1b"
    for host in (*(f"a{letter}b" for letter in letters), "[a]", "[::1", "::1%lo", ""):
        with pytest.raises(DecodeError):
            checked_server([host], "", HASH)
    with pytest.raises(DecodeError):
        checked_server([], "", HASH)


def test_host_that_is_too_long_is_not_written() -> None:
    with pytest.raises(EncodeError):
        smp_server.encode(SMPServer(("h" * 256,), "", HASH))


def test_hosts_are_bounded() -> None:
    hosts = [f"{number}.example" for number in range(MAX_HOSTS)]
    assert checked_server(hosts, "", HASH).hosts == tuple(hosts)
    with pytest.raises(DecodeError, match="400 hosts"):
        checked_server(hosts * 100, "", HASH)


def test_what_was_written_down_by_an_earlier_version_is_read() -> None:
    for text in (f"smp://{FIXTURE}@h:0", f"smp://{FIXTURE}@h.:05223", "smp://abc0@h", f"smp://{FIXTURE}@a,b,c,d,e"):
        assert format_server(parse_server(text)) == text


def test_messages_name_an_ipv6_host_in_brackets() -> None:
    server = SMPServer(("2001:db8::1", "h"), "443", HASH)
    assert (server.host, server.authority) == ("[2001:db8::1]", "[2001:db8::1]:443")
    assert SMPServer(("h",), "", HASH).authority == "h:5223"


def test_password_stays_out_of_the_servers_text() -> None:
    address = parse_server(f"smp://{FIXTURE}:secret@h")
    assert "secret" not in str(address.server)


# -- relays of files --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "address", "port"),
    [
        (f"xftp://{FIXTURE}@files.example.com", FileServerAddress(FileServer(("files.example.com",), "", HASH)), 443),
        (
            f"xftp://{FIXTURE}:word@h,{ONION}:7443",
            FileServerAddress(FileServer(("h", ONION), "7443", HASH), "word"),
            7443,
        ),
    ],
)
def test_text_of_a_file_relay(text: str, address: FileServerAddress, port: int) -> None:
    assert parse_file_server(text) == address
    assert format_server(address) == text
    assert address.server.port_number == port
    assert "word" not in masked(text) and "word" not in repr(address)


def test_a_file_relay_is_not_a_relay_of_messages() -> None:
    assert FileServer(("h",), "", HASH) != SMPServer(("h",), "", HASH)
    for parse, text in ((parse_file_server, f"smp://{FIXTURE}@h"), (parse_server, f"xftp://{FIXTURE}@h")):
        with pytest.raises(DecodeError):
            parse(text)


@pytest.mark.parametrize(
    "text",
    [
        f"xftp://{FIXTURE}:word@h",
        f"xftp://{FIXTURE}@h:0",
        f"xftp://{FIXTURE}@h:0443",
        "xftp://AAAA@h",
        f"xftp://{FIXTURE}@" + ",".join("abcde"),
        f"xftp://{FIXTURE}@h/path",
    ],
)
def test_a_file_relay_that_others_name_is_checked(text: str) -> None:
    with pytest.raises(DecodeError):
        checked_file_server(text)
    assert checked_file_server(f"xftp://{FIXTURE}@h:7443") == FileServer(("h",), "7443", HASH)
