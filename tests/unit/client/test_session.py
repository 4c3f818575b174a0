from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from smpchat.client.connect import open_session
from smpchat.client.errors import NoResponse, ResponseTimeout, SessionClosed, UnexpectedResponse
from smpchat.client.request import Request
from smpchat.client.session import DirectSession, ServerSession
from smpchat.crypto.keys import AuthPrivateKey, Ed448PrivateKey, Ed25519PrivateKey, X25519PrivateKey
from smpchat.encoding.reader import EncodeError
from smpchat.protocol.address import SMPServer
from smpchat.protocol.commands import (
    Ack,
    BrokerMessage,
    Command,
    Del,
    End,
    Err,
    Key,
    Msg,
    Ok,
    Ping,
    Pong,
    Send,
    Sub,
)
from smpchat.protocol.errors import ErrorCode, LocalProtocolError, ProtocolError, RemoteProtocolError, SMPError
from smpchat.protocol.session import ServerHandshake
from smpchat.protocol.transmission import signed_bytes, verify_authorisation
from smpchat.protocol.version import SMP_VERSIONS, VersionRange
from smpchat.testing.entropy import SeededEntropy
from smpchat.transport.base import BLOCK_SIZE, ConnectionClosed, TransportError
from smpchat.transport.memory import MemoryConnection, memory_pair
from tests.unit.client.support import FakeClock, ScriptedRelay, settle
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
        for _ in range(3):
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
        assert "does not answer any more" in str(world.session.close_reason)
        with pytest.raises(SessionClosed, match="does not answer any more"):
            await response

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


def test_keys_stay_out_of_the_repr_of_requests() -> None:
    request = Request(Key(KEY.public()), QUEUE, Ed25519PrivateKey(b"\x77" * 32))
    assert "wwww" not in repr(request) and "key=Ed25519PrivateKey" not in repr(request)


def test_memory_connections_are_what_the_session_was_given() -> None:
    async def check(world: World) -> None:
        assert isinstance(world.client_end, MemoryConnection)
        assert world.session.session_id == world.client_end.session_id
        assert world.session.keyed_new is True

    run(check)
