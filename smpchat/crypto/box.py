"""Boxes: how the protocols encrypt outside the ratchet. A *box* is data encrypted with XSalsa20-Poly1305, whose key
HSalsa20 makes from the caller's key.

With an X25519 shared secret as key, a box is the same as NaCl's ``crypto_box``. With a symmetric key, a box is *not*
the same as libsodium's secretbox, which gives the key to XSalsa20 as it is (smp-wire 4.5, agent-wire 0.4 and trap 9).
"""

from __future__ import annotations

import ctypes
import hashlib
import hmac
import importlib
from collections.abc import Callable
from typing import Any

from smpchat.crypto.errors import KeyFormatError, VerificationError
from smpchat.crypto.kdf import hkdf_sha512
from smpchat.crypto.padding import pad, unpad
from smpchat.encoding.record import Record, field

KEY_SIZE, NONCE_SIZE, TAG_SIZE = 32, 24, 16
AUTHENTICATOR_SIZE = TAG_SIZE + hashlib.sha512().digest_size

_ZERO_BLOCK = bytes(16)

HSalsa20 = Callable[[bytes, bytes], bytes]


def _rotate(word: int, bits: int) -> int:
    word &= 0xFFFFFFFF
    return (word << bits | word >> (32 - bits)) & 0xFFFFFFFF


_COLUMNS = ((0, 4, 8, 12), (5, 9, 13, 1), (10, 14, 2, 6), (15, 3, 7, 11))
_ROWS = ((0, 1, 2, 3), (5, 6, 7, 4), (10, 11, 8, 9), (15, 12, 13, 14))
_CONSTANTS = tuple(int.from_bytes(b"expand 32-byte k"[i : i + 4], "little") for i in range(0, 16, 4))


def portable_hsalsa20(key: bytes, block: bytes) -> bytes:
    """HSalsa20 in Python, for systems where libsodium cannot be loaded: the same result, about 60 times slower."""
    _check(key, block)
    k = [int.from_bytes(key[i : i + 4], "little") for i in range(0, 32, 4)]
    n = [int.from_bytes(block[i : i + 4], "little") for i in range(0, 16, 4)]
    c = _CONSTANTS
    x = [c[0], *k[:4], c[1], *n, c[2], *k[4:], c[3]]
    for _ in range(10):
        for quarters in (_COLUMNS, _ROWS):
            for p, q, r, s in quarters:
                x[q] ^= _rotate(x[p] + x[s], 7)
                x[r] ^= _rotate(x[q] + x[p], 9)
                x[s] ^= _rotate(x[r] + x[q], 13)
                x[p] ^= _rotate(x[s] + x[r], 18)
    # The result of HSalsa20 is the words on the diagonal of the matrix and those where ``block`` was, without Salsa20's
    # final addition (smp-wire 4.5).
    return b"".join(x[i].to_bytes(4, "little") for i in (0, 5, 10, 15, 6, 7, 8, 9))


def libsodium(name: str) -> Any:
    """The function of libsodium with this name; None if libsodium cannot be called. On most platforms, PyNaCl's
    compiled module contains libsodium and exports its functions."""
    try:
        # Once `sodium_init` was called, libsodium uses the fastest code for this processor. Importing `nacl.bindings`
        # would call `sodium_init` too, but takes 2 ms longer than importing `nacl._sodium`.
        library = ctypes.CDLL(importlib.import_module("nacl._sodium").__file__)
        return getattr(library, name) if library.sodium_init() >= 0 else None
    except (AttributeError, ImportError, OSError):
        return None


def libsodium_hsalsa20() -> HSalsa20 | None:
    """HSalsa20 of PyNaCl's libsodium, called directly because PyNaCl has no binding for HSalsa20; None if libsodium
    cannot be called."""
    function = libsodium("crypto_core_hsalsa20")
    if function is None:
        return None
    function.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p]
    function.restype = ctypes.c_int

    def hsalsa20(key: bytes, block: bytes) -> bytes:
        _check(key, block)
        output = ctypes.create_string_buffer(32)
        function(output, block, key, None)
        return output.raw

    return hsalsa20


def _check(key: bytes, block: bytes) -> None:
    if len(key) != KEY_SIZE or len(block) != 16:
        raise KeyFormatError("HSalsa20 takes a key of 32 bytes and a block of 16")


_hsalsa20: HSalsa20 = libsodium_hsalsa20() or portable_hsalsa20


def hsalsa20(key: bytes, block: bytes) -> bytes:
    """Derive 32 bytes with HSalsa20 from a 32-byte key and a 16-byte block. Raises `KeyFormatError` if the key or the
    block has another size."""
    return _hsalsa20(key, block)


def _box_key(key: bytes, nonce: bytes) -> bytes:
    if len(key) != KEY_SIZE or len(nonce) != NONCE_SIZE:
        raise KeyFormatError(f"a box takes a key of {KEY_SIZE} bytes and a nonce of {NONCE_SIZE}")
    # HSalsa20 is applied to symmetric keys too, because the reference uses the same function for all keys (smp-wire
    # trap 11, agent-wire trap 9). libsodium's secretbox does not apply HSalsa20 to the key first, so it cannot decrypt
    # the data of short links or the blocks of SMP 11.
    return _hsalsa20(key, _ZERO_BLOCK)


Secretbox = Callable[[bytes, bytes, bytes], bytes]
"""A function of data, nonce and key; returns the encrypted or decrypted data. Decrypting raises `VerificationError`."""


