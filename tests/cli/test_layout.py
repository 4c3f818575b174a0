"""Tables drawn without `rich` are those that it draws."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from smpchat.chat.store.records import Direction, Message, MessageStatus
from smpchat.cli.environment import Environment
from smpchat.cli.views.layout import Cell, plain_table, table
from smpchat.cli.views.messages import conversation, show_history

HEADINGS = ("Alias", "State", "Unread", "About")
texts = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=24)
cells = st.lists(st.tuples(texts, st.sampled_from(["", "bold", "dim"])), min_size=1, max_size=2)
rows = st.lists(st.lists(cells, min_size=len(HEADINGS), max_size=len(HEADINGS)), max_size=4)


def _by_rich(rows: list[list[Cell]], width: int) -> str:
    out = io.StringIO()
    console = Console(file=out, width=width, highlight=False, markup=False, emoji=False)
    console.print(table(HEADINGS, rows), soft_wrap=True)
    return out.getvalue()


@given(rows, st.integers(20, 120))
def test_a_table_that_fits_is_the_same_with_and_without_rich(rows: list[list[Cell]], width: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", str(width))
        plain = plain_table(HEADINGS, rows)
    if plain is not None:
        assert plain + "\n" == _by_rich(rows, width)
        assert max(map(len, plain.split("\n"))) <= width


def test_what_rich_would_fold_or_measure_is_left_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    row: list[Cell] = [[("alice", "bold")], [("connected", "")], [("", "")], [("Alice", "")]]
    assert plain_table(HEADINGS, [row]) is not None
    assert plain_table(HEADINGS, [[[("alice" * 6, "")], *row[1:]]]) is None
    assert plain_table(HEADINGS, [[[("alicé", "")], *row[1:]]]) is None
    assert plain_table(HEADINGS, [[[("al\x1bice", "")], *row[1:]]]) is None


def test_the_terminal_of_another_stream_says_how_wide_tables_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    row: list[Cell] = [[("a" * 50, "")], [("", "")], [("", "")], [("", "")]]
    monkeypatch.setattr(os, "get_terminal_size", lambda stream: os.terminal_size((40, 20)))
    assert plain_table(HEADINGS, [row]) is None

    def none(stream: int) -> os.terminal_size:
        raise OSError

    monkeypatch.setattr(os, "get_terminal_size", none)
    assert plain_table(HEADINGS, [row]) is not None


def test_a_history_is_the_same_with_and_without_rich(capsys: pytest.CaptureFixture[str]) -> None:
    environment = Environment(Path("/nowhere"), "alice")
    sent, received = Direction.SENT, Direction.RECEIVED
    messages = [
        Message(1, "bob", received, "hello\nalicé\tand \x1b[2J", 1_700_000_000.0, MessageStatus.RECEIVED, None),
        Message(2, "bob", sent, "two\nlines", 1_700_100_000.0, MessageStatus.PENDING, None),
        Message(13, "bob", sent, "", 1_700_200_000.0, MessageStatus.FAILED, "You deleted this contact.", deleted=True),
        Message(14, "bob", received, "x" * 200, 1_700_200_001.0, MessageStatus.RECEIVED, None, edited=True),
    ]
    show_history(environment, messages)
    plain = capsys.readouterr().out
    for line in conversation(environment, messages):
        environment.show(line)
    assert plain == capsys.readouterr().out
