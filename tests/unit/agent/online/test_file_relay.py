"""Files through a relay of ours on loopback: real sessions, threads and time, which one in memory does not show."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from smpchat.agent.store.files import Stage
from smpchat.agent.transactions import files
from smpchat.client.trouble import Trouble
from smpchat.encoding.record import replace
from smpchat.protocol.address import FileServer
from smpchat.relay.files.server import FileRelay
from tests.unit.agent.online.file_world import Life, RealWorld
from tests.unit.relay.files.serving import LIMITS, a_file_relay, on_loop
from tests.unit.relay.support import NOW, an_identity

TODAY = datetime.fromtimestamp(NOW, UTC)
LARGE = os.urandom(5_000_000)


def world_at(folder: Path, relay: FileRelay) -> RealWorld:
    """A profile whose only relay of files this one is."""
    address = FileServer(("127.0.0.1",), str(relay.port), an_identity().fingerprint)
    return RealWorld(folder, address, now=lambda: TODAY)


async def sent(world: RealWorld, content: bytes) -> int:
    number = world.send(content)
    await world.run(lambda: world.stage(number) is not Stage.MOVING, 60)
    assert world.stage(number) is Stage.DONE
    return number


@on_loop
async def test_there_and_back_and_deleted(tmp_path: Path) -> None:
    async with a_file_relay(tmp_path / "relay") as relay:
        world = world_at(tmp_path / "alice", relay)
        number = await sent(world, LARGE)
        received = world.receive(world.descriptions(number)[0], size=len(LARGE))
        await world.run(lambda: world.stage(received) is Stage.DONE, 60)
        assert (world.inbox / "picture.jpg").read_bytes() == LARGE
        assert world.left_over() == []
        with world.agent.database.transaction() as tx:
            files.delete_file(tx, world.agent.context, number)
        await world.run(lambda: not world.agent.database.read("SELECT 1 FROM file_deletions"), 60)
        late = world.receive(world.descriptions(number)[1])
        await world.run(lambda: world.stage(late) is Stage.FAILED, 60)
        assert world.failures() == [(late, Trouble.GONE)]


@on_loop
async def test_a_file_that_is_cancelled_in_the_middle_of_a_chunk_leaves_the_relay_at_once(tmp_path: Path) -> None:
    async with a_file_relay(tmp_path / "relay") as relay:
        world = world_at(tmp_path / "alice", relay)
        number = world.send(os.urandom(12_000_000))
        life = Life(world)
        try:
            await life.until(lambda: world.transfer(number).done > 0, 60)
            with world.agent.database.transaction() as tx:
                files.cancel_file(tx, world.agent.context, number)
            await life.until(lambda: not world.agent.database.read("SELECT 1 FROM file_deletions"), 60)
        finally:
            await life.end()
        assert world.left_over() == []
        assert not [
            path for path in (tmp_path / "relay" / "files").rglob("*") if path.is_file() and path.stat().st_size > 10**6
        ]


@pytest.mark.parametrize(
    ("limits", "password", "trouble"),
    [(replace(LIMITS, quota=70_000), None, Trouble.RELAY_FULL), (LIMITS, "secret", Trouble.PASSWORD)],
    ids=["full", "password"],
)
def test_what_a_relay_refuses_is_told_as_what_it_is(
    tmp_path: Path, limits: object, password: str | None, trouble: Trouble
) -> None:
    @on_loop
    async def scenario() -> None:
        async with a_file_relay(tmp_path / "relay", limits=limits, password=password) as relay:  # type: ignore[arg-type]
            world = world_at(tmp_path / "alice", relay)
            number = world.send(LARGE)
            life = Life(world)
            try:
                await life.until(lambda: world.transfer(number).problem is not None, 60)
            finally:
                await life.end()
            problem = world.transfer(number).problem
            assert problem is not None
            assert problem.kind is trouble

    scenario()


@on_loop
async def test_two_profiles_at_once_do_not_wait_for_each_other(tmp_path: Path) -> None:
    async with a_file_relay(tmp_path / "relay") as relay:
        worlds = [world_at(tmp_path / name, relay) for name in ("alice", "bob")]
        await asyncio.gather(*(sent(world, LARGE) for world in worlds))
