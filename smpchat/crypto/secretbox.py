"""The symmetric box of `smpchat.crypto.box` for data of any length, piece by piece, with its tag at the end.

XSalsa20-Poly1305 with one HSalsa20 more on the key than libsodium's secretbox has (xftp-wire trap 6). A whole file is
in one such box, and every download of a chunk is in another one (xftp-wire 2.3 and 3). Sealed and opened data is not
kept.

The output of `Opener` is not authentic yet: do not show or use it before `Opener.finish` has succeeded.
"""

from __future__ import annotations

import hmac
from typing import Any

from smpchat.crypto.box import KEY_SIZE, NONCE_SIZE, TAG_SIZE, hsalsa20
from smpchat.crypto.errors import KeyFormatError, VerificationError
from smpchat.crypto.salsa20 import BLOCK, XorFrom, xor_from
from smpchat.encoding.reader import Buffer

_TAG_KEY = 32
"""The first bytes of the keystream, which are the key of Poly1305; the keystream for the data begins after them, within
the first block."""


class _Stream:
    """The position of one box in the keystream and the tag.

    Args:
        key: Raw X25519 secret or symmetric key, 32 bytes.
        nonce: 24 bytes.
        xor: In place of libsodium's, for tests.
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
        """``data`` with the next bytes of the keystream."""
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
    """Seals one message; use each key and nonce for only one."""

    def update(self, data: Buffer, output: memoryview) -> None:
        """Ciphertext of the next piece into ``output``, which is as long, and may be ``data`` itself."""
        self._turn(data, output)
        self._tag.update(output)

    def finish(self) -> bytes:
        """The tag, 16 bytes. Nothing can follow."""
        tag: bytes = self._tag.finalize()
        return tag


class Opener(_Stream):
    """Opens what a `Sealer` made."""

    def update(self, data: Buffer, output: memoryview) -> None:
        """Plaintext of the next piece into ``output``, which is as long, and may be ``data`` itself."""
        self._tag.update(data)
        self._turn(data, output)

    def finish(self, tag: bytes) -> None:
        """Raises `VerificationError` unless the tag is that of all that was opened."""
        if len(tag) != TAG_SIZE or not hmac.compare_digest(self._tag.finalize(), tag):
            raise VerificationError("the box does not open with this key")
