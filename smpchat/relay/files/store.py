"""Keeps the chunks of files on the disk, with an index and a quota.

::

    index.db       the index (`smpchat.relay.files.index`)
    chunks/NAME    a chunk that has arrived; NAME is its sender id in hexadecimal
    incoming/NAME  a chunk that is being received; NAME is random

The process may be killed at any point, because a chunk is stored in this order: its bytes are written to ``incoming``,
compared with the digest, made durable, and moved to ``chunks``; then the index records that the chunk has arrived; then
the sender gets OK. To remove a chunk, it is removed from the index first, and then its file is deleted. So a file that
is not in the index was left by an upload or a removal that was interrupted. Opening a `FileStore` deletes such files.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import secrets
import shutil
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from smpchat.relay.errors import RelayStoreError
from smpchat.relay.files.counters import FileCounts, FileSize
from smpchat.relay.files.index import HOUR, FileIndex
from smpchat.relay.files.limits import FileLimits
from smpchat.relay.files.records import Chunk, NewChunk, NewRecipient

INDEX, CHUNKS, INCOMING = "index.db", "chunks", "incoming"
_STEP = 200
"""Maximum number of chunks that one call removes, so that calls are short."""

_log = logging.getLogger("smpchat.relay")


class Gone(Exception):
    """The chunk was removed while its command was executed: by its sender, or because it expired."""


class WrongDigest(Exception):
    """The uploaded bytes do not match the size and digest in FNEW."""


class Upload:
    """The bytes of a chunk that is being received. `FileStore.begin` makes an upload; `FileStore.finish` or
    `FileStore.discard` ends it.

    `write` may be called from any thread, but only one call at a time.
    """

    def __init__(self, chunk: Chunk, path: Path, file: BinaryIO) -> None:
        self.chunk = chunk
        self.path = path
        self.file = file
        self.received = 0
        self._digest = hashlib.sha256()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Appends bytes. The caller must not append more than the chunk's size. Raises `RelayStoreError`."""
        if self.received + len(data) > self.chunk.size:
            raise ValueError("more bytes were uploaded than the chunk has")
        left = memoryview(data)
        try:
            while left:
                left = left[self.file.write(left) :]  # `write` may write less, for example if the disk is nearly full
        except OSError as error:
            raise RelayStoreError(f"A file cannot be stored: {error}.") from error
        self._digest.update(data)
        self.received += len(data)

    def is_right(self) -> bool:
        """Whether all bytes have arrived, and match the digest."""
        return self.received == self.chunk.size and hmac.compare_digest(self._digest.digest(), self.chunk.digest)


