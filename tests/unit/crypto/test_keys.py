"""The key kinds of the wire."""

from __future__ import annotations

import os

import pytest

from smpchat.crypto.entropy import SystemEntropy
from smpchat.crypto.errors import CryptoError, KeyFormatError, VerificationError
from smpchat.crypto.keys import (
    Ed448PrivateKey,
    Ed448PublicKey,
    Ed25519PrivateKey,
    Ed25519PublicKey,
    X448PrivateKey,
    X448PublicKey,
    X25519PrivateKey,
    X25519PublicKey,
    auth_key,
    auth_public_key,
    ed25519_key,
    key_from_text,
    key_to_text,
    x448_key,
    x25519_key,
)
from smpchat.encoding.codec import Codec
from smpchat.encoding.reader import DecodeError
from smpchat.testing.entropy import SeededEntropy

PAIRS = [
    (X25519PrivateKey, X25519PublicKey, 32),
    (X448PrivateKey, X448PublicKey, 56),
    (Ed25519PrivateKey, Ed25519PublicKey, 32),
    (Ed448PrivateKey, Ed448PublicKey, 57),
]
Private = type[X25519PrivateKey] | type[X448PrivateKey] | type[Ed25519PrivateKey] | type[Ed448PrivateKey]
Public = type[X25519PublicKey] | type[X448PublicKey] | type[Ed25519PublicKey] | type[Ed448PublicKey]
both_kinds = pytest.mark.parametrize(("private", "public", "size"), PAIRS)


def test_keys_of_the_wire_description() -> None:
    """smp-wire 10."""
    seed = bytes(range(32))
    assert X25519PrivateKey(seed).public().der.hex() == (
        "302a300506032b656e0321008f40c5adb68f25624ae5b214ea767a6ec94d829d3d7b5e1ad1ba6f3e2138285f"
    )
    assert X25519PrivateKey(bytes(range(32, 64))).public().raw.hex() == (
        "358072d6365880d1aeea329adf9121383851ed21a28e3b75e965d0d2cd166254"
    )
    assert Ed25519PrivateKey(seed).public().der.hex() == (
        "302a300506032b657003210003a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8"
    )


@both_kinds
def test_der_round_trip(private: Private, public: Public, size: int) -> None:
    key = private(os.urandom(size))
    assert private.from_der(key.der) == key
    assert public.from_der(key.public().der) == key.public()
    assert isinstance(key.public(), public)


@both_kinds
def test_other_bytes_are_not_keys(private: Private, public: Public, size: int) -> None:
    for kind in (private, public):
        der = kind(bytes(size)).der
        for wrong in (b"", der[:-1], der + b"\0", der[1:], b"\x31" + der[1:]):
            with pytest.raises(KeyFormatError):
                kind.from_der(wrong)
        for raw in (b"", bytes(size - 1), bytes(size + 1)):
            with pytest.raises(KeyFormatError, match=f"{size} bytes expected"):
                kind(raw)


@both_kinds
def test_private_keys_do_not_show_themselves(private: Private, public: Public, size: int) -> None:
    key = private(b"secret!." * 7 + b"s" if size == 57 else (b"secret!." * 7)[:size])
    for text in (repr(key), str(key), f"{key!r}"):
        assert "secret" not in text
        assert key.raw.hex() not in text


@both_kinds
def test_equality_is_of_kind_and_bytes(private: Private, public: Public, size: int) -> None:
    key = private(bytes(size))
    assert key == private(bytes(size))
    assert hash(key) == hash(private(bytes(size)))
    assert key != private(b"\1" + bytes(size - 1))
    assert key != bytes(size)
    assert X25519PrivateKey(bytes(32)) != Ed25519PrivateKey(bytes(32))


def test_generation_takes_the_given_entropy() -> None:
    entropy, again = SeededEntropy("keys"), SeededEntropy("keys")
    assert X448PrivateKey.generate(entropy).raw == again.random(56)
    assert len(X25519PrivateKey.generate(SystemEntropy()).raw) == 32
    assert SystemEntropy().random(16) != SystemEntropy().random(16)


