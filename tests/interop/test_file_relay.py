"""Our relay keeps files for others: the project's file program, and the app."""

from __future__ import annotations

import asyncio
import os
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from smpchat.relay.files.store import CHUNKS
from smpchat.relay.folder import FILES, status
from tests.interop.peers import App, program, real_app
from tests.interop.people import our_relay, run, until

SIZES = [12, 300_000, 5_000_000]
"""A chunk, several of two sizes, and the largest."""


@asynccontextmanager
async def a_relay(folder: Path) -> AsyncIterator[tuple[str, str]]:
    """Our relay: where it takes messages, and where files."""
    async with our_relay(folder / "relay") as server:
        files_at = status(folder / "relay").files_address
        assert files_at is not None
        yield server, files_at


def kept(folder: Path) -> int:
    """Chunks that the relay holds."""
    return len(list((folder / "relay" / FILES / CHUNKS).iterdir()))


async def file_program(*arguments: str | Path) -> str:
    """What the file program says, which succeeds."""
    process = await asyncio.create_subprocess_exec(
        program("xftp"), *map(str, arguments), stdin=DEVNULL, stdout=PIPE, stderr=STDOUT
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said
    return said.decode()


@pytest.mark.parametrize("size", SIZES)
def test_the_file_program_sends_fetches_and_deletes(size: int, tmp_path: Path) -> None:
    async def scenario(folder: Path) -> None:
        source, content = folder / "a file.bin", os.urandom(size)
        source.write_bytes(content)
        descriptions = folder / "out" / "a file.bin.xftp"
        async with a_relay(folder) as (_, files_at):
            for part in ("out", "first", "second"):
                (folder / part).mkdir()
            await file_program("send", source, folder / "out", "-s", files_at, "-n", "2")
            assert kept(folder) >= 1
            for number, part in enumerate(("first", "second"), 1):
                await file_program("recv", descriptions / f"rcv{number}.xftp", folder / part, "-y")
                assert (folder / part / source.name).read_bytes() == content
            await file_program("del", descriptions / "snd.xftp.private", "-y")
            assert kept(folder) == 0

    run(scenario, tmp_path)


async def join(ann: App, bob: App) -> None:
    made = await ann.do("/connect")
    await bob.do(f"/connect {made['connLinkInvitation']['connFullLink']}")
    await ann.connected("bob")
    await bob.connected("ann")


def test_apps_send_each_other_files_through_it_and_take_them_back(tmp_path: Path) -> None:
    async def scenario(folder: Path) -> None:
        async with (
            a_relay(folder) as (server, files_at),
            real_app(folder / "ann", "ann", server, files_at=files_at) as ann,
            real_app(folder / "bob", "bob", server, files_at=files_at) as bob,
        ):
            await join(ann, bob)
            for number, size in enumerate(SIZES, 1):
                source, target, content = folder / f"{size}.bin", folder / f"got-{size}.bin", os.urandom(size)
                source.write_bytes(content)
                item = (await ann.do(f"/f @bob {source}"))["chatItems"][0]["chatItem"]
                await bob.wait("newChatItems", lambda event: "file" in event["chatItems"][0]["chatItem"])
                await bob.do(f"/freceive {number} {target}")
                await bob.wait("rcvFileComplete")
                assert target.read_bytes() == content
                await ann.wait("sndFileCompleteXFTP")
                before = kept(folder)
                await ann.do(f"/fcancel {item['file']['fileId']}")
                await until(lambda before=before: kept(folder) < before, "the file is gone from the relay")  # type: ignore[misc]

    run(scenario, tmp_path)
