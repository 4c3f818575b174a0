"""``status``: prints invitations, connections, pending messages and relays, or everything about one contact."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING

import typer

from smpchat.cli.arguments import aliases
from smpchat.cli.command_line import Program
from smpchat.cli.environment import Environment
from smpchat.cli.exit_status import ExitStatus
from smpchat.cli.running import run
from smpchat.cli.text import printable, shortened

if TYPE_CHECKING:
    from smpchat.chat.service.reading import StoredProfile
    from smpchat.chat.service.views import ContactView, Status
    from smpchat.chat.store.conditions import Condition

app = Program()


@app.command()
def status(
    context: typer.Context,
    who: str | None = typer.Argument(
        None,
        metavar="[WHO]",
        help="Alias of a contact or group, to show only this one (default: all).",
        autocompletion=aliases,
    ),
) -> None:
    """Show invitations, connections and relays. Example: smpchat status"""
    run(context, lambda environment: _status(environment, who))


def _status(environment: Environment, who: str | None) -> int:
    """Print invitations, connections and relays, or everything about one contact."""
    from smpchat.chat.service.reading import StoredProfile

    if not environment.is_used():
        if environment.attended:
            from smpchat.cli.views.contacts import FIRST_STEPS

            environment.notice(FIRST_STEPS)
        return ExitStatus.OK
    with closing(environment.open_as(StoredProfile)) as service:
        if who is not None:
            _show_one(environment, service, service.contact(who))
        else:
            _show_all(environment, service, service.status())
        return ExitStatus.OK


def _show_one(environment: Environment, service: StoredProfile, view: ContactView) -> None:
    from smpchat.cli.steps import Progress, draw, steps_table
    from smpchat.cli.views.conditions import show_conditions
    from smpchat.cli.views.connections import show_state
    from smpchat.cli.views.contacts import SELF_NAMED, looks_like, move_sentence, protection
    from smpchat.cli.views.messages import pending_line

    if environment.json:
        show_state(
            environment, view.state, move=view.move, incognito=view.incognito, pq=view.pq, receipts=view.receipts
        )
    elif view.group is None:
        environment.show(steps_table(draw(Progress(view.state), view.alias, environment)))
    if not environment.json and (view.group is not None or view.state.state == "connected"):
        environment.show(protection(view))
    if view.looks_like is not None and not environment.json:
        environment.show(looks_like(view.looks_like))
    if view.contact.self_named:
        environment.notice(SELF_NAMED)
    if view.state.reason:
        environment.notice(view.state.reason)
    if view.pending:
        environment.notice(pending_line(view.alias, view.pending))
    if view.incognito is not None:
        environment.notice(f"{shortened(view.alias)} sees you as {view.incognito}.")
    if not view.receipts:
        environment.notice(f"{shortened(view.alias)} gets no receipts for messages that arrive here.")
    if view.move is not None:
        environment.notice(move_sentence(view.alias, view.move, environment.now()))
    show_conditions(environment, service.conditions(view.alias))


def _show_all(environment: Environment, service: StoredProfile, found: Status) -> None:
    # The modules that print problems or links are imported only when they are needed, because imports take time, and
    # most profiles have neither a problem nor an unused link.
    standing = service.conditions()  # printed first, because the user should act on these conditions
    if standing:
        _show_standing(environment, standing)
    waiting = {invitation.connection for invitation in found.invitations}
    if waiting or found.address is not None:
        _show_links(environment, service, found)
    from smpchat.cli.views.connections import show_state
    from smpchat.cli.views.relay import show_relay

    for state in found.connections:
        if state.connection < 0 and not environment.json:
            from smpchat.cli.views.contacts import contact_line  # imported here: most people are not in a group

            environment.show(contact_line(service.contact(state.alias or "")))
        elif environment.json or state.connection not in waiting:
            made_up = found.incognito.get(state.connection)
            show_state(
                environment,
                state,
                move=found.moves.get(state.connection),
                incognito=made_up,
                receipts=found.receipts.get(state.connection),
            )
        if service.is_held(state.connection):
            alias = state.alias or ""
            give = f"`smpchat rename {shlex.quote(alias)} ALIAS`"
            environment.notice(
                f"You have not named {shortened(alias)} yet, so nothing was sent. Choose a name: {give}."
            )
    if found.moves:
        _show_moves(environment, found)
    _show_receipts(environment, service, found)
    if found.pending:
        from smpchat.cli.views.messages import pending_line

        for alias, pending in found.pending.items():
            environment.notice(pending_line(alias, pending))
    show_relay(environment)


def _show_standing(environment: Environment, standing: Sequence[Condition]) -> None:
    from smpchat.cli.views.conditions import show_conditions

    if not environment.json:
        environment.show("Needs attention:\n")
    show_conditions(environment, standing)
    if not environment.json:
        environment.show("")


def _show_links(environment: Environment, service: StoredProfile, found: Status) -> None:
    """Print invitations that nobody has used yet, and the user's own address."""
    from smpchat.cli.views.links import not_used, own_alias, show_address, show_invitation

    for invitation in found.invitations:
        if invitation.link:
            if not environment.json:
                note = f" for {printable(invitation.note)}" if invitation.note else ""
                unused = not_used(invitation, environment.now())
                environment.show(f"Invitation {invitation.connection}{note}, {unused}:\n")
            show_invitation(environment, invitation, own_alias(service, invitation))
    if found.address is not None and found.address.link:
        if not environment.json:
            environment.show("Your address:\n")
        show_address(environment, found.address, own_alias(service))


def _show_moves(environment: Environment, found: Status) -> None:
    from smpchat.cli.views.contacts import move_sentence

    for state in found.connections:
        if state.connection in found.moves:
            move = found.moves[state.connection]
            environment.notice(move_sentence(state.alias or "", move, environment.now()))


def _show_receipts(environment: Environment, service: StoredProfile, found: Status) -> None:
    """Print whether contacts are told that their messages arrived. Without ``--json``, print nothing if all contacts
    are told."""
    usual = service.receipts()
    if environment.json:
        from smpchat.cli.views.profiles import show_profile

        told = service.own_profile().display_name
        show_profile(environment, environment.profile, told, receipts=usual)
        return
    aliases = {state.connection: shortened(state.alias or "") for state in found.connections}
    others = ", ".join(sorted(aliases[number] for number, on in found.receipts.items() if on != usual))
    if not usual:
        whom = f", except for {others}: other contacts" if others else ": your contacts"
        environment.show(f"Receipts are off{whom} are not told that their messages arrived.")
    elif others:
        environment.show(f"Receipts are off for {others}: they are not told that their messages arrived.")
