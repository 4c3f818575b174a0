"""Relays that cannot be reached over TLS, in words, and the order in which hosts are tried."""

from __future__ import annotations

import asyncio
import socket
import time

import pytest

from smpchat.transport import tls
from smpchat.transport.base import ConnectFailed
from tests.unit.transport.tls_relay import relay


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_an_unreachable_relay_is_told_in_words() -> None:
    port = unused_port()
    with pytest.raises(ConnectFailed) as failed:
        asyncio.run(tls.connect(["127.0.0.1"], port, timeout=10))
    assert str(failed.value) == f"cannot reach relay 127.0.0.1:{port}: connection refused"
    assert failed.value.temporary


def test_hosts_are_tried_in_order() -> None:
    async def check() -> None:
        async with relay() as listener:
            connection = await tls.connect(["no-such-host.invalid", "127.0.0.1"], listener.port, timeout=10)
            await connection.close()
        with pytest.raises(ConnectFailed) as failed:
            await tls.connect(["no-such-host.invalid", "127.0.0.1"], unused_port(), timeout=10)
        first, second = str(failed.value).split("; ")
        assert "no-such-host.invalid" in first and "cannot be found" in first
        assert "127.0.0.1" in second and "refused" in second

    asyncio.run(check())


@pytest.mark.parametrize("host", ["", "a" * 64 + ".example", "x..y", "\u0000"])
def test_host_names_that_cannot_exist(host: str) -> None:
    with pytest.raises(ConnectFailed, match="cannot reach relay"):
        asyncio.run(tls.connect([host], unused_port(), timeout=10))


def test_an_onion_address_alone_is_a_lasting_failure() -> None:
    with pytest.raises(ConnectFailed, match="need Tor") as failed:
        asyncio.run(tls.connect(["abc.onion"], 5223, timeout=10))
    assert not failed.value.temporary


@pytest.mark.parametrize("port", [0, 65536, 99_999])
def test_a_port_that_cannot_exist_is_a_lasting_failure(port: int) -> None:
    with pytest.raises(ConnectFailed, match=f"127.0.0.1:{port}: there is no such port") as failed:
        asyncio.run(tls.connect(["127.0.0.1"], port, timeout=10))
    assert not failed.value.temporary


def test_onion_addresses_are_passed_over() -> None:
    async def check() -> None:
        async with relay() as listener:
            connection = await tls.connect(["abc.onion", "127.0.0.1"], listener.port, timeout=10)
            await connection.close()

    asyncio.run(check())


def test_a_relay_that_says_nothing_fails_within_the_timeout() -> None:
    async def check() -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            port = silent.getsockname()[1]
            start = time.monotonic()
            with pytest.raises(ConnectFailed, match=r"no answer within 0\.15 s"):
                await tls.connect(["127.0.0.1", "127.0.0.1"], port, timeout=0.3)
            assert 0.25 < time.monotonic() - start < 3

    asyncio.run(check())


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "this port does not speak TLS"),
        (b"\x15\x03\x03\0\2\2\x28", "TLS failed"),
        (b"", "closed"),
    ],
)
def test_what_is_not_a_relay_is_told_in_words(answer: bytes, words: str) -> None:
    async def check() -> None:
        async def reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1000)
            writer.write(answer)
            writer.close()

        server = await asyncio.start_server(reply, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(ConnectFailed, match=words) as failed:
            await tls.connect(["127.0.0.1"], port, timeout=10)
        assert str(failed.value).startswith(f"cannot reach relay 127.0.0.1:{port}: ")
        server.close()
        await server.wait_closed()

    asyncio.run(check())


def test_a_cancelled_connect_leaves_no_socket() -> None:
    async def check() -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            silent.settimeout(10)
            connecting = asyncio.create_task(tls.connect(["127.0.0.1"], silent.getsockname()[1], timeout=30))
            peer, _ = await asyncio.to_thread(silent.accept)
            with peer:
                peer.settimeout(10)
                assert await asyncio.to_thread(peer.recv, 1)  # the client hello is under way
                connecting.cancel()
                await asyncio.wait([connecting])
                assert connecting.cancelled()

                def drained() -> bool:
                    try:
                        while peer.recv(4096):
                            continue
                    except ConnectionResetError:
                        return True
                    return True

                assert await asyncio.to_thread(drained)

    asyncio.run(check())
