"""Decides to which other relays our relay may connect when a client asks it to forward a command, and connects to them.

Every client of the relay can ask it to connect to any address. For a relay in a home or company network, this would let
strangers into that network. So a relay connects only to public addresses. The exception is a relay that listens only on
loopback: its clients are on the same computer, and can reach everything that the relay can.
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
"""Longest session id that is usable, in bytes. PFWD contains the session id: with one of 48 bytes, which TLS makes with
SHA-384, PFWD would be 6 bytes too long for an encrypted block."""
MAX_ADDRESSES = 4
"""Our relay tries at most this many addresses of another relay."""


class Destinations(Enum):
    """The other relays to which our relay forwards commands."""

    NONE = "none"
    PUBLIC = "public"
    ALL = "all"

    @staticmethod
    def for_host(host: Hosts) -> Destinations:
        """The default for the option ``--proxy`` of a relay that listens on ``host``."""
        hosts = (host,) if isinstance(host, str) else host or ()
        return Destinations.ALL if hosts and all(map(is_loopback, hosts)) else Destinations.PUBLIC


class DestinationRefused(Exception):
    """Our relay is not allowed to connect to any address of the other relay. Nothing was sent."""


async def dial(server: SMPServer, destinations: Destinations, timeout: float) -> BlockConnection:  # noqa: ASYNC109
    """Opens a TLS connection to another relay, with ALPN, and with a session id that fits into PFWD.

    Args:
        timeout: Maximum number of seconds for each step. The steps are: resolve names (if only public addresses are
            allowed), connect, and connect again if the session id of the first connection is too long.
    Raises:
        DestinationRefused: The other relay has only onion hosts; or our relay may connect only to public addresses,
            and the other relay has no public address.
        ConnectFailed: The other relay cannot be reached.
    """
    hosts = [host for host in server.hosts if not host.endswith(".onion")]
    if not hosts:
        raise DestinationRefused("this relay does not connect to onion addresses")
    if destinations is Destinations.PUBLIC:
        hosts = await _public_addresses(hosts, server.port_number, timeout)
    connection = await tls.connect(hosts, server.port_number, timeout=timeout)
    if len(connection.session_id) <= MAX_SESSION_ID:
        return connection
    # With TLS 1.3, the length of the session id depends on the cipher suite, and Python's `ssl` cannot choose the
    # cipher suite. With TLS 1.2, a session id always has 12 bytes.
    await connection.close()
    context = tls.client_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    return await tls.connect(hosts, server.port_number, timeout=timeout, context=context)


async def _public_addresses(hosts: list[str], port: int, limit: float) -> list[str]:
    """Resolves names to public addresses. The relay then connects to these addresses, not to the names, because a name
    may resolve to another address later."""
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
            f"cannot reach relay {bracketed(hosts[0])}:{port}: its name could not be resolved in time"
        ) from None
    if not found:
        raise ConnectFailed("cannot reach relay " + "; ".join(reasons))
    public = [address for address in found if is_public(address)]
    if not public:
        raise DestinationRefused("the relay has no public address")
    return public[:MAX_ADDRESSES]


def is_public(text: str) -> bool:
    """Whether an address is a public one. If an IPv6 address contains an IPv4 address, the IPv4 address must be
    public."""
    return scope_of(text) is Scope.PUBLIC
