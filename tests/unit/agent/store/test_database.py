"""The profile's file where it cannot be written: one typed error, the right reason, and nothing changed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from smpchat.agent.errors import StoreError, StoreReplaced
from smpchat.agent.store import erasure
from smpchat.agent.store.database import BUSY_TIMEOUT, LOG_KEPT, Database

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


def test_a_file_that_is_encrypted_while_it_is_opened_counts_as_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = Database._create

    def create_and_lose(database: Database) -> None:
        create(database)
        database.path.unlink()  # as `encrypt` does at its end

    monkeypatch.setattr(Database, "_create", create_and_lose)
    with pytest.raises(StoreReplaced):
        Database(tmp_path / "lost.db", {})


def test_a_fault_of_the_block_comes_out_as_it_is(database: Database) -> None:
    with pytest.raises(ZeroDivisionError), database.transaction() as tx:
        tx.execute("INSERT INTO texts VALUES ('never')")
        raise ZeroDivisionError
    assert texts(database) == []


def log(database: Database) -> bytes:
    path = database.path.with_name(f"{database.path.name}-wal")
    return path.read_bytes() if path.exists() else b""


def test_what_a_transaction_erased_is_in_no_file_once_it_is_committed(database: Database) -> None:
    with database.transaction() as tx:
        tx.execute("INSERT INTO texts VALUES ('swordfish')")
    assert b"swordfish" in log(database)
    with database.transaction() as tx:
        tx.execute("DELETE FROM texts")
        erasure.empty_log(tx)
    assert log(database) == b"" and b"swordfish" not in database.path.read_bytes()


def test_a_transaction_that_is_rolled_back_empties_nothing(database: Database) -> None:
    with database.transaction() as tx:
        tx.execute("INSERT INTO texts VALUES ('swordfish')")
    with pytest.raises(ZeroDivisionError), database.transaction() as tx:
        erasure.empty_log(tx)
        raise ZeroDivisionError
    with database.transaction() as tx:
        tx.execute("INSERT INTO texts VALUES ('whale')")
    assert log(database) != b""


def test_who_reads_holds_the_log_and_nothing_else_up(database: Database) -> None:
    with database.transaction() as tx:
        tx.executemany("INSERT INTO texts VALUES (?)", [("swordfish",)] * 2)
    with closing(sqlite3.connect(database.path)) as reader, closing(reader.execute("SELECT * FROM texts")) as reading:
        reading.fetchone()
        with database.transaction() as tx:
            tx.execute("DELETE FROM texts")
            erasure.empty_log(tx)
        database.clear_old_log(0)
        assert b"swordfish" in log(database) + database.path.read_bytes()
    database.clear_old_log(1)  # at once, not after a minute
    assert b"swordfish" not in log(database) + database.path.read_bytes()
    [timeout] = database.connection.execute("PRAGMA busy_timeout").fetchone()
    assert timeout == BUSY_TIMEOUT * 1000


def test_what_was_overwritten_leaves_the_log_after_a_while(database: Database) -> None:
    with database.transaction() as tx:
        tx.execute("INSERT INTO texts VALUES ('swordfish')")
    for moment in (100, 100 + LOG_KEPT - 1):
        database.clear_old_log(moment)
        assert log(database) != b""
    database.clear_old_log(100 + LOG_KEPT)
    assert log(database) == b""
    for moment in (1000, 2000):
        database.clear_old_log(moment)  # there is nothing to be emptied
    with database.transaction() as tx:
        tx.execute("INSERT INTO texts VALUES ('whale')")
    database.clear_old_log(2001)
    assert log(database) != b"", "its minute begins now"


def test_nothing_is_set_aside_in_a_file(database: Database) -> None:
    values = {name: database.read(f"PRAGMA {name}")[0][0] for name in ("temp_store", "secure_delete")}
    assert values == {"temp_store": 2, "secure_delete": 1}
