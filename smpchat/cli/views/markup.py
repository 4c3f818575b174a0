"""Shows the markup in a message with the styles of the terminal: ``*bold*`` in bold, links that can be clicked, secrets
behind a bar."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from smpchat.chat.wire.markup import Part, Style, parts_of
from smpchat.cli.environment import Environment
from smpchat.cli.views.layout import Part as LayoutPart

if TYPE_CHECKING:
    from rich.text import Text

_STYLES = {
    Style.BOLD: "bold",
    Style.ITALIC: "italic",
    Style.STRIKE: "strike",
    Style.CODE: "reverse",
    # A text that its author marked as secret is drawn as a bar. Selecting this bar with the mouse shows the text, as
    # tapping it does in an app.
    Style.SECRET: "reverse conceal",
    Style.RED: "red",
    Style.GREEN: "green",
    Style.BLUE: "blue",
    Style.YELLOW: "yellow",
    Style.CYAN: "cyan",
    Style.MAGENTA: "magenta",
}


def are_shown(environment: Environment) -> bool:
    """Whether markup is drawn as styles. Where styles cannot be drawn, the marks that the author typed, such as ``*``,
    are printed instead."""
    return environment.styled and environment.symbols and environment.console().color_system is not None


def taken_out(parts: Sequence[LayoutPart]) -> tuple[list[LayoutPart], list[Part]]:
    """Two lists. The first list is for the layout: the parts of a message without the marks that the author typed, such
    as ``*``. The second list is for `draw`: the pieces of text in these parts, each piece with its style."""
    kept: list[LayoutPart] = []
    pieces: list[Part] = []
    for ours, text in parts:
        found = [Part(text, Style.PLAIN)] if ours else parts_of(text)
        kept.append((ours, text if ours else "".join(piece.text for piece in found)))
        pieces += found
    return kept, pieces


def draw(line: Text, begin: int, pieces: Sequence[Part]) -> None:
    """Give the pieces of text in a line their styles. Each piece is searched for in the line, because the layout may
    have moved it; the first ``begin`` characters of the line, its heading, are left out.

    The layout only adds blanks, line breaks and a margin; the order of the characters stays the same.
    """
    place, text = begin, line.plain
    for piece in pieces:
        run: int | None = None
        for letter in piece.text:
            if letter.isspace():
                continue
            found = text.find(letter, place)
            if found < 0:
                return
            if run is not None and "\n" in text[place:found]:  # the margin of the next line keeps its own style
                _paint(line, piece, run, place)
                run = None
            run = found if run is None else run
            place = found + 1
        if run is not None:
            _paint(line, piece, run, place)


def _paint(line: Text, part: Part, begin: int, end: int) -> None:
    if part.style is Style.LINK:
        from rich.style import Style as Drawn

        # The link leads to the address that is shown, so no text can disguise one address as another.
        line.stylize(Drawn(link=part.text), begin, end)
    elif part.style is not Style.PLAIN:
        line.stylize(_STYLES[part.style], begin, end)
