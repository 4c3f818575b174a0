"""How messages are shown: a single one, a conversation, and changes of their status."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from smpchat.chat.store.events import Notice, StatusChanged
from smpchat.chat.store.notices import StoredNotice
from smpchat.chat.store.records import Direction, Message, MessageStatus, Reaction
from smpchat.chat.wire.content import GROUP_INVITATION, Preview
from smpchat.chat.wire.durations import duration_text
from smpchat.cli.environment import Environment
from smpchat.cli.text import abridged, narrowed, plural, printable, shortened
from smpchat.cli.times import clock, day, iso, since
from smpchat.cli.views.files import file_mark, file_object
from smpchat.cli.views.layout import STAYS_TOGETHER, Part, in_margin, indented
from smpchat.encoding.patterns import late
from smpchat.encoding.record import as_dict, replace

if TYPE_CHECKING:
    from rich.text import Text

TICKS = {
    MessageStatus.PENDING: "·",
    MessageStatus.SENT: "✓",
    MessageStatus.DELIVERED: "✓✓",
    MessageStatus.FAILED: "✗",
}
_DELETED = "[deleted]"
_JOIN = late(r"`smpchat [^`]*group join \d+`\]$")
"""Finds the command at the end of a message that invites the user to a group. The pattern matches only at the end of
the message, because the group's name before the command may contain anything."""
_WRITTEN = 140  # at most this many characters of a message are shown while its author is typing it
_NAMED = 3  # if more members than this reacted with the same emoji, only their number is shown
_NUMBERED = 13  # columns that the number and the time of a message take in a conversation, before its author
_STYLES = {
    MessageStatus.PENDING: "dim",
    MessageStatus.SENT: "dim",
    MessageStatus.DELIVERED: "green",
    MessageStatus.FAILED: "bold red",
}


def message_fields(message: Message) -> dict[str, Any]:
    """The fields of a ``message`` object in JSON."""
    fields: dict[str, Any] = {
        "contact": message.contact,
        "contact_id": message.contact_id,
        "direction": message.direction,
        "id": message.id,
        "text": message.text,
        "sent_at": iso(message.sent_at),
        "status": message.status,
        "content": message.content,
    }
    if message.verified:
        fields["verified"] = True
    if message.reason:
        fields["reason"] = message.reason
    if message.sender is not None:
        fields["sender"] = message.sender
    if message.group:
        fields["group"] = True
    if message.via is not None:
        fields["via"] = message.via
    if message.copies is not None:
        fields["delivered_to"], fields["members"] = message.copies
    if message.command is not None:
        fields |= {"command": message.command, "arguments": message.arguments}
    if message.preview is not None:
        fields["preview"] = as_dict(message.preview)
    if message.file is not None:
        fields["file"] = file_object(message.file)
    return fields | change_fields(message)


def change_fields(message: Message) -> dict[str, Any]:
    """The fields of a ``message`` object that exist only for some messages: forwarded, live, edited or deleted ones,
    replies, and messages with reactions."""
    fields: dict[str, Any] = {}
    if message.forwarded:
        fields["forwarded"] = True
    if message.live:
        fields["live"] = True
    if message.reply_to is not None:
        quoted = message.reply_to
        fields["reply_to"] = {"id": quoted.id, "direction": quoted.direction, "text": quoted.text}
        if quoted.deleted:
            fields["reply_to"]["deleted"] = True
        if quoted.sender is not None:
            fields["reply_to"]["sender"] = quoted.sender
    if message.edited:
        fields["edited"] = True
    if message.deleted:
        fields["deleted"] = True
    if message.deleted_by is not None:
        fields["deleted_by"] = message.deleted_by
    if message.ttl is not None:
        fields["ttl"] = message.ttl
    if message.expires_at is not None:
        fields["expires_at"] = iso(message.expires_at)
    if message.reactions:
        fields["reactions"] = [_reaction_fields(r) for r in message.reactions]
    return fields


def _reaction_fields(reaction: Reaction) -> dict[str, Any]:
    fields: dict[str, Any] = {"emoji": reaction.emoji, "direction": reaction.direction}
    if reaction.people != 1:
        fields["people"] = reaction.people
    return fields | {"members": list(reaction.members)} if reaction.members else fields


def show_message(environment: Environment, message: Message) -> None:
    """Print a ``message`` object for scripts; for people, a line such as ``to alice: text  (sent)``."""
    typed = _as_typed(environment, message)
    line = (lambda: message_text(environment, typed)) if environment.styled else message_line(typed)
    environment.emit("message", message_fields(message), line)


def show_heard(environment: Environment, message: Message) -> None:
    """Do the same as `show_message`, but a person at a terminal also sees the time, and the number of the message,
    which `reply` needs."""
    if environment.attended:
        environment.show(spoken(environment, message, several=True, now=environment.now()))
    else:
        show_message(environment, message)


