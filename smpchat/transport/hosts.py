"""Connects to a relay that may have several hosts: tries the hosts in turn, and gives each host a share of the time."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

from smpchat.encoding.record import Record
from smpchat.encoding.text import bracketed
from smpchat.transport.base import (
    AddressRefused,
    AddressUnusable,
    ChainRefused,
    ConnectFailed,
    NameNotFound,
    ProxyFailed,
    TransportError,
)
from smpchat.transport.scope import Fence
from smpchat.transport.tcp import describe, open_socket

T = TypeVar("T")


class Dialer(Protocol):
    """Opens TCP connections: directly, or through a proxy."""

    @property
    def reaches_onions(self) -> bool:
        """Whether this dialer can reach ``.onion`` hosts; if so, they are tried first."""
        ...

    async def open_socket(self, host: str, port: int) -> socket.socket:
        """Open a connected socket. Raises `OSError`, `UnicodeError` or `TransportError`."""
        ...


class DirectDialer(Record):
    """Connects without a proxy, so this computer resolves the names of hosts. If there is a ``fence``, addresses that
    it does not allow are not used."""

    fence: Fence | None = None
    reaches_onions = False

    async def open_socket(self, host: str, port: int) -> socket.socket:
        """See `smpchat.transport.tcp.open_socket`."""
        if self.fence is None:
            return await open_socket(host, port)
        refuse(self.fence, host, port)
        return await open_socket(host, port, self.fence.admits)


DIRECT = DirectDialer()


def refuse(fence: Fence, host: str, port: int) -> None:
    """Raise `AddressRefused` if ``fence`` does not allow ``host`` or ``port``. The check does not resolve names."""
    reason = fence.reason_against(host, port)
    if reason is not None:
        raise AddressRefused(reason)


async def first_answering(
    hosts: Sequence[str],
    port: int,
    begin: Callable[[str, socket.socket], Awaitable[T]],
    *,
    timeout: float,  # noqa: ASYNC109 - it is shared out among the hosts
    dialer: Dialer = DIRECT,
    scheme: str = "",
) -> T:
    """Connect to the first of ``hosts`` with which ``begin`` succeeds, and return its result.

    Args:
        hosts: Names or addresses of one relay, tried in this order; onion hosts first if they can be reached.
        port: TCP port.
        begin: Called with a host and a socket that is connected to this host. If ``begin`` fails, it must close the
            socket.
        timeout: Seconds for all hosts together. Each host gets a share of this time, so that time is left for the
            others if one host does not answer.
        scheme: Written before each host in error messages, such as ``wss://``.
    Raises:
        ConnectFailed: No host could be reached, or ``begin`` failed for every host. The message gives the reason for
            each host: ``cannot reach relay HOST:PORT: …``. If all hosts failed for the same reason, and
            `ConnectFailed` has a subclass for this reason, that subclass is raised.
        ChainRefused: One host sent certificates that do not belong to the relay or are not valid now, and no host
            succeeded. This error is raised even if other hosts failed for other reasons.
    """
    # Onion names must never reach the system's resolver: it would send them to a name server (RFC 7686, section 2).
    onions = [host for host in hosts if host.endswith(".onion")]
    candidates = [host for host in hosts if host not in onions]
    if dialer.reaches_onions:
        candidates = onions + candidates
    if not candidates:
        reason = "onion addresses need Tor, but no SOCKS proxy is set"
        raise AddressUnusable(f"cannot reach relay {scheme}{bracketed(hosts[0])}:{port}: {reason}", temporary=False)
    if not 0 < port < 65536:
        raise AddressUnusable(
            f"cannot reach relay {scheme}{bracketed(hosts[0])}:{port}: there is no such port", temporary=False
        )
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout
    reasons: list[str] = []
    kinds: list[type[TransportError]] = []
    for index, host in enumerate(candidates):
        name = f"{scheme}{bracketed(host)}:{port}"
        now = loop.time()
        # The remaining time is divided among the remaining hosts: a host that does not answer must not use up the time
        # of the next host.
        share = now + max(0.0, deadline - now) / (len(candidates) - index)
        try:
            async with asyncio.timeout_at(share):
                return await begin(host, await dialer.open_socket(host, port))
        except TimeoutError:
            reasons.append(f"{name}: no answer within {share - now:.2g} s")
            kinds.append(ConnectFailed)
        except (OSError, UnicodeError) as error:
            reasons.append(f"{name}: {describe(error)}")
            kinds.append(NameNotFound if isinstance(error, socket.gaierror | UnicodeError) else ConnectFailed)
        except TransportError as error:
            reasons.append(f"{name}: {error}")
            kinds.append(type(error))
    sentence = "cannot reach relay " + "; ".join(reasons)
    for kind in kinds:
        if issubclass(kind, ChainRefused):
            raise kind(sentence)
    if len(set(kinds)) == 1 and kinds[0] is AddressRefused:
        raise AddressRefused(sentence)
    same = kinds[0] if len(set(kinds)) == 1 and kinds[0] in (NameNotFound, ProxyFailed) else ConnectFailed
    raise same(sentence)
