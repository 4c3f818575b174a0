"""AES-256-GCM as used by the double ratchet: with a 16-byte IV (agent-wire 0.6), and the tag separate from the
ciphertext.

An IV that is not 12 bytes long goes through GHASH, as the GCM standard says; the library does that for us.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from smpchat.crypto.errors import KeyFormatError, VerificationError

KEY_SIZE, IV_SIZE, TAG_SIZE = 32, 16, 16


def aead_encrypt(key: bytes, iv: bytes, associated: bytes, plaintext: bytes) -> tuple[bytes, bytes]:
    """Tag (16 bytes) and ciphertext (as long as the plaintext)."""
    sealed = _cipher(key, iv).encrypt(iv, plaintext, associated)
    # The library's tag is the end of its output; on the wire it stands in front (agent-wire 0.6, trap 4).
    return sealed[-TAG_SIZE:], sealed[:-TAG_SIZE]


def aead_decrypt(key: bytes, iv: bytes, associated: bytes, tag: bytes, ciphertext: bytes) -> bytes:
    """The plaintext. Raises `VerificationError` unless key, IV, associated data, tag and ciphertext belong together."""
    # The library gets ciphertext and tag as one: with a tag of 15 bytes it would
    # take a byte of the ciphertext for the 16th.
    if len(tag) != TAG_SIZE:
        raise VerificationError("the authentication tag has a wrong length")
    try:
        return _cipher(key, iv).decrypt(iv, ciphertext + tag, associated)
    except InvalidTag:
        raise VerificationError("the authentication tag does not verify") from None


def _cipher(key: bytes, iv: bytes) -> AESGCM:
    if len(key) != KEY_SIZE or len(iv) != IV_SIZE:
        raise KeyFormatError(f"AES-256-GCM takes a key of {KEY_SIZE} bytes and an IV of {IV_SIZE}")
    return AESGCM(key)
