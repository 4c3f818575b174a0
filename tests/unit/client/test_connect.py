"""From an address to a session, over TLS on this computer and over memory."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest

from smpchat.client.connect import connect, open_session
from smpchat.crypto.entropy import SystemEntropy
from smpchat.protocol.address import SMPServer
from smpchat.protocol.commands import End, Ping, Pong
from smpchat.protocol.errors import HandshakeError
from smpchat.protocol.session import ServerHandshake
from smpchat.protocol.version import SMP_VERSIONS, VersionRange
from smpchat.testing.entropy import SeededEntropy
from smpchat.transport import tls
from smpchat.transport.base import BLOCK_SIZE, BlockConnection, ConnectFailed, ConnectionClosed
from smpchat.transport.memory import memory_pair
from tests.unit.client.support import ScriptedRelay
from tests.unit.transport.support import NOW, an_identity


def now() -> datetime:
    return NOW


def no_event(*_: object) -> None:
    raise AssertionError("no event was expected")


@asynccontextmanager
async def relay(serve: Callable[[BlockConnection], Awaitable[None]]) -> AsyncIterator[SMPServer]:
    listener = await tls.serve(an_identity(), "127.0.0.1", 0, serve)
    try:
        yield SMPServer(("127.0.0.1",), str(listener.port), an_identity().fingerprint)
    finally:
        await listener.close()


async def pong(connection: BlockConnection) -> None:
    scripted = await ScriptedRelay.accept(connection)
    while True:
        received = await scripted.next()
        await scripted.answer(received, Pong())
        await scripted.send((b"", b"q" * 24, End()))


async def never(connection: BlockConnection) -> None:
    await asyncio.get_running_loop().create_future()


def test_a_session_over_tls() -> None:
    async def check() -> None:
        events: asyncio.Queue[Any] = asyncio.Queue()
        async with relay(pong) as server:
            session = await connect(
                server, entropy=SystemEntropy(), timeout=10, on_event=lambda *event: events.put_nowait(event), now=now
            )
            assert (session.version, session.server, session.keyed_new) == (18, server, True)
            for _ in range(3):
                assert await session.request(Ping()) == Pong()
                assert await events.get() == (session, b"q" * 24, End())
            await session.close()

    asyncio.run(check())


def test_without_extensions_nothing_is_agreed_on() -> None:
    async def check() -> None:
        async with relay(pong) as server:
            session = await connect(
                server, entropy=SystemEntropy(), timeout=10, on_event=no_event, now=now, extensions=False
            )
            assert session.keyed_new is False
            await session.close()

    asyncio.run(check())


def test_a_relay_with_another_fingerprint_is_refused_and_learns_nothing() -> None:
    async def check() -> None:
        got: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        async def listen(connection: BlockConnection) -> None:
            handshake = ServerHandshake(
                an_identity().chain, an_identity().sign, connection.session_id, SMP_VERSIONS, SystemEntropy()
            )
            await connection.send([handshake.hello()])
            try:
                got.set_result(f"{len(await connection.receive())} bytes")
            except ConnectionClosed as error:
                got.set_result(str(error))

        async with relay(listen) as server:
            impostor = SMPServer(server.hosts, server.port, an_identity("another").fingerprint)
            with pytest.raises(HandshakeError):
                await connect(impostor, entropy=SystemEntropy(), timeout=10, on_event=no_event, now=now)
            assert await got == "the peer closed the connection"

    asyncio.run(check())


def test_an_expired_certificate_is_refused_and_the_connection_closed() -> None:
    async def check() -> None:
        async with relay(pong) as server:
            with pytest.raises(HandshakeError, match="expired"):
                await connect(
                    server,
                    entropy=SystemEntropy(),
                    timeout=10,
                    on_event=no_event,
                    now=lambda: NOW + timedelta(days=1_000_000),
                )

    asyncio.run(check())


def test_versions_that_do_not_overlap_are_named() -> None:
    async def check() -> None:
        async def old(connection: BlockConnection) -> None:
            await ScriptedRelay.accept(connection, VersionRange(7, 8))

        async with relay(old) as server:
            with pytest.raises(HandshakeError, match=r"7-8.*9-18|9-18.*7-8"):
                await connect(
                    server,
                    entropy=SystemEntropy(),
                    timeout=10,
                    on_event=no_event,
                    now=now,
                    versions=VersionRange(9, 18),
                )

    asyncio.run(check())


def test_an_unreachable_relay_is_told_in_words() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = SMPServer(("127.0.0.1",), str(port), bytes(32))
    with pytest.raises(ConnectFailed, match=f"^cannot reach relay 127.0.0.1:{port}: connection refused$"):
        asyncio.run(connect(server, entropy=SystemEntropy(), timeout=10, on_event=no_event, now=now))


def test_a_relay_without_a_hello_fails_within_the_timeout() -> None:
    async def check() -> None:
        async with relay(never) as server:
            start = time.monotonic()
            with pytest.raises(ConnectFailed, match=r"cannot reach relay 127.0.0.1:\d+: no hello within 0\.5 s"):
                await connect(server, entropy=SystemEntropy(), timeout=0.5, on_event=no_event, now=now)
            assert time.monotonic() - start < 5

    asyncio.run(check())


def test_a_relay_that_closes_before_its_hello_is_told_in_words() -> None:
    async def check() -> None:
        async def close(connection: BlockConnection) -> None:
            await connection.close()

        async with relay(close) as server:
            with pytest.raises(ConnectFailed, match="the peer closed the connection during the handshake"):
                await connect(server, entropy=SystemEntropy(), timeout=10, on_event=no_event, now=now)

    asyncio.run(check())


def test_a_hello_that_is_noise_is_a_handshake_error_and_closes_the_connection() -> None:
    async def check() -> None:
        client, other = memory_pair(leaf=an_identity().certificate)
        await other.send([b"\x01" * BLOCK_SIZE])
        server = SMPServer(("relay.example",), "", an_identity().fingerprint)
        with pytest.raises(HandshakeError):
            await open_session(client, server, entropy=SeededEntropy("c"), on_event=no_event, now=now)
        with pytest.raises(ConnectionClosed):
            await other.receive()

    asyncio.run(check())


def test_cancelling_closes_the_connection() -> None:
    async def check() -> None:
        client, other = memory_pair()
        server = SMPServer(("relay.example",), "", an_identity().fingerprint)
        opening = asyncio.create_task(
            open_session(client, server, entropy=SeededEntropy("c"), on_event=no_event, now=now)
        )
        await asyncio.sleep(0)
        opening.cancel()
        await asyncio.wait([opening])
        with pytest.raises(ConnectionClosed):
            await other.receive()

    asyncio.run(check())
