"""One HTTP/2 connection, for clients and servers: sends and receives bodies piece by piece, respects the peer's
flow-control windows, and limits how much the peer may send."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import aclosing
from typing import Any
from weakref import WeakKeyDictionary

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
from h2.settings import SettingCodes, Settings
from hyperframe.frame import DataFrame

from smpchat.encoding.reader import Buffer
from smpchat.transport.base import ConnectionClosed
from smpchat.transport.tls import session_identifier
from smpchat.transport.tls_stream import TLSStream

MAX_STREAMS = 16
"""Maximum number of requests of one client at the same time; the SimpleX app sends only one."""
MAX_FRAME = 64 * 1024
"""Longest frame that a relay accepts from a client, in bytes; the app's frames are shorter."""
MAX_FRAME_OF_RELAY = 256 * 1024
"""Longest frame that a client accepts, in bytes. Long frames save time, because each frame costs time, whatever its
length. A relay accepts only `MAX_FRAME`, because a relay has more connections than a client."""
MAX_HEADERS = 8 * 1024
FLOOD = 256
"""Maximum number of frames with little or no content within one second (`_Second.excess`). With more such frames, the
connection ends."""
_NEXT_TO_NOTHING = 1024
_READ = 256 * 1024
_LOOKED_AT = 16 * 1024
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_HEAD = 9
"""Number of bytes of a frame's header; the first three bytes are the length of the frame's content."""
_WRITE = 128 * 1024
_RECORD = 16 * 1024
"""Maximum number of bytes that TLS encrypts in one step."""

_buffers: WeakKeyDictionary[asyncio.AbstractEventLoop, memoryview] = WeakKeyDictionary()


def _buffer_of(loop: asyncio.AbstractEventLoop) -> memoryview:
    """The buffer into which all connections of an event loop read. Received bytes are copied before another connection
    uses the buffer."""
    buffer = _buffers.get(loop)
    if buffer is None:
        buffer = _buffers[loop] = memoryview(bytearray(_READ))
    return buffer


def _length(frame: Any) -> str:
    return f"{len(frame.data)} bytes"


# h2 formats every received frame in hex for a log message, even if nothing is logged. Before we replaced `_body_repr`,
# this formatting took a third of the time of a download.
DataFrame._body_repr = _length  # type: ignore[assignment]

Headers = list[tuple[bytes, bytes]]
Parts = Iterable[Buffer] | AsyncIterator[Buffer]


