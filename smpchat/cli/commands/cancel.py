"""``cancel``: stops receiving a file, or deletes a file of ours at its relays."""

from __future__ import annotations

from contextlib import closing

import typer

from smpchat.cli.arguments import MESSAGE
from smpchat.cli.command_line import Program
from smpchat.cli.environment import Environment
from smpchat.cli.exit_status import ExitStatus
from smpchat.cli.running import run

app = Program()


@app.command()
def cancel(context: typer.Context, message: int = MESSAGE) -> None:
    """Stop a transfer; a file you sent is deleted from its relays. Example: smpchat cancel 12"""
    run(context, lambda environment: _cancel(environment, message))


async def _cancel(environment: Environment, number: int) -> int:
    """Stop the transfer of a file. If the file is our own, also delete it at its relays, and tell the contact."""
    from smpchat.chat.online.presence import online
    from smpchat.chat.online.waiting import flush
    from smpchat.chat.service.writing import WritingProfile
    from smpchat.cli.views.files import show_file

    with closing(environment.open_as(WritingProfile)) as service:
        message = service.cancel_file(number)
        show_file(environment, message)
        async with online(service, environment.relay()):
            await flush(service)
        return ExitStatus.OK
