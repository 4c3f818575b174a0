"""Moves chunks between connections and the disk. Threads read, hash, encrypt and write the bytes; the event loop does
none of this.

A thread cannot be stopped. So if a transfer is cancelled while a thread handles a piece of the chunk, the thread first
finishes this piece. Then the file is closed. If the transfer was an upload, its room in the quota is freed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor, Future
from typing import BinaryIO, TypeVar

from smpchat.crypto.secretbox import Sealer
from smpchat.encoding.reader import Buffer
from smpchat.relay.errors import RelayStoreError
from smpchat.relay.files.records import Chunk
from smpchat.relay.files.store import FileStore, Upload

T = TypeVar("T")
PIECE = 128 * 1024
"""Number of bytes that a thread handles at a time, called a piece. Each transfer needs memory for two or three pieces,
so even hundreds of transfers need little memory."""
LARGE_PIECE = 512 * 1024
"""The size of a piece if there are only a few transfers: fewer switches of threads save a fifth of the CPU time."""
MAX_LARGE = 16
"""Maximum number of transfers that use large pieces at the same time."""


class Pieces:
    """Decides how many bytes the pieces of each transfer have: only a few transfers at a time get large pieces."""

    def __init__(self) -> None:
        self._large = 0

    def take(self) -> int:
        """Returns the size of the pieces of a new transfer, in bytes. Call `give_back` when the transfer ends."""
        if self._large >= MAX_LARGE:
            return PIECE
        self._large += 1
        return LARGE_PIECE

    def give_back(self, piece: int) -> None:
        """Call this when a transfer ends, with the size that `take` returned for it."""
        self._large -= piece == LARGE_PIECE


class TooLong(Exception):
    """More bytes arrived than the chunk's size in FNEW."""


async def _done(future: Future[T]) -> T:
    return await asyncio.shield(asyncio.wrap_future(future))


async def passed_over(body: AsyncIterator[memoryview], size: int) -> None:
    """Reads the body of a request and drops it. Raises `TooLong` if the body has more than ``size`` bytes."""
    received = 0
    async for data in body:
        received += len(data)
        if received > size:
            raise TooLong


class Reception:
    """The upload of one chunk. The caller must always call `end`, even after an error.

    Args:
        piece: Number of bytes that a thread writes at a time.
    """

    def __init__(self, store: FileStore, chunk: Chunk, workers: Executor, piece: int = PIECE) -> None:
        self._store = store
        self._chunk = chunk
        self._workers = workers
        self._piece = min(piece, chunk.size)
        self._upload: Upload | None = None
        self._last: Future[None] | None = None  # the call that a thread executes now, or executed last

    def _begin(self) -> None:
        self._upload = self._store.begin(self._chunk)

    async def _work(self, call: Callable[..., None], *arguments: object) -> None:
        self._last = self._workers.submit(call, *arguments)
        await _done(self._last)

    async def begin(self) -> bool:
        """Reserves room for the chunk. Returns False if there is not enough room. Raises `RelayStoreError`."""
        await self._work(self._begin)
        return self._upload is not None

    async def receive(self, body: AsyncIterator[memoryview]) -> int:
        """Writes all bytes that arrive, and returns their number. While one piece is written, the next one is received.

        Raises:
            TooLong: More bytes arrived than the chunk's size.
            RelayStoreError: Writing failed.
        """
        upload = self._upload
        assert upload is not None
        size = self._piece
        buffers = memoryview(bytearray(size)), memoryview(bytearray(size))
        filled, current, received = 0, 0, 0
        writing: Future[None] | None = None
        async for data in body:
            received += len(data)
            if received > self._chunk.size:
                raise TooLong
            while len(data):
                taken = data[: size - filled]
                buffers[current][filled : filled + len(taken)] = taken
                filled += len(taken)
                data = data[len(taken) :]
                if filled == size:
                    if writing is not None:
                        await _done(writing)
                    self._last = writing = self._workers.submit(upload.write, buffers[current])
                    filled, current = 0, 1 - current
        if writing is not None:
            await _done(writing)
        await self._work(upload.write, buffers[current][:filled])
        return received

    async def make_durable(self) -> None:
        """See `FileStore.make_durable`."""
        await self._work(self._store.make_durable, self._upload)

    def finished(self) -> Upload:
        """The upload, which the caller must now give to `FileStore.finish`."""
        upload, self._upload = self._upload, None
        assert upload is not None
        return upload

    async def end(self) -> None:
        """Waits until no thread writes any more. Then discards the uploaded bytes, unless `finished` was called."""
        ended: Future[None] = Future()

        def drop(_: object = None) -> None:
            upload, self._upload = self._upload, None
            if upload is not None:
                self._store.discard(upload)
            ended.set_result(None)

        if self._last is not None and not self._last.done():
            self._last.add_done_callback(drop)
        elif self._upload is not None:
            self._workers.submit(drop)
        else:
            return
        await _done(ended)


