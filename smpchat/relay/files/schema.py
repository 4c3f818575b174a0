"""The schema of the index of files, and its migrations, by the same rules as in `smpchat.relay.schema`."""

from __future__ import annotations

import sqlite3

from smpchat.relay.errors import RelayStoreError, RelayStoreNewer
from smpchat.storage.opening import trigger_in

_APPLICATION_ID = 0x534D5046  # "SMPF": identifies our file among SQLite files

# One script per schema version, applied in order; never edit a released script. `made`, the time when a chunk was
# registered, is rounded to the hour, so that the index does not show exactly when someone sent a file.
_MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE stored_chunk (
        row INTEGER PRIMARY KEY,
        sender_id BLOB NOT NULL UNIQUE,
        sender_key BLOB NOT NULL,
        size INTEGER NOT NULL,
        digest BLOB NOT NULL,
        made INTEGER NOT NULL,
        there INTEGER NOT NULL
    );
    CREATE INDEX stored_chunk_by_time ON stored_chunk (made);
    CREATE TABLE chunk_recipient (
        recipient_id BLOB PRIMARY KEY,
        chunk INTEGER NOT NULL REFERENCES stored_chunk (row) ON DELETE CASCADE,
        key BLOB NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX chunk_recipient_by_chunk ON chunk_recipient (chunk);
    CREATE TABLE file_clock (
        seen INTEGER NOT NULL,
        hold INTEGER NOT NULL
    );
    """,
)
SCHEMA_VERSION = len(_MIGRATIONS)


def prepare(db: sqlite3.Connection, path: str) -> None:
    """Creates or migrates an index that was just opened, and configures the connection.

    Raises:
        RelayStoreError: The file is not an index of this program.
        RelayStoreNewer: A newer version of smpchat wrote the index.
        sqlite3.Error: The file cannot be read or written.
    """
    (tables,) = db.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
    if trigger := trigger_in(db):
        raise RelayStoreError(f"{path} contains a trigger that smpchat did not make: {trigger[:60]!r}.")
    (version,) = db.execute("PRAGMA user_version").fetchone()
    (application,) = db.execute("PRAGMA application_id").fetchone()
    if application != _APPLICATION_ID and (application or tables):
        raise RelayStoreError(f"{path} is not a relay's index of files.")
    if version > SCHEMA_VERSION:
        raise RelayStoreNewer(path)
    db.execute("PRAGMA secure_delete = FAST")
    # ``synchronous`` is FULL, because a chunk must survive a power cut once the relay has answered OK.
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA foreign_keys = ON")
    db.execute("PRAGMA journal_size_limit = 8388608")
    # The script itself contains BEGIN and COMMIT, because `executescript` commits any open transaction first.
    for number in range(version, SCHEMA_VERSION):
        db.executescript(
            f"BEGIN IMMEDIATE; {_MIGRATIONS[number]}; PRAGMA application_id = {_APPLICATION_ID};"
            f" PRAGMA user_version = {number + 1}; COMMIT"
        )
