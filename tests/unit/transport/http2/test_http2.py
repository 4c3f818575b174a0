"""Bodies of both directions over loopback: whole, bounded, refused, broken off. The other ends are `h2` and `ssl`."""

from __future__ import annotations

import asyncio
import itertools
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import wraps
from typing import Any, ParamSpec

import h2.config
import h2.connection
import h2.events
import h2.settings
import pytest
from hyperframe.frame import DataFrame
from hypothesis import given
from hypothesis import strategies as st

from smpchat.encoding.reader import Buffer
from smpchat.testing.entropy import SeededEntropy
from smpchat.transport import tls
from smpchat.transport.base import ConnectFailed, ConnectionClosed
from smpchat.transport.http2 import SERVER_ALPN
from smpchat.transport.http2 import client as http2_client
from smpchat.transport.http2 import server as http2_server
from smpchat.transport.http2.client import HTTP2Client
from smpchat.transport.http2.link import _LOOKED_AT, FLOOD, MAX_STREAMS, HTTP2Refused, StreamEnded, _Cutter
from smpchat.transport.http2.server import HTTP2Server, OnRequest, Request
from tests.unit.transport.support import an_identity

P = ParamSpec("P")


def in_loop(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run a test in a loop of its own, for half a minute at most."""

    @wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        asyncio.run(asyncio.wait_for(test(*args, **kwargs), 30))

    return run


RANDOM = SeededEntropy("bodies").random(3_000_001)


async def echo(request: Request) -> None:
    """The whole body, then the same: to answer before is to refuse the rest."""
    await request.answer([piece async for piece in request.body])


@asynccontextmanager
async def relay(on_request: OnRequest = echo, patience: float = 10) -> AsyncIterator[tuple[int, list[HTTP2Server]]]:
    """Its port, and its connections as they come."""
    connections: list[HTTP2Server] = []

    async def on_connection(connection: HTTP2Server) -> None:
        connections.append(connection)
        await connection.serve(on_request)

    listener = await http2_server.serve(an_identity(), "127.0.0.1", 0, on_connection, patience=patience)
    try:
        yield listener.port, connections
    finally:
        await listener.close()


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[HTTP2Client]:
    client = await http2_client.connect(["127.0.0.1"], port, timeout=10)
    try:
        yield client
    finally:
        await client.close()


async def read(client: HTTP2Client, *parts: Buffer) -> bytes:
    answer = await client.request(parts)
    assert answer.status == 200
    return b"".join([piece async for piece in answer.body])


@in_loop
async def test_bodies_of_any_length_come_back() -> None:
    async with relay() as (port, connections), connected(port) as client:
        for size in (0, 1, 4, 16_384, 65_536, 1_048_576, 3_000_001):
            assert await read(client, RANDOM[:size]) == RANDOM[:size]
        assert await read(client, b"", RANDOM[:10], b"", RANDOM[10:20], b"") == RANDOM[:20]
        assert client.session_id == connections[0].session_id
        assert (client.alpn, connections[0].alpn) == ("xftp/1", "xftp/1")
        assert client.peer_leaf == an_identity().chain[0]


@in_loop
async def test_take_gives_as_much_as_there_is() -> None:
    async with relay() as (port, _), connected(port) as client:
        answer = await client.request([RANDOM[:100_000]])
        assert await answer.body.take(10) == RANDOM[:10]
        assert await answer.body.take(0) == b""
        assert await answer.body.take(70_000) == RANDOM[10:70_010]
        assert await answer.body.take(70_000) == RANDOM[70_010:100_000]
        assert await answer.body.take(1) == b""


@in_loop
async def test_an_answer_that_nobody_reads_does_not_stop_the_next() -> None:
    async with relay() as (port, _), connected(port) as client:
        for _ in range(3):
            await client.request([RANDOM[:60_000]])
        assert await read(client, RANDOM[:60_000]) == RANDOM[:60_000]


@in_loop
async def test_a_refusal_before_the_end_of_a_body_ends_the_body() -> None:
    async def refuse(request: Request) -> None:
        await request.body.take(4)
        await request.answer([b"no"])

    async with relay(refuse) as (port, _), connected(port) as client:
        sent = 0

        async def endless() -> AsyncIterator[Buffer]:
            nonlocal sent
            while True:
                sent += 100_000
                yield bytes(100_000)

        answer = await client.request(endless())
        assert not answer.request_was_sent
        assert await answer.body.take(10) == b"no"
        assert sent < http2_server.MAX_DROPPED


@in_loop
async def test_what_was_not_read_does_not_use_up_the_window() -> None:
    """The official server loses the bytes of a refused body for good (xftp-wire trap 12)."""

    async def refuse(request: Request) -> None:
        await request.answer([b"no"])

    async with relay(refuse) as (port, _), connected(port) as client:
        for _ in range(5):
            answer = await client.request([bytes(http2_server.WINDOW // 2)])
            assert await answer.body.take(10) == b"no"


@in_loop
async def test_what_nobody_reads_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http2_server, "MAX_DROPPED", 300_000)

    async def refuse(request: Request) -> None:
        await request.answer([b"no"])

    async with relay(refuse) as (port, _), connected(port) as client:
        with pytest.raises(ConnectionClosed):
            for _ in range(10):
                await client.request([bytes(100_000)])


@in_loop
async def test_a_relay_holds_no_more_than_its_window() -> None:
    may_read, waiting = asyncio.Event(), asyncio.Event()

    async def slow(request: Request) -> None:
        waiting.set()
        await may_read.wait()
        await echo(request)

    async with relay(slow) as (port, _), connected(port) as client:
        handed = 0

        async def parts() -> AsyncIterator[Buffer]:
            nonlocal handed
            for start in range(0, len(RANDOM), 10_000):
                handed = start
                yield RANDOM[start : start + 10_000]

        asking = asyncio.create_task(client.request(parts()))
        await waiting.wait()
        while client.h2.outbound_flow_control_window > 0:
            await asyncio.wait([asking], timeout=0.001)
        assert handed <= http2_server.WINDOW + 20_000
        may_read.set()
        answer = await asking
        assert b"".join([piece async for piece in answer.body]) == RANDOM


@in_loop
async def test_a_client_holds_no_more_than_its_window() -> None:
    """An answer of any length waits for whoever reads it."""
    produced = 0

    async def endless(request: Request) -> None:
        async def parts() -> AsyncIterator[Buffer]:
            nonlocal produced
            while True:
                produced += 100_000
                yield bytes(100_000)

        await request.answer(parts())

    async with relay(endless) as (port, connections), connected(port) as client:
        answer = await client.request([b"x"])
        while connections[0].h2.outbound_flow_control_window > 0:
            await answer.body.take(1)
        assert produced <= http2_client.WINDOW + 200_000 + 1_000_000


@in_loop
async def test_several_requests_of_one_client_are_answered_at_once() -> None:
    async with relay() as (port, _), raw(port) as peer:
        for stream in (1, 3, 5):
            peer.ask(stream, b"")
        for stream in (5, 1, 3):
            peer.h2.send_data(stream, b"%d" % stream, end_stream=True)
        await peer.flush()
        answers = dict[int, bytes]()
        while len(answers) < 3:
            for event in await peer.events():
                if isinstance(event, h2.events.DataReceived):
                    answers[event.stream_id] = event.data
        assert answers == {1: b"1", 3: b"3", 5: b"5"}


# -- how it ends ------------------------------------------------------------------------------------------------------


@in_loop
async def test_a_relay_that_closes_ends_the_answer() -> None:
    async def leave(request: Request) -> None:
        await request.answer(parts())

    async def parts() -> AsyncIterator[Buffer]:
        yield bytes(10)
        raise OSError("the disk is gone")

    async with relay(leave) as (port, _), connected(port) as client:
        with pytest.raises(ConnectionClosed):
            await read(client, b"x")


@in_loop
async def test_a_request_without_answer_is_told() -> None:
    async def silent(request: Request) -> None:
        await request.body.take(1)

    async with relay(silent) as (port, _), connected(port) as client:
        with pytest.raises(StreamEnded):
            await client.request([b"x"])
        with pytest.raises(StreamEnded):  # and the connection goes on
            await client.request([b"x"])


@in_loop
async def test_the_end_of_a_connection_is_an_error_at_both_ends() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def wait(request: Request) -> None:
        begun.set()
        try:
            await request.body.take(1_000_000)
        finally:
            ended.set()

    async with relay(wait) as (port, _):
        async with connected(port) as client:
            asking = asyncio.create_task(client.request(slowly()))
            await begun.wait()
        with pytest.raises(ConnectionClosed):
            await asking
        with pytest.raises(ConnectionClosed):
            await client.request([b"x"])
        await asyncio.wait_for(ended.wait(), 5)


async def slowly() -> AsyncIterator[Buffer]:
    while True:
        yield bytes(10)
        await asyncio.sleep(0.001)


@in_loop
async def test_a_client_that_does_nothing_within_a_request_is_left() -> None:
    gone = asyncio.Event()

    async def wait(request: Request) -> None:
        try:
            await request.body.take(100)
        except ConnectionClosed as error:
            assert "did nothing" in str(error)
            gone.set()
            raise

    async with relay(wait, patience=0.01) as (port, _), raw(port) as peer:
        peer.ask(1, b"")
        await peer.flush()
        await asyncio.wait_for(gone.wait(), 5)


@in_loop
async def test_what_is_not_xftp_is_told() -> None:
    async def never(connection: Any) -> None:
        await connection.receive()

    listener = await tls.serve(an_identity(), "127.0.0.1", 0, never, context=tls.server_context(an_identity(), ()))
    try:
        with pytest.raises(ConnectFailed, match="this port does not speak XFTP"):
            await http2_client.connect(["127.0.0.1"], listener.port, timeout=5)
    finally:
        await listener.close()


# -- what a client may not do -----------------------------------------------------------------------------------------


class Raw:
    """A client of `h2` alone, which does what ours does not."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.h2 = h2.connection.H2Connection(
            h2.config.H2Configuration(
                client_side=True, validate_outbound_headers=False, normalize_outbound_headers=False
            )
        )
        self.h2.initiate_connection()
        self.reader, self.writer = reader, writer

    def ask(self, stream: int, data: bytes, *, end: bool = False) -> None:
        headers = [(":method", "POST"), (":scheme", "https"), (":authority", "h"), (":path", "/")]
        self.h2.send_headers(stream, headers)
        if data:
            self.h2.send_data(stream, data, end_stream=end)

    async def flush(self) -> None:
        self.writer.write(self.h2.data_to_send())
        await self.writer.drain()

    async def room(self, stream: int, size: int) -> None:
        """Once the window has room."""
        while self.h2.local_flow_control_window(stream) < size:
            await self.events()

    async def events(self) -> list[h2.events.Event]:
        data = await self.reader.read(65_536)
        if not data:
            raise EOFError
        return self.h2.receive_data(data)

    async def ended(self) -> None:
        """Once the relay has closed the connection."""
        try:
            while await self.reader.read(65_536):
                pass
        except OSError:
            pass