class HTTP2Refused(ConnectionClosed):
    """The peer violated the HTTP/2 protocol, or sent too many empty frames or too much unwanted data. We have told the
    peer that the connection ends; the caller must close the connection."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the peer sent {reason}", temporary=False)


class StreamEnded(ConnectionClosed):
    """The peer has ended this request or answer before it was complete."""


class Body:
    """The body of one request or answer, which may still be arriving. Each byte of the body can be read only once."""

    def __init__(self, link: Link, stream_id: int) -> None:
        self._link = link
        self._stream_id = stream_id
        self._pieces: deque[tuple[memoryview, int]] = deque()  # each piece, and how many bytes of the window it used
        self._ended = False
        self._failure: str | None = None
        self._news = asyncio.Event()

    async def next(self) -> memoryview | None:
        """The next piece of the body, which may have any length; None after the last piece.

        Raises:
            ConnectionClosed: The body ended before it was complete.
        """
        while not self._pieces:
            if self._failure is not None:
                raise StreamEnded(self._failure)
            if self._ended:
                return None
            self._news.clear()
            await self._link.wait(self._news)
        piece, credit = self._pieces.popleft()
        self._link.taken(self._stream_id, credit)
        return piece

    async def take(self, size: int) -> bytes:
        """Read exactly ``size`` bytes, or fewer if the body ends earlier."""
        parts, missing = [], size
        while missing and (piece := await self.next()) is not None:
            if len(piece) > missing:
                self._pieces.appendleft((piece[missing:], 0))
                piece = piece[:missing]
            parts.append(piece)
            missing -= len(piece)
        return b"".join(parts)

    async def __aiter__(self) -> AsyncIterator[memoryview]:
        while (piece := await self.next()) is not None:
            yield piece

    def add(self, data: bytes, credit: int) -> None:
        """Add received bytes. The frame that contained them used ``credit`` bytes of the flow-control window."""
        if self._failure is None and data:
            self._pieces.append((memoryview(data), credit))
            self._news.set()
        else:
            self._link.taken(self._stream_id, credit)

    def end(self) -> None:
        """Called when the body is complete."""
        self._ended = True
        self._news.set()

    def fail(self, reason: str) -> None:
        """Called when the body is incomplete, but no more of its bytes will arrive."""
        if not self._ended and self._failure is None:
            self._failure = reason
        self._news.set()

    def drop(self) -> int:
        """Discard the bytes of this body that have arrived, and those that will arrive. For each discarded byte, the
        peer may send another one, so that other requests of the connection can go on.

        Returns:
            How much of the flow-control window the discarded bytes used, counting only bytes that had already arrived.
        """
        dropped = 0
        while self._pieces:
            _, credit = self._pieces.popleft()
            dropped += credit
            self._link.taken(self._stream_id, credit)
        if not self._ended:
            self.fail("the rest of this body was discarded")
        return dropped


class Outlet:
    """Sends one request or answer on an HTTP/2 stream. Sending waits while the peer's flow-control window is full."""

    def __init__(self, link: Link, stream_id: int, stop: Callable[[], bool] = lambda: False) -> None:
        self._link = link
        self._stream_id = stream_id
        self.room = asyncio.Event()
        self.closed: str | None = None
        """Why nothing more can be sent; None while sending is possible."""
        self.finished = False
        """Whether everything was sent."""
        self._stop = stop

    def close(self, reason: str) -> None:
        self.closed = self.closed or reason
        self.room.set()

    async def send_all(self, headers: Headers, parts: Parts) -> bool:
        """Send headers and the parts of a body. Returns False if ``stop`` returned True before everything was sent.

        Raises:
            ConnectionClosed: The peer accepts no more data.
        """
        try:
            self.finished = await self._send_all(headers, parts)
        except h2.exceptions.StreamClosedError:
            raise StreamEnded("the peer has ended this request") from None
        except h2.exceptions.H2Error as error:  # for example, the peer allows no requests
            raise self._link.refuse(f"frames that cannot be answered: {_words(error)}") from error
        return self.finished

    async def _send_all(self, headers: Headers, parts: Parts) -> bool:
        begun = False
        async with aclosing(_one_ahead(parts)) as ahead:
            async for part, last in ahead:
                self._check()
                if not begun:
                    begun = True
                    self._link.h2.send_headers(self._stream_id, headers, end_stream=not len(part))
                    if not len(part):
                        self._link.flush()
                if not await self._send(part, end=last):
                    return False
        return True

    def _check(self) -> None:
        self._link.check()
        if self.closed is not None:
            raise StreamEnded(self.closed)

    async def _send(self, data: Buffer, *, end: bool) -> bool:
        link, view = self._link, memoryview(data)
        at = unwritten = 0
        while at < len(view):
            self._check()
            if self._stop():
                return False
            left = len(view) - at
            size = min(left, link.h2.local_flow_control_window(self._stream_id), link.h2.max_outbound_frame_size)
            if size <= 0:
                link.flush()
                unwritten = 0
                self.room.clear()
                await link.wait(self.room)
                continue
            # Mark the end of the stream in the frame with the last bytes. A separate frame for the end would be empty,
            # and the relay may count an empty frame as part of a flood (xftp-wire 1.2).
            link.h2.send_data(self._stream_id, view[at : at + size], end_stream=end and size == left)
            link.sent += size
            at, unwritten = at + size, unwritten + size
            if at == len(view) or unwritten >= _WRITE:
                link.flush()
                unwritten = 0
                await link.drain()
        return True


async def _each(parts: Parts) -> AsyncIterator[Buffer]:
    if isinstance(parts, AsyncIterator):
        async for part in parts:
            yield part
    else:
        for part in parts:
            yield part


async def _one_ahead(parts: Parts) -> AsyncGenerator[tuple[Buffer, bool]]:
    """Yields each part that is not empty, and whether this part is the last. If all parts are empty, yields one empty
    part."""
    before: Buffer = b""
    async for part in _each(parts):
        if len(part):
            if len(before):
                yield before, False
            before = part
    yield before, True


