"""The relay's side of HTTP/2: answers the requests of a client, several at the same time."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable

import h2.errors
import h2.events

from smpchat.transport.base import ConnectionClosed, Gate
from smpchat.transport.http2 import SERVER_ALPN
from smpchat.transport.http2.link import Body, Headers, Link, Outlet, Parts
from smpchat.transport.identity import Identity
from smpchat.transport.listening import Hosts
from smpchat.transport.tls import HANDSHAKE_TIMEOUT, TLSListener, server_context
from smpchat.transport.tls_stream import LARGE_READ, TLSStream

_log = logging.getLogger(__name__)

WINDOW = 1024 * 1024
"""How many bytes one client may send, in all its requests together, before we read them. So a connection takes no more
memory than this."""
PATIENCE = 120.0
"""Seconds that a server waits for the next bytes of a request, or for the client to read more of an answer."""
MAX_DROPPED = 64 * 1024 * 1024
"""Maximum number of bytes that may arrive for requests that were already answered. If more bytes arrive, the connection
ends."""


class Request:
    """A request of a client; it must be answered only once.

    Attributes:
        headers: Names and values of the request's headers, including pseudo headers.
        body: The body of the request, which may still be arriving.
    """

    def __init__(self, server: HTTP2Server, stream_id: int, headers: Headers) -> None:
        self.headers = headers
        self.body = Body(server, stream_id)
        self.outlet = Outlet(server, stream_id)

    async def answer(self, parts: Parts) -> None:
        """Send an answer with status 200 and a body. Each part is sent when the client has room for it.

        Raises:
            ConnectionClosed: The client has disconnected, or cancelled this request.
        """
        await self.outlet.send_all([(b":status", b"200")], parts)


OnRequest = Callable[[Request], Awaitable[None]]
"""A function that answers one request. If the function does not read the whole body, the unread bytes are dropped. If
the function does not answer, the client gets an error."""


class HTTP2Server(Link):
    """A client's connection. The function `smpchat.transport.http2.server.serve` makes it."""

    def __init__(self, stream: TLSStream, patience: float = PATIENCE) -> None:
        super().__init__(stream, client=False, window=WINDOW)
        self._patience = patience
        self._dropped = 0
        self._requests: dict[int, Request] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.last_request = asyncio.get_running_loop().time()
        """When a request last began or ended, by the loop's clock."""
        self.flush()

    @property
    def is_busy(self) -> bool:
        """Whether we are still answering a request of this client."""
        return bool(self._requests)

    async def serve(self, on_request: OnRequest) -> None:
        """Answer requests until the client closes the connection. Always ends with `ConnectionClosed`."""
        try:
            while True:
                for event in await self.receive():
                    self._take(event, on_request)
                # Send HTTP/2's own answers, such as to pings, before reading on: a peer that does not read them could
                # otherwise fill our memory.
                if self.flush():
                    await self._stream.drain()
        finally:
            for request in self._requests.values():
                request.body.fail("the client closed the connection")
                request.outlet.close("the client closed the connection")
            for task in self._tasks:
                task.cancel()
            while self._tasks:
                await asyncio.wait(self._tasks)

    async def wait(self, news: asyncio.Event) -> None:
        """See `Link.wait`. In a server, this method does not read from the connection: the method `serve` does."""
        self.check()
        try:
            async with asyncio.timeout(self._patience):
                await news.wait()
        except TimeoutError:
            raise ConnectionClosed(f"the client did nothing for {self._patience:g} s") from None
        self.check()

    def _take(self, event: h2.events.Event, on_request: OnRequest) -> None:
        match event:
            case h2.events.RequestReceived():
                request = self._requests[event.stream_id] = Request(self, event.stream_id, list(event.headers))
                self.last_request = asyncio.get_running_loop().time()
                task = asyncio.get_running_loop().create_task(self._run(request, event.stream_id, on_request))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            case h2.events.DataReceived():
                if (found := self._requests.get(event.stream_id)) is not None:
                    found.body.add(event.data, event.flow_controlled_length)
                else:
                    self._drop(event)
            case h2.events.StreamEnded():
                if (found := self._requests.get(event.stream_id)) is not None:
                    found.body.end()
            case h2.events.StreamReset():
                if (found := self._requests.get(event.stream_id)) is not None:
                    found.body.fail("the client gave up this request")
                    found.outlet.close("the client gave up this request")
            case h2.events.WindowUpdated() | h2.events.RemoteSettingsChanged():
                for found in self._requests.values():
                    found.outlet.room.set()
            case h2.events.ConnectionTerminated():
                raise ConnectionClosed("the client closed the connection")

    def _drop(self, event: h2.events.DataReceived) -> None:
        # Bytes of a request that arrive after its answer are dropped. If more than `MAX_DROPPED` bytes of a connection
        # are dropped, the connection ends. Until then, it stays open, as the SimpleX app expects: other requests must
        # not fail because one was refused.
        self._count_dropped(event.flow_controlled_length)
        self.check()
        self.taken(event.stream_id, event.flow_controlled_length)

    def _count_dropped(self, size: int) -> None:
        self._dropped += size
        if self._dropped > MAX_DROPPED and self._end is None:
            self.h2.close_connection(h2.errors.ErrorCodes.ENHANCE_YOUR_CALM)
            self.refuse("too much data for requests that were already answered")

    async def _run(self, request: Request, stream_id: int, on_request: OnRequest) -> None:
        try:
            await on_request(request)
        except ConnectionClosed as error:
            _log.debug("a request: %s", error)
        except Exception:
            _log.exception("answering a request failed")
        finally:
            del self._requests[stream_id]
            self.last_request = asyncio.get_running_loop().time()
            self._count_dropped(request.body.drop())
            if not request.outlet.finished and request.outlet.closed is None and self._end is None:
                self.h2.reset_stream(stream_id, h2.errors.ErrorCodes.INTERNAL_ERROR)
                self.flush()


OnConnection = Callable[[HTTP2Server], Awaitable[None]]


async def serve(
    identity: Identity,
    host: Hosts,
    port: int,
    on_connection: OnConnection,
    *,
    handshake_timeout: float = HANDSHAKE_TIMEOUT,
    patience: float = PATIENCE,
    context: ssl.SSLContext | None = None,
    gate: Gate | None = None,
) -> TLSListener[HTTP2Server]:
    """Accept connections of clients. Arguments and errors are those of `smpchat.transport.tls.serve`.

    ``on_connection`` must call `HTTP2Server.serve`. A request fails if for ``patience`` seconds the client neither
    sends bytes of the request nor reads bytes of the answer.
    """

    async def begin(stream: TLSStream) -> HTTP2Server:
        return HTTP2Server(stream, patience)

    listener = TLSListener(
        context or server_context(identity, SERVER_ALPN),
        on_connection,
        handshake_timeout,
        begin,
        gate,
        read_size=LARGE_READ,
    )
    await listener.start(host, port)
    return listener