@asynccontextmanager
async def raw(port: int) -> AsyncIterator[Raw]:
    context = tls.client_context(("xftp/1",))
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    try:
        yield Raw(reader, writer)
    finally:
        writer.transport.abort()


def pings(peer: Raw) -> None:
    peer.h2.ping(bytes(8))


def settings(peer: Raw) -> None:
    peer.h2.update_settings({h2.settings.SettingCodes.MAX_FRAME_SIZE: 16_384})


def empty_data(peer: Raw) -> None:
    peer.h2.send_data(1, b"")


def small_data(peer: Raw) -> None:
    peer.h2.send_data(1, b"x")


def windows(peer: Raw) -> None:
    peer.h2.increment_flow_control_window(1)


def resets(peer: Raw) -> None:
    stream = peer.h2.get_next_available_stream_id()
    peer.ask(stream, b"")
    peer.h2.reset_stream(stream)


def priorities(peer: Raw) -> None:
    peer.h2.prioritize(1, weight=3)


@pytest.mark.parametrize("flood", [pings, settings, empty_data, small_data, windows, resets, priorities])
@in_loop
async def test_a_flood_of_nothing_ends_the_connection(flood: Callable[[Raw], None]) -> None:
    async with relay() as (port, _), raw(port) as peer:
        peer.ask(1, b"")
        for _ in range(2 * FLOOD + 10):
            flood(peer)
        await peer.flush()
        await asyncio.wait_for(peer.ended(), 10)


