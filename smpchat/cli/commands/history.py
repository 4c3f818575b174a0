"""``history``: the messages of a conversation, or those that contain a text."""

from __future__ import annotations

import typer

from smpchat.chat.service.reading import StoredProfile
from smpchat.cli.arguments import WHO, number
from smpchat.cli.command_line import Program
from smpchat.cli.environment import Environment
from smpchat.cli.exit_status import ExitStatus
from smpchat.cli.running import run
from smpchat.cli.views.conditions import show_conditions
from smpchat.cli.views.contacts import FIRST_STEPS
from smpchat.cli.views.messages import show_history

app = Program()


@app.command()
def history(
    context: typer.Context,
    who: str = WHO,
    last: int = typer.Option(
        50, "-n", parser=number(1), metavar="N", show_default=False, help="At most so many messages (50)."
    ),
    search: str | None = typer.Option(None, "--search", metavar="TEXT", help="Only those that contain this."),
) -> None:
    """Print a conversation. Example: smpchat history bob -n 10"""
    run(context, lambda environment: _history(environment, who, last, search))


def _history(environment: Environment, who: str, limit: int, search: str | None) -> int:
    """Print the last messages of a conversation; nothing for a profile that was never used."""
    if not environment.is_used():
        if environment.attended:
            environment.notice(FIRST_STEPS)
        return ExitStatus.OK
    service = environment.open_as(StoredProfile)
    try:
        found = service.history(who, limit, search)
        everything = len(found) < limit
        happened = service.notices(who, 0 if everything else found[0].sent_at) if search is None else []
        show_history(environment, found, happened)
        service.were_read(found)
        show_conditions(environment, service.conditions(who) if search is None else [])
        if not found and not happened and environment.attended:
            environment.notice("No messages yet." if search is None else f"No message contains {search!r}.")
        return ExitStatus.OK
    finally:
        service.close()
