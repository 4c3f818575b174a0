"""Blocks of 16,384 bytes: padding, and batches of transmissions (smp-wire 2.6 and 4.1)."""

from __future__ import annotations

from collections.abc import Sequence

from smpchat.crypto.errors import PaddingError
from smpchat.crypto.padding import pad, unpad
from smpchat.encoding.codec import large_bytes, non_empty
from smpchat.encoding.reader import DecodeError, EncodeError
from smpchat.protocol.errors import BlockError

BLOCK_SIZE = 16384
"""Size of every block on the wire, in bytes."""
PLAIN_CONTENT = BLOCK_SIZE - 2
ENCRYPTED_CONTENT = BLOCK_SIZE - 16 - 2
BATCH_CONTENT = 16366
"""Longest content of a plain or encrypted block with several transmissions: 1 byte for their number, and 16,365 bytes
for the transmissions."""
MAX_BATCH = 255

_batch = non_empty(large_bytes)


def pad_block(content: bytes) -> bytes:
    """Make a plain (not encrypted) block: pad ``content``. Raises `EncodeError` for more than 16,382 bytes."""
    if len(content) > PLAIN_CONTENT:
        raise EncodeError(f"{len(content)} bytes do not fit a block")
    return pad(content, BLOCK_SIZE)


def unpad_block(block: bytes) -> bytes:
    """Remove the padding of a plain block; returns the content. Raises `BlockError`."""
    if len(block) != BLOCK_SIZE:
        raise BlockError("a block has a wrong size")
    try:
        return unpad(block)
    except PaddingError:
        raise BlockError("a block has a wrong length field") from None


def largest_transmission(*, encrypted: bool) -> int:
    """Length in bytes of the longest transmission that fits into a block of its own."""
    return (ENCRYPTED_CONTENT if encrypted else PLAIN_CONTENT) - 3


def encode_batches(transmissions: Sequence[bytes], *, encrypted: bool = True) -> list[bytes]:
    """Put transmissions into as few blocks as possible, in order. Returns the contents of the blocks.

    Raises:
        EncodeError: One transmission is too long for a block.
    """
    largest = largest_transmission(encrypted=encrypted)
    contents: list[bytes] = []
    batch: list[bytes] = []
    size = 1
    for transmission in transmissions:
        if len(transmission) > largest:
            raise EncodeError(f"a transmission of {len(transmission)} bytes does not fit a block")
        added = len(transmission) + 2
        # A plain block has more space than an encrypted block, but only a transmission that is alone in its block may
        # use the extra space. The reference has the same rule (smp-wire 4.1).
        if batch and (size + added > BATCH_CONTENT or len(batch) == MAX_BATCH):
            contents.append(_batch.encode(tuple(batch)))
            batch, size = [], 1
        batch.append(transmission)
        size += added
    if batch:
        contents.append(_batch.encode(tuple(batch)))
    return contents


def decode_batch(content: bytes) -> tuple[bytes, ...]:
    """Split a block's content into its transmissions; there are 1 to 255. Raises `DecodeError`."""
    # For speed, this function and `decode_transmission` do not use the codecs. Every count and length is checked
    # against the bytes that exist.
    size = len(content)
    if not size or not content[0]:
        raise DecodeError("block: at least one transmission expected", 0)
    transmissions: list[bytes] = []
    offset = 1
    for _ in range(content[0]):
        begin = offset + 2
        offset = begin + int.from_bytes(content[offset:begin], "big")
        if begin > size or offset > size:
            raise DecodeError("block: a transmission is cut off", begin)
        transmissions.append(content[begin:offset])
    # The reference answers ERR BLOCK if bytes follow the last transmission (smp-wire 4.1 and 5.3).
    if offset != size:
        raise DecodeError(f"block: {size - offset} unexpected bytes at the end", offset)
    return tuple(transmissions)
