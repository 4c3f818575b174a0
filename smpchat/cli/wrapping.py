"""Wraps texts into lines of a given width for a terminal."""

from __future__ import annotations

import re
from collections.abc import Iterator

from rich.cells import get_character_cell_size

_JOINER = "\u200d"
_SELECTOR = "\ufe0f"
_MODIFIERS = range(0x1F3FB, 0x1F400)


def hanging(text: str, start: int, indent: int, columns: int) -> str:
    """``text``, which must be harmless already, in lines of at most ``columns``; all lines but the first are indented.

    Otherwise the terminal would continue a long text at its left edge. There, with the right number of blanks, a text
    of one contact could look like a message of another. Words that are too long for a line, such as links, are still
    left to the terminal, so that they can be copied in one piece. They contain no blanks, so they cannot imitate a
    message.

    Args:
        start: Columns that are taken in front of the first line.
        indent: Columns in front of the other lines; at most two fifths of the terminal.
    """
    indent = min(indent, columns * 2 // 5)
    first, *rest = text.split("\n")
    lines = list(_lines(first, start, indent, columns))
    lines += [line for paragraph in rest for line in _lines(paragraph, indent, indent, columns)]
    return f"\n{' ' * indent}".join(lines)


def _lines(paragraph: str, start: int, indent: int, columns: int) -> Iterator[str]:
    line, used, room, whole = "", 0, columns - start, columns - indent
    # Blanks at the end are removed first: no word follows them, so the pattern would fail at each blank, after reading
    # all the blanks behind it.
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
    """The pieces into which a word may be broken: wide characters, as in Chinese, each with its marks; and runs of
    other characters."""
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
    """Columns of a text on a terminal that cannot combine emoji. On other terminals the text is not wider than this."""
    return sum(map(_width_alone, text))


def _width_alone(character: str) -> int:
    if character == _SELECTOR:
        return 1
    return 2 if ord(character) in _MODIFIERS else get_character_cell_size(character)
