"""Blocks over WebSocket inside TLS: each binary message is one block (smp-wire 2.7).

The library ``websockets`` makes and checks frames. Frames travel over a `TLSStream`, like the blocks of
`smpchat.transport.tls`, so TLS settings, session identifier, limits and closing are the same. Bytes are read only while
a caller waits for a block. So at most one block waits in a `WebSocketConnection`, and about `HIGH_WATER` bytes of
ciphertext in its `TLSStream`.

The relay accepts any path. It also accepts an empty ``Host`` header, because the official client sends such a header.
We answer WebSocket's pings but send none, because SMP has pings of its own.
"""

from __future__ import annotations

import logging
import socket
import ssl
from collections import deque
from collections.abc import Iterable, Sequence

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidStatus
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import Event, Protocol, State
from websockets.server import ServerProtocol
from websockets.uri import WebSocketURI

from smpchat.transport.base import (
    BLOCK_SIZE,
    BlockConnection,
    ConnectFailed,
    ConnectionClosed,
    Gate,
    OnConnection,
    check_blocks,
)
from smpchat.transport.hosts import DIRECT, Dialer, first_answering
from smpchat.transport.identity import Identity
from smpchat.transport.listening import Hosts
from smpchat.transport.tls import (
    HANDSHAKE_TIMEOUT,
    TLSListener,
    client_context,
    client_stream,
    server_context,
    session_identifier,
)
from smpchat.transport.tls_stream import TLSStream

_MESSAGE = (Opcode.TEXT, Opcode.BINARY, Opcode.CONT)
_SWITCHING_PROTOCOLS = 101

# The library ``websockets`` logs every connection, and at level DEBUG also the content of frames. Log only its warnings
# and errors.
_library_log = logging.getLogger(f"{__name__}.library")
_library_log.setLevel(logging.WARNING)


class BlockRefused(ConnectionClosed):
    """The peer sent a message that is not a block. We have told the peer that the connection ends; the caller must
    close the connection."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the peer sent {reason}", temporary=False)


class WebSocketConnection:
    """A `BlockConnection` over a stream on which the WebSocket upgrade is complete.

    Args:
        stream: The TLS stream. Closing the connection also closes this stream.
        protocol: The object of the library ``websockets`` that makes and checks the frames of this connection. Its
            state must be "open", and it must have no bytes left to send.
        early: The frames that arrived together with the last part of the upgrade.
    """

    def __init__(self, stream: TLSStream, protocol: Protocol, early: Iterable[Event] = ()) -> None:
        self._stream = stream
        self._protocol = protocol
        self._session_id = session_identifier(stream.ssl_object)
        self._peer_leaf = stream.ssl_object.getpeercert(True)
        self._partial = bytearray()
        self._blocks: deque[bytes] = deque()
        self._end: ConnectionClosed | None = None
        self._must_drain = False
        self._take(early)

    @property
    def session_id(self) -> bytes:
        """See `smpchat.transport.tls.session_identifier`."""
        return self._session_id

    @property
    def peer_leaf(self) -> bytes | None:
        """The relay's certificate in DER; None if we are the relay."""
        return self._peer_leaf

    async def receive(self) -> bytes:
        """See `BlockConnection.receive`.

        Raises:
            BlockRefused: The next message is not a block.
        """
        while not self._blocks:
            if self._end is not None:
                # Every later call of `receive` raises the same error object. Remove the traceback of the earlier call:
                # otherwise, the traceback would grow with each call.
                raise self._end.with_traceback(None)
            if self._must_drain:  # otherwise a peer could fill our memory with answers to its pings
                await self._stream.drain()
                self._must_drain = False
            self._protocol.receive_data(await self._stream.read(BLOCK_SIZE))
            self._take(self._protocol.events_received())
            self._must_drain = _flush(self._protocol, self._stream)
        return self._blocks.popleft()

    async def send(self, blocks: Sequence[bytes]) -> None:
        """See `BlockConnection.send`."""
        check_blocks(blocks)
        if self._end is not None:
            raise self._end.with_traceback(None)
        for block in blocks:
            self._protocol.send_binary(block)
        self._stream.write(self._protocol.data_to_send())
        await self._stream.drain()

    async def close(self) -> None:
        """See `BlockConnection.close`."""
        if self._end is None:
            self._end = ConnectionClosed("this program closed the connection")
            self._protocol.send_close(CloseCode.NORMAL_CLOSURE)
            _flush(self._protocol, self._stream)
        await self._stream.close()

    def _take(self, events: Iterable[Event]) -> None:
        """Assemble messages from frames. The first error that ends the connection is kept for `receive` to raise."""
        for event in events:
            if isinstance(event, Frame) and self._end is None:
                if event.opcode in _MESSAGE:
                    self._take_frame(event)
                elif event.opcode is Opcode.CLOSE:
                    self._end = ConnectionClosed("the peer closed the connection")
        if self._end is None and self._protocol.parser_exc is not None:
            self._end = BlockRefused("data that is not a WebSocket message of a block's size")

    def _take_frame(self, frame: Frame) -> None:
        if frame.opcode is Opcode.TEXT:
            self._refuse(CloseCode.UNSUPPORTED_DATA, "a text message")
            return
        self._partial += frame.data
        if not frame.fin:
            return
        if len(self._partial) == BLOCK_SIZE:
            self._blocks.append(bytes(self._partial))
            self._partial.clear()
        else:
            self._refuse(CloseCode.INVALID_DATA, f"a message of {len(self._partial)} bytes instead of {BLOCK_SIZE}")

    def _refuse(self, code: CloseCode, reason: str) -> None:
        self._end = BlockRefused(reason)
        if self._protocol.state is State.OPEN:
            self._protocol.fail(code)


