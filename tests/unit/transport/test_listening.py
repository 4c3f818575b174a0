"""Listening on several addresses: at one port, and on all of them or none."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence

import pytest

from smpchat.transport.base import ListenFailed
from smpchat.transport.listening import listen_on


def _has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not _has_ipv6(), reason="this computer has no IPv6")


def _answering(hosts: str | Sequence[str] | None, tried: Sequence[str]) -> list[bool]:
    """Whether each of ``tried`` can be connected to while ``hosts`` are listened on."""

    async def check() -> list[bool]:
        servers = await listen_on(asyncio.Protocol, hosts, 0)
        ports = {own.getsockname()[1] for server in servers for own in server.sockets}
        assert len(ports) == 1
        found = []
        for address in tried:
            try:
                _, writer = await asyncio.open_connection(address, *ports)
            except OSError:
                found.append(False)
            else:
                writer.close()
                found.append(True)
        for server in servers:
            server.close()
            await server.wait_closed()
        return found

    return asyncio.run(check())


@needs_ipv6
@pytest.mark.parametrize("hosts", ["::", None, "", ["::", "0.0.0.0"], ["::", "127.0.0.1"], ["127.0.0.1", "::"]])
def test_all_addresses_are_those_of_both_families(hosts: str | list[str] | None) -> None:
    assert _answering(hosts, ["127.0.0.1", "::1"]) == [True, True]


@needs_ipv6
def test_no_other_address_is_listened_on() -> None:
    assert _answering(["::1"], ["127.0.0.1", "::1"]) == [False, True]
    assert _answering("0.0.0.0", ["127.0.0.1", "::1"]) == [True, False]


@needs_ipv6
def test_several_addresses_have_one_port() -> None:
    assert _answering(["127.0.0.1", "::1"], ["127.0.0.1", "::1"]) == [True, True]
    assert _answering(["localhost", "127.0.0.1"], ["127.0.0.1"]) == [True]


def test_where_one_cannot_be_listened_on_none_is() -> None:
    async def check() -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        with pytest.raises(ListenFailed, match=r"192\.0\.2\.1:"):
            await listen_on(asyncio.Protocol, ["127.0.0.1", "192.0.2.1"], port)
        with socket.create_server(("127.0.0.1", port)), pytest.raises(ListenFailed, match="in use"):
            await listen_on(asyncio.Protocol, ["127.0.0.2", "127.0.0.1"], port)
        with pytest.raises(ListenFailed, match="no-such-host"):
            await listen_on(asyncio.Protocol, "no-such-host.invalid", port)

    asyncio.run(check())


def test_a_port_that_is_taken_at_another_address_is_replaced_by_one_that_is_free(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def check() -> None:
        loop = asyncio.get_running_loop()
        taken: list[socket.socket] = []
        create = loop.create_server

        async def once_taken(protocol: object, host: str, port: int, **how: object) -> asyncio.Server:
            if host == "127.0.0.2" and not taken:
                taken.append(socket.create_server((host, port)))
            return await create(protocol, host, port, **how)  # type: ignore[call-overload,no-any-return]

        monkeypatch.setattr(loop, "create_server", once_taken)
        servers = await listen_on(asyncio.Protocol, ["127.0.0.1", "127.0.0.2"], 0)
        assert servers[0].sockets[0].getsockname()[1] != taken[0].getsockname()[1]
        for server in servers:
            server.close()
        taken[0].close()

    asyncio.run(check())
