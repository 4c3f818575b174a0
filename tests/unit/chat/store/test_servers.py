"""Which relay a new queue goes to, and by what way a relay is reached."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pytest

from smpchat.agent.store import connections
from smpchat.agent.store.connections import ReceiveQueue
from smpchat.agent.store.database import Database
from smpchat.chat.errors import InputError
from smpchat.chat.service.connecting import ChatService
from smpchat.chat.service.reading import DATABASE_NAME
from smpchat.chat.store.schema import CHAT_MIGRATIONS
from smpchat.chat.store.servers import ConfiguredServer, choose_servers, route_to
from smpchat.client.routes import DEFAULT_WS_PORT, Route, Transport
from smpchat.crypto.keys import Ed25519PrivateKey, X25519PrivateKey
from smpchat.protocol.address import SMPServer, SMPServerAddress, format_server
from smpchat.testing.entropy import SeededEntropy
from smpchat.testing.loop import run_jumping
from smpchat.testing.relay import MemoryRelay
from smpchat.transport.socks_address import SocksProxy
from tests.faults.people import START, Person

WEBSOCKET = Route(Transport.WEBSOCKET, 8443)


def server(name: str, *hosts: str, port: str = "") -> SMPServer:
    return SMPServer(hosts or (f"{name}.example",), port, name.encode() * 4)


def configured(name: str, *, preferred: bool = True, route: Route | None = None) -> ConfiguredServer:
    return ConfiguredServer(SMPServerAddress(server(name)), preferred, route or Route())


def choices(entries: list[ConfiguredServer], peer: SMPServer | None) -> set[str]:
    """Hosts that come first in many draws."""
    return {hosts[0] for hosts in orders(entries, peer) if hosts}


def orders(
    entries: list[ConfiguredServer], peer: SMPServer | None, in_trouble: Collection[str] = ()
) -> set[tuple[str, ...]]:
    """Hosts in the order in which they are tried, in many draws."""
    entropy = SeededEntropy("choose")
    drawn = [choose_servers(entries, peer, in_trouble, entropy) for _ in range(200)]
    return {tuple(address.server.hosts[0] for address in order) for order in drawn}


def test_every_preferred_relay_is_chosen_sometimes_and_no_other() -> None:
    entries = [configured("a"), configured("b"), configured("c", preferred=False)]
    assert choices(entries, None) == {"a.example", "b.example"}


def test_no_preferred_relay_is_no_choice() -> None:
    assert orders([], None) == {()}
    assert orders([configured("a", preferred=False)], None) == {()}


def test_every_preferred_relay_is_tried_those_in_trouble_last() -> None:
    entries = [configured("a"), configured("b"), configured("c"), configured("d", preferred=False)]
    every = {(x, y, z) for x in "abc" for y in "abc" for z in "abc" if len({x, y, z}) == 3}
    assert orders(entries, None) == {tuple(f"{name}.example" for name in order) for order in every}
    troubled = orders(entries, server("b"), {str(server("a"))})
    assert troubled == {("c.example", "b.example", "a.example")}, "the peer's own is behind others that work"


def test_the_relay_of_the_peers_queue_is_avoided() -> None:
    entries = [configured("a"), configured("b"), configured("c")]
    assert choices(entries, server("b")) == {"a.example", "c.example"}
    assert choices(entries, server("b", "another-name.example", port="443")) == {"a.example", "c.example"}
    assert choices(entries, server("elsewhere")) == {"a.example", "b.example", "c.example"}


def test_the_relay_of_the_peers_queue_is_taken_where_there_is_no_other() -> None:
    assert choices([configured("a"), configured("b", preferred=False)], server("a")) == {"a.example"}


def test_a_relay_is_known_by_its_fingerprint_and_a_host() -> None:
    entries = [configured("other"), configured("a", preferred=False, route=WEBSOCKET)]
    assert route_to(entries, server("a")) == WEBSOCKET
    assert route_to(entries, server("a", "x.onion", "a.example", port="5223")) == WEBSOCKET
    assert route_to(entries, server("a", "moved.example")) == Route()
    assert route_to(entries, server("b", "a.example")) == Route()
    assert route_to([], server("a")) == Route()


@pytest.fixture
def service(tmp_path: Path) -> ChatService:
    return ChatService(tmp_path, "alice", entropy=SeededEntropy("alice"))


def address(name: str) -> str:
    return format_server(SMPServer((f"{name}.example",), "", name.encode() * 32))


def routes(service: ChatService) -> list[tuple[str, Route]]:
    return [(entry.address.server.hosts[0], entry.route) for entry in service.servers()]


def test_a_relay_is_reached_over_tls_unless_told_otherwise(service: ChatService) -> None:
    service.add_server(address("a"))
    service.add_server(address("b"), Transport.WEBSOCKET)
    service.add_server(address("c"), Transport.AUTO, 8443)
    assert routes(service) == [
        ("a.example", Route()),
        ("b.example", Route(Transport.WEBSOCKET, DEFAULT_WS_PORT)),
        ("c.example", Route(Transport.AUTO, 8443)),
    ]
    service.close()


def test_adding_a_relay_again_changes_what_is_said_and_nothing_else(service: ChatService) -> None:
    service.add_server(address("a"), Transport.WEBSOCKET, 8443)
    service.use_servers([])
    service.add_server(address("a"))
    assert routes(service) == [("a.example", WEBSOCKET)]
    assert service.servers()[0].preferred
    service.add_server(address("a"), Transport.AUTO)
    assert routes(service) == [("a.example", Route(Transport.AUTO, 8443))]
    service.use_servers([address("a")])
    assert routes(service) == [("a.example", Route(Transport.AUTO, 8443))]
    service.close()


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_a_port_that_cannot_be_changes_nothing(service: ChatService, port: int) -> None:
    with pytest.raises(InputError, match="is not a port"):
        service.add_server(address("a"), Transport.WEBSOCKET, port)
    assert service.servers() == []
    service.close()


def test_relays_of_a_profile_from_before_are_reached_over_tls(tmp_path: Path) -> None:
    old = Database(tmp_path / DATABASE_NAME, {"chat": CHAT_MIGRATIONS[:1]})
    with old.transaction() as tx:
        tx.execute("INSERT INTO servers (address, preferred) VALUES (?, 1)", (address("a"),))
    old.close()
    service = ChatService(tmp_path, "alice", entropy=SeededEntropy("alice"))
    assert routes(service) == [("a.example", Route())]
    service.close()


def test_a_proxy_for_the_profile_or_for_one_run(tmp_path: Path) -> None:
    service = ChatService(tmp_path, "alice")
    assert service.proxy() is None
    service.set_proxy("localhost:9050")
    assert service.proxy() == SocksProxy("localhost", 9050)
    other = ChatService(tmp_path, "alice", "[::1]:9150")
    assert other.proxy() == SocksProxy("::1", 9150)
    direct = ChatService(tmp_path, "alice", "off")
    assert direct.proxy() is None
    service.set_proxy("off")
    assert service.proxy() is None
    for one in (service, other, direct):
        one.close()


def test_what_is_no_proxy_is_refused(service: ChatService, tmp_path: Path) -> None:
    service.set_proxy("localhost:9050")
    with pytest.raises(InputError, match="not the address of a SOCKS proxy"):
        service.set_proxy("localhost")
    assert service.proxy() == SocksProxy("localhost", 9050)
    service.close()
    with pytest.raises(InputError):
        ChatService(tmp_path, "alice", "localhost")


def test_own_relays_are_those_configured_whatever_they_are_used_for(service: ChatService) -> None:
    own = SMPServer(("a.example",), "", b"a" * 32)
    assert not service.is_own_relay(own)
    service.add_server(address("a"))
    service.use_servers([])
    assert service.is_own_relay(own)
    assert service.is_own_relay(SMPServer(("a.example",), "443", b"a" * 32))
    # a contact knows the fingerprint: nobody's address may lead past private routing to a host of theirs
    assert not service.is_own_relay(SMPServer(("elsewhere.example",), "443", b"a" * 32))
    assert not service.is_own_relay(SMPServer(("elsewhere.example", "a.example"), "", b"a" * 32))
    assert not service.is_own_relay(SMPServer(("a.example",), "", b"b" * 32))
    service.close()


def test_a_relay_that_holds_a_queue_of_ours_stays_an_own_one(service: ChatService) -> None:
    server = SMPServer(("a.example",), "", b"a" * 32)
    number = service.invite()
    with service.database.transaction() as tx:
        queue = ReceiveQueue(
            connection_id=number,
            server=server,
            rcv_id=b"r" * 24,
            snd_id=b"s" * 24,
            mode=None,
            auth_key=Ed25519PrivateKey(b"\x01" * 32),
            dh_secret=bytes(32),
            e2e_key=X25519PrivateKey(b"\x02" * 32),
        )
        connections.save_receive_queue(tx, queue)
    assert service.servers() == []
    assert service.is_own_relay(server)
    service.close()


def test_private_routing_is_off_until_turned_on(service: ChatService) -> None:
    assert not service.private_routing()
    service.set_private_routing(True)
    assert service.private_routing()
    service.set_private_routing(False)
    assert not service.private_routing()
    service.close()


@pytest.mark.parametrize("what", ["invitation", "address"])
def test_a_relay_asked_for_once_serves_that_link_alone(tmp_path: Path, what: str) -> None:
    """The process ends before the queue is made; the next one still knows where."""
    usual, asked = (MemoryRelay(SeededEntropy(name), lambda: START, host=f"{name}.test") for name in ("usual", "asked"))
    alice = Person("alice", tmp_path, [usual, asked], home=usual)

    async def made(server: str | None) -> SMPServer:
        service = alice.service
        if what == "invitation":
            number = service.invite(server=server)
        else:
            service.create_address(server=server)
            number = next(c.id for c in connections.load_all(service.database.connection))
        if server is not None:
            assert service.is_own_relay(asked.server), "its NEW may not go through another relay"
        alice.restart()
        async with alice.online():
            await alice.until(lambda s: connections.receive_queue(s.database.connection, number) is not None)
        queue = connections.receive_queue(alice.service.database.connection, number)
        assert queue is not None
        if what == "address":
            alice.service.delete_address()
            async with alice.online():
                await alice.until(lambda s: s.is_forgotten(number))
        return queue.server

    async def check() -> None:
        assert not alice.service.is_own_relay(asked.server)
        assert await made(format_server(asked.server)) == asked.server
        assert await made(None) == usual.server
        assert alice.service.servers() == []

    run_jumping(check)
    alice.service.close()


def test_what_is_no_relay_makes_no_invitation(service: ChatService) -> None:
    with pytest.raises(InputError, match="not the address of a relay"):
        service.invite(server="https://relay.example")
    with pytest.raises(InputError, match="not the address of a relay"):
        service.create_address(server="relay.example")
    assert connections.load_all(service.database.connection) == []
    service.close()
