"""The last step of receiving a file: it is checked as a whole, decrypted to a temporary file beside its place, and
moved there."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from smpchat.agent.context import Context
from smpchat.agent.online.file_bytes import Offload, digest_of
from smpchat.agent.store import file_chunks, file_folder
from smpchat.agent.store.database import Database
from smpchat.agent.store.files import Problem, StoredFile
from smpchat.agent.transactions import files as transactions
from smpchat.client.trouble import Trouble
from smpchat.crypto.errors import CryptoError
from smpchat.encoding.reader import DecodeError

log = logging.getLogger("smpchat.agent")

NEXT_TRY_AFTER = 60.0
"""Seconds to wait before the next try, if a file did not fit on this computer's disk."""


class _Stopped(BaseException):
    """The process ends. This is not an `Exception`, so that no code in between takes it for a fault of the file."""


class FileOpening:
    """Opens one file after the other."""

    def __init__(self, database: Database, context: Context, offload: Offload) -> None:
        self._database = database
        self._context = context
        self._offload = offload
        self._stop = False

    def stop(self) -> None:
        """Make running threads end soon. Their unfinished files are removed."""
        self._stop = True

    async def open(self, file: StoredFile) -> None:
        """Move the file to its place. If that is impossible, have damaged chunks downloaded again, wait for the disk,
        or fail."""
        profile = self._database.path.parent
        source = file_folder.local_path(profile, file.local)
        assert file.target is not None
        part = file_folder.part_path(file.target, file.local)
        try:
            path, known = await self._offload(self._decrypted, file, source, part, file.target)
        except _Stopped:
            return
        except OSError as error:
            if source.exists():
                self._hold(file, error)
            else:  # the user has cleared the folder, or restored the profile from a copy: fetch all of it again
                await self._damaged(file, source, error)
            return
        except (CryptoError, DecodeError) as error:
            await self._damaged(file, source, error)
            return
        with self._database.transaction() as tx:
            wanted = transactions.opened(tx, self._context, file.id, path)
        # Not in a thread: a command that waited for the file may end this process at the next moment.
        if not wanted:
            file_folder.retract(path, known)
        file_folder.unpublished(part)
        transactions.sweep(self._database)

    def _decrypted(self, file: StoredFile, source: Path, part: Path, target: Path) -> tuple[Path, tuple[int, int]]:
        """Runs in a thread. Returns where the file is now, and its identity there."""
        published = file_folder.find_published(part, target)  # a process published it, but died before its commit
        if published is not None:
            return published, file_folder.identity(published)
        target.parent.mkdir(parents=True, exist_ok=True)
        file_folder.check_room(target.parent, file.size)
        file_folder.unpublished(part)
        try:
            decrypt(source, part, file, self._continue)
            path = file_folder.publish(part, target)
            return path, file_folder.identity(path)
        except BaseException:
            file_folder.unpublished(part)
            raise

    def _continue(self, *_: int) -> None:
        if self._stop:
            raise _Stopped

    async def _damaged(self, file: StoredFile, source: Path, error: Exception) -> None:
        """The file does not match its description. If some chunks are damaged, they are downloaded again."""
        log.info("file %d cannot be opened: %s", file.id, error)
        bad = await self._offload(
            self._damaged_chunks, file, source, file_chunks.chunks(self._database.connection, file.id)
        )
        with self._database.transaction() as tx:
            if bad:
                transactions.spoilt(tx, self._context, file.id, bad, "what was downloaded is damaged on this disk")
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


def decrypt(source: Path, part: Path, file: StoredFile, progress: Callable[[int], None]) -> None:
    """Check and decrypt a whole file. Raises `OSError`, `CryptoError`, `DecodeError`."""
    from smpchat.xftp.encryption import decrypt_file

    with open(source, "rb") as ciphertext, file_folder.create_part(part) as plain:
        size = decrypt_file(ciphertext, plain, file.key, file.nonce, file.digest, progress)
    if file.plain_size not in (None, size):
        raise DecodeError(f"the file has {size:,} bytes instead of {file.plain_size:,}")
