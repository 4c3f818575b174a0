"""Single requests to a file relay: chunks are registered, uploaded, downloaded and deleted."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from pathlib import Path

from smpchat.agent.context import Context
from smpchat.agent.online.file_bytes import Offload, Writer, digest_of, pieces
from smpchat.agent.online.file_relays import FileRelaySession
from smpchat.agent.store import file_chunks, file_folder, files
from smpchat.agent.store.database import Database
from smpchat.agent.store.file_chunks import Chunk
from smpchat.agent.store.file_deletions import Deletion
from smpchat.agent.store.files import Stage, StoredFile
from smpchat.agent.transactions import files as transactions
from smpchat.agent.transactions.files import Answer
from smpchat.crypto.keys import Ed25519PrivateKey
from smpchat.protocol.address import FileServerAddress
from smpchat.transport.base import TransportError

ChunkKey = tuple[int, int]
"""The number of a file, and the number of a chunk in it."""


class NotWanted(Exception):
    """The file was cancelled or failed while one of its chunks was being transferred."""


class LocalFault(Exception):
    """The ciphertext on this computer's disk cannot be read or written.

    Attributes:
        error: The error with which reading or writing failed.
    """

    def __init__(self, error: OSError | EOFError) -> None:
        self.error = error
        super().__init__(str(error))


class FileChunks:
    """Makes single requests to file relays, each in the session that the caller gives.

    Args:
        progress: Called with the chunk and the number of its bytes that have been transferred so far.
    """

    def __init__(
        self, database: Database, context: Context, offload: Offload, progress: Callable[[ChunkKey, int], None]
    ) -> None:
        self._database = database
        self._context = context
        self._offload = offload
        self._progress = progress

    @property
    def _tx(self) -> sqlite3.Connection:
        return self._database.connection

    def is_wanted(self, file_id: int) -> bool:
        """Whether a file's chunks must still be transferred."""
        file = files.find(self._tx, file_id)
        return file is not None and file.stage is Stage.MOVING

    async def register(
        self, session: FileRelaySession, address: FileServerAddress, file_id: int, numbers: list[int]
    ) -> None:
        """Register some chunks (FNEW), with one commit for all of them.

        Raises:
            RegistrationFailed: The relay did not register a chunk, whose number is in the error. All chunks that come
                before this chunk in ``numbers`` were registered.
        """
        answers: list[Answer] = []
        try:
            for number in numbers:
                one = transactions.prepare(self._tx, self._context, file_id, number)
                if one is None:
                    continue
                try:
                    sender_id, recipient_ids = await session.create(
                        one.sender_key,
                        one.size,
                        one.digest,
                        [key.public() for key in one.recipient_keys],
                        address.password,
                    )
                    if len(recipient_ids) != len(one.recipient_keys):
                        raise TransportError(f"relay {address.server.host} registered too few or too many recipients")
                except Exception as error:
                    raise RegistrationFailed(number) from error
                answers.append(Answer(one, address.server, sender_id, recipient_ids))
        finally:  # registrations that were answered are stored, even if a later one failed
            if answers:
                with self._database.transaction() as tx:
                    transactions.registered(tx, self._context, answers)

    async def move(self, session: FileRelaySession, file: StoredFile, chunk: Chunk) -> None:
        """Upload (FPUT) or download (FGET) a chunk; the caller commits the outcome.

        Raises:
            LocalFault: The disk has failed.
            NotWanted: The file was cancelled meanwhile.
            TransportError, ProtocolError: The relay did not do what it was asked, or the session has ended.
        """
        path = file_folder.local_path(self._database.path.parent, file.local)
        begin = file_chunks.offset(self._tx, file.id, chunk.number)
        if file.sending:
            await self._upload(session, chunk, path, begin)
        else:
            await self._download(session, chunk, path, begin)

    async def _upload(self, session: FileRelaySession, chunk: Chunk, path: Path, begin: int) -> None:
        assert chunk.sender_id is not None and chunk.sender_key is not None
        stopped: list[Exception] = []

        async def body() -> AsyncGenerator[memoryview, None]:
            done = 0
            try:
                async with aclosing(pieces(path, begin, chunk.size, self._offload)) as read:
                    async for piece in read:
                        self._check(chunk)
                        yield piece
                        done += len(piece)
                        self._progress((chunk.file_id, chunk.number), done)
            except NotWanted as error:
                stopped.append(error)
                raise
            except (OSError, EOFError) as error:
                stopped.append(LocalFault(error))
                raise stopped[0] from error

        source = body()
        try:
            await session.put(chunk.sender_id, Ed25519PrivateKey(chunk.sender_key), chunk.size, source)
        except Exception as error:
            if stopped:  # the session may have turned our error into another one
                raise stopped[0] from error
            raise
        finally:
            await source.aclose()

    async def _download(self, session: FileRelaySession, chunk: Chunk, path: Path, begin: int) -> None:
        replica = transactions.asked(self._tx, chunk)
        writer = Writer(path, begin, chunk.size, self._offload)
        done = 0
        try:
            await _locally(writer.open())
            key = Ed25519PrivateKey(replica.key)
            async with aclosing(session.get(replica.replica_id, key, chunk.size, chunk.digest)) as body:
                async for piece in body:
                    self._check(chunk)
                    await _locally(writer.add(piece))
                    done += len(piece)
                    self._progress((chunk.file_id, chunk.number), done)
            await _locally(writer.flush())
        finally:
            writer.close()

    def _check(self, chunk: Chunk) -> None:
        if not self.is_wanted(chunk.file_id):
            raise NotWanted

    async def delete(self, session: FileRelaySession, deletion: Deletion) -> None:
        """Delete a chunk (FDEL); the caller commits the outcome."""
        await session.delete(deletion.sender_id, Ed25519PrivateKey(deletion.sender_key))

    async def is_intact(self, file: StoredFile, chunk: Chunk) -> bool:
        """Whether the bytes of the chunk on our disk still have the chunk's digest."""
        path = file_folder.local_path(self._database.path.parent, file.local)
        begin = file_chunks.offset(self._tx, file.id, chunk.number)
        try:
            return bool(await self._offload(digest_of, path, begin, chunk.size) == chunk.digest)
        except OSError:
            return False


class RegistrationFailed(Exception):
    """A relay did not register a chunk; ``__cause__`` is the relay's error."""

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(f"chunk {number} was not registered")


async def _locally(work: Awaitable[None]) -> None:
    try:
        await work
    except OSError as error:
        raise LocalFault(error) from error
