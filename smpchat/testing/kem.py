"""A KEM for tests. Each call takes microseconds, because the KEM uses only hashes. Keys and ciphertexts are as long as
those of sntrup761. The KEM is not secure."""

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
    """The public and the private key of a pair contain the same random number, and each ciphertext contains another
    random number. The shared secret is the hash of the key's number and the ciphertext's number."""

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
        """A new ciphertext, and the shared secret."""
        number = self._entropy.random(32)
        return KEMCiphertext(number.ljust(CIPHERTEXT_SIZE, b"c")), _secret(public.raw, number)

    def decapsulate(self, private: KEMPrivateKey, ciphertext: KEMCiphertext) -> bytes:
        """The shared secret."""
        return _secret(private.raw, ciphertext.raw)


def _secret(key: bytes, ciphertext: bytes) -> bytes:
    return hashlib.sha256(key[:32] + ciphertext[:32]).digest()[:SECRET_SIZE]
