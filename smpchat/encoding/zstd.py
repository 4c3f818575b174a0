"""Zstandard frames as SimpleX apps make them: one frame, its content size written in it, at most 65,536 bytes."""

from __future__ import annotations

import sys

from smpchat.encoding.reader import DecodeError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MAX_CONTENT = 65_536
"""Longest content of a frame that is opened, in bytes (agent-wire 6.6)."""
LEVEL = 3
"""The apps' own."""


def compress(data: bytes) -> bytes:
    """A frame that holds ``data``, with its size."""
    return zstd.compress(data, LEVEL)


def decompress(frame: bytes) -> bytes:
    """The content of one frame.

    The size that the frame announces is looked at first, and no more than that is ever expanded.

    Raises:
        DecodeError: No frame, a frame without its content size, one over `MAX_CONTENT`, or bytes after the frame.
    """
    try:
        size = zstd.get_frame_info(frame).decompressed_size
        if size is None:
            raise DecodeError("compressed data does not say how long it is")
        if size > MAX_CONTENT:
            raise DecodeError(f"compressed data expands to {size} bytes; at most {MAX_CONTENT} are opened")
        decompressor = zstd.ZstdDecompressor()
        content = decompressor.decompress(frame, max_length=size + 1)
    except zstd.ZstdError as error:
        raise DecodeError("compressed data is no zstd frame") from error
    if not decompressor.eof or len(content) != size or decompressor.unused_data:
        raise DecodeError("compressed data is not one whole zstd frame")
    return content
