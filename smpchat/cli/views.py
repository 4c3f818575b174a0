"""What commands print: objects for scripts (cli.md, JSON types) and lines for people. Peer text is always escaped."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from smpchat.chat.events import Notice, StateChanged, StatusChanged
from smpchat.chat.service import ContactView, Invitation
from smpchat.chat.store import Contact, Direction, Message
from smpchat.cli.environment import Environment, printable

_MAX_QUOTE = 60
"""Characters that are shown of a message that was answered."""
_DELETED = "[deleted]"
_STEPS = {1: "invitation", 2: "confirmation", 3: "hello"}


def show_state(environment: Environment, event: StateChanged) -> None:
    """A ``state`` object, or ``alice: ready, step 2 of 3 (confirmation), 35 ms``."""
    fields = {
        "connection": event.connection,
        "alias": event.alias,
        "role": event.role,
        "variant": event.variant,
        "step": event.step,
        "state": event.state,
        "elapsed_ms": event.elapsed_ms,
    }
    if event.reason:
        fields["reason"] = event.reason
    name = printable(event.alias) if event.alias else f"invitation {event.connection}"
    line = f"{name}: {event.state}, step {event.step} of 3 ({_STEPS.get(event.step, '')}), {event.elapsed_ms} ms"
    environment.emit("state", fields, line)


def show_contact(environment: Environment, contact: Contact, state: str, *, pq: bool) -> None:
    """A ``contact`` object, or ``alice: connected, calls themselves Alice, 2 unread``."""
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
    known = f", calls themselves {printable(profile.display_name)}" if profile else ""
    unread = f", {contact.unread} unread" if contact.unread else ""
    gone = ", deleted the contact with you" if contact.gone else ""
    environment.emit("contact", fields, f"{printable(contact.alias)}: {state}{known}{unread}{gone}")


def show_view(environment: Environment, view: ContactView) -> None:
    """A contact with its connection's state."""
    show_contact(environment, view.contact, view.state.state, pq=view.pq)


def show_message(environment: Environment, message: Message, *, numbered: bool = False) -> None:
    """A ``message`` object, or ``to alice: text  (sent)``, behind the message's number where that is wanted."""
    fields: dict[str, Any] = {
        "contact": message.contact,
        "direction": message.direction,
        "id": message.id,
        "text": message.text,
        "sent_at": datetime.fromtimestamp(message.sent_at, UTC).isoformat().replace("+00:00", "Z"),
        "status": message.status,
    }
    if message.reason:
        fields["reason"] = message.reason
    fields |= change_fields(message)
    line = message_line(message)
    environment.emit("message", fields, f"{message.id:>4}  {line}" if numbered else line)


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


def message_line(message: Message) -> str:
    """A message for people; a continued line is indented, so that no text can pass for another message."""
    text = quote_line(message) + (_DELETED if message.deleted else printable(message.text, lines=True))
    marks = change_marks(message)
    text = f"{text}  ({marks})" if marks else text
    text = text.replace("\n", "\n    ")
    if message.direction is Direction.RECEIVED:
        return f"{printable(message.contact)}: {text}"
    return f"to {printable(message.contact)}: {text}  ({message.status})"


def quote_line(message: Message) -> str:
    """``> what it answers`` on a line of its own in front of a reply; empty for any other message."""
    if message.reply_to is None:
        return ""
    quoted = message.reply_to.text.split("\n", 1)[0]
    shown = (
        _DELETED
        if message.reply_to.deleted
        else printable(quoted if len(quoted) <= _MAX_QUOTE else quoted[: _MAX_QUOTE - 1] + "…")
    )
    return f"> {'you' if message.reply_to.direction is Direction.SENT else 'they'}: {shown}\n"


def change_marks(message: Message) -> str:
    """``edited, 👍 from you``: what became of a message after it was sent."""
    marks = ["edited"] if message.edited and not message.deleted else []
    marks += [
        f"{printable(r.emoji)} from {'you' if r.direction is Direction.SENT else 'them'}" for r in message.reactions
    ]
    return ", ".join(marks)


def show_status(environment: Environment, event: StatusChanged) -> None:
    """A ``status`` object, or ``message 3 to alice: delivered``."""
    fields: dict[str, Any] = {"id": event.id, "contact": event.contact, "status": event.status}
    if event.reason:
        fields["reason"] = event.reason
    environment.emit("status", fields, f"message {event.id} to {printable(event.contact)}: {event.status}")


def show_notice(environment: Environment, event: Notice) -> None:
    """A sentence for people, on standard error."""
    environment.notice(printable(event.sentence))


def show_invitation(environment: Environment, invitation: Invitation) -> None:
    """An ``invitation`` object, or the link and the exact command for the other person."""
    link = invitation.link or ""
    command = f"smpchat connect '{link}' --alias NAME"
    fields: dict[str, Any] = {"connection": invitation.connection, "link": link, "command": command}
    if invitation.note is not None:
        fields["note"] = invitation.note
    environment.emit("invitation", fields, f"{link}\n\nGive them this command:\n  {command}")
