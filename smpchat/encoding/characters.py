"""Normalises Unicode text from other people in linear time, and recognises text without visible characters."""

from __future__ import annotations

import unicodedata

MAX_MARKS_IN_A_ROW = 30
"""Maximum number of combining marks in a row that are kept. No language puts more than a few marks on one letter, and
UAX 15, section 13, has the same limit."""
CUT = "\N{REPLACEMENT CHARACTER}"
"""One such character replaces the text that is left out, for example combining marks above the limit."""


BLANK_LETTERS = "\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\u034f"
"""Letters and marks that Unicode counts as printable, although they are invisible."""


def is_blank(text: str) -> bool:
    """Whether a text has only invisible characters, such as blanks, line ends and zero-width characters."""
    return not any(c.isprintable() and not c.isspace() and c not in BLANK_LETTERS for c in text)


def composed(text: str) -> str:
    """``text`` in NFC. Of combining marks in a row, only the first `MAX_MARKS_IN_A_ROW` are kept; one `CUT` replaces
    all the others."""
    if text.isascii():
        return text
    # Normalising sorts the marks on one letter in quadratic time: 32,000 marks, which fit into 94 compressed bytes,
    # take a second.
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
    # Check the category too: U+0F73 does not count as a combining character, but is normalised to two of them.
    return character > "\u02ff" and (
        unicodedata.category(character)[0] == "M" or bool(unicodedata.combining(character))
    )
