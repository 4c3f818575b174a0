"""``forward``: sends a text of any conversation to another contact, marked as forwarded."""

from __future__ import annotations

import typer

from smpchat.chat.online.wait import Wait
from smpchat.cli.arguments import MESSAGE, TIMEOUT, WAIT, aliases
from smpchat.cli.command_line import Program
from smpchat.cli.running import run

app = Program()


@app.command()
def forward(
    context: typer.Context,
    message: int = MESSAGE,
    who: str = typer.Argument(metavar="WHO", help="Alias of the contact who gets the message.", autocompletion=aliases),
    wait: Wait | None = WAIT,
    timeout: float | None = TIMEOUT,
) -> None:
    """Forward a message to another contact. Example: smpchat forward 12 carol"""
    from smpchat.cli.delivering import deliver_message

    run(
        context,
        lambda environment: deliver_message(environment, lambda profile: profile.forward(message, who), wait, timeout),
    )
