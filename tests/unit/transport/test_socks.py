"""Connections through a SOCKS5 server on this computer, which sees what it is asked for."""

from __future__ import annotations

import asyncio
import socket

import pytest

from smpchat.transport import tls, websocket
from smpchat.transport.base import BLOCK_SIZE, BlockConnection, ConnectFailed
from smpchat.transport.socks import SocksDialer
from smpchat.transport.socks_address import SocksProxy
from tests.unit.transport.socks_server import NO_AUTH, SocksServer, a_socks_server
from tests.unit.transport.support import an_identity

BLOCK = bytes(range(256)) * 64
assert len(BLOCK) == BLOCK_SIZE


async def echo(connection: BlockConnection) -> None:
    while True:
        await connection.send([await connection.receive()])


def dialer(server: SocksServer) -> SocksDialer:
    return SocksDialer(SocksProxy("127.0.0.1", server.port), "relay-1", "password")


@pytest.mark.parametrize("transport", [tls, websocket], ids=["tls", "websocket"])
@pytest.mark.parametrize("host", ["relay.invalid", "exampleexampleexample.onion"])
def test_the_proxy_resolves_the_name(transport: object, host: str) -> None:
    """A name looked up here would tell the network which relays are used; ``.invalid`` has no address at all."""

    async def check() -> None:
        listener = await transport.serve(an_identity(), "127.0.0.1", 0, echo)  # type: ignore[attr-defined]
        async with a_socks_server(names={host: ("127.0.0.1", listener.port)}) as server:
            client = await transport.connect([host], 5223, timeout=10, dialer=dialer(server))  # type: ignore[attr-defined]
            await client.send([BLOCK])
            assert await client.receive() == BLOCK
            assert server.asked == [(host, 5223)]
            assert server.users == [(b"relay-1", b"password")]
            await client.close()
        await listener.close()

    asyncio.run(check())


def test_onion_hosts_are_tried_before_others() -> None:
    async def check() -> None:
        listener = await tls.serve(an_identity(), "127.0.0.1", 0, echo)
        names = {"a.onion": ("127.0.0.1", listener.port)}
        async with a_socks_server(names=names) as server:
            client = await tls.connect(["relay.invalid", "a.onion"], 5223, timeout=10, dialer=dialer(server))
            assert server.asked == [("a.onion", 5223)]
            await client.close()
        await listener.close()

    asyncio.run(check())


def test_addresses_are_passed_on_as_such_and_a_proxy_without_users_will_do() -> None:
    async def check() -> None:
        listener = await tls.serve(an_identity(), "127.0.0.1", 0, echo)
        async with a_socks_server(wants=NO_AUTH) as server:
            client = await tls.connect(["127.0.0.1"], listener.port, timeout=10, dialer=dialer(server))
            assert server.asked == [("127.0.0.1", listener.port)]
            assert server.users == [None]
            await client.close()
        await listener.close()

    asyncio.run(check())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"refuse": 4}, "did not connect: host unreachable"),
        ({"refuse": 5}, "did not connect: connection refused by destination host"),
        ({"wants": 1}, "did not connect: no acceptable authentication methods were offered"),
    ],
)
def test_the_proxys_refusal_is_told_in_words(options: dict[str, object], words: str) -> None:
    async def check() -> None:
        async with a_socks_server(**options) as server:
            with pytest.raises(ConnectFailed) as failed:
                await tls.connect(["relay.invalid"], 5223, timeout=10, dialer=dialer(server))
            assert str(failed.value) == (
                f"cannot reach relay relay.invalid:5223: the SOCKS proxy 127.0.0.1:{server.port} {words}"
            )
            assert failed.value.temporary

    asyncio.run(check())


def test_a_proxy_that_is_not_there_is_named() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    missing = SocksDialer(SocksProxy("127.0.0.1", port), "user", "password")
    with pytest.raises(ConnectFailed, match=f"the SOCKS proxy 127.0.0.1:{port} cannot be reached: connection refused$"):
        asyncio.run(tls.connect(["relay.invalid"], 5223, timeout=10, dialer=missing))


def test_a_proxy_that_says_nothing_costs_the_time_given() -> None:
    async def check() -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            proxy = SocksProxy("127.0.0.1", silent.getsockname()[1])
            with pytest.raises(ConnectFailed, match=r"relay.invalid:5223: no answer within 0\.2 s$"):
                await tls.connect(["relay.invalid"], 5223, timeout=0.2, dialer=SocksDialer(proxy, "user", "password"))

    asyncio.run(check())


def test_a_name_that_is_none_is_told_in_words() -> None:
    async def check() -> None:
        async with a_socks_server() as server:
            with pytest.raises(ConnectFailed, match="this is not a host name"):
                await tls.connect(["a" * 300], 5223, timeout=10, dialer=dialer(server))

    asyncio.run(check())


def test_the_password_is_not_shown() -> None:
    assert "hidden" not in repr(SocksDialer(SocksProxy("h", 1), "user", "hidden"))
