"""AES-256-GCM as the double ratchet uses it: with a 16-byte IV, and with the tag separate from the ciphertext
(agent-wire 0.6).

An IV that is not 12 bytes long goes through GHASH, as the GCM standard says; the library `cryptography` does this.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from smpchat.crypto.errors import KeyFormatError, VerificationError

KEY_SIZE, IV_SIZE, TAG_SIZE = 32, 16, 16


def aead_encrypt(key: bytes, iv: bytes, associated: bytes, plaintext: bytes) -> tuple[bytes, bytes]:
    """Encrypt. Returns the tag (16 bytes) and the ciphertext (as long as the plaintext)."""
    sealed = _cipher(key, iv).encrypt(iv, plaintext, associated)
    # The library puts the tag after the ciphertext; on the wire, the tag comes first (agent-wire 0.6, trap 4).
    return sealed[-TAG_SIZE:], sealed[:-TAG_SIZE]


def aead_decrypt(key: bytes, iv: bytes, associated: bytes, tag: bytes, ciphertext: bytes) -> bytes:
    """Decrypt. Raises `VerificationError` unless key, IV, associated data, tag and ciphertext belong together."""
    # The library takes the ciphertext and the tag as one byte string. If the tag had only 15 bytes, the library would
    # take the last byte of the ciphertext as the tag's first byte.
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
