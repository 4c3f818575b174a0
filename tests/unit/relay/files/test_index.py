from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from smpchat.relay.errors import RelayStoreError
from smpchat.relay.files.index import FileIndex
from tests.unit.relay.files.support import new_chunk, sender_id
from tests.unit.relay.support import NOW


def changed(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute(statement)
        db.commit()


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("PRAGMA application_id = 7", "is not a relay's index of files"),
        ("PRAGMA user_version = 99", "A newer smpchat wrote"),
        ("CREATE TRIGGER spy AFTER INSERT ON stored_chunk BEGIN SELECT 1; END", "a trigger that smpchat did not make"),
    ],
)
def test_what_is_not_our_index_is_refused(tmp_path: Path, statement: str, says: str) -> None:
    path = tmp_path / "index.db"
    FileIndex(path).close()
    changed(path, statement)
    with pytest.raises(RelayStoreError, match=says):
        FileIndex(path)


def test_a_damaged_key_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "index.db"
    with closing(FileIndex(path)) as index:
        index.create(new_chunk(1), NOW)
    changed(path, "UPDATE stored_chunk SET sender_key = x'0102'")
    with closing(FileIndex(path)) as index, pytest.raises(RelayStoreError, match="damaged record"):
        index.by_sender(sender_id(1))


def test_a_chunk_is_dated_by_the_full_hour() -> None:
    with closing(FileIndex(":memory:")) as index:
        index.create(new_chunk(1), NOW)
        (made,) = index._db.execute("SELECT made FROM stored_chunk").fetchone()
        assert made % 3_600 == 0 and 0 <= NOW - made < 3_600


def test_a_change_that_fails_is_rolled_back_whole() -> None:
    with closing(FileIndex(":memory:")) as index:
        index.create(new_chunk(1), NOW)
        with pytest.raises(RelayStoreError):
            index.create(new_chunk(1), NOW)  # its ids are in use
        index.create(new_chunk(2), NOW)
        assert index._db.execute("SELECT COUNT(*) FROM stored_chunk").fetchone() == (2,)


def test_the_clock_is_not_noted_where_nothing_can_be_old() -> None:
    with closing(FileIndex(":memory:")) as index:
        assert index.see_clock(NOW, 100)
        assert index._db.execute("SELECT COUNT(*) FROM file_clock").fetchone() == (0,)
