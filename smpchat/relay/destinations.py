"""Where and how the relay connects when a client asks it to forward.

Everyone who may use the relay can ask it to connect to any address. On a machine in a home or company network that
would be a door into that network, so a relay connects to public addresses only, unless it listens on loopback itself:
then its clients are on the same machine and can reach everything that it can.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from enum import Enum

from smpchat.encoding.text import bracketed
from smpchat.protocol.address import SMPServer, is_loopback
from smpchat.transport import tls
from smpchat.transport.base import BlockConnection, ConnectFailed
from smpchat.transport.listening import Hosts
from smpchat.transport.scope import Scope, scope_of
from smpchat.transport.tcp import describe

MAX_SESSION_ID = 32
"""Longest content in bytes. PFWD also names the session; with the 48 bytes of SHA-384 it would be 6 bytes too long for
an encrypted block."""
MAX_ADDRESSES = 4
"""Addresses of one relay that are tried at most."""


class Destinations(Enum):
    """Which relays it forwards to."""

    NONE = "none"
    PUBLIC = "public"
    ALL = "all"

    @staticmethod
    def for_host(host: Hosts) -> Destinations:
        """The default of a relay that listens on ``host``."""
        hosts = (host,) if isinstance(host, str) else host or ()
        return Destinations.ALL if hosts and all(map(is_loopback, hosts)) else Destinations.PUBLIC


class DestinationRefused(Exception):
    """The relay may not connect to any address of the destination; nothing was sent."""


async def dial(server: SMPServer, destinations: Destinations, timeout: float) -> BlockConnection:  # noqa: ASYNC109
    """A TLS connection to another relay, with ALPN and a session id that fits into PFWD.

    Args:
        timeout: Seconds for all of it, and the same again if the relay first chooses a session id that is too long.
    Raises:
        DestinationRefused: Onion hosts, or addresses that are not public.
        ConnectFailed: It cannot be reached.
    """
    hosts = [host for host in server.hosts if not host.endswith(".onion")]
    if not hosts:
        raise DestinationRefused("this relay does not connect there")
    if destinations is Destinations.PUBLIC:
        hosts = await _public_addresses(hosts, server.port_number, timeout)
    connection = await tls.connect(hosts, server.port_number, timeout=timeout)
    if len(connection.session_id) <= MAX_SESSION_ID:
        return connection
    # `ssl` cannot choose among the suites of TLS 1.3, but with TLS 1.2 the id has 12 bytes whatever the suite
    await connection.close()
    context = tls.client_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    return await tls.connect(hosts, server.port_number, timeout=timeout, context=context)


async def _public_addresses(hosts: list[str], port: int, limit: float) -> list[str]:
    """The addresses of the names. The relay connects to these, so that a name cannot lead to another address a moment
    later."""
    loop = asyncio.get_running_loop()
    found: dict[str, None] = {}
    reasons: list[str] = []
    try:
        async with asyncio.timeout(limit):
            for host in hosts:
                try:
                    addresses = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
                except (OSError, UnicodeError) as error:
                    reasons.append(f"{bracketed(host)}:{port}: {describe(error)}")
                else:
                    found.update((str(address[4][0]), None) for address in addresses)
    except TimeoutError:
        raise ConnectFailed(
            f"cannot reach relay {bracketed(hosts[0])}:{port}: its name is not resolved in time"
        ) from None
    if not found:
        raise ConnectFailed("cannot reach relay " + "; ".join(reasons))
    public = [address for address in found if is_public(address)]
    if not public:
        raise DestinationRefused("the relay has no public address")
    return public[:MAX_ADDRESSES]


def is_public(text: str) -> bool:
    """Whether an address belongs to the internet, also when it is an IPv4 address inside an IPv6 one."""
    return scope_of(text) is Scope.PUBLIC
