"""The hello exchange, both sides, and the blocks after it."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache

import pytest

from smpchat.crypto.errors import VerificationError
from smpchat.crypto.keys import Ed448PrivateKey, X25519PublicKey
from smpchat.encoding.reader import DecodeError, EncodeError
from smpchat.encoding.record import replace
from smpchat.protocol.block import BLOCK_SIZE, ENCRYPTED_CONTENT, pad_block, unpad_block
from smpchat.protocol.errors import BlockError, HandshakeError, IdentityError, VersionError
from smpchat.protocol.session import (
    ClientHandshake,
    ClientHello,
    ServerHandshake,
    ServerHello,
    SMPSession,
    encode_signed_key,
    open_signed_key,
)
from smpchat.protocol.version import SMP_CLIENT_VERSIONS, SMP_VERSIONS, VersionRange
from smpchat.testing.entropy import SeededEntropy
from smpchat.transport.identity import Identity, create_identity
from tests.unit.protocol.numbers import NONCE, SESSION_ID, SIGNER, A, B

NOW = datetime(2026, 6, 1, tzinfo=UTC)
TAIL = b"\x07smpchat"


@cache
def identity(seed: str = "relay") -> Identity:
    return create_identity(SeededEntropy(seed), NOW, ["localhost"])


def relay(
    versions: VersionRange = SMP_VERSIONS, *, extensions: bool = True, of: Identity | None = None
) -> ServerHandshake:
    own = of or identity()
    return ServerHandshake(own.chain, own.sign, SESSION_ID, versions, SeededEntropy("s"), extensions=extensions)


def client(
    versions: VersionRange = SMP_CLIENT_VERSIONS,
    *,
    key_hash: bytes | None = None,
    session_id: bytes = SESSION_ID,
    leaf: bytes | None = None,
    extensions: bool = True,
) -> ClientHandshake:
    return ClientHandshake(
        key_hash or identity().fingerprint, session_id, leaf, versions, SeededEntropy("c"), extensions=extensions
    )


@dataclass
class Pair:
    ours: SMPSession
    theirs: SMPSession


def agreed(us: ClientHandshake, them: ServerHandshake) -> Pair:
    answer, ours = us.receive_hello(them.hello())
    return Pair(ours, them.receive_hello(answer))


def changed_hello(**parts: object) -> bytes:
    """The relay's hello with some parts replaced."""
    hello = ServerHello.decode(unpad_block(relay().hello()))
    return pad_block(replace(hello, **parts).encode())  # type: ignore[arg-type]


class TestAgreement:
    @pytest.mark.parametrize("version", range(7, 19))
    def test_every_version(self, version: int) -> None:
        pair = agreed(client(), relay(VersionRange(6, version)))
        assert pair.ours.version == pair.theirs.version == version
        assert pair.ours.encrypts is pair.theirs.encrypts is (version >= 11)
        assert pair.ours.peer_session_key == pair.theirs.own_session_key.public()  # type: ignore[union-attr]
        assert pair.theirs.peer_session_key == pair.ours.own_session_key.public()  # type: ignore[union-attr]
        assert pair.ours.session_id == pair.theirs.session_id == SESSION_ID
        assert pair.ours.chain == identity().chain

    def test_version_6_has_no_keys(self) -> None:
        pair = agreed(client(SMP_VERSIONS), relay(VersionRange(6, 6)))
        assert (pair.ours.version, pair.ours.encrypts) == (6, False)
        assert (pair.ours.own_session_key, pair.ours.peer_session_key, pair.theirs.own_session_key) == (None,) * 3

    @pytest.mark.parametrize(("version", "size"), [(6, 35), (7, 80), (13, 80), (14, 81), (15, 81), (16, 82), (18, 82)])
    def test_size_of_the_clients_hello(self, version: int, size: int) -> None:
        answer, _ = client(VersionRange(version, version)).receive_hello(relay(extensions=False).hello())
        assert len(unpad_block(answer)) == size

    def test_blocks_pass_both_ways(self) -> None:
        for version in (7, 18):
            pair = agreed(client(), relay(VersionRange(7, version)))
            for content in (b"one", b"two", bytes(ENCRYPTED_CONTENT)):
                assert pair.theirs.open_block(pair.ours.seal_block(content)) == content
                assert pair.ours.open_block(pair.theirs.seal_block(content)) == content

    @pytest.mark.parametrize(("offered", "side"), [((6, 6), "the relay"), ((19, 20), "smpchat")])
    def test_no_common_version(self, offered: tuple[int, int], side: str) -> None:
        block = changed_hello(versions=VersionRange(*offered))
        with pytest.raises(VersionError, match=f"{side} must upgrade"):
            client().receive_hello(block)


