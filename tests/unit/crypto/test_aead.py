"""AES-256-GCM with a 16-byte IV."""

from __future__ import annotations

import pytest

from smpchat.crypto.aead import aead_decrypt, aead_encrypt
from smpchat.crypto.errors import KeyFormatError, VerificationError

KEY, IV = bytes(range(32)), bytes(range(16))


def test_number_of_the_wire_description() -> None:
    """agent-wire 0.6."""
    tag, ciphertext = aead_encrypt(KEY, IV, b"aad", b"hello")
    assert (ciphertext.hex(), tag.hex()) == ("0f09cc1a56", "c832ef752e884bf816ffe6e431585601")
    assert aead_decrypt(KEY, IV, b"aad", tag, ciphertext) == b"hello"


def test_empty_plaintext_still_has_a_tag() -> None:
    tag, ciphertext = aead_encrypt(KEY, IV, b"", b"")
    assert (len(tag), ciphertext) == (16, b"")
    assert aead_decrypt(KEY, IV, b"", tag, b"") == b""


def flip(data: bytes) -> bytes:
    return bytes([data[0] ^ 1]) + data[1:]


@pytest.mark.parametrize("part", range(5))
def test_any_changed_part_is_noticed(part: int) -> None:
    tag, ciphertext = aead_encrypt(KEY, IV, b"aad", b"hello")
    parts = [KEY, IV, b"aad", tag, ciphertext]
    parts[part] = flip(parts[part])
    with pytest.raises(VerificationError):
        aead_decrypt(*parts)


@pytest.mark.parametrize("size", [0, 12, 15, 17])
def test_tag_of_another_size_is_refused(size: int) -> None:
    with pytest.raises(VerificationError, match="wrong length"):
        aead_decrypt(KEY, IV, b"", bytes(size), b"hello")


@pytest.mark.parametrize(("key", "iv"), [(bytes(16), IV), (bytes(33), IV), (KEY, bytes(12)), (KEY, b"")])
def test_keys_and_ivs_of_other_sizes_are_refused(key: bytes, iv: bytes) -> None:
    with pytest.raises(KeyFormatError):
        aead_encrypt(key, iv, b"", b"x")
    with pytest.raises(KeyFormatError):
        aead_decrypt(key, iv, b"", bytes(16), b"x")
