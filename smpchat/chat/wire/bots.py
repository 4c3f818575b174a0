"""Bots: the commands that a profile offers, and the texts that call them (agent-wire 6.3).

Apps show a bot's commands as a menu. The command that the user chooses is sent as a text, such as ``/help`` or ``/order
two``. A keyword that contains blanks is sent in quotes: ``/'all orders' of today``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from smpchat.chat.errors import InputError
from smpchat.chat.wire.content import whole
from smpchat.encoding.patterns import late
from smpchat.encoding.record import Record, field

MAX_COMMANDS = 100
"""How many commands of one bot are kept."""
_MAX_DEPTH = 4
"""How many levels of a bot's nested menus are read."""
_MAX_TEXT = 100
"""Longest keyword, label and ``params`` of a bot's command, in characters."""
_CALL = late(r"/(?:'([^'\n]+)'|([^\s/'][^\s]*))(?:\s+|$)", re.ASCII)


class BotCommand(Record):
    """One command of a bot.

    Attributes:
        keyword: The name of the command, which the user types after the slash, such as ``help``.
        label: The command's text in the menu of an app.
        params: What the user of the bot must add after the keyword, such as ``<text>``; empty if nothing.
    """

    keyword: str
    label: str
    params: str = field(default="", repr=False)


class Call(Record):
    """A text that calls a command. ``arguments``: the text after the keyword."""

    keyword: str
    arguments: str


def own_commands(commands: Iterable[BotCommand]) -> tuple[BotCommand, ...]:
    """Checks the commands of our own bot, and returns them. Raises `InputError` if apps could not show or call one."""
    kept = tuple(commands)
    if len(kept) > MAX_COMMANDS:
        raise InputError(f"A bot can have at most {MAX_COMMANDS} commands.", "Remove some commands.")
    for command in kept:
        texts = (command.keyword, command.label, command.params)
        if not all(text.isprintable() and len(text) <= _MAX_TEXT for text in texts) or not command.label:
            raise InputError(
                f"The command {command.keyword[:_MAX_TEXT]!r} is invalid.",
                f"It needs a label; keyword, label and parameters can have at most {_MAX_TEXT} printable characters.",
            )
        if read_call(_written(command.keyword)) != Call(command.keyword, ""):
            raise InputError(f"{command.keyword!r} cannot be a keyword.", "Use letters and digits, such as help.")
    return kept


def _written(keyword: str) -> str:
    return f"/'{keyword}'" if " " in keyword else f"/{keyword}"


def read_call(text: str) -> Call | None:
    """The command that a text calls; None if the text does not begin with a command."""
    found = _CALL().match(text)
    return Call(found[1] or found[2], text[found.end() :].strip()) if found else None


def called(text: str, offered: Sequence[BotCommand]) -> Call | None:
    """The command that a text calls; None if the text calls no command, or one that is not in ``offered``. If
    ``offered`` is empty, every command is accepted."""
    call = read_call(text)
    if call is None or (offered and call.keyword not in {command.keyword for command in offered}):
        return None
    return call


# -- profiles ---------------------------------------------------------------------------------------------------------


def commands_json(commands: Iterable[BotCommand]) -> list[dict[str, Any]]:
    """A bot's commands in the JSON form of a profile's preferences."""
    return [_command_json(command) for command in commands]


def _command_json(command: BotCommand) -> dict[str, Any]:
    value = {"type": "command", "keyword": command.keyword, "label": command.label}
    return value | {"params": command.params} if command.params else value


def read_commands(value: object) -> tuple[BotCommand, ...]:
    """The bot commands in a peer's profile, including the commands in menus. Malformed commands are left out."""
    found: list[BotCommand] = []
    for command in _commands(value, _MAX_DEPTH):
        found.append(command)
        if len(found) == MAX_COMMANDS:
            break
    return tuple(found)


def _commands(value: object, depth: int) -> Iterator[BotCommand]:
    if not isinstance(value, list) or not depth:
        return
    for item in value:
        if not isinstance(item, dict):
            continue
        if item.get("type") == "menu":
            yield from _commands(item.get("commands"), depth - 1)
            continue
        keyword, label = _short(item.get("keyword")), _short(item.get("label"))
        if item.get("type") == "command" and keyword:
            yield BotCommand(keyword, label or keyword, _short(item.get("params")))


def _short(value: object) -> str:
    return whole(value)[:_MAX_TEXT] if isinstance(value, str) else ""
