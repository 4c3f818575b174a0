"""``requests``: lists the people who want to connect through your address."""

from __future__ import annotations

from contextlib import closing

import typer

from smpchat.chat.store.address import AddressView, RequestView
from smpchat.cli.command_line import Program
from smpchat.cli.environment import Environment
from smpchat.cli.exit_status import CommandFailed, ExitStatus
from smpchat.cli.questions import agrees, can_ask
from smpchat.cli.running import run
from smpchat.cli.views.links import how_to_answer, show_request, turned_away

app = Program()


@app.command()
def requests(
    context: typer.Context,
    reject_all: bool = typer.Option(False, "--reject-all", help="Reject all requests; the senders are not told."),
    yes: bool = typer.Option(
        False, "--yes", help="With --reject-all: do not ask for confirmation. Without a terminal, --yes is required."
    ),
) -> None:
    """List people who want to connect.

    These people have opened your address (see `address`). `accept` and `reject` answer them. Example: smpchat requests
    """
    run(context, (lambda environment: _reject_all(environment, yes)) if reject_all else _requests)


def _reject_all(environment: Environment, sure: bool) -> int:
    """Delete all requests. Unless ``sure``, ask the user for confirmation first."""
    from smpchat.cli.text import plural

    with closing(environment.open()) as service:
        waiting = service.address()
        number = waiting.requests if waiting is not None else 0
        if number and not sure:
            if not can_ask(environment):
                raise CommandFailed(
                    ExitStatus.INPUT, f"This would reject {plural(number, 'request')}.", "Add --yes to reject them."
                )
            if not agrees(f"Reject {plural(number, 'request')}? The senders are not told."):
                environment.notice("Nothing was rejected.")
                return ExitStatus.OK
        environment.notice(f"{plural(service.reject_all(), 'request')} rejected. The senders are not told.")
        return ExitStatus.OK


def _requests(environment: Environment) -> int:
    """Print the requests that wait for an answer."""
    waiting: list[RequestView] = []
    address: AddressView | None = None
    if environment.is_used():
        with closing(environment.open()) as service:
            waiting, address = service.requests(), service.address()
    for request in waiting:
        show_request(environment, request)
    how_to_answer(environment, waiting)
    if address is not None and address.turned_away:
        environment.notice(turned_away(environment, address))
    if not waiting and environment.attended:
        how = (
            ""
            if address is not None
            else (" People send requests through your address: `smpchat address create` makes one.")
        )
        environment.notice(f"No requests waiting.{how}")
    return ExitStatus.OK
