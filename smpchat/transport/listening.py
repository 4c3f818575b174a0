"""Listens on several addresses of this computer, with the same port on each, because a link contains only one port."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable, Collection, Sequence

from smpchat.encoding.text import bracketed
from smpchat.transport.base import ListenFailed
from smpchat.transport.tcp import describe

Hosts = str | Sequence[str] | None
"""An address or name, or several of them. None or empty means every address of this computer."""
WILDCARDS = ("::", "0.0.0.0")
"""``::`` means every IPv6 and IPv4 address, as in other servers; ``0.0.0.0`` means every IPv4 address."""
BACKLOG = 1024
"""Maximum number of connections that may wait in the kernel until we accept them: after a restart, all clients of a
relay connect at once."""
_TRIES = 16
"""How many times we ask the system for a free port: a port may be free for the first address, but in use for
another."""
_NOT_HERE = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
"""Errors that mean: this computer does not have this address, or does not support the address's family
(IPv4 or IPv6)."""


async def listen_on(protocol: Callable[[], asyncio.BaseProtocol], hosts: Hosts, port: int) -> list[asyncio.Server]:
    """Listen on the addresses of ``hosts``, with the same port on each. If ``port`` is 0, the system chooses the port.

    Raises:
        ListenFailed: Listening on one of the addresses failed. Then we do not listen on the other addresses either.
    """
    wanted = [hosts] if isinstance(hosts, str) else list(hosts or WILDCARDS)
    groups = [(host, await _addresses(host or WILDCARDS[0], port)) for host in wanted]
    every = {address for _, addresses in groups for address in addresses}
    for left in reversed(range(_TRIES)):
        servers: list[asyncio.Server] = []
        try:
            for host, addresses in groups:
                await _listen_on_one(
                    protocol, host, [one for one in addresses if not _is_within(one, every)], servers, port
                )
            return servers
        except BaseException as error:
            for server in servers:
                server.close()
                await server.wait_closed()
            taken = isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.EADDRINUSE
            if port != 0 or not servers or not taken or not left:
                raise
    raise AssertionError("the last try must return or raise")


def _is_within(address: str, every: Collection[str]) -> bool:
    """Whether ``every`` contains the wildcard (``::`` or ``0.0.0.0``) that includes ``address``. The system does not
    allow us to listen both on a wildcard and on an address that the wildcard includes."""
    wildcard = WILDCARDS[":" not in address]
    return address != wildcard and wildcard in every


async def _listen_on_one(
    protocol: Callable[[], asyncio.BaseProtocol],
    host: str,
    addresses: Sequence[str],
    servers: list[asyncio.Server],
    port: int,
) -> None:
    """Listen on those of the host's ``addresses`` that belong to this computer. Raises `ListenFailed` if none of them
    does, or if listening on one of them fails."""
    found = 0
    for address in addresses:
        at = servers[0].sockets[0].getsockname()[1] if servers else port
        try:
            if not any(address == own.getsockname()[0] for server in servers for own in server.sockets):
                server = await asyncio.get_running_loop().create_server(protocol, address, at, backlog=BACKLOG)
                if not server.sockets:  # asyncio skips a family that the system does not support
                    raise OSError(errno.EAFNOSUPPORT, "no such family")
                servers.append(server)
            found += 1
        except (OSError, OverflowError) as error:
            last = address == addresses[-1] and not found
            if isinstance(error, OSError) and error.errno in _NOT_HERE and not last:
                continue
            reason = describe(error) if isinstance(error, OSError) else "there is no such port"
            where = f"{bracketed(host) if host else '*'}:{at}"
            raise ListenFailed(f"cannot listen on {where}: {reason}", temporary=False) from error


async def _addresses(host: str, port: int) -> list[str]:
    """The IP addresses of ``host``, which is a name or an IP address."""
    if host == WILDCARDS[0]:
        return list(WILDCARDS)
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (OSError, OverflowError, UnicodeError) as error:
        raise ListenFailed(f"cannot listen on {bracketed(host)}:{port}: {describe(error)}", temporary=False) from error
    return list(dict.fromkeys(_with_zone(address[4]) for address in found))


def _with_zone(address: tuple[object, ...]) -> str:
    """An IP address as text. A link-local address needs its zone, so the zone is added, as in ``fe80::1%2``."""
    zone = address[3] if len(address) == 4 else 0
    return f"{address[0]}%{zone}" if zone and "%" not in str(address[0]) else str(address[0])
