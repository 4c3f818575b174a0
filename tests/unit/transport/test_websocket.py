"""What is particular to WebSocket; the promises of every transport are in tests/contract.

The clients and servers that it is tried with are made of `ssl` and of frames put together by hand (RFC 6455, 5.2).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from smpchat.transport import tls, websocket
from smpchat.transport.base import BLOCK_SIZE, BlockConnection, ConnectFailed, ConnectionClosed
from smpchat.transport.tls_stream import TLSStream
from smpchat.transport.websocket import BlockRefused
from tests.unit.transport.support import an_identity

BLOCK = bytes(range(256)) * 64
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
REQUEST = (
    b"GET / HTTP/1.1\r\nHost: \r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # for that key, as RFC 6455, 1.3 computes it


def frame(opcode: int, payload: bytes = b"", *, final: bool = True, masked: bool = True) -> bytes:
    """One frame; its mask, where there is one, changes nothing."""
    size = len(payload)
    mark = 0x80 if masked else 0
    head = bytes([(0x80 if final else 0) | opcode])
    if size < 126:
        head += bytes([mark | size])
    elif size < 65536:
        head += bytes([mark | 126]) + size.to_bytes(2, "big")
    else:
        head += bytes([mark | 127]) + size.to_bytes(8, "big")
    return head + (bytes(4) if masked else b"") + payload


class RawClient:
    """A client made of nothing but `ssl`."""

    def __init__(self, port: int, request: bytes = REQUEST) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self.socket = context.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=10))
        self.file = self.socket.makefile("rb")
        self.socket.sendall(request + b"\r\n")
        self.head = b""
        while not self.head.endswith(b"\r\n\r\n") and (line := self.file.readline()):
            self.head += line

    def read_frame(self) -> tuple[int, bytes]:
        """Opcode and payload; the server must not mask."""
        first, second = self.file.read(2)
        assert first & 0x80
        size = second if second < 126 else int.from_bytes(self.file.read(2 if second == 126 else 8), "big")
        return first & 0x0F, self.file.read(size)

    def close(self) -> None:
        self.file.close()
        self.socket.close()


class Relay:
    """Collects what its connections receive until they end."""

    def __init__(self) -> None:
        self.port = 0
        self.session_ids: list[bytes] = []
        self.blocks: list[bytes] = []
        self.ends: asyncio.Queue[ConnectionClosed] = asyncio.Queue()
        self.end: ConnectionClosed | None = None

    async def serve(self, connection: BlockConnection) -> None:
        self.session_ids.append(connection.session_id)
        try:
            while True:
                self.blocks.append(await connection.receive())
        except ConnectionClosed as end:
            self.ends.put_nowait(end)


@asynccontextmanager
async def a_relay(
    serve: Callable[[BlockConnection], Awaitable[None]] | None = None, handshake_timeout: float = 10
) -> AsyncIterator[Relay]:
    relay = Relay()
    listener = await websocket.serve(
        an_identity(), "127.0.0.1", 0, serve or relay.serve, handshake_timeout=handshake_timeout
    )
    relay.port = listener.port
    try:
        async with asyncio.timeout(30):
            yield relay
    finally:
        await listener.close()


def run_client(talk: Callable[[RawClient], None], request: bytes = REQUEST) -> Relay:
    """What the relay got from a client that talks; the end of a connection that was served is waited for."""

    async def within() -> Relay:
        async with a_relay() as relay:

            def client() -> None:
                raw = RawClient(relay.port, request)
                try:
                    talk(raw)
                finally:
                    raw.close()

            await asyncio.to_thread(client)
            if relay.session_ids:
                relay.end = await relay.ends.get()
            return relay

    return asyncio.run(within())


# --- the relay's side ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [b"/", b"/any/path?x=1"])
def test_the_relay_takes_a_request_without_a_host_for_any_path(path: bytes) -> None:
    """The official client's Host is empty (smp-wire 2.7)."""

    def talk(client: RawClient) -> None:
        assert client.head.startswith(b"HTTP/1.1 101 ")
        assert b"Sec-WebSocket-Accept: " + ACCEPT in client.head
        client.socket.sendall(frame(BINARY, BLOCK) + frame(CLOSE))
        assert client.read_frame() == (CLOSE, b"")

    relay = run_client(talk, REQUEST.replace(b"GET / ", b"GET " + path + b" "))
    assert relay.blocks == [BLOCK]
    assert str(relay.end) == "the peer closed the connection"


def test_the_relay_agrees_to_no_compression_and_no_subprotocol() -> None:
    def talk(client: RawClient) -> None:
        assert client.head.startswith(b"HTTP/1.1 101 ")
        assert b"sec-websocket-extensions" not in client.head.lower()
        assert b"sec-websocket-protocol" not in client.head.lower()

    run_client(talk, REQUEST + b"Sec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Protocol: smp, chat\r\n")


def test_both_ends_take_the_session_id_from_tls() -> None:
    bindings: list[bytes | None] = []
    relay = run_client(lambda client: bindings.append(client.socket.get_channel_binding("tls-unique")))
    assert relay.session_ids == bindings


