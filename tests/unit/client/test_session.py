"""Commands and their answers in one session: order, blocks, events, and what is no answer."""

from __future__ import annotations

import asyncio

import pytest

from smpchat.client.errors import UnexpectedResponse
from smpchat.client.request import Request
from smpchat.crypto.keys import AuthPrivateKey, Ed448PrivateKey, Ed25519PrivateKey, X25519PrivateKey
from smpchat.encoding.reader import EncodeError
from smpchat.protocol.commands import (
    Ack,
    Command,
    Del,
    End,
    Err,
    Key,
    Ok,
    Ping,
    Pong,
    Send,
    Sub,
)
from smpchat.protocol.errors import ErrorCode, LocalProtocolError, ProtocolError, SMPError
from smpchat.protocol.transmission import signed_bytes, verify_authorisation
from smpchat.transport.memory import MemoryConnection
from tests.unit.client.support import settle
from tests.unit.client.world import KEY, MESSAGE, OTHER, QUEUE, World, run


@pytest.mark.parametrize("version", [7, 10, 11, 14, 18])
def test_a_command_is_answered_at_every_version(version: int) -> None:
    async def check(world: World) -> None:
        assert world.session.version == version
        assert world.relay.smp.encrypts is (version >= 11)
        response = world.post(Sub())
        received = await world.relay.next()
        assert (received.entity_id, world.relay.command(received)) == (QUEUE, Sub())
        await world.relay.answer(received, Ok())
        assert await response == Ok()

    run(check, (6, version))


def test_request_posts_one_command_and_waits() -> None:
    async def check(world: World) -> None:
        waiting = asyncio.create_task(world.session.request(Ping()))
        received = await world.relay.next()
        assert (received.entity_id, received.auth, world.relay.command(received)) == (b"", b"", Ping())
        await world.relay.answer(received, Pong())
        assert await waiting == Pong()

    run(check)


@pytest.mark.parametrize("key", [KEY, Ed448PrivateKey(bytes(57)), X25519PrivateKey(bytes(range(32)))])
def test_commands_carry_an_authorisation_that_verifies_at_the_relay(key: AuthPrivateKey) -> None:
    async def check(world: World) -> None:
        (response,) = world.session.post([Request(Send(True, b"body"), QUEUE, key)])
        received = await world.relay.next()
        signed = signed_bytes(world.relay.smp.session_id, received.corr_id, QUEUE, received.body)
        verify_authorisation(key.public(), received.auth, signed, received.corr_id, world.relay.smp.own_session_key)
        await world.relay.answer(received, Ok())
        await response

    run(check)


def test_correlation_ids_are_24_random_bytes_unless_given() -> None:
    async def check(world: World) -> None:
        given = b"g" * 24
        responses = world.session.post([Request(Ping()), Request(Ping()), Request(Ping(), corr_id=given)])
        received = [await world.relay.next() for _ in responses]
        assert received[2].corr_id == given
        assert len({one.corr_id for one in received}) == 3
        assert {len(one.corr_id) for one in received} == {24}
        with pytest.raises(LocalProtocolError, match="used twice"):
            world.session.post([Request(Ping(), corr_id=given)])
        with pytest.raises(LocalProtocolError, match="used twice"):
            world.session.post([Request(Ping(), corr_id=b"h" * 24)] * 2)
        with pytest.raises(LocalProtocolError, match="not 23"):
            world.session.post([Request(Ping(), corr_id=bytes(23))])
        for one in received:
            await world.relay.answer(one, Pong())
        assert await asyncio.gather(*responses) == [Pong()] * 3

    run(check)


def test_answers_find_their_commands_in_any_order() -> None:
    async def check(world: World) -> None:
        sub, ack, ping = world.session.post(
            [Request(Sub(), QUEUE, KEY), Request(Ack(b"m" * 24), OTHER, KEY), Request(Ping())]
        )
        first, second, third = [await world.relay.next() for _ in range(3)]
        await world.relay.send((third.corr_id, b"", Pong()), (second.corr_id, OTHER, MESSAGE))
        assert (await ping, await ack) == (Pong(), MESSAGE)
        assert not sub.done()
        await world.relay.answer(first, Err(ErrorCode.AUTH))
        with pytest.raises(SMPError) as refused:
            await sub
        assert refused.value.code == ErrorCode.AUTH
        assert not world.session.closed.is_set()

    run(check)


def test_each_command_has_a_block_of_its_own_in_the_order_of_posting() -> None:
    async def check(world: World) -> None:
        bodies = [str(number).encode() for number in range(40)]
        world.session.post([Request(Send(True, body), QUEUE, KEY) for body in bodies[:20]])
        for body in bodies[20:]:
            world.post(Send(True, body))
        received = [world.relay.command(await world.relay.next()) for _ in bodies]
        assert received == [Send(True, body) for body in bodies]

    run(check)


