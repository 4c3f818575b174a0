"""What `copy_rows` counts on, apart from the profiles and relays that use it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from smpchat.storage import foreign
from smpchat.storage.foreign import DamagedData, ForeignData, check_foreign, copy_rows, open_foreign

SCHEMA = "CREATE TABLE things (id INTEGER PRIMARY KEY AUTOINCREMENT, x TEXT UNIQUE, n INTEGER, b BLOB, at REAL)"


@pytest.fixture
def target() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as made:
        made.execute(SCHEMA)
        yield made


def content(*statements: str) -> bytes:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as made:
        for statement in (SCHEMA, *statements):
            made.execute(statement)
        return made.serialize()


def copied(data: bytes | Path, target: sqlite3.Connection) -> list[tuple[object, ...]]:
    with closing(open_foreign(data)) as source:
        check_foreign(source, target)
        target.execute("BEGIN")
        copy_rows(source, target)
        target.execute("COMMIT")
    return target.execute("SELECT * FROM things").fetchall()


def test_rows_come_over(target: sqlite3.Connection, tmp_path: Path) -> None:
    data = content("INSERT INTO things VALUES (3, 'é', -5, x'00', 1.5)", "INSERT INTO things (id) VALUES (9)")
    rows = [(3, "é", -5, b"\0", 1.5), (9, None, None, None, None)]
    assert copied(data, target) == rows
    target.execute("DELETE FROM things")
    (tmp_path / "with %20 # ?").write_bytes(data)
    assert copied(tmp_path / "with %20 # ?", target) == rows


def test_a_file_with_a_log_is_read_without_it(target: sqlite3.Connection, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "file", isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode = WAL")
        other.execute(SCHEMA)
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        other.execute("INSERT INTO things (id) VALUES (1)")
        assert copied(tmp_path / "file", target) == []
        assert copied((tmp_path / "file").read_bytes(), target) == []


def test_nothing_can_be_written_to_it() -> None:
    with closing(open_foreign(content())) as source, pytest.raises(sqlite3.OperationalError, match="readonly"):
        source.execute("INSERT INTO things (id) VALUES (1)")


def test_long_statements_and_values_are_not_read(target: sqlite3.Connection) -> None:
    columns = ", ".join(f"c{number} DEFAULT 'xxxxxxxxxxxxxxxxxxxxx'" for number in range(900))
    with pytest.raises(DamagedData):
        copied(content(f"CREATE TABLE more ({columns})"), target)
    with pytest.raises(DamagedData):
        copied(content("INSERT INTO things (b) VALUES (zeroblob(2000000))"), target)


def test_rows_are_counted(target: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foreign, "_size", lambda source: 1)
    with pytest.raises(ForeignData, match="too many rows"):
        copied(content("INSERT INTO things (id) VALUES (1), (2)"), target)


def test_an_index_that_says_something_else_is_not_asked(target: sqlite3.Connection) -> None:
    """Two rows that the index of the file knows as different ones, although they are the same."""
    data = content("INSERT INTO things (x) VALUES ('one')", "INSERT INTO things (x) VALUES ('two')")
    assert data.count(b"two") == 2  # in the table, then in its index
    at = data.index(b"two")
    with pytest.raises(ForeignData, match="contradict each other"):
        copied(data[:at] + b"one" + data[at + 3 :], target)


@pytest.mark.parametrize("data", [b"", b"text", b"SQLite format 3\0" + bytes(4080), bytes(100_000)])
def test_what_is_no_database(data: bytes, target: sqlite3.Connection, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(data)
    for source in (data, tmp_path / "file"):
        with ExitStack() as stack:
            stack.enter_context(pytest.raises((DamagedData, ForeignData, sqlite3.Error)))
            copied(source, target)
