"""Marks in texts, as SimpleX apps read them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smpchat.chat.wire.markup import Part, Style, parts_of

PLAIN = Style.PLAIN


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("*bold* word", [("bold", Style.BOLD), (" word", PLAIN)]),
        ("a _b c_ d", [("a ", PLAIN), ("b c", Style.ITALIC), (" d", PLAIN)]),
        ("~gone~", [("gone", Style.STRIKE)]),
        ("`x = 1`", [("x = 1", Style.CODE)]),
        ("#hush#", [("hush", Style.SECRET)]),
        ("!1 stop!", [("stop", Style.RED)]),
        ("!green go!", [("go", Style.GREEN)]),
        ("!g go! now", [("go", Style.GREEN), (" now", PLAIN)]),
        ("see https://example.org/a_b_c.", [("see ", PLAIN), ("https://example.org/a_b_c", Style.LINK), (".", PLAIN)]),
        ("(simplex:/i#abc)", [("(", PLAIN), ("simplex:/i#abc", Style.LINK), (")", PLAIN)]),
        ("line *one*\n*two*", [("line ", PLAIN), ("one", Style.BOLD), ("\n", PLAIN), ("two", Style.BOLD)]),
    ],
)
def test_marks(text: str, expected: list[tuple[str, Style]]) -> None:
    assert parts_of(text) == [Part(words, style) for words, style in expected]


@pytest.mark.parametrize(
    "text",
    [
        *("2 * 3 * 4", "* a list", "snake_case_name", "*open", "**", "* *", "*a *", "a*b*c"),
        *("!wow!", "!9 x!", "!1!", "http://", "#tag", "", " ", "no marks"),
    ],
)
def test_what_is_only_text(text: str) -> None:
    assert "".join(part.text for part in parts_of(text)) == text
    assert all(part.style is PLAIN for part in parts_of(text))


@given(st.text(alphabet="*_~`#! ab1\n/:.htps", max_size=200))
def test_nothing_is_lost_but_marks(text: str) -> None:
    parts = parts_of(text)
    assert all(part.text for part in parts)
    letters = "".join(part.text for part in parts)
    rest = iter(text)
    assert all(letter in rest for letter in letters), "in order, and nothing that was not there"
    if all(part.style is PLAIN for part in parts):
        assert letters == text
