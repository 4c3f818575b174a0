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
    text: list[str] = typer.Argument(None, metavar="TEXT...", help="The text (- reads it from standard input)."),
    wait: Wait | None = WAIT,
    timeout: float | None = TIMEOUT,
    anyway: bool = typer.Option(False, "--anyway", help="Send held messages too, although keys have changed."),
) -> None:
    """Send a message.

    If the security code has changed since you compared it, or new keys wait for your answer, the message is held and
    the command ends with 5. With --anyway and no text, only held messages are sent.
    """
    from smpchat.cli.delivering import deliver, deliver_held

    if not text:
        if not anyway:
            raise typer.BadParameter("the text is missing.", param_hint="TEXT")
        run(context, lambda environment: deliver_held(environment, who))
        return
    run(context, lambda environment: deliver(environment, who, body(text), wait, timeout, anyway=anyway))
