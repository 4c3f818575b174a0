"""``forward``: sends a text or a file of any conversation to a contact or group, marked as forwarded."""

from __future__ import annotations

from collections.abc import Coroutine
from contextlib import closing
from typing import Any

import typer

from smpchat.chat.online.wait import Wait
from smpchat.cli.arguments import MESSAGE, TIMEOUT, WAIT, aliases
from smpchat.cli.command_line import Program
from smpchat.cli.environment import Environment
from smpchat.cli.running import run

app = Program()


@app.command()
def forward(
    context: typer.Context,
    message: int = MESSAGE,
    who: str = typer.Argument(
        metavar="WHO", help="Alias of the contact or group that gets the message.", autocompletion=aliases
    ),
    wait: Wait | None = WAIT,
    timeout: float | None = TIMEOUT,
) -> None:
    """Forward a message to a contact or group. Example: smpchat forward 12 carol"""
    run(context, lambda environment: _forward(environment, message, who, wait, timeout))


def _forward(
    environment: Environment, number: int, who: str, wait: Wait | None, patience: float | None
) -> int | Coroutine[Any, Any, int]:
    from smpchat.chat.service.reading import StoredProfile

    with closing(environment.open_as(StoredProfile)) as service:
        message = service.message(number)
    if message is not None and message.file is not None and not message.deleted:
        from smpchat.cli.delivering_files import forward_file  # imported only if there is a file to send

        return forward_file(environment, number, who, wait, patience)
    from smpchat.cli.delivering import deliver_message

    return deliver_message(environment, lambda profile: profile.forward(number, who), wait, patience)
