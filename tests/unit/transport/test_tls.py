"""What is particular to TLS; the promises of every transport are in tests/contract."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from smpchat.transport import tls
from smpchat.transport.base import BLOCK_SIZE, BlockConnection, ConnectionClosed
from smpchat.transport.tls_stream import HIGH_WATER
from tests.unit.transport.support import an_identity
from tests.unit.transport.tls_relay import BLOCK, echo, plain_context, raw_client, relay


def test_a_connection_is_tls_1_3_with_alpn_and_a_session_id() -> None:
    async def check() -> None:
        async with relay() as listener:
            connection = await tls.connect(["localhost"], listener.port, timeout=10)
            assert (connection.alpn, connection.tls_version) == ("smp/1", "TLSv1.3")
            assert len(connection.session_id) in (32, 48)
            await connection.close()

    asyncio.run(check())


@pytest.mark.parametrize("side", ["client", "relay"])
def test_tls_1_2_gives_a_session_id_of_12_bytes_equal_at_both_ends(side: str) -> None:
    async def check() -> None:
        ids: list[bytes] = []

        async def remember(connection: BlockConnection) -> None:
            ids.append(connection.session_id)
            await echo(connection)

        client, server = tls.client_context(), tls.server_context(an_identity())
        (client if side == "client" else server).maximum_version = ssl.TLSVersion.TLSv1_2
        async with relay(remember, server) as listener:
            connection = await tls.connect(["127.0.0.1"], listener.port, timeout=10, context=client)
            await connection.send([BLOCK])
            assert await connection.receive() == BLOCK
            assert connection.tls_version == "TLSv1.2"
            assert ids == [connection.session_id]
            assert len(connection.session_id) == 12
            await connection.close()

    asyncio.run(check())


def test_tls_1_1_is_refused() -> None:
    assert tls.client_context().minimum_version is ssl.TLSVersion.TLSv1_2
    assert tls.server_context(an_identity()).minimum_version is ssl.TLSVersion.TLSv1_2


def test_the_client_sends_no_server_name() -> None:
    async def check() -> None:
        names: list[str | None] = []
        context = tls.server_context(an_identity())
        context.sni_callback = lambda _socket, name, _context: names.append(name)
        async with relay(context=context) as listener:
            connection = await tls.connect(["localhost"], listener.port, timeout=10)
            await connection.close()
        assert names == [None]

    asyncio.run(check())


@pytest.mark.parametrize(("offer", "chosen"), [("smp/1", "smp/1"), ("http/1.1", "http/1.1"), (None, None)])
def test_the_relay_takes_both_protocol_names_and_none(offer: str | None, chosen: str | None) -> None:
    async def check() -> None:
        context = plain_context()
        if offer is not None:
            context.set_alpn_protocols([offer])
        async with relay() as listener:
            client = await asyncio.to_thread(raw_client, listener.port, context)
            assert client.selected_alpn_protocol() == chosen
            client.close()

    asyncio.run(check())


def test_a_client_of_plain_ssl_agrees_on_session_id_and_blocks() -> None:
    async def check() -> None:
        ids: list[bytes] = []

        async def remember(connection: BlockConnection) -> None:
            ids.append(connection.session_id)
            await echo(connection)

        def talk(port: int) -> bytes | None:
            with raw_client(port, plain_context()) as client:
                for start in range(0, BLOCK_SIZE, 1000):  # a block in many records
                    client.sendall(BLOCK[start : start + 1000])
                got = b""
                while len(got) < BLOCK_SIZE:
                    got += client.recv(BLOCK_SIZE)
                assert got == BLOCK
                assert client.getpeercert(True) == an_identity().certificate
                return client.get_channel_binding("tls-unique")

        async with relay(remember) as listener:
            binding = await asyncio.to_thread(talk, listener.port)
        assert ids == [binding]

    asyncio.run(check())


def offer_again(port: int, context: ssl.SSLContext) -> tuple[bool | None, bytes]:
    """Connect twice, the second time with the first session: whether it was resumed, and what was answered."""
    with raw_client(port, context) as first:
        first.sendall(BLOCK)
        assert first.recv(1)
        session = first.session
    with raw_client(port, context, session) as second:
        try:
            second.sendall(BLOCK)
            return second.session_reused, second.recv(1)
        except OSError:
            return second.session_reused, b""


def test_the_relay_gives_no_tickets() -> None:
    """On a resumed session Python takes the relay's Finished for the session id (smp-wire trap 42)."""

    async def check() -> None:
        async with relay() as listener:
            assert await asyncio.to_thread(offer_again, listener.port, plain_context()) == (False, BLOCK[:1])
            older = plain_context()
            older.maximum_version = ssl.TLSVersion.TLSv1_2

            def ticket() -> bool:
                with raw_client(listener.port, older) as client:
                    assert client.session is not None
                    return client.session.has_ticket

            assert not await asyncio.to_thread(ticket)

    asyncio.run(check())


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_session_resumed_all_the_same_is_not_served(version: ssl.TLSVersion) -> None:
    async def check() -> None:
        generous = tls.server_context(an_identity())
        generous.options &= ~ssl.OP_NO_TICKET
        generous.num_tickets = 2
        client = plain_context()
        client.maximum_version = version
        async with relay(context=generous) as listener:
            assert await asyncio.to_thread(offer_again, listener.port, client) == (True, b"")

    asyncio.run(check())


