"""``rotate``: makes a new queue for a contact's messages at another relay, and tells the contact's app to use it."""

from __future__ import annotations

import shlex
from contextlib import closing
from typing import TYPE_CHECKING

import typer

from smpchat.cli.arguments import TIMEOUT, WHO, relays
from smpchat.cli.command_line import Program, examples
from smpchat.cli.environment import Environment
from smpchat.cli.exit_status import CommandFailed, ExitStatus
from smpchat.cli.running import run
from smpchat.cli.text import printable, shortened

if TYPE_CHECKING:
    from smpchat.chat.online.patience import Patience
    from smpchat.chat.service.connecting import ChatService
    from smpchat.chat.service.views import ContactView

app = Program()
_FOLLOWS = 3.0
"""Seconds to wait without ``--wait``. If the contact's app is online, it changes to the new relay within this time: the
change takes half a dozen round trips."""


@app.command(epilog=examples("smpchat rotate bob", "smpchat rotate bob --server smp://FINGERPRINT@relay.example"))
def rotate(
    context: typer.Context,
    who: str = WHO,
    server: str | None = typer.Option(
        None,
        "--server",
        metavar="ADDRESS",
        help="The new relay (default: another of your relays).",
        autocompletion=relays,
    ),
    cancel: bool = typer.Option(
        False, "--cancel", help="Cancel the move; this works until the contact's app uses the new relay."
    ),
    wait: bool = typer.Option(
        False,
        "--wait/--no-wait",
        show_default=False,
        help="Wait until the contact's app uses the new relay (default: do not wait).",
    ),
    timeout: float | None = TIMEOUT,
) -> None:
    """Receive a contact's messages at another relay.

    The contact's app moves to the new relay automatically when it comes online. Until then you receive at both relays,
    and nothing is lost.
    """
    from smpchat.chat.online.patience import Patience

    if cancel:
        run(context, lambda environment: _cancel(environment, who))
    else:
        run(context, lambda environment: _rotate(environment, who, server, wait, Patience.of(timeout)))


async def _cancel(environment: Environment, who: str) -> int:
    from smpchat.chat.online.presence import online
    from smpchat.chat.online.waiting import flush
    from smpchat.cli.views.contacts import show_view

    with closing(environment.open()) as service:
        contact = service.stay(who)
        async with online(service, environment.relay()):
            await flush(service)
        show_view(environment, service.contact(contact.alias))
        return ExitStatus.OK


async def _rotate(environment: Environment, who: str, server: str | None, wait: bool, patience: Patience) -> int:
    from smpchat.chat.online.patience import Patience
    from smpchat.chat.online.presence import online
    from smpchat.chat.online.waiting import flush, until
    from smpchat.cli.views.contacts import show_view

    with closing(environment.open()) as service:
        contact = service.rotate(who, server)
        number = contact.connection_id

        def view() -> ContactView:
            found = service.contact_of(number)
            return service.contact(found.alias if found else contact.alias)

        def asked() -> bool | None:
            return True if (move := view().move) is None or move.step != "creating" else None

        def moved() -> bool | None:
            return True if view().move is None else None

        async with online(service, environment.relay()):
            made = await until(service, asked, Patience(patience.seconds, chosen=True), number)
            if made:
                await until(service, moved, Patience(patience.seconds if wait else _FOLLOWS, chosen=True), number)
                await flush(service)
        found = view()
        show_view(environment, found)
        return _outcome(environment, service, found, wait=wait)


def _outcome(environment: Environment, service: ChatService, view: ContactView, *, wait: bool) -> int:
    """Print the result of the command; returns its exit status. Raises `CommandFailed`."""
    from smpchat.chat import troubles
    from smpchat.cli.views.contacts import move_sentence

    move, name = view.move, shortened(view.alias)
    if move is None:
        for notice in service.notices(view.alias)[-1:]:
            environment.notice(printable(notice.text))
            service.mark_notices_shown(notice.id)
        return ExitStatus.OK
    if move.step == "creating":
        obstacle = service.move_obstacle(view.contact.connection_id)
        cause = troubles.sentence(obstacle) if obstacle else "The new relay has not answered in time."
        again = (
            f"smpchat tries again automatically. `smpchat rotate {shlex.quote(view.alias)} --cancel` cancels the move."
        )
        raise CommandFailed(ExitStatus.NETWORK, cause, again)
    if wait:
        raise CommandFailed(
            ExitStatus.TIMEOUT,
            f"{name} has not moved to the new relay yet.",
            "Their app moves to the new relay automatically when it comes online. Until then you receive at both"
            " relays.",
        )
    environment.notice(move_sentence(view.alias, move, environment.now()))
    environment.notice(
        "Their app moves to the new relay automatically when it comes online. Until then you receive at both relays."
    )
    return ExitStatus.OK