def test_blocks_that_come_with_the_request_are_not_lost() -> None:
    def talk(client: RawClient) -> None:
        client.socket.sendall(frame(CLOSE))
        assert client.read_frame() == (CLOSE, b"")

    relay = run_client(talk, REQUEST + b"\r\n" + frame(BINARY, BLOCK) + frame(BINARY, BLOCK)[:-2])
    assert relay.blocks[:1] == [BLOCK]


def test_a_block_in_fragments_is_put_together_and_pings_between_are_answered() -> None:
    def talk(client: RawClient) -> None:
        client.socket.sendall(frame(BINARY, BLOCK[:5], final=False) + frame(PING, b"are you there"))
        assert client.read_frame() == (PONG, b"are you there")
        client.socket.sendall(frame(CONTINUATION, b"", final=False) + frame(CONTINUATION, BLOCK[5:]) + frame(CLOSE))
        assert client.read_frame() == (CLOSE, b"")

    assert run_client(talk).blocks == [BLOCK]


@pytest.mark.parametrize(
    ("sent", "code", "words"),
    [
        (frame(BINARY, BLOCK[:-1]), 1007, "the peer sent a message of 16383 bytes instead of 16384"),
        (frame(BINARY), 1007, "the peer sent a message of 0 bytes instead of 16384"),
        (frame(BINARY, BLOCK + b"x"), 1009, "the peer sent data that is not a WebSocket message of a block's size"),
        (frame(BINARY, BLOCK, final=False) + frame(CONTINUATION, b"x"), 1009, "the peer sent data that is not a"),
        (frame(TEXT, b"x" * BLOCK_SIZE), 1003, "the peer sent a text message"),
        (frame(TEXT, b"x", final=False), 1003, "the peer sent a text message"),
        (frame(BINARY, BLOCK, masked=False), 1002, "the peer sent data that is not a WebSocket message"),
        (frame(CONTINUATION, BLOCK), 1002, "the peer sent data that is not a WebSocket message"),
        (b"\xf2\x80\0\0\0\0", 1002, "the peer sent data that is not a WebSocket message"),
    ],
    ids=[
        "short",
        "empty",
        "long",
        "long in fragments",
        "text",
        "fragment of text",
        "unmasked",
        "stray",
        "reserved",
    ],
)
def test_what_is_no_block_ends_the_connection_after_the_blocks_before_it(sent: bytes, code: int, words: str) -> None:
    def talk(client: RawClient) -> None:
        client.socket.sendall(frame(BINARY, BLOCK) + sent)
        opcode, payload = client.read_frame()
        assert (opcode, int.from_bytes(payload[:2], "big")) == (CLOSE, code)
        assert client.file.read() == b""

    relay = run_client(talk)
    assert relay.blocks == [BLOCK]
    end = relay.end
    assert isinstance(end, BlockRefused)
    assert str(end).startswith(words)
    assert not end.temporary


def test_a_message_of_many_blocks_ends_the_connection() -> None:
    def talk(client: RawClient) -> None:
        # the relay closes without reading the rest, so that its words may be lost in a reset
        with contextlib.suppress(OSError, ValueError):
            client.socket.sendall(frame(BINARY, BLOCK) + frame(BINARY, bytes(70_000)))
            client.read_frame()

    relay = run_client(talk)
    assert relay.blocks == [BLOCK]
    assert isinstance(relay.end, BlockRefused)


def test_the_announced_size_alone_is_refused() -> None:
    """A header that promises 2^62 bytes must not make the relay wait for them, or make room."""

    def talk(client: RawClient) -> None:
        client.socket.sendall(b"\x82\xff" + (1 << 62).to_bytes(8, "big"))
        assert client.read_frame()[0] == CLOSE

    assert isinstance(run_client(talk).end, BlockRefused)


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n", [b"426"]),
        (REQUEST.replace(b"Version: 13", b"Version: 7"), [b"400"]),
        # older releases of the library say nothing to these
        (REQUEST.replace(b"GET", b"POST"), [b"405", b""]),
        (REQUEST + b"X: " + b"x" * 10_000 + b"\r\n", [b"431", b""]),
    ],
)
def test_other_requests_are_refused_in_http(request_head: bytes, status: list[bytes]) -> None:
    def talk(client: RawClient) -> None:
        assert (client.head + b"  ").split(b" ")[1] in status

    relay = run_client(talk, request_head)
    assert relay.session_ids == []


def test_a_client_that_speaks_no_http_is_not_served() -> None:
    relay = run_client(lambda client: None, BLOCK)
    assert relay.session_ids == []


def test_the_time_for_the_upgrade_is_limited() -> None:
    async def check() -> None:
        async with a_relay(handshake_timeout=0.3) as relay:

            def silent() -> bytes:
                client = RawClient(relay.port, b"GET / HTTP/1.1")  # the head goes on, and on
                client.close()
                return client.head

            assert await asyncio.to_thread(silent) == b""
            assert relay.session_ids == []

    asyncio.run(check())


