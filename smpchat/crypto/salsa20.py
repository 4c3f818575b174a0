"""The Salsa20 keystream, starting at any block; neither `cryptography` nor PyNaCl's bindings offer this.

But libsodium, which PyNaCl contains, has a function for it. We call this function directly, with memory addresses, so
that nothing is copied.

Where libsodium cannot be called, `portable_xor` computes thousands of blocks at once. A block of the keystream has
sixteen words of 32 bits, so Python computes with sixteen long integers: one contains the first words of all blocks, one
the second words of all blocks, and so on. In each long integer, every block has 64 bits: the word in the lower half,
and room for carries and rotations in the upper half.
"""

from __future__ import annotations

import ctypes
import importlib
from collections.abc import Callable
from typing import Any

from smpchat.crypto.box import libsodium
from smpchat.crypto.errors import KeyFormatError
from smpchat.encoding.reader import Buffer

BLOCK = 64
"""Size of a block in bytes: one value of the counter gives this much of the keystream."""
_KEY, _NONCE = 32, 8
_AT_ONCE = 2048
"""Number of blocks that `portable_xor` computes at once. With more, it would need more memory, but not be faster."""

XorFrom = Callable[[Buffer, memoryview, bytes, bytes, int], None]
"""A function that applies the keystream. Its arguments: the input; the output, which has the length of the input and
may be the same buffer; the key; a nonce of 8 bytes; the number of the first block. Input and output begin at the start
of that block."""


def libsodium_xor() -> XorFrom | None:
    """A function that applies the Salsa20 keystream with libsodium; None if libsodium cannot be called."""
    function = libsodium("crypto_stream_salsa20_xor_ic")
    ffi: Any = getattr(importlib.import_module("nacl._sodium"), "ffi", None) if function is not None else None
    if ffi is None:
        return None
    pointer, length = ctypes.c_void_p, ctypes.c_ulonglong
    function.argtypes = [pointer, pointer, length, ctypes.c_char_p, length, ctypes.c_char_p]
    function.restype = ctypes.c_int

    def xor(data: Buffer, output: memoryview, key: bytes, nonce: bytes, block: int) -> None:
        _check(data, output, key, nonce)
        if not len(data):
            return
        # We cannot use `from_buffer` of ctypes, which needs a writable buffer, because ``data`` may be read-only.
        # ``source`` and ``target`` must live until ``function`` returns.
        source, target = ffi.from_buffer(data), ffi.from_buffer(output, require_writable=True)
        function(_address(target), _address(source), len(data), nonce, block, key)

    def _address(buffer: Any) -> int:
        return int(ffi.cast("uintptr_t", buffer))

    return xor


def _check(data: Buffer, output: memoryview, key: bytes, nonce: bytes) -> None:
    # libsodium checks no lengths: with wrong ones, it would read or write memory beyond the buffers.
    if len(key) != _KEY or len(nonce) != _NONCE:
        raise KeyFormatError("Salsa20 takes a key of 32 bytes and a nonce of 8")
    if len(data) != len(output) or output.itemsize != 1 or not output.contiguous:
        raise ValueError("the output has to be as long as the input")


def portable_xor(data: Buffer, output: memoryview, key: bytes, nonce: bytes, block: int) -> None:
    """Applies the Salsa20 keystream in Python, for systems where libsodium cannot be called: about 10 MB a second."""
    _check(data, output, key, nonce)
    step = _AT_ONCE * BLOCK
    for start in range(0, len(data), step):
        piece = data[start : start + step]
        stream = _keystream(key, nonce, block + start // BLOCK, -(-len(piece) // BLOCK))[: len(piece)]
        mixed = int.from_bytes(piece, "little") ^ int.from_bytes(stream, "little")
        output[start : start + len(piece)] = mixed.to_bytes(len(piece), "little")


_CONSTANTS = tuple(int.from_bytes(b"expand 32-byte k"[i : i + 4], "little") for i in range(0, 16, 4))
_COLUMNS = ((0, 4, 8, 12), (5, 9, 13, 1), (10, 14, 2, 6), (15, 3, 7, 11))
_ROWS = ((0, 1, 2, 3), (5, 6, 7, 4), (10, 11, 8, 9), (15, 12, 13, 14))
_TURNS = ((1, 0, 3, 7), (2, 1, 0, 9), (3, 2, 1, 13), (0, 3, 2, 18))
"""For each step of a quarter round: the word that changes, the two words that are added, and by how many bits their sum
is rotated."""


def _keystream(key: bytes, nonce: bytes, first: int, count: int) -> bytearray:
    ones = int.from_bytes(b"\1\0\0\0\0\0\0\0" * count, "little")
    mask = ones * 0xFFFFFFFF
    words = [int.from_bytes(key[i : i + 4], "little") * ones for i in range(0, 32, 4)]
    low, high = (int.from_bytes(nonce[i : i + 4], "little") * ones for i in (0, 4))
    counters = b"".join((first + i).to_bytes(8, "little") for i in range(count))
    counter = int.from_bytes(counters, "little")
    constants = [constant * ones for constant in _CONSTANTS]
    # Salsa20's block counter has 64 bits, which are two words of the matrix.
    start = [
        constants[0], *words[:4],
        constants[1], low, high, counter & mask, (counter >> 32) & mask,
        constants[2], *words[4:],
        constants[3],
    ]  # fmt: skip
    x = list(start)
    for _ in range(10):
        for quarters in (_COLUMNS, _ROWS):
            for quarter in quarters:
                for changed, one, other, bits in _TURNS:
                    total = (x[quarter[one]] + x[quarter[other]]) & mask
                    x[quarter[changed]] ^= (total << bits | total >> (32 - bits)) & mask
    stream = bytearray(count * BLOCK)
    for place, (mixed, begun) in enumerate(zip(x, start, strict=True)):
        lanes = ((mixed + begun) & mask).to_bytes(8 * count, "little")
        for byte in range(4):
            stream[4 * place + byte :: BLOCK] = lanes[byte::8]
    return stream


xor_from: XorFrom = libsodium_xor() or portable_xor
