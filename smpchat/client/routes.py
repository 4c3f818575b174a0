"""How a relay is reached, as data: which transport, which port, and whether it is on this computer."""

from __future__ import annotations

from enum import StrEnum

from smpchat.encoding.record import Record
from smpchat.transport.scope import Fence

DEFAULT_WS_PORT = 443
"""The WebSocket port of a relay whose entry does not name one: the port that restrictive networks let through.
Addresses contain only the port for TLS."""


class Transport(StrEnum):
    """How blocks are sent to a relay."""

    TLS = "tls"
    WEBSOCKET = "websocket"
    AUTO = "auto"
    """Try TLS first, then WebSocket if TLS fails."""


class Route(Record):
    """How to reach one relay.

    Attributes:
        ws_port: TCP port of its WebSocket.
        local: Whether it runs on this computer, so that no proxy is used.
        fence: Where it may be if another person named it; None if it may be anywhere.
    """

    transport: Transport = Transport.TLS
    ws_port: int = DEFAULT_WS_PORT
    local: bool = False
    fence: Fence | None = None
