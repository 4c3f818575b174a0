"""One connection of the relay: blocks to commands, answers to blocks, and what may wait in between."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from smpchat.crypto.keys import X25519PrivateKey
from smpchat.encoding.codec import large_bytes
from smpchat.protocol.block import BLOCK_SIZE, decode_batch, encode_batches
from smpchat.protocol.errors import ErrorCode
from smpchat.protocol.session import SMPSession
from smpchat.protocol.transmission import Transmission, encode_transmission
from smpchat.relay.connection import MAX_BLOCKS_UNDER_WAY, MAX_UNDER_WAY, Connection, ConnectionLimits
from smpchat.relay.subscriptions import MAX_UNSENT_PUSHES
from smpchat.testing.loop import run_jumping
from smpchat.transport.base import ConnectionClosed
from smpchat.transport.memory import CAPACITY, MemoryConnection, memory_pair

SESSION_ID = bytes(range(32))
LIMITS = ConnectionLimits(new_queues=60, unsent_bytes=64 * 1024)
LONG = bytes(16_000)
"""An answer of which one fits a block."""


class Sides:
    """A connection of the relay and the client's end of it."""

    def __init__(self, version: int = 18, limits: ConnectionLimits = LIMITS) -> None:
        relay_key, client_key = X25519PrivateKey(bytes(31) + b"r"), X25519PrivateKey(bytes(31) + b"c")

        def session(own: X25519PrivateKey, peer: X25519PrivateKey, *, is_server: bool) -> SMPSession:
            return SMPSession(
                version,
                SESSION_ID,
                own_key=own,
                peer_key=peer.public(),
                is_server=is_server,
                encrypts=version >= 11,
            )

        self.now = 0.0
        self.rooms = 0
        self.session = session(client_key, relay_key, is_server=False)
        self.client: MemoryConnection
        self.client, blocks = memory_pair(SESSION_ID)
        self.relay = Connection(
            blocks, session(relay_key, client_key, is_server=True), limits, lambda: self.now, self._room
        )
        self.writer = asyncio.get_running_loop().create_task(self.relay.write())

    def _room(self, connection: Connection) -> None:
        assert connection is self.relay
        self.rooms += 1

    async def send_content(self, content: bytes) -> None:
        await self.client.send([self.session.seal_block(content)])

    async def send(self, *bodies: bytes) -> None:
        data = [self.encode(body) for body in bodies]
        for content in encode_batches(data, encrypted=self.session.encrypts):
            await self.send_content(content)

    def encode(self, body: bytes, session_id: bytes = SESSION_ID) -> bytes:
        return encode_transmission(Transmission(b"c", b"e", body), self.session.version, session_id)

    async def receive(self) -> tuple[bytes, ...]:
        return decode_batch(self.session.open_block(await self.client.receive()))

    def put(self, *data: bytes, push: bool = False) -> None:
        for one in data:
            self.relay.put(one, push=push)
        self.relay.flush()


def run(check: Callable[[], Awaitable[None]]) -> None:
    async def within() -> None:
        await check()

    run_jumping(within)


async def is_waiting(task: asyncio.Task[object]) -> bool:
    """Whether a task goes on no further by itself."""
    for _ in range(50):
        await asyncio.sleep(0)
    return not task.done()


# --- reading ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [6, 10, 18])
def test_a_block_becomes_its_commands_in_order(version: int) -> None:
    async def check() -> None:
        sides = Sides(version)
        await sides.send(b"PING", b"SUB", b"OFF")
        received = await sides.relay.read()
        assert [one.body for one in received if isinstance(one, Transmission)] == [b"PING", b"SUB", b"OFF"]

    run(check)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0",
        b"\xff" + large_bytes.encode(b"cut off"),
        b"\x01\xff\xff" + bytes(100),
        b"\x01" + large_bytes.encode(b"\0\0\0PING") + b"more",
        b"\x01" + large_bytes.encode(b"\x03abc\0\0PING"),
        b"\x01" + large_bytes.encode(b"\0\xff\0PING"),
        b"\x01\0\0",
    ],
)
def test_what_is_no_batch_is_answered_and_the_session_goes_on(content: bytes) -> None:
    async def check() -> None:
        sides = Sides()
        await sides.send_content(content)
        assert await sides.relay.read() == [ErrorCode.BLOCK]
        await sides.send(b"PING")
        assert [type(one) for one in await sides.relay.read()] == [Transmission]

    run(check)


def test_a_block_that_does_not_decrypt_costs_one_step_of_the_chain() -> None:
    async def check() -> None:
        sides = Sides()
        sides.session.seal_block(b"")  # the client's chain moves on with the block that gets damaged
        await sides.client.send([bytes(BLOCK_SIZE)])
        assert await sides.relay.read() == [ErrorCode.BLOCK]
        await sides.send(b"PING")
        assert [type(one) for one in await sides.relay.read()] == [Transmission]

    run(check)


def test_one_bad_transmission_does_not_spoil_the_others_of_its_block() -> None:
    async def check() -> None:
        sides = Sides(6)
        good, foreign = sides.encode(b"PING"), sides.encode(b"PING", bytes(32))
        [content] = encode_batches([good, b"\x09", foreign, good], encrypted=False)
        await sides.send_content(content)
        first, *errors, last = await sides.relay.read()
        assert first == last == Transmission(b"c", b"e", b"PING")
        assert errors == [ErrorCode.BLOCK, ErrorCode.SESSION]

    run(check)


