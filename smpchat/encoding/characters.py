"""Handles characters of texts from outside, in time that grows only with their number."""

from __future__ import annotations

import unicodedata

MAX_MARKS_IN_A_ROW = 30
"""Combining marks that are kept in a row; no language needs more than a few (UAX 15, section 13, has the same
limit)."""
CUT = "\N{REPLACEMENT CHARACTER}"
"""Stands in place of the further marks."""


BLANK_LETTERS = "\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\u034f"
"""Letters and marks that are invisible although Unicode calls them printable."""


def is_blank(text: str) -> bool:
    """Whether nothing of a text can be seen: blanks, line ends, zero-width and other invisible characters."""
    return not any(c.isprintable() and not c.isspace() and c not in BLANK_LETTERS for c in text)


def composed(text: str) -> str:
    """``text`` in NFC; of a row of combining marks the first `MAX_MARKS_IN_A_ROW`, and `CUT` for the others."""
    if text.isascii():
        return text
    # Normalising puts the marks on one letter into order by comparing each with those before it: 32,000 of them, which
    # arrive in 94 compressed bytes, take a second.
    return unicodedata.normalize("NFC", _with_few_marks(text))


def _with_few_marks(text: str) -> str:
    kept: list[str] = []
    marks = 0
    for character in text:
        marks = marks + 1 if _is_mark(character) else 0
        if marks <= MAX_MARKS_IN_A_ROW:
            kept.append(character)
        elif marks == MAX_MARKS_IN_A_ROW + 1:
            kept.append(CUT)
    return "".join(kept)


def _is_mark(character: str) -> bool:
    # By the category too: U+0F73 counts as no combining character, and becomes two of them.
    return character > "\u02ff" and (
        unicodedata.category(character)[0] == "M" or bool(unicodedata.combining(character))
    )
