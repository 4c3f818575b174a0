"""Transfers whose client goes while a thread works for them: nothing stays open, and nothing of the quota taken."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from smpchat.crypto.secretbox import Opener, Sealer
from smpchat.protocol.xftp.commands import CHUNK_SIZES, Ok, Ping, Pong
from smpchat.relay.errors import RelayStoreError
from smpchat.relay.files import store as module
from smpchat.relay.files.store import FileStore, Upload
from smpchat.relay.files.transfer import (
    LARGE_PIECE,
    MAX_LARGE,
    PIECE,
    Download,
    Pieces,
    Reception,
    TooLong,
    opened,
    passed_over,
)
from tests.unit.relay.files.serving import a_client, a_file_relay, on_loop, until
from tests.unit.relay.files.support import SIZE, a_store, content, files_in, registered, stored

LARGEST = CHUNK_SIZES[-1]


class Held:
    """A call that a thread makes, held up until it is let."""

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call
        self.begun, self.let = threading.Event(), threading.Event()

    def __call__(self, *arguments: Any) -> Any:
        self.begun.set()
        assert self.let.wait(20)
        return self._call(*arguments)

    async def until_begun(self) -> None:
        await until(self.begun.is_set)


@contextmanager
def one_worker() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as workers:
        yield workers


async def body(*parts: bytes) -> AsyncIterator[memoryview]:
    for part in parts:
        yield memoryview(part)


async def cancelled(task: asyncio.Task[Any], held: Held) -> None:
    """The client goes while the thread is at it; then the thread goes on."""
    await held.until_begun()
    task.cancel()
    await asyncio.wait([task], timeout=0.01)
    held.let.set()
    with pytest.raises(asyncio.CancelledError):
        await task


async def taken(store: FileStore, reception: Reception, data: bytes) -> None:
    try:
        assert await reception.begin()
        await reception.receive(body(data))
        await reception.make_durable()
        store.finish(reception.finished())
    finally:
        await reception.end()


@pytest.mark.parametrize("step", ["begin", "write", "make_durable"])
@on_loop
async def test_an_upload_cut_short_in_any_step_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    store, data = a_store(tmp_path), content(1, 1024 * 1024)
    chunk = registered(store, 1, len(data))
    with one_worker() as workers, monkeypatch.context() as patch:
        if step == "write":
            held = Held(Upload.write)
            patch.setattr(Upload, "write", lambda *arguments: held(*arguments))
        else:
            held = Held(getattr(store, step))
            patch.setattr(store, step, held)
        await cancelled(asyncio.create_task(taken(store, Reception(store, chunk, workers), data)), held)
        await until(lambda: not files_in(tmp_path) and not store.measure().reserved)
    with one_worker() as workers:
        await taken(store, Reception(store, chunk, workers), data)
    assert store.measure().stored == len(data)
    store.close()


@pytest.mark.parametrize("piece", [PIECE, LARGE_PIECE])
@pytest.mark.parametrize("size", [1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE, LARGEST])
@on_loop
async def test_pieces_of_any_size_become_the_chunk(tmp_path: Path, size: int, piece: int) -> None:
    data = bytes(range(256)) * (LARGEST // 256)
    store = a_store(tmp_path)
    chunk = registered(store, 1, LARGEST)
    with one_worker() as workers:
        reception = Reception(store, chunk, workers, piece)
        assert await reception.begin()
        parts = (data[at : at + size] for at in range(0, min(LARGEST, 40 * size), size))
        assert await reception.receive(body(*parts)) == min(LARGEST, 40 * size)
        (path,) = (tmp_path / "files" / "incoming").iterdir()
        assert path.read_bytes() == data[: min(LARGEST, 40 * size)]
        await reception.end()
    assert files_in(tmp_path) == set()
    store.close()


def test_so_many_transfers_have_large_pieces() -> None:
    pieces = Pieces()
    assert [pieces.take() for _ in range(MAX_LARGE + 1)] == [LARGE_PIECE] * MAX_LARGE + [PIECE]
    pieces.give_back(PIECE)
    assert pieces.take() == PIECE
    pieces.give_back(LARGE_PIECE)
    assert [pieces.take(), pieces.take()] == [LARGE_PIECE, PIECE]


@on_loop
async def test_a_transfer_that_is_over_leaves_its_large_pieces_to_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[int] = []
    take = Pieces.take

    def noted(pieces: Pieces) -> int:
        taken.append(take(pieces))
        return taken[-1]

    monkeypatch.setattr(Pieces, "take", noted)
    async with a_file_relay(tmp_path) as relay, a_client(relay) as client:
        for number in range(MAX_LARGE):
            ids = await client.upload(content(number))
            await client.get(ids.recipient_ids[0])
    assert taken == [LARGE_PIECE] * 2 * MAX_LARGE


@on_loop
async def test_more_than_was_announced_ends_it(tmp_path: Path) -> None:
    store = a_store(tmp_path)
    chunk = registered(store, 1)
    with one_worker() as workers:
        reception = Reception(store, chunk, workers)
        assert await reception.begin()
        with pytest.raises(TooLong):
            await reception.receive(body(content(1), b"1"))
        await reception.end()
        await passed_over(body(content(1)), SIZE)
        with pytest.raises(TooLong):
            await passed_over(body(content(1), b"1"), SIZE)
    assert files_in(tmp_path) == set() and not store.measure().reserved
    store.close()


# --- out ----------------------------------------------------------------------------------------------------------


def a_download(store: FileStore, chunk: Any, file: BinaryIO, workers: ThreadPoolExecutor) -> Download:
    return Download(b"block", file, chunk.size, Sealer(b"k" * 32, b"n" * 24), workers, lambda: store.fetched(chunk))


@pytest.mark.parametrize("size", CHUNK_SIZES)
@on_loop
async def test_pieces_hold_while_the_next_one_is_made(tmp_path: Path, size: int) -> None:
    """The connection keeps one back to know whether it was the last."""
    store = a_store(tmp_path)
    chunk = stored(store, 1, size)
    with one_worker() as workers:
        download = a_download(store, chunk, await opened(store, chunk, workers), workers)
        got, kept = bytearray(), memoryview(b"")
        async for piece in download:
            await asyncio.wrap_future(workers.submit(bool))  # the next one is made by now
            got += kept
            kept = memoryview(piece)
        got += kept
        download.close()
    assert got[:5] == b"block" and len(got) == 5 + size + 16
    opener, plain = Opener(b"k" * 32, b"n" * 24), bytearray(size)
    opener.update(got[5:-16], memoryview(plain))
    opener.finish(bytes(got[-16:]))
    assert plain == content(1, size) and store.counts.downloads == 1
    store.close()


@on_loop
async def test_a_download_that_is_cut_short_closes_its_file(tmp_path: Path) -> None:
    store = a_store(tmp_path)
    chunk = stored(store, 1, LARGEST)
    with one_worker() as workers:
        for pieces in range(4):
            file = await opened(store, chunk, workers)
            download = a_download(store, chunk, file, workers)
            for _ in range(pieces):
                await anext(download)
            download.close()
            await until(lambda file=file: file.closed)  # type: ignore[misc]
    assert store.counts.downloads == 0
    store.close()


@on_loop
async def test_a_file_opened_for_nobody_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = a_store(tmp_path)
    chunk, files = stored(store, 1), list[BinaryIO]()
    opening = store.open_chunk

    def noted(chunk: Any) -> BinaryIO:
        files.append(opening(chunk))
        return files[-1]

    held = Held(noted)
    monkeypatch.setattr(store, "open_chunk", held)
    with one_worker() as workers:
        await cancelled(asyncio.create_task(opened(store, chunk, workers)), held)
    assert files[0].closed
    store.close()


@on_loop
async def test_a_file_that_is_shorter_than_it_was_is_an_error(tmp_path: Path) -> None:
    store = a_store(tmp_path)
    chunk = stored(store, 1)
    (tmp_path / "files" / "chunks" / chunk.sender_id.hex()).write_bytes(b"short")
    with one_worker() as workers:
        download = a_download(store, chunk, await opened(store, chunk, workers), workers)
        await anext(download)
        with pytest.raises(RelayStoreError, match="shorter"):
            await anext(download)
        download.close()
    store.close()


# --- a disk that is slow ------------------------------------------------------------------------------------------


@on_loop
async def test_a_disk_that_is_slow_with_files_holds_up_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Held(Upload.write)
    monkeypatch.setattr(module.Upload, "write", lambda *arguments: held(*arguments))
    data = content(1)
    async with a_file_relay(tmp_path) as relay, a_client(relay) as slow, a_client(relay) as bystander:
        ids = await slow.register(data)
        uploading = asyncio.create_task(slow.put(ids, data))
        await held.until_begun()
        assert await bystander.ask(Ping()) == Pong()
        await bystander.register(data)
        assert not uploading.done()
        held.let.set()
        assert await uploading == Ok()
