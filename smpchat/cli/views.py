"""What commands print: objects for scripts (cli.md, JSON types) and lines for people. Peer text is always escaped.

Colours only repeat what words or symbols say. `rich` is imported where something is drawn: scripts do not wait for it.
"""

from __future__ import annotations

import shlex
import shutil
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from smpchat.agent.machines.handshake_states import ConnectionState
from smpchat.chat.service.reading import ContactView, Invitation, StoredProfile, Verification
from smpchat.chat.store.address import AddressView, RequestView
from smpchat.chat.store.events import Notice, StateChanged, StatusChanged
from smpchat.chat.store.records import Contact, Direction, Message, MessageStatus
from smpchat.chat.wire.alias import alias_from_name
from smpchat.cli.environment import Environment
from smpchat.cli.text import filled, narrowed, plural, printable, shortened
from smpchat.cli.times import clock, day, since
from smpchat.relay.folder import status as relay_status

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

FIRST_STEPS = "Nothing here yet: `smpchat invite` makes a link for somebody, `smpchat connect` uses one."
STEPS = {1: "invitation", 2: "confirmation", 3: "hello"}
TICKS = {
    MessageStatus.PENDING: "·",
    MessageStatus.SENT: "✓",
    MessageStatus.DELIVERED: "✓✓",
    MessageStatus.FAILED: "✗",
}
_DELETED = "[deleted]"
_NUMBERED = 13  # columns in front of what is said in a conversation
_STYLES = {
    MessageStatus.PENDING: "dim",
    MessageStatus.SENT: "dim",
    MessageStatus.DELIVERED: "green",
    MessageStatus.FAILED: "bold red",
}


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat().replace("+00:00", "Z")


# -- connections ------------------------------------------------------------------------------------------------------


def show_state(environment: Environment, state: StateChanged, line: str | None = None) -> None:
    """A ``state`` object, or a line: `state_line` unless another is given."""
    fields = {
        "connection": state.connection,
        "alias": state.alias,
        "role": state.role,
        "variant": state.variant,
        "step": state.step,
        "state": state.state,
        "elapsed_ms": state.elapsed_ms,
    }
    if state.since is not None:
        fields["since"] = _iso(state.since)
    if state.reason:
        fields["reason"] = state.reason
    environment.emit("state", fields, state_line(state, environment.now()) if line is None else line)


def state_line(state: StateChanged, now: float) -> str:
    """``alice: ready, step 2 of 3 (confirmation), since 09:14``."""
    name = shortened(state.alias) if state.alias else f"invitation {state.connection}"
    began = "" if state.since is None else f", since {since(state.since, now)}"
    return f"{name}: {state.state}, step {state.step} of 3 ({STEPS.get(state.step, '')}){began}"


def waits_for(state: StateChanged) -> str:
    """Who or what a connection waits for; empty if nothing."""
    if is_request(state):
        return "waiting for their answer"
    match state.state, state.role:
        case ConnectionState.INVITED, _:
            return "waiting for somebody to use the link"
        case ConnectionState.JOINING, _:
            return "waiting for the relay"
        case ConnectionState.READY, "joiner":
            return "waiting for their first message"
        case ConnectionState.READY, _:
            return "waiting for the relay"
    return ""


def is_request(state: StateChanged) -> bool:
    """Whether a request of ours waits at an address: nothing else is *ready* before its handshake has a name."""
    return state.state == ConnectionState.READY and state.variant is None


def show_contact(environment: Environment, contact: Contact, state: str, *, pq: bool) -> None:
    """A ``contact`` object, or ``alice: connected, calls themselves Alice, 2 unread``."""
    profile = contact.profile
    known = f", calls themselves {shortened(profile.display_name)}" if profile else ""
    unread = f", {contact.unread} unread" if contact.unread else ""
    gone = ", deleted the contact with you" if contact.gone else ""
    line = f"{shortened(contact.alias)}: {state}{known}{unread}{gone}"
    environment.emit("contact", _contact_fields(contact, state, pq), line)


def _contact_fields(contact: Contact, state: str, pq: bool) -> dict[str, Any]:
    profile = contact.profile
    fields: dict[str, Any] = {
        "alias": contact.alias,
        "profile": {"name": profile.display_name, "full_name": profile.full_name} if profile else None,
        "state": state,
        "unread": contact.unread,
        "pq": pq,
    }
    if contact.gone:
        fields["gone"] = True
    return fields


