"""``contacts``: everybody there is, with the state of the connection and unread messages."""

from __future__ import annotations

from contextlib import closing

import typer

from smpchat.chat.service.reading import StoredProfile
from smpchat.cli.command_line import Program
from smpchat.cli.environment import Environment
from smpchat.cli.exit_status import ExitStatus
from smpchat.cli.running import run
from smpchat.cli.views.contacts import FIRST_STEPS, no_contacts_yet, show_contacts

app = Program()


@app.command()
def contacts(context: typer.Context) -> None:
    """List contacts. Example: smpchat contacts"""
    run(context, _contacts)


def _contacts(environment: Environment) -> int:
    """Print all contacts."""
    if environment.is_used():
        with closing(environment.open_as(StoredProfile)) as service:
            found = service.contacts()
            show_contacts(environment, found)
            if found:
                return ExitStatus.OK
            invitations = service.invitations()
            if invitations and environment.attended:
                environment.notice(no_contacts_yet(invitations, environment.now()))
                return ExitStatus.OK
    if environment.attended:
        environment.notice(FIRST_STEPS)
    return ExitStatus.OK
