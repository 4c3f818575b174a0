"""One way to open a connected pair over each transport; add a transport here and the contract applies to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any

from smpchat.transport import tls, websocket
from smpchat.transport.base import BlockConnection
from smpchat.transport.memory import memory_pair
from tests.unit.transport.support import an_identity

Pair = tuple[BlockConnection, BlockConnection]


@asynccontextmanager
async def memory() -> AsyncIterator[Pair]:
    client, relay = memory_pair(leaf=an_identity().certificate)
    try:
        yield client, relay
    finally:
        await client.close()
        await relay.close()


@asynccontextmanager
async def over_network(transport: Any) -> AsyncIterator[Pair]:
    accepted: asyncio.Queue[BlockConnection] = asyncio.Queue()
    finished = asyncio.Event()

    async def hold(connection: BlockConnection) -> None:
        accepted.put_nowait(connection)
        await finished.wait()

    listener = await transport.serve(an_identity(), "127.0.0.1", 0, hold)
    client = await transport.connect(["127.0.0.1"], listener.port, timeout=10)
    relay = await accepted.get()
    try:
        yield client, relay
    finally:
        finished.set()
        await client.close()
        await relay.close()
        await listener.close()


TRANSPORTS: dict[str, Callable[[], AbstractAsyncContextManager[Pair]]] = {
    "memory": memory,
    "tls": partial(over_network, tls),
    "websocket": partial(over_network, websocket),
}
