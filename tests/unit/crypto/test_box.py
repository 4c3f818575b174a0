"""Boxes, authenticators and the chain of block encryption; numbers of smp-wire 3.6, 4.4, 4.5 and 10."""

from __future__ import annotations

import hashlib

import nacl.bindings
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smpchat.crypto import box
from smpchat.crypto.box import (
    ChainKey,
    authenticate,
    block_chains,
    cb_decrypt,
    cb_encrypt,
    hsalsa20,
    libsodium_hsalsa20,
    libsodium_secretbox,
    open_box,
    portable_hsalsa20,
    portable_secretbox,
    seal,
    verify_authenticator,
)
from smpchat.crypto.errors import CryptoError, KeyFormatError, PaddingError, VerificationError
from smpchat.crypto.keys import Ed25519PrivateKey, X25519PrivateKey

A = X25519PrivateKey(bytes(range(32)))
B = X25519PrivateKey(bytes(range(32, 64)))
SECRET = A.exchange(B.public())
NONCE = bytes(range(24))
SESSION = b"\x11" * 32
ENTITY = b"\x22" * 24
TIMESTAMP = (1700000000).to_bytes(8, "big")
SIGNED = b"\x20" + SESSION + b"\x18" + NONCE + b"\x18" + ENTITY + b"SEND T hi"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_secret_and_box_key() -> None:
    assert SECRET.hex() == "9663aa1da97e848a914a436d04163dfbb89178f107f1b5b77ed3854203382854"
    assert hsalsa20(SECRET, bytes(16)).hex() == "429b61f5d96e37268dfc5114849d599c9ceabffdb68c1f52cd0499af30f5b377"


def test_box_and_padded_box() -> None:
    assert seal(SECRET, NONCE, b"hello").hex() == "851ce20a96d18622b2a71e906a978cfe0bb7d35c13"
    assert cb_encrypt(SECRET, NONCE, b"hello", 16).hex() == (
        "e4996ccacb50a3b5eebd07f7e3b9e21e63d7d7551014278c625095d20789d4b5"
    )
    sealed = cb_encrypt(bytes(range(32)), NONCE, b"hi", 16)  # agent-wire 0.4: a symmetric key
    assert sealed.hex() == "8f7c9d77718d5ba8e75dc07db1f99ce96b8cb4d9e33d9360c93c2c45bce7aa07"


def test_with_an_x25519_secret_it_is_crypto_box() -> None:
    theirs = nacl.bindings.crypto_box(b"hello", NONCE, B.public().raw, A.raw)
    assert seal(SECRET, NONCE, b"hello") == theirs


def test_with_a_symmetric_key_it_is_not_secretbox() -> None:
    assert seal(bytes(32), NONCE, b"hello") != nacl.bindings.crypto_secretbox(b"hello", NONCE, bytes(32))


@pytest.mark.parametrize(
    ("message", "length", "size", "digest"),
    [
        (TIMESTAMP + b"T hello", 16106, 16122, "2742fb84e34048a26d77e7eb5ce2e2d60d04753f1f3299e148c97926905d7028"),
        (b"QUOTA " + TIMESTAMP, 16106, 16122, "6e9302291c7702cb69f471754a0816b14ea858144237e7557f2c16b6b351921c"),
    ],
)
def test_message_bodies(message: bytes, length: int, size: int, digest: str) -> None:
    sealed = cb_encrypt(SECRET, NONCE, message, length)
    assert (len(sealed), sha256(sealed)) == (size, digest)


def test_end_to_end_envelopes() -> None:
    message = b"\0\x04" + b"0" + NONCE + cb_encrypt(SECRET, NONCE, b"_hello", 16000)
    assert len(message) == 16043
    assert sha256(message) == "7fb216a311e1d5b973d23f45c0852600764db54df37e09a6ba15c128b0901bc4"
    sender_key = Ed25519PrivateKey(bytes(range(32))).public()
    confirmation = b"\0\x04" + b"1\x2c" + A.public().der + NONCE
    confirmation += cb_encrypt(SECRET, NONCE, b"K\x2c" + sender_key.der + b"hello", 15904)
    assert len(confirmation) == 15992
    assert sha256(confirmation) == "bbdb10ce14721b28351270727251af06943115669872b4f8aa8e5030d1e3b33b"


