"""Blocks over TLS: connecting to a relay and accepting connections (smp-wire 2.1 to 2.6).

A client sends no server name: otherwise, a relay that shares its port with a web site would pass the connection to the
web server. In TLS, a client accepts any certificate; the exchange of hellos in `smpchat.protocol` checks the relay's
identity before any command is sent. Sessions are never resumed, because Python and the reference compute different
channel bindings for a resumed session.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from smpchat.transport.base import (
    BLOCK_SIZE,
    BlockConnection,
    ConnectionClosed,
    Gate,
    ListenFailed,
    OnConnection,
    TransportError,
    check_blocks,
)
from smpchat.transport.hosts import DIRECT, Dialer, first_answering
from smpchat.transport.listening import Hosts, listen_on
from smpchat.transport.tcp import describe
from smpchat.transport.tls_stream import READ_SIZE, TLSStream

if TYPE_CHECKING:
    from smpchat.transport.identity import Identity

_log = logging.getLogger(__name__)

# Without an ALPN name, the reference offers only SMP 6, whose hello does not prove the relay's identity (smp-wire 2.2,
# trap 7).
CLIENT_ALPN = ("smp/1",)
SERVER_ALPN = ("smp/1", "http/1.1")  # at port 443, official clients offer the second name (smp-wire trap 9)
HANDSHAKE_TIMEOUT = 60.0
"""Seconds within which a client must complete the TLS handshake (smp-wire 2.1)."""


class _Closable(Protocol):
    async def close(self) -> None: ...


C = TypeVar("C")
Served = TypeVar("Served", bound=_Closable)
Begin = Callable[[TLSStream], Awaitable[C]]
"""Called with a stream whose TLS handshake is complete; makes a connection from it."""
_OP_LEGACY_SERVER_CONNECT = 0x4  # `ssl` has it from Python 3.12 on; the reference needs it with TLS 1.2 (smp-wire 2.5)


def client_context(alpn: Sequence[str] = CLIENT_ALPN) -> ssl.SSLContext:
    """TLS settings of a client, which uses TLS 1.2 or 1.3 and accepts any certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # Relays have self-signed certificates, so TLS cannot check them. We compare their fingerprint with the one in the
    # relay's address, after the relay's SMP or XFTP hello and before we send any command (smp-wire 2.3).
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    # The reference may use TLS 1.2, but in a way that OpenSSL 3 refuses without the option below (smp-wire 2.5, trap
    # 10).
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION | _OP_LEGACY_SERVER_CONNECT
    context.set_alpn_protocols(list(alpn))
    return context


def server_context(identity: Identity, alpn: Sequence[str] = SERVER_ALPN) -> ssl.SSLContext:
    """TLS settings of a relay, which uses TLS 1.2 or 1.3 and the certificates of ``identity``, and sends no session
    tickets."""
    import secrets  # imports `random`, which clients do not need
    import tempfile

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE-ECDSA-CHACHA20-POLY1305")  # for TLS 1.2 only; TLS 1.3 uses OpenSSL's default ciphers
    # No session may be resumed. For a resumed session, Python's channel binding is the server's Finished instead of the
    # client's, so the two ends would sign different session ids (smp-wire 2.4, trap 42).
    context.num_tickets = 0
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(list(alpn))
    # `ssl` loads certificates and private keys only from files. The file of the private key is encrypted with a random
    # password, so that the key is never on the disk in the clear.
    password = secrets.token_bytes(16).hex()
    with tempfile.TemporaryDirectory(prefix="smpchat-") as folder:
        chain, key = Path(folder, "chain.pem"), Path(folder, "key.pem")
        chain.write_bytes(identity.chain_pem())
        key.write_bytes(identity.key_pem(password))
        context.load_cert_chain(chain, key, password)
    return context


