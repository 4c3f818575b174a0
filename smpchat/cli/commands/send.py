"""``send``: a message, and the wait until it is on its way."""

from __future__ import annotations

import typer

from smpchat.chat.online.wait import Wait
from smpchat.cli.arguments import TIMEOUT, WAIT, WHO, body
from smpchat.cli.command_line import Program, examples
from smpchat.cli.running import run

app = Program()


@app.command(
    epilog=examples("smpchat send bob see you at noon", "date | smpchat send bob - --wait delivered"),
)
def send(
    context: typer.Context,
    who: str = WHO,
    text: list[str] = typer.Argument(metavar="TEXT...", help="The text; - reads it from standard input."),
    wait: Wait | None = WAIT,
    timeout: float | None = TIMEOUT,
) -> None:
    """Send a message."""
    from smpchat.cli.delivering import deliver

    run(context, lambda environment: deliver(environment, who, body(text), wait, timeout))
