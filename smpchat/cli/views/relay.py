"""The relay that comes with smpchat."""

from __future__ import annotations

from smpchat.cli.environment import Environment
from smpchat.relay.folder import status


def show_relay(environment: Environment) -> None:
    """Print the embedded relay."""
    info = status(environment.relay_folder)
    line = f"relay: {info.state}" + (f", {info.address}" if info.address else "")
    if info.ws_port is not None:
        line += f", WebSocket on port {info.ws_port}"
    fields = {"state": info.state, "address": info.address, "pid": info.pid, "ws_port": info.ws_port}
    environment.emit("relay", fields, line)
