"""``retract``: a message of ours is taken back on both sides."""

from __future__ import annotations

import typer

from smpchat.cli.arguments import MESSAGE, TIMEOUT, WAIT_CHANGE
from smpchat.cli.command_line import Program
from smpchat.cli.delivering import WaitChange, deliver_change
from smpchat.cli.running import run

app = Program()


@app.command()
def retract(
    context: typer.Context,
    message: int = MESSAGE,
    wait: WaitChange | None = WAIT_CHANGE,
    timeout: float | None = TIMEOUT,
) -> None:
    """Take a message of yours back, within 78 hours. Example: smpchat retract 12"""
    run(
        context,
        lambda environment: deliver_change(environment, lambda profile: profile.retract(message), wait, timeout),
    )
