"""A KEM for tests. It uses hashes and takes microseconds; its keys and ciphertexts have the sizes of those of
sntrup761. It is not secure."""

from __future__ import annotations

import hashlib

from smpchat.crypto.kem import (
    CIPHERTEXT_SIZE,
    PRIVATE_SIZE,
    PUBLIC_SIZE,
    SECRET_SIZE,
    KEMCiphertext,
    KEMPrivateKey,
    KEMPublicKey,
)
from smpchat.testing.entropy import SeededEntropy


class HashKEM:
    """A KEM whose public and private key contain the same number; a ciphertext contains another number. The secret is
    the hash of both numbers."""

    def __init__(self, seed: str = "kem") -> None:
        self._entropy = SeededEntropy(seed)
        self.generated = 0

    def available(self) -> bool:
        """Always True."""
        return True

    def generate(self) -> tuple[KEMPublicKey, KEMPrivateKey]:
        """A new key pair."""
        self.generated += 1
        number = self._entropy.random(32)
        return KEMPublicKey(number.ljust(PUBLIC_SIZE, b"p")), KEMPrivateKey(number.ljust(PRIVATE_SIZE, b"s"))

    def encapsulate(self, public: KEMPublicKey) -> tuple[KEMCiphertext, bytes]:
        """A ciphertext with a new number, and the secret: the hash of the key's number and the new one."""
        number = self._entropy.random(32)
        return KEMCiphertext(number.ljust(CIPHERTEXT_SIZE, b"c")), _secret(public.raw, number)

    def decapsulate(self, private: KEMPrivateKey, ciphertext: KEMCiphertext) -> bytes:
        """The secret: the hash of the key's number and the ciphertext's."""
        return _secret(private.raw, ciphertext.raw)


def _secret(key: bytes, ciphertext: bytes) -> bytes:
    return hashlib.sha256(key[:32] + ciphertext[:32]).digest()[:SECRET_SIZE]
