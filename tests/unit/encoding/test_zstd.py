from __future__ import annotations

import sys

import pytest

from smpchat.encoding.reader import DecodeError, EncodeError
from smpchat.encoding.zstd import MAX_DECOMPRESSED, compress, decompress

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


@pytest.mark.parametrize("data", [b"", b"a", b'{"profile":{}}' * 1000, bytes(MAX_DECOMPRESSED)])
def test_round_trip(data: bytes) -> None:
    assert decompress(compress(data)) == data


def test_more_than_peers_take_is_not_compressed() -> None:
    with pytest.raises(EncodeError):
        compress(bytes(MAX_DECOMPRESSED + 1))


def test_bomb_is_refused_by_its_header() -> None:
    bomb = zstd.compress(bytes(50_000_000))
    assert len(bomb) < 5_000
    with pytest.raises(DecodeError, match="the limit is"):
        decompress(bomb)


def test_frame_that_does_not_tell_its_size_is_refused() -> None:
    compressor = zstd.ZstdCompressor()
    frame = compressor.compress(b"hello") + compressor.flush()
    with pytest.raises(DecodeError, match="how long it is"):
        decompress(frame)


def test_frame_with_more_content_than_its_header_tells_is_refused() -> None:
    frame = bytearray(zstd.compress(bytes(300)))
    small = zstd.compress(bytes(260))
    assert frame[:5] == small[:5]  # magic number and descriptor: a two-byte size follows
    frame[5:7] = small[5:7]
    with pytest.raises(DecodeError):
        decompress(bytes(frame))


def test_window_of_gigabytes_is_not_allocated() -> None:
    # descriptor: content size in 4 bytes, no single segment; a window of 2^31 bytes; size 5; one raw block
    frame = bytes.fromhex("28b52ffd80a805000000290000") + b"hello"
    assert decompress(frame) == b"hello"  # needs no window, because it is whole
    with pytest.raises(DecodeError):
        decompress(frame[:-1])


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"hello",
        compress(b"hello") + b"x",
        compress(b"hello") * 2,
        compress(b"hello" * 9)[:-1],
        b"\x28\xb5\x2f\xfd",
    ],
)
def test_what_is_not_exactly_one_frame_is_refused(frame: bytes) -> None:
    with pytest.raises(DecodeError):
        decompress(frame)


def test_lower_limit() -> None:
    frame = compress(bytes(100))
    assert decompress(frame, 100) == bytes(100)
    with pytest.raises(DecodeError):
        decompress(frame, 99)
