from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from typing import Any

import pytest

from smpchat.transport import tcp
from smpchat.transport.tcp import describe, open_socket

ADDRESSES = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"192.0.2.{n}", 1)) for n in (1, 2, 3)]


class Network:
    """Stands for the addresses of one host: each hangs, refuses, or connects."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *behaviour: str) -> None:
        self.behaviour = dict(zip((a[4] for a in ADDRESSES), behaviour, strict=False))
        self.opened: list[socket.socket] = []
        self.cancelled: list[Any] = []
        monkeypatch.setattr(tcp, "_connect", self.connect)
        monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", self.resolve)
        monkeypatch.setattr(tcp, "STAGGER", 0.01)

    async def resolve(self, *_: Any, **__: Any) -> list[tcp.Address]:
        return ADDRESSES[: len(self.behaviour)]

    async def connect(self, address: tcp.Address) -> socket.socket:
        match self.behaviour[address[4]]:
            case "hangs":
                try:
                    await asyncio.get_running_loop().create_future()
                finally:
                    self.cancelled.append(address[4])
            case "refuses":
                raise ConnectionRefusedError(errno.ECONNREFUSED, address[4][0])
        connected = socket.socket()
        self.opened.append(connected)
        return connected


def test_an_address_that_hangs_delays_the_next_by_the_stagger_only(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Network(monkeypatch, "hangs", "connects")
    with asyncio.run(open_socket("relay", 1)) as connected:
        assert network.opened == [connected]
    assert network.cancelled == [("192.0.2.1", 1)]


def test_an_address_that_refuses_does_not_delay_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    Network(monkeypatch, "refuses", "connects")
    monkeypatch.setattr(tcp, "STAGGER", 3600)
    asyncio.run(open_socket("relay", 1)).close()


def test_the_error_of_the_first_address_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    Network(monkeypatch, "refuses", "refuses", "refuses")
    with pytest.raises(ConnectionRefusedError, match=r"192\.0\.2\.1"):
        asyncio.run(open_socket("relay", 1))


def test_a_loser_that_connected_too_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Network(monkeypatch, "connects", "connects")
    monkeypatch.setattr(tcp, "STAGGER", 0)
    with asyncio.run(open_socket("relay", 1)) as connected:
        assert all(other is connected or other.fileno() == -1 for other in network.opened)


def test_cancelling_ends_every_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Network(monkeypatch, "hangs", "hangs", "hangs")

    async def check() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await open_socket("relay", 1)

    asyncio.run(check())
    assert len(network.cancelled) == 3


def test_a_name_without_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    Network(monkeypatch)
    with pytest.raises(OSError, match="no address"):
        asyncio.run(open_socket("relay", 1))


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionRefusedError(111, "x"), "connection refused"),
        (socket.gaierror(-2, "x"), "this host name cannot be found"),
        (TimeoutError(), "no answer"),
        (ConnectionResetError(104, "x"), "the connection was broken off"),
        (ssl.SSLEOFError(8, "x"), "the connection was closed"),
        (ssl.SSLError(1, "[SSL: X] x"), "TLS failed"),
        (OSError(errno.ENETUNREACH, "Network is unreachable"), "network is unreachable"),
        (UnicodeError("x"), "this is not a host name"),
        (OSError("odd"), "OSError"),
    ],
)
def test_errors_in_words(error: BaseException, words: str) -> None:
    assert describe(error) == words


def test_an_address_in_digits_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    async def asked(*_: Any, **__: Any) -> list[tcp.Address]:
        raise AssertionError("a thread, for nothing")

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", asked)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        asyncio.run(open_socket("127.0.0.1", listener.getsockname()[1])).close()
