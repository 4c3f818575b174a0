"""The relay that comes with smpchat."""

from __future__ import annotations

from smpchat.cli.environment import Environment
from smpchat.protocol.address import masked
from smpchat.relay.folder import status


def show_relay(environment: Environment, *, whole: bool = False) -> None:
    """Print the embedded relay. ``whole``: with the password in its address, for who is to give it to others."""
    info = status(environment.relay_folder)
    address = info.address if info.address is None or whole else masked(info.address)
    line = f"relay: {info.state}" + (f", {address}" if address else "")
    if info.ws_port is not None:
        line += f", WebSocket on port {info.ws_port}"
    fields = {"state": info.state, "address": address, "pid": info.pid, "ws_port": info.ws_port}
    environment.emit("relay", fields, line)
