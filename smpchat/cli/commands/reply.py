"""``reply``: sends a message that answers another one."""

from __future__ import annotations

import typer

from smpchat.chat.online.wait import Wait
from smpchat.cli.arguments import MESSAGE, TIMEOUT, WAIT, body
from smpchat.cli.command_line import Program
from smpchat.cli.running import run

app = Program()


@app.command()
def reply(
    context: typer.Context,
    message: int = MESSAGE,
    text: list[str] = typer.Argument(metavar="TEXT...", help="The text (- reads it from standard input)."),
    wait: Wait | None = WAIT,
    timeout: float | None = TIMEOUT,
) -> None:
    """Reply to a message. Example: smpchat reply 12 yes, at noon"""
    from smpchat.cli.delivering import deliver

    run(context, lambda environment: deliver(environment, None, body(text), wait, timeout, reply_to=message))