def show_view(environment: Environment, view: ContactView) -> None:
    """A contact with its connection's state."""
    show_contact(environment, view.contact, view.state.state, pq=view.pq)


def show_contacts(environment: Environment, views: list[ContactView]) -> None:
    """``contact`` objects, or a table."""
    if environment.json:
        for view in views:
            show_view(environment, view)
    elif views:
        environment.show(contacts_table(environment, views))


def contacts_table(environment: Environment, views: list[ContactView]) -> Table:
    """Alias, state, what is unread or pending, and the name that the contact chose, or who is waited for."""
    from rich.text import Text

    table = _table("Alias", "State", "Unread", "Pending", "Calls themselves")
    now = environment.now()
    for view in views:
        profile, state = view.contact.profile, view.state
        waiting = waits_for(state)
        if waiting and state.since is not None:
            waiting += f" since {since(state.since, now)}"
        about = Text(shortened(profile.display_name, 40)) if profile else Text(waiting, "dim")
        if view.verified:
            about.append(" (verified)", "green")
        if view.contact.gone:
            about.append(" (deleted the contact with you)", "bold")
        table.add_row(
            Text(shortened(view.alias), "bold"),
            Text(state.state, "bold red" if state.state == ConnectionState.FAILED else ""),
            Text(str(view.contact.unread or ""), "bold"),
            Text(str(view.pending or "")),
            about,
        )
    return table


def _table(*headings: str) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_edge=False)
    for heading in headings:  # the first and the last are what other people may have chosen: they break, if any does
        outer = heading in (headings[0], headings[-1])
        table.add_column(Text(heading, "dim"), no_wrap=not outer, justify="left", overflow="fold")
    return table


def own_alias(service: StoredProfile) -> str:
    """What the other person may call us: our name as an alias."""
    return alias_from_name(service.own_profile().display_name, lambda _: False)


def command_for_them(made: Invitation | AddressView, suggested: str) -> str:
    """What the other person types to use a link of ours.

    Args:
        suggested: The alias that it gives us on the other side.
    """
    return f"smpchat connect {shlex.quote(made.short_link or made.link or '')} --alias {shlex.quote(suggested)}"


def show_invitation(environment: Environment, invitation: Invitation, suggested: str, *, in_full: bool = True) -> None:
    """An ``invitation`` object, or the link and the exact command for the other person: the short link if there is one.

    Args:
        suggested: The alias that the command gives us on the other side.
        in_full: The long link stands below a short one as well.
    """
    full = invitation.link or ""
    link = invitation.short_link or full
    command = command_for_them(invitation, suggested)
    fields: dict[str, Any] = {"connection": invitation.connection, "link": full}
    lines = f"{link}\n\nGive them the link, or this command:\n\n  {command}\n"
    if invitation.short_link is not None:
        fields["short_link"] = link
        if in_full:
            lines += f"\nIf their program does not know short links, this one is the same in full:\n\n{full}\n"
        else:
            full_link = "Programs without short links need the full one: `smpchat status`."
            typed = environment.as_typed(full_link)
            lines += f"\n{filled(typed, shutil.get_terminal_size().columns)}\n"
    fields["command"] = command
    if invitation.note is not None:
        fields["note"] = invitation.note
    environment.emit("invitation", fields, lines)


def show_address(environment: Environment, address: AddressView, suggested: str) -> None:
    """An ``address`` object, or its links, the exact command for the other person, and what waits.

    Args:
        suggested: The alias that the command gives us on the other side.
    """
    link = address.short_link or address.link or ""
    command = command_for_them(address, suggested)
    fields: dict[str, Any] = {"link": address.link}
    if address.short_link is not None:
        fields["short_link"] = address.short_link
    fields |= {"command": command, "auto_accept": address.auto_accept, "requests": address.requests}
    full = f"\n\nFor apps that do not open short links:\n\n{address.link}" if address.short_link else ""
    waiting = plural(address.requests, "open request") if address.requests else "none"
    how = "Requests are accepted at once." if address.auto_accept else f"Requests wait for you: {waiting} now."
    lines = f"{link}{full}\n\nGive people the link, or this command:\n\n  {command}\n\n{how}\n"
    environment.emit("address", fields, lines)


