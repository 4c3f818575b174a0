"""A thread that nobody waits for any more works on its file to the end, and on no other one."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from io import FileIO
from pathlib import Path
from typing import Any

import pytest

from smpchat.agent.online import file_bytes
from smpchat.agent.online.file_bytes import Writer, in_place, pieces, to_thread

PLENTY = os.urandom(3 * file_bytes.READ_PIECE + 17)


class Held:
    """What a thread does, held up until it is let."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun, self.let = threading.Event(), threading.Event()
        self.files: list[FileIO] = []
        held = self

        class Slow(FileIO):
            def seek(self, *arguments: Any) -> int:
                held.files.append(self)
                held.begun.set()
                assert held.let.wait(20)
                return super().seek(*arguments)

        monkeypatch.setattr(file_bytes, "FileIO", Slow)


async def until(test: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not test():  # noqa: ASYNC110 - a thread tells nobody
            await asyncio.sleep(0.01)


async def cancelled(task: asyncio.Task[Any], held: Held) -> None:
    await until(held.begun.is_set)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (file,) = held.files
    assert not file.closed  # the thread works on it
    held.let.set()
    await until(lambda: file.closed)


def test_a_chunk_that_is_written_when_its_task_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held, path = Held(monkeypatch), tmp_path / "cipher"

    async def write() -> None:
        writer = Writer(path, 5, len(PLENTY), to_thread)
        try:
            await writer.add(memoryview(PLENTY))
        finally:
            writer.close()

    async def scenario() -> None:
        await cancelled(asyncio.create_task(write()), held)

    asyncio.run(scenario())
    assert path.read_bytes() == bytes(5) + PLENTY


def test_a_chunk_that_is_read_when_its_task_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held, path = Held(monkeypatch), tmp_path / "cipher"
    path.write_bytes(PLENTY)

    async def read() -> None:
        async for _ in pieces(path, 0, len(PLENTY), to_thread):
            pass

    async def scenario() -> None:
        await cancelled(asyncio.create_task(read()), held)

    asyncio.run(scenario())


def test_what_is_read_and_written_is_the_same(tmp_path: Path) -> None:
    async def scenario() -> None:
        writer = Writer(tmp_path / "folder" / "cipher", 100, len(PLENTY), in_place)
        for at in range(0, len(PLENTY), 100_000):
            await writer.add(memoryview(PLENTY)[at : at + 100_000])
        await writer.flush()
        writer.close()
        with pytest.raises(OSError, match="descriptor"):
            await writer.flush()
        found = [bytes(piece) async for piece in pieces(tmp_path / "folder" / "cipher", 100, len(PLENTY), in_place)]
        assert b"".join(found) == PLENTY and max(map(len, found)) == file_bytes.READ_PIECE
        with pytest.raises(EOFError):
            async for _ in pieces(tmp_path / "folder" / "cipher", 101, len(PLENTY), in_place):
                pass

    asyncio.run(scenario())
