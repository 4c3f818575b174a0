"""Two people over relays that listen on this computer: WebSocket, a SOCKS proxy, and several relays to choose from."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import pytest

from smpchat.agent.store import connections
from smpchat.agent.wire.links import InvitationLink, parse_link
from smpchat.chat.online.presence import online
from smpchat.chat.service.connecting import ChatService
from smpchat.chat.store.records import MessageStatus
from smpchat.client.routes import Transport
from smpchat.crypto.entropy import SystemEntropy
from smpchat.protocol.address import FileServer, FileServerAddress, SMPServer, SMPServerAddress, format_server
from smpchat.relay.destinations import Destinations
from smpchat.relay.server import RelayServer
from smpchat.relay.store import SQLiteStore
from smpchat.transport.base import TransportError
from smpchat.transport.identity import create_identity
from tests.unit.transport.socks_server import a_socks_server

T = TypeVar("T")


class NoEmbeddedRelay:
    """Every relay of these tests is configured."""

    def owns(self, server: SMPServer) -> bool:
        return False

    async def start(self) -> SMPServerAddress:
        raise TransportError("there is no embedded relay here")

    def owns_files(self, server: FileServer) -> bool:
        return False

    async def start_files(self) -> FileServerAddress:
        raise TransportError("there is no embedded relay here")


@dataclass(frozen=True, slots=True)
class Running:
    address: str
    server: SMPServer
    relay: RelayServer

    @property
    def ws_port(self) -> int:
        assert self.relay.ws_port is not None
        return self.relay.ws_port


@asynccontextmanager
async def a_relay(destinations: Destinations = Destinations.NONE) -> AsyncIterator[Running]:
    entropy, now = SystemEntropy(), datetime.now(UTC)
    identity = create_identity(entropy, now, ["127.0.0.1"])
    store = SQLiteStore(":memory:")
    relay = RelayServer(store, identity, entropy=entropy, clock=now.timestamp, destinations=destinations)
    await relay.start("127.0.0.1")
    await relay.listen_websocket("127.0.0.1")
    server = SMPServer(("127.0.0.1",), str(relay.port), identity.fingerprint)
    try:
        yield Running(format_server(server), server, relay)
    finally:
        await relay.close()
        store.close()


async def until(look: Callable[[], T | None]) -> T:
    while not (found := look()):  # noqa: ASYNC110 - a store in other hands tells nobody
        await asyncio.sleep(0.01)
    return found


async def converse(alice: ChatService, bob: ChatService, *, by_short_link: bool = False) -> InvitationLink:
    """Connect and exchange a message each way; the link that was used, or the full form of a short one."""
    async with (
        asyncio.timeout(60),
        online(alice, NoEmbeddedRelay()),
        online(bob, NoEmbeddedRelay()),
    ):
        number = alice.invite("bob")
        text = await until(lambda: _link(alice, number))
        invitation = alice.invitation(number)
        short = invitation.short_link if invitation is not None else None
        bob.connect((short or "") if by_short_link else text, "alice", ["hello Alice"])
        await until(lambda: any(view.state.state == "connected" for view in alice.contacts()))
        alice.send("bob", "hello Bob")
        for service, who in ((alice, "bob"), (bob, "alice")):
            await until(lambda s=service, w=who: s.history(w)[-1:] and _all_done(s, w))  # type: ignore[misc]
        assert [m.text for m in bob.history("alice")] == ["hello Alice", "hello Bob"]
    link = parse_link(text)
    assert isinstance(link, InvitationLink)
    return link


def _link(service: ChatService, number: int) -> str | None:
    invitation = service.invitation(number)
    return invitation.link if invitation is not None else None


def _all_done(service: ChatService, who: str) -> bool:
    history = service.history(who)
    return len(history) == 2 and all(m.status in (MessageStatus.DELIVERED, MessageStatus.RECEIVED) for m in history)


def test_two_people_over_websocket_and_a_proxy(tmp_path: Path) -> None:
    """Alice's relay is reached by her over WebSocket through the proxy; by Bob, who has no entry for it, over TLS."""

    async def check() -> None:
        async with a_relay() as one, a_socks_server() as socks:
            alice = ChatService(tmp_path / "alice", "alice", f"127.0.0.1:{socks.port}")
            bob = ChatService(tmp_path / "bob", "bob")
            alice.add_server(one.address, Transport.WEBSOCKET, one.ws_port)
            bob.add_server(one.address)
            await converse(alice, bob)
            assert set(socks.asked) == {("127.0.0.1", one.ws_port)}
            alice.close()
            bob.close()

    asyncio.run(check())


