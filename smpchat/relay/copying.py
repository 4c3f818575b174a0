"""Copies the relay's database for a backup, and restores it from a backup that another person may have made."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from smpchat.encoding.reader import DecodeError
from smpchat.protocol.block import BLOCK_SIZE
from smpchat.relay.errors import RelayStoreError, RelayStoreNewer
from smpchat.relay.schema import SCHEMA_VERSION, prepare, translated
from smpchat.relay.store import SQLiteStore
from smpchat.storage.foreign import DamagedData, ForeignData, check_foreign, copy_rows, open_foreign
from smpchat.storage.opening import harden

_MESSAGE_ID, _SECRET, _MAX_ID = 24, 32, 255
"""Sizes in bytes: of a message id, which is also the nonce for encrypting the message; of the secret that the relay
shares with a recipient; of the longest id of a queue, link or notifier."""
_LAST_TIME = 1 << 38
"""Latest time that is accepted, in POSIX seconds: in the year 10680."""


def copy_database(source: Path, target: Path) -> None:
    """Copy a relay's database into a new file, with its content at a single moment. The relay may be running. Blocks.

    Raises:
        RelayStoreError: The database ``source`` does not exist, or cannot be read.
        OSError: ``target`` exists, or cannot be written.
    """
    if not source.exists():
        raise RelayStoreError(f"There is no database {source}.")
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    with translated("copying it"), closing(sqlite3.connect(source)) as db, closing(sqlite3.connect(target)) as copy:
        harden(db)
        db.execute("PRAGMA query_only = ON")
        # Copy the whole database in one step: a step reads a single state of the database. With several steps, SQLite
        # would begin again whenever the relay wrote something between two steps.
        db.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")  # all data must be in this one file


def take_over(path: Path) -> None:
    """Replace a database, which another person may have made, with a new database. The new one contains the same rows
    in our current schema, and nothing else. Blocks.

    Raises:
        RelayStoreError: The file is damaged, is not a copy made by `copy_database`, or comes from a newer smpchat.
        OSError: Writing failed.
    """
    ours = path.with_name(f"{path.name}.new")
    os.close(os.open(ours, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    try:
        with translated("reading it"), closing(open_foreign(path)) as source:
            (version,) = source.execute("PRAGMA user_version").fetchone()
            with closing(sqlite3.connect(ours, isolation_level=None)) as target:
                # Make the tables that belong to the schema version of ``source``, to compare them with the tables that
                # ``source`` contains. `_check_kind` refuses a schema version that is newer than ours.
                prepare(target, str(ours), min(max(version, 1), SCHEMA_VERSION))
                _check_kind(source, target, path)
                check_foreign(source, target)
                target.execute("BEGIN IMMEDIATE")
                copy_rows(source, target, _check_row)
                target.execute("COMMIT")
                target.execute("PRAGMA journal_mode = DELETE")
    except DamagedData as error:
        raise RelayStoreError(f"{path.name} cannot be read: {error.what}.") from error
    except DecodeError as error:
        raise RelayStoreError(f"{path.name} was not written by smpchat: {error.what}.") from error
    ours.replace(path)
    SQLiteStore(path).close()  # opening it checks the records, and migrates an older schema


def _check_kind(source: sqlite3.Connection, target: sqlite3.Connection, path: Path) -> None:
    [found, ours] = (db.execute("PRAGMA application_id").fetchone()[0] for db in (source, target))
    if found != ours:
        raise RelayStoreError(f"{path.name} is not a relay's database.")
    (version,) = source.execute("PRAGMA user_version").fetchone()
    if version > SCHEMA_VERSION:
        raise RelayStoreNewer(path.name)


def _check_row(table: str, row: Sequence[Any]) -> None:
    """Check a row of a table against the rules on which the relay relies, but which the schema does not enforce. The
    values in ``row`` have the order of the columns in `smpchat.relay.schema`."""
    match table, row:
        case "queue", (_, bytes() as rcv_id, bytes() as snd_id, _, bytes() as secret, *_):
            fits = _is_id(rcv_id) and _is_id(snd_id) and len(secret) == _SECRET
        case "message", (_, int(), bytes() as msg_id, int() as timestamp, _, None | bytes() as body):
            fits = len(msg_id) == _MESSAGE_ID and _is_time(timestamp) and len(body or b"") <= BLOCK_SIZE
        case "link", (_, bytes() as link_id, bytes() as fixed, bytes() as user):
            fits = _is_id(link_id) and len(fixed) <= BLOCK_SIZE and len(user) <= BLOCK_SIZE
        case "notifier", (_, bytes() as notifier_id, _, bytes() as secret):
            fits = _is_id(notifier_id) and len(secret) == _SECRET
        case "notification", (_, int(), bytes() as msg_id, int() as timestamp):
            fits = len(msg_id) == _MESSAGE_ID and _is_time(timestamp)
        case "clock", (int() as seen, int() as hold):
            fits = _is_time(seen) and _is_time(hold)
        case _:
            fits = False
    if not fits:
        raise ForeignData(f"the database contains a row that is not allowed in {table}")


def _is_id(value: bytes) -> bool:
    return 0 < len(value) <= _MAX_ID


def _is_time(value: int) -> bool:
    return 0 <= value < _LAST_TIME