def test_nothing_of_a_connection_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    def talk(client: RawClient) -> None:
        client.socket.sendall(frame(BINARY, BLOCK) + frame(CLOSE))
        client.read_frame()

    run_client(talk)
    assert [record for record in caplog.records if record.name.startswith(("websockets", websocket.__name__))] == []


# --- the client's side ---------------------------------------------------------------------------------------------


@asynccontextmanager
async def a_server(talk: Callable[[TLSStream, bytes], Awaitable[None]]) -> AsyncIterator[int]:
    """A server made of a TLS stream: ``talk`` gets it with the client's request."""

    async def begin(stream: TLSStream) -> BlockConnection:
        request = b""
        while not request.endswith(b"\r\n\r\n"):
            request += await stream.read(4096)
        await talk(stream, request)
        await stream.close()
        raise ConnectionClosed("done")

    async def never(_: BlockConnection) -> None:
        raise AssertionError

    listener = tls.TLSListener(tls.server_context(an_identity()), never, 10, begin)
    await listener.start("127.0.0.1", 0)
    try:
        async with asyncio.timeout(30):
            yield listener.port
    finally:
        await listener.close()


def test_the_client_asks_for_the_root_without_extensions_and_sends_no_server_name() -> None:
    async def check() -> None:
        requests: list[bytes] = []

        async def refuse(stream: TLSStream, request: bytes) -> None:
            requests.append(request)
            stream.write([b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"])

        async with a_server(refuse) as port:
            with pytest.raises(
                ConnectFailed,
                match=rf"^cannot reach relay wss://127.0.0.1:{port}: this port does not speak WebSocket \(HTTP",
            ):
                await websocket.connect(["127.0.0.1"], port, timeout=10)
        [request] = requests
        assert request.startswith(b"GET / HTTP/1.1\r\n")
        assert f"Host: 127.0.0.1:{port}".encode() in request
        assert b"extensions" not in request.lower()
        assert b"sec-websocket-protocol" not in request.lower()

    asyncio.run(check())


@pytest.mark.parametrize(
    "answer",
    [
        BLOCK,
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 101 -\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n",
        b"HTTP/1.1 101 -\r\nUpgrade: websocket\r\n",
        b"",
    ],
    ids=["a block", "a page", "wrong key", "half an answer", "nothing"],
)
def test_what_does_not_answer_in_websocket_is_named(answer: bytes) -> None:
    async def check() -> None:
        async def send(stream: TLSStream, _: bytes) -> None:
            stream.write([answer])

        async with a_server(send) as port:
            with pytest.raises(ConnectFailed, match=f"^cannot reach relay wss://127.0.0.1:{port}: "):
                await websocket.connect(["127.0.0.1"], port, timeout=10)

    asyncio.run(check())


def test_a_relay_that_speaks_plain_tls_is_no_websocket_server() -> None:
    async def check() -> None:
        async def hello(connection: BlockConnection) -> None:
            await connection.send([BLOCK])
            await connection.receive()

        listener = await tls.serve(an_identity(), "127.0.0.1", 0, hello)
        with pytest.raises(ConnectFailed, match="this port does not speak WebSocket"):
            await websocket.connect(["127.0.0.1"], listener.port, timeout=10)
        await listener.close()

    asyncio.run(check())


def test_a_message_of_another_size_is_refused_by_the_client_too() -> None:
    async def check() -> None:
        async def short(connection: BlockConnection) -> None:
            assert isinstance(connection, websocket.WebSocketConnection)
            await connection.send([BLOCK])
            connection._protocol.send_binary(b"short")
            connection._stream.write(connection._protocol.data_to_send())
            with pytest.raises(ConnectionClosed):
                await connection.receive()

        async with a_relay(short) as relay:
            client = await websocket.connect(["127.0.0.1"], relay.port, timeout=10)
            assert await client.receive() == BLOCK
            for _ in range(2):
                with pytest.raises(BlockRefused, match="a message of 5 bytes"):
                    await client.receive()
            with pytest.raises(ConnectionClosed):
                await client.send([BLOCK])

    asyncio.run(check())


def test_answers_to_pings_do_not_pile_up_for_a_peer_that_takes_none() -> None:
    async def check() -> None:
        held: asyncio.Future[websocket.WebSocketConnection] = asyncio.get_running_loop().create_future()

        async def serve(connection: BlockConnection) -> None:
            assert isinstance(connection, websocket.WebSocketConnection)
            sender = connection._stream._socket
            assert sender is not None
            sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
            held.set_result(connection)
            await connection.receive()

        async with a_relay(serve) as relay:
            client = await websocket.connect(["127.0.0.1"], relay.port, timeout=10)
            receiver = client._stream._socket
            assert receiver is not None
            receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
            transport = (await held)._stream._transport
            assert transport is not None
            client._stream.write([frame(PING, b"x" * 125)] * 20_000)
            before = -1
            while (now := transport.get_write_buffer_size()) != before:  # until the relay has nothing more to do
                before = now
                await asyncio.sleep(0.2)
            assert 0 < now < 300_000
            await client.close()

    asyncio.run(check())