class _Cutter:
    """Cuts received data at the ends of frames, without a copy. If h2 got a frame in several parts, it would parse the
    frame's header again for each part."""

    def __init__(self) -> None:
        self._head = b""  # the received bytes of a frame's header, until the header is complete
        self._left = 0  # bytes of the current frame that have not arrived

    def skip(self, size: int) -> None:
        """Pass over the first ``size`` bytes of the connection, which come before the first frame."""
        self._left = size

    def parts(self, data: memoryview) -> Iterator[memoryview]:
        """Split ``data`` into parts of at least `_LOOKED_AT` bytes that end where a frame ends. Only the last part may
        be shorter, or end within a frame."""
        begin = at = 0
        while at < len(data):
            if self._left:
                step = min(self._left, len(data) - at)
                self._left -= step
                at += step
            else:
                missing = _HEAD - len(self._head)
                self._head += bytes(data[at : at + missing])
                at = min(len(data), at + missing)
                if len(self._head) == _HEAD:
                    self._left, self._head = int.from_bytes(self._head[:3], "big"), b""
            if at - begin >= _LOOKED_AT and not self._left:
                yield data[begin:at]
                begin = at
        if begin < at:
            yield data[begin:at]


class _Second:
    """Counts the frames that arrived within one second, by kind."""

    def __init__(self, since: float, sent_before: int) -> None:
        self.since = since
        self._sent_before = sent_before
        self.windows = self.small = self.others = self.received = 0

    def excess(self, sent: int) -> int:
        """The number of suspicious frames. Some software sends a window update or a small data frame with every large
        frame. So one window update for each KiB that we sent is not suspicious, and neither is one small data frame
        for each KiB that we received. A frame of any other kind is always suspicious, unless it
        contains the headers of a request or answer."""
        windows = max(0, self.windows - (sent - self._sent_before) // _NEXT_TO_NOTHING)
        small = max(0, self.small - self.received // _NEXT_TO_NOTHING)
        return windows + small + self.others


class Link:
    """An HTTP/2 connection over a TLS stream; base class of client and server."""

    def __init__(self, stream: TLSStream, *, client: bool, window: int) -> None:
        self._stream = stream
        self._session_id = session_identifier(stream.ssl_object)
        self._peer_leaf = stream.ssl_object.getpeercert(True)
        configuration = h2.config.H2Configuration(client_side=client, header_encoding=None)
        self.h2 = h2.connection.H2Connection(configuration)
        longest = MAX_FRAME_OF_RELAY if client else MAX_FRAME
        settings = {
            SettingCodes.INITIAL_WINDOW_SIZE: window,
            SettingCodes.MAX_FRAME_SIZE: longest,
            SettingCodes.MAX_HEADER_LIST_SIZE: MAX_HEADERS,
            SettingCodes.MAX_CONCURRENT_STREAMS: MAX_STREAMS,
        }
        if client:
            settings[SettingCodes.ENABLE_PUSH] = 0
        self.h2.local_settings = Settings(client=client, initial_values=settings)
        self.h2.max_inbound_frame_size = longest
        self.h2.decoder.max_header_list_size = MAX_HEADERS
        self.h2.initiate_connection()
        self.h2.increment_flow_control_window(window - self.h2.inbound_flow_control_window)
        self.sent = 0
        self._buffer = _buffer_of(asyncio.get_running_loop())
        self._end: ConnectionClosed | None = None
        self._second = _Second(0.0, 0)
        self._cutter = _Cutter()
        if not client:
            self._cutter.skip(len(_PREFACE))

    @property
    def session_id(self) -> bytes:
        """See `smpchat.transport.tls.session_identifier`."""
        return self._session_id

    @property
    def peer_leaf(self) -> bytes | None:
        """DER of the relay's certificate; None on the relay's side."""
        return self._peer_leaf

    @property
    def peer_host(self) -> str | None:
        """The peer's IP address."""
        return self._stream.peer_host

    @property
    def alpn(self) -> str | None:
        """The ALPN name that both sides agreed on."""
        return self._stream.ssl_object.selected_alpn_protocol()

    @property
    def tls_version(self) -> str:
        """The version of TLS, such as ``TLSv1.3``."""
        return self._stream.ssl_object.version() or "unknown"

    @property
    def is_lost(self) -> bool:
        """Whether the connection is known to have ended; the last bytes may not have been read yet."""
        return self._end is not None or self._stream.is_lost

    def flush(self) -> bool:
        """Send the bytes that `h2` has prepared. Returns False if there were none, or if the connection has ended."""
        data = memoryview(self.h2.data_to_send())
        if not data:
            return False
        if self._end is not None and not isinstance(self._end, HTTP2Refused):
            return False
        try:
            self._stream.write(data[at : at + _RECORD] for at in range(0, len(data), _RECORD))
        except ConnectionClosed as error:
            self._ended(error)
            return False
        return True

    async def drain(self) -> None:
        """Wait until the socket accepts more data."""
        self.check()
        await self._stream.drain()

    def check(self) -> None:
        """Raise `ConnectionClosed` if the connection has ended."""
        if self._end is not None:
            raise self._end.with_traceback(None)

    def taken(self, stream_id: int, credit: int) -> None:
        """Allow the peer to send ``credit`` more bytes, because we have read or discarded as many."""
        if credit and self._end is None:
            self.h2.acknowledge_received_data(credit, stream_id)
            self.flush()

    async def wait(self, news: asyncio.Event) -> None:
        """Wait until the event ``news`` is set. Raises `ConnectionClosed` if the connection ends first."""
        raise NotImplementedError

    async def receive(self) -> list[h2.events.Event]:
        """Wait for data, and return the events of HTTP/2 in this data. `h2` prepares the frames that must be sent in
        answer; the caller must send them with `flush`.

        Raises:
            HTTP2Refused: The data is not valid HTTP/2, or there are too many empty frames.
            ConnectionClosed: The connection has ended.
        """
        self.check()
        try:
            data = self._buffer[: await self._stream.read_into(self._buffer)]
        except ConnectionClosed as error:
            self._ended(error)
            raise
        events: list[h2.events.Event] = []
        try:
            # Give h2 the data in parts, so that a flood is noticed after a few milliseconds: while h2 works, no other
            # connection is served.
            for part in self._cutter.parts(data):
                found = self.h2.receive_data(part)
                self._count(found)
                events += found
        except h2.exceptions.H2Error as error:
            raise self.refuse(f"data that is not HTTP/2: {_words(error)}") from error
        except (ValueError, LookupError) as error:  # h2's header decoder does not catch these
            raise self.refuse("data that is not HTTP/2") from error
        return events

    def _count(self, events: Sequence[h2.events.Event]) -> None:
        """Count the received frames of each kind, and refuse a flood of frames with little or no content."""
        now = asyncio.get_running_loop().time()
        if now - self._second.since >= 1:
            self._second = _Second(now, self.sent)
        second = self._second
        for event in events:
            match event:
                case h2.events.WindowUpdated():
                    second.windows += 1
                case h2.events.DataReceived():
                    second.received += len(event.data)
                    second.small += event.stream_ended is None and len(event.data) < _NEXT_TO_NOTHING
                case h2.events.RequestReceived() | h2.events.ResponseReceived() | h2.events.StreamEnded():
                    pass
                case _:
                    second.others += 1
        if second.excess(self.sent) > FLOOD:
            self.h2.close_connection(h2.errors.ErrorCodes.ENHANCE_YOUR_CALM)
            raise self.refuse("a flood of frames without content")

    def refuse(self, reason: str) -> HTTP2Refused:
        """End the connection, and return the error that the caller must raise."""
        refused = HTTP2Refused(reason)
        self._end = refused
        self.flush()  # send the frame that tells the peer why
        return refused

    def _ended(self, error: ConnectionClosed) -> None:
        if self._end is None:
            self._end = ConnectionClosed(str(error), temporary=error.temporary)

    def abort(self) -> None:
        """Drop the connection at once."""
        self._ended(ConnectionClosed("this program closed the connection"))
        self._stream.abort()

    async def close(self) -> None:
        """Send the remaining data, if the peer accepts it within two seconds, and end the connection."""
        if self._end is None:
            self.h2.close_connection()
            self.flush()
            self._end = ConnectionClosed("this program closed the connection")
        await self._stream.close()


def _words(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text[:100] if text.isascii() and text.isprintable() and text else type(error).__name__