def show_request(environment: Environment, request: RequestView) -> None:
    """A ``request`` object, or ``request 3: Bob asks to be a contact: hello``."""
    fields = {
        "id": request.id,
        "name": request.name,
        "text": request.text,
        "received_at": _iso(request.received_at),
    }
    environment.emit("request", fields, lambda: request_text(environment, request))


def request_text(environment: Environment, request: RequestView) -> Text:
    """A request for people; continued lines are indented, so that none can pass for another request."""
    from rich.text import Text

    said = f": {printable(request.text, lines=True)}" if request.text else "."
    heading = f"request {request.id}: "
    line = f"{shortened(request.name)} asks to be a contact{said}"
    return Text.assemble((heading, "bold"), indented(environment, line, len(heading), 4))


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


# -- the embedded relay ------------------------------------------------------------------------------------------------


def show_relay(environment: Environment) -> None:
    """Print the embedded relay."""
    info = relay_status(environment.relay_folder)
    line = f"relay: {info.state}" + (f", {info.address}" if info.address else "")
    if info.ws_port is not None:
        line += f", WebSocket on port {info.ws_port}"
    fields = {"state": info.state, "address": info.address, "pid": info.pid, "ws_port": info.ws_port}
    environment.emit("relay", fields, line)


# -- messages ---------------------------------------------------------------------------------------------------------


def message_fields(message: Message) -> dict[str, Any]:
    """Fields of a ``message`` object."""
    fields: dict[str, Any] = {
        "contact": message.contact,
        "direction": message.direction,
        "id": message.id,
        "text": message.text,
        "sent_at": _iso(message.sent_at),
        "status": message.status,
    }
    if message.reason:
        fields["reason"] = message.reason
    return fields | change_fields(message)


def change_fields(message: Message) -> dict[str, Any]:
    """What a ``message`` object says only where it is so: a reply, an edit, a deletion, reactions."""
    fields: dict[str, Any] = {}
    if message.reply_to is not None:
        quoted = message.reply_to
        fields["reply_to"] = {"id": quoted.id, "direction": quoted.direction, "text": quoted.text}
        if quoted.deleted:
            fields["reply_to"]["deleted"] = True
    if message.edited:
        fields["edited"] = True
    if message.deleted:
        fields["deleted"] = True
    if message.reactions:
        fields["reactions"] = [{"emoji": r.emoji, "direction": r.direction} for r in message.reactions]
    return fields


def show_message(environment: Environment, message: Message) -> None:
    """A ``message`` object, or ``to alice: text  (sent)``."""
    line = (lambda: message_text(environment, message)) if environment.styled else message_line(message)
    environment.emit("message", message_fields(message), line)


def message_line(message: Message) -> str:
    """A message in words, without colours, for a pipe."""
    line = f"{_heading(message)}: " + _said(message).replace("\n", "\n    ")
    if message.direction is Direction.SENT:
        line += f"  ({message.status}){_why_failed(message)}"
    return line


def _why_failed(message: Message) -> str:
    return f" {printable(message.reason)}" if message.status is MessageStatus.FAILED and message.reason else ""


def _heading(message: Message) -> str:
    alias = shortened(message.contact)
    return alias if message.direction is Direction.RECEIVED else f"to {alias}"


def _said(message: Message) -> str:
    """What a message says, what it answers and what became of it."""
    text = _quote_line(message) + (_DELETED if message.deleted else printable(message.text, lines=True))
    marks = _change_marks(message)
    return f"{text}  ({marks})" if marks else text


def indented(environment: Environment, text: str, start: int, indent: int) -> str:
    """Harmless text behind ``start`` columns, its further lines indented, so that none can pass for another message."""
    if not environment.attended:
        return text.replace("\n", "\n" + " " * indent)
    from smpchat.cli.wrapping import hanging

    return hanging(text, start, indent, shutil.get_terminal_size().columns)


