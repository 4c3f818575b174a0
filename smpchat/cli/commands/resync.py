"""``resync``: renews the encryption with a contact whose messages cannot be read."""

from __future__ import annotations

from contextlib import closing

import typer

from smpchat.cli.arguments import WHO
from smpchat.cli.command_line import Program, examples
from smpchat.cli.environment import Environment
from smpchat.cli.exit_status import ExitStatus
from smpchat.cli.running import run

app = Program()


@app.command(epilog=examples("smpchat resync bob", "smpchat resync bob --refuse"))
def resync(
    context: typer.Context,
    who: str = WHO,
    refuse: bool = typer.Option(
        False, "--refuse", help="Refuse new keys that the contact has sent, and keep the old ones."
    ),
) -> None:
    """Renew the encryption with a contact.

    This helps if messages from or to the contact cannot be read. `resync` also accepts new keys that the contact has
    sent. A contact who has restored an old backup has to send new keys, but a thief who wants to read your messages can
    send new keys too. So first ask the contact, over a call or face to face, whether they restored an old backup.
    """
    run(context, lambda environment: _resync(environment, who, refuse))


async def _resync(environment: Environment, who: str, refuse: bool) -> int:
    """Renew the encryption with a contact, or refuse the contact's new keys."""
    from smpchat.chat.online.presence import online
    from smpchat.chat.online.waiting import flush
    from smpchat.cli.views.contacts import renewal_sentence, show_view

    with closing(environment.open()) as service:
        before = service.contact(who)
        contact = service.refuse_keys(who) if refuse else service.resync(who)
        async with online(service, environment.relay()):
            await flush(service)
        show_view(environment, service.contact(contact.alias))
        environment.notice(renewal_sentence(before, refused=refuse))
        return ExitStatus.OK
