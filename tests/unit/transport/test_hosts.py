"""The order in which hosts are tried, and what is said when none answers. Over TLS: test_tls.py."""

from __future__ import annotations

import asyncio
import socket

import pytest

from smpchat.transport.base import ConnectFailed
from smpchat.transport.hosts import first_answering


class FakeDialer:
    """Notes whom it is asked for; hosts called ``up…`` answer."""

    def __init__(self, *, reaches_onions: bool) -> None:
        self.reaches_onions = reaches_onions
        self.asked: list[tuple[str, int]] = []

    async def open_socket(self, host: str, port: int) -> socket.socket:
        self.asked.append((host, port))
        if host.startswith("stuck"):
            await asyncio.get_running_loop().create_future()
        if not host.startswith("up"):
            raise ConnectionRefusedError
        return socket.socket()


async def name(_host: str, connected: socket.socket) -> str:
    connected.close()
    return "connected"


def run(dialer: FakeDialer, *hosts: str, port: int = 5223, timeout: float = 10) -> str:
    return asyncio.run(first_answering(hosts, port, name, timeout=timeout, dialer=dialer, scheme="wss://"))


def test_onion_hosts_come_first_where_they_can_be_reached() -> None:
    dialer = FakeDialer(reaches_onions=True)
    assert run(dialer, "down.example", "up.example", "down.onion") == "connected"
    assert [host for host, _ in dialer.asked] == ["down.onion", "down.example", "up.example"]


def test_onion_hosts_are_left_out_where_they_cannot() -> None:
    dialer = FakeDialer(reaches_onions=False)
    assert run(dialer, "up.onion", "up.example") == "connected"
    assert dialer.asked == [("up.example", 5223)]


def test_onion_hosts_alone_need_a_proxy_and_nobody_is_asked() -> None:
    dialer = FakeDialer(reaches_onions=False)
    with pytest.raises(ConnectFailed, match=r"^cannot reach relay wss://up.onion:5223: .*need Tor") as failed:
        run(dialer, "up.onion")
    assert not failed.value.temporary
    assert dialer.asked == []


def test_every_host_is_named_with_its_reason() -> None:
    dialer = FakeDialer(reaches_onions=False)
    with pytest.raises(ConnectFailed) as failed:
        run(dialer, "stuck.example", "down.example", timeout=0.1)
    assert str(failed.value) == (
        "cannot reach relay wss://stuck.example:5223: no answer within 0.05 s;"
        " wss://down.example:5223: connection refused"
    )
    assert failed.value.temporary


@pytest.mark.parametrize("port", [-1, 0, 65536])
def test_a_port_that_cannot_be_is_refused(port: int) -> None:
    dialer = FakeDialer(reaches_onions=False)
    with pytest.raises(ConnectFailed, match="there is no such port"):
        run(dialer, "up.example", port=port)
    assert dialer.asked == []


def test_an_ipv6_host_is_named_in_brackets() -> None:
    for hosts, port, reason in (
        (("2001:db8::1", "::1"), 5223, r"\[2001:db8::1\]:5223: .*; wss://\[::1\]:5223: "),
        (("2001:db8::1",), 0, r"\[2001:db8::1\]:0: there is no such port"),
    ):
        with pytest.raises(ConnectFailed, match=rf"^cannot reach relay wss://{reason}"):
            run(FakeDialer(reaches_onions=False), *hosts, port=port)
