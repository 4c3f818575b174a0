"""What `BlockConnection` promises, tried on every transport."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import pytest

from smpchat.transport.base import BLOCK_SIZE, BlockConnection, ConnectionClosed
from tests.contract.transports import TRANSPORTS, Pair
from tests.unit.transport.support import an_identity

Open = Callable[[], AbstractAsyncContextManager[Pair]]


def block(number: int) -> bytes:
    return number.to_bytes(8, "big") * (BLOCK_SIZE // 8)


@pytest.fixture(params=TRANSPORTS)
def opened(request: pytest.FixtureRequest) -> Open:
    return TRANSPORTS[request.param]


def run(opened: Open, check: Callable[[BlockConnection, BlockConnection], Awaitable[None]]) -> None:
    async def within() -> None:
        async with asyncio.timeout(30), opened() as (client, relay):
            await check(client, relay)

    asyncio.run(within())


async def until_stuck(send: asyncio.Task[None]) -> bool:
    """Whether ``send`` is still waiting once the loop has nothing else to do for it."""
    done, _ = await asyncio.wait([send], timeout=0.2)
    return not done


def test_both_ends_know_the_connection_by_the_same_id(opened: Open) -> None:
    async def check(client: BlockConnection, relay: BlockConnection) -> None:
        assert client.session_id == relay.session_id
        assert len(client.session_id) >= 12

    run(opened, check)


def test_the_client_sees_the_relays_certificate(opened: Open) -> None:
    async def check(client: BlockConnection, relay: BlockConnection) -> None:
        assert client.peer_leaf == an_identity().certificate
        assert relay.peer_leaf is None

    run(opened, check)


def test_blocks_arrive_whole_and_in_order_both_ways_at_once(opened: Open) -> None:
    async def one_way(sender: BlockConnection, receiver: BlockConnection, first: int) -> None:
        async def send() -> None:
            for start in range(0, 60, 4):
                await sender.send([block(first + start + i) for i in range(4)])

        async def receive() -> None:
            for number in range(60):
                assert await receiver.receive() == block(first + number)

        await asyncio.gather(send(), receive())

    async def check(client: BlockConnection, relay: BlockConnection) -> None:
        await asyncio.gather(one_way(client, relay, 0), one_way(relay, client, 1000))

    run(opened, check)


@pytest.mark.parametrize("size", [0, 1, BLOCK_SIZE - 1, BLOCK_SIZE + 1])
def test_a_block_of_another_size_is_refused_and_nothing_sent(opened: Open, size: int) -> None:
    async def check(client: BlockConnection, relay: BlockConnection) -> None:
        with pytest.raises(ValueError, match=f"not {size}"):
            await client.send([block(1), bytes(size)])
        await client.send([block(2)])
        assert await relay.receive() == block(2)

    run(opened, check)


def test_sending_waits_for_a_slow_peer_and_goes_on_with_it(opened: Open) -> None:
    async def check(client: BlockConnection, relay: BlockConnection) -> None:
        async def send() -> None:
            for number in range(4000):  # 64 MB: more than any socket buffer takes
                await client.send([block(number)])

        sending = asyncio.create_task(send())
        assert await until_stuck(sending)
        for number in range(4000):
            assert await relay.receive() == block(number)
        await sending

    run(opened, check)


def test_a_cancelled_send_has_sent_its_blocks(opened: Open) -> None:
    async def check(client: BlockConnection, relay: BlockConnection) -> None:
        blocks = [block(number) for number in range(2000)]
        sending = asyncio.create_task(client.send(blocks))
        assert await until_stuck(sending)
        sending.cancel()
        await asyncio.wait([sending])
        assert sending.cancelled()
        for expected in blocks:
            assert await relay.receive() == expected
        await client.send([block(7)])
        assert await relay.receive() == block(7)

    run(opened, check)


def test_a_cancelled_receive_loses_nothing(opened: Open) -> None:
    async def check(client: BlockConnection, relay: BlockConnection) -> None:
        receiving = asyncio.create_task(relay.receive())
        assert await until_stuck(receiving)  # type: ignore[arg-type]
        receiving.cancel()
        await client.send([block(1), block(2)])
        await asyncio.wait([receiving])
        assert [await relay.receive(), await relay.receive()] == [block(1), block(2)]

    run(opened, check)


def test_a_receive_cancelled_in_the_moment_of_arrival_loses_nothing(opened: Open) -> None:
    async def check(client: BlockConnection, relay: BlockConnection) -> None:
        for number in range(50):
            receiving = asyncio.create_task(relay.receive())
            await asyncio.sleep(0)
            await client.send([block(number)])
            for _ in range(number % 5):
                await asyncio.sleep(0)
            receiving.cancel()
            await asyncio.wait([receiving])
            got = await relay.receive() if receiving.cancelled() else receiving.result()
            assert got == block(number)

    run(opened, check)


def test_two_tasks_may_not_receive(opened: Open) -> None:
    async def check(client: BlockConnection, relay: BlockConnection) -> None:
        first = asyncio.create_task(relay.receive())
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="two tasks"):
            await relay.receive()
        await client.send([block(1)])
        assert await first == block(1)

    run(opened, check)


def test_blocks_sent_before_closing_arrive_then_the_end(opened: Open) -> None:
    async def check(client: BlockConnection, relay: BlockConnection) -> None:
        await client.send([block(1), block(2)])
        await client.close()
        assert [await relay.receive(), await relay.receive()] == [block(1), block(2)]
        for _ in range(2):
            with pytest.raises(ConnectionClosed, match="the peer closed the connection"):
                await relay.receive()
        with pytest.raises(ConnectionClosed):
            await relay.send([block(3)])

    run(opened, check)


def test_closing_wakes_this_sides_receive(opened: Open) -> None:
    async def check(client: BlockConnection, relay: BlockConnection) -> None:
        receiving = asyncio.create_task(client.receive())
        await asyncio.sleep(0)
        await client.close()
        with pytest.raises(ConnectionClosed, match="this program closed") as closed:
            await receiving
        assert closed.value.temporary
        with pytest.raises(ConnectionClosed, match="this program closed"):
            await client.send([block(1)])

    run(opened, check)


def test_closing_wakes_a_send_that_waits(opened: Open) -> None:
    async def check(client: BlockConnection, relay: BlockConnection) -> None:
        sending = asyncio.create_task(client.send([block(n) for n in range(2000)]))
        assert await until_stuck(sending)
        await relay.close()
        with pytest.raises(ConnectionClosed):
            await sending

    run(opened, check)


def test_closing_does_not_wait_for_ever_for_a_peer_that_takes_nothing(opened: Open) -> None:
    async def check(client: BlockConnection, relay: BlockConnection) -> None:
        sending = asyncio.create_task(client.send([block(n) for n in range(2000)]))
        assert await until_stuck(sending)
        await client.close()
        with pytest.raises(ConnectionClosed):
            await sending

    run(opened, check)


def test_closing_may_be_repeated_and_done_by_both(opened: Open) -> None:
    async def check(client: BlockConnection, relay: BlockConnection) -> None:
        await asyncio.gather(client.close(), relay.close(), client.close())
        await client.close()
        await relay.close()

    run(opened, check)
