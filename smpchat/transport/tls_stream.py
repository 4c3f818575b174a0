"""TLS over an asyncio transport: moves bytes between OpenSSL and the socket.

asyncio's own SSL layer has a 256 KiB buffer for every connection, and gives no access to the channel binding. In a
`TLSStream`, received ciphertext waits in OpenSSL's memory buffer until a caller reads. While more than `HIGH_WATER`
bytes of ciphertext wait, we do not read from the socket, so that a peer cannot make OpenSSL's buffer grow further.
Bytes from the socket first arrive in a read buffer, which all connections of an event loop share. These bytes are
copied to OpenSSL before the next connection reads.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Iterable
from typing import Any, cast
from weakref import WeakKeyDictionary

from smpchat.encoding.reader import Buffer
from smpchat.transport.base import ConnectionClosed
from smpchat.transport.tcp import acknowledge_now, describe, tune

HIGH_WATER = 128 * 1024
"""Reading from the socket pauses when more than this number of bytes of ciphertext wait for decryption. The last read
before the pause may exceed this number."""
READ_SIZE = 64 * 1024
"""Maximum number of bytes of one read."""
LARGE_READ = 256 * 1024
"""Maximum number of bytes of one read on connections for files: with larger reads, there are fewer turns of the event
loop."""
CLOSE_GRACE = 2.0
"""Maximum number of seconds that `TLSStream.close` waits until the remaining data was sent."""
_CLOSED_HERE = "this program closed the connection"
_CLOSED_THERE = "the peer closed the connection"


_buffers: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[int, memoryview]] = WeakKeyDictionary()


def _buffer_of(loop: asyncio.AbstractEventLoop, size: int) -> memoryview:
    """The read buffer of ``size`` bytes that the connections of an event loop share. Every event loop has buffers of
    its own, because event loops may run in different threads."""
    buffers = _buffers.setdefault(loop, {})
    if size not in buffers:
        buffers[size] = memoryview(bytearray(size))
    return buffers[size]


class TLSStream(asyncio.BufferedProtocol):
    """One TLS connection over a TCP transport.

    Args:
        context: Our TLS settings and certificates.
        server_side: Whether we are the server. A client sends no server name (smp-wire trap 8).
        on_open: Called with this stream when the TCP connection exists. This function may call `abort` to refuse the
            connection.
        read_size: Maximum number of bytes of one read from the socket.
    """

    def __init__(
        self,
        context: ssl.SSLContext,
        *,
        server_side: bool,
        on_open: Callable[[TLSStream], None] | None = None,
        read_size: int = READ_SIZE,
    ) -> None:
        loop = asyncio.get_running_loop()
        self._buffer = _buffer_of(loop, read_size)
        self._on_open = on_open
        # No `server_hostname` below: a relay that shares port 443 with a web site passes connections with a server name
        # to the web server (smp-wire 2.1, traps 8 and 46).
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._ssl = context.wrap_bio(self._incoming, self._outgoing, server_side=server_side)
        self._server_side = server_side
        self._transport: asyncio.Transport | None = None
        self._socket: socket.socket | None = None
        self._handshake: asyncio.Future[None] = loop.create_future()
        self._handshake.add_done_callback(_retrieve)
        self._lost: asyncio.Future[None] = loop.create_future()
        self._end: str | None = None  # why reading and writing is no longer possible
        self._loss = _CLOSED_THERE  # why TCP ended; data that had already arrived can still be read
        self._reader: asyncio.Future[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._reading_paused = False

    @property
    def ssl_object(self) -> ssl.SSLObject:
        """OpenSSL's object for the connection."""
        return self._ssl

    @property
    def peer_host(self) -> str | None:
        """The peer's IP address; None before TCP is connected, or if the address is not known."""
        name = None if self._transport is None else self._transport.get_extra_info("peername")
        return str(name[0]) if isinstance(name, tuple) and name else None

    @property
    def is_lost(self) -> bool:
        """Whether the TCP connection has ended, or we have closed it."""
        return self._lost.done() or self._transport is None or self._transport.is_closing()

    async def handshake(self) -> None:
        """Wait for the TLS handshake. Raises `OSError` (`ssl.SSLError` is a subclass); the caller must then `abort`."""
        # Without `shield`, a caller's timeout would cancel the future `_handshake`. `_continue_handshake` could then
        # not set the future's result.
        await asyncio.shield(self._handshake)

    async def read(self, size: int) -> bytes:
        """Read 1 to ``size`` bytes. A cancelled call loses no data. Raises `ConnectionClosed` when the connection has
        ended and all data was read."""
        while (data := self._decrypt(size)) is None:
            await self._more()
        return bytes(data)

    async def _more(self) -> None:
        """Wait until more data may have arrived. Raises `ConnectionClosed` if reading has ended."""
        if self._end is not None:
            raise ConnectionClosed(self._end)
        if self._reader is not None:
            raise RuntimeError("two tasks read from one connection")
        self._reader = asyncio.get_running_loop().create_future()
        try:
            await self._reader
        finally:
            self._reader = None

    async def read_into(self, view: memoryview) -> int:
        """Read the data that has arrived, from one or more TLS records, into ``view``. Returns how many bytes
        were written into ``view``. Otherwise like `read`.

        Several streams may share one ``view``: once this method has begun to write into ``view``, no other task runs
        until the method returns.
        """
        filled = 0
        while True:
            while filled < len(view) and (got := self._decrypt(len(view), view[filled:])) is not None:
                filled += got
            if filled:
                return filled
            await self._more()

    def write(self, parts: Iterable[Buffer]) -> None:
        """Encrypt each of ``parts`` into TLS records of its own, and give all of them to the socket in one write.

        Raises:
            ConnectionClosed: The connection has ended, and nothing was sent.
        """
        transport = self._transport
        if self._end is not None or transport is None or transport.is_closing():
            raise ConnectionClosed(self._end or self._loss)
        try:
            # Each block gets its own TLS record: so a receiver that reads record by record need not put a block
            # together from pieces (`TLSConnection.receive`).
            for part in parts:
                self._ssl.write(part)
        except ssl.SSLError as error:
            self._finish(describe(error))
            transport.abort()
            raise ConnectionClosed(describe(error)) from error
        self._flush()

    async def drain(self) -> None:
        """Wait until the socket accepts more data. Raises `ConnectionClosed` if the connection ends during the wait."""
        if not self._writable.is_set():
            await self._writable.wait()
            if self._end is not None or self._lost.done():
                raise ConnectionClosed(self._end or self._loss)

    async def close(self) -> None:
        """Send TLS's close_notify, wait at most `CLOSE_GRACE` seconds until the remaining data was sent, and close. May
        be repeated."""
        if self._transport is None:
            return
        if self._handshake.done() and not self._transport.is_closing():
            # unwrap() writes our close_notify, and then raises an error because the peer's close_notify has not come.
            # We need not wait for the peer's close_notify (smp-wire 2.6).
            with contextlib.suppress(ssl.SSLError):
                self._ssl.unwrap()
            self._flush()
        self._finish(_CLOSED_HERE)
        self._transport.close()
        try:
            async with asyncio.timeout(CLOSE_GRACE):
                await asyncio.shield(self._lost)
        except TimeoutError:
            self._transport.abort()
            await asyncio.shield(self._lost)

    def abort(self) -> None:
        """Drop the connection at once."""
        self._finish(_CLOSED_HERE)
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio when TCP is connected."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's transport is not a subclass
        self._socket = transport.get_extra_info("socket")
        if self._socket is not None:
            tune(self._socket)
        if not self._server_side:
            self._continue_handshake()
        if self._on_open is not None:
            self._on_open(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Called by asyncio: returns the buffer for the next bytes."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Called by asyncio when ciphertext has arrived in the buffer."""
        if self._socket is not None and not self._server_side:
            # The reference never sets TCP_NODELAY, so it sends a second small record only after our acknowledgement of
            # the first. When we delayed acknowledgements, a message and its answer took 43 ms instead of 2 (smp-wire
            # 2.5).
            acknowledge_now(self._socket)
        self._incoming.write(self._buffer[:nbytes])
        if not self._handshake.done():
            self._continue_handshake()
        if self._transport is not None and self._incoming.pending > HIGH_WATER and not self._reading_paused:
            self._transport.pause_reading()
            self._reading_paused = True
        self._wake_reader()

    def eof_received(self) -> None:
        """Called by asyncio when the peer will send no more. asyncio then closes the connection: we do not use
        half-open connections (smp-wire 2.6)."""
        self._input_ended()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio when TCP has ended."""
        if exc is not None:
            self._loss = describe(exc)
        self._lost.set_result(None)
        self._writable.set()
        self._input_ended()
        if not self._handshake.done():
            self._handshake.set_exception(exc or ConnectionResetError(self._loss))

    def pause_writing(self) -> None:
        """Called by asyncio when the socket's buffer is full."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Called by asyncio when the socket's buffer has room again."""
        self._writable.set()

    def _continue_handshake(self) -> None:
        try:
            self._ssl.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
        except OSError as error:
            self._flush()  # send the alert that tells the peer why
            self._handshake.set_exception(error)
            if self._transport is not None:
                self._transport.close()
        else:
            self._flush()
            self._handshake.set_result(None)

    def _input_ended(self) -> None:
        # After `write_eof`, OpenSSL can distinguish an end in the middle of a record from one after close_notify.
        self._incoming.write_eof()
        if not self._handshake.done():
            self._continue_handshake()
        self._wake_reader()

    def _decrypt(self, size: int, view: memoryview | None = None) -> Any:
        """Decrypt the data that has arrived: returns at most ``size`` bytes, or writes them into ``view`` and returns
        their number.

        Returns None if more ciphertext is needed. Also returns None if reading has ended; in this case, ``_end`` says
        why.
        """
        if self._end is not None:
            return None
        incoming = self._incoming
        if not incoming.pending and not incoming.eof and not self._ssl.pending():
            return None  # OpenSSL would raise an exception instead
        data: bytes | int | None
        try:
            data = self._ssl.read(size, view)
        except ssl.SSLWantReadError:
            data = None
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            data = 0
        except ssl.SSLError as error:
            self._finish(describe(error))
            return None
        if data is not None and not data:
            self._finish(self._loss)
            return None
        self._flush()  # send TLS's own answers, such as to a key update
        # Resume reading from the socket only when the waiting ciphertext is at most half of `HIGH_WATER`: otherwise,
        # reading would pause and resume with every record.
        if self._reading_paused and self._incoming.pending <= HIGH_WATER // 2 and self._transport is not None:
            self._reading_paused = False
            self._transport.resume_reading()
        return data

    def _flush(self) -> None:
        if self._outgoing.pending and self._transport is not None and not self._transport.is_closing():
            self._transport.write(self._outgoing.read())

    def _finish(self, reason: str) -> None:
        if self._end is None:
            self._end = reason
        self._writable.set()
        self._wake_reader()

    def _wake_reader(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)


def _retrieve(future: asyncio.Future[None]) -> None:
    """Keep asyncio from reporting a failure that no caller waits for any more."""
    if not future.cancelled():
        future.exception()
