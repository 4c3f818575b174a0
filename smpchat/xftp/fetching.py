"""Downloads a whole file, with nothing but its description: gets every chunk in order, from any relay that has the
chunk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import BinaryIO, Protocol

from smpchat.crypto.keys import Ed25519PrivateKey
from smpchat.protocol.address import FileServer
from smpchat.protocol.errors import ProtocolError
from smpchat.protocol.xftp.errors import XFTPError
from smpchat.transport.base import TransportError
from smpchat.xftp.chunks import digest_of
from smpchat.xftp.description import DescribedChunk, FileDescription

REST = 2.0
"""Seconds to wait before relays are asked for a chunk a second time; before the third time, we wait twice as long."""
TRIES = 3
"""Maximum number of tries to get a chunk. In each try, all relays that may have the chunk are asked."""
_FOR_GOOD = frozenset({"AUTH", "BLOCKED", "NO_FILE"})
"""Errors for which another try is useless: the relay would answer the same again."""


class Session(Protocol):
    """The part of `smpchat.xftp.session.FileSession` that this module uses."""

    @property
    def closed(self) -> asyncio.Event:
        """An event, which is set when the session has ended."""
        ...

    def get(
        self, recipient_id: bytes, recipient_key: Ed25519PrivateKey, size: int, digest: bytes
    ) -> AsyncGenerator[memoryview, None]:
        """Download a chunk. Raises `TransportError` and `ProtocolError`."""
        ...

    async def close(self) -> None:
        """End the session."""
        ...


class NotFetched(Exception):
    """A chunk could not be downloaded from any relay.

    Attributes:
        server: The relay that was tried last.
        error: Why this last try failed.
    """

    def __init__(self, server: FileServer, error: TransportError | ProtocolError) -> None:
        self.server, self.error = server, error
        super().__init__(str(error))


def has_chunk(target: BinaryIO, chunk: DescribedChunk, begin: int) -> bool:
    """Whether the file ``target`` already contains the bytes of ``chunk`` at position ``begin``. Blocks the calling
    thread. Raises `OSError`."""
    return digest_of(target, begin, chunk.size) == chunk.digest


class _Fetch:
    def __init__(
        self, target: BinaryIO, connect: Callable[[FileServer], Awaitable[Session]], progress: Callable[[int], object]
    ) -> None:
        self._target, self._connect, self._progress = target, connect, progress
        self._sessions: dict[FileServer, Session] = {}

    async def chunk(self, chunk: DescribedChunk, begin: int) -> None:
        left, failed = list(chunk.replicas), None
        for attempt in range(TRIES):
            if attempt and left:
                await asyncio.sleep(REST * attempt)
            for replica in tuple(left):
                try:
                    session = await self._session(replica.server)
                    pieces = session.get(replica.replica_id, replica.key, chunk.size, chunk.digest)
                    await self._write(pieces, begin)
                except (TransportError, ProtocolError) as error:
                    failed = NotFetched(replica.server, error)
                    if isinstance(error, XFTPError) and error.code.words[0] in _FOR_GOOD:
                        left.remove(replica)
                    else:
                        await self._drop(replica.server)
                else:
                    return
        assert failed is not None  # every chunk of a description has at least one replica
        raise failed from failed.error

    async def _write(self, pieces: AsyncGenerator[memoryview, None], begin: int) -> None:
        async with aclosing(pieces):
            at = begin
            async for piece in pieces:
                await asyncio.to_thread(self._put, at, piece)
                at += len(piece)
                self._progress(at)

    def _put(self, at: int, piece: memoryview) -> None:
        self._target.seek(at)
        self._target.write(piece)

    async def _session(self, server: FileServer) -> Session:
        session = self._sessions.get(server)
        if session is None or session.closed.is_set():
            session = self._sessions[server] = await self._connect(server)
        return session

    async def _drop(self, server: FileServer) -> None:
        session = self._sessions.pop(server, None)
        if session is not None:
            await session.close()

    async def close(self) -> None:
        for server in tuple(self._sessions):
            await self._drop(server)


async def fetch(
    description: FileDescription,
    target: BinaryIO,
    connect: Callable[[FileServer], Awaitable[Session]],
    progress: Callable[[int], object] = lambda done: None,
) -> None:
    """Download the encrypted file to which a description belongs, except the chunks that are already in ``target``.

    Args:
        target: The encrypted file is written here. When `fetch` returns, every chunk has the right digest.
        connect: Opens a session. Raises `TransportError` and `ProtocolError`.
        progress: Called with the number of bytes of the encrypted file that ``target`` contains so far.
    Raises:
        NotFetched: One of the chunks could not be downloaded from any relay.
        OSError: ``target`` cannot be written.
    """
    work, begin = _Fetch(target, connect, progress), 0
    try:
        for chunk in description.chunks:
            if await asyncio.to_thread(has_chunk, target, chunk, begin):
                progress(begin + chunk.size)
            else:
                await work.chunk(chunk, begin)
            begin += chunk.size
    finally:
        await work.close()
