"""How to reach a relay: which transport, which port, and whether it is on this computer."""

from __future__ import annotations

from enum import StrEnum

from smpchat.encoding.record import Record
from smpchat.transport.scope import Fence

DEFAULT_WS_PORT = 443
"""The default port for WebSocket; restrictive networks let it through. A relay's address contains only the port for
TLS."""


class Transport(StrEnum):
    """How blocks are sent to a relay."""

    TLS = "tls"
    WEBSOCKET = "websocket"
    AUTO = "auto"
    """Try TLS first, then WebSocket if TLS fails."""


class Route(Record):
    """How to reach one relay.

    Attributes:
        ws_port: The relay's TCP port for WebSocket.
        local: Whether the relay runs on this computer. A local relay is reached without the SOCKS proxy.
        fence: The addresses to which smpchat may connect, if another person named the relay. None allows all addresses.
    """

    transport: Transport = Transport.TLS
    ws_port: int = DEFAULT_WS_PORT
    local: bool = False
    fence: Fence | None = None
