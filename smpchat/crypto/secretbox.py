"""The encryption of `smpchat.crypto.box` for data of any length, piece by piece, with the tag at the end.

The encryption is XSalsa20-Poly1305 with a key that HSalsa20 makes from the given key; libsodium's secretbox uses the
given key as it is (xftp-wire trap 6). The sender of a file encrypts the whole file with this encryption. A relay
encrypts each chunk once more when the chunk is downloaded (xftp-wire 2.3 and 3). Processed pieces are not kept in
memory.

Do not show or use the output of `Opener` before `Opener.finish` has succeeded: until then, it may be forged.
"""

from __future__ import annotations

import hmac
from typing import Any

from smpchat.crypto.box import KEY_SIZE, NONCE_SIZE, TAG_SIZE, hsalsa20
from smpchat.crypto.errors import KeyFormatError, VerificationError
from smpchat.crypto.salsa20 import BLOCK, XorFrom, xor_from
from smpchat.encoding.reader import Buffer

_TAG_KEY = 32
"""This many bytes at the start of the keystream are the key of Poly1305. The keystream for the data begins
after this key, in the middle of the first block."""


class _Stream:
    """The state of encrypting or decrypting one message: the position in the keystream, and the tag so far.

    Args:
        key: Raw X25519 secret or symmetric key, 32 bytes.
        nonce: 24 bytes.
        xor: Combines data with the keystream. Tests pass a function that does not use libsodium.
    """

    def __init__(self, key: bytes, nonce: bytes, xor: XorFrom = xor_from) -> None:
        if len(key) != KEY_SIZE or len(nonce) != NONCE_SIZE:
            raise KeyFormatError(f"a box takes a key of {KEY_SIZE} bytes and a nonce of {NONCE_SIZE}")
        from cryptography.hazmat.primitives.poly1305 import Poly1305

        self._key = hsalsa20(hsalsa20(key, bytes(16)), nonce[:16])
        self._nonce = nonce[16:]
        self._xor = xor
        tag_key = bytearray(BLOCK)
        xor(bytes(BLOCK), memoryview(tag_key), self._key, self._nonce, 0)
        self._at = _TAG_KEY
        self._tag: Any = Poly1305(bytes(tag_key[:_TAG_KEY]))

    def _turn(self, data: Buffer, output: memoryview) -> None:
        """Write ``data``, combined with the next bytes of the keystream, into ``output``."""
        if len(output) != len(data):
            raise ValueError("the output has to be as long as the input")
        done = 0
        within = self._at % BLOCK
        if within:
            done = min(len(data), BLOCK - within)
            block = bytearray(BLOCK)
            block[within : within + done] = data[:done]
            self._xor(block, memoryview(block), self._key, self._nonce, self._at // BLOCK)
            output[:done] = block[within : within + done]
        if done < len(data):
            rest = memoryview(data)[done:]
            self._xor(rest, output[done:], self._key, self._nonce, (self._at + done) // BLOCK)
        self._at += len(data)


class Sealer(_Stream):
    """Encrypts one message. Use each pair of key and nonce for only one message."""

    def update(self, data: Buffer, output: memoryview) -> None:
        """Encrypt the next piece into ``output``, which has the same length and may be ``data`` itself."""
        self._turn(data, output)
        self._tag.update(output)

    def finish(self) -> bytes:
        """Returns the tag, 16 bytes. After `finish`, no method may be called."""
        tag: bytes = self._tag.finalize()
        return tag


class Opener(_Stream):
    """Decrypts the result of a `Sealer`."""

    def update(self, data: Buffer, output: memoryview) -> None:
        """Decrypt the next piece into ``output``, which has the same length and may be ``data`` itself."""
        self._tag.update(data)
        self._turn(data, output)

    def finish(self, tag: bytes) -> None:
        """Check the tag of the whole message. Raises `VerificationError` if the tag is wrong."""
        if len(tag) != TAG_SIZE or not hmac.compare_digest(self._tag.finalize(), tag):
            raise VerificationError("the box does not open with this key")