def _flush(protocol: Protocol, stream: TLSStream) -> bool:
    """Send the bytes that ``protocol`` has prepared. Returns whether any bytes were sent. If the stream has ended, this
    function raises no error; the next read from the stream raises one."""
    parts = [part for part in protocol.data_to_send() if part]  # an empty part asks us to close TCP, which `close` does
    if not parts:
        return False
    try:
        stream.write(parts)
    except ConnectionClosed:
        return False
    return True


async def connect(
    hosts: Sequence[str],
    port: int,
    *,
    timeout: float,  # noqa: ASYNC109 - it is shared out among the hosts
    context: ssl.SSLContext | None = None,
    dialer: Dialer = DIRECT,
) -> WebSocketConnection:
    """Connect to the first of ``hosts`` that completes TLS and the WebSocket upgrade.

    Args:
        hosts: Names or addresses of one relay, tried in this order.
        port: TCP port.
        timeout: Seconds for everything together. Each host gets a share of this time, so that a host that does not
            answer leaves time for the other hosts.
        context: TLS settings; by default, those of `smpchat.transport.tls.client_context`.
        dialer: Opens the TCP connection.
    Raises:
        ConnectFailed: No host could be reached. The message gives the reason for each host: ``cannot reach relay
            wss://HOST:PORT: REASON; wss://HOST:PORT: REASON``.
    """
    context = context or client_context()

    async def begin(host: str, connected: socket.socket) -> WebSocketConnection:
        # "/" is the path that the official client requests; relays accept any path (smp-wire 2.7).
        return await client_stream(
            connected, context, lambda stream: _ask(stream, WebSocketURI(True, host, port, "/", ""))
        )

    return await first_answering(hosts, port, begin, timeout=timeout, dialer=dialer, scheme="wss://")


async def _ask(stream: TLSStream, uri: WebSocketURI) -> WebSocketConnection:
    # A message is exactly one block (smp-wire 2.7). With this ``max_size``, the library refuses a longer message before
    # it has received the whole message.
    protocol = ClientProtocol(uri, max_size=BLOCK_SIZE, logger=_library_log)
    protocol.send_request(protocol.connect())
    _flush(protocol, stream)
    answer, *early = await _first_event(stream, protocol)
    if protocol.handshake_exc is not None or not isinstance(answer, Response):
        cause = protocol.handshake_exc
        status = f" (HTTP status {cause.response.status_code})" if isinstance(cause, InvalidStatus) else ""
        raise ConnectFailed(f"this port does not speak WebSocket{status}") from cause
    return WebSocketConnection(stream, protocol, early)


async def _first_event(stream: TLSStream, protocol: Protocol) -> list[Event]:
    """Read until the first event has arrived: at a relay, the client's upgrade request; at a client, the relay's
    answer. Returns the first event, and the events that arrived together with it. ``websockets`` limits the sizes of
    upgrade requests and their answers."""
    while not (events := protocol.events_received()):
        if protocol.handshake_exc is not None:
            _flush(protocol, stream)
            raise ConnectFailed("this port does not speak WebSocket") from protocol.handshake_exc
        protocol.receive_data(await stream.read(BLOCK_SIZE))
    return events


async def serve(
    identity: Identity,
    host: Hosts,
    port: int,
    on_connection: OnConnection,
    *,
    handshake_timeout: float = HANDSHAKE_TIMEOUT,
    context: ssl.SSLContext | None = None,
    gate: Gate | None = None,
) -> TLSListener[BlockConnection]:
    """Accept WebSocket connections inside TLS. Arguments and errors are those of `smpchat.transport.tls.serve`.

    ``handshake_timeout`` is the maximum number of seconds for the TLS handshake and the WebSocket upgrade together.
    """
    listener = TLSListener(context or server_context(identity), on_connection, handshake_timeout, _answer, gate)
    await listener.start(host, port)
    return listener


async def _answer(stream: TLSStream) -> BlockConnection:
    protocol = ServerProtocol(max_size=BLOCK_SIZE, logger=_library_log)
    request, *early = await _first_event(stream, protocol)
    if not isinstance(request, Request):
        raise ConnectionClosed("the client sent no request")
    response = protocol.accept(request)
    protocol.send_response(response)
    _flush(protocol, stream)
    if response.status_code != _SWITCHING_PROTOCOLS:
        await stream.close()  # close properly, so that the refusal is sent
        raise ConnectionClosed(f"the client's request was refused with HTTP status {response.status_code}")
    return WebSocketConnection(stream, protocol, early)