def session_identifier(tls: ssl.SSLObject) -> bytes:
    """The session identifier is the client's Finished message: 12 bytes with TLS 1.2, 32 or 48 with TLS 1.3 (smp-wire
    2.4).

    Raises:
        ConnectionClosed: The TLS session was resumed, so the two ends may have different session identifiers; or
            OpenSSL gives no session identifier.
    """
    if tls.session_reused:
        raise ConnectionClosed("the peer resumed a TLS session, which has no session identifier of its own")
    # Python's ``tls-unique`` is the client's Finished message at both ends. This is so with TLS 1.3, too, although RFC
    # 5929 does not define ``tls-unique`` for TLS 1.3 (smp-wire trap 6).
    session_id = tls.get_channel_binding("tls-unique")
    if not session_id:
        raise ConnectionClosed("TLS gives this connection no session identifier")
    return session_id


class TLSConnection:
    """A `BlockConnection` over a stream whose handshake is complete."""

    def __init__(self, stream: TLSStream) -> None:
        self._stream = stream
        self._session_id = session_identifier(stream.ssl_object)
        self._peer_leaf = stream.ssl_object.getpeercert(True)
        self._partial = bytearray()

    @property
    def session_id(self) -> bytes:
        """See `session_identifier`."""
        return self._session_id

    @property
    def peer_leaf(self) -> bytes | None:
        """The relay's certificate in DER; None if we are the relay."""
        return self._peer_leaf

    @property
    def alpn(self) -> str | None:
        """The ALPN name that both sides agreed on; None if there is no such name. Without an ALPN name, the reference
        offers only SMP version 6."""
        return self._stream.ssl_object.selected_alpn_protocol()

    @property
    def tls_version(self) -> str:
        """The version of TLS, such as ``TLSv1.3``."""
        return self._stream.ssl_object.version() or "unknown"

    async def receive(self) -> bytes:
        """See `BlockConnection.receive`."""
        partial = self._partial
        while True:
            try:
                data = await self._stream.read(BLOCK_SIZE - len(partial))
            except ConnectionClosed as error:
                if partial:
                    raise ConnectionClosed(f"{error} in the middle of a block") from None
                raise
            if not partial and len(data) == BLOCK_SIZE:  # exactly one block, the usual case
                return data
            partial += data
            if len(partial) == BLOCK_SIZE:
                block = bytes(partial)
                partial.clear()
                return block

    async def send(self, blocks: Sequence[bytes]) -> None:
        """See `BlockConnection.send`."""
        check_blocks(blocks)
        self._stream.write(blocks)
        await self._stream.drain()

    async def close(self) -> None:
        """See `BlockConnection.close`."""
        await self._stream.close()


async def plain_blocks(stream: TLSStream) -> TLSConnection:
    """Make a connection that sends blocks one after the other, without the frames of WebSocket."""
    return TLSConnection(stream)


async def connect(
    hosts: Sequence[str],
    port: int,
    *,
    timeout: float,  # noqa: ASYNC109 - it is shared out among the hosts
    context: ssl.SSLContext | None = None,
    dialer: Dialer = DIRECT,
) -> TLSConnection:
    """Connect to the first of ``hosts`` that completes a TLS handshake.

    Args:
        hosts: Names or addresses of one relay, tried in this order.
        port: TCP port.
        timeout: Seconds for everything together. Each host gets a share of this time, so that a host that does not
            answer leaves time for the other hosts.
        context: TLS settings; by default, those of `client_context`.
        dialer: Opens the TCP connection.
    Raises:
        ConnectFailed: No host could be reached. The message gives the reason for each host: ``cannot reach relay
            HOST:PORT: REASON; HOST:PORT: REASON``.
    """
    context = context or client_context()

    async def begin(_host: str, connected: socket.socket) -> TLSConnection:
        return await client_stream(connected, context, plain_blocks)

    return await first_answering(hosts, port, begin, timeout=timeout, dialer=dialer)


async def client_stream(
    connected: socket.socket, context: ssl.SSLContext, begin: Begin[C], *, read_size: int = READ_SIZE
) -> C:
    """Make the TLS handshake over the socket ``connected``, and return what ``begin`` makes from the TLS stream. If
    the handshake or ``begin`` fails, the stream and the socket are closed.

    Args:
        read_size: Maximum number of bytes of one read from the socket.
    Raises:
        OSError: The handshake failed; if TLS is the reason, the error is an `ssl.SSLError`.
    """
    loop = asyncio.get_running_loop()
    try:
        _, stream = await loop.create_connection(
            lambda: TLSStream(context, server_side=False, read_size=read_size), sock=connected
        )
    except BaseException:
        connected.close()
        raise
    # The module `chain` is needed when the relay's certificates arrive, and takes 12 ms to import. Import `chain` now,
    # while the relay works on our first TLS message.
    importlib.import_module("smpchat.transport.chain")
    try:
        await stream.handshake()
        return await begin(stream)
    except BaseException:
        stream.abort()
        raise


