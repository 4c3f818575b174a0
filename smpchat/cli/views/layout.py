"""Tables, and texts in lines of a terminal's width."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from smpchat.cli.environment import Environment

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text


def table(*headings: str) -> Table:
    """An empty table without lines; its first and last columns may hold names that other people chose."""
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_edge=False)
    for heading in headings:
        outer = heading in (headings[0], headings[-1])  # they break, if any does
        drawn.add_column(Text(heading, "dim"), no_wrap=not outer, justify="left", overflow="fold")
    return drawn


def indented(environment: Environment, text: str, start: int, indent: int) -> str:
    """Harmless text behind ``start`` columns, its further lines indented, so that none can pass for another message."""
    if not environment.attended:
        return text.replace("\n", "\n" + " " * indent)
    from smpchat.cli.wrapping import hanging

    return hanging(text, start, indent, shutil.get_terminal_size().columns)


def in_words(environment: Environment, sentence: Text) -> Text:
    """A sentence of ours in lines that end between words, on a terminal."""
    from rich.text import Text

    if not environment.attended:
        return sentence
    lines = sentence.wrap(environment.console(), max(20, shutil.get_terminal_size().columns - 2))
    return Text("\n  ").join(lines)
