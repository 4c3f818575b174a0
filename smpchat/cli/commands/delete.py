"""``delete``: a contact is deleted, or an invitation cancelled, here and at the relay."""

from __future__ import annotations

from contextlib import closing

import typer

from smpchat.cli.command_line import Program
from smpchat.cli.environment import Environment
from smpchat.cli.exit_status import ExitStatus
from smpchat.cli.running import run

_PATIENCE = 5.0
app = Program()


@app.command()
def delete(
    context: typer.Context,
    who: str = typer.Argument(metavar="WHO", help="An alias, or the note, number or link of an invitation."),
) -> None:
    """Delete a contact, or cancel an invitation. Example: smpchat delete bob"""
    run(context, lambda environment: _delete(environment, who))


async def _delete(environment: Environment, who: str) -> int:
    """Delete a contact or cancel an invitation, here and at its relay."""
    from smpchat.chat.online.presence import online
    from smpchat.chat.online.waiting import Patience, RelayDown, until

    with closing(environment.open()) as service:
        connection = service.delete(who)
        service.remove_leftovers()
        async with online(service, environment.relay()):
            try:
                gone = await until(
                    service, lambda: service.is_forgotten(connection) or None, Patience(_PATIENCE), connection
                )
            except RelayDown:
                gone = None
        if gone:
            environment.notice("Deleted.")
        else:
            environment.notice("Deleted here; its relay is told by the next command that reaches it.")
        return ExitStatus.OK
