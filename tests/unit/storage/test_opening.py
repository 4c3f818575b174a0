"""Every database is opened so that what its schema holds runs no more than it must."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from smpchat.agent.store.database import Database
from smpchat.agent.store.encryption import EncryptedDatabase, encrypt
from smpchat.relay.store import SQLiteStore
from smpchat.storage.opening import harden, trigger_in

TABLE = {"test": ("CREATE TABLE things (x)",)}


class Configurable(sqlite3.Connection):
    """What Python 3.12 has."""

    def setconfig(self, option: int, value: bool) -> None:
        configured[option] = value


configured: dict[int, bool] = {}


def pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def test_profiles_and_relays_are_opened_so(tmp_path: Path) -> None:
    with closing(Database(tmp_path / "profile.db", TABLE)) as profile:
        assert (pragma(profile.connection, "trusted_schema"), pragma(profile.connection, "cell_size_check")) == (0, 1)
    encrypt(tmp_path / "profile.db", "secret")
    with closing(EncryptedDatabase(tmp_path / "profile.db", TABLE, "secret")) as profile:
        assert (pragma(profile.connection, "trusted_schema"), pragma(profile.connection, "cell_size_check")) == (0, 1)
    with closing(SQLiteStore(tmp_path / "relay.db")) as store:
        assert (pragma(store._db, "trusted_schema"), pragma(store._db, "cell_size_check")) == (0, 1)


def test_what_python_can_turn_off_is_off() -> None:
    configured.clear()
    with closing(sqlite3.connect(":memory:", factory=Configurable)) as connection:
        harden(connection)
    assert configured == {1003: False, 1010: True, 1015: False}


@pytest.mark.skipif(not hasattr(sqlite3, "SQLITE_DBCONFIG_DEFENSIVE"), reason="Python 3.12 names them")
def test_the_numbers_are_those_of_sqlite() -> None:
    assert (
        sqlite3.SQLITE_DBCONFIG_ENABLE_TRIGGER,  # type: ignore[attr-defined]
        sqlite3.SQLITE_DBCONFIG_DEFENSIVE,  # type: ignore[attr-defined]
        sqlite3.SQLITE_DBCONFIG_ENABLE_VIEW,  # type: ignore[attr-defined]
    ) == (1003, 1010, 1015)


def test_foreign_keys_and_counted_rows_work_in_it(tmp_path: Path) -> None:
    """What is turned off is neither."""
    with closing(sqlite3.connect(tmp_path / "file", isolation_level=None)) as database:
        harden(database)
        database.execute("PRAGMA foreign_keys = ON")
        database.execute("CREATE TABLE parent (id INTEGER PRIMARY KEY AUTOINCREMENT)")
        database.execute("CREATE TABLE child (parent REFERENCES parent ON DELETE CASCADE)")
        database.execute("INSERT INTO parent VALUES (7)")
        database.execute("INSERT INTO child VALUES (7)")
        database.execute("DELETE FROM parent")
        assert database.execute("SELECT count(*) FROM child").fetchone() == (0,)
        database.execute("UPDATE sqlite_sequence SET seq = 8")
        assert trigger_in(database) is None
