"""SQLCipher as if it were `sqlite3`: the same calls, and the same exceptions.

SQLCipher's Python binding has classes of its own, which are not subclasses of those in `sqlite3`. All code that reads
and writes a profile uses only `sqlite3`, so that most commands never load SQLCipher.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, cast

from sqlcipher3 import dbapi2  # type: ignore[import-untyped]

from smpchat.storage.opening import file_uri


def _translated(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def call(*arguments: Any) -> Any:
        try:
            return method(*arguments)
        except dbapi2.Error as error:
            raise getattr(sqlite3, type(error).__name__)(*error.args) from None

    return call


class _Cursor(dbapi2.Cursor):  # type: ignore[misc]
    execute = _translated(dbapi2.Cursor.execute)
    executemany = _translated(dbapi2.Cursor.executemany)
    fetchone = _translated(dbapi2.Cursor.fetchone)
    fetchmany = _translated(dbapi2.Cursor.fetchmany)
    fetchall = _translated(dbapi2.Cursor.fetchall)
    __next__ = _translated(dbapi2.Cursor.__next__)


class _Connection(dbapi2.Connection):  # type: ignore[misc]
    def cursor(self, factory: type[Any] = _Cursor) -> Any:
        return super().cursor(factory)

    set_key = _translated(dbapi2.Connection.set_key)
    reset_key = _translated(dbapi2.Connection.reset_key)


def connect(path: Path, passphrase: str | None, timeout: float, options: str = "mode=rw") -> sqlite3.Connection:
    """Open an existing file; transactions begin only with BEGIN. A wrong passphrase is noticed when the file is first
    read.

    Args:
        passphrase: If None, the database is not encrypted.
        timeout: Seconds to wait while another process holds the database's lock.
        options: Options in SQLite's URI of the file.
    Raises:
        sqlite3.Error: The file cannot be opened.
    """
    try:
        connection = _Connection(file_uri(path, options), timeout=timeout, isolation_level=None, uri=True)
    except dbapi2.Error as error:
        raise sqlite3.OperationalError(*error.args) from None
    connection.execute("PRAGMA cipher_log_level = NONE")  # else SQLCipher prints errors itself; we report them
    if passphrase is not None:
        connection.set_key(passphrase)
    connection.row_factory = dbapi2.Row
    return cast(sqlite3.Connection, connection)


def change_key(connection: sqlite3.Connection, passphrase: str) -> None:
    """Encrypt every page with a new key, in one transaction; ``connection`` comes from `connect`. Raises
    `sqlite3.Error`."""
    cast(_Connection, connection).reset_key(passphrase)