def test_a_queue_from_a_link_is_reached_by_the_way_of_its_relay(tmp_path: Path) -> None:
    """Bob's entry for the relay of Alice's link says WebSocket, so that is how her queue is sent to."""

    async def check() -> None:
        async with a_relay() as hers, a_relay() as his, a_socks_server() as socks:
            alice = ChatService(tmp_path / "alice", "alice")
            bob = ChatService(tmp_path / "bob", "bob", f"127.0.0.1:{socks.port}")
            alice.add_server(hers.address)
            bob.add_server(hers.address, Transport.WEBSOCKET, hers.ws_port)
            bob.use_servers([his.address])
            await converse(alice, bob)
            assert set(socks.asked) == {("127.0.0.1", hers.ws_port), ("127.0.0.1", his.server.port_number)}
            alice.close()
            bob.close()

    asyncio.run(check())


@pytest.mark.parametrize("joiners_choice", [2, 3])
def test_the_joiners_queue_is_at_another_relay_than_the_initiators(tmp_path: Path, joiners_choice: int) -> None:
    async def check() -> None:
        async with AsyncExitStack() as stack:
            relays = [await stack.enter_async_context(a_relay()) for _ in range(joiners_choice)]
            alice, bob = ChatService(tmp_path / "alice", "alice"), ChatService(tmp_path / "bob", "bob")
            alice.use_servers([relays[0].address])
            bob.use_servers([relay.address for relay in relays])
            link = await converse(alice, bob)
            contact = bob.contact("alice").contact
            reply = connections.receive_queue(bob.database.connection, contact.connection_id)
            assert link.queues[0].server == relays[0].server
            assert reply is not None
            assert reply.server in [relay.server for relay in relays[1:]]
            alice.close()
            bob.close()

    asyncio.run(check())


@pytest.mark.parametrize(("forwards", "by_short_link"), [(True, False), (True, True), (False, False)])
def test_with_private_routing_a_strangers_relay_never_sees_the_client(
    tmp_path: Path, forwards: bool, by_short_link: bool
) -> None:
    """Each sends to the other's relay through an own one; where that does not forward, nothing is sent directly."""

    async def check() -> None:
        destinations = Destinations.ALL if forwards else Destinations.NONE
        async with (
            a_relay(destinations) as hers,
            a_relay(destinations) as his,
            a_socks_server() as her_way,
            a_socks_server() as his_way,
        ):
            alice = ChatService(tmp_path / "alice", "alice", f"127.0.0.1:{her_way.port}")
            bob = ChatService(tmp_path / "bob", "bob", f"127.0.0.1:{his_way.port}")
            for service, own in ((alice, hers), (bob, his)):
                service.add_server(own.address)
                service.set_private_routing(True)
            if forwards:
                await converse(alice, bob, by_short_link=by_short_link)
            else:
                await _in_vain(alice, bob, hers.server)
            assert set(her_way.asked) == {("127.0.0.1", hers.server.port_number)}
            assert set(his_way.asked) == {("127.0.0.1", his.server.port_number)}
            alice.close()
            bob.close()

    asyncio.run(check())


async def _in_vain(alice: ChatService, bob: ChatService, hers: SMPServer) -> None:
    async with asyncio.timeout(60), online(alice, NoEmbeddedRelay()), online(bob, NoEmbeddedRelay()):
        number = alice.invite("bob")
        bob.connect(await until(lambda: _link(alice, number)), "alice", ["hello Alice"])
        trouble = await until(lambda: bob.status().troubles.get(str(hers)))
        assert "private routing: 127.0.0.1 does not forward for you" in trouble.error
    assert [message.status for message in bob.history("alice")] == [MessageStatus.PENDING]
