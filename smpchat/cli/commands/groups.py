"""``groups``: lists your groups, and invitations to groups."""

from __future__ import annotations

from contextlib import closing

import typer

from smpchat.cli.command_line import Program
from smpchat.cli.environment import Environment
from smpchat.cli.exit_status import ExitStatus
from smpchat.cli.running import run

app = Program()


@app.command()
def groups(context: typer.Context) -> None:
    """List groups and invitations to groups. Example: smpchat groups"""
    run(context, _groups)


def _groups(environment: Environment) -> int:
    """Print groups and invitations to groups."""
    from smpchat.cli.views.groups import NO_GROUPS, show_groups

    if environment.is_used():
        with closing(environment.open()) as service:
            found = service.groups()
        show_groups(environment, found)
        if found:
            return ExitStatus.OK
    if environment.attended:
        environment.notice(NO_GROUPS)
    return ExitStatus.OK
