from __future__ import annotations

import hashlib

import pytest

from smpchat.crypto import passphrase as sealing
from smpchat.crypto.errors import VerificationError, WrongPassphrase
from smpchat.crypto.passphrase import MAX_MEMORY, STRONG, Cost, seal, unseal
from smpchat.encoding.record import replace
from smpchat.testing.entropy import SeededEntropy

CHEAP = Cost(cost=4, block=8, parallel=1)
PREFIX = b"magic\1"
HEADER = 3 + 16 + 12
FRONT = HEADER + 32 + 16
"""Bytes before the ciphertext."""


def sealed(plaintext: bytes = b"secret", passphrase: str = "correct horse", cost: Cost = CHEAP) -> bytes:
    return seal(passphrase, PREFIX, plaintext, SeededEntropy("seal"), cost)


@pytest.mark.parametrize("plaintext", [b"", b"secret", bytes(100_000)])
def test_what_was_sealed_opens_again(plaintext: bytes) -> None:
    box = sealed(plaintext)
    assert len(box) == FRONT + len(plaintext) + 16
    assert plaintext == b"" or plaintext not in box
    assert unseal("correct horse", PREFIX, box) == plaintext


def test_every_seal_is_another() -> None:
    entropy = SeededEntropy("seal")
    first, second = (seal("correct horse", PREFIX, b"secret", entropy, CHEAP) for _ in range(2))
    assert first[3:HEADER] != second[3:HEADER]
    assert first[FRONT:] != second[FRONT:]


@pytest.mark.parametrize("guess", ["", "correct hors", "Correct horse", "correct horse "])
def test_another_passphrase_is_told_from_damage(guess: str) -> None:
    with pytest.raises(WrongPassphrase):
        unseal(guess, PREFIX, sealed())


def test_the_same_letters_in_other_code_points_are_the_same_passphrase() -> None:
    assert unseal("cafe\u0301", PREFIX, sealed(passphrase="caf\u00e9")) == b"secret"


def test_each_damaged_byte_is_damage_and_no_wrong_passphrase() -> None:
    box = sealed()
    for position in range(len(box)):
        damaged = bytearray(box)
        damaged[position] ^= 1
        with pytest.raises(VerificationError):
            unseal("correct horse", PREFIX, bytes(damaged))


def test_each_cut_is_damage() -> None:
    box = sealed()
    for length in range(len(box)):
        with pytest.raises(VerificationError):
            unseal("correct horse", PREFIX, box[:length])


def test_more_at_the_end_is_damage() -> None:
    with pytest.raises(VerificationError):
        unseal("correct horse", PREFIX, sealed() + b"\0")


def test_the_prefix_is_authenticated() -> None:
    with pytest.raises(VerificationError):
        unseal("correct horse", b"magic\2", sealed())


@pytest.mark.parametrize("parameters", ["150801", "112001", "000801", "040001", "040805", "ffffff"])
def test_a_file_cannot_ask_for_more_than_the_limit(parameters: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The checksum is no secret: whoever writes a file can make it right."""
    front = PREFIX + bytes.fromhex(parameters) + bytes(16 + 12) + bytes(32)
    crafted = (front + hashlib.sha256(front).digest()[:16])[len(PREFIX) :] + bytes(16)
    monkeypatch.delattr(sealing, "_keys")
    with pytest.raises(VerificationError, match="too much memory"):
        unseal("correct horse", PREFIX, crafted)


def test_what_we_write_is_within_the_limits() -> None:
    assert STRONG.is_bearable
    assert 128 * STRONG.block << STRONG.cost == 1 << 27 <= MAX_MEMORY
    assert replace(STRONG, cost=18).is_bearable
    assert not replace(STRONG, cost=19).is_bearable
