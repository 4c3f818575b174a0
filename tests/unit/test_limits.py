"""The tables of docs/limits.md: every number is the program's, and every test that is said to hold it is there."""

from __future__ import annotations

import ast
import importlib
import re
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from smpchat.chat.service.reading import StoredProfile
from smpchat.relay.files.index import FileIndex
from smpchat.relay.store import SQLiteStore

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "limits.md"
_NAMED = r"`([\w/.]+\.py)` `([\w.]+)`"


def rows(text: str) -> list[tuple[str, str, str, str]]:
    """What, number, where and held by, of every row of a table."""
    cells = [line.strip("|").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    found = [(row[0].strip(), row[1], row[2], row[3].strip()) for row in cells if len(row) == 4]
    return [row for row in found if row[0] != "what"]


ROWS = rows(PAGE.read_text(encoding="utf-8"))


def value(path: str, name: str) -> Any:
    """What a module has under a name; after a dot, the field of a record of defaults."""
    found = importlib.import_module(path.removesuffix(".py").replace("/", "."))
    for part in name.split("."):
        found = getattr(found() if isinstance(found, type) else found, part)
    return found


def written(number: Any) -> str:
    """As the tables write it."""
    if isinstance(number, tuple):
        return str(len(number))
    return f"{number:,g}" if isinstance(number, float) else f"{number:,}"


@cache
def names_in(path: str) -> frozenset[str]:
    """Names of the functions of a file, also in its classes."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:60])
def test_the_number_is_the_programs_and_a_test_holds_it(row: tuple[str, str, str, str]) -> None:
    what, number, where, held_by = row
    path, name = re.fullmatch(_NAMED, where).groups()  # type: ignore[union-attr]
    assert number == written(value(path, name)), f"{what}: {name}"
    path, name = re.fullmatch(_NAMED, held_by).groups()  # type: ignore[union-attr]
    assert name.startswith("test_") and name in names_in(path)


def test_rows_are_read() -> None:
    assert len(ROWS) > 10
    assert rows("| what | number | where | held by |\n|---|---|---|---|\n| a | 1 | b | c |") == [("a", "1", "b", "c")]
    assert written(1000) == "1,000" and written(10.0) == "10" and written(0.5) == "0.5"
    assert value("smpchat/relay/limits.py", "Limits.quota") == 128


def test_every_table_is_there(tmp_path: Path) -> None:
    """A table without a bound is found when it is made."""
    with (
        closing(StoredProfile(tmp_path / "profile", "alice")) as profile,
        closing(SQLiteStore(":memory:")) as relay,
        closing(FileIndex(":memory:")) as files,
    ):
        found = {row[0] for row in profile.database.read("SELECT name FROM sqlite_master WHERE type = 'table'")}
        for store in (relay, files):
            found |= {row[0] for row in store._db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    named = re.findall(r"^\| `(\w+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert {name for name in found if not name.startswith("sqlite_")} == set(named)
    assert sorted(named) == named
