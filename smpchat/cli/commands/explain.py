"""``explain``: what an exit code or a state means, and who acts next."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

import typer

from smpchat.chat.errors import InputError
from smpchat.cli.command_line import Program, examples
from smpchat.cli.environment import Environment
from smpchat.cli.exit_status import ExitStatus
from smpchat.cli.explanations import find, topics
from smpchat.cli.running import run
from smpchat.cli.topic import Kind, Mover, Topic
from smpchat.encoding.record import replace

app = Program()
_TYPE = "explanation"
_KINDS = {
    Kind.EXIT: ("Exit code", "Exit codes"),
    Kind.CONNECTION: ("Connection state", "Connection states"),
    Kind.MESSAGE: ("Message status", "Message statuses"),
    Kind.GROUP: ("Group state", "States of groups and members"),
    Kind.MEMBER: ("Connection to a member", "Connections to members"),
}
_WHO = {
    Mover.YOU: "you",
    Mover.CONTACT: "your contact",
    Mover.MEMBER: "another member",
    Mover.OPERATOR: "the relay's operator",
    Mover.NOBODY: "automatic",
}
_MAX_WIDTH = 100
_OFF_TERMINAL = 80


def _names(incomplete: str) -> list[str]:
    """Names of exit codes and states that begin with ``incomplete``, for completion in a shell."""
    return sorted({topic.name for topic in topics() if topic.name.startswith(incomplete)})


@app.command(epilog=examples("smpchat explain 4", "smpchat explain ready"))
def explain(
    context: typer.Context,
    code: list[str] | None = typer.Argument(
        None,
        metavar="[CODE]...",
        help="An exit code, or a state such as ready, which `status` shows (default: all).",
        autocompletion=_names,
    ),
) -> None:
    """Explain an exit code or state, and what to do."""
    run(context, lambda environment: _explain(environment, " ".join(code) if code else None), reads_config=False)


def _explain(environment: Environment, code: str | None) -> int:
    """Explain the exit code or state ``code``; without ``code``, print one line about each exit code and state."""
    found = [_as_typed(environment, topic) for topic in (topics() if code is None else find(code))]
    if not found:
        raise InputError(f"There is no exit code or state {code!r}.", "`smpchat explain` lists all of them.")
    if environment.json:
        for topic in found:
            environment.emit(_TYPE, _fields(topic), None)
        return ExitStatus.OK
    width = min(shutil.get_terminal_size().columns, _MAX_WIDTH) if environment.attended else _OFF_TERMINAL
    lines = _overview(found, width) if code is None else _in_full(found, width)
    environment.emit(_TYPE, {}, "\n".join(lines))
    if code is None and environment.attended:
        environment.notice("\n`smpchat explain 3` or `smpchat explain ready` tells you more, and who acts next.")
    return ExitStatus.OK


def _as_typed(environment: Environment, topic: Topic) -> Topic:
    """The topic, with the options ``--home`` and ``-p`` added to its commands where they are needed, so that the
    commands use the same profile as this run of smpchat."""
    commands = tuple((environment.as_typed(f"`{command}`").strip("`"), what) for command, what in topic.commands)
    return replace(topic, commands=commands)


def _fields(topic: Topic) -> dict[str, Any]:
    fields: dict[str, Any] = {"kind": topic.kind, "name": topic.name}
    if topic.code is not None:
        fields["code"] = topic.code
    return fields | {
        "meaning": topic.meaning,
        "text": topic.happened,
        "moves": [{"who": who, "what": what} for who, what in topic.moves],
        "commands": [{"command": command, "what": what} for command, what in topic.commands],
        "causes": list(topic.causes),
    }


def _overview(found: Iterable[Topic], width: int) -> Iterator[str]:
    first = True
    for kind, group in groupby(found, key=lambda topic: topic.kind):
        if not first:
            yield ""
        first = False
        yield _KINDS[kind][1]
        for topic in group:
            number = "" if topic.code is None else f"{topic.code:>3} "
            yield from _hanging(f"  {number}{topic.name:14}", topic.meaning, width)


def _in_full(found: Iterable[Topic], width: int) -> Iterator[str]:
    for number, topic in enumerate(found):
        if number:
            yield ""
        name = topic.name if topic.code is None else f"{topic.code}, {topic.name}"
        yield from _hanging("", f"{_KINDS[topic.kind][0]} {name}: {topic.meaning}.", width)
        yield ""
        yield from _hanging("", topic.happened, width)
        yield from _table("What happens next", [(_WHO[who], what) for who, what in topic.moves], width)
        yield from _table("What to type", topic.commands, width)
        if topic.causes:
            yield from ("", "Usual causes")
            for cause in topic.causes:
                yield from _hanging("  - ", cause, width)


def _table(heading: str, rows: Sequence[tuple[str, str]], width: int) -> Iterator[str]:
    if not rows:
        return
    yield from ("", heading)
    column = max(len(left) for left, _ in rows) + 4
    for left, right in rows:
        yield from _hanging(f"  {left}".ljust(column), right, width)


def _hanging(start: str, text: str, width: int) -> list[str]:
    """``start`` and ``text``, wrapped to lines; every line after the first is indented as far as ``text`` in the
    first."""
    return textwrap.wrap(
        text,
        max(width, len(start) + 20),
        initial_indent=start,
        subsequent_indent=" " * len(start),
        break_long_words=False,
        break_on_hyphens=False,
    )
