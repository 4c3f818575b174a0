"""How contacts are shown: one contact, the list of all contacts, and the security code to compare with a contact."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from smpchat.agent.machines.handshake_states import ConnectionState
from smpchat.agent.machines.notices import NoticeKind
from smpchat.chat.service.views import ContactView, Invitation, Verification
from smpchat.chat.store.contact_settings import FOR_EVER
from smpchat.chat.store.moves import MoveView
from smpchat.chat.wire.alias import fold
from smpchat.chat.wire.profile import Profile
from smpchat.cli.environment import Environment
from smpchat.cli.text import quoted, shortened
from smpchat.cli.times import iso, since, waiting_since
from smpchat.cli.views.conditions import in_short
from smpchat.cli.views.connections import move_fields, waits_for
from smpchat.cli.views.groups import about_group
from smpchat.cli.views.layout import Cell, indented, show_table, table
from smpchat.cli.views.links import not_used
from smpchat.cli.views.messages import named
from smpchat.encoding.record import as_dict

if TYPE_CHECKING:
    from rich.table import Table

_NAMED = 3  # at most this many invitations in a sentence
FIRST_STEPS = "No contacts yet: make a link with `smpchat invite`, or open one with `smpchat connect LINK`."


def no_contacts_yet(invitations: Sequence[Invitation], now: float) -> str:
    """What is shown instead of an empty list of contacts if there are invitations, such as ``No contacts yet: your
    invitation for bob was not used yet. `smpchat status` shows its link.``"""
    notes = [f"for {shortened(i.note)}" if i.note else f"number {i.connection}" for i in invitations]
    if len(notes) == 1:
        used = not_used(invitations[0], now)
        return f"No contacts yet: your invitation {notes[0]} was {used}. `smpchat status` shows its link."
    named = ", ".join(notes[:_NAMED]) + (", …" if len(notes) > _NAMED else "")
    return (
        f"No contacts yet: your {len(notes)} invitations ({named}) are not used yet. `smpchat status` shows their"
        " links."
    )


def move_sentence(alias: str, move: MoveView, now: float) -> str:
    """How far the move of a queue is, such as ``Moving your queue for bob to the relay new.test: waiting for bob's app
    since 14:02.``"""
    name, moment = shortened(alias), since(move.since, now)
    where = f"the relay {shortened(move.relay, 60)}" if move.relay else "another relay"
    waits = {
        "creating": "creating the new queue",
        "asked": f"waiting for {name}'s app",
        "securing": "securing the new queue",
        "using": f"waiting for {name}'s first message there",
    }
    return f"Moving your queue for {name} to {where}: {waits[move.step]} since {moment}."


def renewal_sentence(before: ContactView, *, refused: bool = False) -> str:
    """A sentence that says what `smpchat resync` did: it refused or accepted the contact's new keys, or asked
    for new keys.

    Args:
        before: The contact as it was before `resync`.
    """
    name = shortened(before.alias)
    if refused:
        return f"Refused. Your messages with {name} still use the old keys."
    if any(c.kind in (NoticeKind.NEW_KEYS, NoticeKind.KEYS_DOUBTED) for c in before.conditions):
        return f"Accepted. The encryption with {name} is renewed, and the security code has changed."
    return f"{name}'s app was asked for new keys. Your messages wait until it agrees; then the security code changes."


def protection(view: ContactView) -> str:
    """What is known about a contact's keys, in one line; for a group, our role and the number of members."""
    if view.group is not None:
        return f"Group: {', '.join(about_group(view.group))}."
    code = "compared" if view.verified else "not compared"
    return f"Security code: {code}. Post-quantum keys: {'yes' if view.pq else 'no'}."


