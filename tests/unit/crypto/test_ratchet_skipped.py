"""Keys set aside, and their changes."""

from __future__ import annotations

import pytest

from smpchat.crypto.ratchet_skipped import (
    MAX_STORED_SKIPPED,
    SkippedDiff,
    SkippedId,
    SkippedKey,
    SkippedKeys,
    set_aside,
)


def keys(*numbers: int, header_key: bytes = b"h" * 32) -> dict[SkippedId, SkippedKey]:
    return {SkippedId(header_key, n): SkippedKey(n.to_bytes(32, "big"), bytes(16)) for n in numbers}


def test_mapping_takes_plain_tuples() -> None:
    skipped = SkippedKeys(keys(1, 2))
    message_key, iv = skipped[SkippedId(b"h" * 32, 1)]
    assert (b"h" * 32, 2) in skipped
    assert (message_key, iv) == (b"\0" * 31 + b"\1", bytes(16))
    assert len(skipped) == 2
    assert [key.number for key in skipped] == [1, 2]
    with pytest.raises(KeyError):
        skipped[SkippedId(b"h" * 32, 3)]


def test_it_is_frozen_and_copies_what_it_is_made_of() -> None:
    source = keys(1)
    skipped = SkippedKeys(source)
    source.clear()
    assert len(skipped) == 1
    assert not hasattr(skipped, "__setitem__")
    assert not hasattr(skipped, "__dict__")


def test_header_keys_come_once() -> None:
    skipped = SkippedKeys({**keys(1, 2), **keys(1, header_key=b"i" * 32), **keys(3)})
    assert list(skipped.header_keys()) == [b"h" * 32, b"i" * 32]


def test_diff_removes_and_adds() -> None:
    skipped = SkippedKeys(keys(1, 2))
    diff = SkippedDiff(added=keys(7), removed=tuple(keys(1)))
    assert dict(diff.apply(skipped)) == keys(2, 7)
    assert dict(skipped) == keys(1, 2)
    assert SkippedDiff().apply(skipped) is skipped


def test_oldest_keys_go_when_there_are_too_many() -> None:
    skipped = SkippedKeys(keys(*range(MAX_STORED_SKIPPED)))
    assert set_aside(skipped, {}).removed == ()
    diff = set_aside(skipped, keys(90001, 90002))
    assert [key.number for key in diff.removed] == [0, 1]
    after = diff.apply(skipped)
    assert len(after) == MAX_STORED_SKIPPED
    assert [key.number for key in after][-2:] == [90001, 90002]


def test_nothing_secret_is_shown() -> None:
    added = keys(5)
    shown = repr(SkippedKeys(added)) + repr(added) + repr(SkippedDiff(added, tuple(added)))
    assert "hhh" not in shown
    assert "x05" not in shown
    assert "number=5" in shown