def portable_secretbox() -> tuple[Secretbox, Secretbox]:
    """Two functions, one to encrypt and one to decrypt, that use PyNaCl's bindings."""
    import nacl.bindings
    import nacl.exceptions

    def open_sealed(sealed: bytes, nonce: bytes, key: bytes) -> bytes:
        try:
            return nacl.bindings.crypto_secretbox_open(sealed, nonce, key)
        except nacl.exceptions.CryptoError:
            raise VerificationError("the box does not open with this key") from None

    return nacl.bindings.crypto_secretbox, open_sealed


def libsodium_secretbox() -> tuple[Secretbox, Secretbox] | None:
    """Two functions, one to encrypt and one to decrypt, that use libsodium's newer interface; None if libsodium cannot
    be called.

    PyNaCl uses NaCl's old interface, which needs zeros before the data. PyNaCl spends a quarter of its time for a
    transport block on adding and removing these zeros.
    """
    seal_easy, open_easy = libsodium("crypto_secretbox_easy"), libsodium("crypto_secretbox_open_easy")
    if seal_easy is None or open_easy is None:
        return None
    for function in (seal_easy, open_easy):
        function.argtypes = [
            ctypes.c_char_p,
            ctypes.c_char_p,
            ctypes.c_ulonglong,
            ctypes.c_char_p,
            ctypes.c_char_p,
        ]
        function.restype = ctypes.c_int

    # libsodium does not check the lengths of key and nonce; our callers have checked them.
    def seal_message(message: bytes, nonce: bytes, key: bytes) -> bytes:
        output = ctypes.create_string_buffer(len(message) + TAG_SIZE)
        seal_easy(output, message, len(message), nonce, key)
        return output.raw

    def open_sealed(sealed: bytes, nonce: bytes, key: bytes) -> bytes:
        output = ctypes.create_string_buffer(len(sealed) - TAG_SIZE)
        if open_easy(output, sealed, len(sealed), nonce, key):
            raise VerificationError("the box does not open with this key")
        return output.raw

    return seal_message, open_sealed


_seal, _open = libsodium_secretbox() or portable_secretbox()


def seal(key: bytes, nonce: bytes, message: bytes) -> bytes:
    """Encrypt ``message``: returns the tag (16 bytes), then the ciphertext. ``key`` is a raw X25519 shared
    secret or a symmetric key; ``nonce`` has 24 bytes."""
    return _seal(message, nonce, _box_key(key, nonce))


def open_box(key: bytes, nonce: bytes, sealed: bytes) -> bytes:
    """Decrypt the result of `seal`. Raises `VerificationError`."""
    if len(sealed) < TAG_SIZE:
        raise VerificationError("the box is shorter than its tag")
    return _open(sealed, nonce, _box_key(key, nonce))


def cb_encrypt(secret: bytes, nonce: bytes, message: bytes, padded_length: int) -> bytes:
    """Pad ``message`` and encrypt it; the result has ``padded_length + 16`` bytes. Raises `PaddingError` if the message
    is too long."""
    return seal(secret, nonce, pad(message, padded_length))


def cb_decrypt(secret: bytes, nonce: bytes, sealed: bytes) -> bytes:
    """Decrypt the result of `cb_encrypt`, and remove the padding. Raises `VerificationError` or `PaddingError`."""
    return unpad(open_box(secret, nonce, sealed))


def authenticate(secret: bytes, nonce: bytes, message: bytes) -> bytes:
    """The deniable authenticator of a message, 80 bytes: the encrypted SHA-512 of the message (smp-wire 4.4)."""
    # Only the hash of the message is encrypted. Anyone who can check an authenticator could also have made it, so it
    # proves nothing to others: this is why it is deniable. ``message`` must begin with the session id (smp-wire
    # trap 18).
    return seal(secret, nonce, hashlib.sha512(message).digest())


def verify_authenticator(secret: bytes, nonce: bytes, message: bytes, authenticator: bytes) -> None:
    """Check an authenticator made by `authenticate`. Raises `VerificationError` if ``authenticator`` was made with
    another secret, nonce or message."""
    if len(authenticator) != AUTHENTICATOR_SIZE:
        raise VerificationError("the authenticator has a wrong length")
    digest = open_box(secret, nonce, authenticator)
    if not hmac.compare_digest(digest, hashlib.sha512(message).digest()):
        raise VerificationError("the authenticator belongs to another message")


class ChainKey(Record):
    """The state of a session's block encryption in one direction: a key of 32 bytes, replaced after every block
    (smp-wire 3.6)."""

    raw: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.raw) != KEY_SIZE:
            raise KeyFormatError(f"a chain key must have {KEY_SIZE} bytes")

    def step(self) -> tuple[ChainKey, bytes, bytes]:
        """The next chain key, and the key and nonce for encrypting one block."""
        # HKDF has no salt in `step`. In `block_chains`, its salt is the session id (smp-wire trap 13).
        output = hkdf_sha512(b"", self.raw, b"SimpleXSbChain", 88)
        return ChainKey(output[:32]), output[32:64], output[64:]


def block_chains(secret: bytes, session_id: bytes) -> tuple[ChainKey, ChainKey]:
    """The two chains of a session: server to client, then client to server. ``secret`` is the raw X25519 shared
    secret of the client's and the server's session keys."""
    # The first half of HKDF's output is for blocks from the server to the client, the second half for blocks to the
    # server (smp-wire trap 12).
    output = hkdf_sha512(session_id, secret, b"SimpleXSbChainInit", 64)
    return ChainKey(output[:32]), ChainKey(output[32:])
