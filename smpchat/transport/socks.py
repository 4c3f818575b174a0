"""TCP connections through a SOCKS5 proxy such as Tor's. Names go to the proxy as they are: nothing is resolved here."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass, field

from smpchat.encoding.reader import DecodeError
from smpchat.transport.base import ConnectFailed
from smpchat.transport.tcp import describe

_PROXY = re.compile(r"(?:socks5h?://)?(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[^\s\[\]:/@]+)):(?P<port>[0-9]{1,5})/?")
_PATIENCE = 300.0
"""Seconds; far more than any caller waits, each of which has a limit of its own."""


@dataclass(frozen=True, slots=True)
class SocksProxy:
    """Where a SOCKS5 proxy listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_proxy(text: str) -> SocksProxy:
    """Reads ``HOST:PORT``, with or without ``socks5://`` before it. Raises `DecodeError`."""
    match = _PROXY.fullmatch(text.strip())
    if not match or not 0 < int(match["port"]) < 65536:
        raise DecodeError("HOST:PORT of a SOCKS5 proxy expected")
    return SocksProxy(match["v6"] or match["host"], int(match["port"]))


@dataclass(frozen=True, slots=True)
class SocksDialer:
    """A `smpchat.transport.hosts.Dialer` through a proxy.

    Args:
        user, password: Offered to the proxy. Tor puts streams with different ones on different circuits, so that relays
            cannot be seen to have a client in common (tor(1), ``IsolateSOCKSAuth``); other proxies ignore them.
    """

    proxy: SocksProxy
    user: str
    password: str = field(repr=False)
    reaches_onions = True

    async def open_socket(self, host: str, port: int) -> socket.socket:
        """A socket connected to ``host`` by the proxy.

        Raises:
            ConnectFailed: The proxy cannot be reached, or refuses; the message names it.
            UnicodeError: This is not a host name.
        """
        # costs 60 ms: only who uses a proxy pays for it
        from python_socks import ProxyConnectionError, ProxyError, ProxyTimeoutError, ProxyType
        from python_socks.async_.asyncio import Proxy

        connector = Proxy(
            ProxyType.SOCKS5, self.proxy.host, self.proxy.port, username=self.user, password=self.password, rdns=True
        )
        try:
            return await connector.connect(host, port, timeout=_PATIENCE)
        except ProxyConnectionError as error:
            cause = describe(error.__cause__ or error)
            raise ConnectFailed(f"the SOCKS proxy {self.proxy} cannot be reached: {cause}") from error
        except ProxyTimeoutError as error:
            raise ConnectFailed(f"the SOCKS proxy {self.proxy} does not answer") from error
        except ProxyError as error:
            reason = str(error)
            words = reason[:1].lower() + reason[1:] if reason.isprintable() else ""
            raise ConnectFailed(
                f"the SOCKS proxy {self.proxy} did not connect: {words or 'no reason given'}"
            ) from error
