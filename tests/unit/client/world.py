"""A session and a scripted relay, joined in memory."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from smpchat.client.connect import open_session
from smpchat.client.request import Request
from smpchat.client.session import DirectSession, ServerSession
from smpchat.crypto.keys import Ed25519PrivateKey
from smpchat.protocol.address import SMPServer
from smpchat.protocol.commands import (
    BrokerMessage,
    Command,
    Msg,
)
from smpchat.protocol.version import VersionRange
from smpchat.testing.entropy import SeededEntropy
from smpchat.transport.base import ConnectionClosed
from smpchat.transport.memory import memory_pair
from tests.unit.client.support import FakeClock, ScriptedRelay
from tests.unit.transport.support import NOW, an_identity

QUEUE, OTHER = b"q" * 24, b"o" * 24


KEY = Ed25519PrivateKey(bytes(32))


MESSAGE = Msg(b"m" * 24, bytes(16122))


def server() -> SMPServer:
    return SMPServer(("relay.example",), "", an_identity().fingerprint)


class World:
    """A session and its relay, joined in memory."""

    session: DirectSession
    relay: ScriptedRelay

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.events: list[tuple[bytes, BrokerMessage]] = []
        self.faults: list[dict[str, Any]] = []
        self.client_end, self.relay_end = memory_pair(leaf=an_identity().certificate)

    async def open(self, versions: VersionRange) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: self.faults.append(context))
        self.session, self.relay = await asyncio.gather(
            open_session(
                self.client_end,
                server(),
                entropy=SeededEntropy("client"),
                on_event=self.event,
                clock=self.clock,
                now=lambda: NOW,
            ),
            ScriptedRelay.accept(self.relay_end, versions),
        )

    def event(self, session: ServerSession, entity_id: bytes, message: BrokerMessage) -> None:
        assert session is self.session
        self.events.append((entity_id, message))

    def post(self, command: Command, entity_id: bytes = QUEUE, **options: Any) -> asyncio.Future[BrokerMessage]:
        (response,) = self.session.post([Request(command, entity_id, KEY)], **options)
        return response


def run(check: Callable[[World], Awaitable[None]], versions: tuple[int, int] = (6, 18)) -> None:
    async def within() -> None:
        world = World()
        async with asyncio.timeout(20):
            await world.open(VersionRange(*versions))
            await check(world)
            await world.session.close()
            assert world.session.closed.is_set()
            with pytest.raises(ConnectionClosed):
                while True:
                    await world.relay_end.receive()
        assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == [], "tasks left over"
        assert world.clock.next_due is None, "a timer is left over"
        gc.collect()
        assert world.faults == []

    asyncio.run(within())
