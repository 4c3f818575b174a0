"""How a session ends: blocks that cannot be read, errors that name no command, either side's closing."""

from __future__ import annotations

import asyncio

import pytest

from smpchat.client.connect import open_session
from smpchat.client.errors import NoResponse, SessionClosed
from smpchat.client.request import Request
from smpchat.client.session import ServerSession
from smpchat.protocol.commands import (
    Ack,
    BrokerMessage,
    End,
    Err,
    Ping,
    Send,
    Sub,
)
from smpchat.protocol.errors import ErrorCode, RemoteProtocolError, SMPError
from smpchat.protocol.session import ServerHandshake
from smpchat.protocol.version import SMP_VERSIONS
from smpchat.testing.entropy import SeededEntropy
from smpchat.transport.base import BLOCK_SIZE, ConnectionClosed, TransportError
from smpchat.transport.memory import memory_pair
from tests.unit.client.support import settle
from tests.unit.client.world import KEY, MESSAGE, OTHER, QUEUE, World, run, server
from tests.unit.transport.support import NOW, an_identity


@pytest.mark.parametrize("damage", ["noise", "empty batch", "trailing bytes", "half a transmission"])
def test_a_block_that_cannot_be_read_ends_the_session_and_every_wait(damage: str) -> None:
    async def check(world: World) -> None:
        responses = [world.post(Sub()), world.post(Sub(), OTHER)]
        await settle()
        contents = {"empty batch": b"\0", "trailing bytes": b"\1\0\4\0\0\0x!", "half a transmission": b"\1\0\3\0\x18a"}
        block = world.relay.smp.seal_block(contents[damage]) if damage in contents else b"\x55" * BLOCK_SIZE
        await world.relay_end.send([block])
        for response in responses:
            with pytest.raises(SessionClosed, match="cannot be read") as ended:
                await response
            assert isinstance(ended.value, TransportError) and ended.value.temporary
            assert isinstance(ended.value.__cause__, RemoteProtocolError)
        assert world.session.closed.is_set()

    run(check)


def test_an_error_that_names_no_command_fails_the_only_block_under_way() -> None:
    async def check(world: World) -> None:
        responses = world.session.post([Request(Sub(), queue, KEY) for queue in (QUEUE, OTHER)], batch=True)
        assert len(await world.relay.next_block()) == 2
        await world.relay.send((b"", b"", Err(ErrorCode.BLOCK)))
        for response in responses:
            with pytest.raises(SMPError, match="BLOCK"):
                await response
        await world.relay.send((b"", b"", Err(ErrorCode.BLOCK)))
        await settle()
        assert not world.session.closed.is_set(), "with nothing under way there is nobody to tell"
        assert world.events == []

    run(check)


def test_an_error_that_names_no_command_ends_the_session_if_several_blocks_are_under_way() -> None:
    async def check(world: World) -> None:
        responses = [world.post(Sub()), world.post(Sub(), OTHER)]
        await settle()
        await world.relay.send((b"", b"", Err(ErrorCode.BLOCK)))
        for response in responses:
            with pytest.raises(SessionClosed, match="could not read a block") as ended:
                await response
            assert ended.value.temporary

    run(check)


def test_a_command_that_timed_out_may_be_the_one_that_an_error_means() -> None:
    async def check(world: World) -> None:
        world.post(Sub(), timeout=1)
        await world.clock.advance(2)
        response = world.post(Sub(), OTHER)
        await settle()
        await world.relay.send((b"", b"", Err(ErrorCode.BLOCK)))
        with pytest.raises(SessionClosed, match="could not read a block"):
            await response

    run(check)


def test_nothing_is_passed_on_after_the_end() -> None:
    async def check(world: World) -> None:
        world.post(Sub())
        world.post(Sub(), OTHER)
        await settle()
        await world.relay.send((b"", b"", Err(ErrorCode.BLOCK)), (b"", QUEUE, MESSAGE))
        await settle()
        assert world.session.closed.is_set()
        assert world.events == []

    run(check)


def test_only_so_many_late_answers_are_recognised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smpchat.client.correlation.MAX_LATE", 3)

    async def check(world: World) -> None:
        queues = [bytes([number]) * 24 for number in range(5)]
        for queue in queues:
            world.post(Ack(b"m" * 24), queue)
        received = [await world.relay.next() for _ in queues]
        await world.clock.advance(16)
        for one in received:
            await world.relay.answer(one, MESSAGE)
        await settle()
        assert [entity_id for entity_id, _ in world.events] == queues[2:]

    run(check)


def test_closing_at_once_closes_the_connection_too() -> None:
    async def check() -> None:
        client, other = memory_pair(leaf=an_identity().certificate)
        handshake = ServerHandshake(
            an_identity().chain, an_identity().sign, other.session_id, SMP_VERSIONS, SeededEntropy("relay")
        )
        await other.send([handshake.hello()])
        session = await open_session(
            client, server(), entropy=SeededEntropy("client"), on_event=lambda *_: None, now=lambda: NOW
        )
        await session.close()  # nothing has let the session's reader run so far
        handshake.receive_hello(await other.receive())
        with pytest.raises(ConnectionClosed):
            await other.receive()

    asyncio.run(check())


def test_the_relays_end_ends_the_session() -> None:
    async def check(world: World) -> None:
        response = world.post(Sub())
        await settle()
        await world.relay_end.close()
        with pytest.raises(SessionClosed, match="ended: the peer closed the connection") as ended:
            await response
        assert ended.value.temporary
        assert isinstance(ended.value.__cause__, ConnectionClosed)
        assert str(world.session.close_reason) == str(ended.value)
        (after,) = world.session.post([Request(Ping())])
        with pytest.raises(SessionClosed, match="the peer closed the connection"):
            await after

    run(check)


def test_closing_ends_every_wait() -> None:
    async def check(world: World) -> None:
        response = world.post(Sub())
        await asyncio.gather(world.session.close(), world.session.close())
        with pytest.raises(SessionClosed, match="this side closed it"):
            await response
        with pytest.raises(NoResponse):
            await world.session.request(Ping())

    run(check)


def test_closing_from_within_an_event_stops_the_events() -> None:
    async def check(world: World) -> None:
        closing: list[asyncio.Task[None]] = []

        def close(session: ServerSession, entity_id: bytes, message: BrokerMessage) -> None:
            world.events.append((entity_id, message))
            closing.append(asyncio.create_task(session.close()))

        world.session.on_event = close
        await world.relay.send((b"", QUEUE, End()))
        await settle()
        await world.relay_end.close()
        await asyncio.gather(*closing)
        assert world.events == [(QUEUE, End())]

    run(check)


def test_closing_while_the_relay_takes_nothing() -> None:
    async def check(world: World) -> None:
        responses = [world.post(Send(True, b"x")) for _ in range(50)]
        await settle()
        assert world.relay_end.waiting < 50
        await world.session.close()
        assert all(isinstance(response.exception(), SessionClosed) for response in responses)

    run(check)


def test_failures_that_nobody_awaits_make_no_noise() -> None:
    """`run` collects garbage and then looks at what asyncio reported."""

    async def check(world: World) -> None:
        world.post(Sub())
        received = await world.relay.next()
        await world.relay.answer(received, Err(ErrorCode.AUTH))
        world.post(Sub(), timeout=1)
        await world.clock.advance(2)
        world.post(Sub())
        await world.session.close()
        world.session.post([Request(Sub(), QUEUE, KEY)])
        await settle()

    run(check)
