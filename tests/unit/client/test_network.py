"""By what way a relay is reached: relays on this computer that speak TLS, WebSocket, both or neither."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from smpchat.client.network import Network
from smpchat.client.routes import DEFAULT_WS_PORT, Route, Transport
from smpchat.protocol.address import SMPServer
from smpchat.protocol.errors import IdentityError
from smpchat.testing.entropy import SeededEntropy
from smpchat.transport import tls, websocket
from smpchat.transport.base import BLOCK_SIZE, BlockConnection, ConnectFailed, Listener
from smpchat.transport.socks_address import SocksProxy
from smpchat.transport.websocket import WebSocketConnection
from tests.unit.transport.socks_server import a_socks_server
from tests.unit.transport.support import an_identity

HELLO = bytes(BLOCK_SIZE)


async def greeting(connection: BlockConnection) -> None:
    await connection.send([HELLO])
    await connection.receive()


async def silent(_: BlockConnection) -> None:
    await asyncio.get_running_loop().create_future()


async def greet(connection: BlockConnection) -> str:
    """Which transport it was, once the relay said something."""
    try:
        assert await connection.receive() == HELLO
    finally:
        await connection.close()
    return "websocket" if isinstance(connection, WebSocketConnection) else "tls"


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def a_relay(*, speaks_tls: bool = True, speaks_ws: bool = True) -> AsyncIterator[tuple[SMPServer, int]]:
    """A relay's address and its WebSocket port; where it does not speak, nobody listens."""
    listeners: list[Listener] = []
    ports = {"tls": unused_port(), "websocket": unused_port()}
    if speaks_tls:
        listeners.append(await tls.serve(an_identity(), "127.0.0.1", ports["tls"], greeting))
    if speaks_ws:
        listeners.append(await websocket.serve(an_identity(), "127.0.0.1", ports["websocket"], greeting))
    try:
        async with asyncio.timeout(30):
            yield SMPServer(("127.0.0.1",), str(ports["tls"]), an_identity().fingerprint), ports["websocket"]
    finally:
        for listener in listeners:
            await listener.close()


def network(route: Route | None = None, proxy: SocksProxy | None = None) -> Network:
    return Network(SeededEntropy("network"), lambda _: route or Route(), lambda: proxy)


def test_tls_without_a_proxy_is_the_default() -> None:
    async def check() -> None:
        async with a_relay() as (server, _):
            plain = Network(SeededEntropy("network"))
            assert await plain.reach(server, greet, timeout=10) == "tls"
            assert plain.transport_to(server) is Transport.TLS

    asyncio.run(check())


def test_the_port_that_websocket_is_looked_for_at() -> None:
    assert Route().ws_port == DEFAULT_WS_PORT == 443


@pytest.mark.parametrize("transport", [Transport.TLS, Transport.WEBSOCKET])
def test_a_transport_that_was_asked_for_is_the_only_one_tried(transport: Transport) -> None:
    async def check() -> None:
        async with a_relay() as (server, port):
            assert await network(Route(transport, port)).reach(server, greet, timeout=10) == transport
        others = {"speaks_tls": transport is not Transport.TLS, "speaks_ws": transport is Transport.TLS}
        async with a_relay(**others) as (server, port):
            with pytest.raises(ConnectFailed, match=r"connection refused$"):
                await network(Route(transport, port)).reach(server, greet, timeout=10)

    asyncio.run(check())


def test_auto_prefers_tls() -> None:
    async def check() -> None:
        async with a_relay() as (server, port):
            assert await network(Route(Transport.AUTO, port)).reach(server, greet, timeout=10) == "tls"

    asyncio.run(check())


def test_auto_takes_websocket_where_tls_is_refused_and_then_asks_for_it_first() -> None:
    async def check() -> None:
        async with a_relay(speaks_tls=False) as (server, port):
            auto = network(Route(Transport.AUTO, port))
            assert await auto.reach(server, greet, timeout=10) == "websocket"
            assert auto.transport_to(server) is Transport.WEBSOCKET
            late = await tls.serve(an_identity(), "127.0.0.1", server.port_number, greeting)
            assert await auto.reach(server, greet, timeout=10) == "websocket"
            assert await network(Route(Transport.AUTO, port)).reach(server, greet, timeout=10) == "tls"
            await late.close()

    asyncio.run(check())


