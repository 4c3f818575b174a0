"""Queue addresses; every version and mode is in tests/vectors."""

from __future__ import annotations

import pytest

from smpchat.agent.wire.queue import (
    QueueAddress,
    QueueInfo,
    QueueURI,
    queue_address,
    queue_info,
    queue_infos,
    queue_uri,
    queue_uri_from_text,
    queue_uri_to_text,
)
from smpchat.crypto.keys import X25519PublicKey, key_to_text
from smpchat.encoding.reader import DecodeError, EncodeError
from smpchat.encoding.record import replace
from smpchat.protocol.address import SMPServer
from smpchat.protocol.queue_mode import QueueMode
from smpchat.protocol.version import VersionRange

SERVER = SMPServer(("smp.example.org",), "5223", b"\xaa" * 32)
DH = X25519PublicKey(b"\xcc" * 32)
INFO = QueueInfo(4, SERVER, b"\xbb" * 24, DH, QueueMode.MESSAGING)
ONION = "jjbyvoemxysm7qxap7m5d5m35jzv5qq6gnlv7s4rsn7tdwwmuqciwpid.onion"
# agent-wire 2.2
EXAMPLE = (
    "smp://1234-w==@smp.simplex.im:5223/3456-w==#/?v=1-4&dh=MCowBQYDK2VuAyEAjiswwI3O_NlS8Fk3HJUW870EY2bAwmttMBsvRB9eV3o"
    f"%3D&q=m&k=s&srv={ONION}"
)
DH_TEXT = "MCowBQYDK2VuAyEAjiswwI3O_NlS8Fk3HJUW870EY2bAwmttMBsvRB9eV3o="
URI = queue_uri_from_text(EXAMPLE)


def test_numbers_of_queue_information() -> None:
    """agent-wire 2.6."""
    expected = (
        "0004010f736d702e6578616d706c652e6f7267043532323320" + "aa" * 32 + "18" + "bb" * 24
        + "2c302a300506032b656e032100" + "cc" * 32 + "4d"
    )  # fmt: skip
    assert len(expected) == 2 * 128
    assert queue_info.encode(INFO).hex() == expected
    assert queue_info.decode(bytes.fromhex(expected)) == INFO


def test_example_of_the_text() -> None:
    assert URI.server == SMPServer(("smp.simplex.im", ONION), "5223", bytes.fromhex("d76df8fb"))
    assert (URI.sender_id.hex(), key_to_text(URI.dh_key)) == ("df8e7afb", DH_TEXT)
    assert (URI.versions, URI.mode) == (VersionRange(1, 4), QueueMode.MESSAGING)
    assert queue_uri_to_text(URI) == EXAMPLE


@pytest.mark.parametrize(
    ("minimum", "authority", "tail"),
    [
        (1, "smp.simplex.im:5223", f"&q=m&k=s&srv={ONION}"),
        (2, f"smp.simplex.im,{ONION}:5223", "&q=m&k=s"),
        (4, f"smp.simplex.im,{ONION}:5223", "&q=m"),
    ],
)
def test_where_further_hosts_and_old_flags_go(minimum: int, authority: str, tail: str) -> None:
    uri = replace(URI, versions=VersionRange(minimum, 4))
    text = queue_uri_to_text(uri)
    assert f"@{authority}/" in text
    assert text.endswith(tail)
    assert queue_uri_from_text(text) == uri


@pytest.mark.parametrize(
    ("parameters", "mode"),
    [
        ("&q=m", QueueMode.MESSAGING),
        ("&q=c", QueueMode.CONTACT),
        ("&k=s", QueueMode.MESSAGING),
        ("", None),
        ("&q=c&k=s", QueueMode.CONTACT),
        ("&q=x&k=s", QueueMode.MESSAGING),
        ("&k=x", None),
        ("&extra=1&q=m", QueueMode.MESSAGING),
    ],
)
def test_mode(parameters: str, mode: QueueMode | None) -> None:
    start = EXAMPLE[: EXAMPLE.index("&q=m")]
    assert queue_uri_from_text(start + parameters).mode is mode


