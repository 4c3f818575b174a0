"""The table of commands: what the program's help says of each is what its own help begins with."""

from __future__ import annotations

import pkgutil
from typing import Any

import pytest

from smpchat.cli import commands
from smpchat.cli.app import program
from smpchat.cli.command_line import Listed
from smpchat.cli.table import COMMANDS, PANELS


def test_every_module_of_commands_is_in_the_table() -> None:
    assert {module.name.rstrip("_") for module in pkgutil.iter_modules(commands.__path__)} == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_line_of_the_table_is_the_first_of_the_help(name: str) -> None:
    listed: Any = program().commands[name]
    assert isinstance(listed, Listed)
    assert listed.help == " ".join(listed.command.help.split("\n\n")[0].split())
    assert COMMANDS[name].panel in PANELS


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("columns", [12, 45, 70])
def test_the_line_is_shortened_as_the_help_would_be(name: str, columns: int) -> None:
    listed: Any = program().commands[name]
    assert listed.get_short_help_str(columns) == listed.command.get_short_help_str(columns)


def test_the_name_of_a_command_is_that_of_the_table() -> None:
    for name in COMMANDS:
        listed: Any = program().commands[name]
        assert hasattr(listed.command, "commands") or listed.command.name == name
