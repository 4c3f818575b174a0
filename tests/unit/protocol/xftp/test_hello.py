"""The hello exchange of XFTP, both sides."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from functools import cache

import pytest

from smpchat.protocol.block import pad_block, unpad_block
from smpchat.protocol.errors import HandshakeError, IdentityError, VersionError
from smpchat.protocol.version import VersionRange
from smpchat.protocol.xftp.errors import HANDSHAKE, XFTPError
from smpchat.protocol.xftp.hello import (
    XFTP_VERSIONS,
    Agreed,
    FileClientHello,
    FileServerHello,
    check_acceptance,
    receive_client_hello,
    receive_server_hello,
    refusal_block,
    server_hello,
)
from smpchat.testing.entropy import SeededEntropy
from smpchat.transport.identity import Identity, create_identity

NOW = datetime(2026, 6, 1, tzinfo=UTC)
SESSION = b"\x11" * 32


@cache
def identity(seed: str = "relay") -> Identity:
    return create_identity(SeededEntropy(seed), NOW, ["localhost"])


def hello(of: Identity | None = None, versions: VersionRange = XFTP_VERSIONS) -> bytes:
    own = of or identity()
    return server_hello(own.chain, own.sign, SESSION, SeededEntropy("s"), versions)[0]


def received(block: bytes, leaf: bytes | None = None, versions: VersionRange = XFTP_VERSIONS) -> Agreed:
    return receive_server_hello(block, identity().fingerprint, SESSION, leaf, versions)


def test_both_agree_on_the_highest_version() -> None:
    agreed = received(hello(), identity().chain[0])
    assert (agreed.version, agreed.chain) == (3, tuple(identity().chain[:2]))
    assert receive_client_hello(agreed.answer, identity().fingerprint) == 3
    check_acceptance(b"")


@pytest.mark.parametrize(("theirs", "version"), [(VersionRange(1, 1), 1), (VersionRange(2, 9), 3)])
def test_a_common_version_is_found(theirs: VersionRange, version: int) -> None:
    assert received(hello(versions=theirs)).version == version


def test_no_common_version_names_both() -> None:
    with pytest.raises(VersionError, match=r"4-5, and this smpchat 1-3: smpchat must upgrade"):
        received(hello(versions=VersionRange(4, 5)))


def test_another_relay_is_refused() -> None:
    with pytest.raises(IdentityError, match="fingerprint"):
        received(hello(identity("other")))


def test_another_session_is_refused() -> None:
    with pytest.raises(IdentityError, match="intercepting"):
        receive_server_hello(hello(), identity().fingerprint, b"\x12" * 32, None)


def test_another_leaf_is_refused() -> None:
    with pytest.raises(IdentityError, match="another one in its first answer"):
        received(hello(), identity("other").chain[0])


@pytest.mark.parametrize("count", [1, 3])
def test_exactly_two_certificates_are_taken(count: int) -> None:
    content = FileServerHello.decode(unpad_block(hello()))
    chain = (content.chain * 2)[:count]
    block = pad_block(FileServerHello(content.versions, SESSION, chain, content.signed_key).encode())
    with pytest.raises(IdentityError, match=f"{count} certificates"):
        received(block)


def test_a_key_that_the_leaf_did_not_sign_is_refused() -> None:
    content = FileServerHello.decode(unpad_block(hello()))
    forged = FileServerHello.decode(unpad_block(hello(identity("other")))).signed_key
    with pytest.raises(IdentityError, match="not signed"):
        received(pad_block(FileServerHello(content.versions, SESSION, content.chain, forged).encode()))


def test_a_tail_is_ignored() -> None:
    block = pad_block(unpad_block(hello()) + b"newer")
    assert received(block).version == 3
    longer = pad_block(FileClientHello(3, identity().fingerprint).encode() + b"newer")
    assert receive_client_hello(longer, identity().fingerprint) == 3


@pytest.mark.parametrize("block", [b"", bytes(100), pad_block(b""), pad_block(b"\0\3\0\1"), pad_block(b"x" * 50)])
def test_a_damaged_hello_is_refused(block: bytes) -> None:
    with pytest.raises(HandshakeError):
        received(block)


def test_a_bare_error_is_what_the_relay_says() -> None:
    block = refusal_block(XFTPError(HANDSHAKE))
    assert block == pad_block(b"HANDSHAKE")
    with pytest.raises(XFTPError, match="HANDSHAKE"):
        received(block)
    with pytest.raises(XFTPError, match="HANDSHAKE"):
        check_acceptance(block)
    with pytest.raises(HandshakeError, match="damaged"):
        check_acceptance(b"OK")


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (FileClientHello(4, identity().fingerprint).encode(), VersionError),
        (FileClientHello(0, identity().fingerprint).encode(), VersionError),
        (FileClientHello(3, hashlib.sha256(b"").digest()).encode(), IdentityError),
        (b"\0\3", HandshakeError),
        (b"", HandshakeError),
    ],
)
def test_the_relay_refuses_other_clients(content: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        receive_client_hello(pad_block(content), identity().fingerprint)
