"""Files of the agent: at official relays, from the reference's command, and to it."""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from smpchat.agent.online.file_relays import FileRelays, Lane
from smpchat.agent.store.files import Stage
from smpchat.agent.transactions import files
from smpchat.client.trouble import Trouble
from smpchat.protocol.address import FileServer, parse_file_server
from tests.interop.peers import official_file_server, xftp
from tests.unit.agent.online.file_world import RealWorld

PATIENCE = 60.0


async def settled(world: RealWorld, number: int) -> Stage:
    await world.run(lambda: world.stage(number) not in (Stage.MOVING, Stage.OPENING), PATIENCE)
    return world.stage(number)


@pytest.mark.parametrize("size", [12, 300_000, 5_000_000])
def test_there_and_back_over_two_official_relays(tmp_path: Path, size: int) -> None:
    async def story() -> None:
        content = os.urandom(size)
        async with AsyncExitStack() as stack:
            texts = [await stack.enter_async_context(official_file_server(tmp_path / f"relay{n}")) for n in range(2)]
            world = RealWorld(tmp_path / "alice", *(parse_file_server(text).server for text in texts))

            number = world.send(content, "a picture.jpg")
            assert await settled(world, number) is Stage.DONE
            ours, theirs = world.descriptions(number)
            assert await settled(world, received := world.receive(ours, "back.jpg", size=size)) is Stage.DONE
            assert (world.inbox / "back.jpg").read_bytes() == content

            (tmp_path / "theirs.xftp").write_text(theirs)
            (tmp_path / "theirs").mkdir()
            status, said = await xftp("recv", tmp_path / "theirs.xftp", tmp_path / "theirs", "-y")
            assert status == 0, said
            [fetched] = (tmp_path / "theirs").iterdir()
            assert fetched.read_bytes() == content

            with world.agent.database.transaction() as tx:
                files.delete_file(tx, world.agent.context, number)
            await world.run(lambda: not world.agent.database.read("SELECT 1 FROM file_deletions"), PATIENCE)
            assert await settled(world, late := world.receive(ours, "late.jpg")) is Stage.FAILED
            assert world.failures() == [(late, Trouble.GONE)]
            assert world.arrivals() == [(received, world.inbox / "back.jpg")]
            assert world.left_over() == []

    asyncio.run(story())


def test_many_chunks_go_and_come_over_two_sessions_with_an_official_relay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[bool] = []
    begin = FileRelays.begin

    def noted(relays: FileRelays, server: FileServer, *, second: bool = False) -> Lane:
        begun.append(second)
        return begin(relays, server, second=second)

    monkeypatch.setattr(FileRelays, "begin", noted)

    async def story() -> None:
        content = os.urandom(60_000_000)
        async with official_file_server(tmp_path / "relay") as text:
            world = RealWorld(tmp_path / "alice", parse_file_server(text).server)
            number = world.send(content, "film.mp4")
            assert await settled(world, number) is Stage.DONE
            assert True in begun  # more than once, if the second worker ended before the first
            begun.clear()
            received = world.receive(world.descriptions(number)[0], "back.mp4", size=len(content))
            assert await settled(world, received) is Stage.DONE
            assert (world.inbox / "back.mp4").read_bytes() == content
            assert True in begun
            assert world.left_over() == []

    asyncio.run(story())


@pytest.mark.parametrize("size", [12, 5_000_000])
def test_what_the_reference_sends_is_fetched(tmp_path: Path, size: int) -> None:
    async def story() -> None:
        content = os.urandom(size)
        async with official_file_server(tmp_path / "relay") as text:
            (tmp_path / "a file").write_bytes(content)
            status, said = await xftp("send", tmp_path / "a file", tmp_path, "-s", text, "-n", "1")
            assert status == 0, said
            world = RealWorld(tmp_path / "alice", parse_file_server(text).server)
            description = (tmp_path / "a file.xftp" / "rcv1.xftp").read_text()
            assert await settled(world, world.receive(description, size=size)) is Stage.DONE
            assert (world.inbox / "picture.jpg").read_bytes() == content

    asyncio.run(story())


def test_a_full_official_relay_is_told_and_another_one_takes_the_file(tmp_path: Path) -> None:
    async def story() -> None:
        async with (
            official_file_server(tmp_path / "full", quota="1mb") as full,
            official_file_server(tmp_path / "large") as large,
        ):
            servers = [parse_file_server(text).server for text in (full, large)]
            world = RealWorld(tmp_path / "alice", servers[0])
            number = world.send(os.urandom(6_000_000))
            await world.run(lambda: world.transfer(number).problem is not None, PATIENCE)
            problem = world.transfer(number).problem
            assert problem is not None
            assert problem.kind is Trouble.RELAY_FULL
            world.homes = servers
            assert await settled(world, number) is Stage.DONE

    asyncio.run(story())


def test_a_password_of_an_official_relay(tmp_path: Path) -> None:
    async def story() -> None:
        async with official_file_server(tmp_path / "relay", password="secret") as text:
            world = RealWorld(tmp_path / "alice", parse_file_server(text).server)
            number = world.send(b"hello")
            await world.run(lambda: world.transfer(number).problem is not None, PATIENCE)
            problem = world.transfer(number).problem
            assert problem is not None
            assert problem.kind is Trouble.PASSWORD
            world.password = "secret"
            assert await settled(world, number) is Stage.DONE
            assert "secret" not in "".join(world.descriptions(number))

    asyncio.run(story())