@in_loop
async def test_of_a_flood_that_came_together_only_a_part_is_looked_at() -> None:
    """Meanwhile nobody else is served."""
    frame = (0).to_bytes(3, "big") + b"\0\0" + (1).to_bytes(4, "big")
    async with relay() as (port, connections), raw(port) as peer:
        peer.ask(1, b"")
        await peer.flush()
        peer.writer.write(frame * 60_000)
        await asyncio.wait_for(peer.ended(), 20)
        assert FLOOD < connections[0]._second.small < 2_500


@in_loop
async def test_small_frames_among_large_ones_are_no_flood() -> None:
    """Some software ends each piece of a body with what was left over."""
    async with relay() as (port, _), raw(port) as peer:
        peer.ask(1, b"")
        sent = bytearray()
        while len(sent) < 2 * (FLOOD + 10) * 16_385:
            await peer.room(1, 16_385)
            for part in (RANDOM[:16_384], b"!"):
                peer.h2.send_data(1, part)
                sent += part
            await peer.flush()
        assert len(sent) // 16_385 > 2 * FLOOD


async def _too_many(peer: Raw) -> None:
    peer.h2.remote_settings[h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS] = 1_000
    peer.h2.remote_settings.acknowledge()
    for stream in range(1, 2 * MAX_STREAMS + 3, 2):
        peer.ask(stream, b"")


