"""By what way relays of files are reached."""

from __future__ import annotations

import pytest

from smpchat.client.routes import Route
from smpchat.encoding.record import replace
from smpchat.protocol.address import MAX_HOSTS
from smpchat.testing.entropy import SeededEntropy
from smpchat.transport.base import AddressRefused, AddressUnusable, ProxyFailed
from smpchat.transport.scope import Fence
from smpchat.transport.socks_address import SocksProxy
from smpchat.xftp.routes import FileRoutes
from smpchat.xftp.session import connect
from tests.unit.transport.socks_server import a_socks_server
from tests.unit.transport.support import NOW
from tests.unit.xftp.relay import a_file_relay, in_loop

ONION = "a" * 56 + ".onion"


@in_loop
async def test_the_proxy_resolves_the_name_and_tells_relays_apart() -> None:
    async with (
        a_file_relay() as relay,
        a_socks_server(names={ONION: ("127.0.0.1", relay.port)}) as proxy,
    ):
        server = replace(relay.server, hosts=("relay.invalid", ONION), port="")
        users = []
        for seed in ("one", "one", "two"):
            entropy = SeededEntropy(seed)
            routes = FileRoutes(entropy, proxy=lambda: SocksProxy("127.0.0.1", proxy.port))
            session = await connect(server, network=routes, entropy=entropy, timeout=10, now=lambda: NOW)
            await session.ping()
            await session.close()
            users.append(proxy.users[-1])
        assert proxy.asked == [(ONION, 443)] * 3
        assert users[0] == users[1] != users[2], "one circuit for a relay and a run"


@in_loop
async def test_a_relay_on_this_computer_needs_no_proxy() -> None:
    async with a_file_relay() as relay:
        entropy = SeededEntropy("local")
        nowhere = SocksProxy("127.0.0.1", 1)
        routes = FileRoutes(entropy, lambda server: Route(local=True), lambda: nowhere)
        session = await connect(relay.server, network=routes, entropy=entropy, timeout=10, now=lambda: NOW)
        await session.close()
        with pytest.raises(ProxyFailed):
            await FileRoutes(entropy, proxy=lambda: nowhere).connect(relay.server, timeout=10)


@in_loop
async def test_what_somebody_else_named_is_not_dialled_behind_the_fence() -> None:
    async with a_file_relay() as relay, a_socks_server() as proxy:
        for way in (lambda: None, lambda: SocksProxy("127.0.0.1", proxy.port)):
            routes = FileRoutes(SeededEntropy("fence"), lambda server: Route(fence=Fence()), way)
            for host in ("127.0.0.1", "localhost", "10.0.0.1", "2130706433", "::1"):
                with pytest.raises(AddressRefused):
                    await routes.connect(replace(relay.server, hosts=(host,)), timeout=5)
        assert not relay.connections and not proxy.asked


@in_loop
async def test_onion_hosts_need_a_proxy() -> None:
    async with a_file_relay() as relay:
        with pytest.raises(AddressUnusable, match="Tor"):
            await FileRoutes(SeededEntropy("onion")).connect(replace(relay.server, hosts=(ONION,)), timeout=5)


@in_loop
async def test_hosts_are_tried_in_turn_and_no_more_than_a_relay_may_have() -> None:
    async with a_file_relay() as relay:
        routes = FileRoutes(SeededEntropy("hosts"))
        several = replace(relay.server, hosts=("127.0.0.2", "127.0.0.1"))
        connection = await routes.connect(several, timeout=10)
        await connection.close()
        too_many = replace(relay.server, hosts=("127.0.0.2",) * MAX_HOSTS + ("127.0.0.1",))
        with pytest.raises(Exception, match="connection refused") as caught:
            await routes.connect(too_many, timeout=10)
        assert str(caught.value).count("127.0.0.2") == MAX_HOSTS
