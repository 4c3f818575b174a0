"""How to reach a relay: which transport, which port, and whether it is on this computer."""

from __future__ import annotations

from enum import StrEnum

from smpchat.encoding.record import Record
from smpchat.transport.scope import Fence

DEFAULT_WS_PORT = 443
"""The default port for WebSocket, because even restrictive networks allow connections to port 443. A relay's address
contains only its port for TLS."""


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
        fence: For a relay that another person named: decides to which addresses smpchat may connect. None allows all
            addresses.
    """

    transport: Transport = Transport.TLS
    ws_port: int = DEFAULT_WS_PORT
    local: bool = False
    fence: Fence | None = None
