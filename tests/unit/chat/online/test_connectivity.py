"""By what way a session comes about: relays of strangers behind a fence and one at a time, one's own as ever."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from smpchat.agent.store import consents
from smpchat.chat.online import connectivity
from smpchat.chat.service.connecting import ChatService
from smpchat.client.network import Network
from smpchat.protocol.address import FileServer, FileServerAddress, SMPServer, SMPServerAddress, format_server
from smpchat.transport.base import AddressRefused

OWN = SMPServer(("own.example.org",), "5223", bytes(32))


class NoRelay:
    def owns(self, server: SMPServer) -> bool:
        return False

    async def start(self) -> SMPServerAddress:
        raise AssertionError("it is not needed")

    def owns_files(self, server: FileServer) -> bool:
        return False

    async def start_files(self) -> FileServerAddress:
        raise AssertionError("it is not needed")


class Dials:
    """In place of connecting: what was asked for, and how many at a time."""

    def __init__(self) -> None:
        self.made: list[SMPServer] = []
        self.now = self.most = 0

    async def connect(self, server: SMPServer, *, network: Network, **others: Any) -> str:
        fence = network._route(server).fence
        if fence is not None:
            fence.check(server.hosts, server.port_number)
        self.made.append(server)
        self.now += 1
        self.most = max(self.most, self.now)
        for _ in range(5):
            await asyncio.sleep(0)
        self.now -= 1
        return server.host


@pytest.fixture
def service(tmp_path: Path) -> Iterator[ChatService]:
    service = ChatService(tmp_path / "alice", "alice")
    yield service
    service.close()


@pytest.fixture
def dials(monkeypatch: pytest.MonkeyPatch) -> Dials:
    dials = Dials()
    monkeypatch.setattr(connectivity, "connect", dials.connect)
    return dials


def relay(host: str) -> SMPServer:
    return SMPServer((host,), "5223", bytes(32))


def test_strangers_relays_are_dialled_one_at_a_time_and_own_ones_do_not_wait(
    service: ChatService, dials: Dials
) -> None:
    service.use_servers([format_server(OWN)])

    async def check() -> None:
        sessions = connectivity._Sessions(service, NoRelay())
        others = [asyncio.ensure_future(sessions.open(relay(f"{number}.example.org"))) for number in range(5)]
        await asyncio.sleep(0)
        await sessions.open(OWN)
        assert len(dials.made) < 5, "before the last of them"
        await asyncio.gather(*others)
        await sessions.close()

    asyncio.run(check())
    assert (len(dials.made), dials.most) == (6, 2), "one of a stranger, and our own"


@pytest.mark.parametrize("private_routing", [False, True])
def test_a_stranger_does_not_choose_what_we_connect_to_at_home(
    service: ChatService, dials: Dials, private_routing: bool
) -> None:
    service.use_servers([format_server(OWN)])
    service.set_private_routing(private_routing)

    async def check() -> None:
        sessions = connectivity._Sessions(service, NoRelay())
        for host in ("127.0.0.1", "192.168.1.7", "localhost", "::1", "router"):
            with pytest.raises(AddressRefused):
                await sessions.open(relay(host))
        await sessions.close()

    asyncio.run(check())
    assert dials.made == []


def test_unless_the_user_says_so(service: ChatService, dials: Dials) -> None:
    service.set_strangers_anywhere(True)
    asyncio.run(connectivity._Sessions(service, NoRelay()).open(relay("127.0.0.1")))
    service.set_strangers_anywhere(False)
    with service.database.transaction() as tx:
        assert not consents.anywhere(tx)
    with pytest.raises(AddressRefused):
        asyncio.run(connectivity._Sessions(service, NoRelay()).open(relay("127.0.0.1")))
    assert dials.made == [relay("127.0.0.1")]
