"""Where the store fails under the runner: whatever looked at it, the runner ends, with an error that says so."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from smpchat.agent.errors import StoreError
from smpchat.agent.online.runner import AgentRunner
from smpchat.agent.store import addresses, outgoing
from smpchat.agent.store.outgoing import Kind, Lane, Priority
from smpchat.agent.transactions import connection
from smpchat.client.pool import SessionPool
from smpchat.client.request import Request
from smpchat.protocol.address import SMPServer, SMPServerAddress
from smpchat.protocol.commands import Sub
from smpchat.protocol.errors import ErrorCode, SMPError
from smpchat.testing.loop import run_jumping
from smpchat.transport.base import ConnectFailed
from tests.unit.agent.agents import INSTANT, NOW, RELAY, Agent

Scenario = Callable[["World"], Awaitable[None]]


class Session:
    """A session with a relay that has no queue for anybody, and does nothing else."""

    server = RELAY
    version = 18
    keyed_new = True
    close_reason = None

    def __init__(self) -> None:
        self.on_event: object = None
        self.closed = asyncio.Event()

    def post(self, requests: Sequence[Request], **_: object) -> list[asyncio.Future[Any]]:
        answers = [asyncio.get_running_loop().create_future() for _ in requests]
        for request, answer in zip(requests, answers, strict=True):
            if isinstance(request.command, Sub):
                answer.set_exception(SMPError(ErrorCode.AUTH))
        return answers

    async def close(self) -> None:
        self.closed.set()


class World:
    """A profile that is online, and what can fail there."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.alice = Agent("alice", folder)
        self.faults: list[dict[str, Any]] = []
        self.connect: Callable[[], Any] = Session
        self.choose: Callable[[], SMPServerAddress] = lambda: SMPServerAddress(RELAY)
        self._monkeypatch = monkeypatch

    def breaks(self, module: object, name: str, error: Exception) -> None:
        """From now on this function of the store fails."""

        def broken(*_: object) -> None:
            raise error

        self._monkeypatch.setattr(module, name, broken)

    async def run(self, scenario: Scenario) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: self.faults.append(context))

        async def connect(_: SMPServer) -> Any:
            return self.connect()

        async def choose(_: SMPServer | None, in_trouble: frozenset[str]) -> list[SMPServerAddress]:
            return [self.choose()]

        make_pool = partial(SessionPool, connect, entropy=self.alice.entropy)
        runner = asyncio.ensure_future(AgentRunner(self.alice.database, self.alice.context, make_pool, choose).run())
        try:
            await asyncio.sleep(1)
            await scenario(self)
            async with asyncio.timeout(20):
                await runner
        finally:
            runner.cancel()
            await asyncio.gather(runner, return_exceptions=True)

    def has_a_queue(self) -> None:
        """And something to do at its relay."""
        self.alice.invite()
        self.alice.do(lambda tx, _: outgoing.enqueue(tx, self.alice.id, Lane.RECEIVE, Kind.DELETE, Priority.SECURE))

    def invites(self) -> None:
        self.alice.do(lambda tx, context: connection.invite(tx, context, INSTANT))


def failing(error: Exception) -> Callable[[], Any]:
    def fail() -> Any:
        raise error

    return fail


async def after_a_commit(world: World, error: Exception) -> None:
    world.breaks(outgoing, "lanes", error)
    world.alice.do(lambda tx, context: None)


async def at_an_alarm(world: World, error: Exception) -> None:
    world.alice.invite()
    world.alice.do(lambda tx, _: outgoing.enqueue(tx, 1, Lane.REPEAT, Kind.CREATE, Priority.SECURE, not_before=NOW + 9))
    await asyncio.sleep(1)
    world.breaks(outgoing, "lanes", error)


async def when_a_lane_has_rested(world: World, error: Exception) -> None:
    world.choose = failing(ConnectFailed("cannot reach relay"))
    world.invites()
    await asyncio.sleep(0.001)
    world.breaks(outgoing, "lanes", error)


async def in_a_lane(world: World, error: Exception) -> None:
    world.breaks(outgoing, "head", error)
    world.invites()


async def while_a_lane_is_told_that_its_relay_is_away(world: World, error: Exception) -> None:
    def refuse() -> Any:
        world.breaks(outgoing, "head", error)
        raise ConnectFailed("cannot reach relay")

    world.connect = refuse
    world.has_a_queue()


async def when_a_relay_is_reached(world: World, error: Exception) -> None:
    world.breaks(outgoing, "clear_relay_trouble", error)
    world.invites()


async def when_a_relay_is_not_reached(world: World, error: Exception) -> None:
    world.connect = failing(ConnectFailed("cannot reach relay"))
    world.breaks(outgoing, "save_relay_trouble", error)
    world.invites()


async def when_the_way_to_a_relay_is_looked_up(world: World, error: Exception) -> None:
    world.connect = failing(error)
    world.invites()


async def when_a_queue_is_lost(world: World, error: Exception) -> None:
    world.has_a_queue()
    world.breaks(addresses, "load", error)


SCENARIOS = [
    after_a_commit,
    at_an_alarm,
    when_a_lane_has_rested,
    in_a_lane,
    while_a_lane_is_told_that_its_relay_is_away,
    when_a_relay_is_reached,
    when_a_relay_is_not_reached,
    when_the_way_to_a_relay_is_looked_up,
    when_a_queue_is_lost,
]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_store_that_fails_ends_the_runner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scenario: Callable[[World, Exception], Awaitable[None]]
) -> None:
    async def main() -> None:
        world = World(tmp_path, monkeypatch)
        with pytest.raises(StoreError, match=r"alice\.db cannot be (read|written): disk I/O error\.$"):
            await world.run(lambda _: scenario(world, sqlite3.OperationalError("disk I/O error")))
        assert world.faults == []

    run_jumping(main)


@pytest.mark.parametrize(
    ("error", "ends"),
    [
        (sqlite3.DatabaseError("database disk image is malformed"), True),
        (StoreError("The profile's database cannot be written: it is full."), True),
        (sqlite3.IntegrityError("UNIQUE constraint failed"), False),
        (ZeroDivisionError("a fault"), False),
    ],
)
def test_a_fault_of_one_connection_or_relay_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception, ends: bool
) -> None:
    def faults(scenario: Callable[[World, Exception], Awaitable[None]]) -> set[str]:
        async def main() -> set[str]:
            world = World(tmp_path / scenario.__name__, patch)
            with pytest.raises(StoreError if ends else TimeoutError):
                await world.run(lambda _: scenario(world, error))
            return {fault["message"] for fault in world.faults}

        with monkeypatch.context() as patch:
            return run_jumping(main)

    assert faults(when_a_queue_is_lost) == (set() if ends else {"cannot report that a queue is lost"})
    for scenario in (when_the_way_to_a_relay_is_looked_up, in_a_lane):
        caplog.clear()
        assert faults(scenario) == set()
        assert ("a lane of connection 1 stopped" in caplog.text) is not ends
