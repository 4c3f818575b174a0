"""Tells where a host is: on the internet, in a private network, on this computer, or nowhere (no relay can have such an
address). A *fence* (`Fence`) says in which of these places a relay may be if its address came from another person.

A person who puts a relay's address into a link or a message makes other people's programs connect to this relay. To
protect this computer and its network, a fence checks the IP addresses of such a relay. If the relay has a host name, we
resolve the name, check the resulting addresses, and connect only to these addresses. If we resolved the name a second
time, the answer could be an unchecked address.
"""

from __future__ import annotations

import ipaddress
import socket
import unicodedata
from collections.abc import Iterable
from enum import StrEnum

from smpchat.encoding.record import Record
from smpchat.encoding.text import bracketed
from smpchat.transport.base import AddressRefused


class Scope(StrEnum):
    """Where a host is. The value of each member is used in messages to the user."""

    PUBLIC = "a public address"
    LOCAL = "an address of a private network"
    LINK = "a link-local address"
    LOOPBACK = "an address of this computer"
    NOWHERE = "an address that no relay can have"


_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_NAT64_LOCAL = ipaddress.IPv6Network("64:ff9b:1::/48")
_COMPATIBLE = ipaddress.IPv6Network("::/96")
_GLOBAL = ipaddress.IPv6Network("2000::/3")
_SITE = (ipaddress.IPv6Network("fc00::/7"), ipaddress.IPv6Network("fec0::/10"), _NAT64_LOCAL)
_THIS_NETWORK = ipaddress.IPv4Network("0.0.0.0/8")
_RESERVED = ipaddress.IPv4Network("240.0.0.0/4")
_OWN_NAMES = ("localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback")
_LOCAL_ENDINGS = (".local", ".localdomain", ".internal", ".home.arpa", ".lan", ".home", ".corp", ".intranet")
"""Endings of names that exist only in private networks (RFC 6762, RFC 8375, and endings that routers and companies
use)."""
USUAL_PORT = 443
"""The only port below `FIRST_FREE_PORT` that relays use."""
FIRST_FREE_PORT = 1024
"""Ports below this number belong to services such as mail, files and remote shells. A stranger must not make us connect
to such services."""


def scope_of(address: str) -> Scope:
    """Where an IP address is. If an IPv6 address contains an IPv4 address, the result is for the IPv4 address."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:  # it has a zone, so it is in a local network
        return Scope.LINK
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.is_loopback:
            return Scope.LOOPBACK
        inside = _inside(ip)
        return _scope_of_6(ip) if inside is None else _scope_of_4(inside)
    return _scope_of_4(ip)


def _inside(ip: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address inside an IPv6 address that is mapped, compatible, translated (NAT64), 6to4 or Teredo. Packets
    to such an IPv6 address finally go to the IPv4 address."""
    if ip in _NAT64 or (ip in _COMPATIBLE and int(ip) > 1):
        return ipaddress.IPv4Address(ip.packed[-4:])
    return ip.ipv4_mapped or ip.sixtofour or (ip.teredo or (None, None))[1]


def _scope_of_4(ip: ipaddress.IPv4Address) -> Scope:
    if ip.is_loopback:
        return Scope.LOOPBACK
    if ip.is_link_local:
        return Scope.LINK
    if ip.is_multicast or ip in _RESERVED or ip in _THIS_NETWORK:
        return Scope.NOWHERE
    return Scope.PUBLIC if ip.is_global else Scope.LOCAL


def _scope_of_6(ip: ipaddress.IPv6Address) -> Scope:
    if ip.is_link_local:
        return Scope.LINK
    if any(ip in network for network in _SITE):
        return Scope.LOCAL
    if ip.is_multicast or ip not in _GLOBAL:
        return Scope.NOWHERE
    return Scope.PUBLIC if ip.is_global else Scope.LOCAL


def scope_as_written(host: str) -> Scope | None:
    """Where ``host`` is, judging only by its text. None if this can only be told after the name is resolved."""
    # Normalise to NFKC, as resolvers do: for a resolver, full-width digits are digits too.
    name = unicodedata.normalize("NFKC", host).strip("[]").rstrip(".").lower()
    try:
        ipaddress.ip_address(name)
    except ValueError:
        pass
    else:
        return scope_of(name)
    try:  # resolvers and proxies read 127.1, 0x7f000001 and 2130706433 as 127.0.0.1
        return scope_of(socket.inet_ntoa(socket.inet_aton(name)))
    except (OSError, UnicodeError, ValueError):
        pass
    if name in _OWN_NAMES or name.endswith(".localhost"):
        return Scope.LOOPBACK
    if "%" in name:
        return Scope.LINK
    return Scope.LOCAL if "." not in name or name.endswith(_LOCAL_ENDINGS) else None


class Fence(Record):
    """Decides which addresses are allowed for a relay that another person named.

    Attributes:
        beside: The places that are allowed besides the internet. These are the places of the user's own relays: if one
            of them is in a private network, for example, the people who can reach it are in this network too.
    """

    beside: frozenset[Scope] = frozenset()

    @staticmethod
    def around(own_hosts: Iterable[str]) -> Fence:
        """The fence for a user whose own relays have the hosts ``own_hosts``. The places of these hosts are allowed."""
        scopes = {scope_as_written(host) for host in own_hosts}
        beside = {scope for scope in scopes if scope not in (None, Scope.PUBLIC, Scope.NOWHERE)}
        if Scope.LOOPBACK in beside:  # people who use a relay on this computer can reach its local networks anyway
            beside |= {Scope.LOCAL, Scope.LINK}
        return Fence(frozenset(scope for scope in beside if scope is not None))

    def admits(self, address: str) -> bool:
        """Whether the fence allows the IP address ``address``."""
        return self._admits(scope_of(address))

    def _admits(self, scope: Scope) -> bool:
        return scope is Scope.PUBLIC or scope in self.beside

    def reason_against(self, host: str, port: int) -> str | None:
        """Why the fence refuses ``host``, as far as its text and the port show: no name is resolved. None if the fence
        does not refuse it."""
        scope = scope_as_written(host)
        if scope is not None and not self._admits(scope):
            return f"someone else chose this relay, so it must not have {scope}"
        # In a private network or on this computer, relays may use any port. `_admits` has made sure that one of our own
        # relays is there too, so the person who names such a relay is in the same network.
        is_near = scope is not None and scope is not Scope.PUBLIC
        if not is_near and port < FIRST_FREE_PORT and port != USUAL_PORT:
            return f"someone else chose this relay, so it must not use port {port}, which belongs to other services"
        return None

    def check(self, hosts: Iterable[str], port: int) -> None:
        """Raise `AddressRefused` if the fence refuses all hosts of a relay. The check does not resolve names."""
        reasons = []
        for host in hosts:
            reason = self.reason_against(host, port)
            if reason is None:
                return
            reasons.append(f"{bracketed(host)}:{port}: {reason}")
        raise AddressRefused("cannot reach relay " + "; ".join(reasons))