def test_no_more_blocks_are_read_than_may_be_under_way() -> None:
    async def check() -> None:
        sides = Sides()
        for _ in range(MAX_BLOCKS_UNDER_WAY):
            await sides.send(b"PING")
            await sides.relay.read()
        await sides.send(b"PING")
        reading = asyncio.create_task(sides.relay.read())
        assert await is_waiting(reading)
        sides.relay.answered(1, block=True)
        assert len(await reading) == 1

    run(check)


def test_no_more_commands_are_read_than_may_be_under_way() -> None:
    async def check() -> None:
        sides = Sides()
        await sides.send(*[b"PING"] * MAX_UNDER_WAY)
        assert len(await sides.relay.read()) == MAX_UNDER_WAY
        await sides.send(b"PING")
        reading = asyncio.create_task(sides.relay.read())
        assert await is_waiting(reading)
        sides.relay.answered(MAX_UNDER_WAY, block=True)
        assert len(await reading) == 1

    run(check)


def test_nothing_is_read_from_a_client_that_takes_no_answers() -> None:
    async def check() -> None:
        sides = Sides()
        sides.put(*[LONG] * (CAPACITY + 8))
        await sides.send(b"PING")
        reading = asyncio.create_task(sides.relay.read())
        assert await is_waiting(reading)
        for _ in range(CAPACITY + 8):
            assert await sides.receive() == (LONG,)
        assert len(await reading) == 1

    run(check)


def test_the_end_of_the_connection_is_told() -> None:
    async def check() -> None:
        sides = Sides()
        await sides.client.close()
        with pytest.raises(ConnectionClosed):
            await sides.relay.read()
        sides.put(b"too late")
        await sides.writer

    run(check)


def test_a_reader_that_waits_for_room_hears_of_the_end() -> None:
    async def check() -> None:
        sides = Sides()
        sides.put(*[LONG] * 4 * CAPACITY)
        await sides.send(b"PING")
        reading = asyncio.create_task(sides.relay.read())
        assert await is_waiting(reading)
        await sides.relay.close()
        with pytest.raises(ConnectionClosed):
            await reading

    run(check)


# --- writing ---------------------------------------------------------------------------------------------------------


def test_answers_put_together_share_a_block() -> None:
    async def check() -> None:
        sides = Sides()
        sides.put(b"one", b"two", LONG, b"three")
        assert await sides.receive() == (b"one", b"two", LONG, b"three")

    run(check)


def test_nothing_is_written_before_it_is_flushed() -> None:
    async def check() -> None:
        sides = Sides()
        sides.relay.put(b"one", push=False)
        assert await is_waiting(sides.writer)
        assert sides.client.waiting == 0
        sides.relay.flush()
        assert await sides.receive() == (b"one",)

    run(check)


def test_finishing_writes_what_was_put_and_ends() -> None:
    async def check() -> None:
        sides = Sides()
        sides.put(LONG, b"last")
        sides.relay.finish()
        assert await sides.receive() == (LONG, b"last")
        with pytest.raises(ConnectionClosed):
            await sides.receive()
        await sides.writer

    run(check)


def test_a_write_that_does_not_come_through_is_seen_and_can_be_ended() -> None:
    async def check() -> None:
        sides = Sides()
        sides.now = 7.0
        sides.put(*[LONG] * 2 * CAPACITY)
        assert await is_waiting(sides.writer)
        assert sides.relay.sending_since == 7.0
        await sides.relay.close()
        await sides.writer

    run(check)


def test_when_it_was_active_last() -> None:
    async def check() -> None:
        sides = Sides()
        sides.now = 5.0
        await sides.send(b"PING")
        await sides.relay.read()
        assert sides.relay.active_at == 5.0
        sides.now = 9.0
        sides.put(b"PONG")
        await sides.receive()
        assert (sides.relay.active_at, sides.relay.sending_since) == (9.0, None)

    run(check)


def test_room_for_messages_that_were_held_back_is_told() -> None:
    async def check() -> None:
        sides = Sides()
        client = sides.relay.client
        client.unsent = MAX_UNSENT_PUSHES
        client.deferred[b"queue"] = None
        for _ in range(MAX_UNSENT_PUSHES):
            sides.relay.put(b"push", push=True)
        sides.relay.put(b"answer", push=False)
        sides.relay.flush()
        taken = 0
        while taken <= MAX_UNSENT_PUSHES:
            taken += len(await sides.receive())
        assert client.unsent == 0
        assert sides.rooms > 0

    run(check)


# --- new queues ------------------------------------------------------------------------------------------------------


def test_so_many_new_queues_in_a_minute_and_then_one_as_time_passes() -> None:
    async def check() -> None:
        sides = Sides()
        assert [sides.relay.may_create() for _ in range(61)] == [True] * 60 + [False]
        sides.now += 1.5
        assert [sides.relay.may_create() for _ in range(2)] == [True, False]
        sides.now += 3600
        assert [sides.relay.may_create() for _ in range(61)] == [True] * 60 + [False]

    run(check)
