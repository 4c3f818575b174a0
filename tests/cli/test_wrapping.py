"""Texts in lines for a terminal: none is too wide, and none begins at the left edge but the first."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from smpchat.cli.text import printable
from smpchat.cli.wrapping import hanging

LINK = "https://example.org/" + "x" * 90


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("short", ["short"]),
        ("one two three four five, six seven", ["one two three four five,", "    six seven"]),
        ("one two three four sevens, eight", ["one two three four", "    sevens, eight"]),
        ("    code  stays\nas it is", ["    code  stays", "    as it is"]),
        ("a word-that-fits-the-next-line", ["a", "    word-that-fits-the-next-line"]),
        ("a-word-of-twenty-six-column", ["", "    a-word-of-twenty-six-column"]),
        (f"see {LINK} there", ["see", f"    {LINK}", "    there"]),
        (LINK, [LINK]),
        ("one\n\ntwo", ["one", "    ", "    two"]),
        ("文字" * 14, ["文字" * 6, "    " + "文字" * 7 + "文", "    字"]),
        ("👨‍👩‍👧👍🏽" * 6, ["👨‍👩‍👧👍🏽" * 2, "    " + "👨‍👩‍👧👍🏽" * 3, "    👨‍👩‍👧👍🏽"]),
        ("end" + " " * 40 + "13  15:05  bob: pay", ["end", "    13  15:05  bob: pay"]),
        (" " * 40 + "13  15:05  bob: pay", ["13  15:05  bob: pay"]),
    ],
)
def test_lines(text: str, lines: list[str]) -> None:
    assert hanging(text, 10, 4, 34).split("\n") == lines


def test_a_narrow_terminal_is_not_all_margin() -> None:
    assert hanging("one two three", 18, 13, 20).split("\n") == ["", "        one two", "        three"]


@given(st.text(alphabet=st.sampled_from(" ab文👍\u200d\ufe0fe\u0301\n"), max_size=200), st.integers(20, 60))
def test_no_line_is_too_wide_and_nothing_is_lost(text: str, columns: int) -> None:
    text = printable(text, lines=True)
    shown = hanging(text, 10, 4, columns)
    assert re.sub(r"\s", "", shown) == re.sub(r"\s", "", text)
    for number, line in enumerate(shown.split("\n")):
        assert line.startswith("    ") or number == 0
        begins_at = 0 if number else 10
        assert begins_at + cell_len(line) <= columns or " " not in line.strip()
