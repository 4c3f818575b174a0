"""Lengths of time as people write and read them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smpchat.chat.errors import InputError
from smpchat.chat.wire.durations import duration_text, parse_duration
from smpchat.chat.wire.preferences import MAX_TTL


@pytest.mark.parametrize(
    ("written", "seconds", "read"),
    [
        ("1s", 1, "1 second"), ("30s", 30, "30 seconds"), ("5m", 300, "5 minutes"), ("90s", 90, "1 minute 30 seconds"),
        ("1h", 3_600, "1 hour"), ("1d", 86_400, "1 day"), ("8d", 691_200, "8 days"), (" 2W ", 1_209_600, "2 weeks"),
        ("25h", 90_000, "1 day 1 hour"), ("90061s", 90_061, "1 day 1 hour"),
    ],
)  # fmt: skip
def test_what_is_written_is_read(written: str, seconds: int, read: str) -> None:
    assert parse_duration(written) == seconds
    assert duration_text(seconds) == read


@pytest.mark.parametrize("text", ["", "0s", "1", "d", "-1d", "1.5h", "1y", "1d 2h", "9999999999d", "\u0661d"])
def test_what_is_no_length_of_time(text: str) -> None:
    with pytest.raises(InputError, match="is not a time span"):
        parse_duration(text)


@given(st.integers(0, MAX_TTL))
def test_any_time_can_be_said(seconds: int) -> None:
    assert duration_text(seconds)[0].isdigit()