def contact_line(view: ContactView) -> str:
    """A contact in one line, such as ``alice: connected, 2 unread, verified, profile name "Alice"``. The name that the
    contact chose is in quotes."""
    contact, profile = view.contact, view.contact.profile
    marks = [str(view.state.state), *(text for text, _ in _marks(view))]
    if contact.unread:
        marks.insert(1, f"{contact.unread} unread")
    what = "profile name" if view.group is None else "its name"
    known = f", {what} {quoted(profile.display_name)}" if profile else ""
    wrong = "".join(f" ! {in_short(condition)}" for condition in view.conditions)
    return f"{shown_alias(view)}: {', '.join(marks)}{known}{wrong}"


def shown_alias(view: ContactView) -> str:
    """The alias, with the mark ``(?)`` if the contact chose it and the user has not."""
    return named(view.alias, self_named=view.contact.self_named)


def business_sentence(alias: str) -> str:
    """What a person should know before writing to a business."""
    return f"{alias} is a business: several people there may read your messages and answer you."


def looks_like(other: str) -> str:
    """A warning for a name that looks like ``other``, the alias of another contact."""
    return f"This name looks like your contact {shortened(other)}. Anyone can choose any name."


def _marks(view: ContactView) -> list[tuple[str, str]]:
    """Short facts about a contact, such as *verified*. Each fact is a pair: a few words, and the style in which these
    words are drawn."""
    contact, profile = view.contact, view.contact.profile
    marks = [("verified", "green")] if view.verified else []
    marks += [] if view.group is None else [(", ".join(["group", *about_group(view.group)]), "")]
    marks += [("post-quantum", "")] if view.pq else []
    marks += [(f"looks like {shortened(view.looks_like)}", "bold red")] if view.looks_like else []
    marks += [("a bot", "")] if profile and profile.bot else []
    marks += [("a business", "")] if contact.business else []
    marks += [] if view.receipts else [("gets no receipts", "")]
    marks += [] if view.muted_until is None else [("muted", "")]
    marks += [("removed you", "bold")] if contact.gone else []
    marks += [(f"sees you as {view.incognito}", "")] if view.incognito is not None else []
    if view.move is not None:
        marks.append((f"moving to {shortened(view.move.relay or 'another relay', 40)}", ""))
    return marks


