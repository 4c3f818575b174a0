"""How every SQLite file is opened: what its schema holds runs no more than it must, and a damaged page is noticed."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

# By number: Python knows the names from 3.12 on, and the call likewise.
_ENABLE_TRIGGER, _DEFENSIVE, _ENABLE_VIEW = 1003, 1010, 1015

SQLITE_ERRORS = (sqlite3.Error, UnicodeDecodeError)
"""What reading a file raises that is damaged, or no database: its errors quote the file, and Python decodes them."""


def harden(connection: sqlite3.Connection) -> None:
    """Trust the schema of a file that was just opened no more than its rows. Raises `sqlite3.Error`.

    We have neither triggers nor views: where Python can, they are turned off. Actions of foreign keys are neither.
    """
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    configure: Callable[[int, bool], Any] | None = getattr(connection, "setconfig", None)
    if configure is not None:
        configure(_DEFENSIVE, True)
        configure(_ENABLE_TRIGGER, False)
        configure(_ENABLE_VIEW, False)


def trigger_in(connection: sqlite3.Connection) -> str | None:
    """Name of a trigger in the file, which could copy what is written later; none is ours."""
    row = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger' LIMIT 1").fetchone()
    return None if row is None else str(row[0])
