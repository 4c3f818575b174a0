"""Bytes of chunks between connections and the disk: read, hashed, sealed and written on threads, never on the loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from concurrent.futures import Executor, Future
from itertools import cycle
from typing import BinaryIO, TypeVar

from smpchat.crypto.secretbox import Sealer
from smpchat.relay.errors import RelayStoreError
from smpchat.relay.files.store import FileStore, Upload

T = TypeVar("T")
PIECE = 128 * 1024
"""Bytes that a thread takes at once, two or three of them for each transfer: enough that changing threads costs little,
and not much for each of some hundred transfers."""


class TooLong(Exception):
    """More bytes came than were announced."""


async def receive(store: FileStore, upload: Upload, body: AsyncIterator[memoryview], workers: Executor) -> None:
    """Writes what comes into ``upload`` until it ends; the next piece is filled while one is written.

    Raises:
        TooLong: More came than the chunk has.
        RelayStoreError: It cannot be written.
    Whatever is raised, also by ``body`` or because of a cancellation, the upload has then been discarded.
    """
    writing: Future[None] | None = None
    try:
        buffers = bytearray(PIECE), bytearray(PIECE)
        filled, current, received = 0, 0, 0
        async for data in body:
            received += len(data)
            if received > upload.chunk.size:
                raise TooLong
            while len(data):
                taken = data[: PIECE - filled]
                buffers[current][filled : filled + len(taken)] = taken
                filled += len(taken)
                data = data[len(taken) :]
                if filled == PIECE:
                    if writing is not None:
                        await _done(writing)
                    writing = workers.submit(upload.write, memoryview(buffers[current]))
                    filled, current = 0, 1 - current
        if writing is not None:
            await _done(writing)
        if filled:
            writing = workers.submit(upload.write, memoryview(buffers[current])[:filled])
            await _done(writing)
    except BaseException:
        # After what a thread still writes, or it would write into a file that is closed.
        if writing is None or writing.done():
            workers.submit(store.discard, upload)
        else:
            writing.add_done_callback(lambda _: store.discard(upload))
        raise


async def _done(future: Future[T]) -> T:
    # Shielded: a thread cannot be stopped, and who is cancelled has to know what it still does.
    return await asyncio.shield(asyncio.wrap_future(future))


async def sealed(
    file: BinaryIO, size: int, sealer: Sealer, workers: Executor, whole: Callable[[], None]
) -> AsyncGenerator[memoryview, None]:
    """The bytes of a chunk, sealed, and the tag behind them; the next piece is made while one is sent.

    A piece holds until the next but one is asked for, as the connection looks one ahead to know the last. ``file`` is
    closed at the end, or when this is; ``whole`` is called if all was taken.

    Raises:
        RelayStoreError: The file cannot be read to its end.
    """
    buffers = cycle([memoryview(bytearray(min(size, PIECE))) for _ in range(3)])
    sizes = iter([PIECE] * (size // PIECE) + [size % PIECE] * bool(size % PIECE))

    def begun() -> Future[memoryview] | None:
        wanted = next(sizes, None)
        return None if wanted is None else workers.submit(_make, file, sealer, next(buffers)[:wanted])

    making = begun()
    try:
        while making is not None:
            piece = await _done(making)
            making = begun()
            yield piece
        yield memoryview(sealer.finish())
        whole()
    finally:
        if making is None:
            file.close()
        else:
            making.add_done_callback(lambda _: file.close())


def _make(file: BinaryIO, sealer: Sealer, piece: memoryview) -> memoryview:
    """The next bytes of the file, sealed where they were read."""
    read = 0
    try:
        while read < len(piece):
            count = file.readinto(piece[read:])  # type: ignore[attr-defined]
            if not count:
                raise RelayStoreError("A file is shorter on the disk than it was.")
            read += count
    except OSError as error:
        raise RelayStoreError(f"A file cannot be read: {error}.") from error
    sealer.update(piece, piece)
    return piece
