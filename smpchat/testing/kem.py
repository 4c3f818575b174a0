"""A KEM for tests: the sizes of sntrup761, made of hashes in microseconds. It is not secure."""

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
    """Public and private key hold one number; a ciphertext holds another; the secret is the hash of both."""

    def __init__(self, seed: str = "kem") -> None:
        self._entropy = SeededEntropy(seed)
        self.generated = 0

    def available(self) -> bool:
        """It does work."""
        return True

    def generate(self) -> tuple[KEMPublicKey, KEMPrivateKey]:
        """A new pair."""
        self.generated += 1
        number = self._entropy.random(32)
        return KEMPublicKey(number.ljust(PUBLIC_SIZE, b"p")), KEMPrivateKey(number.ljust(PRIVATE_SIZE, b"s"))

    def encapsulate(self, public: KEMPublicKey) -> tuple[KEMCiphertext, bytes]:
        """A new number, and its hash with the key's."""
        number = self._entropy.random(32)
        return KEMCiphertext(number.ljust(CIPHERTEXT_SIZE, b"c")), _secret(public.raw, number)

    def decapsulate(self, private: KEMPrivateKey, ciphertext: KEMCiphertext) -> bytes:
        """The hash of both numbers."""
        return _secret(private.raw, ciphertext.raw)


def _secret(key: bytes, ciphertext: bytes) -> bytes:
    return hashlib.sha256(key[:32] + ciphertext[:32]).digest()[:SECRET_SIZE]