class TestExtensions:
    def test_both_offer(self) -> None:
        pair = agreed(client(), relay())
        assert pair.ours.keyed_new is pair.theirs.keyed_new is True

    @pytest.mark.parametrize(("ours", "theirs"), [(True, False), (False, True), (False, False)])
    def test_either_does_not(self, ours: bool, theirs: bool) -> None:
        them = relay(extensions=theirs)
        assert (TAIL in them.hello()) is theirs
        answer, session = client(extensions=ours).receive_hello(them.hello())
        assert TAIL not in answer
        assert session.keyed_new is them.receive_hello(answer).keyed_new is False

    def test_form_of_the_tails(self) -> None:
        them = relay()
        assert unpad_block(them.hello()).endswith(TAIL + b"\x00\x01\x00\x01")
        answer, _ = client().receive_hello(them.hello())
        assert unpad_block(answer).endswith(TAIL + b"\x00\x01")

    @pytest.mark.parametrize("versions", [(2, 3), (0, 0)])
    def test_no_common_version_of_them(self, versions: tuple[int, int]) -> None:
        answer, session = client().receive_hello(changed_hello(extensions=VersionRange(*versions)))
        assert not session.keyed_new
        assert TAIL not in answer

    def test_highest_common_version_of_them(self) -> None:
        answer, session = client().receive_hello(changed_hello(extensions=VersionRange(1, 9)))
        assert session.keyed_new
        assert unpad_block(answer).endswith(TAIL + b"\x00\x01")

    @pytest.mark.parametrize("extension", [0, 2])
    def test_version_that_was_not_offered(self, extension: int) -> None:
        hello = ClientHello(18, identity().fingerprint, B.public(), extension=extension)
        with pytest.raises(VersionError, match="extension"):
            relay().receive_hello(pad_block(hello.encode()))

    def test_chosen_without_an_offer(self) -> None:
        hello = ClientHello(18, identity().fingerprint, B.public(), extension=1)
        with pytest.raises(VersionError, match="extension"):
            relay(extensions=False).receive_hello(pad_block(hello.encode()))

    @pytest.mark.parametrize(
        "tail", [b"x", TAIL, TAIL + b"\x00", TAIL + b"\x00\x02\x00\x01", b"\x05other\x00\x01\x00\x01"]
    )
    def test_other_tails_are_somebody_elses(self, tail: bytes) -> None:
        hello = unpad_block(relay(extensions=False).hello())
        answer, session = client().receive_hello(pad_block(hello + tail))
        assert not session.keyed_new
        assert not relay().receive_hello(pad_block(unpad_block(answer) + tail[:8])).keyed_new


