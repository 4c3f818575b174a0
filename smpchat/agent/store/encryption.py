"""Encrypts a profile's database with a passphrase, opens an encrypted one, and decrypts it.

The format is that of SQLCipher 4, which other tools read. Each page is encrypted with AES-256-CBC and authenticated
with HMAC-SHA-512. PBKDF2-HMAC-SHA-512 with 256,000 rounds derives the key from the passphrase and the file's salt.

A plain file cannot be encrypted in place. So an encrypted copy is made beside the plain file (`encrypted_path`). As
soon as the copy is complete, it becomes the profile's database. To decrypt, a plain copy is made beside the encrypted
file in the same way. When encrypting or decrypting begins, no other process may have the database open. If a process
opens the old file while the copy is being made, the process waits for the write lock; then it finds that the file was
replaced, and stores nothing. After `kill -9`, the profile's database is complete: it is either the old file or the new
one. Leftover files are deleted when the encrypted database is next opened, or when the user encrypts or decrypts again.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from smpchat.agent.errors import PassphraseRefused, StoreError, StoreInUse, StoreReplaced
from smpchat.agent.store import sqlcipher
from smpchat.agent.store.database import BUSY_TIMEOUT, Database, Scripts, encrypted_path
from smpchat.storage.opening import harden

IN_USE_TIMEOUT = 5.0
"""Seconds to wait for the profile's other commands to end; most take milliseconds."""
_SEQUENCE = "sqlite_sequence"
_BESIDE = ("-wal", "-shm", "-journal")


class EncryptedDatabase(Database):
    """A `Database` whose file is encrypted. This class never creates the file, because any passphrase would open an
    empty file."""

    ENCRYPTED = True

    def __init__(self, path: Path, components: Mapping[str, Scripts], passphrase: str) -> None:
        """Open the encrypted file at ``encrypted_path(path)``.

        Raises:
            PassphraseRefused: The passphrase is wrong, or the file is damaged.
            StoreReplaced: Another process has just decrypted the file.
            StoreError: As for `Database`.
        """
        self._passphrase = passphrase
        super().__init__(encrypted_path(path), components)
        del self._passphrase
        # Remove a plain file that `encrypt` or `decrypt` has left behind because it was interrupted. If another process
        # is still running `encrypt` or `decrypt`, it holds the write lock, and our transaction waits until it has
        # ended.
        left = [plain for plain in (path, _under_way(path)) if plain.exists()]
        if left and not self.read_only:
            with self.transaction():
                for plain in left:
                    _remove(plain)

    def _create(self) -> None:
        if not self.path.exists():
            raise StoreReplaced

    def _connect(self) -> sqlite3.Connection:
        return _open(self.path, self._passphrase, BUSY_TIMEOUT)

    def _connect_to_read(self, options: str) -> sqlite3.Connection:
        return _open(self.path, self._passphrase, BUSY_TIMEOUT, options)

    def copy_to(self, target: sqlite3.Connection) -> None:
        """Copy everything except the search indexes to an empty unencrypted database. If other processes write
        meanwhile, the copy still shows the state of a single moment.

        SQLCipher's own function, ``sqlcipher_export``, can only copy to a file, not to an open connection.
        """
        target.execute("PRAGMA foreign_keys = OFF")
        self._connection.execute("BEGIN")
        try:
            objects = self.read(
                "SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL AND tbl_name NOT IN"
                " (SELECT name FROM pragma_table_list WHERE type IN ('virtual', 'shadow')) ORDER BY rowid"
            )
            tables = [row for row in objects if row["type"] == "table"]
            for table in tables:
                if table["name"] != _SEQUENCE:  # AUTOINCREMENT creates this one
                    target.execute(table["sql"])
            for name in sorted((table["name"] for table in tables), key=lambda name: name == _SEQUENCE):
                if name == _SEQUENCE:  # last, because inserting the other rows has changed it
                    target.execute(f"DELETE FROM {_SEQUENCE}")
                rows = self._connection.execute(f"SELECT * FROM {name}")
                marks = ", ".join("?" for _ in rows.description)
                target.executemany(f"INSERT INTO {name} VALUES ({marks})", rows)
            for row in objects:
                if row["type"] != "table":
                    target.execute(row["sql"])
        finally:
            self._connection.execute("ROLLBACK")


def encrypt(path: Path, passphrase: str) -> None:
    """Encrypt the database at ``path``, and delete the plain file.

    Raises:
        StoreInUse: Another process has the database open. Nothing changed.
        StoreError: The disk is full, or the file cannot be read or written. Nothing changed.
    """
    encrypted = encrypted_path(path)
    with _alone(path, None), _replacement(path, None, encrypted, passphrase) as replacement:
        # Give the encrypted file its final name and flush it to the disk before the plain file is deleted. If we crash
        # in between, both files exist, and the encrypted one is used. If the plain file were deleted first, a crash
        # could leave us without any file.
        replacement.replace(encrypted)
    _sync(path.parent)
    _remove(path)


