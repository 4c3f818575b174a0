"""The hello of a relay that forwards (smp-wire 3.2, 3.4 and 3.6)."""

from __future__ import annotations

import pytest

from smpchat.protocol.block import unpad_block
from smpchat.protocol.errors import IdentityError, VersionError
from smpchat.protocol.session import ClientHandshake, ClientHello, ServerHandshake, SMPSession
from smpchat.protocol.version import SMP_VERSIONS, VersionRange
from smpchat.testing.entropy import SeededEntropy
from tests.unit.relay.support import an_identity

SESSION_ID = b"\x11" * 32


def agree(
    offered: VersionRange, own: VersionRange = SMP_VERSIONS, *, fingerprint: bytes | None = None
) -> tuple[ClientHello, SMPSession, SMPSession]:
    """The hello, and both sides' sessions."""
    identity, entropy = an_identity(), SeededEntropy("proxy")
    relay = ServerHandshake(identity.chain, identity.sign, SESSION_ID, offered, entropy)
    proxy = ClientHandshake(
        fingerprint or identity.fingerprint, SESSION_ID, identity.certificate, own, entropy, proxy=True
    )
    answer, session = proxy.receive_hello(relay.hello())
    return ClientHello.decode(unpad_block(answer)), session, relay.receive_hello(answer)


@pytest.mark.parametrize(
    ("offered", "version", "common"),
    [
        (VersionRange(6, 18), 18, VersionRange(6, 18)),
        (VersionRange(14, 14), 14, VersionRange(14, 14)),
        (VersionRange(6, 13), 10, VersionRange(6, 10)),
        (VersionRange(6, 11), 10, VersionRange(6, 10)),
        (VersionRange(6, 8), 8, VersionRange(6, 8)),
        (VersionRange(17, 30), 18, VersionRange(17, 18)),
    ],
    ids=str,
)
def test_the_version_and_no_encryption_of_blocks(offered: VersionRange, version: int, common: VersionRange) -> None:
    hello, proxy, relay = agree(offered)
    assert (hello.version, hello.proxy, hello.extension) == (version, version >= 14, None)
    assert hello.key is not None
    assert (proxy.version, proxy.versions) == (version, common)
    assert not proxy.encrypts
    assert not relay.encrypts
    assert proxy.signed_key is not None
    assert proxy.own_session_key is not None and relay.own_session_key is not None
    assert proxy.peer_session_key is not None and relay.peer_session_key is not None
    assert proxy.own_session_key.exchange(proxy.peer_session_key) == relay.own_session_key.exchange(
        relay.peer_session_key
    )
    assert relay.open_block(proxy.seal_block(b"content")) == b"content"


@pytest.mark.parametrize("offered", [VersionRange(11, 13), VersionRange(19, 20)], ids=str)
def test_relays_with_which_a_proxy_agrees_on_nothing(offered: VersionRange) -> None:
    with pytest.raises(VersionError):
        agree(offered)


def test_another_relay() -> None:
    with pytest.raises(IdentityError):
        agree(SMP_VERSIONS, fingerprint=bytes(32))


def test_common_versions() -> None:
    assert VersionRange(1, 5).common(VersionRange(3, 9)) == VersionRange(3, 5)
    assert VersionRange(1, 2).common(VersionRange(3, 9)) is None
    assert VersionRange(1, 5).agree(VersionRange(3, 9)) == 5
    assert VersionRange(1, 2).agree(VersionRange(3, 9)) is None
