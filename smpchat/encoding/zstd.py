"""Zstandard frames from peers: decompressed only as far as their header promises, and never beyond a limit.

The library (``compression.zstd`` from Python 3.14, the package ``backports.zstd`` before) is imported when first used.
Source of the limits: agent-wire 6.6; a bomb of a few bytes must not cost memory.
"""

from __future__ import annotations

import sys
from typing import Any

from smpchat.encoding.reader import DecodeError, EncodeError

MAX_DECOMPRESSED = 65_536
"""Longest content of a frame, in bytes: the limit of today's apps."""
LEVEL = 3
"""What apps compress with."""
_MAX_WINDOW_LOG = 21
"""Windows of up to 2 MiB are accepted, the largest that level 3 makes: a header could ask for gigabytes."""


def _library() -> Any:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return zstd


def compress(data: bytes) -> bytes:
    """One frame, which contains the size of its content. Raises `EncodeError` for more than peers accept."""
    if len(data) > MAX_DECOMPRESSED:
        raise EncodeError(f"{len(data)} bytes; at most {MAX_DECOMPRESSED} are compressed")
    return bytes(_library().compress(data, LEVEL))


def decompress(frame: bytes, limit: int = MAX_DECOMPRESSED) -> bytes:
    """The content of exactly one frame.

    Raises:
        DecodeError: Not a frame, a damaged frame, bytes after it, a header without the content's size, or content of
            more than ``limit`` bytes.
    """
    zstd = _library()
    try:
        # A frame without a size could only be tried: it would be unpacked to the limit before it is refused, at a few
        # bytes of the sender's for 64 KiB of ours. Apps refuse it as well (agent-wire 6.6).
        size = zstd.get_frame_info(frame).decompressed_size
        if size is None:
            raise DecodeError("the compressed data does not tell its size")
        if size > limit:
            raise DecodeError(f"the compressed data holds {size} bytes; at most {limit} are taken")
        options = {zstd.DecompressionParameter.window_log_max: _MAX_WINDOW_LOG}
        decompressor = zstd.ZstdDecompressor(options=options)
        # One byte over what the header promises, so that a frame that holds more shows itself, without being unpacked.
        content = bytes(decompressor.decompress(frame, max_length=size + 1))
    except zstd.ZstdError:
        raise DecodeError("damaged compressed data") from None
    if len(content) != size or not decompressor.eof or decompressor.unused_data:
        raise DecodeError("damaged compressed data")
    return content
