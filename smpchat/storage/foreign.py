"""Copies rows into an empty database of ours, from a database file that another person made.

Only rows are copied. Another person's file may contain views instead of tables, computed columns, pages that several
tables share, text that is not UTF-8, or triggers that would copy what smpchat stores later. So the file must have
exactly our schema and intact pages. Each value must have the type of its column in our schema, and must be within
limits. After these checks, our own SQL statements write the values into our database.
"""

from __future__ import annotations

import math
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from smpchat.encoding.reader import DecodeError
from smpchat.encoding.record import Record
from smpchat.storage.opening import SQLITE_ERRORS, file_uri, harden

MAX_VALUE = 1 << 20
"""Largest size of one value, and of one row, in bytes. The longest value that we write is a message of 64 KiB."""
MAX_NUMBER = 1 << 53
"""Largest row number that is accepted: SQLite continues counting from the largest number in a table, and fails at
2^63."""
MAX_TIME = 253_402_300_799.0
"""Latest time that is accepted, in POSIX seconds: the end of the year 9999, where Python's dates end."""
_MAX_SQL = 20_000
"""Longest statement that is accepted, in characters; our longest has 900."""
_BATCH = 500
_LIMITS = (
    # Each pair contains SQLite's number for a limit, and our value for this limit. The limits are: value size,
    # statement length, columns, expression depth, attached files, trigger depth.
    (0, MAX_VALUE),
    (1, _MAX_SQL),
    (2, 200),
    (3, 100),
    (7, 0),
    (10, 1),
)
_TYPES: dict[str, tuple[type, ...]] = {"INTEGER": (int,), "REAL": (float, int), "TEXT": (str,), "BLOB": (bytes,)}
_SEQUENCE = "sqlite_sequence"


class ForeignData(DecodeError):
    """The file does not have the form of the files that smpchat writes.

    The attribute ``what`` says how the file differs, for example ``the table 'x' was changed``.
    """


class DamagedData(DecodeError):
    """The file is damaged and cannot be read to its end."""


class _Column(Record):
    """A column as SQLite describes it. ``key`` is the column's position in the primary key, counted from 1; it is 0 for
    a column outside the primary key. ``hidden`` is not 0 if the column is computed."""

    name: str
    kind: str
    key: int
    hidden: int


def open_foreign(source: bytes | Path) -> sqlite3.Connection:
    """Open another person's file for `copy_rows`. The file is never written to, and must not change while it is open.

    Args:
        source: The content of the file, or its path.
    Raises:
        sqlite3.Error: The file cannot be opened.
    """
    if isinstance(source, Path):
        # With ``immutable``, SQLite reads no write-ahead log beside the file, and takes no lock.
        connection = sqlite3.connect(file_uri(source, "mode=ro&immutable=1"), uri=True, isolation_level=None)
    else:
        connection = sqlite3.connect(":memory:", isolation_level=None)
    try:
        for limit, value in _LIMITS:
            connection.setlimit(limit, value)
        if isinstance(source, bytes):
            # Bytes 18 and 19 of a database file say whether there is a write-ahead log beside the file. Make them say
            # "no log", because a database in memory has none.
            connection.deserialize(source[:18] + b"\1\1" + source[20:])
        harden(connection)
        connection.execute("PRAGMA query_only = ON")
    except BaseException:
        connection.close()
        raise
    return connection


def schema_of(connection: sqlite3.Connection) -> Counter[tuple[str, ...]]:
    """All tables, indexes and other objects of a schema: for each, a tuple of type, name, table, and normalised SQL."""
    rows = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master").fetchall()
    return Counter(tuple(_spelling(part) for part in tuple(row)) for row in rows)


def _spelling(part: object) -> str:
    # After a table was renamed, some versions of SQLite write the new name in quotes, and others write it without.
    return " ".join(str(part if part is not None else "").replace('"', "").split())


def difference(found: Counter[tuple[str, ...]], ours: Counter[tuple[str, ...]]) -> str | None:
    """One difference between two schemas, such as ``the database contains a trigger 'name'``; None if they are the
    same."""
    if extra := sorted(found - ours):
        kind, name, *_ = extra[0]
        if any(one[:2] == extra[0][:2] for one in ours):
            return f"the {kind} {name!r} was changed"
        return f"the database contains {'an' if kind[:1] in 'aeiou' else 'a'} {kind[:20]} {name[:60]!r}"
    if missing := sorted(ours - found):
        kind, name, *_ = missing[0]
        return f"the database lacks the {kind} {name!r}"
    return None


def check_foreign(source: sqlite3.Connection, ours: sqlite3.Connection) -> None:
    """Check that the file of ``source`` has the same schema as our database ``ours``, and that the file's pages are
    intact.

    Raises:
        ForeignData: The file's schema differs from ours.
        DamagedData: The file's pages are damaged, or the file cannot be read.
    """
    try:
        _check_schema(source, ours)
        # Check the pages before reading any row: pages that point to each other in a circle would give endless rows.
        [state] = source.execute("PRAGMA quick_check(1)").fetchone()
    except SQLITE_ERRORS as error:
        raise DamagedData(f"the database cannot be read: {error}") from None
    if state != "ok":
        raise DamagedData("the database's pages are damaged")


