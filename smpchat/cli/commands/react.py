"""``react``: reacts to a message with an emoji, or removes such a reaction of ours."""

from __future__ import annotations

import typer

from smpchat.cli.arguments import MESSAGE, TIMEOUT, WAIT_CHANGE, WaitChange
from smpchat.cli.command_line import Program
from smpchat.cli.environment import Environment
from smpchat.cli.running import run

app = Program()


@app.command()
def react(
    context: typer.Context,
    message: int = MESSAGE,
    emoji: str = typer.Argument(
        metavar="EMOJI", help="One of 👍 👎 😀 😂 😢 ❤ 🚀 ✅, or its name, such as +1 or heart."
    ),
    remove: bool = typer.Option(False, "--remove", help="Remove your reaction with this emoji."),
    wait: WaitChange | None = WAIT_CHANGE,
    timeout: float | None = TIMEOUT,
) -> None:
    """React to a message with an emoji. Example: smpchat react 12 👍"""
    from smpchat.cli.delivering import deliver_change
    from smpchat.cli.emoji import emoji_of

    def reacted(environment: Environment) -> int:
        meant = emoji_of(emoji)
        return deliver_change(environment, lambda profile: profile.react(message, meant, add=not remove), wait, timeout)

    run(context, reacted)
