"""How every SQLite file is opened: as little as possible of its schema is executed, and damaged pages are noticed."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# By number: Python knows the names from 3.12 on, and the call likewise.
_ENABLE_TRIGGER, _DEFENSIVE, _ENABLE_VIEW = 1003, 1010, 1015

_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/._-~:")
SQLITE_ERRORS = (sqlite3.Error, UnicodeDecodeError)
"""What reading raises if the file is damaged, or is not a database. SQLite's errors quote the file, and Python decodes
them."""


def harden(connection: sqlite3.Connection) -> None:
    """Do not trust the schema of a file that was just opened more than its rows. Raises `sqlite3.Error`.

    We use neither triggers nor views, so they are turned off if Python can do that. Actions of foreign keys do not
    count as triggers.
    """
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    configure: Callable[[int, bool], Any] | None = getattr(connection, "setconfig", None)
    if configure is not None:
        configure(_DEFENSIVE, True)
        configure(_ENABLE_TRIGGER, False)
        configure(_ENABLE_VIEW, False)


@contextmanager
def shadows_writable(connection: sqlite3.Connection) -> Iterator[None]:
    """While the block runs, the tables behind a virtual table can be written like any other."""
    configure: Callable[[int, bool], Any] | None = getattr(connection, "setconfig", None)
    if configure is not None:
        configure(_DEFENSIVE, False)
    try:
        yield
    finally:
        if configure is not None:
            configure(_DEFENSIVE, True)


def trigger_in(connection: sqlite3.Connection) -> str | None:
    """Name of a trigger in the file, which could copy later data; smpchat never makes triggers."""
    row = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger' LIMIT 1").fetchone()
    return None if row is None else str(row[0])


def file_uri(path: Path, options: str) -> str:
    """A file's name in the form that SQLite needs for options."""
    # Not `Path.as_uri`: from Python 3.14 on that imports an HTTP client and TLS, at every start with a passphrase.
    name = os.fsencode(path.absolute().as_posix())
    quoted = "".join(chr(byte) if byte in _PLAIN else f"%{byte:02X}" for byte in name)
    return f"file:{quoted if quoted.startswith('/') else f'/{quoted}'}?{options}"  # C:/… on Windows


def ways_to_read(path: Path) -> Iterator[str]:
    """Options for a file that cannot be written, best first: on a full or read-only disk, locks are not possible
    either."""
    yield "mode=ro"
    # Without a log there is nothing but the file. One that cannot be read holds the newest rows: then better an error.
    log = path.with_name(f"{path.name}-wal")
    if not log.exists() or not log.stat().st_size:
        yield "mode=ro&immutable=1"
