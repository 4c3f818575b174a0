"""``history``: prints the messages of one or all conversations, or only those that contain a text."""

from __future__ import annotations

import typer

from smpchat.chat.service.reading import StoredProfile
from smpchat.cli.arguments import BEFORE, LAST, SINCE, UNTIL, aliases
from smpchat.cli.command_line import Program, examples
from smpchat.cli.environment import Environment
from smpchat.cli.exit_status import ExitStatus
from smpchat.cli.pages import Wanted, nothing_found, show_page
from smpchat.cli.running import run
from smpchat.cli.streams import argument_text

app = Program()


@app.command(epilog=examples("smpchat history bob -n 10", "smpchat history --since yesterday"))
def history(
    context: typer.Context,
    who: str | None = typer.Argument(
        None, metavar="[WHO]", help="Alias of a contact or group (default: all conversations).", autocompletion=aliases
    ),
    last: int | None = LAST,
    search: str | None = typer.Option(
        None, "--search", metavar="TEXT", help="Only messages with all words of TEXT, as in `search`."
    ),
    since: str | None = SINCE,
    until: str | None = UNTIL,
    before: int | None = BEFORE,
) -> None:
    """Print a conversation, or the last messages everywhere."""
    text = argument_text(search or "")
    wanted = Wanted("history", who, text, last, since, until, before)
    run(context, lambda environment: _history(environment, wanted))


def _history(environment: Environment, wanted: Wanted) -> int:
    """Print the last messages of one or all conversations. If the profile does not exist yet, do not create it."""
    if not environment.is_used():
        if environment.attended:
            from smpchat.cli.views.contacts import FIRST_STEPS

            environment.notice(FIRST_STEPS)
        return ExitStatus.OK
    service = environment.open_as(StoredProfile)
    try:
        found = show_page(environment, service, wanted)
        is_chosen = bool(wanted.text or wanted.since or wanted.until or wanted.before)
        if wanted.who is not None and not is_chosen and (standing := service.conditions(wanted.who)):
            from smpchat.cli.views.conditions import show_conditions

            show_conditions(environment, standing)
        if not found and environment.attended:
            environment.notice(nothing_found(wanted) if is_chosen else "No messages yet.")
        return ExitStatus.OK
    finally:
        service.close()