@pytest.mark.parametrize("kind", [X25519PrivateKey, X448PrivateKey])
def test_agreement_is_the_same_for_both(kind: type[X448PrivateKey]) -> None:
    a, b = kind(b"a" * kind.SIZE), kind(b"b" * kind.SIZE)
    assert a.exchange(b.public()) == b.exchange(a.public())
    assert len(a.exchange(b.public())) == kind.SIZE


@pytest.mark.parametrize(("kind", "public"), [(X25519PrivateKey, X25519PublicKey), (X448PrivateKey, X448PublicKey)])
def test_peer_keys_of_low_order_are_refused(kind: type[X448PrivateKey], public: type[X448PublicKey]) -> None:
    for raw in (bytes(kind.SIZE), b"\1" + bytes(kind.SIZE - 1)):
        with pytest.raises(CryptoError, match="low order"):
            kind(b"a" * kind.SIZE).exchange(public(raw))


@pytest.mark.parametrize(("kind", "size"), [(Ed25519PrivateKey, 64), (Ed448PrivateKey, 114)])
def test_signatures(kind: type[Ed25519PrivateKey], size: int) -> None:
    key, other = kind(b"a" * kind.SIZE), kind(b"b" * kind.SIZE)
    signature = key.sign(b"message")
    assert len(signature) == size
    key.public().verify(signature, b"message")
    for public, wrong, message in (
        (other.public(), signature, b"message"),
        (key.public(), signature, b"massage"),
        (key.public(), bytes([signature[0] ^ 1]) + signature[1:], b"message"),
        (key.public(), signature[:-1], b"message"),
        (key.public(), signature + b"\0", b"message"),
        (key.public(), signature[:-1], signature[-1:] + b"message"),
        (key.public(), b"", b"message"),
    ):
        with pytest.raises(VerificationError):
            public.verify(wrong, message)


def test_kind_of_an_authorisation_key_is_told_by_its_prefix() -> None:
    for key in (Ed25519PublicKey(bytes(32)), Ed448PublicKey(bytes(57)), X25519PublicKey(bytes(32))):
        assert auth_public_key(key.der) == key
        assert auth_key.decode(auth_key.encode(key)) == key
    for der in (X448PublicKey(bytes(56)).der, b"", Ed25519PublicKey(bytes(32)).der + b"\0"):
        with pytest.raises(KeyFormatError):
            auth_public_key(der)
        with pytest.raises(DecodeError):
            auth_key.decode(bytes([len(der)]) + der)


@pytest.mark.parametrize(
    ("codec", "kind"), [(x25519_key, X25519PublicKey), (x448_key, X448PublicKey), (ed25519_key, Ed25519PublicKey)]
)
def test_codec_of_each_kind_refuses_the_others(codec: Codec[X448PublicKey], kind: type[X448PublicKey]) -> None:
    key = kind(b"k" * kind.SIZE)
    assert codec.encode(key) == bytes([len(key.der)]) + key.der
    assert codec.decode(codec.encode(key)) == key
    other = Ed448PublicKey(bytes(57)).der
    with pytest.raises(DecodeError):
        codec.decode(bytes([len(other)]) + other)


def test_text_form() -> None:
    key = X25519PublicKey(bytes.fromhex("8e2b30c08dcefcd952f059371c9515bbcd046366c0c26b6d301b2f441f5e577a"))
    text = "MCowBQYDK2VuAyEAjiswwI3O_NlS8Fk3HJUVu80EY2bAwmttMBsvRB9eV3o="
    assert key_to_text(key) == text
    assert key_from_text(X25519PublicKey, text, "dh key") == key
    with pytest.raises(DecodeError, match="dh key is not a key of the expected kind"):
        key_from_text(X448PublicKey, text, "dh key")
    with pytest.raises(DecodeError, match="dh key is not base64url"):
        key_from_text(X25519PublicKey, "!", "dh key")
