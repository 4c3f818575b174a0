from __future__ import annotations

import pytest

from smpchat.encoding.carried import unwrapped, visible

MARKS = {
    "zero width space": "\u200b",
    "zero width joiner": "\u200d",
    "left-to-right mark": "\u200e",
    "bidi embedding": "\u202a",
    "bidi isolate": "\u2066",
    "word joiner": "\u2060",
    "byte order mark": "\ufeff",
    "soft hyphen": "\u00ad",
    "variation selector": "\ufe0f",
    "combining grapheme joiner": "\u034f",
    "Hangul filler": "\u3164",
    "NUL": "\0",
    "colour": "\x1b[1;31m",
    "end of a paste": "\x1b[201~",
    "link of a terminal": "\x1b]8;;https://example.org\x1b\\",
}


@pytest.mark.parametrize("mark", MARKS.values(), ids=MARKS.keys())
def test_what_nobody_sees_goes(mark: str) -> None:
    assert visible(f"{mark}a{mark}b{mark}") == "ab"


@pytest.mark.parametrize("text", ["", "a b\tc\r\nd", "é 猫 \U0001f431", "e\u0301", "\u00a0", "\ud800"])
def test_what_is_seen_or_is_a_blank_stays(text: str) -> None:
    assert visible(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "x",
        " x\n",
        "<x>",
        "(x).",
        "[x]",
        "{x}",
        '"x"',
        "'x'!",
        "`x`",
        "**x**",
        "_x_,",
        "«x»",
        "“x”",
        "„x“;",
        "\u2018x\u2019?",
        "x…",
    ],
)
def test_wrapping(text: str) -> None:
    assert unwrapped(text) == "x"


@pytest.mark.parametrize("text", ["a@[::1]", "<a@[::1]>", "[a@[::1]].", "a@[::1]."])
def test_a_bracket_that_belongs_to_the_text_stays(text: str) -> None:
    assert unwrapped(text) == "a@[::1]"
