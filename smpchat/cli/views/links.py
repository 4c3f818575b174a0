"""How invitations, the address, and the requests of people who use the address are shown."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from smpchat.chat.service.reading import StoredProfile
from smpchat.chat.service.views import Invitation
from smpchat.chat.store.address import AddressView, RequestView
from smpchat.chat.wire.alias import alias_from_name
from smpchat.cli.environment import Environment
from smpchat.cli.text import filled, plural, printable, quoted, shortened
from smpchat.cli.times import iso, since
from smpchat.cli.views.layout import in_margin

if TYPE_CHECKING:
    from rich.text import Text


def own_alias(service: StoredProfile, invitation: Invitation | None = None) -> str:
    """The alias that the other person will give us by typing our command (see `command_for_them`). It is made from our
    profile name, or from the made-up name of ``invitation`` if it has one."""
    made_up = invitation.incognito if invitation else None
    return alias_from_name(made_up or service.own_profile().display_name)


def command_for_them(made: Invitation | AddressView, suggested: str) -> str:
    """What the other person types to use a link of ours.

    Args:
        suggested: The alias for us (`own_alias`) in the command that the other person will type.
    """
    # The link is quoted, because a shell would end the command at the first & of a full link.
    return f"smpchat connect {shlex.quote(made.short_link or made.link or '')} --alias {shlex.quote(suggested)}"


def show_invitation(environment: Environment, invitation: Invitation, suggested: str, *, in_full: bool = True) -> None:
    """Print an ``invitation`` object for scripts; for people, the link and the exact command for the other person. The
    link is the short one, if there is one.

    Args:
        suggested: The alias for us (`own_alias`) in the command that the other person will type.
        in_full: Whether to print the full link too, below the short one.
    """
    full = invitation.link or ""
    link = invitation.short_link or full
    command = command_for_them(invitation, suggested)
    fields: dict[str, Any] = {"connection": invitation.connection, "link": full}
    lines = f"{link}\n\nSend the other person this link, or this command:\n\n  {command}\n"
    if invitation.short_link is not None:
        fields["short_link"] = link
        if in_full:
            lines += f"\nSome older apps need the longer, full link:\n\n{full}\n"
        else:
            full_link = "Some older apps need the longer, full link: `smpchat status` shows it."
            typed = environment.as_typed(full_link)
            lines += f"\n{filled(typed, shutil.get_terminal_size().columns)}\n"
    fields["command"] = command
    if invitation.note is not None:
        fields["note"] = invitation.note
    if invitation.as_of is not None:
        fields["as_of"] = iso(invitation.as_of)
    if invitation.incognito is not None:
        fields["incognito"] = invitation.incognito
        lines += f"\nThe other person will see you as {invitation.incognito}.\n"
    environment.emit("invitation", fields, lines)


def not_used(invitation: Invitation, now: float) -> str:
    """Words that say that an invitation is unused: ``not used yet``. If smpchat is not online now, they are ``not used
    when you were last online``, with the time if it is known."""
    if invitation.as_of is None:
        return "not used when you were last online"
    if invitation.as_of >= now:
        return "not used yet"
    return f"not used when you were last online, {since(invitation.as_of, now)}"


def show_address(environment: Environment, address: AddressView, suggested: str) -> None:
    """Print an ``address`` object for scripts; for people, the links, the exact command for the other person, and the
    number of requests.

    Args:
        suggested: The alias for us (`own_alias`) in the command that the other person will type.
    """
    link = address.short_link or address.link or ""
    command = command_for_them(address, suggested)
    fields: dict[str, Any] = {"link": address.link}
    if address.short_link is not None:
        fields["short_link"] = address.short_link
    fields |= {"command": command, "auto_accept": address.auto_accept, "requests": address.requests}
    if address.turned_away and address.turned_away_since is not None:
        fields |= {"turned_away": address.turned_away, "turned_away_since": iso(address.turned_away_since)}
    texts = address.texts
    if texts.welcome:
        fields["welcome"] = texts.welcome
    if texts.auto_reply:
        fields["auto_reply"] = texts.auto_reply
    full = f"\n\nSome older apps need the longer, full link:\n\n{address.link}" if address.short_link else ""
    waiting = plural(address.requests, "request") if address.requests else "No requests"
    how = f"{waiting} waiting."
    if address.auto_accept:
        how = "Requests are accepted at once" + (
            f"; {plural(address.requests, 'request')} still waiting." if address.requests else "."
        )
    if address.turned_away:
        how += f" {turned_away(environment, address)}"
    said = f"\nWelcome text: {printable(texts.welcome, lines=True)}\n" if texts.welcome else ""
    said += f"\nAutomatic reply: {printable(texts.auto_reply, lines=True)}\n" if texts.auto_reply else ""
    lines = f"{link}{full}\n\nGive people this link, or this command:\n\n  {command}\n\n{how}\n{said}"
    environment.emit("address", fields, lines)


def turned_away(environment: Environment, address: AddressView) -> str:
    """A sentence: how many requests were dropped because too many others were waiting, and since when."""
    when = since(address.turned_away_since or 0, environment.now())
    return f"{plural(address.turned_away, 'more request')} came since {when} and could not be kept."


def how_to_answer(environment: Environment, requests: Sequence[RequestView]) -> None:
    """Tell a person at a terminal what to do with requests that were just printed."""
    waiting = [request.id for request in requests if not request.in_turn]
    if waiting and environment.attended:
        first = waiting[0]
        environment.notice(f"Accept with `smpchat accept {first}`, or reject with `smpchat reject {first}`.")


def show_request(environment: Environment, request: RequestView) -> None:
    """Print a ``request`` object for scripts; for people, a text such as ``request 3: "Bob" wants to connect:
    hello``."""
    fields: dict[str, Any] = {
        "id": request.id,
        "name": request.name,
        "text": request.text,
        "received_at": iso(request.received_at),
    }
    if request.relay_refused is not None:
        fields["relay_refused"] = request.relay_refused
    if request.in_turn:
        fields["in_turn"] = True
    if request.looks_like is not None:
        fields["looks_like"] = request.looks_like
    environment.emit("request", fields, lambda: request_text(environment, request))


def request_text(environment: Environment, request: RequestView) -> Text:
    """A request as people see it; its further lines are indented, so that none of them looks like another request."""
    from rich.text import Text

    said = f": {printable(request.text, lines=True)}" if request.text else "."
    heading = f"request {request.id}: "
    parts = [(False, f"{quoted(request.name)} wants to connect{said}")]
    if request.looks_like is not None:
        parts.append(
            (True, (f"This name looks like your contact {shortened(request.looks_like)}. Anyone can choose any name."))
        )
    if request.in_turn:
        parts.append((True, "It will be accepted automatically when its turn comes."))
    if request.relay_refused is not None:
        parts += [
            (True, f"You must allow their relay: {shortened(request.relay_refused, 200)}."),
            (True, f"If you know who this is: {environment.as_typed(f'`smpchat accept {request.id} --any-relay`')}"),
        ]
    return Text.assemble((heading, "bold"), in_margin(environment, parts, len(heading), 4))
