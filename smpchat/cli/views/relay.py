"""How the embedded relay, which comes with smpchat, is shown."""

from __future__ import annotations

from typing import Any

from smpchat.cli.environment import Environment
from smpchat.protocol.address import masked
from smpchat.relay.folder import RelayInfo, status
from smpchat.relay.options import OFF


def show_relay(environment: Environment, *, whole: bool = False) -> None:
    """Print the state and the addresses of the embedded relay. If ``whole``, the addresses include the password, so
    that other people can use them."""
    info = status(environment.relay_folder)
    fields = relay_fields(info, whole=whole)
    line = f"embedded relay: {info.state}" + (f", {fields['address']}" if fields["address"] else "")
    if info.ws_port is not None:
        line += f", WebSocket on port {info.ws_port}"
    environment.emit("relay", fields, "\n".join([line, *files_lines(info, whole=whole)]))


def relay_fields(info: RelayInfo, *, whole: bool = False) -> dict[str, Any]:
    """The fields of a ``relay`` object in JSON. If ``whole``, the relay's address and its address for files include the
    password."""
    fields = {
        "state": info.state,
        "address": _shown(info.address, whole),
        "pid": info.pid,
        "ws_port": info.ws_port,
        "files_port": info.files_port or None,
        "files_address": _shown(info.files_address, whole),
    }
    return fields if info.files_trouble is None else fields | {"files_trouble": info.files_trouble}


def files_lines(info: RelayInfo, *, whole: bool = False) -> list[str]:
    """One line: the embedded relay's address for files, or the reason why the relay stores no files. Before the relay's
    first start, the list is empty."""
    if info.files_trouble is not None:
        return [f"files: not stored. {info.files_trouble}"]
    if info.files_port == OFF:
        return ["files: not stored (`--files-port off`)"]
    address = _shown(info.files_address, whole)
    return [] if address is None else [f"files: {address}"]


def _shown(address: str | None, whole: bool) -> str | None:
    return address if address is None or whole else masked(address)
