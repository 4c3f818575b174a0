"""Draws tables, and breaks texts into lines that fit into the terminal."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from smpchat.cli.environment import Environment

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text


Cell = Sequence[tuple[str, str]]
"""One cell of a table: texts, each with its style."""
_GAP = 2


def table(headings: Sequence[str], rows: Sequence[Sequence[Cell]], breaks: Collection[str] = ()) -> Table:
    """A table without lines. Only the first and the last column wrap, because only these contain texts that other
    people may have chosen.

    Args:
        breaks: Headings of columns that wrap too, besides the first and the last column.
    """
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), show_edge=False)
    for heading in headings:
        outer = heading in (headings[0], headings[-1], *breaks)  # only these wrap
        drawn.add_column(Text(heading, "dim"), no_wrap=not outer, justify="left", overflow="fold")
    for row in rows:
        drawn.add_row(*(Text.assemble(*cell) for cell in row))
    return drawn


def show_table(
    environment: Environment, headings: Sequence[str], rows: Sequence[Sequence[Cell]], breaks: Collection[str] = ()
) -> None:
    """Print a table. If possible, the table is drawn without `rich`, because importing `rich` takes 20 ms."""
    plain = None if environment.styled else plain_table(headings, rows)
    if plain is None:
        environment.show(table(headings, rows, breaks))
    else:
        print(plain, flush=True)


def plain_table(headings: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str | None:
    """A table as `rich` would draw it without styles. Returns None if only `rich` can draw this table, because it has
    to measure characters or break lines."""
    lines = [list(headings), *(["".join(text for text, _ in cell) for cell in row] for row in rows)]
    if not all(text.isascii() and text.isprintable() for line in lines for text in line):
        return None
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    if sum(widths) + _GAP * (len(widths) - 1) > _columns():
        return None
    gap = " " * _GAP
    return "\n".join(gap.join(text.ljust(width) for text, width in zip(line, widths, strict=True)) for line in lines)


def _columns() -> int:
    """How many columns `rich` assumes for a stream that is not a terminal."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isdigit():
        return int(columns) or 80
    for stream in (0, 1, 2):  # one of the process's streams may be a terminal
        try:
            return os.get_terminal_size(stream).columns or 80
        except (ValueError, OSError):
            continue
    return 80


def indented(environment: Environment, text: str, start: int, indent: int) -> str:
    """``text`` with all lines but the first indented, so that none of them looks like another message. ``text`` must
    already be escaped (`printable`). Its first line is printed after a heading of ``start`` columns."""
    if not environment.attended:
        return text.replace("\n", "\n" + " " * indent)
    from smpchat.cli.wrapping import hanging

    return hanging(text, start, indent, shutil.get_terminal_size().columns)


STAYS_TOGETHER = "\N{NO-BREAK SPACE}"
"""A blank at which no line ends. Only smpchat's own text contains it: `printable` escapes it in the text of others."""
Part = tuple[bool, str]
"""A part of a message: True if smpchat wrote this part, False if the author did; and its text, which is already escaped
(`printable`)."""


def in_margin(environment: Environment | None, parts: Sequence[Part], start: int, indent: int) -> str:
    """The text of a message, to be printed after a heading that is ``start`` columns wide. Each part of the message
    begins a new line. All lines but the first are indented.

    A line of smpchat's own text begins with a bar in the margin, where an author's text never begins. On a terminal, an
    author's text is broken into lines that leave the margin free. A long word such as a link is not broken, so the
    terminal continues the word in the margin. Such a word contains no blanks, so it cannot imitate a line of smpchat's
    own text.

    Args:
        environment: The `Environment` of the command that prints the text; None if the command prints into a pipe.
    """
    columns = None
    if environment is not None and environment.attended:
        columns = max(10, shutil.get_terminal_size().columns)
    at = indent if columns is None else min(indent, columns * 2 // 5)
    bar = "│" if environment is not None and environment.symbols else "|"
    rows: list[str] = []
    for ours, text in parts:
        gutter = f"{bar:>{at - 1}} " if ours else " " * at
        rows += [gutter + row for row in _rows(text, at if rows else start, at, columns)]
    return "\n".join(rows)[at:].replace(STAYS_TOGETHER, " ")


def _rows(text: str, start: int, indent: int, columns: int | None) -> list[str]:
    if columns is None:
        return text.split("\n")
    from smpchat.cli.wrapping import hanging

    first, *rest = hanging(text, start, indent, columns).split("\n")
    return [first, *(row[indent:] for row in rest)]


def in_words(environment: Environment, sentence: Text) -> Text:
    """One of smpchat's own sentences. On a terminal, it is broken into lines that end between words."""
    from rich.text import Text

    if not environment.attended:
        return sentence
    lines = sentence.wrap(environment.console(), max(20, shutil.get_terminal_size().columns - 2))
    return Text("\n  ").join(lines)
