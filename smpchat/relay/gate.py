"""Who may connect: it limits the connections in all and from one address, and counts them before TLS costs anything."""

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
        total: In all.
        per_address: Connections from one IPv4 address, or one IPv6 network of 64 bits, which one subscriber has. This
            computer's own are not counted, because all clients of an onion service or a local proxy come from there.
        on_failure: Called for failed connections.
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
        """Connections refused so far."""
        return self._refused

    def enter(self, host: str | None) -> bool:
        """Counts a connection from an address; False, and it is not counted, if there are too many."""
        origin = origin_of(host)
        if self._open >= self._total or (origin is not None and self._by_origin[origin] >= self._per_address):
            self._refused += 1
            if str(self._refused).strip("0") == "1":  # 1, 10, 100: whoever floods must not fill the log either
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
                del self._by_origin[origin]  # or every address that ever came would be remembered


def origin_of(host: str | None) -> str | None:
    """How an address is counted; None if it is not counted, see `Gate`."""
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