def _as_typed(environment: Environment, message: Message) -> Message:
    """The message as it is printed. An invitation to a group contains a command; options such as ``-p`` are added to
    this command, so that the user can type it as printed."""
    command = _JOIN().search(message.note) if message.content == GROUP_INVITATION else None
    if command is None:
        return message
    note = message.note[: command.start()] + environment.as_typed(command[0])
    return replace(message, note=note, text=note + message.text.removeprefix(message.note))


def message_line(message: Message) -> str:
    """A message as it is printed into a pipe: words only, without colours."""
    return f"{_heading(message)}{_said_in_words(message, 4)}"


def _said_in_words(message: Message, indent: int) -> str:
    """The text of a message, and its status if we sent it, without styles. (So `rich` need not be imported.)"""
    return in_margin(None, _with_status(message, f"({message.status})"), 0, indent)


def _with_status(message: Message, mark: str) -> list[Part]:
    parts = _parts(message)
    if message.direction is Direction.SENT:
        ours, said = parts[-1]
        parts[-1] = (ours, f"{said}  {mark}{to_how_many(message)}{_why_failed(message)}")
    return parts


def to_how_many(message: Message) -> str:
    """How many members have a delivered message to a group, such as `` 4 of 6``. Empty for other messages."""
    if message.copies is None or message.status is not MessageStatus.DELIVERED:
        return ""
    return f" {message.copies[0]} of {message.copies[1]}"


def _why_failed(message: Message) -> str:
    told = message.status in (MessageStatus.FAILED, MessageStatus.PENDING)
    return f" {printable(message.reason)}" if told and message.reason else ""


def _heading(message: Message) -> str:
    """What is printed before the text of a message: ``alice: ``, in a group ``cath in team: ``, or ``to alice: `` if we
    sent the message."""
    alias = named(message.contact, self_named=message.self_named)
    if message.group and message.sender is not None:
        alias = f"{shortened(message.sender)} in {alias}"
    return (alias if message.direction is Direction.RECEIVED else f"to {alias}") + _colon(message)


def named(alias: str, *, self_named: bool) -> str:
    """The alias as people see it. If the contact chose this alias and the user has not, a blank and ``(?)`` follow. No
    alias can imitate this ending, because an alias contains no blanks."""
    return f"{shortened(alias)} (?)" if self_named else shortened(alias)


def _colon(message: Message) -> str:
    """What separates a name from the text: a star if smpchat's own words come first, a colon if the author's words do.

    Nobody can fake this mark. A text cannot, because the mark stands before the text. An alias cannot either, because
    the mark includes a blank, and an alias contains none.
    """
    ours, _ = _parts(message)[0]
    return " * " if ours else ": "


def _parts(message: Message) -> list[Part]:
    """The parts of a message in the order in which they are shown: the message that it answers, its kind, the author's
    words, and its changes.

    smpchat's own words follow either the star in the heading, or a bar in the margin (`in_margin`). An author can write
    a star or a bar too, but never in the heading or in the margin.
    """
    parts = [(True, shown) for shown in (_quote_line(message), _marks(message)) if shown]
    if message.deleted:
        by = message.deleted_by
        parts.append((True, _DELETED if by is None else f"[deleted by {_unbracketed(shortened(by))}]"))
    else:
        words, left_out = abridged(message.text.removeprefix(message.note).removeprefix(" " if message.note else ""))
        if words or not parts:
            parts.append((False, words))
        if left_out:
            parts.append((True, left_out))
        if message.preview is not None:
            parts.append((True, _preview(message.preview)))
    marks = _change_marks(message)
    return [*parts, (True, f"({marks})")] if marks else parts


def _marks(message: Message) -> str:
    """What smpchat says about a message before the author's words, such as ``[from carol] [forwarded] [image p.jpg, 4
    KiB]``. Often empty."""
    if message.deleted:
        return ""
    # in a group, the heading already names the sender
    passed_on = message.sender is not None and not message.group
    sender = f"[from {_unbracketed(shortened(message.sender or ''))}]" if passed_on else ""
    via = f"[via {_unbracketed(shortened(message.via))}]" if message.via is not None else ""
    forwarded = "[forwarded]" if message.forwarded else ""
    note = printable(message.note)
    if message.content == GROUP_INVITATION:
        note = _JOIN().sub(lambda command: command[0].replace(" ", STAYS_TOGETHER), note)
    return " ".join(filter(None, (sender, via, forwarded, note)))


def _unbracketed(name: str) -> str:
    return name.replace("[", "(").replace("]", ")")


def _preview(preview: Preview) -> str:
    """What the sender's app says about a link in the message, such as ``[Example title: a description]``."""
    found = ": ".join(filter(None, (preview.title, preview.description)))
    return f"[{_unbracketed(printable(found or preview.uri))}]"