def decrypt(path: Path, passphrase: str) -> None:
    """Decrypt the database to a plain file at ``path``, and delete the encrypted file.

    Raises:
        PassphraseRefused: The passphrase is wrong. Nothing changed.
        StoreInUse: Another process has the database open. Nothing changed.
        StoreError: The disk is full, or the file cannot be read or written. Nothing changed.
    """
    encrypted = encrypted_path(path)
    with _alone(encrypted, passphrase) as held, _replacement(encrypted, passphrase, path, None) as replacement:
        # As long as the encrypted file exists, the plain one is not used. So if we crash before the encrypted file is
        # deleted, the user only has to decrypt again.
        replacement.replace(path)
        _sync(path.parent)
        if sys.platform == "win32":  # Windows cannot delete an open file
            held.close()
        encrypted.unlink()
    _sync(path.parent)
    _remove(encrypted)


def change_passphrase(path: Path, old: str, new: str) -> None:
    """Change the passphrase of the encrypted database at ``encrypted_path(path)``.

    Raises:
        PassphraseRefused: ``old`` is not the passphrase. Nothing changed.
        StoreInUse: Another process has the database open. Nothing changed.
        StoreError: The disk is full, or the file cannot be read or written. Nothing changed.
    """
    encrypted = encrypted_path(path)
    with _errors(encrypted), closing(_open(encrypted, old, IN_USE_TIMEOUT)) as connection:
        _leave_wal(connection)
        connection.execute("PRAGMA synchronous = FULL")
        sqlcipher.change_key(connection, _normal(new))


def _open(path: Path, passphrase: str | None, timeout: float, options: str = "mode=rw") -> sqlite3.Connection:
    """Open an encrypted database or, if ``passphrase`` is None, a plain one. Raises `PassphraseRefused` or
    `sqlite3.Error`."""
    connection = sqlcipher.connect(path, None if passphrase is None else _normal(passphrase), timeout, options)
    try:
        if connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone() is None:
            raise sqlite3.OperationalError("it is empty")
        harden(connection)
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute("PRAGMA temp_store = MEMORY")
    except sqlite3.DatabaseError as error:
        connection.close()
        if passphrase is None or isinstance(error, sqlite3.OperationalError):
            raise
        raise PassphraseRefused from None
    return connection


def _normal(passphrase: str) -> str:
    """The passphrase in NFC (RFC 8265), because keyboards may give different code points for the same letters."""
    return unicodedata.normalize("NFC", passphrase)


def _leave_wal(connection: sqlite3.Connection) -> None:
    """Stop using a write-ahead log, so that the database is one file. Raises `StoreInUse` if another process has the
    file open."""
    try:
        [mode] = connection.execute("PRAGMA journal_mode = DELETE").fetchone()
    except sqlite3.OperationalError as error:
        if "locked" not in str(error):
            raise
        raise StoreInUse from None
    if mode != "delete":
        raise StoreInUse


@contextmanager
def _alone(path: Path, passphrase: str | None) -> Iterator[sqlite3.Connection]:
    """Open the database at ``path``, and keep other processes from writing to it while the block runs."""
    with _errors(path), closing(_open(path, passphrase, IN_USE_TIMEOUT)) as connection:
        _leave_wal(connection)
        connection.execute("BEGIN IMMEDIATE")
        yield connection


def _under_way(target: Path) -> Path:
    """The path of the unfinished file that will become ``target``."""
    return target.with_name(f"{target.name}.new")


@contextmanager
def _replacement(source: Path, old: str | None, target: Path, new: str | None) -> Iterator[Path]:
    """Make a complete copy of the database ``source``, and yield the path of the copy. The ``with`` block must rename
    the copy to ``target``. ``old``, ``new``: the passphrases of the source and of the copy; None if unencrypted."""
    under_way = _under_way(target)
    _remove(under_way)
    try:
        # We create the file ourselves, because SQLite would follow the umask, and others might be able to read it.
        os.close(os.open(under_way, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        with closing(_open(source, old, IN_USE_TIMEOUT)) as connection:
            connection.execute("PRAGMA temp_store = MEMORY")
            connection.execute("ATTACH DATABASE ? AS copy KEY ?", (str(under_way), "" if new is None else _normal(new)))
            connection.execute("SELECT sqlcipher_export('copy')").fetchall()
            connection.execute("DETACH DATABASE copy")
        with closing(_open(under_way, new, IN_USE_TIMEOUT)) as copy:
            [state] = copy.execute("PRAGMA quick_check").fetchone()
            if state != "ok":
                raise StoreError(f"The profile's database {source} is damaged.")
        _sync(under_way)
        # Such files may be left from an earlier database at this path, and SQLite would use them for the new one.
        for suffix in _BESIDE:
            _remove_file(target, suffix)
        yield under_way
    finally:
        _remove(under_way)


@contextmanager
def _errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"The profile's database {path} cannot be used: {error}.") from error


def _remove(path: Path) -> None:
    """Delete an unused database, with the files that SQLite keeps beside it."""
    for suffix in (*_BESIDE, ""):
        _remove_file(path, suffix)


def _remove_file(path: Path, suffix: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(f"{path}{suffix}")


def _sync(path: Path) -> None:
    """Make sure that the content of a file, or the list of names in a folder, is on the disk."""
    if sys.platform == "win32" and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
