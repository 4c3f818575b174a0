"""How each file relay is reached: directly, or through a SOCKS proxy."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from smpchat.client.network import dialer_to
from smpchat.client.routes import Route
from smpchat.crypto.entropy import Entropy
from smpchat.protocol.address import MAX_HOSTS, FileServer
from smpchat.transport.socks_address import SocksProxy

if TYPE_CHECKING:
    from smpchat.transport.http2.client import HTTP2Client


class FileRoutes:
    """Opens connections to file relays.

    Args:
        entropy: Makes the random value by which a SOCKS proxy can tell the connections of this client from those of
            other clients.
        route: Called for each connection; says how to reach the relay. If another person named the relay, the route
            must have a fence (`smpchat.transport.scope.Fence`), which keeps connections out of the local network.
        proxy: Called for each connection to a relay on another computer. Returns the SOCKS proxy to use, or None to
            connect directly.
    """

    def __init__(
        self,
        entropy: Entropy,
        route: Callable[[FileServer], Route] = lambda _: Route(),
        proxy: Callable[[], SocksProxy | None] = lambda: None,
    ) -> None:
        self._isolation = entropy.random(16)
        self._route = route
        self._proxy = proxy

    async def connect(self, server: FileServer, *, timeout: float) -> HTTP2Client:  # noqa: ASYNC109 - divided among the hosts
        """Open a connection to ``server``, over which no hello was sent yet. Raises `ConnectFailed`."""
        from smpchat.transport.http2 import client  # takes 40 ms to import, so only for files

        dialer = dialer_to(server, self._route(server), self._proxy, self._isolation)
        return await client.connect(server.hosts[:MAX_HOSTS], server.port_number, timeout=timeout, dialer=dialer)
