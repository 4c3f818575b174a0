"""How files are cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smpchat.protocol.xftp.commands import CHUNK_SIZES
from smpchat.xftp.chunks import KIB, MAX_ENCRYPTED, MAX_FILE, MAX_HEADER, MIB, chunk_sizes, encrypted_sizes, one_chunk


@pytest.mark.parametrize(
    ("size", "sizes"),
    [
        (1, [64 * KIB]),
        (65_536, [64 * KIB]),
        (65_537, [64 * KIB] * 2),
        (196_608, [64 * KIB] * 3),
        (196_609, [256 * KIB]),
        (262_145, [256 * KIB, 64 * KIB]),
        (786_432, [256 * KIB] * 3),
        (786_433, [MIB]),
        (1_048_577, [MIB, 256 * KIB]),
        (3_145_728, [MIB] * 3),
        (3_145_729, [4 * MIB]),
        (10_000_000, [4 * MIB] * 2 + [MIB] * 2),
    ],
)
def test_the_reference_cuts_so(size: int, sizes: list[int]) -> None:
    assert list(chunk_sizes(size)) == sizes


@given(st.integers(1, MAX_ENCRYPTED))
def test_chunks_hold_what_they_are_for_and_little_more(size: int) -> None:
    sizes = chunk_sizes(size)
    assert set(sizes) <= set(CHUNK_SIZES)
    assert size <= sum(sizes) < size + MIB or len(sizes) == 1 or sum(sizes) - size <= sizes[0] // 4


def test_the_largest_file_fits_what_is_taken() -> None:
    assert sum(encrypted_sizes(MAX_HEADER, MAX_FILE)) == MAX_ENCRYPTED
    assert len(encrypted_sizes(MAX_HEADER, MAX_FILE)) == 257


def test_one_chunk_is_the_smallest_that_fits() -> None:
    assert [one_chunk(size) for size in (1, 65_536, 65_537, 4 * MIB, 4 * MIB + 1)] == [
        65_536,
        65_536,
        262_144,
        4 * MIB,
        None,
    ]