@pytest.mark.parametrize("end", [f"#{DH_TEXT}", f"#{DH_TEXT}/?v=1", f"#{DH_TEXT}/?", f"#/{DH_TEXT}/?v=1"])
def test_key_in_its_old_places(end: str) -> None:
    uri = queue_uri_from_text(f"smp://1234-w==@smp.simplex.im:5223/3456-w=={end}")
    assert (key_to_text(uri.dh_key), uri.versions) == (DH_TEXT, VersionRange(1, 1))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "smp://1234-w==@h/3456",
        "smp://1234-w==@h#/?v=1",
        "smp://1234-w==@h/#/?v=1-4&dh=" + DH_TEXT,
        "smp://1234-w==@h/3456#/?v=1-4",
        "smp://1234-w==@h/3456#/?v=1-4&dh=AAAA",
        "smp://1234-w==@h/3456#/?v=4-1&dh=" + DH_TEXT,
        "smp://1234-w==:pw@h/3456#/?v=1-4&dh=" + DH_TEXT,
        "smp://1234-w==@h/a/3456#/?v=1-4&dh=" + DH_TEXT,
        "smp://1234-w==@h/3456#/?v=1-4&srv=a%20b&dh=" + DH_TEXT,
    ],
)
def test_other_text(text: str) -> None:
    with pytest.raises(DecodeError):
        queue_uri_from_text(text)


@pytest.mark.parametrize(
    ("server", "sender_id"),
    [
        (replace(SERVER, key_hash=b""), b"id"),
        (replace(SERVER, key_hash=b"k" * 31), b"id"),
        (replace(SERVER, key_hash=b"k" * 33), b"id"),
        (replace(SERVER, hosts=("a?b",)), b"id"),
        (replace(SERVER, hosts=("a\0b",)), b"id"),
        (SERVER, b""),
    ],
)
def test_bytes_that_the_store_could_not_keep_are_not_read(server: SMPServer, sender_id: bytes) -> None:
    """The store and links keep queues as text; a contact's queue that cannot be read back would stop its lanes."""
    info = replace(INFO, server=server, sender_id=sender_id)
    uri = QueueURI(VersionRange(1, 4), server, sender_id, DH, QueueMode.MESSAGING)
    for info_at in (info, replace(info, version=1)):
        with pytest.raises(DecodeError):
            queue_info.decode(queue_info.encode(info_at))
    with pytest.raises(DecodeError):
        queue_uri.decode(queue_uri.encode(uri))
    with pytest.raises(DecodeError):
        queue_address.decode(queue_address.encode(QueueAddress(server, sender_id)))


@pytest.mark.parametrize(
    ("version", "mode", "last"),
    [
        (4, QueueMode.MESSAGING, b"M"),
        (4, QueueMode.CONTACT, b"C"),
        (4, None, b""),
        (3, QueueMode.MESSAGING, b"T"),
        (3, QueueMode.CONTACT, b""),
        (2, QueueMode.MESSAGING, b""),
        (9, QueueMode.MESSAGING, b"M"),
    ],
)
def test_mode_byte_of_information(version: int, mode: QueueMode | None, last: bytes) -> None:
    data = queue_info.encode(replace(INFO, version=version, mode=mode))
    assert data.endswith(DH.raw + last)


@pytest.mark.parametrize(
    ("versions", "mode", "last"),
    [
        ((1, 4), QueueMode.MESSAGING, b"T"),
        ((1, 4), QueueMode.CONTACT, b""),
        ((1, 2), QueueMode.MESSAGING, b""),
        ((3, 4), QueueMode.MESSAGING, b"T"),
        ((3, 4), QueueMode.CONTACT, b"F"),
        ((3, 3), None, b"F"),
        ((4, 4), QueueMode.CONTACT, b"C"),
        ((4, 4), None, b""),
    ],
)
def test_mode_byte_of_a_range(versions: tuple[int, int], mode: QueueMode | None, last: bytes) -> None:
    data = queue_uri.encode(replace(URI, versions=VersionRange(*versions), mode=mode))
    assert data.endswith(URI.dh_key.raw + last)


def test_version_1_has_one_host_without_a_count() -> None:
    info = replace(INFO, version=1, mode=None, server=replace(SERVER, hosts=("a", "b")))
    data = queue_info.encode(info)
    assert data.startswith(b"\x00\x01\x01a\x045223\x20")
    assert queue_info.decode(data) == replace(info, server=replace(SERVER, hosts=("a",)))


@pytest.mark.parametrize("data", [b"", b"\x00\x00", b"\x00\x01", b"\x00\x04\x00", queue_info.encode(INFO) + b"x"])
def test_other_bytes(data: bytes) -> None:
    with pytest.raises(DecodeError):
        queue_info.decode(data)


def test_lists_are_not_empty() -> None:
    with pytest.raises(DecodeError):
        queue_infos.decode(b"\x00")
    with pytest.raises(EncodeError):
        queue_infos.encode(())


def test_address_pair() -> None:
    address = QueueAddress(SERVER, b"id")
    assert queue_address.decode(queue_address.encode(address)) == address


def test_a_uri_at_one_version() -> None:
    assert URI.at(3) == QueueInfo(3, URI.server, URI.sender_id, URI.dh_key, QueueMode.MESSAGING)