async def opened(store: FileStore, chunk: Chunk, workers: Executor) -> BinaryIO:
    """See `FileStore.open_chunk`."""
    future = workers.submit(store.open_chunk, chunk)
    try:
        return await _done(future)
    except asyncio.CancelledError:
        future.add_done_callback(lambda late: None if late.exception() else late.result().close())
        raise


class Download:
    """The answer to a download: a block, the encrypted bytes of the chunk, and the tag.

    While the connection sends a piece, a thread makes the next one. Before the connection sends a piece, it must
    know whether this is the last one, and asks for the next. So three pieces are in memory at a time: one that is being
    sent, one that will be sent next, and one that is being made.

    Args:
        block: The block to send before the chunk.
        file: The file of the chunk; `close` closes it.
        whole: Called when the iterator ends, after it has returned the block, all pieces and the tag.
        closed: Called by `close`.
        piece: Number of bytes that a thread reads and encrypts at a time.
    """

    def __init__(
        self,
        block: bytes,
        file: BinaryIO,
        size: int,
        sealer: Sealer,
        workers: Executor,
        whole: Callable[[], None],
        *,
        closed: Callable[[], None] = lambda: None,
        piece: int = PIECE,
    ) -> None:
        self._block: bytes | None = block
        self._file = file
        self._left = size
        self._sealer: Sealer | None = sealer
        self._workers = workers
        self._whole = whole
        self._closed = closed
        self._piece = min(size, piece)
        self._buffers = deque(memoryview(bytearray(self._piece)) for _ in range(3))
        self._making: Future[memoryview] | None = None

    def __aiter__(self) -> Download:
        return self

    async def __anext__(self) -> Buffer:
        """The next bytes to send: the block, a piece of the chunk, or the tag. Raises `RelayStoreError` if the file
        cannot be read to its end."""
        if self._block is not None:
            block, self._block = self._block, None
            self._begin()
            return block
        if self._making is not None:
            piece = await _done(self._making)
            self._begin()
            return piece
        if self._sealer is not None:
            tag, self._sealer = self._sealer.finish(), None
            return memoryview(tag)
        self._whole()
        raise StopAsyncIteration

    def _begin(self) -> None:
        if not self._left or self._sealer is None:
            self._making = None
            return
        buffer = self._buffers[0]
        self._buffers.rotate(-1)
        size = min(self._left, self._piece)
        self._left -= size
        self._making = self._workers.submit(_make, self._file, self._sealer, buffer[:size])

    def close(self) -> None:
        """Closes the file when no thread reads it any more. Call this only once."""
        self._closed()
        if self._making is None or self._making.done():
            self._file.close()
        else:
            self._making.add_done_callback(lambda _: self._file.close())


def _make(file: BinaryIO, sealer: Sealer, piece: memoryview) -> memoryview:
    """Read the next bytes of the file into ``piece``, and encrypt them in place."""
    read = 0
    try:
        while read < len(piece):
            count = file.readinto(piece[read:])  # type: ignore[attr-defined]
            if not count:
                raise RelayStoreError("A stored chunk became shorter on the disk.")
            read += count
    except OSError as error:
        raise RelayStoreError(f"A file cannot be read: {error}.") from error
    sealer.update(piece, piece)
    return piece