def test_auto_comes_back_to_tls_when_websocket_fails() -> None:
    async def check() -> None:
        async with a_relay(speaks_ws=False) as (server, port):
            auto = network(Route(Transport.AUTO, port))
            auto._worked[server] = Transport.WEBSOCKET
            assert await auto.reach(server, greet, timeout=10) == "tls"
            assert auto.transport_to(server) is Transport.TLS

    asyncio.run(check())


@pytest.mark.parametrize("middlebox", ["takes nothing", "no tls", "no hello"])
def test_auto_gets_past_what_breaks_tls(middlebox: str) -> None:
    async def check() -> None:
        async with a_relay(speaks_tls=False) as (server, port):
            auto = network(Route(Transport.AUTO, port))
            if middlebox == "no hello":
                stalled = await tls.serve(an_identity(), "127.0.0.1", server.port_number, silent)
                assert await auto.reach(server, greet, timeout=1) == "websocket"
                await stalled.close()
                return

            async def meddle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                if middlebox == "no tls":
                    writer.write(b"HTTP/1.1 403 Forbidden\r\n\r\n")
                await reader.read()
                writer.close()

            box = await asyncio.start_server(meddle, "127.0.0.1", server.port_number)
            assert await auto.reach(server, greet, timeout=1) == "websocket"
            box.close()

    asyncio.run(check())


def test_auto_names_both_ways_when_none_works() -> None:
    async def check() -> None:
        async with a_relay(speaks_tls=False, speaks_ws=False) as (server, port):
            with pytest.raises(ConnectFailed) as failed:
                await network(Route(Transport.AUTO, port)).reach(server, greet, timeout=10)
            assert str(failed.value) == (
                f"cannot reach relay 127.0.0.1:{server.port}: connection refused;"
                f" wss://127.0.0.1:{port}: connection refused"
            )

    asyncio.run(check())


def test_a_relay_that_is_another_one_is_not_tried_by_another_way() -> None:
    async def check() -> None:
        tried: list[str] = []

        async def refuse(connection: BlockConnection) -> None:
            tried.append(type(connection).__name__)
            await connection.close()
            raise IdentityError("another relay")

        async with a_relay() as (server, port):
            with pytest.raises(IdentityError):
                await network(Route(Transport.AUTO, port)).reach(server, refuse, timeout=10)
        assert tried == ["TLSConnection"]

    asyncio.run(check())


@pytest.mark.parametrize("transport", [Transport.TLS, Transport.WEBSOCKET])
def test_every_connection_goes_through_the_proxy(transport: Transport) -> None:
    async def check() -> None:
        async with a_relay() as (server, port), a_socks_server() as socks:
            proxied = network(Route(transport, port), SocksProxy("127.0.0.1", socks.port))
            assert await proxied.reach(server, greet, timeout=10) == transport
            assert socks.asked == [("127.0.0.1", server.port_number if transport is Transport.TLS else port)]

    asyncio.run(check())


def test_a_relay_on_this_computer_needs_no_proxy() -> None:
    async def check() -> None:
        async with a_relay() as (server, _):
            nowhere = SocksProxy("127.0.0.1", unused_port())
            assert await network(Route(local=True), nowhere).reach(server, greet, timeout=10) == "tls"

    asyncio.run(check())


def test_relays_and_clients_are_kept_apart_at_the_proxy() -> None:
    """Tor gives each user name a circuit of its own, so that no exit sees which relays have a client in common."""

    async def check() -> None:
        async with a_relay() as (server, _), a_socks_server() as socks:
            proxy = SocksProxy("127.0.0.1", socks.port)
            other = SMPServer(server.hosts, server.port, bytes(32))
            ours = Network(SeededEntropy("ours"), proxy=lambda: proxy)
            theirs = Network(SeededEntropy("theirs"), proxy=lambda: proxy)
            for client, relay in ((ours, server), (ours, server), (ours, other), (theirs, server)):
                await client.reach(relay, greet, timeout=10)
            first, again, another_relay, another_client = socks.users
            assert first == again
            assert len({first, another_relay, another_client}) == 3

    asyncio.run(check())


def test_route_and_proxy_are_asked_at_each_connection() -> None:
    async def check() -> None:
        async with a_relay() as (server, port), a_socks_server() as socks:
            routes = [Route(), Route(Transport.WEBSOCKET, port)]
            proxies = [SocksProxy("127.0.0.1", socks.port), None]
            changing = Network(SeededEntropy("c"), lambda _: routes.pop(0), lambda: proxies.pop(0))
            assert await changing.reach(server, greet, timeout=10) == "tls"
            assert await changing.reach(server, greet, timeout=10) == "websocket"
            assert len(socks.asked) == 1

    asyncio.run(check())