def test_a_batch_of_subscriptions_fills_blocks() -> None:
    async def check(world: World) -> None:
        queues = [number.to_bytes(24, "big") for number in range(200)]
        responses = world.session.post([Request(Sub(), queue, KEY) for queue in queues], batch=True)
        blocks = [await world.relay.next_block(), await world.relay.next_block()]
        assert [len(block) for block in blocks] == [135, 65]  # smp-wire 4.1
        assert [one.entity_id for block in blocks for one in block] == queues
        for block in blocks:
            await world.relay.send(*((one.corr_id, one.entity_id, Ok()) for one in block))
        assert await asyncio.gather(*responses) == [Ok()] * 200
        assert world.session.post([], batch=True) == world.session.post([]) == []

    run(check)


@pytest.mark.parametrize(
    ("commands", "words"),
    [([(Send(True, b"1"), QUEUE), (Sub(), OTHER)], "SEND"), ([(Sub(), QUEUE), (Del(), QUEUE)], "one queue")],
)
def test_what_must_not_share_a_block_is_refused(commands: list[tuple[Command, bytes]], words: str) -> None:
    async def check(world: World) -> None:
        with pytest.raises(LocalProtocolError, match=words):
            world.session.post([Request(command, queue, KEY) for command, queue in commands], batch=True)
        await settle()
        assert world.relay_end.waiting == 0

    run(check)


def test_a_command_that_cannot_be_encoded_sends_nothing_and_harms_nothing() -> None:
    async def check(world: World) -> None:
        too_long = Send(True, bytes(16_400))
        with pytest.raises((ProtocolError, EncodeError)):
            world.session.post([Request(Ping()), Request(too_long, QUEUE, KEY)])
        await settle()
        assert world.relay_end.waiting == 0
        response = world.post(Sub())
        await world.relay.answer(await world.relay.next(), Ok())
        assert await response == Ok()

    run(check)


def test_an_answer_for_another_queue_is_no_answer() -> None:
    async def check(world: World) -> None:
        response = world.post(Sub())
        received = await world.relay.next()
        await world.relay.send((received.corr_id, OTHER, Ok()))
        with pytest.raises(UnexpectedResponse, match="another queue"):
            await response
        assert world.events == []

    run(check)


def test_an_answer_of_unknown_form_fails_its_command_only() -> None:
    async def check(world: World) -> None:
        odd, fine = world.post(Sub()), world.post(Sub(), OTHER)
        first, second = await world.relay.next(), await world.relay.next()
        await world.relay.send((first.corr_id, QUEUE, b"HUH 17"), (second.corr_id, OTHER, Ok()))
        with pytest.raises(UnexpectedResponse, match="unknown form"):
            await odd
        assert await fine == Ok()

    run(check)


def test_events_arrive_in_order_and_unknown_ones_are_passed_over() -> None:
    async def check(world: World) -> None:
        await world.relay.send((b"", QUEUE, MESSAGE), (b"", OTHER, b"NEWS"), (b"", OTHER, End()))
        await world.relay.send((b"", QUEUE, End()))
        await settle()
        assert world.events == [(QUEUE, MESSAGE), (OTHER, End()), (QUEUE, End())]

    run(check)


def test_a_fault_in_handling_an_event_is_reported_and_the_next_event_comes() -> None:
    async def check(world: World) -> None:
        def fault(*_: object) -> None:
            raise KeyError("bug")

        world.session.on_event = fault
        await world.relay.send((b"", QUEUE, End()))
        await settle()
        world.session.on_event = world.event
        await world.relay.send((b"", OTHER, End()))
        await settle()
        assert world.events == [(OTHER, End())]
        assert [context["message"] for context in world.faults] == ["handling End failed"]
        world.faults.clear()

    run(check)


def test_answers_that_nobody_asked_for_are_ignored() -> None:
    async def check(world: World) -> None:
        await world.relay.send((b"u" * 24, QUEUE, Ok()), (b"u" * 24, QUEUE, MESSAGE), (b"x", b"", Err(ErrorCode.AUTH)))
        response = world.post(Sub())
        received = await world.relay.next()
        await world.relay.send((received.corr_id, QUEUE, Ok()), (received.corr_id, QUEUE, Ok()))
        assert await response == Ok()
        assert world.events == []

    run(check)


def test_keys_stay_out_of_the_repr_of_requests() -> None:
    request = Request(Key(KEY.public()), QUEUE, Ed25519PrivateKey(b"\x77" * 32))
    assert "wwww" not in repr(request) and "key=Ed25519PrivateKey" not in repr(request)


def test_memory_connections_are_what_the_session_was_given() -> None:
    async def check(world: World) -> None:
        assert isinstance(world.client_end, MemoryConnection)
        assert world.session.session_id == world.client_end.session_id
        assert world.session.keyed_new is True

    run(check)
