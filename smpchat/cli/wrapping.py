"""Wraps texts into lines of a given width for a terminal."""

from __future__ import annotations

import re
from collections.abc import Iterator

from rich.cells import get_character_cell_size

_JOINER = "\u200d"
_SELECTOR = "\ufe0f"
_MODIFIERS = range(0x1F3FB, 0x1F400)


def hanging(text: str, start: int, indent: int, columns: int) -> str:
    """Break ``text`` into lines of at most ``columns``, and indent all lines but the first. Line breaks are the only
    control characters that ``text`` may contain.

    Without this function, the terminal would continue a long text at its left edge. With the right number of blanks,
    one contact's text could then look like a message from another contact. Words that are too long for a line, such as
    links, are not broken here: the terminal breaks them, and they can be copied in one piece. Such a word contains no
    blanks, so it cannot imitate a message.

    Args:
        start: How many columns are already in use on the first line.
        indent: How many blanks each other line begins with. At most two fifths of ``columns`` are used.
    """
    indent = min(indent, columns * 2 // 5)
    first, *rest = text.split("\n")
    lines = list(_lines(first, start, indent, columns))
    lines += [line for paragraph in rest for line in _lines(paragraph, indent, indent, columns)]
    return f"\n{' ' * indent}".join(lines)


def _lines(paragraph: str, start: int, indent: int, columns: int) -> Iterator[str]:
    line, used, room, whole = "", 0, columns - start, columns - indent
    # Remove blanks at the end first. No word follows them, so the pattern would start at each of these blanks, read all
    # the blanks after it, and fail: this would take quadratic time.
    for blanks, word in re.findall("( *)([^ ]+)", paragraph.rstrip(" ")):
        gap = blanks
        for piece in _pieces(word) if _width(word) > whole else [word]:
            width = _width(piece)
            if not used and len(gap) + width > room:
                gap = ""
            if used + len(gap) + width > room and (used or width <= whole):
                yield line
                line, used, room, gap = "", 0, whole, ""
            line += gap + piece
            used += len(gap) + width
            gap = ""
    yield line


def _pieces(word: str) -> Iterator[str]:
    """The pieces into which a word may be broken. Each wide character, as in Chinese, is a piece together with its
    combining marks. Other characters are broken only where a wide character begins or ends."""
    piece, before = "", 0
    for character in word:
        width = get_character_cell_size(character)
        belongs = width == 0 or piece.endswith(_JOINER) or ord(character) in _MODIFIERS or width == before == 1
        if piece and not belongs:
            yield piece
            piece = ""
        piece += character
        before = width or before
    yield piece


def _width(text: str) -> int:
    """The number of columns that ``text`` takes on a terminal that shows the parts of combined emoji one by one. No
    terminal uses more columns for it."""
    return sum(map(_width_alone, text))


def _width_alone(character: str) -> int:
    if character == _SELECTOR:
        return 1
    return 2 if ord(character) in _MODIFIERS else get_character_cell_size(character)
