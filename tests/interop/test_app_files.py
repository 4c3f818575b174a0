"""Files between us and the app, over the official relay of files and over ours."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from smpchat import Message
from smpchat.chat.errors import FileUnavailable
from smpchat.chat.store.files import FileState
from smpchat.protocol.address import parse_file_server
from smpchat.relay.files.store import CHUNKS
from smpchat.relay.folder import FILES, status
from tests.interop.peers import App, official_file_server, real_app
from tests.interop.people import Person, our_relay, ours, relay, run, until
from tests.interop.test_app_chat import join_app

SIZES = [12, 300_000, 5_000_000]
"""A chunk, several of two sizes, and the largest."""
PREVIEW = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk"
    "+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(40_000)


class Kept:
    """What a relay of files holds."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def count(self) -> int:
        return len(list(self._folder.iterdir()))


@asynccontextmanager
async def file_relay(kind: str, folder: Path) -> AsyncIterator[tuple[str, Kept]]:
    """A relay of files: ``official`` or ``ours``; its address."""
    if kind == "official":
        async with official_file_server(folder / "file-relay") as address:
            yield address, Kept(folder / "file-relay" / "files")
        return
    async with our_relay(folder / "file-relay"):
        files_at = status(folder / "file-relay").files_address
        assert files_at is not None
        yield files_at, Kept(folder / "file-relay" / FILES / CHUNKS)


@asynccontextmanager
async def two(kind: str, folder: Path) -> AsyncIterator[tuple[Person, App, Kept]]:
    """We and the app, connected; both put files at the same relay."""
    async with (
        relay("official", folder) as server,
        file_relay(kind, folder) as (files_at, kept),
        ours(folder, server) as sam,
        real_app(folder / "app", "ann", server, files_at=files_at) as app,
    ):
        sam.service.use_file_servers([parse_file_server(files_at)])
        await join_app(sam, app)
        yield sam, app, kept


def written(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def content_of(path: Path) -> bytes:
    return path.read_bytes()


async def offered(sam: Person) -> Message:
    """The next message with a file that comes."""
    while True:
        [message] = await sam.heard()
        if message.file is not None:
            return message


async def came(app: App) -> dict[str, Any]:
    """The next file that the app is offered."""

    def fits(event: Any) -> bool:
        return any("file" in one["chatItem"] for one in event["chatItems"])

    event = await app.wait("newChatItems", fits)
    item: dict[str, Any] = next(one["chatItem"] for one in event["chatItems"] if "file" in one["chatItem"])
    return item


async def fetched(app: App, item: dict[str, Any], target: Path) -> bytes:
    await app.do(f"/freceive {item['file']['fileId']} approved_relays=on {target}")
    await app.wait("rcvFileComplete")
    return content_of(target)


@pytest.mark.parametrize("kind", ["official", "ours"])
def test_files_of_the_app_arrive_here(kind: str, tmp_path: Path) -> None:
    async def scenario(folder: Path) -> None:
        async with two(kind, folder) as (sam, app, _):
            target = folder / "here"
            target.mkdir()
            for size in SIZES:
                content = os.urandom(size)
                await app.do(f"/f @sam {written(folder, f'{size}.bin', content)}")
                message = await offered(sam)
                assert message.file is not None
                assert (message.file.name, message.file.size) == (f"{size}.bin", size)
                path = await sam.receive_file(message.id, target, approve=True, timeout=60)
                assert path.read_bytes() == content and path.parent == target

            number = await app.number_of("sam")
            for name, kind_of in (
                ("a picture.png", {"type": "image", "text": "look", "image": PREVIEW}),
                ("voice.m4a", {"type": "voice", "text": "", "duration": 3}),
                ("r\u00e9sum\u00e9 \u6587.txt", {"type": "file", "text": "read"}),
            ):
                file = written(folder, name, PICTURE)
                await app.compose(f"@{number}", {"filePath": str(file), "msgContent": kind_of})
                message = await offered(sam)
                assert message.file is not None and message.file.name == name
                path = await sam.receive_file(message.id, target, approve=True, timeout=60)
                assert path.read_bytes() == PICTURE

    run(scenario, tmp_path)


@pytest.mark.parametrize("kind", ["official", "ours"])
def test_our_files_arrive_at_the_app(kind: str, tmp_path: Path) -> None:
    async def scenario(folder: Path) -> None:
        async with two(kind, folder) as (sam, app, kept):
            for size in SIZES:
                content = os.urandom(size)
                message = await sam.send_file("ann", written(folder, f"{size} \u6587.bin", content), "for you")
                item = await came(app)
                assert item["file"]["fileName"] == f"{size} \u6587.bin" and item["file"]["fileSize"] == size
                assert item["meta"]["itemText"] == "for you"
                assert await fetched(app, item, folder / f"got-{size}") == content
            picture = written(folder, "a picture.png", PICTURE)
            message = await sam.send_file("ann", picture, "look")
            item = await came(app)
            assert item["content"]["msgContent"]["type"] in ("image", "file")
            assert await fetched(app, item, folder / "got-picture") == PICTURE

            before = kept.count()
            assert before
            await sam.retract(message.id)
            await until(lambda: kept.count() < before, "what was retracted is gone from the relay")

    run(scenario, tmp_path)


@pytest.mark.parametrize("kind", ["official", "ours"])
def test_what_is_taken_back_is_told(kind: str, tmp_path: Path) -> None:
    async def scenario(folder: Path) -> None:
        async with two(kind, folder) as (sam, app, kept):
            source = written(folder, "a file.bin", os.urandom(100_000))
            sent = (await app.do(f"/f @sam {source}"))["chatItems"][0]["chatItem"]
            theirs = await offered(sam)
            await app.wait("sndFileCompleteXFTP")
            await app.do(f"/fcancel {sent['file']['fileId']}")

            def state() -> FileState | None:
                file = next(message for message in sam.files("ann") if message.id == theirs.id).file
                return None if file is None else file.state

            await until(lambda: state() is FileState.CANCELLED, "we are told that they took it back")
            with pytest.raises(FileUnavailable):
                await sam.receive_file(theirs.id, folder, approve=True, timeout=20)
            await until(lambda: not kept.count(), "it is gone from the relay")

            ours_sent = await sam.send_file("ann", source, "for you")
            item = await came(app)
            assert kept.count()
            sam.cancel_file(ours_sent.id)
            await app.wait("rcvFileSndCancelled")
            await until(lambda: not kept.count(), "ours is gone from the relay")
            assert item["file"]["fileName"] == "a file.bin"

    run(scenario, tmp_path)
