"""The schema of the relay's database: the settings of the file, its tables, and the migration of older versions."""

from __future__ import annotations

import sqlite3

from smpchat.relay.errors import RelayStoreError, RelayStoreNewer
from smpchat.storage.opening import trigger_in

_APPLICATION_ID = 0x534D5052  # "SMPR": identifies our file among SQLite files

_PAGE_SIZE = 16_384
"""Page size in bytes: the longest message fits into one page. With SQLite's default of 4,096 bytes, this message
would take five pages, and its commit twice the CPU time."""
INCREMENTAL = 2
"""The value of the pragma ``auto_vacuum`` with which a database can give back its free pages a few at a time."""
_CHECKPOINT_PAGES = 500
"""When the write-ahead log has this many pages (8 MB), they are copied into the database."""

# One script for each schema version, applied in order. Never edit a script that has been released. In the table
# `message`, a row whose body is NULL is a quota marker.
_MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE queue (
        row INTEGER PRIMARY KEY,
        rcv_id BLOB NOT NULL UNIQUE,
        snd_id BLOB NOT NULL UNIQUE,
        recipient_keys BLOB NOT NULL,
        dh_secret BLOB NOT NULL,
        sender_key BLOB,
        mode BLOB,
        active INTEGER NOT NULL
    );
    CREATE TABLE message (
        seq INTEGER PRIMARY KEY,
        queue INTEGER NOT NULL,
        msg_id BLOB NOT NULL,
        timestamp INTEGER NOT NULL,
        notification INTEGER NOT NULL,
        body BLOB
    );
    CREATE INDEX message_by_queue ON message (queue, seq);
    """,
    """
    CREATE TABLE link (
        queue INTEGER PRIMARY KEY REFERENCES queue (row) ON DELETE CASCADE,
        link_id BLOB NOT NULL UNIQUE,
        fixed BLOB NOT NULL,
        user BLOB NOT NULL
    );
    """,
    """
    CREATE TABLE notifier (
        queue INTEGER PRIMARY KEY REFERENCES queue (row) ON DELETE CASCADE,
        notifier_id BLOB NOT NULL UNIQUE,
        key BLOB NOT NULL,
        dh_secret BLOB NOT NULL
    );
    CREATE TABLE notification (
        seq INTEGER PRIMARY KEY,
        queue INTEGER NOT NULL REFERENCES notifier (queue) ON DELETE CASCADE,
        msg_id BLOB NOT NULL,
        timestamp INTEGER NOT NULL
    );
    CREATE INDEX notification_by_queue ON notification (queue, seq);
    """,
    """
    CREATE TABLE clock (
        seen INTEGER NOT NULL,
        hold INTEGER NOT NULL
    );
    INSERT INTO clock SELECT timestamp, 0 FROM message ORDER BY timestamp DESC LIMIT 1;
    """,
)
SCHEMA_VERSION = len(_MIGRATIONS)


class translated:
    """Turns errors of SQLite into `RelayStoreError`. The relay uses this context manager four times for each message.
    So it is a class: with `contextlib`, each use would take 2 µs."""

    __slots__ = ("_doing",)

    def __init__(self, doing: str) -> None:
        self._doing = doing

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, UnicodeDecodeError):  # SQLite's message quotes bytes of a damaged file
            raise RelayStoreError(f"The relay's database failed while {self._doing}: it is damaged.") from error
        if isinstance(error, sqlite3.Error):
            raise RelayStoreError(f"The relay's database failed while {self._doing}: {error}.") from error


def prepare(db: sqlite3.Connection, path: str, up_to: int = SCHEMA_VERSION) -> None:
    """Creates or migrates a database that was just opened, and configures the connection.

    Args:
        up_to: The schema version to which an older database is migrated.
    Raises:
        RelayStoreError: The file is not a relay's database, or contains a trigger.
        RelayStoreNewer: A newer version of smpchat wrote the file.
        sqlite3.Error: The file cannot be read or written.
    """
    (tables,) = db.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
    if trigger := trigger_in(db):
        raise RelayStoreError(f"{path} contains a trigger that smpchat did not make: {trigger[:60]!r}.")
    if not tables:  # these pragmas work only on an empty file; with auto_vacuum, 6 to 18% more bytes are written
        db.execute(f"PRAGMA page_size = {_PAGE_SIZE}")
        db.execute(f"PRAGMA auto_vacuum = {INCREMENTAL}")
    # With `secure_delete = FAST`, SQLite overwrites deleted data with zeros where this needs no additional writing.
    # With ON, it would also write every page that becomes free. It would then write 40 to 55% more bytes, only to erase
    # message bodies that nobody but the recipient can decrypt. `give_back` later removes the free pages from the file.
    db.execute("PRAGMA secure_delete = FAST")
    # With `synchronous = FULL`, a command that was answered survives a power cut. The cost is small, because one commit
    # serves a whole group of commands.
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA foreign_keys = ON")
    db.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
    db.execute("PRAGMA journal_size_limit = 67108864")  # bytes; after a burst, the log file shrinks to this
    (version,) = db.execute("PRAGMA user_version").fetchone()
    (application,) = db.execute("PRAGMA application_id").fetchone()
    if application != _APPLICATION_ID and (application or tables):
        raise RelayStoreError(f"{path} is not a relay's database.")
    if version > SCHEMA_VERSION:
        raise RelayStoreNewer(path)
    # The executed string itself contains BEGIN and COMMIT, because `executescript` first commits any open transaction.
    for number in range(version, up_to):
        db.executescript(
            f"BEGIN IMMEDIATE; {_MIGRATIONS[number]}; PRAGMA application_id = {_APPLICATION_ID};"
            f" PRAGMA user_version = {number + 1}; COMMIT"
        )
