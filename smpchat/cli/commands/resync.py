"""``resync``: encryption negotiated anew with a contact whose messages cannot be read."""

from __future__ import annotations

from contextlib import closing

import typer

from smpchat.cli.arguments import WHO
from smpchat.cli.command_line import Program
from smpchat.cli.environment import Environment
from smpchat.cli.exit_status import ExitStatus
from smpchat.cli.running import run

app = Program()


@app.command()
def resync(context: typer.Context, who: str = WHO) -> None:
    """Negotiate encryption anew where messages can't be read. Example: smpchat resync bob"""
    run(context, lambda environment: _resync(environment, who))


async def _resync(environment: Environment, who: str) -> int:
    """Negotiate the encryption with a contact anew."""
    from smpchat.chat.online.presence import online
    from smpchat.chat.online.waiting import flush
    from smpchat.cli.views.contacts import show_view

    with closing(environment.open()) as service:
        contact = service.resync(who)
        async with online(service, environment.relay()):
            await flush(service)
        show_view(environment, service.contact(contact.alias))
        environment.notice(
            "Asked for new keys. What you write waits until their app answers; then the security code is another one."
        )
        return ExitStatus.OK
