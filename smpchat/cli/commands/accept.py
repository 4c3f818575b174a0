"""``accept``: accepts a request, whose sender becomes a contact."""

from __future__ import annotations

import shlex
from contextlib import closing
from typing import TYPE_CHECKING

import typer

from smpchat.cli.arguments import INCOGNITO, REQUEST
from smpchat.cli.command_line import Program
from smpchat.cli.environment import Environment
from smpchat.cli.exit_status import ExitStatus
from smpchat.cli.running import run

if TYPE_CHECKING:
    from smpchat.chat.service.connecting import ChatService
    from smpchat.chat.store.events import StateChanged

app = Program()


@app.command()
def accept(
    context: typer.Context,
    who: str = REQUEST,
    alias: str | None = typer.Option(
        None, "--alias", metavar="ALIAS", help="Your name for the sender (default: the sender's own name)."
    ),
    incognito: bool = INCOGNITO,
    any_relay: bool = typer.Option(
        False,
        "--any-relay",
        help="Connect even if the sender's relay is on this computer or in your network; see `server strangers`.",
    ),
) -> None:
    """Accept a request: the sender becomes a contact. Example: smpchat accept 3 --alias bob"""
    run(context, lambda environment: _accept(environment, who, alias, incognito, any_relay))


async def _accept(environment: Environment, who: str, alias: str | None, incognito: bool, any_relay: bool) -> int:
    """Accept a request, and stay online until you can write to its sender."""
    from smpchat.agent.machines.handshake_states import ConnectionState
    from smpchat.chat.online.patience import Patience, RelayDown
    from smpchat.chat.online.presence import online
    from smpchat.chat.online.waiting import flush, until
    from smpchat.cli.connecting import failed, unreachable
    from smpchat.cli.views.connections import show_state
    from smpchat.cli.views.contacts import show_view

    with closing(environment.open()) as service:
        contact = service.accept(who, alias, incognito=incognito, any_relay=any_relay)
        show_view(environment, service.contact(contact.alias))
        state, down = None, None
        async with online(service, environment.relay()):
            try:
                number = contact.connection_id
                state = await until(service, lambda: _decided(service, number), Patience(), number)
            except RelayDown as error:
                down = error
            if state is not None:
                await flush(service)
        if state is None:
            raise unreachable(down, "The request is accepted. The next command that goes online tells the sender.")
        show_state(environment, state)
        if state.state == ConnectionState.FAILED:
            raise failed(state, f"Delete the contact with `smpchat delete {shlex.quote(contact.alias)}`.")
        return ExitStatus.OK


def _decided(service: ChatService, connection: int) -> StateChanged | None:
    from smpchat.agent.machines.handshake_states import ConnectionState

    state = service.state(connection)
    return None if state.state == ConnectionState.JOINING else state
