"""The client's side of HTTP/2: sends one request at a time, and reads its answer."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Sequence

import h2.events

from smpchat.encoding.text import bracketed
from smpchat.transport.base import ConnectFailed, ConnectionClosed
from smpchat.transport.hosts import DIRECT, Dialer, first_answering
from smpchat.transport.http2.link import Body, Link, Outlet, Parts, StreamEnded
from smpchat.transport.tls import client_context, client_stream
from smpchat.transport.tls_stream import LARGE_READ, TLSStream

# With any other ALPN name, or with `h2` in addition, the official server sends empty answers (xftp-wire trap 1, section
# 10).
ALPN = ("xftp/1",)
WINDOW = 4 * 1024 * 1024
"""Maximum number of bytes of an answer that may arrive before they are read: one chunk, so that even a relay far away
can send without pauses."""


class Answer:
    """A relay's answer, whose body may still be arriving."""

    def __init__(self, body: Body, status: int, complete: bool) -> None:
        self.body = body
        self.status = status
        self.request_was_sent = complete
        """Whether the whole request was sent. If the relay answered earlier, this connection cannot be used any more
        (xftp-wire trap 12)."""


class HTTP2Client(Link):
    """A connection to a file relay; made by `connect`. Only one task at a time may use the connection, and this task
    may make only one request at a time."""

    def __init__(self, stream: TLSStream, authority: str) -> None:
        super().__init__(stream, client=True, window=WINDOW)
        self._authority = authority.encode("ascii", "replace")
        self._body: Body | None = None
        self._outlet: Outlet | None = None
        self._status: int | None = None
        self.flush()

    async def request(self, parts: Parts) -> Answer:
        """Send a request, and return when its answer begins.

        Args:
            parts: The parts of the request's body; without parts, the body is empty. Each part is sent when the relay
                has room for it.
        Raises:
            ConnectionClosed: The connection ended before the answer began; the relay may have executed the request.
        """
        if self._body is not None:
            self._body.drop()  # drop the rest of the previous answer, which the caller did not read
        self.check()
        stream_id = self.h2.get_next_available_stream_id()
        self._status = None
        self._body = body = Body(self, stream_id)
        # Stop sending if an answer comes before the whole request was sent: such an answer means that the relay refuses
        # the request and no longer reads it.
        self._outlet = outlet = Outlet(self, stream_id, lambda: self._status is not None)
        # Send only these four headers: official file relays refuse `te` and `connection` (xftp-wire 1.2).
        headers = [(b":method", b"POST"), (b":scheme", b"https"), (b":authority", self._authority), (b":path", b"/")]
        sent = await outlet.send_all(headers, parts)
        await self._until(lambda: self._status is not None)
        assert self._status is not None
        return Answer(body, self._status, sent)

    async def wait(self, news: asyncio.Event) -> None:
        """See `Link.wait`. In a client, this method also reads from the connection while it waits."""
        while not news.is_set():
            await self._pump()

    async def _until(self, test: Callable[[], bool]) -> None:
        while not test():
            if self._outlet is not None and self._outlet.closed is not None:
                raise StreamEnded(self._outlet.closed)
            await self._pump()

    async def _pump(self) -> None:
        for event in await self.receive():
            self._take(event)
        self.flush()

    def _take(self, event: h2.events.Event) -> None:
        body, outlet = self._body, self._outlet
        match event:
            case h2.events.WindowUpdated() | h2.events.RemoteSettingsChanged():
                if outlet is not None:
                    outlet.room.set()
            case h2.events.ConnectionTerminated():
                self._ended(ConnectionClosed("the peer closed the connection"))
                self._fail("the peer closed the connection")
            case h2.events.DataReceived() if body is None or event.stream_id != body._stream_id:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case (
                h2.events.ResponseReceived()
                | h2.events.DataReceived()
                | h2.events.StreamEnded()
                | h2.events.StreamReset()
            ) if body is not None and event.stream_id == body._stream_id:
                self._take_answer(event, body)

    def _take_answer(self, event: h2.events.Event, body: Body) -> None:
        match event:
            case h2.events.ResponseReceived():
                self._status = _status(event.headers)
            case h2.events.DataReceived():
                body.add(event.data, event.flow_controlled_length)
            case h2.events.StreamEnded():
                body.end()
            case h2.events.StreamReset():
                self._fail("the relay broke off its answer")
        if self._outlet is not None:
            self._outlet.room.set()

    def _fail(self, reason: str) -> None:
        if self._body is not None:
            self._body.fail(reason)
        if self._outlet is not None:
            self._outlet.close(reason)


def _status(headers: Sequence[tuple[bytes, bytes]]) -> int:
    for name, value in headers:
        if name == b":status" and value.isdigit() and len(value) == 3:
            return int(value)
    return 0


async def connect(
    hosts: Sequence[str],
    port: int,
    *,
    timeout: float,  # noqa: ASYNC109 - it is shared out among the hosts
    context: ssl.SSLContext | None = None,
    dialer: Dialer = DIRECT,
) -> HTTP2Client:
    """Connect to the first of ``hosts`` that completes a TLS handshake. Arguments and errors are those of
    `smpchat.transport.tls.connect`."""
    context = context or client_context(ALPN)

    async def begin(host: str, connected: socket.socket) -> HTTP2Client:
        async def open_link(stream: TLSStream) -> HTTP2Client:
            if stream.ssl_object.selected_alpn_protocol() not in ALPN:
                raise ConnectFailed("this port does not speak XFTP")
            return HTTP2Client(stream, bracketed(host))

        return await client_stream(connected, context, open_link, read_size=LARGE_READ)

    return await first_answering(hosts, port, begin, timeout=timeout, dialer=dialer)
