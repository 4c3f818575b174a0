from __future__ import annotations

import pytest

from smpchat.encoding.reader import DecodeError
from smpchat.protocol.version import SMP_CLIENT_VERSIONS, SMP_VERSIONS, VersionRange, version_range


@pytest.mark.parametrize(
    ("ours", "theirs", "agreed"),
    [((6, 18), (7, 9), 9), ((6, 8), (8, 18), 8), ((6, 8), (9, 18), None), ((9, 18), (6, 8), None), ((7, 7), (7, 7), 7)],
)
def test_highest_common_version(ours: tuple[int, int], theirs: tuple[int, int], agreed: int | None) -> None:
    assert VersionRange(*ours).agree(VersionRange(*theirs)) == agreed
    assert VersionRange(*theirs).agree(VersionRange(*ours)) == agreed


def test_contains_both_ends() -> None:
    assert [version for version in range(20) if VersionRange(6, 9).contains(version)] == [6, 7, 8, 9]


@pytest.mark.parametrize(
    ("text", "versions"), [("2-7", (2, 7)), ("5", (5, 5)), ("2-2", (2, 2)), ("0-65535", (0, 65535))]
)
def test_text(text: str, versions: tuple[int, int]) -> None:
    assert VersionRange.parse(text) == VersionRange(*versions)


def test_one_version_is_written_as_a_number() -> None:
    assert (str(VersionRange(5, 5)), str(VersionRange(1, 4))) == ("5", "1-4")


@pytest.mark.parametrize("text", ["", "-", "2-", "-7", "7-2", "2-65536", "2 - 7", "²", "٣", "1-2-3", "123456"])
def test_other_text(text: str) -> None:
    with pytest.raises(DecodeError):
        VersionRange.parse(text)


def test_bytes() -> None:
    assert version_range.encode(VersionRange(6, 18)) == bytes.fromhex("00060012")
    assert version_range.decode(bytes.fromhex("00060012")) == VersionRange(6, 18)


@pytest.mark.parametrize("data", ["", "0006", "00060012ff", "00120006"])
def test_other_bytes(data: str) -> None:
    with pytest.raises(DecodeError):
        version_range.decode(bytes.fromhex(data))


def test_our_client_starts_where_relays_prove_their_session_key() -> None:
    assert (SMP_VERSIONS, SMP_CLIENT_VERSIONS) == (VersionRange(6, 18), VersionRange(7, 18))
