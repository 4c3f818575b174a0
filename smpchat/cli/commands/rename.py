"""``rename``: gives a contact or group another alias."""

from __future__ import annotations

from contextlib import closing

import typer

from smpchat.cli.arguments import CHAT
from smpchat.cli.command_line import Program
from smpchat.cli.environment import Environment
from smpchat.cli.exit_status import ExitStatus
from smpchat.cli.running import run
from smpchat.cli.text import shortened
from smpchat.cli.views.contacts import contact_fields

app = Program()


@app.command()
def rename(
    context: typer.Context,
    who: str = CHAT,
    alias: str = typer.Argument(metavar="ALIAS", help="The new alias; only you see it."),
) -> None:
    """Change the alias of a contact or group. Example: smpchat rename contact_2 bob"""
    run(context, lambda environment: _rename(environment, who, alias))


def _rename(environment: Environment, who: str, alias: str) -> int:
    """Change the alias of a contact or group."""
    with closing(environment.open()) as service:
        before = service.contact(who).alias
        view = service.contact(service.rename(who, alias).alias)
        sentence = f"{shortened(before)} is now called {shortened(view.alias)}. Only you see this name."
        environment.emit("contact", contact_fields(view), sentence)
        return ExitStatus.OK
