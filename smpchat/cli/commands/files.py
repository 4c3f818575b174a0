"""``files``: lists the messages with files, and how far the transfer of each file is."""

from __future__ import annotations

from contextlib import closing

import typer

from smpchat.cli.arguments import LAST, aliases
from smpchat.cli.command_line import Program
from smpchat.cli.environment import Environment
from smpchat.cli.exit_status import ExitStatus
from smpchat.cli.running import run

app = Program()


@app.command()
def files(
    context: typer.Context,
    who: str | None = typer.Argument(
        None,
        metavar="[WHO]",
        help="Alias of a contact or group (default: files of all conversations).",
        autocompletion=aliases,
    ),
    last: int | None = LAST,
) -> None:
    """List files that you sent, received or can receive. Example: smpchat files bob"""
    run(context, lambda environment: _files(environment, who, 50 if last is None else last))


def _files(environment: Environment, who: str | None, limit: int) -> int:
    """Print messages with files, oldest first."""
    from smpchat.chat.service.reading import StoredProfile
    from smpchat.chat.store.files import FileState
    from smpchat.chat.store.records import Direction
    from smpchat.cli.text import printable, shortened
    from smpchat.cli.times import since
    from smpchat.cli.views.files import show_file, state_text
    from smpchat.cli.views.layout import show_table
    from smpchat.encoding.text import size_text

    if not environment.is_used():
        return ExitStatus.OK
    with closing(environment.open_as(StoredProfile)) as service:
        found = service.files(who, limit)
    if environment.json:
        for message in found:
            show_file(environment, message)
        return ExitStatus.OK
    rows = []
    for message in found:
        file = message.file
        assert file is not None
        whose = "from" if message.direction is Direction.RECEIVED else "to"
        rows.append(
            [
                [(str(message.id), "")],
                [(since(message.sent_at, environment.now()), "dim")],
                [(f"{whose} {shortened(message.contact)}", "bold")],
                [(size_text(file.size), "")],
                [(state_text(file, message), "")],
                [(printable(file.name[:200]), "")],
            ]
        )
    if rows:
        show_table(environment, ("", "sent", "contact", "size", "state", "name"), rows, ("state",))
    elif environment.attended:
        environment.notice("No files yet. `smpchat send WHO --file PATH` sends one.")
    if any(message.file and message.file.state is FileState.OFFERED for message in found) and environment.attended:
        environment.notice("To receive one: `smpchat receive NUMBER`")
    return ExitStatus.OK
