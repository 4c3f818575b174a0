"""``delete``: deletes a contact or group, or cancels an invitation, on this computer and at the relay."""

from __future__ import annotations

from collections.abc import Coroutine
from contextlib import closing
from typing import Any

import typer

from smpchat.cli.arguments import YES, who_can_go
from smpchat.cli.command_line import Program
from smpchat.cli.environment import Environment
from smpchat.cli.exit_status import ExitStatus
from smpchat.cli.questions import agrees, can_ask
from smpchat.cli.running import run
from smpchat.cli.text import shortened

_PATIENCE = 5.0
app = Program()


@app.command()
def delete(
    context: typer.Context,
    who: str = typer.Argument(
        metavar="WHO",
        help=(
            "Alias of a contact or group; for an invitation: the alias from --note, the number in `status`, or the link"
            " itself."
        ),
        autocompletion=who_can_go,
    ),
    yes: bool = YES,
) -> None:
    """Delete a contact or group, or cancel an invitation.

    All messages of the conversation are deleted on this computer. A contact is told; if WHO is a group, you leave it.

    Example: smpchat delete bob
    """
    run(context, lambda environment: _ask_and_delete(environment, who, sure=yes))


def _ask_and_delete(environment: Environment, who: str, *, sure: bool) -> int | Coroutine[Any, Any, int]:
    """Delete a contact or group, or cancel an invitation. On a terminal, ask before a contact or group is deleted,
    because its messages cannot be restored."""
    if not sure and can_ask(environment):
        from smpchat.cli.views.groups import about_only_owner

        with closing(environment.open()) as service:
            contact = service.find_contact(who)
            group = None if contact is None or not contact.is_group else service.group(who)
        if contact is not None:
            leaving = " You leave the group." if group is not None and group.standing == "current" else ""
            question = f"Delete {shortened(contact.alias)} and all messages for good?{leaving}"
            if not agrees(question, "" if group is None else about_only_owner(group)):
                environment.notice("Nothing was deleted.")
                return ExitStatus.OK
    return _delete(environment, who)


async def _delete(environment: Environment, who: str) -> int:
    """Delete a contact or group, or cancel an invitation, on this computer and at the relay."""
    from smpchat.chat.online.patience import Patience, RelayDown
    from smpchat.chat.online.presence import online
    from smpchat.chat.online.waiting import flush, until

    with closing(environment.open()) as service:
        contact = service.find_contact(who)
        connection = service.delete(who)
        service.remove_leftovers()
        async with online(service, environment.relay()):
            try:
                gone = await until(
                    service, lambda: service.is_forgotten(connection) or None, Patience(_PATIENCE), connection
                )
            except RelayDown:
                gone = None
            if connection < 0:  # the negative number of a group, whose members must be told
                await flush(service)
        fields = {"contact": contact.alias if contact else None, "connection": connection, "finished": bool(gone)}
        environment.emit("deleted", fields, None)
        if gone:
            environment.notice("Deleted.")
        else:
            environment.notice("Deleted here. The next command that reaches the relay deletes it there too.")
        return ExitStatus.OK
