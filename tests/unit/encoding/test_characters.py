"""Composing: as Unicode does it for what people write, and with an end for what nobody writes."""

from __future__ import annotations

import unicodedata

import pytest

from smpchat.encoding.characters import CUT, MAX_MARKS_IN_A_ROW, composed


@pytest.mark.parametrize(
    "text", ["", "abc", "Zoe\u0308", "a\u0323\u0301", "\u1100\u1161\u11a8", "\u0928\u092e\u0938\u094d\u0924\u0947"]
)
def test_what_people_write_is_in_nfc(text: str) -> None:
    assert composed(text) == unicodedata.normalize("NFC", text)


# U+0F73 counts as no combining character, and becomes two of them.
@pytest.mark.parametrize("mark", ["\u0301", "\u0345", "\u0f73", "\u20dd", "\u0903", "\U0001d165"])
def test_a_row_of_marks_has_an_end(mark: str) -> None:
    kept = composed("x" + mark * MAX_MARKS_IN_A_ROW)
    assert CUT not in kept
    assert composed("x" + mark * 20_000 + "y") == kept + CUT + "y"


def test_each_letter_has_its_own_row() -> None:
    assert composed(("x" + "\u0311" * MAX_MARKS_IN_A_ROW) * 3).count("\u0311") == 3 * MAX_MARKS_IN_A_ROW
