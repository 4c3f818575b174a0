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
        proxy: Called for each connection to a relay on another computer. Returns the SOCKS proxy to use, or None to
            connect directly.
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
            server: The relay. The hosts in its address are tried in order.
            greet: Exchanges the SMP hellos. If this function fails, it must close the connection.
            timeout: Seconds for all attempts together, with the SMP hellos.
        Raises:
            ConnectFailed: The relay was not reached over any transport.
            Exception: Any error of ``greet``. Another transport is tried only after `ConnectFailed`.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        route = self._route(server)
        transports = self._transports(server, route)
        failures: list[ConnectFailed] = []
        for index, transport in enumerate(transports):
            now = loop.time()
            # Each transport gets an equal share of the time left: if one port never answers, there must be time for the
            # next transport.
            share = max(0.0, deadline - now) / (len(transports) - index)
            try:
                result = await self._attempt(server, route, transport, greet, share)
            except ConnectFailed as error:
                failures.append(error)
            else:
                # Remember the transport only now, after the SMP hellos: a port that accepts TLS may belong to a web
                # server.
                self._worked[server] = transport
                return result
        if len(failures) == 1:
            raise failures[0]
        reasons = "; ".join(str(failure).removeprefix("cannot reach relay ") for failure in failures)
        temporary = any(failure.temporary for failure in failures)
        raise ConnectFailed(f"cannot reach relay {reasons}", temporary=temporary) from failures[0]

    def transport_to(self, server: SMPServer) -> Transport | None:
        """The transport over which ``server`` was last reached; None if it was never reached."""
        return self._worked.get(server)

    def _transports(self, server: SMPServer, route: Route) -> list[Transport]:
        if route.transport is not Transport.AUTO:
            return [route.transport]
        # If WebSocket worked last time, try it first. Still try TLS second: this computer may now be in a network that
        # does not block TLS.
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
        hosts = server.hosts[:MAX_HOSTS]  # an earlier version of smpchat may have stored more hosts
        if transport is Transport.TLS:
            return await tls.connect(hosts, server.port_number, timeout=seconds, dialer=dialer)
        from smpchat.transport import websocket  # takes 60 ms to import, so only when it is used

        return await websocket.connect(hosts, route.ws_port, timeout=seconds, dialer=dialer)

    def _dialer(self, server: SMPServer, route: Route) -> Dialer:
        return dialer_to(server, route, self._proxy, self._isolation)


def dialer_to(server: Server, route: Route, proxy: Callable[[], SocksProxy | None], isolation: bytes) -> Dialer:
    """The dialer for connections to a relay: direct, or through the SOCKS proxy.

    Args:
        proxy: Returns the SOCKS proxy, or None to connect directly. Not called for a relay on this computer.
        isolation: A random value. The proxy can tell that connections to one relay belong together if they have the
            same value.
    """
    found = None if route.local else proxy()
    if found is None:
        return DIRECT if route.fence is None else DirectDialer(route.fence)
    # Tor uses a separate circuit for each SOCKS user name. This name is different for each relay, each profile and each
    # run of smpchat, so different relays, profiles and runs never share a circuit.
    user = hashlib.sha256(isolation + server.key_hash).hexdigest()[:32]
    return SocksDialer(found, user, "smpchat", route.fence)
