"""``search``: finds messages that contain a text, in all conversations."""

from __future__ import annotations

from contextlib import closing

import typer

from smpchat.chat.errors import InputError
from smpchat.chat.service.reading import StoredProfile
from smpchat.cli.arguments import BEFORE, LAST, SINCE, UNTIL, aliases
from smpchat.cli.command_line import Program, examples
from smpchat.cli.environment import Environment
from smpchat.cli.exit_status import ExitStatus
from smpchat.cli.pages import Wanted, nothing_found, show_page
from smpchat.cli.running import run
from smpchat.cli.streams import argument_text

app = Program()


@app.command(epilog=examples("smpchat search lunch tomorrow", "smpchat search invoice --who bob --since 2026-11-01"))
def search(
    context: typer.Context,
    words: list[str] = typer.Argument(metavar="TEXT...", help="Words that the message contains."),
    who: str | None = typer.Option(
        None, "--who", metavar="WHO", help="Only messages with this contact or group.", autocompletion=aliases
    ),
    last: int | None = LAST,
    since: str | None = SINCE,
    until: str | None = UNTIL,
    before: int | None = BEFORE,
) -> None:
    """Search all conversations.

    Finds messages that contain every word, in any order, also as part of a longer word. Capitals and accents do not
    matter, and no character has a special meaning.
    """
    wanted = Wanted("search", who, argument_text(" ".join(words)), last, since, until, before)
    run(context, lambda environment: _search(environment, wanted))


def _search(environment: Environment, wanted: Wanted) -> int:
    """Print what is found, oldest first."""
    if not wanted.text.strip():
        raise InputError("The text to search for is missing.", "Type `smpchat search TEXT`.")
    found = False
    if environment.is_used():
        with closing(environment.open_as(StoredProfile)) as service:
            found = show_page(environment, service, wanted)
    if not found and environment.attended:
        environment.notice(nothing_found(wanted))
    return ExitStatus.OK