def _quote_line(message: Message) -> str:
    """For a reply, a line that quotes the message that it answers, such as ``> alice: are you there?``. Empty if the
    message is not a reply."""
    quoted = message.reply_to
    if quoted is None:
        return ""
    shown = _DELETED if quoted.deleted else shortened(quoted.text.split("\n", 1)[0])
    author = quoted.sender or message.contact
    return f"> {'you' if quoted.direction is Direction.SENT else shortened(author)}: {shown}"


def _change_marks(message: Message) -> str:
    """What smpchat says about a message after the author's words, such as ``edited, 👍 alice``: mostly what has
    happened to the message since it was sent. Often empty."""
    marks = ["still typing"] if message.live else []
    if message.file is not None and (told := file_mark(message)):
        marks.append(told)
    marks += ["edited"] if message.edited and not message.deleted else []
    marks += [f"{printable(r.emoji)} {_who_reacted(message, r)}" for r in message.reactions]
    if message.expires_at is not None:
        marks.append(f"until {since(message.expires_at, message.sent_at)}")
    elif message.ttl is not None and not message.deleted:
        marks.append(f"disappears after {duration_text(message.ttl)}")
    return ", ".join(marks)


def _who_reacted(message: Message, reaction: Reaction) -> str:
    if reaction.direction is Direction.SENT:
        return "you"
    if not message.group:
        return shortened(message.contact)
    if len(reaction.members) != reaction.people or reaction.people > _NAMED:
        return str(reaction.people)
    return " and ".join(shortened(member) for member in reaction.members)


def message_text(environment: Environment, message: Message) -> Text:
    """A message as `listen`, `send` and `connect` print it, with styles."""
    from rich.text import Text

    style = "bold" if message.direction is Direction.RECEIVED else "dim"
    return _append_said(environment, Text.assemble((_heading(message), style)), message, 4)


def _append_said(environment: Environment, heading: Text, message: Message, indent: int) -> Text:
    """Add the text of the message to ``heading``, and the status if we sent the message. Returns ``heading``."""
    from smpchat.cli.views import markup

    mark = TICKS.get(message.status, "") if environment.symbols else f"({message.status})"
    parts, drawn = _with_status(message, mark), None
    if markup.are_shown(environment):
        parts, drawn = markup.taken_out(parts)
    begin, said = len(heading), in_margin(environment, parts, heading.cell_len, indent)
    heading.append(said)
    if drawn is not None:
        markup.draw(heading, begin, drawn)
    if message.direction is Direction.SENT:
        heading.stylize(_STYLES.get(message.status, ""), begin + said.rfind(mark))
    return heading


def conversation(
    environment: Environment, messages: list[Message], previous: Message | None = None, *, several: bool = False
) -> list[Text]:
    """Lines of a conversation: a separator at the beginning of each day, then time, author and text.

    Args:
        previous: The message that was shown before these. If that message and the first of ``messages`` are from the
            same day, no separator comes first.
        several: Whether the messages are from several conversations: then our messages also name the contact.
    """
    from rich.text import Text

    lines = []
    today = day(previous.sent_at) if previous else None
    for message in messages:
        if day(message.sent_at) != today:
            today = day(message.sent_at)
            lines.append(Text(_separator(today, "─── " if environment.symbols else "--- "), "dim"))
        lines.append(spoken(environment, message, several=several))
    return lines


def show_history(
    environment: Environment,
    messages: list[Message],
    notices: Sequence[StoredNotice] = (),
    *,
    several: bool = False,
) -> None:
    """Print ``message`` and ``notice`` objects for scripts; for people, the lines of a `conversation`, with the notices
    between them."""
    previous = None
    for said, happened in interleaved(messages, notices):
        if environment.json:
            for message in said:
                show_message(environment, message)
        elif environment.styled:
            for line in conversation(environment, said, previous, several=several):
                environment.show(line)
        else:
            _print_in_words([_as_typed(environment, message) for message in said], previous, several=several)
        previous = said[-1] if said else previous
        if happened is not None and environment.json:
            show_stored_notice(environment, happened)
        elif happened is not None and environment.styled:
            environment.show(notice_text(environment, happened))
        elif happened is not None:
            print(_notice_line(environment, happened), flush=True)


def _print_in_words(messages: list[Message], previous: Message | None, *, several: bool) -> None:
    """Print the lines of a `conversation` without styles. (So `rich` need not be imported.)"""
    today = day(previous.sent_at) if previous else None
    for message in messages:
        if day(message.sent_at) != today:
            today = day(message.sent_at)
            print(_separator(today, "--- "), flush=True)
        heading = f"{_when(message)}  {_who(message, several=several)}{_colon(message)}"
        print(heading + _said_in_words(message, _NUMBERED), flush=True)


