"""Prints a page of messages for `history` and `search`, and names the command that prints the messages before them."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from smpchat.chat.service.reading import StoredProfile
from smpchat.cli.environment import Environment
from smpchat.cli.times import moment
from smpchat.cli.views.messages import show_history
from smpchat.encoding.record import Record, field

_USUAL = 50


class Wanted(Record):
    """Which messages a `history` or `search` command asks for. Times are kept as the user typed them.

    Attributes:
        command: The name of the command, ``history`` or ``search``.
        text: Only messages with all words of this text are wanted; if it is empty, all messages.
        before: The number of a message: only messages with smaller numbers are wanted.
    """

    command: str
    who: str | None = None
    text: str = field(default="", repr=False)
    limit: int | None = None
    since: str | None = None
    until: str | None = None
    before: int | None = None


def show_page(environment: Environment, service: StoredProfile, wanted: Wanted) -> bool:
    """Print the latest of the wanted messages, as many as fit on the page. If there are earlier ones, name the command
    for them. Returns whether anything was printed.

    Raises:
        InputError: A given time is invalid.
        UnknownContact: No contact has this alias.
    """
    now = environment.now()
    since = None if wanted.since is None else moment(wanted.since, now)
    until = None if wanted.until is None else moment(wanted.until, now, end=True)
    limit = wanted.limit or _USUAL
    page = service.find(wanted.text, wanted.who, since=since, until=until, before=wanted.before, limit=limit)
    found, happened = page.messages, []
    if wanted.who is not None and not wanted.text:
        begin = found[0].sent_at if page.more else since or 0
        happened = service.notices(wanted.who, begin)
        if wanted.before is not None:
            until = min(until or now, found[-1].sent_at if found else begin)
        if until is not None:
            happened = [notice for notice in happened if notice.at < until]
    show_history(environment, found, happened, several=wanted.who is None)
    service.were_read(found)
    # A script that set a limit gets no notice about earlier messages: it knows that there may be some.
    if page.more and (environment.attended or wanted.limit is None):
        environment.notice(f"For earlier messages: `{_next(wanted, found[0].id)}`")
    return bool(found or happened)


def nothing_found(wanted: Wanted) -> str:
    """A sentence for a page without messages."""
    which = " in that time" if wanted.since or wanted.until else " before that" if wanted.before else ""
    return f"No message{which} contains {wanted.text!r}." if wanted.text else f"No messages{which}."


def _next(wanted: Wanted, before: int) -> str:
    """The command for the page of earlier messages: those before the message with the number ``before``."""
    of_history = wanted.command == "history"
    given: Sequence[tuple[str, object]] = (
        ("--search", wanted.text or None if of_history else None),
        ("--who", None if of_history else wanted.who),
        ("-n", wanted.limit),
        ("--since", wanted.since),
        ("--until", wanted.until),
        ("--before", before),
    )
    options = [word for name, value in given if value is not None for word in _option(name, str(value))]
    argument = wanted.who if of_history else wanted.text
    if argument is None:
        return shlex.join(("smpchat", wanted.command, *options))
    if argument.startswith("-"):
        return shlex.join(("smpchat", wanted.command, *options, "--", argument))
    return shlex.join(("smpchat", wanted.command, argument, *options))


def _option(name: str, value: str) -> tuple[str, ...]:
    return (f"{name}={value}",) if value.startswith("-") else (name, value)
