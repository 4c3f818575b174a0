from __future__ import annotations

import sys

import pytest

from smpchat.encoding.reader import DecodeError
from smpchat.encoding.zstd import MAX_CONTENT, compress, decompress

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


@pytest.mark.parametrize("content", [b"", b"a", b"ab" * 7000, bytes(range(256)) * 256])
def test_round_trip(content: bytes) -> None:
    assert decompress(compress(content)) == content


def without_size(content: bytes) -> bytes:
    options: dict[int, int] = {zstd.CompressionParameter.content_size_flag: 0}
    return zstd.ZstdCompressor(options=options).compress(content, zstd.ZstdCompressor.FLUSH_FRAME)


def test_a_frame_without_its_size_is_refused() -> None:
    with pytest.raises(DecodeError, match="how long"):
        decompress(without_size(b"hello"))


def test_a_bomb_is_refused_by_its_size() -> None:
    bomb = compress(bytes(1 << 26))
    assert len(bomb) < 10_000
    with pytest.raises(DecodeError, match="expands to 67108864"):
        decompress(bomb)


def test_the_largest_content_is_opened_and_one_byte_more_is_not() -> None:
    assert len(decompress(compress(bytes(MAX_CONTENT)))) == MAX_CONTENT
    with pytest.raises(DecodeError):
        decompress(compress(bytes(MAX_CONTENT + 1)))


def test_a_frame_that_lies_about_its_size_is_refused() -> None:
    frame = compress(bytes(5000))
    assert frame[4] == 0x60 and frame[5:7] == (5000 - 256).to_bytes(2, "little")  # single segment, size in 2 bytes
    with pytest.raises(DecodeError):
        decompress(frame[:5] + (100).to_bytes(2, "little") + frame[7:])


@pytest.mark.parametrize(
    "frame",
    [b"", b"hello", compress(b"hello")[:-1], compress(b"hello") + b"!", compress(b"hello") + compress(b"you")],
    ids=["empty", "no frame", "cut", "trailing byte", "second frame"],
)
def test_anything_but_one_whole_frame_is_refused(frame: bytes) -> None:
    with pytest.raises(DecodeError):
        decompress(frame)
