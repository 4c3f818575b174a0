"""Connections to a relay: clients that misbehave are closed, and others do not notice.

Connections are in memory and time is fake.
"""

from __future__ import annotations

import asyncio
import sys

import pytest

from smpchat.crypto.keys import Ed25519PrivateKey
from smpchat.protocol.block import BLOCK_SIZE, pad_block
from smpchat.protocol.commands import (
    Ack,
    Get,
    Msg,
    Ok,
)
from smpchat.protocol.messages import RcvMessage
from smpchat.relay.limits import Limits, descriptors_for
from smpchat.relay.subscriptions import MAX_UNSENT_PUSHES
from smpchat.transport.base import ConnectionClosed
from tests.unit.relay.serving import BODY, a_relay, ended, run, send
from tests.unit.relay.support import NOW, QUOTA, Peer, err


@pytest.mark.parametrize(
    "hello",
    [b"", b"garbage", b"\x00\x12" + b"\xff" * 40, bytes(100)],
    ids=["empty", "garbage", "too long", "zeros"],
)
def test_a_hello_that_is_none_ends_the_connection(hello: bytes) -> None:
    async def check() -> None:
        async with a_relay() as relay:
            connection = await relay.connect_blocks()
            await connection.receive()
            await connection.send([pad_block(hello)])
            assert await ended(connection) == 0
            assert await (await relay.connect()).is_quiet()

    run(check)


def test_a_client_that_sends_no_hello_is_closed() -> None:
    async def check() -> None:
        async with a_relay(limits=Limits(handshake=5)) as relay:
            connection = await relay.connect_blocks()
            assert await ended(connection) == 1
            assert 5 <= asyncio.get_running_loop().time() < 10

    run(check)


def test_blocks_of_noise_are_answered_and_others_are_served() -> None:
    async def check() -> None:
        async with a_relay() as relay:
            noisy, peer = await relay.connect(), await relay.connect()
            for number in range(40):
                noisy.session.seal_block(b"")
                await noisy.connection.send([bytes([number]) * BLOCK_SIZE])
                assert (await noisy.receive())[2] == err("BLOCK")
            assert await peer.is_quiet()
            assert await noisy.is_quiet()

    run(check)


def test_who_reads_nothing_is_closed_at_last_and_delays_nobody() -> None:
    async def check() -> None:
        limits = Limits(write=100, unsent_bytes=64 * 1024)
        async with a_relay(limits=limits) as relay:
            deaf, peer, sender = await relay.connect(), await relay.connect(), await relay.connect()
            queues = [await deaf.create() for _ in range(2 * MAX_UNSENT_PUSHES)]
            for queue in queues:
                assert await send(sender, queue) == Ok()
            asking = asyncio.create_task(_ask_for_ever(deaf))
            queue = await peer.create()
            for _ in range(50):
                assert await send(sender, queue) == Ok()
                message = await peer.event(queue.rcv_id)
                assert isinstance(message, Msg)
                assert await peer.ask(Ack(message.msg_id), queue.rcv_id, queue.key) == Ok()
            [held] = [one for one in relay.server._connections if len(one.client.subscribed) > 1]
            assert held.client.unsent <= MAX_UNSENT_PUSHES
            assert held._outgoing_bytes <= MAX_UNSENT_PUSHES * BLOCK_SIZE + 2 * limits.unsent_bytes
            assert asyncio.get_running_loop().time() < 100
            with pytest.raises(ConnectionClosed):
                await asking
            assert await peer.is_quiet()
            assert held not in relay.server._connections
            again = await relay.connect()
            for queue in queues:  # what was not delivered is still there
                message = await again.ask(Get(), queue.rcv_id, queue.key)
                assert queue.open(message) == RcvMessage(NOW, False, BODY)

    run(check)


async def _ask_for_ever(peer: Peer) -> None:
    while True:
        await peer.send(peer.transmission(b"PING"))


def test_a_flood_of_new_queues_is_refused_to_the_connection_that_sends_it() -> None:
    async def check() -> None:
        async with a_relay(limits=Limits(new_queues=30)) as relay:
            peer, other = await relay.connect(), await relay.connect()
            key = Ed25519PrivateKey(bytes(32))
            created = [await peer.create(key) for _ in range(30)]
            command = peer.transmission(b"NEW " + bytes(100), key=key)
            await peer.send(command)
            assert await peer.receive() == (command.corr_id, b"", QUOTA)
            assert await send(peer, created[0]) == Ok()
            assert isinstance(await peer.event(created[0].rcv_id), Msg)
            await other.create()
            await asyncio.sleep(60)
            for _ in range(30):
                await peer.create(key)

    run(check)


def test_who_listens_to_nothing_and_is_silent_is_closed() -> None:
    async def check() -> None:
        async with a_relay(limits=Limits(idle=1000)) as relay:
            idle, subscriber, active = [await relay.connect() for _ in range(3)]
            await idle.create(subscribe=False)
            queue = await subscriber.create()
            for _ in range(6):
                await asyncio.sleep(400)
                assert await active.is_quiet()
            assert await ended(idle.connection) == 0
            assert await send(active, queue) == Ok()
            assert isinstance(await subscriber.event(queue.rcv_id), Msg)

    run(check)


@pytest.mark.skipif(sys.platform == "win32", reason="no such limit")
def test_the_limit_of_open_files_bounds_the_connections() -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 400), hard))
        assert descriptors_for(200) == 200
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == min(soft, 400)
        assert descriptors_for(500) == min(500, hard - 64)
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == min(564, hard)
        assert descriptors_for(10**9) <= hard
        if hard != resource.RLIM_INFINITY:
            assert descriptors_for(hard, beside=100) == hard - 164
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
