"""``server``."""

from __future__ import annotations

from smpchat.agent.presets import SIMPLEX_SERVERS
from smpchat.cli.environment import Environment
from smpchat.cli.exit_status import CommandFailed, ExitStatus
from smpchat.protocol.address import format_server
from smpchat.relay.errors import RelayError
from smpchat.relay.folder import status as relay_status


def show_all(environment: Environment) -> int:
    """Print the relays; the embedded one when none is configured."""
    service = environment.open()
    try:
        configured = service.servers()
        for address, default in configured:
            _show(environment, format_server(address), default, embedded=False)
        if not any(default for _, default in configured):
            try:
                own = relay_status(environment.relay_folder).address
            except RelayError as error:
                raise CommandFailed(ExitStatus.NETWORK, str(error), error.hint) from error
            _show(environment, own, default=True, embedded=True)
        return ExitStatus.OK
    finally:
        service.close()


def _show(environment: Environment, address: str | None, default: bool, *, embedded: bool) -> None:
    fields = {"address": address, "transport": "tls", "default": default, "embedded": embedded}
    name = address or "the relay that comes with smpchat, not started yet"
    environment.emit("server", fields, f"{'*' if default else ' '} {name}{' (embedded)' if embedded else ''}")


def change_servers(environment: Environment, change: str, address: str) -> int:
    """Add, remove or use a relay; ``simplex`` and ``embedded`` are names for some."""
    service = environment.open()
    try:
        if change == "add":
            service.add_server(address)
        elif change == "remove":
            service.remove_server(address)
        elif address == "simplex":
            service.use_servers(list(map(format_server, SIMPLEX_SERVERS)))
        else:
            service.use_servers([] if address == "embedded" else [address])
    finally:
        service.close()
    return show_all(environment)