class TLSListener(Generic[Served]):
    """Accepts TLS connections. The function `serve` makes a `TLSListener` for connections that carry blocks.

    Args:
        handshake_timeout: Maximum number of seconds for the TLS handshake and ``begin`` together.
        begin: Called with each stream after its TLS handshake; makes a connection from the stream.
        gate: Called for each TCP connection before the TLS handshake; see `Gate`.
        read_size: Maximum number of bytes of one read from a connection's socket.
    """

    def __init__(
        self,
        context: ssl.SSLContext,
        on_connection: Callable[[Served], Awaitable[None]],
        handshake_timeout: float,
        begin: Begin[Served],
        gate: Gate | None = None,
        *,
        read_size: int = READ_SIZE,
    ) -> None:
        self._read_size = read_size
        self._context = context
        self._begin = begin
        self._gate = gate
        self._on_connection = on_connection
        self._handshake_timeout = handshake_timeout
        self._tasks: set[asyncio.Task[None]] = set()
        self._servers: list[asyncio.Server] = []

    async def start(self, host: Hosts, port: int) -> None:
        """Start listening. Raises `ListenFailed`."""
        self._servers = await listen_on(self._accept, host, port)

    @property
    def port(self) -> int:
        """The TCP port in use."""
        if not self._servers or not self._servers[0].sockets:
            raise ListenFailed("the listener is closed", temporary=False)
        return int(self._servers[0].sockets[0].getsockname()[1])

    async def close(self) -> None:
        """See `Listener.close`."""
        for server in self._servers:
            server.close()
        while self._tasks:
            tasks = tuple(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        for server in self._servers:
            await server.wait_closed()

    def _accept(self) -> TLSStream:
        return TLSStream(self._context, server_side=True, on_open=self._opened, read_size=self._read_size)

    def _opened(self, stream: TLSStream) -> None:
        host, gate = stream.peer_host, self._gate
        if gate is not None and not gate.enter(host):
            _log.debug("a connection from %s was refused", host)
            stream.abort()
            return
        task = asyncio.get_running_loop().create_task(self._serve(stream))
        self._tasks.add(task)

        def ended(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            stream.abort()  # if the task was cancelled before it began, it has not closed the stream
            if gate is not None:
                gate.leave(host)

        task.add_done_callback(ended)

    async def _serve(self, stream: TLSStream) -> None:
        try:
            async with asyncio.timeout(self._handshake_timeout):
                await stream.handshake()
                connection = await self._begin(stream)
        except (OSError, TransportError) as error:  # a timeout is an OSError too
            _log.debug("TLS handshake with a client: %s", describe(error) if isinstance(error, OSError) else error)
            stream.abort()
            if self._gate is not None:
                self._gate.failed(error)
            return
        except BaseException:
            stream.abort()
            raise
        try:
            await self._on_connection(connection)
        except TransportError as error:
            _log.debug("connection: %s", error)
        except Exception:
            _log.exception("serving a connection failed")
        finally:
            await connection.close()


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
    """Accept TLS connections and run ``on_connection`` for each in a task of its own.

    Args:
        identity: The relay's certificates and key.
        host: Addresses to listen on, at one port; None or empty for all addresses of this computer.
        port: TCP port; 0 for any free one, see `TLSListener.port`.
        on_connection: Serves a connection, which is closed when this function returns or raises.
        handshake_timeout: Seconds that a client has for the TLS handshake.
        context: TLS settings; by default, those of `server_context`.
        gate: Decides which connections to accept.
    Raises:
        ListenFailed: The address is in use, or does not belong to this computer.
    """
    listener: TLSListener[BlockConnection] = TLSListener(
        context or server_context(identity), on_connection, handshake_timeout, plain_blocks, gate
    )
    await listener.start(host, port)
    return listener
