"""The last steps of receiving a file: it is decrypted to a temporary file in the folder that the user chose, checked as
a whole, and given its final name.

A file of many chunks is decrypted while it is downloaded, up to the first missing chunk, so that both cores of a small
computer have work. The ciphertext is kept until the whole file is decrypted: smpchat may be restarted, or may find a
damaged chunk, and then decrypts from the beginning.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Awaitable, Callable, Collection
from functools import partial
from pathlib import Path
from typing import BinaryIO

from smpchat.agent.context import Context
from smpchat.agent.online.file_bytes import Offload, digest_of
from smpchat.agent.online.tasks import Tasks, is_of_store
from smpchat.agent.store import file_chunks, file_folder, files
from smpchat.agent.store.database import Database
from smpchat.agent.store.files import Problem, Stage, StoredFile
from smpchat.agent.transactions import files as transactions
from smpchat.client.trouble import Trouble
from smpchat.crypto.errors import CryptoError
from smpchat.encoding.reader import DecodeError

log = logging.getLogger("smpchat.agent")

NEXT_TRY_AFTER = 60.0
"""Seconds to wait before the next try, if a file did not fit on this computer's disk."""
MAX_BEGUN = 8
"""At most this many files are decrypted while they are still being downloaded; any others, only once they are
complete."""
STEP = 64 * 1024 * 1024
"""Bytes of one file that are decrypted before another file gets its turn."""


class _Stopped(BaseException):
    """The process ends, or the file need not be decrypted any more. This class is not an `Exception`, so that code that
    handles errors in a file's data does not catch it."""


class _Part:
    """The beginning of a file, decrypted to a temporary file. Its methods run in threads, one at a time, except
    `discard`, which may be called at any time. They raise `OSError`.

    Args:
        path: The temporary file; if an earlier process left one there, it is replaced.
        is_stopped: A function that `read` and `finish` call again and again; if this function returns True, these
            methods raise `_Stopped`.
    """

    def __init__(self, file: StoredFile, path: Path, is_stopped: Callable[[], bool]) -> None:
        from smpchat.xftp.encryption import FileDecryption

        self.path = path
        self._file = file
        self._is_stopped = is_stopped
        path.parent.mkdir(parents=True, exist_ok=True)
        file_folder.check_room(path.parent, file.size)
        file_folder.unpublished(path)
        self._used = threading.Lock()
        self._discarded = False
        self._plain: BinaryIO = file_folder.create_part(path)
        try:
            self._decryption = FileDecryption(self._plain, file.size, file.key, file.nonce, self._check)
        except BaseException:
            self.discard()
            raise

    @property
    def done(self) -> int:
        """Bytes of the ciphertext that have been decrypted."""
        return self._decryption.done

    def is_there(self) -> bool:
        """Whether the temporary file still exists: users may remove it, or its folder."""
        try:
            return os.path.samestat(os.fstat(self._plain.fileno()), self.path.lstat())
        except OSError:
            return False

    def _check(self, done: int) -> None:
        if self._discarded or self._is_stopped():
            raise _Stopped

    def read(self, source: Path, until: int) -> None:
        """Decrypt the ciphertext up to position ``until``, beginning where the last call stopped. After an error, the
        only method that may be called is `discard`."""
        try:
            with self._used, open(source, "rb") as ciphertext:
                self._check(0)
                self._decryption.read(ciphertext, until)
        finally:
            if self._discarded:  # `discard` was called while this thread held the lock
                self.discard()

    def finish(self) -> None:
        """Check the whole file, and close the temporary file. Raises `CryptoError` and `DecodeError`."""
        with self._used:
            self._check(0)
            size = self._decryption.finish(self._file.digest)
            if self._file.plain_size not in (None, size):
                raise DecodeError(f"the file has {size:,} bytes instead of {self._file.plain_size:,}")
            self._plain.close()

    def discard(self) -> None:
        """Remove the temporary file; if a thread is using it, that thread removes it."""
        self._discarded = True
        if self._used.acquire(blocking=False):
            try:
                self._remove()
            finally:
                self._used.release()

    def _remove(self) -> None:
        self._plain.close()
        file_folder.unpublished(self.path)