@pytest.mark.skipif(libsodium_hsalsa20() is None, reason="libsodium cannot be called here")
@given(st.binary(min_size=32, max_size=32), st.binary(min_size=16, max_size=16))
def test_both_hsalsa20_agree(key: bytes, block: bytes) -> None:
    native = libsodium_hsalsa20()
    assert native is not None
    assert native(key, block) == portable_hsalsa20(key, block)


def test_box_works_without_libsodium(monkeypatch: pytest.MonkeyPatch) -> None:
    sealed = seal(SECRET, NONCE, b"hello")
    monkeypatch.setattr(box, "_hsalsa20", portable_hsalsa20)
    portable_seal, portable_open = portable_secretbox()
    monkeypatch.setattr(box, "_seal", portable_seal)
    monkeypatch.setattr(box, "_open", portable_open)
    assert seal(SECRET, NONCE, b"hello") == sealed
    assert open_box(SECRET, NONCE, sealed) == b"hello"


def test_no_libsodium_is_not_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_library(_: str) -> object:
        raise OSError("cannot be loaded")

    monkeypatch.setattr("ctypes.CDLL", no_library)
    assert libsodium_hsalsa20() is None
    assert libsodium_secretbox() is None


def test_both_secretboxes_agree() -> None:
    libsodium = libsodium_secretbox()
    if libsodium is None:
        pytest.skip("this PyNaCl does not export libsodium")
    (seal_one, open_one), (seal_two, open_two) = libsodium, portable_secretbox()
    key, nonce = bytes(range(32)), bytes(range(24))
    for message in (b"", b"x", bytes(16_368)):
        sealed = seal_one(message, nonce, key)
        assert sealed == seal_two(message, nonce, key)
        assert open_one(sealed, nonce, key) == open_two(sealed, nonce, key) == message
        damaged = bytes([sealed[0] ^ 1]) + sealed[1:]
        for open_sealed in (open_one, open_two):
            with pytest.raises(VerificationError):
                open_sealed(damaged, nonce, key)


@pytest.mark.parametrize("function", [hsalsa20, portable_hsalsa20])
def test_hsalsa20_checks_sizes(function: box.HSalsa20) -> None:
    for key, block in ((bytes(31), bytes(16)), (bytes(32), bytes(17))):
        with pytest.raises(KeyFormatError):
            function(key, block)


@pytest.mark.parametrize(("key", "nonce"), [(bytes(31), NONCE), (bytes(33), NONCE), (SECRET, bytes(23)), (SECRET, b"")])
def test_box_checks_sizes(key: bytes, nonce: bytes) -> None:
    with pytest.raises(KeyFormatError):
        seal(key, nonce, b"x")
    with pytest.raises(KeyFormatError):
        open_box(key, nonce, bytes(17))


@pytest.mark.parametrize("sealed", [b"", bytes(15), bytes(16), bytes(40)])
def test_what_is_not_a_box_does_not_open(sealed: bytes) -> None:
    with pytest.raises(VerificationError):
        open_box(SECRET, NONCE, sealed)


def test_changed_box_does_not_open() -> None:
    sealed = seal(SECRET, NONCE, b"hello")
    for index in range(len(sealed)):
        changed = sealed[:index] + bytes([sealed[index] ^ 0x80]) + sealed[index + 1 :]
        with pytest.raises(VerificationError):
            open_box(SECRET, NONCE, changed)
    with pytest.raises(VerificationError):
        open_box(SECRET, bytes(24), sealed)


def test_empty_message() -> None:
    assert open_box(SECRET, NONCE, seal(SECRET, NONCE, b"")) == b""


