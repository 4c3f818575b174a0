"""A file's ciphertext on this computer's disk, read and written in a thread so that messages never wait for it."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import os
from collections.abc import AsyncGenerator, Awaitable, Callable
from io import FileIO
from pathlib import Path
from typing import Any, Protocol, TypeVar

from smpchat.agent.store import file_folder

T = TypeVar("T")

PIECE = 256 * 1024
"""Bytes that are written at once, at least."""
READ_PIECE = 1024 * 1024
"""Bytes that are read at once; a change of threads takes as long as a quarter of it."""


class Offload(Protocol):
    """Runs blocking work elsewhere, as `asyncio.to_thread` does; tests do it on the spot."""

    def __call__(self, function: Callable[..., T], /, *arguments: Any) -> Awaitable[T]:
        """What the function returns or raises."""
        ...


async def to_thread(function: Callable[..., T], /, *arguments: Any) -> T:
    """In a thread."""
    return await asyncio.to_thread(function, *arguments)


async def in_place(function: Callable[..., T], /, *arguments: Any) -> T:
    """On the spot, for loops whose time jumps."""
    return function(*arguments)


async def pieces(path: Path, begin: int, size: int, offload: Offload) -> AsyncGenerator[memoryview, None]:
    """Bytes of a file; each piece holds until the next but one. Raises `OSError`, and `EOFError` if it is shorter."""
    file: FileIO = await offload(FileIO, path, "rb")
    try:
        done = 0
        buffers = itertools.cycle([memoryview(bytearray(min(size, READ_PIECE))) for _ in range(2)])
        while done < size:
            wanted = next(buffers)[: size - done]
            piece = wanted[: await offload(_read, file, begin + done, wanted)]
            if not piece:
                raise EOFError(f"{path.name} ends early")
            done += len(piece)
            yield piece
    finally:
        file.close()


def _read(file: FileIO, begin: int, view: memoryview) -> int:
    file.seek(begin)
    return file.readinto(view) or 0


class Writer:
    """Writes one chunk of a ciphertext into its place.

    Args:
        progress: Called with the number of bytes that were added.
    """

    def __init__(self, path: Path, begin: int, offload: Offload) -> None:
        self._path, self._begin, self._offload = path, begin, offload
        self._descriptor: int | None = None
        self._waiting = bytearray()

    async def open(self, size: int) -> None:
        """Make the file if there is none. Raises `OSError`, also if the disk has no room for ``size`` bytes."""
        self._descriptor = await self._offload(_open, self._path, size)

    async def add(self, piece: memoryview) -> None:
        """The next bytes. Raises `OSError`."""
        if not self._waiting and len(piece) >= PIECE:
            await self._write(piece)
            return
        self._waiting += piece
        if len(self._waiting) >= PIECE:
            await self.flush()

    async def flush(self) -> None:
        """Write what was added. Raises `OSError`."""
        waiting, self._waiting = self._waiting, bytearray()
        await self._write(memoryview(waiting))

    async def _write(self, data: memoryview) -> None:
        assert self._descriptor is not None
        await self._offload(_write, self._descriptor, self._begin, data)
        self._begin += len(data)

    def close(self) -> None:
        """Let go of the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _open(path: Path, size: int) -> int:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file_folder.check_room(path.parent, size)
    flags = os.O_CREAT | os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    return os.open(path, flags, 0o600)


def _write(descriptor: int, begin: int, view: memoryview) -> None:
    os.lseek(descriptor, begin, os.SEEK_SET)
    while view:
        view = view[os.write(descriptor, view) :]


def digest_of(path: Path, begin: int, size: int) -> bytes:
    """SHA-256 of a part of a file; of what is there if it is shorter. Raises `OSError`."""
    found = hashlib.sha256()
    with open(path, "rb") as file:
        file.seek(begin)
        while size > 0 and (piece := file.read(min(PIECE, size))):
            found.update(piece)
            size -= len(piece)
    return found.digest()
