"""``contacts``: lists all contacts, each with the state of its connection and its number of unread messages."""

from __future__ import annotations

from contextlib import closing

import typer

from smpchat.chat.service.reading import StoredProfile
from smpchat.cli.command_line import Program, examples
from smpchat.cli.environment import Environment
from smpchat.cli.exit_status import ExitStatus
from smpchat.cli.running import run
from smpchat.cli.views.contacts import FIRST_STEPS, no_contacts_yet, show_contacts

app = Program()


@app.command(epilog=examples("smpchat contacts", "smpchat contacts --unread"))
def contacts(
    context: typer.Context,
    unread: bool = typer.Option(False, "--unread", help="Only contacts with unread messages."),
) -> None:
    """List contacts, latest conversation first."""
    run(context, lambda environment: _contacts(environment, unread))


def _contacts(environment: Environment, only_unread: bool) -> int:
    """Print all contacts, or only those with unread messages."""
    if environment.is_used():
        with closing(environment.open_as(StoredProfile)) as service:
            found = service.contacts()
            shown = [view for view in found if view.contact.unread] if only_unread else found
            show_contacts(environment, shown)
            if found:
                if not shown and environment.attended:
                    environment.notice("No unread messages.")
                return ExitStatus.OK
            invitations = service.invitations()
            if invitations and environment.attended:
                environment.notice(no_contacts_yet(invitations, environment.now()))
                return ExitStatus.OK
    if environment.attended:
        environment.notice(FIRST_STEPS)
    return ExitStatus.OK
