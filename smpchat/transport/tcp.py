"""TCP for every transport: opens a socket to one of a host's addresses, sets its options, and describes errors."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import Any

from smpchat.transport.base import AddressRefused
from smpchat.transport.scope import scope_of

STAGGER = 0.25
"""Seconds after which a host's next address is tried too, while the first is still being tried (RFC 8305, section
5)."""

MAX_BEHIND_FENCE = 2
"""If another person named a host, at most this many of its IPv4 addresses and this many of its IPv6 addresses are
tried. Each of them must also be in a place that a `Fence` allows (see `smpchat.transport.scope`)."""

_KEEP_ALIVE = (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4))
"""Seconds of silence before the first probe, seconds between probes, and number of probes before giving up (smp-wire
7.5)."""

Address = tuple[socket.AddressFamily, socket.SocketKind, int, str, Any]


def tune(connected: socket.socket) -> None:
    """Set socket options: small writes are sent at once, and keep-alive probes notice a dead peer. The times between
    probes are set where the platform allows it.

    Without TCP_NODELAY, a push to an idle client waits about 43 ms for the client's delayed acknowledgement (smp-wire
    2.5).
    """
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEP_ALIVE:
        if hasattr(socket, name):
            connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def acknowledge_now(connected: socket.socket) -> None:
    """Let the kernel acknowledge received data without delay. The kernel switches this option off again by itself, so
    call this function after each read."""
    if hasattr(socket, "TCP_QUICKACK"):
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


async def open_socket(host: str, port: int, admits: Callable[[str], bool] | None = None) -> socket.socket:
    """Connect to the address of ``host`` that answers first, and return the socket.

    Args:
        admits: Returns whether an IP address is allowed. If ``admits`` is None, all addresses are allowed.
    Raises:
        AddressRefused: ``admits`` allows none of the host's addresses.
        OSError: The name does not resolve, or no address answers. If no address answers, the error is the one that the
            first address gave.
    """
    loop = asyncio.get_running_loop()
    waiting = list(_written_out(host, port) or await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    if admits is not None:
        found = [str(address[4][0]) for address in waiting]
        waiting = [address for address in waiting if admits(str(address[4][0]))]
        if not waiting:
            raise AddressRefused(
                f"someone else chose this relay, so it must not have {scope_of(found[0])} ({found[0]})"
            )
        waiting = _few(waiting)
    attempts: list[asyncio.Task[socket.socket]] = []
    winner: socket.socket | None = None
    try:
        while winner is None and (waiting or not all(attempt.done() for attempt in attempts)):
            if waiting:
                attempts.append(loop.create_task(_connect(waiting.pop(0))))
            under_way = [attempt for attempt in attempts if not attempt.done()]
            if under_way:
                await asyncio.wait(under_way, timeout=STAGGER if waiting else None, return_when=asyncio.FIRST_COMPLETED)
            winner = next((a.result() for a in attempts if a.done() and a.exception() is None), None)
    finally:
        for attempt in attempts:
            attempt.cancel()
        # Several addresses may have answered at the same moment: close all sockets except the one that is returned.
        for result in await asyncio.gather(*attempts, return_exceptions=True):
            if isinstance(result, socket.socket) and result is not winner:
                result.close()
    if winner is None:
        raise next((e for a in attempts if (e := a.exception())), OSError(errno.EHOSTUNREACH, "no address"))
    return winner


def _few(addresses: Sequence[Address]) -> list[Address]:
    """The first `MAX_BEHIND_FENCE` IPv4 addresses and the first `MAX_BEHIND_FENCE` IPv6 addresses. A name may have any
    number of addresses. Both families are kept, because this computer may support only one of them."""
    families = {address[0] for address in addresses}
    few = {family: [a for a in addresses if a[0] == family][:MAX_BEHIND_FENCE] for family in families}
    return [address for address in addresses if address in few[address[0]]]


def _written_out(host: str, port: int) -> Sequence[Address]:
    """The address ``host`` in the form that `socket.getaddrinfo` returns; empty if ``host`` is a name. This function
    needs no thread, unlike asyncio's lookup of addresses."""
    try:  # bytes: for a str, Python would import the IDNA codec
        return socket.getaddrinfo(host.encode("ascii"), port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except (socket.gaierror, UnicodeError):
        return ()


async def _connect(address: Address) -> socket.socket:
    family, kind, protocol, _, target = address
    connected = socket.socket(family, kind, protocol)
    try:
        connected.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connected, target)
    except BaseException:
        connected.close()
        raise
    return connected


def describe(error: BaseException) -> str:
    """Describe an error of the network or TLS in a few lower-case words."""
    match error:
        case ConnectionRefusedError():
            return "connection refused"
        case socket.gaierror():
            return "this host name cannot be found"
        case UnicodeError():
            return "this is not a host name"
        case TimeoutError():
            return "no answer"
        case ConnectionError():
            return "the connection was broken off"
        case ssl.SSLEOFError() | ssl.SSLZeroReturnError():
            return "the connection was closed"
        case ssl.SSLError(reason="WRONG_VERSION_NUMBER" | "HTTP_REQUEST"):
            return "this port does not speak TLS"
        case ssl.SSLError(reason=str(reason)):
            return f"TLS failed ({reason.replace('_', ' ').lower()})"
        case ssl.SSLError():
            return "TLS failed"
        case OSError(errno=int(number)):
            words = os.strerror(number)
            return words[:1].lower() + words[1:]
    return type(error).__name__
