"""The profile's file where it cannot be written: one typed error, the right reason, and nothing changed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from smpchat.agent.errors import StoreError
from smpchat.agent.store.database import Database

PAGE = 4096


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(tmp_path / "test.db", {"test": ["CREATE TABLE texts (text TEXT)"]})
    yield opened
    opened.close()


def texts(database: Database) -> list[str]:
    return [row["text"] for row in database.read("SELECT text FROM texts")]


def test_a_full_disk_is_named_and_nothing_is_left_of_the_transaction(database: Database) -> None:
    [pages] = database.connection.execute("PRAGMA page_count").fetchone()
    database.connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreError, match="full"), database.transaction() as tx:
        tx.execute("INSERT INTO texts VALUES ('short')")
        tx.execute("INSERT INTO texts VALUES (?)", ("x" * 2 * PAGE,))
    assert texts(database) == []
    with database.transaction() as tx:
        tx.execute("INSERT INTO texts VALUES ('short')")
    assert texts(database) == ["short"]


def test_a_file_that_another_process_holds_is_refused_in_time(database: Database) -> None:
    database.connection.execute("PRAGMA busy_timeout = 0")
    with closing(sqlite3.connect(database.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="locked"), database.transaction():
            pass
    with database.transaction() as tx:
        tx.execute("INSERT INTO texts VALUES ('later')")
    assert texts(database) == ["later"]


def test_a_fault_of_the_block_comes_out_as_it_is(database: Database) -> None:
    with pytest.raises(ZeroDivisionError), database.transaction() as tx:
        tx.execute("INSERT INTO texts VALUES ('never')")
        raise ZeroDivisionError
    assert texts(database) == []
