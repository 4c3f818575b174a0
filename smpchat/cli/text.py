"""Makes text from outside harmless, and short enough for a terminal."""

from __future__ import annotations

import bisect
import itertools
import re
import textwrap
import unicodedata

from smpchat.encoding.characters import BLANK_LETTERS, CUT, composed

MAX_MARKS = 4
"""At most this many combining marks stay on one letter; more of them would cover the lines above and below."""
MAX_SHOWN_NAME = 60
"""At most this many characters of a peer's name are shown."""
MAX_ESCAPES = 1_000
"""At most this many unprintable characters of a text are shown as escapes. In the rest of the text, one `CUT` replaces
each run of unprintable characters: otherwise a text of 64 KiB, which compresses to 100 bytes, would take half a
megabyte on the terminal."""
MAX_SHOWN_TEXT = 16_000
"""At most this many characters of a message are shown; apps do not send longer messages."""
MAX_SHOWN_LINES = 1_000
"""At most this many lines of a message are shown."""
_JOINERS = "\u200c\u200d"


def printable(text: str, *, lines: bool = False) -> str:
    """Peer text made harmless: control, format, bidi and invisible characters become visible escapes.

    Args:
        lines: Whether ``text`` may have several lines, unlike a name. If so, line breaks stay, and tabs become blanks.
            Joiners (invisible characters that emoji and some scripts need) stay where they join two characters.
    """
    text = composed(text)
    if lines:
        # A lone \r becomes a line break too: a terminal would write the text after it over the beginning of the line.
        text = re.sub("\r\n?", "\n", text).replace("\t", "    ")
    shown: list[str] = []
    marks = escapes = 0
    for at, character in enumerate(text):
        # Marks of the Unicode category Mc are not counted: they stand beside a letter, so they cover nothing.
        marks = marks + 1 if unicodedata.category(character) in ("Mn", "Me") else 0
        harmless = character.isprintable() and character not in BLANK_LETTERS and marks <= MAX_MARKS
        if harmless or (lines and (character == "\n" or _joins(text, at))):
            shown.append(character)
        elif escapes < MAX_ESCAPES:
            escapes += 1
            shown.append(f"\\u{{{ord(character):x}}}")
        elif shown[-1] != CUT:
            shown.append(CUT)
    return "".join(shown)


def abridged(text: str) -> tuple[str, str]:
    """The text of a message, made harmless and limited to what a person would read, so that a peer cannot flood
    the terminal.

    Returns:
        The text, and our note about what was left out; the note is empty if nothing was left out.
    """
    lines = printable(text[:MAX_SHOWN_TEXT], lines=True).split("\n", MAX_SHOWN_LINES)
    left_out = max(0, len(text) - MAX_SHOWN_TEXT) + sum(map(len, lines[MAX_SHOWN_LINES:]))
    shown = "\n".join(lines[:MAX_SHOWN_LINES])
    return shown, f"({plural(left_out, 'more character')}; --json shows all)" if left_out else ""


def _joins(text: str, at: int) -> bool:
    """Whether the character at this place is a joiner between two characters that are not ASCII, and so is part of an
    emoji or of a word."""
    around = text[at - 1 : at] + text[at + 1 : at + 2]
    return text[at] in _JOINERS and len(around) == 2 and all(c > "\x7f" and c.isprintable() for c in around)


def shortened(name: str, limit: int = MAX_SHOWN_NAME) -> str:
    """A peer's name, made harmless and cut to ``limit`` characters."""
    # The name is cut before it is escaped: escaping a megabyte that is not shown would be wasted work.
    shown = printable(name[: limit + 1])
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def quoted(name: str, limit: int = MAX_SHOWN_NAME) -> str:
    """A name that another person chose, in quotes. Quotes inside the name are replaced, so the name cannot seem to end
    earlier."""
    return f'"{" ".join(shortened(name, limit).split()).replace(chr(34), chr(39))}"'


def narrowed(name: str, columns: int) -> str:
    """A name, made harmless and cut to the given number of columns."""
    shown = printable(name[: columns + 1])
    widths = [2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in shown]
    if sum(widths) <= columns:  # an upper limit: combining marks take no columns
        return shown
    ends = list(itertools.accumulate(widths))
    return shown[: bisect.bisect_left(ends, columns)] + "…"


def sentence(text: str) -> str:
    """``text`` with a capital first letter and a full stop, so that it can stand beside other sentences.

    If ``text`` begins with the name of a file or host, the first letter does not change.
    """
    text = text.strip()
    if not text:
        return text
    first = text.split(maxsplit=1)[0].strip(",;:.'\u2019()")
    begins = text[0].upper() if first.replace("'", "").replace("-", "").isalpha() else text[0]
    return begins + text[1:] + ("" if text.endswith((".", "!", "?", ":")) else ".")


def happened_and_advice(text: str) -> tuple[str, str]:
    """What happened and what to do about it, as two texts; the second is empty if ``text`` is one sentence."""
    happened, _, advice = text.partition(". ")
    return sentence(happened), sentence(advice)


def filled(text: str, width: int) -> str:
    """``text`` in lines that end between words. ``text`` must already be escaped (`printable`). Text between backticks
    stays on one line, so that it can be copied."""
    in_one_piece = re.sub("`[^`]*`", lambda found: found[0].replace(" ", "\N{NO-BREAK SPACE}"), text)
    lines = textwrap.fill(in_one_piece, max(20, width), break_long_words=False, break_on_hyphens=False)
    return lines.replace("\N{NO-BREAK SPACE}", " ")


def plural(count: int, noun: str) -> str:
    """The number and the noun, such as ``1 message`` or ``2 messages``."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")
