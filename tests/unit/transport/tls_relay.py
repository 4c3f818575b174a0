"""Something to connect to over TLS on loopback."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from smpchat.transport import tls
from smpchat.transport.base import BlockConnection
from tests.unit.transport.support import an_identity

BLOCK = bytes(range(256)) * 64


async def echo(connection: BlockConnection) -> None:
    while True:
        await connection.send([await connection.receive()])


@asynccontextmanager
async def relay(
    serve: Callable[[BlockConnection], Awaitable[None]] = echo,
    context: ssl.SSLContext | None = None,
    handshake_timeout: float = 10,
) -> AsyncIterator[tls.TLSListener[BlockConnection]]:
    listener = await tls.serve(
        an_identity(), "127.0.0.1", 0, serve, context=context, handshake_timeout=handshake_timeout
    )
    try:
        yield listener
    finally:
        await listener.close()


def raw_client(port: int, context: ssl.SSLContext, session: ssl.SSLSession | None = None) -> ssl.SSLSocket:
    """A client made of nothing but `ssl`, as smp-wire 2.5 describes it."""
    connected = socket.create_connection(("127.0.0.1", port), timeout=10)
    return context.wrap_socket(connected, session=session)


def plain_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
