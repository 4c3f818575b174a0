from __future__ import annotations

import asyncio
import socket

import pytest

from smpchat.protocol.address import SMPServer
from smpchat.relay.destinations import MAX_SESSION_ID, DestinationRefused, Destinations, dial, is_public
from smpchat.transport import tls
from smpchat.transport.base import BlockConnection, ConnectFailed
from tests.unit.relay.support import an_identity

PUBLIC = ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "2002:808:808::1", "64:ff9b::808:808"]
NOT_PUBLIC = [
    "127.0.0.1",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",
    "255.255.255.255",
    "224.0.0.1",
    "239.255.255.250",
    "::",
    "::1",
    "fe80::1",
    "fe80::1%eth0",
    "fd00::1",
    "ff02::1",
    "ff0e::1",
    "::ffff:10.1.2.3",
    "::ffff:127.0.0.1",
    "2002:a01:203::1",
    "64:ff9b::a01:203",
    "64:ff9b::7f00:1",
    "not an address",
]


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_addresses_of_local_networks(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", Destinations.ALL),
        ("127.3.2.1", Destinations.ALL),
        ("::1", Destinations.ALL),
        ("localhost", Destinations.ALL),
        ("0.0.0.0", Destinations.PUBLIC),
        ("192.168.1.1", Destinations.PUBLIC),
        ("", Destinations.PUBLIC),
        (None, Destinations.PUBLIC),
        ("relay.example", Destinations.PUBLIC),
    ],
)
def test_what_is_safe_where_a_relay_listens(host: str | None, expected: Destinations) -> None:
    assert Destinations.for_host(host) is expected


def server(*hosts: str, port: int = 5223) -> SMPServer:
    return SMPServer(hosts, str(port), bytes(32))


def test_a_local_network_is_no_destination(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither by address nor by a name that stands for one; nothing is even connected to."""

    async def within() -> None:
        loop = asyncio.get_running_loop()

        async def resolve(host: str, port: int, **_: object) -> list[object]:
            found = {"both.test": ["10.0.0.1", "127.0.0.1"], "nowhere.test": []}.get(host, [host])
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]

        async def connect(*_: object, **__: object) -> BlockConnection:
            raise AssertionError("connected")

        monkeypatch.setattr(loop, "getaddrinfo", resolve)
        monkeypatch.setattr(tls, "connect", connect)
        for hosts in (("127.0.0.1",), ("both.test",), ("192.168.0.1", "both.test", "::1")):
            with pytest.raises(DestinationRefused):
                await dial(server(*hosts), Destinations.PUBLIC, 5)
        for destinations in (Destinations.PUBLIC, Destinations.ALL):
            with pytest.raises(DestinationRefused):
                await dial(server("abc.onion"), destinations, 5)
        with pytest.raises(ConnectFailed):
            await dial(server("nowhere.test"), Destinations.PUBLIC, 5)

    asyncio.run(within())


def test_the_address_that_was_checked_is_the_one_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that means a public address once and a private one the next moment gains nothing."""

    async def within() -> None:
        loop = asyncio.get_running_loop()
        answers = [["10.0.0.1", "8.8.8.8"], ["10.0.0.1"]]

        async def resolve(_: str, port: int, **__: object) -> list[object]:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in answers.pop(0)]

        async def connect(hosts: list[str], port: int, **_: object) -> BlockConnection:
            raise ConnectFailed(f"{hosts} {port}")

        monkeypatch.setattr(loop, "getaddrinfo", resolve)
        monkeypatch.setattr(tls, "connect", connect)
        with pytest.raises(ConnectFailed, match=r"\['8\.8\.8\.8'\] 5223"):
            await dial(server("changing.test"), Destinations.PUBLIC, 5)
        assert answers == [["10.0.0.1"]]

    asyncio.run(within())


def test_a_name_that_does_not_resolve(monkeypatch: pytest.MonkeyPatch) -> None:
    async def within() -> None:
        async def resolve(*_: object, **__: object) -> list[object]:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
        with pytest.raises(ConnectFailed, match="cannot be found"):
            await dial(server("unknown.test"), Destinations.PUBLIC, 5)

    asyncio.run(within())


def test_a_session_id_that_forwarding_has_room_for() -> None:
    async def within() -> None:
        closed = asyncio.Event()

        async def serve(connection: BlockConnection) -> None:
            await closed.wait()

        listener = await tls.serve(an_identity(), "127.0.0.1", 0, serve)
        try:
            connection = await dial(server("127.0.0.1", port=listener.port), Destinations.ALL, 10)
            assert 0 < len(connection.session_id) <= MAX_SESSION_ID
            assert connection.peer_leaf == an_identity().certificate
            assert getattr(connection, "alpn", None) == "smp/1"
            await connection.close()
        finally:
            closed.set()
            await listener.close()

    asyncio.run(within())