class FileOpening:
    """Decrypts received files and gives them their final names. The work on each file consists of steps; only one step,
    of any file, runs at a time.

    Args:
        fault: Called if the work on a file fails with an unexpected error; the arguments are the number of the file and
            this error.
        look: Called after each step.
    """

    def __init__(
        self,
        database: Database,
        context: Context,
        offload: Offload,
        tasks: Tasks,
        fault: Callable[[int, BaseException], None],
        look: Callable[[], None],
    ) -> None:
        self._database = database
        self._context = context
        self._offload = offload
        self._tasks = tasks
        self._fault = fault
        self._look = look
        self._working = False
        self._stop = False
        self._begun: dict[int, _Part] = {}
        self._not_ahead: set[int] = set()

    def start(self, now: float) -> None:
        """Start to decrypt more of one file, if any file can be decrypted and no such work is running. Files that are
        complete come first."""
        if self._working:
            return
        for file in files.in_stage(self._database.connection, Stage.OPENING):
            waits = file.problem.next_try_at if file.problem else None
            if waits is None or waits <= now:
                self._begin_step(file, self._open)
                return
        here = file_chunks.gapless(self._database.connection)
        self._forget_but(here)
        ahead = {number: self._ahead(number, size) for number, size in here.items()}
        number = max(ahead, key=ahead.__getitem__, default=0)
        if ahead.get(number):
            file = files.load(self._database.connection, number)
            self._begin_step(file, partial(self._decrypt_ahead, here=here[number]))

    def _begin_step(self, file: StoredFile, step: Callable[[StoredFile], Awaitable[None]]) -> None:
        self._working = True
        self._tasks.spawn(self._step(file, step))

    async def _step(self, file: StoredFile, step: Callable[[StoredFile], Awaitable[None]]) -> None:
        try:
            await step(file)
        except Exception as error:
            if is_of_store(error):
                raise
            self._fault(file.id, error)
        finally:
            self._working = False
            self._look()

    def stop(self) -> None:
        """Make the threads that decrypt files end soon, and remove the temporary files that are not finished."""
        self._stop = True
        self._forget_but(())

    def _forget_but(self, moving: Collection[int]) -> None:
        for number in self._begun.keys() - set(moving):
            self._forget(number)
        self._not_ahead.intersection_update(moving)

    def _ahead(self, file_id: int, here: int) -> int:
        """How many more bytes of a file can be decrypted now. ``here``: how many bytes come before the first missing
        chunk."""
        part = self._begun.get(file_id)
        if self._stop or file_id in self._not_ahead or (part is None and len(self._begun) >= MAX_BEGUN):
            return 0
        return here - (part.done if part else 0)

    async def _decrypt_ahead(self, file: StoredFile, here: int) -> None:
        """Decrypt some of a file that is being downloaded. Errors are only logged here: `_open` decrypts the complete
        file later, and reports errors to the user then."""
        try:
            await self._offload(self._read_ahead, file, here)
        except _Stopped:
            return
        except (OSError, CryptoError, DecodeError) as error:
            log.info("file %d cannot be decrypted while it is being downloaded: %s", file.id, error)
            self._not_ahead.add(file.id)

    def _read_ahead(self, file: StoredFile, here: int) -> None:
        try:
            part = self._begun.get(file.id) or self._begin(file)
            part.read(self._source(file), min(here, part.done + STEP))
        except BaseException:
            self._forget(file.id)
            raise

    def _forget(self, file_id: int) -> None:
        part = self._begun.pop(file_id, None)
        if part is not None:
            part.discard()

    def _begin(self, file: StoredFile) -> _Part:
        assert file.target is not None
        part = _Part(file, file_folder.part_path(file.target, file.local), lambda: self._stop)
        self._begun[file.id] = part
        return part

    def _source(self, file: StoredFile) -> Path:
        return file_folder.local_path(self._database.path.parent, file.local)

    async def _open(self, file: StoredFile) -> None:
        """Decrypt a downloaded file, and give it its final name. If this fails because chunks are damaged, they are
        downloaded again; if it fails because the file cannot be written, writing is tried again later; else the file
        is given up."""
        source = self._source(file)
        assert file.target is not None
        part = file_folder.part_path(file.target, file.local)
        try:
            path, known = await self._offload(self._decrypted, file, source, part, file.target)
        except _Stopped:
            return
        except OSError as error:
            if source.exists():
                self._hold(file, error)
            else:  # the user cleared the folder, or restored the profile from a copy: download everything again
                await self._damaged(file, source, error)
            return
        except (CryptoError, DecodeError) as error:
            await self._damaged(file, source, error)
            return
        with self._database.transaction() as tx:
            wanted = transactions.opened(tx, self._context, file.id, path)
        # From here on, this function must not ``await``: a command that waits for the file has been woken by the
        # commit, and may end this process as soon as this function awaits something.
        if not wanted:
            file_folder.retract(path, known)
        file_folder.unpublished(part)
        transactions.sweep(self._database)

    def _decrypted(self, file: StoredFile, source: Path, part: Path, target: Path) -> tuple[Path, tuple[int, int]]:
        """Decrypt the file, check it, and give it its final name; runs in a thread.

        Returns:
            The path of the decrypted file, and the file's `file_folder.identity`, which differs from that of any later
            file at the same path.
        """
        published = file_folder.find_published(part, target)  # an earlier process did all this, but did not commit it
        if published is not None:
            return published, file_folder.identity(published)
        begun = self._begun.get(file.id)
        if begun is not None and not begun.is_there():
            self._forget(file.id)
            begun = None
        begun = begun or self._begin(file)
        del self._begun[file.id]  # from here on, only this thread discards the part
        try:
            begun.read(source, file.size)
            begun.finish()
            path = file_folder.publish(part, target)
            return path, file_folder.identity(path)
        except BaseException:
            begun.discard()
            raise

    async def _damaged(self, file: StoredFile, source: Path, error: Exception) -> None:
        """The file does not match its description. If some chunks are damaged, have them downloaded again; if no chunk
        is damaged, give up the file."""
        log.info("file %d cannot be opened: %s", file.id, error)
        bad = await self._offload(
            self._damaged_chunks, file, source, file_chunks.chunks(self._database.connection, file.id)
        )
        with self._database.transaction() as tx:
            if bad:
                transactions.spoilt(
                    tx, self._context, file.id, bad, "the downloaded data is damaged on this computer's disk"
                )
            else:
                transactions.fail(tx, self._context, file.id, Problem(Trouble.DAMAGED, str(error), self._context.now()))
        transactions.sweep(self._database)

    @staticmethod
    def _damaged_chunks(file: StoredFile, source: Path, chunks: list[file_chunks.Chunk]) -> list[int]:
        bad, begin = [], 0
        for chunk in chunks:
            try:
                intact = digest_of(source, begin, chunk.size) == chunk.digest
            except OSError:
                intact = False
            if not intact:
                bad.append(chunk.number)
            begin += chunk.size
        return bad

    def _hold(self, file: StoredFile, error: OSError) -> None:
        now = self._context.now()
        reason = error.strerror or str(error)
        with self._database.transaction() as tx:
            problem = Problem(Trouble.CANNOT_WRITE, reason, now, now + NEXT_TRY_AFTER)
            transactions.hold(tx, file.id, problem)
