"""``view``: opens a received file in its usual program, after the user agrees, or draws a picture in the terminal."""

from __future__ import annotations

from contextlib import closing

import typer

from smpchat.cli.arguments import MESSAGE
from smpchat.cli.command_line import Program, examples
from smpchat.cli.environment import Environment
from smpchat.cli.exit_status import ExitStatus
from smpchat.cli.questions import agrees, can_ask
from smpchat.cli.running import run

app = Program()


@app.command(epilog=examples("smpchat view 12", "smpchat view 12 --here"))
def view(
    context: typer.Context,
    message: int = MESSAGE,
    here: bool = typer.Option(False, "--here", help="Show a picture in this terminal instead."),
    yes: bool = typer.Option(False, "--yes", help="Do not ask for confirmation."),
) -> None:
    """Open a file that you received.

    The file opens in its usual program, outside smpchat. Because a file can harm that program, smpchat never opens a
    file automatically. On a terminal you are asked first.
    """
    run(context, lambda environment: _view(environment, message, here=here, sure=yes))


def _view(environment: Environment, number: int, *, here: bool, sure: bool) -> int:
    """Open the file of a message in its usual program. If ``here``, draw it in the terminal instead, which works only
    for a picture."""
    from smpchat.chat.service.writing import WritingProfile
    from smpchat.cli.opening import local_file, open_file
    from smpchat.cli.pictures import draw_file
    from smpchat.cli.text import printable

    with closing(environment.open_as(WritingProfile)) as service:
        message = service.required_message(number)
        preview = service.preview_of(number) if here and message.file is not None else None
    if here and preview is not None and (message.file is None or message.file.path is None):
        draw_file(environment, preview)
        environment.notice(f"This is the preview. To receive the file: `smpchat receive {number}`")
        return ExitStatus.OK
    path = local_file(message)
    if here:
        draw_file(environment, path)
        return ExitStatus.OK
    if not sure and can_ask(environment) and not agrees(f"Open {printable(str(path))} with its default program?"):
        environment.notice("The file was not opened.")
        return ExitStatus.OK
    open_file(path)
    environment.notice(f"Opened {path}.")
    return ExitStatus.OK
