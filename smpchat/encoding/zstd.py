"""Zstandard frames from peers. A frame is refused if its header names no size, or a size above the limit. If a frame is
not refused, at most one byte more than the size in its header is decompressed.

So a bomb (a few bytes that decompress to gigabytes) cannot fill the memory. The limits are from agent-wire 6.6.

The library (``compression.zstd`` from Python 3.14, the package ``backports.zstd`` before) is imported when first used.
"""

from __future__ import annotations

import sys
from typing import Any

from smpchat.encoding.reader import DecodeError, EncodeError

MAX_DECOMPRESSED = 65_536
"""Longest content of a frame, in bytes: the limit of today's apps."""
LEVEL = 3
"""The compression level that apps use."""
_MAX_WINDOW_LOG = 21
"""The largest window that is accepted has 2 ** 21 bytes (2 MiB), the most that level 3 needs. Without this limit, a
header could ask for gigabytes of memory."""


def _library() -> Any:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return zstd


def compress(data: bytes) -> bytes:
    """Compress ``data`` into one frame, whose header names the size of ``data``. Raises `EncodeError` for more data
    than peers accept."""
    if len(data) > MAX_DECOMPRESSED:
        raise EncodeError(f"{len(data)} bytes; at most {MAX_DECOMPRESSED} are compressed")
    return bytes(_library().compress(data, LEVEL))


def decompress(frame: bytes, limit: int = MAX_DECOMPRESSED) -> bytes:
    """Decompress ``frame``, which must be exactly one frame.

    Raises:
        DecodeError: The bytes are not exactly one frame, the frame is damaged, its header does not say the content's
            size, or the content has more than ``limit`` bytes.
    """
    zstd = _library()
    try:
        # Refuse a frame whose header names no size: to find out that its content is too large, we would have to
        # decompress 64 KiB, although the sender sent only a few bytes. Apps refuse frames without a size too
        # (agent-wire 6.6).
        size = zstd.get_frame_info(frame).decompressed_size
        if size is None:
            raise DecodeError("the compressed data does not say how long it is when decompressed")
        if size > limit:
            raise DecodeError(f"the compressed data contains {size} bytes, and the limit is {limit}")
        options = {zstd.DecompressionParameter.window_log_max: _MAX_WINDOW_LOG}
        decompressor = zstd.ZstdDecompressor(options=options)
        # Ask for one byte more than the size in the header: if we get this byte, the size is wrong, and we need not
        # decompress the rest.
        content = bytes(decompressor.decompress(frame, max_length=size + 1))
    except zstd.ZstdError:
        raise DecodeError("damaged compressed data") from None
    if len(content) != size or not decompressor.eof or decompressor.unused_data:
        raise DecodeError("damaged compressed data")
    return content