def _separator(today: str, rule: str) -> str:
    return f"{rule}{today}{rule[::-1]}"


def _when(message: Message) -> str:
    return f"{message.id:>4}  {clock(message.sent_at)}"


def _who(message: Message, *, several: bool) -> str:
    if message.direction is Direction.SENT:
        return f"to {shortened(message.contact)}" if several else "you"
    if message.group and message.sender is not None:
        return f"{shortened(message.sender)} in {shortened(message.contact)}" if several else shortened(message.sender)
    return named(message.contact, self_named=message.self_named)


def interleaved(
    messages: list[Message], notices: Sequence[StoredNotice]
) -> list[tuple[list[Message], StoredNotice | None]]:
    """Messages and notices in the order of time. For each notice, there is a pair: the messages before this notice, and
    the notice. The last pair has the messages after the last notice, and None."""
    parts: list[tuple[list[Message], StoredNotice | None]] = []
    for notice in notices:
        before = list(takewhile(lambda message: message.sent_at <= notice.at, messages))  # noqa: B023 - used at once
        messages = messages[len(before) :]
        parts.append((before, notice))
    return [*parts, (messages, None)]


def notice_text(environment: Environment, notice: StoredNotice) -> Text:
    """A stored notice, as a line of a conversation: ``      14:02  * bob now receives at the relay new.test.``"""
    from rich.text import Text

    return Text(_notice_line(environment, notice), "dim")


def _notice_line(environment: Environment, notice: StoredNotice) -> str:
    return f"{'':4}  {clock(notice.at)}  * {environment.as_typed(printable(notice.text))}"


def show_stored_notice(environment: Environment, notice: StoredNotice) -> None:
    """Print a ``notice`` object for scripts; for people, a line such as ``* bob now receives at the relay
    new.test.``"""
    text = environment.as_typed(notice.text)
    fields = {"contact": notice.contact, "kind": notice.kind, "text": text, "at": iso(notice.at)}
    environment.emit("notice", fields, f"* {printable(text)}")


def spoken(environment: Environment, message: Message, *, several: bool = False, now: float | None = None) -> Text:
    """A message with its number and time, such as ``  12  09:14  bob: hello``, or ``  13  09:15  you: hello back  ✓✓``.

    Args:
        several: See `conversation`.
        now: The present time, if the message is shown alone; None inside a conversation.
    """
    from rich.text import Text

    message = _as_typed(environment, message)
    who = (_who(message, several=several), "bold" if message.direction is Direction.RECEIVED else "dim")
    # Inside a conversation, the time without the day is enough. A message that is shown alone also gets its day, unless
    # that day is today.
    when = _when(message) if now is None else f"{message.id:>4}  {since(message.sent_at, now)}"
    heading = Text.assemble((when, "dim"), "  ", who, _colon(message))
    return _append_said(environment, heading, message, _NUMBERED)


def being_written(environment: Environment, message: Message) -> Text:
    """A live message while its author is typing it, such as ``bob is typing: I am typi``. Of a long message, only the
    end is shown, so that there is room for what the user types."""
    from rich.text import Text

    words = " ".join(printable(message.text[-2 * _WRITTEN :], lines=True).split())
    shown = words if len(words) <= _WRITTEN else "…" + words[1 - _WRITTEN :]
    heading = f"{shortened(message.sender or message.contact)} is typing: "
    return Text(heading + indented(environment, shown, len(heading), 4), "dim")


def show_status(environment: Environment, event: StatusChanged) -> None:
    """Print a ``status`` object for scripts; for people, a line such as ``message 3 to alice: delivered``."""
    fields: dict[str, Any] = {"id": event.id, "contact": event.contact, "status": event.status}
    if event.reason:
        fields["reason"] = event.reason
    status = event.status
    if event.members is not None:
        fields |= {"delivered_to": event.delivered_to, "members": event.members}
        if event.status == MessageStatus.DELIVERED:
            status += f" to {event.delivered_to} of {event.members}"
    why = f" ({printable(event.reason)})" if event.reason else ""
    environment.emit("status", fields, f"message {event.id} to {shortened(event.contact)}: {status}{why}")


def show_notice(environment: Environment, event: Notice) -> None:
    """Print the sentence of a notice for people, on standard error."""
    environment.notice(printable(event.sentence))


def unread_summary(counts: dict[str, int]) -> str:
    """How many messages of each contact are unread, such as ``bob 2, carol 1``; empty if none is unread."""
    return ", ".join(f"{narrowed(alias, 20)} {count}" for alias, count in counts.items())


def pending_line(alias: str, pending: int) -> str:
    """How many messages to a contact are not sent yet, such as ``bob: 2 messages pending``."""
    return f"{shortened(alias)}: {plural(pending, 'message')} pending"
