"""What a host is a way to, in every spelling; and what a fence lets through, before and after resolving."""

from __future__ import annotations

import asyncio
import socket

import pytest

from smpchat.client.network import Network
from smpchat.client.routes import Route
from smpchat.protocol.address import SMPServer
from smpchat.testing.entropy import SeededEntropy
from smpchat.transport.base import AddressRefused, BlockConnection, ConnectFailed
from smpchat.transport.hosts import DirectDialer
from smpchat.transport.scope import Fence, Scope, scope_as_written, scope_of
from smpchat.transport.socks import SocksDialer
from smpchat.transport.socks_address import SocksProxy

SCOPES = {
    Scope.PUBLIC: ["1.1.1.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101", "2002:101:101::1"],
    Scope.LOOPBACK: [
        *("127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::"),
        *(
            "127.1",
            "0x7f.1",
            "0x7f000001",
            "2130706433",
            "0177.0.0.1",
            "[::1]",
            "127.0.0.1.",
            "\uff11\uff12\uff17.0.0.1",
        ),
        *("localhost", "LOCALHOST", "localhost.", "a.localhost", "ip6-loopback"),
    ],
    Scope.LOCAL: [
        *("10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.0.1", "100.64.0.1", "fc00::1", "fd12::1", "fec0::1"),
        *("::ffff:10.0.0.1", "::ffff:a00:1", "64:ff9b::a00:1", "64:ff9b:1::1", "2002:c0a8:1::", "192.0.2.1", "10.1"),
        *("2001:db8::1", "router", "nas.local", "db.internal", "printer.home.arpa", "x.lan", "NAS.Local."),
    ],
    Scope.LINK: ["169.254.169.254", "fe80::1", "fe80::1%eth0", "::ffff:169.254.1.1", "2852039166"],
    Scope.NOWHERE: [
        *("0.0.0.0", "0.1.2.3", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "ff02::1", "::", "0"),
        *("::ffff:0.0.0.0", "4000::1", "100::1"),
    ],
}


@pytest.mark.parametrize(
    ("scope", "host"),
    [(scope, host) for scope, hosts in SCOPES.items() for host in hosts],
    ids=str,
)
def test_every_spelling_is_recognised(scope: Scope, host: str) -> None:
    assert scope_as_written(host) is scope


@pytest.mark.parametrize("host", ["relay.example.org", "127.0.0.1.example.org", "localhost.example.org", "x.onion"])
def test_a_name_has_to_be_resolved(host: str) -> None:
    assert scope_as_written(host) is None


def test_our_own_relay_says_who_our_neighbours_are() -> None:
    strict, lan, here = Fence.around(["relay.example.org"]), Fence.around(["10.0.0.2"]), Fence.around(["127.0.0.1"])
    for address, admitted in (
        ("1.1.1.1", (True, True, True)),
        ("192.168.1.7", (False, True, True)),
        ("127.0.0.1", (False, False, True)),
        ("169.254.169.254", (False, False, True)),
        ("0.0.0.0", (False, False, False)),
        ("224.0.0.1", (False, False, False)),
    ):
        assert tuple(fence.admits(address) for fence in (strict, lan, here)) == admitted, address


@pytest.mark.parametrize(("port", "refused"), [(22, True), (25, True), (1023, True), (443, False), (5223, False)])
def test_ports_of_other_services_are_left_alone(port: int, refused: bool) -> None:
    here = Fence.around(["127.0.0.1"])
    for host in ("relay.example.org", "1.1.1.1"):
        assert (Fence().reason_against(host, port) is not None) is refused
        assert (here.reason_against(host, port) is not None) is refused, "our own relay is near, this one is not"
    for host in ("127.0.0.1", "10.0.0.2", "relay.local"):
        assert here.reason_against(host, port) is None


def test_one_good_host_is_enough() -> None:
    Fence().check(["10.0.0.1", "relay.example.org"], 5223)
    with pytest.raises(AddressRefused, match=r"10\.0\.0\.1:5223: .* an address of a private network"):
        Fence().check(["10.0.0.1", "localhost"], 5223)


async def _nothing(_: BlockConnection) -> None:
    raise AssertionError("nothing may be connected to")


def reach(*hosts: str, fence: Fence | None) -> None:
    network = Network(SeededEntropy("network"), lambda _: Route(fence=fence))
    asyncio.run(network.reach(SMPServer(hosts, "5223", bytes(32)), _nothing, timeout=5))


def test_a_name_counts_as_what_it_resolves_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """And what was checked is what is connected to: the name is looked up once."""
    asked: list[str] = []

    async def resolve(self: object, host: str, port: int, **_: object) -> list[object]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(asyncio.base_events.BaseEventLoop, "getaddrinfo", resolve)
    with pytest.raises(AddressRefused, match=r"rebinds\.example:5223: .* an address of this computer \(127\.0\.0\.1\)"):
        reach("rebinds.example", fence=Fence())
    assert asked == ["rebinds.example"]
    with pytest.raises(ConnectFailed) as caught:
        reach("rebinds.example", fence=None)
    assert type(caught.value) is ConnectFailed, "without a fence it is connected to, and nobody is there"


def test_private_addresses_beside_a_public_one_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []

    async def resolve(self: object, host: str, port: int, **_: object) -> list[object]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in ("127.0.0.1", "1.1.1.1")]

    async def connect(self: object, connected: socket.socket, target: tuple[str, int]) -> None:
        tried.append(target[0])
        raise ConnectionRefusedError

    monkeypatch.setattr(asyncio.base_events.BaseEventLoop, "getaddrinfo", resolve)
    monkeypatch.setattr(asyncio.selector_events.BaseSelectorEventLoop, "sock_connect", connect)
    with pytest.raises(ConnectFailed, match="connection refused"):
        reach("both.example", fence=Fence())
    assert tried == ["1.1.1.1"]


def test_a_name_with_hundreds_of_addresses_is_tried_at_a_few(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []

    async def resolve(self: object, host: str, port: int, **_: object) -> list[object]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"1.1.{n}.1", port)) for n in range(250)]

    async def connect(self: object, connected: socket.socket, target: tuple[str, int]) -> None:
        tried.append(target[0])
        raise ConnectionRefusedError

    monkeypatch.setattr(asyncio.base_events.BaseEventLoop, "getaddrinfo", resolve)
    monkeypatch.setattr(asyncio.selector_events.BaseSelectorEventLoop, "sock_connect", connect)
    with pytest.raises(ConnectFailed) as caught:
        reach("many.example", fence=Fence())
    assert tried == ["1.1.0.1", "1.1.1.1"]
    assert len(str(caught.value)) < 100


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0x7f.1", "router", "::ffff:10.0.0.1"])
def test_a_proxy_is_not_asked_for_what_is_behind_the_fence(host: str) -> None:
    dialer = SocksDialer(SocksProxy("127.0.0.1", 1), "user", "password", Fence())
    with pytest.raises(AddressRefused):
        asyncio.run(dialer.open_socket(host, 5223))
    with pytest.raises(AddressRefused):
        asyncio.run(DirectDialer(Fence()).open_socket(host, 5223))


def test_scopes_of_addresses_with_a_zone() -> None:
    assert scope_of("fe80::1%1") is Scope.LINK
