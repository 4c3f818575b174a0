"""How each relay is reached: over TLS or WebSocket, directly or through a SOCKS proxy."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from typing import TypeVar

from smpchat.client.routes import Route, Transport
from smpchat.crypto.entropy import Entropy
from smpchat.protocol.address import MAX_HOSTS, Server, SMPServer
from smpchat.transport import tls
from smpchat.transport.base import BlockConnection, ConnectFailed
from smpchat.transport.hosts import DIRECT, Dialer, DirectDialer
from smpchat.transport.socks import SocksDialer
from smpchat.transport.socks_address import SocksProxy

T = TypeVar("T")


class Network:
    """Opens connections to relays, and remembers with which transport each relay was reached (for `Transport.AUTO`).

    Args:
        entropy: Makes the random value by which a SOCKS proxy can tell the connections of this client from those of
            others.
        route: Called for each connection; says how to reach the relay.
        proxy: Called for each connection; gives the SOCKS proxy for all relays except local ones, if any.
    """

    def __init__(
        self,
        entropy: Entropy,
        route: Callable[[SMPServer], Route] = lambda _: Route(),
        proxy: Callable[[], SocksProxy | None] = lambda: None,
    ) -> None:
        self._isolation = entropy.random(16)
        self._route = route
        self._proxy = proxy
        self._worked: dict[SMPServer, Transport] = {}

    async def reach(
        self,
        server: SMPServer,
        greet: Callable[[BlockConnection], Awaitable[T]],
        *,
        timeout: float,  # noqa: ASYNC109 - shared out among transports, hosts and ``greet``
    ) -> T:
        """Connect to ``server``, and return the result of ``greet``.

        Args:
            server: Its hosts are tried in order.
            greet: Exchanges the SMP hellos. It must close the connection if it fails.
            timeout: Seconds for everything together.
        Raises:
            ConnectFailed: ``cannot reach relay HOST:PORT: …``, after every transport was tried.
            Exception: Any error of ``greet``. Another transport is tried only after `ConnectFailed`.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        route = self._route(server)
        transports = self._transports(server, route)
        failures: list[ConnectFailed] = []
        for index, transport in enumerate(transports):
            now = loop.time()
            # Each transport gets an equal share of the time left: a port that never answers must leave time for the
            # next.
            share = max(0.0, deadline - now) / (len(transports) - index)
            try:
                result = await self._attempt(server, route, transport, greet, share)
            except ConnectFailed as error:
                failures.append(error)
            else:
                # The transport is remembered only after the SMP hellos: a port that accepts TLS may still be a web
                # server's.
                self._worked[server] = transport
                return result
        if len(failures) == 1:
            raise failures[0]
        reasons = "; ".join(str(failure).removeprefix("cannot reach relay ") for failure in failures)
        temporary = any(failure.temporary for failure in failures)
        raise ConnectFailed(f"cannot reach relay {reasons}", temporary=temporary) from failures[0]

    def transport_to(self, server: SMPServer) -> Transport | None:
        """The transport of the last connection to ``server``; None before the first."""
        return self._worked.get(server)

    def _transports(self, server: SMPServer, route: Route) -> list[Transport]:
        if route.transport is not Transport.AUTO:
            return [route.transport]
        # Perhaps only our previous network blocked TLS, so TLS is tried too, as the second choice.
        if self._worked.get(server) is Transport.WEBSOCKET:
            return [Transport.WEBSOCKET, Transport.TLS]
        return [Transport.TLS, Transport.WEBSOCKET]

    async def _attempt(
        self,
        server: SMPServer,
        route: Route,
        transport: Transport,
        greet: Callable[[BlockConnection], Awaitable[T]],
        seconds: float,
    ) -> T:
        deadline = asyncio.get_running_loop().time() + seconds
        connection = await self._open(server, route, transport, seconds)
        try:
            async with asyncio.timeout_at(deadline):
                return await greet(connection)
        except TimeoutError:
            raise ConnectFailed(f"cannot reach relay {server.authority}: no hello within {seconds:.3g} s") from None

    async def _open(self, server: SMPServer, route: Route, transport: Transport, seconds: float) -> BlockConnection:
        dialer = self._dialer(server, route)
        hosts = server.hosts[:MAX_HOSTS]  # profiles of earlier versions may contain more hosts
        if transport is Transport.TLS:
            return await tls.connect(hosts, server.port_number, timeout=seconds, dialer=dialer)
        from smpchat.transport import websocket  # takes 60 ms to import, so only when it is used

        return await websocket.connect(hosts, route.ws_port, timeout=seconds, dialer=dialer)

    def _dialer(self, server: SMPServer, route: Route) -> Dialer:
        return dialer_to(server, route, self._proxy, self._isolation)


def dialer_to(server: Server, route: Route, proxy: Callable[[], SocksProxy | None], isolation: bytes) -> Dialer:
    """The dialer for connections to a relay: direct, or through the SOCKS proxy.

    Args:
        proxy: The SOCKS proxy for all relays except local ones, if any.
        isolation: A random value, the same for all connections that a proxy may recognise as belonging together.
    """
    found = None if route.local else proxy()
    if found is None:
        return DIRECT if route.fence is None else DirectDialer(route.fence)
    # Tor uses a separate circuit for each user name. So each relay gets its own circuit, which other profiles and later
    # runs do not share.
    user = hashlib.sha256(isolation + server.key_hash).hexdigest()[:32]
    return SocksDialer(found, user, "smpchat", route.fence)
