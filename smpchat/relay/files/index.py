"""The index of chunks in one SQLite file: ids and keys of senders and recipients, and whether each chunk has arrived.

Every change is a transaction, which is committed when the method returns. Any thread may call methods, but only one
thread at a time.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from smpchat.crypto.keys import AuthPublicKey, auth_key
from smpchat.encoding.reader import DecodeError
from smpchat.relay.errors import RelayStoreError
from smpchat.relay.files.records import Chunk, NewChunk, NewRecipient
from smpchat.relay.files.schema import prepare
from smpchat.relay.limits import PLAUSIBLE_PAUSE
from smpchat.relay.schema import translated
from smpchat.storage.opening import harden

HOUR = 3_600
_COLUMNS = "chunk.row, chunk.sender_id, {key}, chunk.size, chunk.digest, chunk.there"


class FileIndex:
    """The index in ``path``, which is created if it does not exist; ``":memory:"`` is for tests.

    Raises:
        RelayStoreError: The file is not an index of this program, is from a newer version, or cannot be used.
    """

    def __init__(self, path: Path | str) -> None:
        if path != ":memory:":
            try:
                # Create the file ourselves, because SQLite's file permissions would depend on the umask.
                os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
            except OSError as error:
                raise RelayStoreError(f"The relay's index of files cannot be opened: {error}.") from error
        with translated("opening the index of files"):
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            with translated("opening the index of files"):
                harden(self._db)
                prepare(self._db, str(path))
        except BaseException:
            self._db.close()
            raise

    def close(self) -> None:
        """Closes the file. May be repeated."""
        with translated("closing the index of files"):
            self._db.close()

    @contextmanager
    def _changing(self, doing: str) -> Iterator[sqlite3.Connection]:
        with translated(doing):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:  # a failed COMMIT may have ended the transaction
                    with suppress(sqlite3.Error):  # the first error is the one to report
                        self._db.execute("ROLLBACK")
                raise

    def size(self) -> int:
        """The number of bytes that the content of the index uses."""
        with translated("looking for room"):
            (pages,) = self._db.execute("PRAGMA page_count").fetchone()
            (unused,) = self._db.execute("PRAGMA freelist_count").fetchone()
            (page,) = self._db.execute("PRAGMA page_size").fetchone()
        return int((pages - unused) * page)

    def totals(self) -> tuple[int, int]:
        """The number of chunks that have arrived, and the number of their bytes."""
        with translated("counting files"):
            count, size = self._db.execute(
                "SELECT COUNT(*), COALESCE(SUM(size), 0) FROM stored_chunk WHERE there"
            ).fetchone()
        return int(count), int(size)

    def create(self, new: NewChunk, now: int) -> None:
        """Registers a chunk, whose ids must be unused. ``now``: POSIX seconds."""
        with self._changing("registering a file") as db:
            row = db.execute(
                "INSERT INTO stored_chunk (sender_id, sender_key, size, digest, made, there) VALUES (?, ?, ?, ?, ?, 0)",
                (new.sender_id, auth_key.encode(new.sender_key), new.size, new.digest, now - now % HOUR),
            ).lastrowid
            self._add(row, new.recipients)

    def add(self, chunk: Chunk, recipients: Sequence[NewRecipient]) -> bool:
        """Adds recipients to a chunk. Returns False if the chunk no longer exists."""
        with self._changing("adding recipients of a file") as db:
            if db.execute("SELECT 1 FROM stored_chunk WHERE row = ?", (chunk.row,)).fetchone() is None:
                return False
            self._add(chunk.row, recipients)
        return True

    def _add(self, row: int | None, recipients: Sequence[NewRecipient]) -> None:
        self._db.executemany(
            "INSERT INTO chunk_recipient (recipient_id, chunk, key) VALUES (?, ?, ?)",
            [(one.recipient_id, row, auth_key.encode(one.key)) for one in recipients],
        )

    def recipients(self, chunk: Chunk) -> int:
        """How many recipients a chunk has."""
        with translated("counting recipients of a file"):
            (count,) = self._db.execute("SELECT COUNT(*) FROM chunk_recipient WHERE chunk = ?", (chunk.row,)).fetchone()
        return int(count)

    def by_sender(self, sender_id: bytes) -> Chunk | None:
        """The chunk with this sender id; its `Chunk.key` is the sender's key. None if no chunk has this sender id."""
        return self._one(
            f"SELECT {_COLUMNS.format(key='chunk.sender_key')} FROM stored_chunk AS chunk WHERE sender_id = ?",
            sender_id,
        )

    def by_recipient(self, recipient_id: bytes) -> Chunk | None:
        """The chunk with this recipient id; its `Chunk.key` is the key of this recipient. None if no chunk has this
        recipient id."""
        return self._one(
            f"SELECT {_COLUMNS.format(key='one.key')} FROM chunk_recipient AS one"
            " JOIN stored_chunk AS chunk ON chunk.row = one.chunk WHERE one.recipient_id = ?",
            recipient_id,
        )

    def _one(self, statement: str, key: bytes) -> Chunk | None:
        with translated("looking for a file"):
            row = self._db.execute(statement, (key,)).fetchone()
        return None if row is None else _chunk(row)

    def arrived(self, chunk: Chunk) -> bool:
        """Records that the bytes of a chunk are on the disk. Returns False if the chunk no longer exists, or if
        its arrival was already recorded."""
        with self._changing("storing a file") as db:
            return (
                db.execute(
                    "UPDATE stored_chunk SET there = 1 WHERE row = ? AND sender_id = ? AND NOT there",
                    (chunk.row, chunk.sender_id),
                ).rowcount
                == 1
            )

    def delete(self, chunks: Sequence[Chunk]) -> list[Chunk]:
        """Removes those of ``chunks`` that still exist, with all their recipients. Returns the removed chunks."""
        removed = []
        with self._changing("removing a file") as db:
            for chunk in chunks:
                now = self.by_sender(chunk.sender_id)  # its bytes may have arrived since the caller looked it up
                if now is not None and now.row == chunk.row:
                    db.execute("DELETE FROM stored_chunk WHERE row = ?", (chunk.row,))
                    removed.append(now)
        return removed

    def forget(self, recipient_id: bytes) -> bool:
        """Removes a recipient. Returns False if no recipient has this id."""
        with self._changing("removing a recipient of a file") as db:
            return db.execute("DELETE FROM chunk_recipient WHERE recipient_id = ?", (recipient_id,)).rowcount == 1

    def old(self, before: int, empty_before: int, limit: int) -> list[Chunk]:
        """Returns the chunks that were registered before the time ``before``. If the bytes of a chunk have not arrived,
        being registered before ``empty_before`` is enough. Returns at most ``limit`` chunks, the oldest first."""
        with translated("looking for old files"):
            rows = self._db.execute(
                f"SELECT {_COLUMNS.format(key='chunk.sender_key')} FROM stored_chunk AS chunk"
                " WHERE made < max(?1, ?2) AND (made < ?1 OR NOT there) ORDER BY made LIMIT ?3",
                (before, empty_before, limit),
            ).fetchall()
        return list(map(_chunk, rows))

    def there(self) -> Iterator[Chunk]:
        """All chunks whose bytes have arrived. Do not change the index before the iterator has ended."""
        with translated("reading the index of files"):
            for row in self._db.execute(
                f"SELECT {_COLUMNS.format(key='chunk.sender_key')} FROM stored_chunk AS chunk WHERE there"
            ):
                yield _chunk(row)

    def see_clock(self, now: int, keep: int) -> bool:
        """Checks the clock, and returns whether old chunks may be removed now. If the clock has jumped since the
        last check (back, or far ahead), they must not be removed for ``keep`` seconds.

        A wrong clock must not cause files to be deleted. And when the computer was off for days, recipients must still
        have the promised time to download. `smpchat.relay.store.SQLiteStore.see_clock` checks the clock for messages.
        """
        with translated("reading the time of the last clock check"):
            found = self._db.execute("SELECT seen, hold FROM file_clock").fetchone()
            (any_chunk,) = self._db.execute("SELECT EXISTS (SELECT 1 FROM stored_chunk)").fetchone()
        if not any_chunk:  # no chunk can be old, so nothing needs to be written
            if found is not None:
                with self._changing("noting the clock") as db:
                    db.execute("DELETE FROM file_clock")
            return True
        seen, hold = found or (now, 0)
        passed = now - seen
        believed = 0 <= passed <= PLAUSIBLE_PAUSE
        hold = max(0, hold - passed) if believed else keep
        with self._changing("noting the clock") as db:
            db.execute("DELETE FROM file_clock")
            db.execute("INSERT INTO file_clock VALUES (?, ?)", (now, hold))
            # Chunks that were registered while the clock was ahead get the present time. Otherwise these chunks would
            # be kept for too long.
            db.execute("UPDATE stored_chunk SET made = ? WHERE made > ?", (now - now % HOUR, now))
        return believed and not hold


def _chunk(row: tuple[Any, ...]) -> Chunk:
    number, sender_id, key, size, digest, there = row
    decode: Callable[[bytes, str], AuthPublicKey] = auth_key.decode
    try:
        return Chunk(number, sender_id, decode(key, "key of a file"), size, digest, bool(there))
    except (DecodeError, TypeError) as error:
        raise RelayStoreError(f"The relay's index of files contains a damaged record (row {number}).") from error
