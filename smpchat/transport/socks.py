"""TCP connections through a SOCKS5 proxy such as Tor's. Names go to the proxy as they are: nothing is resolved here."""

from __future__ import annotations

import socket

from smpchat.encoding.record import Record, field
from smpchat.transport.base import ProxyFailed
from smpchat.transport.hosts import refuse
from smpchat.transport.scope import Fence
from smpchat.transport.socks_address import SocksProxy
from smpchat.transport.tcp import describe

_PATIENCE = 300.0
"""Seconds; much more than callers wait, as each has its own limit."""


class SocksDialer(Record):
    """A `smpchat.transport.hosts.Dialer` through a proxy.

    Args:
        user, password: Offered to the proxy. Tor puts streams with different values on different circuits, so that
            relays cannot notice that they have a client in common (tor(1), ``IsolateSOCKSAuth``); other proxies ignore
            them.
        fence: Hosts behind it are not used, as far as their text shows; names are resolved by the proxy.
    """

    proxy: SocksProxy
    user: str = field(repr=False)
    password: str = field(repr=False)
    fence: Fence | None = None
    reaches_onions = True

    async def open_socket(self, host: str, port: int) -> socket.socket:
        """A socket connected to ``host`` by the proxy.

        Raises:
            AddressRefused: The host is behind the fence.
            ProxyFailed: The proxy cannot be reached, or refuses; the message names it.
            UnicodeError: This is not a host name.
        """
        if self.fence is not None:
            refuse(self.fence, host, port)
        # costs 60 ms: only who uses a proxy pays for it
        from python_socks import ProxyConnectionError, ProxyError, ProxyTimeoutError, ProxyType
        from python_socks.async_.asyncio import Proxy

        # rdns: names go to the proxy. Were they resolved here, whoever sees our
        # name server's traffic would see the relays.
        connector = Proxy(
            ProxyType.SOCKS5, self.proxy.host, self.proxy.port, username=self.user, password=self.password, rdns=True
        )
        try:
            return await connector.connect(host, port, timeout=_PATIENCE)
        except ProxyConnectionError as error:
            cause = describe(error.__cause__ or error)
            raise ProxyFailed(f"the SOCKS proxy {self.proxy} cannot be reached: {cause}") from error
        except ProxyTimeoutError as error:
            raise ProxyFailed(f"the SOCKS proxy {self.proxy} does not answer") from error
        except ProxyError as error:
            reason = str(error)
            words = reason[:1].lower() + reason[1:] if reason.isprintable() else ""
            raise ProxyFailed(f"the SOCKS proxy {self.proxy} did not connect: {words or 'no reason given'}") from error