def test_padding_inside_the_box_is_checked() -> None:
    with pytest.raises(PaddingError):
        cb_decrypt(SECRET, NONCE, seal(SECRET, NONCE, b"\xff\xffshort"))
    with pytest.raises(PaddingError):
        cb_encrypt(SECRET, NONCE, b"12345", 6)


def test_authenticator() -> None:
    expected = (
        "6c325b75c924db5eff44a72f1f83e3193fa410c319be583993979f8e6f5867df4b10aa81c94c2ec26d9aba4439f17790"
        "df5763c2610dbf0411e9e08c1a2304b91eba3d6df9d2b01fd0b3fbf1f39468cf"
    )
    authenticator = authenticate(SECRET, NONCE, SIGNED)
    assert authenticator.hex() == expected
    verify_authenticator(SECRET, NONCE, SIGNED, authenticator)


def test_signature_over_the_same_bytes() -> None:
    signature = Ed25519PrivateKey(bytes(range(32))).sign(SIGNED)
    assert signature.hex() == (
        "b29468648cf233f6e5bfe90eddcb0ff6d206bc98245f4e29bf24822715deee07"
        "37b806882c71c51c33c2ca7a0662bc832b1266f2e5e6caf39409a38e2129570f"
    )


def test_authenticator_of_something_else_is_refused() -> None:
    authenticator = authenticate(SECRET, NONCE, SIGNED)
    for secret, nonce, message, given_authenticator in (
        (bytes(32), NONCE, SIGNED, authenticator),
        (SECRET, bytes(24), SIGNED, authenticator),
        (SECRET, NONCE, SIGNED + b"!", authenticator),
        (SECRET, NONCE, SIGNED, authenticator[:-1]),
        (SECRET, NONCE, SIGNED, authenticator + b"\0"),
        (SECRET, NONCE, SIGNED, b""),
        (SECRET, NONCE, SIGNED, seal(SECRET, NONCE, bytes(64))),
    ):
        with pytest.raises(VerificationError):
            verify_authenticator(secret, nonce, message, given_authenticator)


def test_block_chain() -> None:
    to_client, to_server = block_chains(SECRET, SESSION)
    assert to_client.raw.hex() == "f4f4bd1b9abba286fce8eba1d26a4c8a497272a5831f8a50eabf087e7daab6f2"
    assert to_server.raw.hex() == "2c0b6efdf455d9a6f32e6e398ad5051b118c4a63f5da4b2cdeba2c6241ca32ac"
    following, key, nonce = to_client.step()
    assert following.raw.hex() == "0be81d7d543b1d57072a9e16945af33e82d2633e31fecc8b869f973ae6707c55"
    assert key.hex() == "4d72345a617a04e06a4df8c42292a9ee2bf24a1d665351aad15bfafab387080c"
    assert nonce.hex() == "adfb0b236d6e3ab4f30f2f0d4318dab1ee7466059789f17e"
    content = bytes.fromhex("01001f0018") + NONCE + b"\0PONG"
    block = cb_encrypt(key, nonce, content, 16368)
    assert len(block) == 16384
    assert block[:8].hex() == "ae4842f67ae1d0ff"
    assert sha256(block) == "cb356b28bbbe6c8a967104cec3c540cc2abd8accf4bf340c8e3ec5113133e841"


def test_chain_key_is_a_value_of_32_bytes_that_does_not_show_itself() -> None:
    chain = ChainKey(b"k" * 32)
    assert chain.step() == ChainKey(b"k" * 32).step()
    assert "kkk" not in repr(chain)
    assert chain.raw.hex() not in repr(chain)
    with pytest.raises(KeyFormatError):
        ChainKey(bytes(31))


def test_peer_key_of_low_order_is_refused() -> None:
    low = type(A.public())(bytes(32))
    with pytest.raises(CryptoError, match="low order"):
        A.exchange(low)
