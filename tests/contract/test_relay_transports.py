"""A queue's life at a relay, over each transport that a relay listens on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from smpchat.crypto.keys import Ed25519PrivateKey
from smpchat.protocol.commands import Ack, Del, Msg, Ok, Send, SKey, Sub
from smpchat.protocol.messages import RcvMessage
from smpchat.protocol.queue_mode import QueueMode
from smpchat.relay.server import RelayServer
from smpchat.relay.store import SQLiteStore
from smpchat.testing.entropy import SeededEntropy
from smpchat.transport import tls, websocket
from tests.unit.relay.support import AUTH, NOW, Peer, an_identity, shake_hands


@asynccontextmanager
async def a_listening_relay() -> AsyncIterator[RelayServer]:
    store = SQLiteStore(":memory:")
    relay = RelayServer(store, an_identity(), entropy=SeededEntropy("relay"), clock=lambda: NOW)
    await relay.start("127.0.0.1")
    await relay.listen_websocket("127.0.0.1")
    try:
        yield relay
    finally:
        await relay.close()
        store.close()


async def connect(relay: RelayServer, transport: str, version: int) -> Peer:
    if transport == "tls":
        blocks = await tls.connect(["127.0.0.1"], relay.port, timeout=10)
        return await shake_hands(blocks, version=version, seed=transport)
    assert relay.ws_port is not None
    return await shake_hands(
        await websocket.connect(["127.0.0.1"], relay.ws_port, timeout=10), version=version, seed=transport
    )


@pytest.mark.parametrize("version", [9, 18])
@pytest.mark.parametrize(
    ("recipient_over", "sender_over"), [("tls", "tls"), ("websocket", "websocket"), ("tls", "websocket")]
)
def test_a_queue_from_new_to_del(recipient_over: str, sender_over: str, version: int) -> None:
    async def check() -> None:
        async with asyncio.timeout(60), a_listening_relay() as relay:
            recipient = await connect(relay, recipient_over, version)
            sender = await connect(relay, sender_over, version)
            key = Ed25519PrivateKey.generate(SeededEntropy("sender"))
            queue = await recipient.create(mode=QueueMode.MESSAGING)
            assert await sender.ask(SKey(key.public()), queue.snd_id, key) == Ok()
            for body in (b"first", b"x" * 16048):
                assert await sender.ask(Send(True, body), queue.snd_id, key) == Ok()
            message = await recipient.event(queue.rcv_id)
            for body in (b"first", b"x" * 16048):
                assert isinstance(message, Msg)
                opened = queue.open(message)
                assert isinstance(opened, RcvMessage)
                assert opened.body == body
                message = await recipient.ask(Ack(message.msg_id), queue.rcv_id, queue.key)
            assert message == Ok()
            assert await recipient.ask(Del(), queue.rcv_id, queue.key) == Ok()
            assert await recipient.ask(Sub(), queue.rcv_id, queue.key) == AUTH
            await recipient.connection.close()
            await sender.connection.close()

    asyncio.run(check())
