"""TCP connections through a SOCKS5 proxy such as Tor's. Host names are resolved by the proxy, not by this computer."""

from __future__ import annotations

import socket

from smpchat.encoding.record import Record, field
from smpchat.transport.base import ProxyFailed
from smpchat.transport.hosts import refuse
from smpchat.transport.scope import Fence
from smpchat.transport.socks_address import SocksProxy
from smpchat.transport.tcp import describe

_PATIENCE = 300.0
"""Seconds after which the SOCKS library gives up connecting. No caller waits this long: callers have their own, shorter
time limits."""


class SocksDialer(Record):
    """A `smpchat.transport.hosts.Dialer` that connects through a proxy.

    Args:
        user, password: Sent to the proxy. Tor uses different circuits for connections with different user names or
            passwords, so that two relays cannot notice that the same client is connected to both (tor(1),
            ``IsolateSOCKSAuth``). Other proxies may ignore the user name and the password.
        fence: Says which hosts are allowed if another person named the relay (see `smpchat.transport.scope`). Only the
            text of a host and the port are checked, because the proxy resolves names.
    """

    proxy: SocksProxy
    user: str = field(repr=False)
    password: str = field(repr=False)
    fence: Fence | None = None
    reaches_onions = True

    async def open_socket(self, host: str, port: int) -> socket.socket:
        """Let the proxy connect to ``host``, and return the socket.

        Raises:
            AddressRefused: ``fence`` does not allow the host.
            ProxyFailed: The proxy cannot be reached, or does not connect to ``host``. The text of the error names the
                proxy.
            UnicodeError: ``host`` is not a host name.
        """
        if self.fence is not None:
            refuse(self.fence, host, port)
        # These imports take 60 ms, so they are done only when a proxy is used.
        from python_socks import ProxyConnectionError, ProxyError, ProxyTimeoutError, ProxyType
        from python_socks.async_.asyncio import Proxy

        # With ``rdns``, the proxy resolves host names. If this computer resolved the names of relays, anyone who sees
        # its DNS traffic would learn which relays we use.
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
