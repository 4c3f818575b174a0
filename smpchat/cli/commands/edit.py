"""``edit``: changes the text of a message of ours."""

from __future__ import annotations

import typer

from smpchat.cli.arguments import MESSAGE, TIMEOUT, WAIT_CHANGE, WaitChange, body
from smpchat.cli.command_line import Program
from smpchat.cli.environment import Environment
from smpchat.cli.running import run

app = Program()


@app.command()
def edit(
    context: typer.Context,
    message: int = MESSAGE,
    text: list[str] = typer.Argument(metavar="TEXT...", help="The new text (- reads it from standard input)."),
    wait: WaitChange | None = WAIT_CHANGE,
    timeout: float | None = TIMEOUT,
) -> None:
    """Edit one of your messages. Example: smpchat edit 12 see you at one"""
    from smpchat.cli.delivering import deliver_change

    def edited(environment: Environment) -> int:
        new = body(text)
        return deliver_change(environment, lambda profile: profile.edit(message, new), wait, timeout)

    run(context, edited)
