"""The box piece by piece: the same bytes as the box in one, whatever the pieces and whoever computes."""

from __future__ import annotations

import pytest

from smpchat.crypto import salsa20
from smpchat.crypto.box import seal
from smpchat.crypto.errors import KeyFormatError, VerificationError
from smpchat.crypto.salsa20 import XorFrom, libsodium_xor, portable_xor
from smpchat.crypto.secretbox import Opener, Sealer
from smpchat.testing.entropy import SeededEntropy

KEY, NONCE = bytes(range(32)), bytes(range(24))
MESSAGE = SeededEntropy("secretbox").random(70_001)
WHOLE = seal(KEY, NONCE, MESSAGE)
TAG, CIPHERTEXT = WHOLE[:16], WHOLE[16:]
NATIVE = libsodium_xor()
assert NATIVE is not None, "PyNaCl exports libsodium where these tests run"
BOTH = pytest.mark.parametrize("xor", [NATIVE, portable_xor], ids=["libsodium", "portable"])
PIECES = pytest.mark.parametrize("size", [1_000, 31, 32, 33, 64, 65, 4_096, 70_001])


def sealed(message: bytes, size: int, xor: XorFrom) -> tuple[bytes, bytes]:
    sealer, output = Sealer(KEY, NONCE, xor), bytearray(len(message))
    for start in range(0, len(message), size):
        sealer.update(message[start : start + size], memoryview(output)[start : start + size])
    return bytes(output), sealer.finish()


@BOTH
@PIECES
def test_pieces_make_the_box_with_its_tag_last(size: int, xor: XorFrom) -> None:
    length = len(MESSAGE) if size > 100 else 3_000
    message = MESSAGE[:length]
    assert sealed(message, size, xor) == (seal(KEY, NONCE, message)[16:], seal(KEY, NONCE, message)[:16])


@BOTH
@PIECES
def test_pieces_open_in_place(size: int, xor: XorFrom) -> None:
    message = MESSAGE if size > 100 else MESSAGE[:3_000]
    whole = seal(KEY, NONCE, message)
    data, opener = bytearray(whole[16:]), Opener(KEY, NONCE, xor)
    for start in range(0, len(data), size):
        piece = memoryview(data)[start : start + size]
        opener.update(piece, piece)
    opener.finish(whole[:16])
    assert data == message


@pytest.mark.parametrize("at", [0, 31, 32, 69_999, 70_000])
def test_a_changed_byte_does_not_open(at: int) -> None:
    data, opener = bytearray(CIPHERTEXT), Opener(KEY, NONCE)
    data[at] ^= 1
    opener.update(data, memoryview(data))
    with pytest.raises(VerificationError):
        opener.finish(TAG)


@pytest.mark.parametrize("tag", [TAG[:-1], TAG + b"\0", bytes(16), b""])
def test_another_tag_does_not_open(tag: bytes) -> None:
    data, opener = bytearray(CIPHERTEXT), Opener(KEY, NONCE)
    opener.update(data, memoryview(data))
    with pytest.raises(VerificationError):
        opener.finish(tag)


def test_an_empty_message_has_a_tag() -> None:
    assert sealed(b"", 1, salsa20.xor_from) == (b"", seal(KEY, NONCE, b""))


def test_the_counter_goes_on_beyond_32_bits() -> None:
    """Block 2^32 is at 256 GiB, which no file reaches; a wrong carry would show there first."""
    outputs = []
    assert NATIVE is not None
    for xor in (NATIVE, portable_xor):
        output = bytearray(500)
        xor(bytes(500), memoryview(output), KEY, NONCE[:8], 2**32 - 3)
        outputs.append(bytes(output))
    assert outputs[0] == outputs[1] != bytes(500)


@BOTH
def test_memory_that_does_not_fit_is_refused(xor: XorFrom) -> None:
    with pytest.raises(ValueError, match="as long as the input"):
        xor(bytes(65), memoryview(bytearray(64)), KEY, NONCE[:8], 0)
    with pytest.raises(ValueError, match="as long as the input"):
        xor(bytes(64), memoryview(bytearray(128))[::2], KEY, NONCE[:8], 0)
    with pytest.raises(KeyFormatError):
        xor(bytes(64), memoryview(bytearray(64)), KEY[:31], NONCE[:8], 0)


def test_keys_of_another_size_are_refused() -> None:
    with pytest.raises(KeyFormatError):
        Sealer(KEY[:31], NONCE)
    with pytest.raises(KeyFormatError):
        Opener(KEY, NONCE[:8])


def test_no_libsodium_is_not_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(salsa20, "libsodium", lambda name: None)
    assert libsodium_xor() is None
