from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

import pytest

from smpchat.relay import local_http
from smpchat.relay.errors import RelayStoreError
from smpchat.relay.local_http import MAX_HEAD, MAX_OPEN, LocalHTTP, Page

PATIENCE = 20.0


async def page() -> Page:
    return Page("text/plain", b"figures")


async def failing() -> Page:
    raise RelayStoreError("The disk is broken.")


async def exchange(port: int, request: bytes) -> bytes:
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request)
        try:
            return await reader.read()
        except ConnectionError:
            return b""
        finally:
            writer.close()


def served(use: Callable[[int], Awaitable[bytes]], token: str | None = None) -> bytes:
    async def within() -> bytes:
        server = LocalHTTP({"/page": page, "/failing": failing}, token=token)
        try:
            return await use(await server.start())
        finally:
            await server.close()
            await server.close()

    return asyncio.run(within())


def answer(request: bytes, token: str | None = None) -> tuple[int, bytes]:
    received = served(lambda port: exchange(port, request), token)
    head, _, body = received.partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    assert b"Connection: close" in head
    return int(head.split(b" ")[1]), body


def test_a_page() -> None:
    assert answer(b"GET /page HTTP/1.1\r\nHost: 127.0.0.1:9100\r\n\r\n") == (200, b"figures")
    assert answer(b"GET /page HTTP/1.0\r\n\r\n") == (200, b"figures")


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"GET /other HTTP/1.1", 404),
        (b"GET /failing HTTP/1.1", 503),
        (b"POST /page HTTP/1.1", 400),
        (b"GET /page", 400),
        (b"\x00\xff", 400),
        (b"GET /page HTTP/1.1\r\nHost: attacker.example", 403),
        (b"GET /" + b"x" * MAX_HEAD + b" HTTP/1.1", 400),
    ],
)
def test_everything_else(request_line: bytes, status: int) -> None:
    assert answer(request_line + b"\r\n\r\n")[0] == status


@pytest.mark.parametrize(
    ("field", "status"),
    [
        (b"Authorization: Bearer right", 200),
        (b"authorization:Bearer right ", 200),
        (b"Authorization: Bearer wrong", 403),
        (b"Authorization: Bearer \xff", 403),
        (b"Authorization: right", 403),
        (b"X: y", 403),
    ],
)
def test_the_token(field: bytes, status: int) -> None:
    assert answer(b"GET /page HTTP/1.1\r\n" + field + b"\r\n\r\n", "right")[0] == status


def test_without_the_token_nobody_learns_which_pages_there_are() -> None:
    assert answer(b"GET /other HTTP/1.1\r\n\r\n", "right")[0] == 403


def test_who_asks_for_nothing_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_http, "PATIENCE", 0.05)
    assert served(lambda port: exchange(port, b"GET /page")) == b""


def test_too_many_at_once_are_closed() -> None:
    async def flood(port: int) -> bytes:
        waiting = []
        for _ in range(MAX_OPEN):
            waiting.append(await asyncio.open_connection("127.0.0.1", port))
        refused = await exchange(port, b"GET /page HTTP/1.0\r\n\r\n")
        for _, writer in waiting:
            writer.close()
        return refused

    assert served(flood) == b""


def test_a_port_in_use_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError):
        asyncio.run(LocalHTTP({}).start(taken.getsockname()[1]))


def test_it_listens_on_loopback_only() -> None:
    async def within() -> str:
        server = LocalHTTP({})
        await server.start()
        assert server._server is not None
        [listening] = server._server.sockets
        address = str(listening.getsockname()[0])
        await server.close()
        return address

    assert asyncio.run(within()) == "127.0.0.1"