class TestWhatTheClientRefuses:
    def test_another_relay(self) -> None:
        with pytest.raises(IdentityError, match="fingerprint"):
            client(key_hash=identity("other").fingerprint).receive_hello(relay().hello())

    def test_another_tls_session(self) -> None:
        with pytest.raises(IdentityError, match="TLS session"):
            client(session_id=bytes(32)).receive_hello(relay().hello())
        with pytest.raises(IdentityError, match="TLS session"):
            client(session_id=SESSION_ID[:-1]).receive_hello(relay().hello())

    def test_another_certificate_than_in_tls(self) -> None:
        us = client(leaf=identity().chain[0])
        assert us.receive_hello(relay().hello())[1].version == 18
        with pytest.raises(IdentityError, match="TLS connection"):
            client(leaf=identity("other").chain[0]).receive_hello(relay().hello())

    @pytest.mark.parametrize("count", [1, 5])
    def test_chain_of_a_wrong_length(self, count: int) -> None:
        leaf, ca = identity().chain
        with pytest.raises(IdentityError, match=r"2 to 4"):
            client().receive_hello(changed_hello(chain=(leaf, ca, ca, ca, ca)[:count]))

    @pytest.mark.parametrize("count", [3, 4])
    def test_the_identity_is_always_the_second(self, count: int) -> None:
        leaf, ca = identity().chain
        assert client().receive_hello(changed_hello(chain=(leaf, ca, leaf, leaf)[:count]))[1].version == 18
        with pytest.raises(IdentityError, match="fingerprint"):
            client().receive_hello(changed_hello(chain=(leaf, leaf, ca, ca)[:count]))

    def test_session_key_that_the_certificate_did_not_sign(self) -> None:
        forged = encode_signed_key(A.public(), identity("other").sign)
        with pytest.raises(IdentityError, match="session key"):
            client().receive_hello(changed_hello(signed_key=forged))

    def test_session_key_of_low_order(self) -> None:
        weak = encode_signed_key(X25519PublicKey(bytes(32)), identity().sign)
        with pytest.raises(IdentityError, match="session key"):
            client().receive_hello(changed_hello(signed_key=weak))

    def test_malformed_certificate(self) -> None:
        with pytest.raises(IdentityError, match="damaged"):
            client().receive_hello(changed_hello(chain=(b"leaf", identity().chain[1])))

    @pytest.mark.parametrize("other", [0x00, 0xFF, 0x7F, 0x30])
    def test_certificates_with_any_byte_changed(self, other: int) -> None:
        """A version, an algorithm, an extension that `cryptography` does not know: it has an error for each."""
        leaf, ca = identity().chain
        for offset in range(len(leaf)):
            changed = leaf[:offset] + bytes([other]) + leaf[offset + 1 :]
            with suppress(IdentityError):
                client().receive_hello(changed_hello(chain=(changed, ca)))

    @pytest.mark.parametrize(
        ("part", "instead"),
        [
            (b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x09"),  # version 10
            (b"\x06\x03\x2b\x65\x70\x03\x21", b"\x06\x03\x2b\x65\x7f\x03\x21"),  # a key of an unknown kind
            (b"\x06\x03\x2b\x65\x70", b"\x06\x03\x2b\x65\x6e"),  # X25519, which signs nothing
        ],
    )
    def test_certificates_that_the_library_does_not_know(self, part: bytes, instead: bytes) -> None:
        leaf, ca = identity().chain
        assert part in leaf
        with pytest.raises(IdentityError, match="certificate"):
            client().receive_hello(changed_hello(chain=(leaf.replace(part, instead), ca)))

    def test_no_certificates_above_version_6(self) -> None:
        with pytest.raises(IdentityError, match="no certificates"):
            client().receive_hello(changed_hello(chain=(), signed_key=None, extensions=None))

    @pytest.mark.parametrize(
        "block", [b"", bytes(BLOCK_SIZE), b"\xff" * BLOCK_SIZE, pad_block(b"\x00\x12\x00\x06\x00")]
    )
    def test_malformed_hello(self, block: bytes) -> None:
        with pytest.raises(HandshakeError, match="damaged"):
            client().receive_hello(block)


class TestWhatTheRelayRefuses:
    def test_client_of_another_relay(self) -> None:
        hello = ClientHello(18, identity("other").fingerprint, B.public())
        with pytest.raises(IdentityError):
            relay().receive_hello(pad_block(hello.encode()))

    @pytest.mark.parametrize("version", [5, 8, 19])
    def test_version_that_was_not_offered(self, version: int) -> None:
        hello = ClientHello(version, identity().fingerprint, None)
        with pytest.raises(VersionError, match=str(version)):
            relay(VersionRange(9, 18)).receive_hello(pad_block(hello.encode()))

    def test_services(self) -> None:
        content = ClientHello(18, identity().fingerprint, B.public()).encode()
        assert content.endswith(b"F0")
        with pytest.raises(HandshakeError, match="service"):
            relay().receive_hello(pad_block(content[:-1] + b"1M"))

    @pytest.mark.parametrize("block", [b"", bytes(BLOCK_SIZE), pad_block(b"\x00\x12")])
    def test_malformed_hello(self, block: bytes) -> None:
        with pytest.raises(HandshakeError):
            relay().receive_hello(block)

    def test_no_key_means_no_encryption(self) -> None:
        hello = ClientHello(18, identity().fingerprint, None)
        session = relay().receive_hello(pad_block(hello.encode()))
        assert (session.encrypts, session.peer_session_key) == (False, None)

    def test_nor_for_proxies(self) -> None:
        hello = ClientHello(18, identity().fingerprint, B.public(), proxy=True)
        assert not relay().receive_hello(pad_block(hello.encode())).encrypts


class TestForms:
    KEY_HASH = bytes(range(32))

    @pytest.mark.parametrize(
        ("hello", "data"),
        [
            (ClientHello(6, KEY_HASH, None), b"\x00\x06\x20" + KEY_HASH),
            (ClientHello(7, KEY_HASH, None), b"\x00\x07\x20" + KEY_HASH),
            (ClientHello(7, KEY_HASH, B.public()), b"\x00\x07\x20" + KEY_HASH + b"\x2c" + B.public().der),
            (ClientHello(14, KEY_HASH, B.public()), b"\x00\x0e\x20" + KEY_HASH + b"\x2c" + B.public().der + b"F"),
            (ClientHello(14, KEY_HASH, None, proxy=True), b"\x00\x0e\x20" + KEY_HASH + b"T"),
            (ClientHello(18, KEY_HASH, B.public()), b"\x00\x12\x20" + KEY_HASH + b"\x2c" + B.public().der + b"F0"),
            (ClientHello(18, KEY_HASH, None), b"\x00\x12\x20" + KEY_HASH + b"F0"),
        ],
    )
    def test_client_hello(self, hello: ClientHello, data: bytes) -> None:
        assert hello.encode() == data
        assert ClientHello.decode(data) == hello

    @pytest.mark.parametrize("end", [b"", b"X", b"F", b"F2"])
    def test_client_hello_that_is_cut_off(self, end: bytes) -> None:
        with pytest.raises(DecodeError):
            ClientHello.decode(b"\x00\x12\x20" + self.KEY_HASH + end)

    def test_server_hello_of_old_relays(self) -> None:
        data = b"\x00\x06\x00\x06\x20" + SESSION_ID
        assert ServerHello(VersionRange(6, 6), SESSION_ID).encode() == data
        assert ServerHello.decode(data + b"anything") == ServerHello(VersionRange(6, 6), SESSION_ID)

    def test_signed_key_of_the_wire_description(self) -> None:
        """smp-wire 3.1: the form, with a key of ours; only the wrapped one verifies."""
        der = encode_signed_key(A.public(), SIGNER.sign)
        assert der.startswith(bytes.fromhex("3078302c302a300506032b656e032100") + A.public().raw)
        assert der[48:58] == bytes.fromhex("300506032b6570034100")
        assert len(der) == 122
        assert open_signed_key(der, SIGNER.public()) == A.public()
        bare = der[:58] + SIGNER.sign(A.public().der)
        with pytest.raises(VerificationError):
            open_signed_key(bare, SIGNER.public())

    def test_signed_key_with_ed448(self) -> None:
        signer = Ed448PrivateKey(bytes(57))
        der = encode_signed_key(A.public(), signer.sign)
        assert len(der) == 173
        assert open_signed_key(der, signer.public()) == A.public()

    def test_signature_of_another_kind(self) -> None:
        with pytest.raises(EncodeError):
            encode_signed_key(A.public(), lambda _: bytes(63))

    @pytest.mark.parametrize("at", [0, 3, 20, 50, 121])
    def test_any_changed_byte_of_a_signed_key(self, at: int) -> None:
        der = bytearray(encode_signed_key(A.public(), SIGNER.sign))
        der[at] ^= 1
        with pytest.raises(VerificationError):
            open_signed_key(bytes(der), SIGNER.public())

    def test_signed_key_of_another_kind(self) -> None:
        content = b"\x30\x2c" + SIGNER.public().der
        der = bytes.fromhex("3078") + content + bytes.fromhex("300506032b6570034100") + SIGNER.sign(content)
        with pytest.raises(VerificationError):
            open_signed_key(der, SIGNER.public())


class TestBlocks:
    @staticmethod
    def sessions(*, encrypts: bool = True) -> Pair:
        def session(own: bool) -> SMPSession:
            key, peer = (A, B) if own else (B, A)
            return SMPSession(18, SESSION_ID, own_key=key, peer_key=peer.public(), is_server=not own, encrypts=encrypts)

        return Pair(session(True), session(False))

    def test_numbers(self) -> None:
        """smp-wire 10: a block from the relay that holds one PONG."""
        content = b"\x01\x00\x1f\x00\x18" + NONCE + b"\x00PONG"
        block = self.sessions().theirs.seal_block(content)
        assert block[:8].hex() == "ae4842f67ae1d0ff"
        assert hashlib.sha256(block).hexdigest() == "cb356b28bbbe6c8a967104cec3c540cc2abd8accf4bf340c8e3ec5113133e841"

    def test_a_repeated_block_does_not_open(self) -> None:
        pair = self.sessions()
        block = pair.ours.seal_block(b"once")
        assert pair.theirs.open_block(block) == b"once"
        with pytest.raises(BlockError):
            pair.theirs.open_block(block)

    def test_a_block_that_does_not_open_counts(self) -> None:
        pair = self.sessions()
        first, second = pair.ours.seal_block(b"first"), pair.ours.seal_block(b"second")
        with pytest.raises(BlockError):
            pair.theirs.open_block(first[:-1] + bytes([first[-1] ^ 1]))
        assert pair.theirs.open_block(second) == b"second"

    def test_content_that_is_too_long_moves_nothing(self) -> None:
        pair = self.sessions()
        with pytest.raises(EncodeError):
            pair.ours.seal_block(bytes(ENCRYPTED_CONTENT + 1))
        assert pair.theirs.open_block(pair.ours.seal_block(b"next")) == b"next"

    @pytest.mark.parametrize("encrypts", [True, False])
    @pytest.mark.parametrize("size", [0, BLOCK_SIZE - 1, BLOCK_SIZE + 1])
    def test_block_of_a_wrong_size(self, encrypts: bool, size: int) -> None:
        with pytest.raises(BlockError):
            self.sessions(encrypts=encrypts).ours.open_block(bytes(size))

    def test_directions_have_keys_of_their_own(self) -> None:
        pair = self.sessions()
        assert pair.ours.seal_block(b"same") != pair.theirs.seal_block(b"same")

    def test_keys_stay_out_of_repr(self) -> None:
        shown = repr(vars(self.sessions().ours))
        assert repr(B.public().raw) in shown
        assert repr(A.raw) not in shown
