"""``requests``: who asks through the address to be a contact."""

from __future__ import annotations

from contextlib import closing

import typer

from smpchat.chat.store.address import RequestView
from smpchat.cli.command_line import Program
from smpchat.cli.environment import Environment
from smpchat.cli.exit_status import ExitStatus
from smpchat.cli.running import run
from smpchat.cli.views.links import show_request

app = Program()


@app.command()
def requests(context: typer.Context) -> None:
    """List who asks to be a contact. Example: smpchat requests"""
    run(context, _requests)


def _requests(environment: Environment) -> int:
    """Print the requests that wait for an answer."""
    waiting: list[RequestView] = []
    has_address = False
    if environment.is_used():
        with closing(environment.open()) as service:
            waiting, has_address = service.requests(), service.address() is not None
    for request in waiting:
        show_request(environment, request)
    if not waiting and environment.attended:
        how = "" if has_address else " People ask through an address: `smpchat address create` makes yours."
        environment.notice(f"Nobody asks to be a contact.{how}")
    return ExitStatus.OK