def test_blocks_cut_into_single_bytes_are_put_together() -> None:
    async def check() -> None:
        got: list[bytes] = []
        done = asyncio.Event()

        async def collect(connection: BlockConnection) -> None:
            got.append(await connection.receive())
            done.set()

        def send(port: int) -> None:
            with raw_client(port, plain_context()) as client:
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for byte in BLOCK[:300]:
                    client.sendall(bytes([byte]))
                client.sendall(BLOCK[300:])
                client.recv(1)

        async with relay(collect) as listener:
            await asyncio.gather(asyncio.to_thread(send, listener.port), done.wait())
        assert got == [BLOCK]

    asyncio.run(check())


def test_an_end_in_the_middle_of_a_block_is_told() -> None:
    async def check() -> None:
        ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        async def collect(connection: BlockConnection) -> None:
            try:
                await connection.receive()
            except ConnectionClosed as error:
                ended.set_result(str(error))
                raise

        def send(port: int) -> None:
            with raw_client(port, plain_context()) as client:
                client.sendall(BLOCK[:100])

        async with relay(collect) as listener:
            await asyncio.to_thread(send, listener.port)
            assert "in the middle of a block" in await ended

    asyncio.run(check())


def test_damaged_ciphertext_ends_the_connection() -> None:
    async def check() -> None:
        ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        async def collect(connection: BlockConnection) -> None:
            try:
                await connection.receive()
            except ConnectionClosed as error:
                ended.set_result(str(error))
                raise

        def send(port: int) -> None:
            client = raw_client(port, plain_context())
            bare = socket.socket(fileno=client.detach())
            bare.sendall(b"\x17\x03\x03\x00\x20" + bytes(32))  # a record whose tag cannot verify
            with bare:
                bare.settimeout(10)
                bare.recv(1000)

        async with relay(collect) as listener:
            await asyncio.to_thread(send, listener.port)
            assert "TLS failed" in await ended

    asyncio.run(check())


def test_what_waits_unread_is_bounded() -> None:
    """A peer that floods cannot make the relay hold more than the high-water mark and one read."""

    async def check() -> None:
        accepted: asyncio.Future[BlockConnection] = asyncio.get_running_loop().create_future()
        release = asyncio.Event()

        async def hold(connection: BlockConnection) -> None:
            accepted.set_result(connection)
            await release.wait()

        async with relay(hold) as listener:
            client = await tls.connect(["127.0.0.1"], listener.port, timeout=10)
            flood = asyncio.create_task(client.send([BLOCK] * 2000))
            connection = await accepted
            assert isinstance(connection, tls.TLSConnection)
            await asyncio.wait([flood], timeout=0.3)
            assert not flood.done()
            assert HIGH_WATER < connection._stream._incoming.pending <= HIGH_WATER + 256 * 1024
            release.set()
            with pytest.raises(ConnectionClosed):
                await flood
            await client.close()

    asyncio.run(check())


@asynccontextmanager
async def held() -> AsyncIterator[tuple[tls.TLSConnection, tls.TLSConnection]]:
    """Both ends of a connection, with nobody reading at the relay's."""
    accepted: asyncio.Future[BlockConnection] = asyncio.get_running_loop().create_future()
    release = asyncio.Event()

    async def hold(connection: BlockConnection) -> None:
        accepted.set_result(connection)
        await release.wait()

    async with relay(hold) as listener:
        client = await tls.connect(["127.0.0.1"], listener.port, timeout=10)
        other = await accepted
        assert isinstance(other, tls.TLSConnection)
        yield client, other
        release.set()
        await client.close()


def test_closing_drops_what_the_peer_does_not_take_in_time() -> None:
    async def check() -> None:
        async with held() as (client, other):
            flood = asyncio.create_task(client.send([BLOCK] * 2000))
            await asyncio.wait([flood], timeout=0.3)
            await client.close()
            taken = 0
            with pytest.raises(ConnectionClosed):
                while True:
                    await other.receive()
                    taken += 1
            assert taken < 2000
            with pytest.raises(ConnectionClosed):
                await flood

    asyncio.run(check())


def test_sending_to_a_peer_that_has_gone_fails_though_its_end_was_not_received() -> None:
    async def check() -> None:
        async with held() as (client, other):
            await client.close()
            async with asyncio.timeout(10):
                await asyncio.shield(other._stream._lost)
            with pytest.raises(ConnectionClosed, match="the peer closed the connection"):
                await other.send([BLOCK])

    asyncio.run(check())


def test_no_delay_and_keep_alive_are_set_at_both_ends() -> None:
    async def check() -> None:
        flags: list[bool] = []

        def flag(connection: BlockConnection) -> bool:
            assert isinstance(connection, tls.TLSConnection)
            connected = connection._stream._socket
            assert connected is not None
            options = ((socket.IPPROTO_TCP, socket.TCP_NODELAY), (socket.SOL_SOCKET, socket.SO_KEEPALIVE))
            return all(connected.getsockopt(level, option) for level, option in options)

        async def look(connection: BlockConnection) -> None:
            flags.append(flag(connection))
            await echo(connection)

        async with relay(look) as listener:
            client = await tls.connect(["127.0.0.1"], listener.port, timeout=10)
            await client.send([BLOCK])
            await client.receive()
            flags.append(flag(client))
            await client.close()
        assert flags == [True, True]

    asyncio.run(check())


def test_the_key_never_lies_unencrypted_in_a_temporary_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    write = Path.write_bytes

    def spy(path: Path, content: bytes) -> int:
        seen.append(content.decode().splitlines()[0])
        return write(path, content)

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(Path, "write_bytes", spy)
    tls.server_context(an_identity())
    assert seen == ["-----BEGIN CERTIFICATE-----", "-----BEGIN ENCRYPTED PRIVATE KEY-----"]
    assert list(tmp_path.iterdir()) == []
