"""The profile's SQLite file: opens it, runs the numbered migrations, and begins and ends every transaction.

Several processes may have the file open, so a process must rely on the file's content, not on what it remembers. Every
write is one ``BEGIN IMMEDIATE`` transaction: a writer waits until another one has finished, up to `BUSY_TIMEOUT`,
instead of failing at once with "database is locked".
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from smpchat.agent.errors import StoreError, StoreNotWritable, StoreReplaced, StoreTampered
from smpchat.agent.store.erasure import EMPTY_LOG
from smpchat.agent.store.migrating import define_functions
from smpchat.agent.store.signals import Signals
from smpchat.storage.migrations import Migrations
from smpchat.storage.opening import file_uri, harden, trigger_in, ways_to_read

BUSY_TIMEOUT = 30.0
"""Seconds that a writer waits for another process; a transaction of ours takes milliseconds."""
LOG_KEPT = 60.0
"""Seconds for which the write-ahead log may still hold overwritten data, such as earlier states of a ratchet."""
CLEARING_TIMEOUT = 0.05
"""Seconds to wait for other processes before we empty the write-ahead log. A longer wait would be useless if another
command reads for hours, for example while it shows messages page by page. The log is then emptied later."""
_WAL_TRIES = 1000

Scripts = Sequence[str]
"""The migration scripts of a component, oldest first: all of them as `Migrations`, or the first few as a tuple."""


def _use_wal(connection: sqlite3.Connection) -> None:
    """Switch the file to a write-ahead log; this setting is stored in the file. If another process is using the file,
    SQLite fails without waiting, so we wait and try again."""
    for _ in range(_WAL_TRIES):
        with suppress(sqlite3.OperationalError):
            connection.execute("PRAGMA journal_mode = WAL")
            return
        connection.execute("BEGIN EXCLUSIVE")  # waits for the other process
        connection.execute("ROLLBACK")
    connection.execute("PRAGMA journal_mode = WAL")


def encrypted_path(path: Path) -> Path:
    """The path of the encrypted file that replaces the plain one at ``path``. If the encrypted file exists, the plain
    file is ignored."""
    return path.with_name(f"{path.name}.encrypted")


class Database:
    """One SQLite connection to the profile's database file.

    Attributes:
        read_only: Whether the file was opened only for reading, because its disk is full or read-only.
    """

    # After a received message is committed, we acknowledge it to the relay, which then deletes its copy. So a power cut
    # must not undo a commit. With a write-ahead log, SQLite's setting NORMAL could lose the last commits.
    SYNCHRONOUS = "FULL"
    ENCRYPTED = False

    def __init__(self, path: Path, components: Mapping[str, Scripts]) -> None:
        """Open or create the file, readable by its owner only, and bring every component's schema up to date.

        Raises:
            StoreTampered: The file contains a trigger, which could change or copy everything that is written.
            StoreReplaced: Another process has encrypted, decrypted or deleted the file meanwhile.
            StoreError: The file cannot be opened, is not a database, or was written by a newer version.
        """
        self.path = path
        self.signals = Signals(path)
        self._watchers: list[Callable[[], object]] = []
        self._inode = 0
        self._erased = False
        self._log_is_due = False
        self._log_seen_at: float | None = None
        self.read_only = False
        try:
            self._create()
            try:
                self._inode = path.stat().st_ino
            except FileNotFoundError:  # another process has just encrypted, decrypted or deleted it
                raise StoreReplaced from None
            try:
                self._connection = self._usable(self._connect)
            except sqlite3.OperationalError as error:
                if "locked" in str(error):  # another process writes for long, so we can write later
                    raise
                self._connection = self._readable(error)
        except (OSError, sqlite3.Error, UnicodeDecodeError) as error:
            raise self._cannot_be("used", error) from error
        try:
            self._connection.execute(f"PRAGMA synchronous = {self.SYNCHRONOUS}")
            self._connection.execute("PRAGMA foreign_keys = ON")
            # SQLite must not write temporary data, such as rows that it is sorting, into a file.
            self._connection.execute("PRAGMA temp_store = MEMORY")
            # Deleted keys must be gone from the file, not only from its tables: a thief who gets the file later must
            # not be able to decrypt traffic that was recorded before.
            self._connection.execute("PRAGMA secure_delete = ON")
            self._connection.create_function(EMPTY_LOG, 0, self._note_erasure)
            self._check_current()
            self._migrate(components)
        except BaseException as error:
            self._connection.close()
            if isinstance(error, OSError | sqlite3.Error | UnicodeDecodeError):
                raise self._cannot_be("used", error) from error
            raise

    def _usable(self, connect: Callable[[], sqlite3.Connection]) -> sqlite3.Connection:
        """Open a connection and read something, so that SQLite has opened all files that it needs."""
        connection = connect()
        try:
            harden(connection)
            if trigger := trigger_in(connection):
                raise StoreTampered(self.path, trigger)
            if not self.read_only:
                _use_wal(connection)
            return connection
        except BaseException:
            connection.close()
            raise

    def _readable(self, error: sqlite3.OperationalError) -> sqlite3.Connection:
        """Open the file only for reading, because it cannot be written. If the file cannot be read either, raises
        ``error``: the reason why it cannot be written."""
        self.read_only = True
        for options in ways_to_read(self.path):
            with suppress(sqlite3.OperationalError):
                return self._usable(partial(self._connect_to_read, options))
        raise error

    def _create(self) -> None:
        """Make the file if there is none. A file that exists is not opened, because closing it would release SQLite's
        locks."""
        with suppress(FileExistsError):
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))

    def _connect(self) -> sqlite3.Connection:
        """Open the file; transactions begin only with BEGIN. Raises `sqlite3.Error`."""
        # isolation_level=None: else Python's sqlite3 begins a transaction by itself before a write, and leaves it open.
        connection = sqlite3.connect(self.path, timeout=BUSY_TIMEOUT, isolation_level=None)
        connection.row_factory = sqlite3.Row
        return connection

    def _connect_to_read(self, options: str) -> sqlite3.Connection:
        """Open the file only for reading. ``options`` are for the URI with which SQLite opens the file."""
        uri = file_uri(self.path, options)
        connection = sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT, isolation_level=None)
        connection.row_factory = sqlite3.Row
        return connection

    def _migrate(self, components: Mapping[str, Scripts]) -> None:
        versions = self._versions()
        if all(versions.get(name, 0) == len(migrations) for name, migrations in components.items()):
            return
        define_functions(self._connection, self._note_erasure)
        with self.transaction() as tx:
            tx.execute("CREATE TABLE IF NOT EXISTS schema_versions (component TEXT PRIMARY KEY, version INTEGER)")
            versions = self._versions()
            for name, migrations in components.items():
                version = versions.get(name, 0)
                scripts = migrations[version:]
                if version == 0 and isinstance(migrations, Migrations):
                    scripts = (migrations.tables.read_text(encoding="utf-8").rstrip(),)
                if version > len(migrations):
                    raise StoreError(f"A newer smpchat wrote the profile's database {self.path}: upgrade smpchat.")
                for script in scripts:
                    # Not `executescript`: it would commit the transaction, but all migrations must be committed
                    # together. Scripts are split at semicolons, so no statement may contain one.
                    for statement in script.split(";"):
                        tx.execute(statement)
                tx.execute("INSERT OR REPLACE INTO schema_versions VALUES (?, ?)", (name, len(migrations)))

    def _versions(self) -> dict[str, int]:
        present = self.read("SELECT 1 FROM sqlite_master WHERE name = 'schema_versions'")
        return (
            {row["component"]: row["version"] for row in self.read("SELECT * FROM schema_versions")} if present else {}
        )

    @property
    def connection(self) -> sqlite3.Connection:
        """The SQLite connection, for reading outside any transaction."""
        return self._connection

    def read(self, query: str, parameters: Sequence[object] = ()) -> list[sqlite3.Row]:
        """Run a query outside any transaction, and return its rows."""
        return self._connection.execute(query, parameters).fetchall()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Commit when the block ends, roll back when it raises. Does not nest.

        Raises:
            StoreError: The file cannot be written, because another process locks it, the disk is full, or the file was
                replaced. Nothing changed.
        """
        if self.read_only:
            raise self._not_writable()
        before, self._erased = self._connection.total_changes, False
        try:
            # Not plain BEGIN: two such transactions could both read and then want to write, and one of them would fail
            # at once, without waiting.
            self._connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            raise self._cannot_be("written", error) from error
        try:
            self._check_current()
            yield self._connection
            self._before_commit()
        except sqlite3.OperationalError as error:  # any statement may find the disk full
            self._roll_back()
            raise self._cannot_be("written", error) from error
        except BaseException:
            self._roll_back()
            raise
        try:
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            raise self._cannot_be("written", error) from error
        self._after_commit()
        if self._erased:
            self.clear_log()
        self.changed()
        if self._connection.total_changes != before:
            self.signals.send()

    # -- watchers, which wait for changes -----------------------------------------------------------------------------

    def watch(self, watcher: Callable[[], object]) -> None:
        """Call ``watcher`` after each commit of this connection, and whenever `changed` is called."""
        self._watchers.append(watcher)

    def unwatch(self, watcher: Callable[[], object]) -> None:
        """Stop calling ``watcher``."""
        self._watchers.remove(watcher)

    def changed(self) -> None:
        """Call all watchers of this process: the file may contain something new."""
        for watcher in tuple(self._watchers):
            watcher()

    # -- the file -----------------------------------------------------------------------------------------------------

    def _is_current(self) -> bool:
        """Whether the file that we opened is still the profile's database. When a database is encrypted or decrypted, a
        new file replaces it, and everything that is written to the old file later is lost.

        While the caller holds the write lock, the returned value stays correct, because `encrypt` and `decrypt` need
        this lock to replace the file.
        """
        try:
            return self.path.stat().st_ino == self._inode and not encrypted_path(self.path).exists()
        except FileNotFoundError:
            return False

    def _check_current(self) -> None:
        if not self._is_current():
            raise StoreReplaced

    def _roll_back(self) -> None:
        if self._connection.in_transaction:  # if the disk is full, SQLite has rolled back by itself
            self._connection.execute("ROLLBACK")

    def _cannot_be(self, what: str, error: OSError | sqlite3.Error | UnicodeDecodeError) -> StoreError:
        if self._inode and not self._is_current():  # SQLite notices this too, but reports a read-only file
            return StoreReplaced()
        if what == "written" and isinstance(error, sqlite3.OperationalError):
            return self._not_writable(error)
        # The text of a `UnicodeDecodeError` quotes the file, and is not shown.
        reason = "it is damaged" if isinstance(error, UnicodeDecodeError) else error
        return StoreError(f"The profile's database {self.path} cannot be {what}: {reason}.")

    def _not_writable(self, error: sqlite3.Error | None = None) -> StoreNotWritable:
        reason = error or "its disk is full or read-only"
        return StoreNotWritable(f"The profile's database {self.path} cannot be written: {reason}.")

    def _before_commit(self) -> None:
        """For fault injection in tests: called just before a commit."""

    def _after_commit(self) -> None:
        """For fault injection in tests: called right after a commit."""

    def clear_log(self) -> None:
        """Move the pages of the write-ahead log into the file, then empty the log, because its older pages contain
        deleted data.

        While another process is reading, the log stays as it is; a later call of this method or of `clear_old_log`
        empties it.
        """
        self._log_is_due, self._log_seen_at = True, None
        self._wait_for(CLEARING_TIMEOUT)
        try:
            [result] = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            self._log_is_due = bool(result[0])
        except sqlite3.OperationalError:
            pass  # a statement of this process has not ended, or the disk is full: the log must be emptied later
        finally:
            self._wait_for(BUSY_TIMEOUT)

    def _wait_for(self, seconds: float) -> None:
        """Set how long a statement waits for other processes."""
        self._connection.execute(f"PRAGMA busy_timeout = {round(seconds * 1000)}").fetchall()

    def _note_erasure(self) -> None:
        self._erased = True

    def clear_old_log(self, now: float) -> None:
        """Empty the write-ahead log if `clear_log` could not, or if the log has had content for `LOG_KEPT` seconds.
        Long-running processes call this from time to time.

        Args:
            now: The present time, in seconds of a monotonic clock.
        """
        if not self._has_log():
            self._log_is_due, self._log_seen_at = False, None
        elif self._log_is_due or (self._log_seen_at is not None and now - self._log_seen_at >= LOG_KEPT):
            self.clear_log()
        elif self._log_seen_at is None:
            self._log_seen_at = now

    def _has_log(self) -> bool:
        try:
            return self.path.with_name(f"{self.path.name}-wal").stat().st_size > 0
        except FileNotFoundError:
            return False

    def copy_to(self, target: sqlite3.Connection) -> None:
        """Copy everything to an empty unencrypted database. If other processes write meanwhile, the copy still shows
        the state of a single moment."""
        self._connection.backup(target)

    def foreign_version(self) -> int:
        """A number that changes when another process, or another `Database` of this process, commits. Reading this
        number takes only microseconds."""
        return int(self._connection.execute("PRAGMA data_version").fetchone()[0])

    def close(self) -> None:
        """Close the file; what was committed stays."""
        self.signals.stop()
        self._connection.close()
