"""``retract``: deletes messages for everybody: here, and in the apps of the contact or the group's members."""

from __future__ import annotations

import typer

from smpchat.cli.arguments import TIMEOUT, WAIT_CHANGE, WaitChange
from smpchat.cli.command_line import Program
from smpchat.cli.running import run

app = Program()


@app.command()
def retract(
    context: typer.Context,
    messages: list[int] = typer.Argument(
        metavar="MESSAGE...", help="Numbers of the messages; `history` shows them. Either all are deleted, or none."
    ),
    wait: WaitChange | None = WAIT_CHANGE,
    timeout: float | None = TIMEOUT,
) -> None:
    """Delete messages for everybody, up to 78 hours after sending.

    The time limit is for your own messages. In a group, moderators can also delete messages of other members, at any
    time. Others may have read the messages already. Example: smpchat retract 12 13
    """
    from smpchat.cli.delivering import deliver_changes

    run(
        context,
        lambda environment: deliver_changes(environment, lambda profile: profile.retract_all(messages), wait, timeout),
    )
