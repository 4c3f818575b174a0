"""Reads and writes the ciphertext of files on this computer's disk, in threads, so that messages never wait for the
disk."""

from __future__ import annotations

import asyncio
import errno
import itertools
import os
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable
from io import FileIO
from pathlib import Path
from typing import Any, Protocol, TypeVar

from smpchat.agent.store import file_folder
from smpchat.xftp import chunks

T = TypeVar("T")

PIECE = 256 * 1024
"""Bytes of a chunk that are collected before they are written to the disk."""
READ_PIECE = 1024 * 1024
"""Bytes that are read at once for an upload. Smaller pieces would be slower: handing work to a thread takes as long as
reading 256 KiB."""


class Offload(Protocol):
    """Runs blocking work in another thread, as `to_thread` does; in most tests, `in_place` runs the work directly."""

    def __call__(self, function: Callable[..., T], /, *arguments: Any) -> Awaitable[T]:
        """Returns what ``function`` returns, and raises what it raises."""
        ...


async def to_thread(function: Callable[..., T], /, *arguments: Any) -> T:
    """Runs the function in a thread."""
    return await asyncio.to_thread(function, *arguments)


async def in_place(function: Callable[..., T], /, *arguments: Any) -> T:
    """Runs the function directly, for event loops with simulated time."""
    return function(*arguments)


class _Disk:
    """A file that threads read or write. A thread cannot be stopped, so the file is closed only when no thread is using
    it. Otherwise the system could give the file's descriptor to another file while the thread still uses the
    descriptor.

    Args:
        open_file: Called in a thread, when the file is first used; returns the opened file.
    """

    def __init__(self, open_file: Callable[[], FileIO]) -> None:
        self._open_file = open_file
        self._file: FileIO | None = None
        self._used = threading.Lock()
        self._closed = False

    def read(self, begin: int, view: memoryview) -> int:
        """For a thread: fill ``view`` from the file, and return the number of bytes read. Raises `OSError`."""
        return self._use(lambda file: (file.seek(begin), file.readinto(view) or 0)[1])

    def write(self, begin: int, view: memoryview) -> None:
        """For a thread: write all of ``view`` to the file. Raises `OSError`."""

        def work(file: FileIO) -> None:
            file.seek(begin)
            left = view
            while left:
                left = left[file.write(left) :]

        self._use(work)

    def forget(self, begin: int, size: int) -> None:
        """For a thread: tell the operating system that these bytes will not be read again, so it need not keep them in
        memory."""
        if hasattr(os, "posix_fadvise"):
            self._use(lambda file: os.posix_fadvise(file.fileno(), begin, size, os.POSIX_FADV_DONTNEED))

    def _use(self, work: Callable[[FileIO], T]) -> T:
        try:
            with self._used:
                if self._closed:
                    raise OSError(errno.EBADF, os.strerror(errno.EBADF))
                if self._file is None:
                    self._file = self._open_file()
                return work(self._file)
        finally:
            if self._closed:
                self.close()

    def close(self) -> None:
        """Close the file. If a thread is still using the file, that thread closes it after its work. May be called
        again."""
        self._closed = True
        if self._used.acquire(blocking=False):  # else `_use` closes the file
            try:
                if self._file is not None:
                    self._file.close()
            finally:
                self._used.release()


async def pieces(path: Path, begin: int, size: int, offload: Offload) -> AsyncGenerator[memoryview, None]:
    """Yields ``size`` bytes of a file, from position ``begin`` on, in pieces. Only two buffers are used, so the third
    piece overwrites the first one, the fourth piece the second one, and so on. Raises `OSError`, and `EOFError` if the
    file is too short."""
    disk = _Disk(lambda: FileIO(path, "rb"))
    try:
        done = 0
        buffers = itertools.cycle([memoryview(bytearray(min(size, READ_PIECE))) for _ in range(2)])
        while done < size:
            wanted = next(buffers)[: size - done]
            piece = wanted[: await offload(disk.read, begin + done, wanted)]
            if not piece:
                raise EOFError(f"{path.name} ends early")
            done += len(piece)
            yield piece
        await offload(disk.forget, begin, size)
    finally:
        disk.close()


class Writer:
    """Writes one chunk of a ciphertext into its place in a file, which is created if it does not exist. All methods
    raise `OSError`, for example if the disk has no room for the chunk.

    Args:
        begin: Position of the chunk's first byte in the file.
        size: Bytes of the chunk.
    """

    def __init__(self, path: Path, begin: int, size: int, offload: Offload) -> None:
        self._disk = _Disk(lambda: _open(path, size))
        self._begin, self._offload = begin, offload
        self._waiting = bytearray()

    async def open(self) -> None:
        """Create the file, and check that the disk has room."""
        await self._write(memoryview(b""))

    async def add(self, piece: memoryview) -> None:
        """Add the next bytes of the chunk."""
        if not self._waiting and len(piece) >= PIECE:
            await self._write(piece)
            return
        self._waiting += piece
        if len(self._waiting) >= PIECE:
            await self.flush()

    async def flush(self) -> None:
        """Write all bytes that were added but not written yet."""
        waiting, self._waiting = self._waiting, bytearray()
        await self._write(memoryview(waiting))

    async def _write(self, data: memoryview) -> None:
        await self._offload(self._disk.write, self._begin, data)
        self._begin += len(data)

    def close(self) -> None:
        """Close the file."""
        self._disk.close()


def _open(path: Path, size: int) -> FileIO:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file_folder.check_room(path.parent, size)
    flags = os.O_CREAT | os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    return FileIO(os.open(path, flags, 0o600), "wb")


def digest_of(path: Path, begin: int, size: int) -> bytes:
    """The SHA-256 of ``size`` bytes from position ``begin`` of the file at ``path``: see
    `smpchat.xftp.chunks.digest_of`. Raises `OSError`."""
    with open(path, "rb") as file:
        return chunks.digest_of(file, begin, size)