class FileStore:
    """The chunks in ``folder``, which is created at its first use. Opening the store deletes the files that were
    left there by uploads and removals that were interrupted.

    `begin`, `reserve`, `make_durable`, `discard`, `is_there`, `open_chunk` and `measure` may be called from any thread.
    Only the event loop calls `fetched`. All other methods use the index, so only one thread at a time may call them.

    Raises:
        RelayStoreError: The folder or the index in it cannot be used.
    """

    def __init__(self, folder: Path, limits: FileLimits) -> None:
        self._folder, self._limits = folder, limits
        self._chunks, self._incoming = folder / CHUNKS, folder / INCOMING
        self.counts = FileCounts()
        self._lock = threading.Lock()  # protects the following attributes
        self._reserved = 0
        self._failed: set[Path] = set()  # files that could not be deleted; we try again later
        try:
            for path in (folder, self._chunks, self._incoming):
                path.mkdir(mode=0o700, exist_ok=True)
            self._index = FileIndex(folder / INDEX)
            try:
                _sync_folder(folder)
                _sync_folder(folder.parent)
                self._sweep()
                self._count, self._stored = self._index.totals()
            except BaseException:
                self._index.close()
                raise
        except OSError as error:
            raise RelayStoreError(f"The relay's folder for files cannot be used: {error}.") from error

    def _sweep(self) -> None:
        """Deletes files that are not in the index. Removes a chunk from the index if its file is missing or
        incomplete."""
        for path in self._incoming.iterdir():
            path.unlink()
        on_disk = {entry.name: entry.stat().st_size for entry in os.scandir(self._chunks)}
        lost: list[Chunk] = []
        for chunk in self._index.there():
            if on_disk.pop(_name(chunk), None) != chunk.size:
                lost.append(chunk)
        for name in on_disk:
            (self._chunks / name).unlink()
        for start in range(0, len(lost), _STEP):
            for chunk in self._index.delete(lost[start : start + _STEP]):
                (self._chunks / _name(chunk)).unlink(missing_ok=True)
        if lost:
            _log.error("%d chunks of files are missing on the disk, and were removed from the index", len(lost))

    def close(self) -> None:
        """Closes the index. May be repeated."""
        self._index.close()

    # --- room --------------------------------------------------------------------------------------------------------

    def has_room(self) -> bool:
        """Whether index and disk have room to register another chunk, or to add recipients."""
        return self._index.size() < self._limits.index and self._disk_has(0)

    def _disk_has(self, size: int) -> bool:
        with suppress(OSError):  # if this fails, the next write will report the error
            return shutil.disk_usage(self._folder).free >= self._limits.free + size
        return True

    def reserve(self, size: int) -> bool:
        """Reserves ``size`` bytes of the quota. Returns False, and reserves nothing, if the quota or the disk
        has too little room."""
        with self._lock:
            if self._stored + self._reserved + size > self._limits.quota or not self._disk_has(self._reserved + size):
                return False
            self._reserved += size
            return True

    def measure(self) -> FileSize:
        """The number and size of the stored chunks, the reserved bytes, and the quota."""
        with self._lock:
            return FileSize(self._count, self._stored, self._reserved, self._limits.quota)

    # --- registering -------------------------------------------------------------------------------------------------

    def create(self, new: NewChunk, now: int) -> None:
        """See `FileIndex.create`."""
        self._index.create(new, now)
        self.counts.created += 1

    def add(self, chunk: Chunk, recipients: Sequence[NewRecipient]) -> bool:
        """Adds recipients to a chunk. Returns False if the chunk would have too many recipients. Raises `Gone`."""
        if self._index.recipients(chunk) + len(recipients) > self._limits.recipients:
            return False
        if not self._index.add(chunk, recipients):
            raise Gone
        return True

    def by_sender(self, sender_id: bytes) -> Chunk | None:
        """See `FileIndex.by_sender`."""
        return self._index.by_sender(sender_id)

    def by_recipient(self, recipient_id: bytes) -> Chunk | None:
        """See `FileIndex.by_recipient`."""
        return self._index.by_recipient(recipient_id)

    def is_there(self, chunk: Chunk) -> bool:
        """Whether the bytes of a chunk have arrived."""
        # Check the disk too: the index may contain a chunk without its file, if a commit raised an error although it
        # succeeded.
        return chunk.there and (self._chunks / _name(chunk)).exists()

    # --- bytes in ----------------------------------------------------------------------------------------------------

    def begin(self, chunk: Chunk) -> Upload | None:
        """Reserves room for the bytes of a chunk, and opens a new file for them. Returns None if there is not enough
        room.

        Raises:
            RelayStoreError: The new file cannot be opened. No room is reserved.
        """
        if not self.reserve(chunk.size):
            return None
        path = self._incoming / secrets.token_hex(16)
        try:
            file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb", buffering=0)
        except OSError as error:
            self._give_back(chunk.size)
            raise RelayStoreError(f"A file cannot be stored: {error}.") from error
        return Upload(chunk, path, file)

    def make_durable(self, upload: Upload) -> None:
        """Checks the digest of the uploaded bytes, and waits until the bytes are on the disk.

        Raises:
            WrongDigest: The bytes do not match the digest: call `discard`.
            RelayStoreError: The disk failed: call `discard`.
        """
        if not upload.is_right():
            raise WrongDigest
        try:
            os.fsync(upload.file.fileno())
            upload.file.close()
        except OSError as error:
            raise RelayStoreError(f"A file cannot be stored: {error}.") from error

    def finish(self, upload: Upload) -> None:
        """Moves a durable chunk from ``incoming`` to ``chunks``, and records in the index that it has arrived. The
        sender must not get OK before this method returns. If the method raises, it has discarded the uploaded bytes.

        Raises:
            Gone: The chunk was removed while its bytes were uploaded.
            RelayStoreError: The file cannot be moved, or the index cannot be changed.
        """
        chunk, path = upload.chunk, self._chunks / _name(upload.chunk)
        try:
            present = self._index.by_sender(chunk.sender_id)
        except RelayStoreError:
            self.discard(upload)
            raise
        if present is None:
            self.discard(upload)
            raise Gone
        if self.is_there(present):  # the chunk was uploaded twice at the same time, and the other upload was faster
            self.discard(upload)
            return
        try:
            upload.path.replace(path)
            _sync_folder(self._chunks)
            self._index.arrived(chunk)
        except (OSError, RelayStoreError) as error:
            self._remove(path)
            self.discard(upload)
            if isinstance(error, RelayStoreError):
                raise
            raise RelayStoreError(f"A file cannot be stored: {error}.") from error
        with self._lock:
            self._reserved -= chunk.size
            if not present.there:
                self._stored += chunk.size
                self._count += 1
        self.counts.uploads += 1
        self.counts.bytes_in += chunk.size

    def discard(self, upload: Upload) -> None:
        """Ends an upload without storing the chunk: deletes the uploaded bytes, and frees the room reserved for the
        chunk."""
        with suppress(OSError):  # the disk has failed, which was reported already
            upload.file.close()
        self._remove(upload.path)
        self._give_back(upload.chunk.size)

    def _give_back(self, size: int) -> None:
        with self._lock:
            self._reserved -= size

    # --- bytes out ---------------------------------------------------------------------------------------------------

    def open_chunk(self, chunk: Chunk) -> BinaryIO:
        """Opens the file of a chunk. The open file can be read to its end even if the chunk is removed meanwhile.

        Raises:
            Gone: The file no longer exists, because the chunk was removed after it was looked up.
            RelayStoreError: The file of the chunk cannot be opened.
        """
        try:
            return (self._chunks / _name(chunk)).open("rb", buffering=0)
        except FileNotFoundError:
            raise Gone from None
        except OSError as error:
            raise RelayStoreError(f"A file cannot be read: {error}.") from error

    def fetched(self, chunk: Chunk) -> None:
        """Counts a complete download."""
        self.counts.downloads += 1
        self.counts.bytes_out += chunk.size

    # --- removing ----------------------------------------------------------------------------------------------------

    def delete(self, chunk: Chunk) -> bool:
        """Removes a chunk with all its recipients. Returns False if the chunk was already removed."""
        removed = self._index.delete([chunk])
        self._drop(removed)
        self.counts.deleted += len(removed)
        return bool(removed)

    def forget(self, recipient_id: bytes) -> bool:
        """See `FileIndex.forget`."""
        return self._index.forget(recipient_id)

    def _drop(self, removed: Sequence[Chunk]) -> None:
        for chunk in removed:
            if chunk.there:
                self._remove(self._chunks / _name(chunk))
                with self._lock:
                    self._stored -= chunk.size
                    self._count -= 1

    def _remove(self, path: Path) -> None:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:  # Windows cannot delete a file that is being read
            _log.warning("a file cannot be removed yet: %s", error.strerror)
            with self._lock:
                self._failed.add(path)

    def expire(self, now: int) -> bool:
        """Removes chunks that are too old, but only a limited number in one call. Returns whether more of them may be
        left. ``now``: POSIX seconds."""
        with self._lock:
            failed, self._failed = self._failed, set()
        for path in failed:
            self._remove(path)
        if not self._index.see_clock(now, self._limits.keep):
            return False
        dated = now - HOUR  # because the times of chunks are rounded down to the hour
        old = self._index.old(dated - self._limits.keep, dated - self._limits.keep_empty, _STEP)
        removed = self._index.delete(old) if old else []
        self._drop(removed)
        self.counts.expired += len(removed)
        return len(old) == _STEP


def _name(chunk: Chunk) -> str:
    return chunk.sender_id.hex()


def _sync_folder(folder: Path) -> None:
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
