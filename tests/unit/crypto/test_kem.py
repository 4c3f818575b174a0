"""The optional KEM and its fields on the wire."""

from __future__ import annotations

import sys

import pytest

from smpchat.crypto import kem
from smpchat.crypto.errors import KeyFormatError
from smpchat.encoding.reader import DecodeError

PUBLIC, CIPHERTEXT = kem.KEMPublicKey(b"p" * 1158), kem.KEMCiphertext(b"c" * 1039)
needs_kem = pytest.mark.skipif(not kem.available(), reason="pqcrypto is not installed")


@needs_kem
def test_both_sides_get_the_same_secret() -> None:
    public, private = kem.generate()
    ciphertext, secret = kem.encapsulate(public)
    assert len(secret) == kem.SECRET_SIZE
    assert kem.decapsulate(private, ciphertext) == secret
    _, other = kem.generate()
    assert kem.decapsulate(other, ciphertext) != secret


def test_absent_package_is_a_typed_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pqcrypto.kem.sntrup_761", None)
    assert not kem.available()
    with pytest.raises(kem.KEMUnavailable, match="pqcrypto"):
        kem.generate()


def test_wire_forms() -> None:
    proposed, accepted = kem.KEMProposed(PUBLIC), kem.KEMAccepted(CIPHERTEXT, PUBLIC)
    assert kem.kem_params.encode(proposed) == b"P\x04\x86" + PUBLIC.raw
    assert kem.kem_params.encode(accepted) == b"A\x04\x0f" + CIPHERTEXT.raw + b"\x04\x86" + PUBLIC.raw
    for params in (proposed, accepted):
        assert kem.kem_params.decode(kem.kem_params.encode(params)) == params


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"X",
        b"P",
        b"P\x04\x85" + bytes(1157),
        b"P\x04\x86" + bytes(1157),
        b"A\x04\x86" + bytes(1158),
        b"A\x04\x0f" + bytes(1039) + b"\0\0",
    ],
)
def test_malformed_parameters_are_refused(data: bytes) -> None:
    with pytest.raises(DecodeError):
        kem.kem_params.decode(data)


@pytest.mark.parametrize("kind", [kem.KEMPublicKey, kem.KEMPrivateKey, kem.KEMCiphertext])
def test_sizes_are_checked_and_bytes_not_shown(
    kind: type[kem.KEMPublicKey] | type[kem.KEMPrivateKey] | type[kem.KEMCiphertext],
) -> None:
    for size in (0, kind.SIZE - 1, kind.SIZE + 1):
        with pytest.raises(KeyFormatError, match=f"{kind.SIZE} bytes expected"):
            kind(bytes(size))
    value = kind(b"z" * kind.SIZE)
    assert "zzz" not in repr(value)
    assert value == kind(b"z" * kind.SIZE)
    assert hash(value) == hash(kind(b"z" * kind.SIZE))
    assert value != kind(b"y" * kind.SIZE)
    assert value != b"z" * kind.SIZE
