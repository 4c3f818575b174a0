"""Settings for opening every SQLite file: as little of the file's schema as possible is executed, and damaged pages are
noticed."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# SQLite's numbers of these options: Python has names for them, and the function that sets them, only from 3.12 on.
_ENABLE_TRIGGER, _DEFENSIVE, _ENABLE_VIEW = 1003, 1010, 1015

_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/._-~:")
SQLITE_ERRORS = (sqlite3.Error, UnicodeDecodeError)
"""Errors of reading a file that is damaged or not a database. `UnicodeDecodeError` is one of them, because SQLite's
messages quote bytes of the file, and Python decodes them."""


def harden(connection: sqlite3.Connection) -> None:
    """Set options on a new connection, so that the schema of the file is trusted no more than its rows. Raises
    `sqlite3.Error`.

    We use neither triggers nor views, so both are turned off if this Python can do that. Actions of foreign keys, which
    we use, still work.
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
    """While the ``with`` block runs, the tables behind a virtual table can be written like other tables."""
    configure: Callable[[int, bool], Any] | None = getattr(connection, "setconfig", None)
    if configure is not None:
        configure(_DEFENSIVE, False)
    try:
        yield
    finally:
        if configure is not None:
            configure(_DEFENSIVE, True)


def trigger_in(connection: sqlite3.Connection) -> str | None:
    """The name of a trigger in the file; None if there is none. smpchat never makes triggers, and one that someone else
    made could copy data that is written later."""
    row = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger' LIMIT 1").fetchone()
    return None if row is None else str(row[0])


def file_uri(path: Path, options: str) -> str:
    """A file's path as a URI, the form in which SQLite accepts options."""
    # Not `Path.as_uri`: from Python 3.14 on that imports an HTTP client and TLS, at every start with a passphrase.
    name = os.fsencode(path.absolute().as_posix())
    quoted = "".join(chr(byte) if byte in _PLAIN else f"%{byte:02X}" for byte in name)
    return f"file:{quoted if quoted.startswith('/') else f'/{quoted}'}?{options}"  # C:/… on Windows


def ways_to_read(path: Path) -> Iterator[str]:
    """Options for opening a file that cannot be written, best first. The last option takes no lock, because locking
    fails on a full or read-only disk."""
    yield "mode=ro"
    # With ``immutable``, SQLite ignores the log beside the file, so offer this only if there is no log. A log that
    # cannot be read contains the newest rows, so an error is better.
    log = path.with_name(f"{path.name}-wal")
    if not log.exists() or not log.stat().st_size:
        yield "mode=ro&immutable=1"
