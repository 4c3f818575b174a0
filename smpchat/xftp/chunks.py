"""How an encrypted file is cut into chunks, and how large it can be (xftp-wire 3.1)."""

from __future__ import annotations

import hashlib
from typing import BinaryIO

from smpchat.protocol.xftp.commands import CHUNK_SIZES

KIB, MIB = 1024, 1024 * 1024
MAX_FILE = 1024 * MIB
"""Largest file in bytes. SimpleX apps of 2026 refuse larger files unless the sender has paid (xftp-wire 3.1)."""
LENGTH_SIZE, TAG_SIZE = 8, 16
MAX_NAME = 255
"""Longest file name inside an encrypted file, in bytes of UTF-8: the field for its length has only one byte."""
MAX_HEADER = 1 + MAX_NAME + 1
"""Longest header of an encrypted file: the length of the name, the name, and a byte that says that nothing follows."""
MAX_ENCRYPTED = MAX_FILE + MIB
"""Length of the largest encrypted file, in bytes: one chunk more than the largest file itself would fill, because a
header and the tag of the encryption are added."""

_PIECE = 256 * 1024
"""How many bytes of a file are hashed at once."""

_LAYOUTS = (
    # Each row has three numbers of bytes. A file that is longer than the first number is cut into small and big chunks,
    # whose sizes are the second and the third number. The first row that fits the file is used.
    (3 * MIB, MIB, 4 * MIB),
    (768 * KIB, 256 * KIB, MIB),
    (0, 64 * KIB, 256 * KIB),
)


def chunk_sizes(size: int) -> tuple[int, ...]:
    """Sizes of the chunks that hold ``size`` bytes, in order; their sum is the length of the encrypted file."""
    _, small, big = next(layout for layout in _LAYOUTS if size > layout[0] or not layout[0])
    full, rest = divmod(size, big)
    # Use one big chunk instead of several small ones: this needs fewer requests, and at most a quarter of the chunk is
    # padding.
    if rest > big * 3 // 4:
        return (big,) * (full + 1)
    return (big,) * full + (small,) * -(-rest // small)


def one_chunk(size: int) -> int | None:
    """The size of the smallest chunk that can hold ``size`` bytes; None if even the largest chunk is too small."""
    return next((chunk for chunk in CHUNK_SIZES if size <= chunk), None)


def encrypted_sizes(header: int, size: int) -> tuple[int, ...]:
    """Sizes of the chunks of an encrypted file that has ``size`` bytes of content and ``header`` bytes of header."""
    return chunk_sizes(LENGTH_SIZE + header + size + TAG_SIZE)


def digest_of(file: BinaryIO, begin: int, size: int) -> bytes:
    """SHA-256 of the ``size`` bytes of a file that begin at position ``begin``. If the file ends earlier, the result is
    the SHA-256 of all bytes from ``begin`` to the end of the file. Blocks the calling thread. Raises `OSError`."""
    found = hashlib.sha256()
    file.seek(begin)
    while size > 0 and (piece := file.read(min(_PIECE, size))):
        found.update(piece)
        size -= len(piece)
    return found.digest()
