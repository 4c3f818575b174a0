"""Reads bold, italic and other styles in texts in the same way as SimpleX apps.

The styles are ``*bold*``, ``_italic_``, ``~strike~``, code between backticks, ``#secret#``, ``!1 red!`` and links, as
in the parser and the help of the reference app. A mark counts only at the beginning of a word, and the text between two
marks must not begin or end with a blank; anything else is plain text. Styles cannot be nested.
"""

from __future__ import annotations

from enum import StrEnum

from smpchat.encoding.patterns import late
from smpchat.encoding.record import Record, field


class Style(StrEnum):
    """How a part of a text is shown."""

    PLAIN = "plain"
    BOLD = "bold"
    ITALIC = "italic"
    STRIKE = "strike"
    CODE = "code"
    SECRET = "secret"
    RED = "red"
    GREEN = "green"
    BLUE = "blue"
    YELLOW = "yellow"
    CYAN = "cyan"
    MAGENTA = "magenta"
    LINK = "link"


class Part(Record):
    """A piece of a text with one style. The marks around the piece, such as ``*``, are left out."""

    text: str = field(repr=False)
    style: Style


_MARKS = {"*": Style.BOLD, "_": Style.ITALIC, "~": Style.STRIKE, "`": Style.CODE, "#": Style.SECRET}
_COLOURS = (Style.RED, Style.GREEN, Style.BLUE, Style.YELLOW, Style.CYAN, Style.MAGENTA)
_COLOUR_NAMES = {name: style for style in _COLOURS for name in (style.value, style.value[0])} | dict(
    zip("123456", _COLOURS, strict=True)
)
_LINK = late(r"(?:https?://|simplex:/)[^\s\"'<>]{3,}")
_LINK_END = ".,;:!?)]}"
"""Characters that, at the end of a link, belong to the sentence around it."""
_LONGEST_COLOUR = 8


def parts_of(text: str) -> list[Part]:
    """Splits a text into pieces, each with its style; a text without marks is one piece. The time needed is
    proportional to the length of the text."""
    parts: list[Part] = []
    for number, line in enumerate(text.split("\n")):
        if number:
            parts.append(Part("\n", Style.PLAIN))
        _read_line(line, parts)
    return _joined(parts)


def _read_line(line: str, parts: list[Part]) -> None:
    # For each kind of mark, the place of the last such mark in the line. A mark at this place opens nothing, because no
    # later mark can close it.
    last = {mark: line.rfind(mark) for mark in (*_MARKS, "!")}
    place = 0
    while place < len(line):
        end = place
        while end < len(line) and line[end] == " ":
            end += 1
        if end > place:
            parts.append(Part(line[place:end], Style.PLAIN))
        place = _read_word(line, end, last, parts) if end < len(line) else end


def _read_word(line: str, place: int, last: dict[str, int], parts: list[Part]) -> int:
    """Reads the piece of the line that begins at ``place``. No blank is at this place. Returns the place where the next
    piece begins."""
    mark = line[place]
    begin, style = place + 1, _MARKS.get(mark)
    if mark == "!":
        style, begin = _colour(line, place)
    if style is not None and last[mark] >= begin:
        close = line.index(mark, begin)
        words = line[begin:close]
        if words and not words.startswith(" ") and not words.endswith(" "):
            parts.append(Part(words, style))
            return close + 1
    end = line.find(" ", place)
    end = len(line) if end < 0 else end
    _read_links(line[place:end], parts)
    return end


def _colour(line: str, place: int) -> tuple[Style | None, int]:
    """The colour after ``!``, as in ``!1 `` or ``!red ``, and the place where the coloured words begin."""
    blank = line.find(" ", place, place + _LONGEST_COLOUR + 1)
    style = _COLOUR_NAMES.get(line[place + 1 : blank]) if blank > 0 else None
    return style, blank + 1


def _read_links(word: str, parts: list[Part]) -> None:
    found = _LINK().search(word)
    if found is None:
        parts.append(Part(word, Style.PLAIN))
        return
    link = found[0].rstrip(_LINK_END)
    begin = found.start()
    parts += [Part(word[:begin], Style.PLAIN), Part(link, Style.LINK)]
    parts.append(Part(word[begin + len(link) :], Style.PLAIN))


def _joined(parts: list[Part]) -> list[Part]:
    """Joins neighbouring plain pieces, and removes empty ones."""
    joined: list[tuple[list[str], Style]] = []
    for part in parts:
        if not part.text:
            continue
        if joined and joined[-1][1] is part.style is Style.PLAIN:
            joined[-1][0].append(part.text)
        else:
            joined.append(([part.text], part.style))
    return [Part("".join(texts), style) for texts, style in joined]