def _check_schema(source: sqlite3.Connection, ours: sqlite3.Connection) -> None:
    [encoding] = source.execute("PRAGMA encoding").fetchone()
    if encoding != "UTF-8":
        raise ForeignData(f"the database stores text as {encoding}")
    if other := difference(schema_of(source), schema_of(ours)):
        raise ForeignData(other)
    for table in _tables(ours):
        if _columns(source, table) != _columns(ours, table):
            raise ForeignData(f"the table {table!r} was changed")


def copy_rows(
    source: sqlite3.Connection, target: sqlite3.Connection, check: Callable[[str, Sequence[Any]], None] | None = None
) -> None:
    """Copy every row from ``source`` into ``target``. The database ``target`` must have the same schema, empty tables,
    and an open transaction. If this function raises an error, the caller must roll back the transaction.

    Args:
        check: Function that is called for each row, with the table's name and the row. It may raise `ForeignData`.
    Raises:
        ForeignData: A value does not have its column's type or is too large, or a row breaks a rule of the schema.
        DamagedData: A row cannot be read.
        sqlite3.OperationalError: The disk is full.
    """
    left = _size(source)
    # Check foreign keys only at the end, because a row may come before the row that it refers to.
    target.execute("PRAGMA defer_foreign_keys = ON")
    for table in _tables(target):
        columns = _columns(target, table)
        names = ", ".join(f'"{column.name}"' for column in columns)
        insert = f'INSERT INTO "{table}" ({names}) VALUES ({", ".join("?" for _ in columns)})'
        # NOT INDEXED: read the table itself, because an index may contain other values.
        for batch in _batches(source, f'SELECT {names} FROM "{table}" NOT INDEXED'):
            left -= len(batch)
            if left < 0:
                raise ForeignData(f"there are too many rows in {table!r}")
            for row in batch:
                _check_row(table, columns, row)
                if check is not None:
                    check(table, row)
            try:
                target.executemany(insert, batch)
            except sqlite3.IntegrityError:
                raise ForeignData(f"rows in {table!r} contradict each other") from None
    _copy_sequence(source, target)
    if lost := target.execute("PRAGMA foreign_key_check").fetchone():
        raise ForeignData(f"rows in {lost[0]!r} refer to rows that do not exist")


def _size(source: sqlite3.Connection) -> int:
    """The size of the file in bytes. The file cannot contain more rows than bytes, because each row takes several
    bytes."""
    pages, size = (source.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
    return int(pages * size)


def _batches(source: sqlite3.Connection, query: str) -> Iterator[list[Sequence[Any]]]:
    try:
        rows = source.execute(query)
        while batch := rows.fetchmany(_BATCH):
            yield batch
    except SQLITE_ERRORS as error:
        raise DamagedData(f"the database cannot be read: {error}") from None


def _check_row(table: str, columns: Sequence[_Column], row: Sequence[object]) -> None:
    for column, value in zip(columns, row, strict=True):
        if value is None:  # if the column must not be NULL, writing the row will fail
            continue
        fits = isinstance(value, _TYPES[column.kind])
        if isinstance(value, str | bytes):
            fits = fits and len(value) <= MAX_VALUE
        elif isinstance(value, int) and column.kind == "INTEGER" and column.key:
            fits = fits and 0 <= value < MAX_NUMBER
        elif isinstance(value, int | float) and column.kind == "REAL":
            fits = fits and math.isfinite(value) and abs(value) <= MAX_TIME
        if not fits:
            raise ForeignData(f"the database contains a value that is not allowed in {table}.{column.name}")


def _copy_sequence(source: sqlite3.Connection, target: sqlite3.Connection) -> None:
    """Copy SQLite's counters of row numbers, so that numbers of deleted rows are not used again: peers and relays may
    know these numbers."""
    if not target.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (_SEQUENCE,)).fetchone():
        return
    rows = next(_batches(source, f"SELECT name, seq FROM {_SEQUENCE}"), [])
    known = {row[0] for row in target.execute("SELECT name FROM sqlite_master WHERE sql LIKE '%AUTOINCREMENT%'")}
    highest: dict[str, int] = {}
    for name, seq in rows:  # a table may have two counters: exports of encrypted profiles were once written like that
        if name not in known or not isinstance(seq, int) or not 0 <= seq < MAX_NUMBER:
            raise ForeignData("the counters of row numbers have impossible values")
        highest[name] = max(seq, highest.get(name, 0))
    target.execute(f"DELETE FROM {_SEQUENCE}")
    target.executemany(f"INSERT INTO {_SEQUENCE} (name, seq) VALUES (?, ?)", highest.items())


def _tables(connection: sqlite3.Connection) -> list[str]:
    rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY rowid")
    return [row[0] for row in rows if row[0] != _SEQUENCE]


def _columns(connection: sqlite3.Connection, table: str) -> list[_Column]:
    rows = connection.execute(f'PRAGMA table_xinfo("{table}")')
    return [_Column(row[1], row[2], row[5], row[6]) for row in rows]
