"""Contacts: one, the list of all, and the security code with one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from smpchat.agent.machines.handshake_states import ConnectionState
from smpchat.chat.service.views import ContactView, Verification
from smpchat.chat.store.moves import MoveView
from smpchat.chat.wire.profile import Profile
from smpchat.cli.environment import Environment
from smpchat.cli.text import shortened
from smpchat.cli.times import since
from smpchat.cli.views.conditions import in_short
from smpchat.cli.views.connections import move_fields, waits_for
from smpchat.cli.views.layout import Cell, show_table, table
from smpchat.encoding.record import as_dict

if TYPE_CHECKING:
    from rich.table import Table

FIRST_STEPS = "Nothing here yet: `smpchat invite` makes a link for somebody, `smpchat connect` uses one."


def move_sentence(alias: str, move: MoveView, now: float) -> str:
    """``Moving to the relay new.test: waiting for bob's app since 14:02.``"""
    name, moment = shortened(alias), since(move.since, now)
    where = f"the relay {shortened(move.relay, 60)}" if move.relay else "another relay"
    waits = {
        "creating": "the new queue is being made",
        "asked": f"waiting for {name}'s app",
        "securing": "the new queue is being secured",
        "using": f"waiting for {name}'s first message there",
    }
    return f"Moving your queue for {name} to {where}: {waits[move.step]}, since {moment}."


def protection(view: ContactView) -> str:
    """What is known of the keys of a contact, in a line."""
    code = "compared" if view.verified else "not compared"
    return f"Security code: {code}. Post-quantum keys: {'yes' if view.pq else 'no'}."


def contact_line(view: ContactView) -> str:
    """``alice: connected, calls themselves Alice, 2 unread``."""
    contact, state = view.contact, view.state.state
    profile = contact.profile
    known = f", calls themselves {shortened(profile.display_name)}" if profile else ""
    bot = ", a bot" if profile and profile.bot else ""
    keys = (", verified" if view.verified else "") + (", post-quantum" if view.pq else "")
    unread = f", {contact.unread} unread" if contact.unread else ""
    gone = ", deleted the contact with you" if contact.gone else ""
    business = ", a business" if contact.business else ""
    moving = f", moving to {shortened(view.move.relay or 'another relay', 60)}" if view.move else ""
    wrong = "".join(f" ! {in_short(condition)}" for condition in view.conditions)
    hidden = f", knows you as {view.incognito}" if view.incognito else ""
    return f"{shortened(contact.alias)}: {state}{known}{bot}{business}{keys}{hidden}{unread}{gone}{wrong}{moving}"


def contact_fields(view: ContactView) -> dict[str, Any]:
    """Fields of a ``contact`` object."""
    contact, profile = view.contact, view.contact.profile
    fields: dict[str, Any] = {
        "alias": contact.alias,
        "profile": _profile_fields(profile) if profile else None,
        "state": view.state.state,
        "unread": contact.unread,
        "pq": view.pq,
    }
    if profile is not None and profile.description:
        fields["description"] = profile.description
    if contact.picture:
        fields["picture"] = True
    if contact.gone:
        fields["gone"] = True
    if contact.business:
        fields["business"] = True
    if view.conditions:
        fields["conditions"] = [condition.kind for condition in view.conditions]
    if view.verified:
        fields["verified"] = True
    if view.move is not None:
        fields["move"] = move_fields(view.move)
    if view.incognito is not None:
        fields["incognito"] = view.incognito
    if not view.receipts:
        fields["receipts"] = False
    return fields


def _profile_fields(profile: Profile) -> dict[str, Any]:
    fields: dict[str, Any] = {"name": profile.display_name, "full_name": profile.full_name}
    if profile.bot:
        fields["bot"] = True
    if profile.commands:
        fields["commands"] = [as_dict(command) for command in profile.commands]
    return fields


def show_view(environment: Environment, view: ContactView) -> None:
    """A ``contact`` object, or its `contact_line`."""
    environment.emit("contact", contact_fields(view), contact_line(view))


def show_contacts(environment: Environment, views: list[ContactView]) -> None:
    """``contact`` objects, or a table."""
    if environment.json:
        for view in views:
            show_view(environment, view)
    elif views:
        show_table(environment, _HEADINGS, _rows(environment, views))


_HEADINGS = ("Alias", "State", "Unread", "Pending", "Calls themselves")


def contacts_table(environment: Environment, views: list[ContactView]) -> Table:
    """The same table, to be drawn among other things."""
    return table(_HEADINGS, _rows(environment, views))


def _rows(environment: Environment, views: list[ContactView]) -> list[list[Cell]]:
    """Alias, state, what is unread or pending, and the name that the contact chose, or who is waited for."""
    rows: list[list[Cell]] = []
    now = environment.now()
    for view in views:
        profile, state = view.contact.profile, view.state
        waiting = waits_for(state)
        if waiting and state.since is not None:
            waiting += f" since {since(state.since, now)}"
        about = [(shortened(profile.display_name, 40), "")] if profile else [(waiting, "dim")]
        if profile and profile.bot:
            about.append((" (a bot)", "dim"))
        if view.verified:
            about.append((" (verified)", "green"))
        if not view.receipts:
            about.append((" (gets no receipts)", "dim"))
        if view.pq:
            about.append((" (post-quantum)", "dim"))
        if view.contact.gone:
            about.append((" (deleted the contact with you)", "bold"))
        if view.incognito is not None:
            about.append((f" (knows you as {view.incognito})", "dim"))
        if view.move is not None:
            about.append((f" (moving to {shortened(view.move.relay or 'another relay', 40)})", "dim"))
        for condition in view.conditions:
            about.append((f" ! {in_short(condition)}", "bold red"))
        rows.append(
            [
                [(shortened(view.alias), "bold")],
                [(state.state, "bold red" if state.state == ConnectionState.FAILED else "")],
                [(str(view.contact.unread or ""), "bold")],
                [(str(view.pending or ""), "")],
                about,
            ]
        )
    return rows


def verification_lines(found: Verification, *, asked: bool, command: str) -> str:
    """The security code and what to do with it; or, if it was not ``asked`` for but compared, that it is right."""
    name = shortened(found.contact)
    if not asked:
        return f"Verified: you and {name} see the same security code."
    groups = found.code.split()
    rows = "\n".join("  " + " ".join(groups[at : at + 8]) for at in range(0, len(groups), 8))
    state = "verified" if found.verified else "not verified yet"
    return (
        f"Security code with {name} ({state}):\n\n{rows}\n\n"
        f"Compare it with what {name} sees, over a call or face to face. If it is the same:\n\n  {command}"
    )
