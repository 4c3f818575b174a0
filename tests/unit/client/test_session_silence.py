"""A relay that is slow or silent: timeouts, late answers, pings, and when that ends the session."""

from __future__ import annotations

import asyncio

import pytest

from smpchat.client.errors import ResponseTimeout, SessionClosed
from smpchat.protocol.commands import (
    Ack,
    End,
    Err,
    Ok,
    Ping,
    Pong,
    Send,
    Sub,
)
from smpchat.protocol.errors import ErrorCode
from tests.unit.client.support import settle
from tests.unit.client.world import KEY, MESSAGE, OTHER, QUEUE, World, run


def test_an_answer_that_does_not_come_in_15_seconds_is_a_timeout_and_the_session_goes_on() -> None:
    async def check(world: World) -> None:
        slow, impatient = world.post(Sub()), world.post(Sub(), OTHER, timeout=3)
        await world.clock.advance(3)
        assert impatient.done() and not slow.done()
        await world.clock.advance(11.9)
        assert not slow.done()
        await world.clock.advance(0.2)
        with pytest.raises(ResponseTimeout, match=r"^relay relay.example did not answer within 15 s$") as late:
            await slow
        assert late.value.temporary
        with pytest.raises(ResponseTimeout, match="within 3 s"):
            await impatient
        assert not world.session.closed.is_set()
        response = world.session.request(Ping())
        waiting = asyncio.ensure_future(response)
        await settle()
        for _ in range(4):  # the two that timed out, the PING because of them, and this one
            received = await world.relay.next()
        await world.relay.answer(received, Pong())
        assert await waiting == Pong()

    run(check)


def test_what_a_slow_connection_has_not_taken_yet_is_not_waited_for() -> None:
    """Two blocks a second: the last of sixty commands leaves after half a minute, and is answered in time."""

    async def check(world: World) -> None:
        responses = [world.post(Send(True, b"text")) for _ in range(60)]
        for response in responses:
            await world.clock.advance(0.5)
            await world.relay.answer(await world.relay.next(), Ok())
            assert await response == Ok()

    run(check)


def test_a_connection_that_takes_nothing_is_no_slow_one() -> None:
    async def check(world: World) -> None:
        responses = [world.post(Send(True, b"text")) for _ in range(60)]
        await world.clock.advance(15)
        for response in responses:
            with pytest.raises(ResponseTimeout):
                await response

    run(check)


def test_a_message_in_a_late_answer_is_not_lost() -> None:
    async def check(world: World) -> None:
        response = world.post(Ack(b"m" * 24))
        received = await world.relay.next()
        await world.clock.advance(16)
        with pytest.raises(ResponseTimeout):
            await response
        await world.relay.send((received.corr_id, OTHER, MESSAGE), (received.corr_id, QUEUE, MESSAGE))
        await settle()
        assert world.events == [], "an id is forgotten with its first answer, and that one was for another queue"
        assert world.relay.command(await world.relay.next()) == Ping()
        response = world.post(Ack(b"m" * 24))
        received = await world.relay.next()
        await world.clock.advance(16)
        await world.relay.answer(received, MESSAGE)
        await world.relay.answer(received, MESSAGE)
        await settle()
        assert world.events == [(QUEUE, MESSAGE)]

    run(check)


def test_a_message_that_answers_a_cancelled_request_is_not_lost() -> None:
    async def check(world: World) -> None:
        waiting = asyncio.create_task(world.session.request(Ack(b"m" * 24), QUEUE, KEY))
        received = await world.relay.next()
        waiting.cancel()
        await settle()
        await world.relay.answer(received, MESSAGE)
        await settle()
        assert world.events == [(QUEUE, MESSAGE)]

    run(check)


def test_silence_is_answered_with_ping_after_a_minute() -> None:
    async def check(world: World) -> None:
        await world.clock.advance(59)
        assert world.relay_end.waiting == 0
        await world.clock.advance(1)
        received = await world.relay.next()
        assert world.relay.command(received) == Ping()
        await world.relay.answer(received, Pong())
        await settle()
        await world.clock.advance(40)
        await world.relay.send((b"", QUEUE, End()))
        await settle()
        await world.clock.advance(59)
        assert world.relay_end.waiting == 0, "counted from the last block, whatever it held"
        await world.clock.advance(1)
        await world.relay.answer(await world.relay.next(), Err(ErrorCode.INTERNAL))
        await settle()
        await world.clock.advance(59)
        assert world.relay_end.waiting == 0, "an error shows that the relay is there, too"

    run(check)


def test_three_unanswered_pings_end_the_session() -> None:
    async def check(world: World) -> None:
        response = world.post(Sub(), timeout=1000)
        assert await world.relay.next()
        await world.clock.advance(60 + 44)
        assert [world.relay.command(await world.relay.next()) for _ in range(3)] == [Ping()] * 3
        assert not world.session.closed.is_set()
        await world.clock.advance(1)
        assert world.session.closed.is_set()
        assert "no longer answers" in str(world.session.close_reason)
        with pytest.raises(SessionClosed, match="no longer answers"):
            await response

    run(check)


def test_a_relay_that_does_not_answer_a_command_is_asked_at_once() -> None:
    """Not after a minute, nor when the command is repeated: a new session brings what waits at the relay."""

    async def check(world: World) -> None:
        world.post(Sub())
        assert await world.relay.next()
        await world.clock.advance(44)
        assert [world.relay.command(await world.relay.next()) for _ in range(2)] == [Ping()] * 2
        assert not world.session.closed.is_set()
        await world.clock.advance(1)
        assert world.session.closed.is_set()

    run(check)


def test_an_answer_in_between_starts_the_count_again() -> None:
    async def check(world: World) -> None:
        for _ in range(4):
            await world.clock.advance(60 + 44)
            pings = [await world.relay.next() for _ in range(3)]
            await world.relay.answer(pings[0], Pong())  # late, but a sign of life
            await settle()
            assert not world.session.closed.is_set()
            await world.relay.answer(pings[2], Pong())
            await settle()

    run(check)


def test_commands_that_time_out_together_count_as_one_silence() -> None:
    async def check(world: World) -> None:
        for _ in range(5):
            world.post(Sub())
        await world.clock.advance(30)
        assert not world.session.closed.is_set()
        for _ in range(2):
            world.post(Sub())
            await world.clock.advance(15)
        assert world.session.closed.is_set()

    run(check)


def test_timeouts_beside_answered_commands_do_not_end_the_session() -> None:
    async def check(world: World) -> None:
        for _ in range(6):
            lost = world.post(Sub())
            assert await world.relay.next()
            await world.clock.advance(1)
            answered = world.post(Sub(), OTHER)
            await world.relay.answer(await world.relay.next(), Ok())
            assert await answered == Ok()
            await world.clock.advance(15)
            assert isinstance(lost.exception(), ResponseTimeout)
        assert not world.session.closed.is_set()

    run(check)
