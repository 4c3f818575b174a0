"""Settings for opening every SQLite file: as little of the file's schema as possible is executed, and damaged pages are
noticed."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# SQLite's numbers for the options that `setconfig` sets. Python has this function, and names for the options, only from
# version 3.12 on.
_ENABLE_TRIGGER, _DEFENSIVE, _ENABLE_VIEW = 1003, 1010, 1015

_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/._-~:")
SQLITE_ERRORS = (sqlite3.Error, UnicodeDecodeError)
"""Errors that we can get when we read a file that is damaged or is not a database. `UnicodeDecodeError` is one of them,
because SQLite's messages quote bytes of the file, and Python decodes the messages."""


def harden(connection: sqlite3.Connection) -> None:
    """Set options on a new connection, so that SQLite does not trust what the schema of the file contains. Raises
    `sqlite3.Error`.

    We use neither triggers nor views, so both are turned off if this version of Python can do that. Actions of foreign
    keys, such as ON DELETE CASCADE, still work without triggers.
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
    """While the ``with`` block runs, the tables in which a virtual table keeps its data can be written like other
    tables."""
    configure: Callable[[int, bool], Any] | None = getattr(connection, "setconfig", None)
    if configure is not None:
        configure(_DEFENSIVE, False)
    try:
        yield
    finally:
        if configure is not None:
            configure(_DEFENSIVE, True)


def trigger_in(connection: sqlite3.Connection) -> str | None:
    """The name of a trigger in the file; None if the file contains no trigger. smpchat never makes triggers. A trigger
    that someone else made could copy the data that smpchat writes later."""
    row = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger' LIMIT 1").fetchone()
    return None if row is None else str(row[0])


def file_uri(path: Path, options: str) -> str:
    """A file's path as a URI, the form in which SQLite accepts options."""
    # Do not use `Path.as_uri`: from Python 3.14 on, it imports an HTTP client and TLS. This would slow down every start
    # with a passphrase.
    name = os.fsencode(path.absolute().as_posix())
    quoted = "".join(chr(byte) if byte in _PLAIN else f"%{byte:02X}" for byte in name)
    return f"file:{quoted if quoted.startswith('/') else f'/{quoted}'}?{options}"  # C:/… on Windows


def ways_to_read(path: Path) -> Iterator[str]:
    """SQLite's options for opening a file that cannot be written, best first. With the last of these options, SQLite
    takes no lock, because locking fails on a full or read-only disk."""
    yield "mode=ro"
    # With ``immutable``, SQLite ignores the write-ahead log beside the file. So offer this option only if there is no
    # log: the log contains the newest rows, and an error is better than missing rows.
    log = path.with_name(f"{path.name}-wal")
    if not log.exists() or not log.stat().st_size:
        yield "mode=ro&immutable=1"
