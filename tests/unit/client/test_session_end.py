"""How a session ends: blocks that cannot be read, errors that name no command, either side's closing."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from smpchat.client.connect import open_session
from smpchat.client.diagnosis import trouble_of
from smpchat.client.errors import NoResponse, SessionClosed
from smpchat.client.request import Request
from smpchat.client.session import MAX_UNASKED, PING_AFTER, UNASKED_WITHIN, ServerSession
from smpchat.client.trouble import Trouble
from smpchat.protocol.commands import (
    Ack,
    BrokerMessage,
    End,
    Err,
    Ok,
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
        with pytest.raises(SessionClosed, match="this program closed it"):
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


@pytest.mark.parametrize(
    "unasked",
    [
        (b"", QUEUE, End()),
        (b"", QUEUE, b"ALLS 1"),
        (b"", b"", Err(ErrorCode.INTERNAL)),
        (b"x" * 24, QUEUE, Ok()),
        (b"x" * 24, QUEUE, MESSAGE),
    ],
    ids=["event", "unknown", "error", "answer", "message"],
)
def test_a_relay_that_says_what_nobody_asked_for_without_end_is_left(
    unasked: tuple[bytes, bytes, BrokerMessage | bytes],
) -> None:
    async def check(world: World) -> None:
        await flood(world, unasked, MAX_UNASKED)
        assert not world.session.closed.is_set()
        await world.clock.advance(UNASKED_WITHIN)
        await flood(world, unasked, MAX_UNASKED)
        assert not world.session.closed.is_set()
        await flood(world, unasked, 1)
        assert isinstance(world.session.close_reason, SessionClosed)
        assert trouble_of(world.session.close_reason) is Trouble.FAULTY

    async def flood(world: World, what: Any, times: int) -> None:
        for at in range(0, times, 200):
            await world.relay.send(*[what] * min(200, times - at))
            await settle()

    run(check)


def test_what_the_one_above_calls_a_fault_of_the_relay_ends_the_session() -> None:
    async def check(world: World) -> None:
        def refuse(*_: object) -> None:
            raise RemoteProtocolError("it is a bad relay")

        world.session.on_event = refuse
        response = world.post(Sub())
        await world.relay.send((b"", QUEUE, MESSAGE))
        with pytest.raises(SessionClosed, match="it is a bad relay"):
            await response
        assert isinstance(world.session.close_reason, SessionClosed)
        assert trouble_of(world.session.close_reason) is Trouble.FAULTY

    run(check)


def test_nothing_is_read_while_there_is_no_room_and_that_is_no_silence_of_the_relay() -> None:
    async def check(world: World) -> None:
        room = asyncio.Event()

        async def may_read(session: ServerSession) -> None:
            assert session is world.session
            await room.wait()

        world.session.may_read = may_read
        for _ in range(2):
            await world.relay.send((b"", QUEUE, MESSAGE))
        await settle()
        assert len(world.events) == 1  # its block was being waited for already
        await world.clock.advance(PING_AFTER - 1)
        room.set()
        await settle()
        assert len(world.events) == 2
        await world.clock.advance(PING_AFTER - 1)
        assert not world.session.closed.is_set()

    run(check)