async def _not_http(peer: Raw) -> None:
    peer.h2.clear_outbound_data_buffer()
    peer.writer.write(b"GET / HTTP/1.1\r\n\r\n")


async def _long_frame(peer: Raw) -> None:
    peer.ask(1, b"")
    await peer.flush()
    peer.writer.write((100_000).to_bytes(3, "big") + b"\0\0" + (1).to_bytes(4, "big") + bytes(100_000))


async def _long_headers(peer: Raw) -> None:
    peer.h2.send_headers(1, [(":method", "POST"), (":scheme", "https"), (":path", "/"), ("x", "y" * 9_000)])


async def _beyond_the_window(peer: Raw) -> None:
    peer.ask(1, b"")
    await peer.flush()
    frame = (16_384).to_bytes(3, "big") + b"\0\0" + (1).to_bytes(4, "big") + bytes(16_384)
    peer.writer.write(frame * 100)


@pytest.mark.parametrize("fault", [_too_many, _not_http, _long_frame, _long_headers, _beyond_the_window])
@in_loop
async def test_a_broken_rule_ends_the_connection(fault: Callable[[Raw], Awaitable[None]]) -> None:
    async def wait(request: Request) -> None:
        await asyncio.Event().wait()

    async with relay(wait) as (port, connections), raw(port) as peer:
        await fault(peer)
        await peer.flush()
        await asyncio.wait_for(peer.ended(), 10)
        with pytest.raises(HTTP2Refused):
            connections[0].check()


@in_loop
async def test_a_relay_that_floods_its_client_is_left() -> None:
    async def on_connection(connection: HTTP2Server) -> None:
        async def answer(request: Request) -> None:
            for _ in range(FLOOD + 1):
                connection.h2.ping(bytes(8))
            connection.flush()
            await asyncio.Event().wait()

        await connection.serve(answer)

    listener = await http2_server.serve(an_identity(), "127.0.0.1", 0, on_connection)
    try:
        async with connected(listener.port) as client:
            with pytest.raises(HTTP2Refused, match="flood"):
                await client.request([b"x"])
    finally:
        await listener.close()