def in_words(environment: Environment, sentence: Text) -> Text:
    """A sentence of ours in lines that end between words, on a terminal."""
    from rich.text import Text

    if not environment.attended:
        return sentence
    lines = sentence.wrap(environment.console(), max(20, shutil.get_terminal_size().columns - 2))
    return Text("\n  ").join(lines)


def _quote_line(message: Message) -> str:
    """``> what it answers`` on a line of its own in front of a reply; empty for any other message."""
    quoted = message.reply_to
    if quoted is None:
        return ""
    shown = _DELETED if quoted.deleted else shortened(quoted.text.split("\n", 1)[0])
    return f"> {'you' if quoted.direction is Direction.SENT else 'they'}: {shown}\n"


def _change_marks(message: Message) -> str:
    """``edited, 👍 from you``: what became of a message after it was sent."""
    marks = ["edited"] if message.edited and not message.deleted else []
    marks += [
        f"{printable(r.emoji)} from {'you' if r.direction is Direction.SENT else 'them'}" for r in message.reactions
    ]
    return ", ".join(marks)


def message_text(environment: Environment, message: Message) -> Text:
    """A message of `listen`, `send` and `connect`."""
    from rich.text import Text

    heading = Text(_heading(message), "bold" if message.direction is Direction.RECEIVED else "dim")
    return _append_said(environment, Text.assemble(heading, ": "), message, 4)


def _append_said(environment: Environment, heading: Text, message: Message, indent: int) -> Text:
    """What a message says behind its heading, and the status of one of ours."""
    said = _said(message)
    if message.direction is Direction.RECEIVED:
        return heading.append(indented(environment, said, heading.cell_len, indent))
    mark = TICKS.get(message.status, "") if environment.symbols else f"({message.status})"
    said = indented(environment, f"{said}  {mark}{_why_failed(message)}", heading.cell_len, indent)
    at = len(heading) + said.rfind(mark)
    heading.append(said).stylize(_STYLES.get(message.status, ""), at)
    return heading


def conversation(environment: Environment, messages: list[Message], previous: Message | None = None) -> list[Text]:
    """Lines of a conversation: a separator wherever a day begins, then time, who and text.

    Args:
        previous: The message shown last, which decides whether the first separator is needed.
    """
    from rich.text import Text

    lines = []
    today = day(previous.sent_at) if previous else None
    for message in messages:
        if day(message.sent_at) != today:
            today = day(message.sent_at)
            rule = "─── " if environment.symbols else "--- "
            lines.append(Text(f"{rule}{today}{rule[::-1]}", "dim"))
        lines.append(spoken(environment, message))
    return lines


def show_history(environment: Environment, messages: list[Message]) -> None:
    """``message`` objects, or the lines of a `conversation`."""
    if environment.json:
        for message in messages:
            show_message(environment, message)
    else:
        for line in conversation(environment, messages):
            environment.show(line)


def spoken(environment: Environment, message: Message) -> Text:
    """``  12  09:14  bob: hello``, or ``  13  09:15  you: hello back  ✓✓``: number first."""
    from rich.text import Text

    who = (shortened(message.contact), "bold") if message.direction is Direction.RECEIVED else ("you", "dim")
    when = f"{message.id:>4}  {clock(message.sent_at)}"
    return _append_said(environment, Text.assemble((when, "dim"), "  ", who, ": "), message, _NUMBERED)


def show_status(environment: Environment, event: StatusChanged) -> None:
    """A ``status`` object, or ``message 3 to alice: delivered``."""
    fields: dict[str, Any] = {"id": event.id, "contact": event.contact, "status": event.status}
    if event.reason:
        fields["reason"] = event.reason
    why = f" ({printable(event.reason)})" if event.reason else ""
    environment.emit("status", fields, f"message {event.id} to {shortened(event.contact)}: {event.status}{why}")


def show_notice(environment: Environment, event: Notice) -> None:
    """A sentence for people, on standard error."""
    environment.notice(printable(event.sentence))


def unread_summary(counts: dict[str, int]) -> str:
    """``bob 2, carol 1``; empty if nothing is unread."""
    return ", ".join(f"{narrowed(alias, 20)} {count}" for alias, count in counts.items())


def pending_line(alias: str, pending: int) -> str:
    """``bob: 2 messages pending``."""
    return f"{shortened(alias)}: {plural(pending, 'message')} pending"
