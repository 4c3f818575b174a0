from __future__ import annotations

import pytest

from smpchat.encoding.reader import DecodeError, EncodeError
from smpchat.protocol.block import (
    BLOCK_SIZE,
    ENCRYPTED_CONTENT,
    PLAIN_CONTENT,
    decode_batch,
    encode_batches,
    pad_block,
    unpad_block,
)
from smpchat.protocol.errors import BlockError


def test_padding() -> None:
    block = pad_block(b"hello")
    assert block == b"\x00\x05hello" + b"#" * (BLOCK_SIZE - 7)
    assert unpad_block(block) == b"hello"
    assert unpad_block(block[:7] + bytes(BLOCK_SIZE - 7)) == b"hello"  # what fills a block is not looked at


def test_longest_content() -> None:
    assert unpad_block(pad_block(bytes(PLAIN_CONTENT))) == bytes(PLAIN_CONTENT)
    with pytest.raises(EncodeError):
        pad_block(bytes(PLAIN_CONTENT + 1))


@pytest.mark.parametrize(
    "block",
    [b"", bytes(BLOCK_SIZE - 1), bytes(BLOCK_SIZE + 1), (PLAIN_CONTENT + 1).to_bytes(2, "big") + bytes(PLAIN_CONTENT)],
)
def test_other_blocks(block: bytes) -> None:
    with pytest.raises(BlockError):
        unpad_block(block)


def test_batch_form() -> None:
    assert encode_batches([b"ab", b"c"]) == [b"\x02\x00\x02ab\x00\x01c"]
    assert decode_batch(b"\x02\x00\x02ab\x00\x01c") == (b"ab", b"c")
    assert encode_batches([]) == []


@pytest.mark.parametrize("content", [b"", b"\x00", b"\x01", b"\x01\x00\x02a", b"\x01\x00\x01ab", b"\x02\x00\x01a"])
def test_other_content(content: bytes) -> None:
    with pytest.raises(DecodeError):
        decode_batch(content)


@pytest.mark.parametrize(("size", "fit"), [(119, 135), (151, 106), (62, 255)])
def test_how_many_fit_a_block(size: int, fit: int) -> None:
    """Numbers of upstream's tests: signed SUBs at v16 and v6; ENDs, of which no more than a count byte holds."""
    contents = encode_batches([bytes(size)] * (fit + 1))
    assert [len(decode_batch(content)) for content in contents] == [fit, 1]


@pytest.mark.parametrize(("encrypted", "largest"), [(True, 16363), (False, 16379)])
def test_longest_transmission(encrypted: bool, largest: int) -> None:
    (content,) = encode_batches([bytes(largest)], encrypted=encrypted)
    assert len(content) == (ENCRYPTED_CONTENT if encrypted else PLAIN_CONTENT)
    with pytest.raises(EncodeError):
        encode_batches([bytes(largest + 1)], encrypted=encrypted)


def test_long_transmissions_get_blocks_of_their_own() -> None:
    sizes = [16363, 1, 16363, 16000, 361, 360]
    contents = encode_batches([bytes(size) for size in sizes])
    assert [[len(item) for item in decode_batch(content)] for content in contents] == [
        [16363],
        [1],
        [16363],
        [16000, 361],
        [360],
    ]