def goes_away(connection: HTTP2Server, stream: int) -> None:
    connection.h2.close_connection()


def says_wait(connection: HTTP2Server, stream: int) -> None:
    for _ in range(FLOOD + 1):
        connection.h2.send_headers(stream, [(b":status", b"103")])


def refuses(connection: HTTP2Server, stream: int) -> None:
    connection.h2.reset_stream(stream)


def says_too_much(connection: HTTP2Server, stream: int) -> None:
    connection.h2.send_headers(stream, [(b":status", b"200"), (b"x", b"y" * 9_000)])


def allows_nothing(connection: HTTP2Server, stream: int) -> None:
    connection.h2.update_settings({h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: 0})
    connection.h2.send_headers(stream, [(b":status", b"200")], end_stream=True)


def promises(connection: HTTP2Server, stream: int) -> None:
    headers = b"\x82\x87\x84\x41\x01h"  # GET https / at h
    frame = stream.to_bytes(4, "big") + (2).to_bytes(4, "big") + headers
    connection._stream.write([(4 + len(headers)).to_bytes(3, "big") + b"\x05\x04" + frame])


@pytest.mark.parametrize(
    "fault", [goes_away, says_wait, refuses, says_too_much, allows_nothing, promises], ids=lambda f: f.__name__
)
@in_loop
async def test_a_relay_that_breaks_a_rule_is_left(fault: Callable[[HTTP2Server, int], None]) -> None:
    async def on_connection(connection: HTTP2Server) -> None:
        async def answer(request: Request) -> None:
            fault(connection, 1)
            connection.flush()
            await asyncio.Event().wait()

        await connection.serve(answer)

    listener = await http2_server.serve(an_identity(), "127.0.0.1", 0, on_connection)
    try:
        async with connected(listener.port) as client:
            with pytest.raises(ConnectionClosed):
                for _ in range(2):
                    answer = await client.request([b"x"])
                    while await answer.body.next() is not None:
                        pass
    finally:
        await listener.close()


@in_loop
async def test_the_client_names_no_server() -> None:
    """The server name would choose another listener at a relay that shares its port (xftp-wire 1.1)."""
    names: list[str | None] = []
    context = tls.server_context(an_identity(), SERVER_ALPN)

    def saw(connection: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> None:
        names.append(name)

    context.sni_callback = saw
    listener = await http2_server.serve(an_identity(), "127.0.0.1", 0, lambda c: c.serve(echo), context=context)
    try:
        async with connected(listener.port) as client:
            assert await read(client, b"abcd") == b"abcd"
    finally:
        await listener.close()
    assert names == [None]


def test_frames_are_not_written_out() -> None:
    """h2 does so with every frame it gets."""
    assert repr(DataFrame(1, bytes(100))).endswith("100 bytes")


# --- where frames end ---------------------------------------------------------------------------------------------


def frames(*sizes: int) -> bytes:
    return b"".join(size.to_bytes(3, "big") + bytes(6) + b"." * size for size in sizes)


@given(
    sizes=st.lists(st.one_of(st.integers(0, 50), st.integers(0, 70_000)), min_size=1, max_size=30),
    reads=st.lists(st.integers(1, 200_000), min_size=1, max_size=10),
    preface=st.integers(0, 40),
)
def test_what_comes_is_cut_where_frames_end(sizes: list[int], reads: list[int], preface: int) -> None:
    data, cutter, out, at = bytes(preface) + frames(*sizes), _Cutter(), b"", 0
    ends = set(itertools.accumulate((9 + size for size in sizes), initial=preface))
    cutter.skip(preface)
    for size in itertools.chain(reads, itertools.repeat(100_000)):
        if at >= len(data):
            break
        parts = [bytes(part) for part in cutter.parts(memoryview(data)[at : at + size])]
        for part in parts[:-1]:
            out += part
            assert len(part) >= _LOOKED_AT and len(out) in ends
            assert len(part) <= _LOOKED_AT + 9 + max(sizes)
        out += parts[-1]
        at += size
    assert out == data
