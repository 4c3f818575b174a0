"""Clients that misbehave before or within TLS, the gate, and the end of a listener."""

from __future__ import annotations

import asyncio
import socket

import pytest

from smpchat.transport import tls
from smpchat.transport.base import BlockConnection, ConnectFailed, ConnectionClosed, ListenFailed
from tests.unit.transport.support import an_identity
from tests.unit.transport.tls_relay import BLOCK, echo, relay


def test_a_client_that_never_speaks_is_dropped() -> None:
    async def check() -> None:
        async with relay(handshake_timeout=0.2) as listener:

            def wait_for_end() -> bytes:
                with socket.create_connection(("127.0.0.1", listener.port), timeout=10) as mute:
                    return mute.recv(1)

            assert await asyncio.to_thread(wait_for_end) == b""

    asyncio.run(check())


def test_noise_in_place_of_tls_harms_nobody_else() -> None:
    async def check() -> None:
        async with relay() as listener:

            def noise() -> None:
                with socket.create_connection(("127.0.0.1", listener.port), timeout=10) as client:
                    client.sendall(b"GET / HTTP/1.1\r\n\r\n" + bytes(5000))
                    while client.recv(1000):
                        continue

            try:
                await asyncio.to_thread(noise)
            except ConnectionResetError as error:  # the relay closed before all of the noise was sent
                assert error.errno
            connection = await tls.connect(["127.0.0.1"], listener.port, timeout=10)
            await connection.send([BLOCK])
            assert await connection.receive() == BLOCK
            await connection.close()

    asyncio.run(check())


def test_a_handler_that_fails_closes_its_connection_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def check() -> None:
        async def fail(connection: BlockConnection) -> None:
            raise KeyError("bug")

        async with relay(fail) as listener:
            connection = await tls.connect(["127.0.0.1"], listener.port, timeout=10)
            with pytest.raises(ConnectionClosed, match="the peer closed"):
                await connection.receive()
            await connection.close()

    asyncio.run(check())
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_closing_the_listener_ends_its_connections() -> None:
    async def check() -> None:
        async with relay() as listener:
            connection = await tls.connect(["127.0.0.1"], listener.port, timeout=10)
            await connection.send([BLOCK])
            await connection.receive()
            port = listener.port
            await listener.close()
            with pytest.raises(ConnectionClosed):
                await connection.receive()
            await connection.close()
            with pytest.raises(ConnectFailed, match="refused"):
                await tls.connect(["127.0.0.1"], port, timeout=10)
            with pytest.raises(ListenFailed):
                print(listener.port)

    asyncio.run(check())


class CountingGate:
    """Lets one connection in at a time."""

    def __init__(self) -> None:
        self.inside = 0
        self.entered, self.left = asyncio.Event(), asyncio.Event()
        self.hosts: set[str | None] = set()
        self.failures: list[type[Exception]] = []

    def enter(self, host: str | None) -> bool:
        self.hosts.add(host)
        if self.inside:
            return False
        self.inside += 1
        self.entered.set()
        return True

    def leave(self, host: str | None) -> None:
        self.inside -= 1
        self.left.set()

    def failed(self, error: Exception) -> None:
        self.failures.append(type(error))


def test_the_gate_refuses_before_tls_and_hears_of_every_end() -> None:
    async def check() -> None:
        gate = CountingGate()
        async with asyncio.timeout(20):
            listener = await tls.serve(an_identity(), "127.0.0.1", 0, echo, gate=gate)
            reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)  # is silent, but counts
            await gate.entered.wait()
            with pytest.raises(ConnectFailed):
                await tls.connect(["127.0.0.1"], listener.port, timeout=10)
            writer.close()
            await gate.left.wait()
            connection = await tls.connect(["127.0.0.1"], listener.port, timeout=10)
            await connection.send([BLOCK])
            assert await connection.receive() == BLOCK
            await listener.close()
            assert gate.inside == 0
            assert gate.hosts == {"127.0.0.1"}
            assert len(gate.failures) == 1  # the silent one
            await connection.close()
            del reader

    asyncio.run(check())


@pytest.mark.parametrize(("host", "port"), [("127.0.0.1", None), ("192.0.2.1", 0), ("127.0.0.1", 70_000)])
def test_an_address_that_cannot_be_listened_on(host: str, port: int | None) -> None:
    async def check() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            wanted = taken.getsockname()[1] if port is None else port
            with pytest.raises(ListenFailed, match=f"cannot listen on {host}:{wanted}: ") as failed:
                await tls.serve(an_identity(), host, wanted, echo)
            assert not failed.value.temporary

    asyncio.run(check())
