"""Limits the number of connections, in total and for each address, before TLS costs any CPU time."""

from __future__ import annotations

import ipaddress
import logging
from collections import Counter
from collections.abc import Callable

from smpchat.relay.failures import Failure, failure_of

_log = logging.getLogger("smpchat.relay")


class Gate:
    """Counts the open connections, including those in their handshake.

    Args:
        total: Maximum number of connections.
        per_address: Maximum number of connections from one IPv4 address, or from one IPv6 network (a /64), which
            usually belongs to one person. This computer's own addresses are not counted: all clients of an onion
            service or a local proxy connect from them.
        on_failure: Called for each connection that failed before the SMP handshake began, with the kind of failure.
    """

    def __init__(self, total: int, per_address: int, on_failure: Callable[[Failure], None] = lambda _: None) -> None:
        self._total = total
        self._per_address = per_address
        self._open = 0
        self._by_origin: Counter[str] = Counter()
        self._refused = 0
        self._on_failure = on_failure

    def __len__(self) -> int:
        return self._open

    @property
    def refused(self) -> int:
        """Number of refused connections so far."""
        return self._refused

    def enter(self, host: str | None) -> bool:
        """Counts a connection from an address. Returns False, without counting the connection, if too many are open."""
        origin = origin_of(host)
        if self._open >= self._total or (origin is not None and self._by_origin[origin] >= self._per_address):
            self._refused += 1
            if str(self._refused).strip("0") == "1":  # at 1, 10, 100, …: a flood must not fill the log
                _log.warning("too many connections: %d refused so far", self._refused)
            return False
        self._open += 1
        if origin is not None:
            self._by_origin[origin] += 1
        return True

    def failed(self, error: Exception) -> None:
        """See `smpchat.transport.base.Gate.failed`."""
        self._on_failure(failure_of(error))

    def leave(self, host: str | None) -> None:
        """Stops counting a connection that `enter` let in."""
        self._open -= 1
        origin = origin_of(host)
        if origin is not None:
            self._by_origin[origin] -= 1
            if not self._by_origin[origin]:
                del self._by_origin[origin]  # otherwise every address would be remembered forever


def origin_of(host: str | None) -> str | None:
    """The address or network under which a connection is counted; None if it is not counted. See `Gate`."""
    if host is None:
        return None
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is None:
            return None if address.is_loopback else str(ipaddress.ip_network((address, 64), strict=False))
        address = address.ipv4_mapped
    return None if address.is_loopback else str(address)