def contact_fields(view: ContactView) -> dict[str, Any]:
    """The fields of a ``contact`` object in JSON."""
    contact, profile = view.contact, view.contact.profile
    fields: dict[str, Any] = {
        "alias": contact.alias,
        "contact_id": contact.id,
        "alias_confirmed": contact.confirmed,
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
    if contact.is_group:
        fields["group"] = True
    if view.conditions:
        fields["conditions"] = [condition.kind for condition in view.conditions]
    if view.verified:
        fields["verified"] = True
    if view.looks_like is not None:
        fields["looks_like"] = view.looks_like
    if view.move is not None:
        fields["move"] = move_fields(view.move)
    if view.incognito is not None:
        fields["incognito"] = view.incognito
    if not view.receipts:
        fields["receipts"] = False
    if view.muted_until is not None:
        fields["muted"] = True
        if view.muted_until < FOR_EVER:
            fields["muted_until"] = iso(view.muted_until)
    return fields


def _profile_fields(profile: Profile) -> dict[str, Any]:
    fields: dict[str, Any] = {"name": profile.display_name, "full_name": profile.full_name}
    if profile.bot:
        fields["bot"] = True
    if profile.commands:
        fields["commands"] = [as_dict(command) for command in profile.commands]
    return fields


def show_view(environment: Environment, view: ContactView) -> None:
    """Print a ``contact`` object for scripts, or its `contact_line` for people."""
    environment.emit("contact", contact_fields(view), contact_line(view))


def show_contacts(environment: Environment, views: list[ContactView]) -> None:
    """Print ``contact`` objects for scripts, or a table for people; the latest conversation is first."""
    views = recent_first(views)
    if environment.json:
        for view in views:
            show_view(environment, view)
    elif views:
        show_table(environment, *_table(environment, views), breaks=_BREAKS)
        if environment.attended and any(view.contact.self_named for view in views):
            environment.notice(f"\n{SELF_NAMED}")


SELF_NAMED = (
    "(?) The contact chose this name, and anyone can choose any name. `smpchat verify WHO` compares security codes."
    " `smpchat rename WHO ALIAS` sets your own alias. If you know who this is, your alias can be the name that they"
    " chose."
)
_HEADINGS = ("Alias", "State", "Unread", "Pending", "Details", "Their name")
_BREAKS = ("Details",)


def recent_first(views: list[ContactView]) -> list[ContactView]:
    """``views`` in the order of a list: the contact with the newest message comes first. Contacts without messages come
    last, sorted by alias, with bob2 before bob10."""
    return sorted(views, key=lambda view: (-view.newest, _natural(view.alias)))


def _natural(alias: str) -> list[tuple[int, str]]:
    """A key to sort aliases by: digits count as a number, so that bob2 comes before bob10."""
    # Parts 1, 3, 5 and so on are digits. `int` can read them all, because an alias is short.
    parts = re.split(r"([0-9]+)", fold(alias))
    return [(int(part), "") if at % 2 else (0, part) for at, part in enumerate(parts)]


def contacts_table(environment: Environment, views: list[ContactView]) -> Table:
    """The table that `show_contacts` prints, for a caller that draws it itself."""
    return table(*_table(environment, recent_first(views)), breaks=_BREAKS)


def _table(environment: Environment, views: list[ContactView]) -> tuple[list[str], list[list[Cell]]]:
    """The headings and the rows of the table, without empty columns."""
    rows = _rows(environment, views)
    used = [at for at in range(len(_HEADINGS)) if at in (0, 1) or any(text for row in rows for text, _ in row[at])]
    return [_HEADINGS[at] for at in used], [[row[at] for at in used] for row in rows]


def _rows(environment: Environment, views: list[ContactView]) -> list[list[Cell]]:
    """A row of cells for each contact: alias, state, number of unread messages, number of pending messages, details,
    and the name that the contact chose.

    The name that the contact chose comes last, because it may imitate the words that we print.
    """
    rows: list[list[Cell]] = []
    now = environment.now()
    for view in views:
        profile, state = view.contact.profile, view.state
        known = [(mark if at == 0 else f", {mark}", style) for at, (mark, style) in enumerate(_marks(view))]
        waiting = waits_for(state)
        if waiting:
            known.append((f"{', ' if known else ''}{waiting_since(waiting, state.since, now)}", "dim"))
        known += [(f"{' ' if known or at else ''}! {in_short(c)}", "bold red") for at, c in enumerate(view.conditions)]
        rows.append(
            [
                [(shown_alias(view), "bold")],
                [(state.state, "bold red" if state.state == ConnectionState.FAILED else "")],
                [(str(view.contact.unread or ""), "bold")],
                [(str(view.pending or ""), "")],
                known,
                [(quoted(profile.display_name, 40), "dim")] if profile else [],
            ]
        )
    return rows


def verification_lines(environment: Environment, found: Verification, *, asked: bool, command: str) -> str:
    """What `smpchat verify` and `/verify` show.

    Args:
        asked: Whether the user asked to see the security code. If so, the text shows the code and how to compare it.
            Otherwise the text says that the contact sees the same code.
        command: What the user types after comparing, if the codes are the same.
    """
    name = shortened(found.contact)
    if not asked:
        return indented(environment, f"Verified: you and {name} see the same security code.", 0, 0)
    groups = found.code.split()
    rows = "\n".join("  " + " ".join(groups[at : at + 8]) for at in range(0, len(groups), 8))
    state = "verified" if found.verified else "not verified yet"
    what = indented(environment, f"Security code with {name} ({state}):", 0, 0)
    then = f"Compare it with what {name} sees, over a call or face to face. If it is the same:"
    return f"{what}\n{rows}\n\n{indented(environment, then, 0, 0)}\n\n  {command}"
