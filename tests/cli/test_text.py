"""Text in and out: UTF-8 from standard input, whatever the locale is, and no character that cannot be printed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from smpchat.chat.store import records
from smpchat.cli.app import program
from smpchat.cli.command_line import loaded
from smpchat.cli.streams import MAX_INPUT
from smpchat.cli.text import filled, narrowed, sentence
from smpchat.home import Home
from tests.cli.commands.test_changes import home as home  # a fixture: Alice knows Bob
from tests.cli.terminal import Terminal

LOCALES = {
    "utf-8": {"PYTHONUTF8": "1"},
    "C": {"LC_ALL": "C"},
    "ASCII": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "Latin-1": {"PYTHONIOENCODING": "latin-1"},
}


@pytest.fixture
def copy(home: Path, tmp_path: Path) -> Path:
    import shutil

    return Path(shutil.copytree(home, tmp_path / "home"))


def run(
    home: Path, *arguments: str | bytes, stdin: bytes = b"", environment: dict[str, str] = LOCALES["utf-8"]
) -> subprocess.CompletedProcess[bytes]:
    """A command of Alice's as a process; nothing goes online with ``--wait none``."""
    unset = {name: value for name, value in os.environ.items() if not name.startswith(("SMPCHAT_", "LC_", "LANG"))}
    command = [sys.executable, "-m", "smpchat", "--home", str(home), "-p", "alice", *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, env=unset | environment, timeout=30, check=False)


def texts(home: Path) -> list[str]:
    with closing(Home(home).open("alice")) as service:
        return [message.text for message in service.history("bob")][2:]


@pytest.mark.parametrize("locale", LOCALES)
def test_standard_input_is_utf_8(copy: Path, locale: str) -> None:
    text = "café 😀\n日本"
    result = run(copy, "send", "bob", "-", "--wait", "none", stdin=f"{text}\n".encode(), environment=LOCALES[locale])
    assert result.returncode == 0, result.stderr
    assert texts(copy) == [text]


@pytest.mark.parametrize("locale", ["utf-8", "C", "ASCII"])
def test_an_argument_is_utf_8(copy: Path, locale: str) -> None:
    result = run(copy, "send", "bob", "café 😀".encode(), "--wait", "none", environment=LOCALES[locale])
    assert result.returncode == 0, result.stderr
    assert texts(copy) == ["café 😀"]


@pytest.mark.parametrize(
    ("command", "locale"),
    [*(("send", locale) for locale in LOCALES), ("reply", "ASCII"), ("edit", "ASCII"), ("connect", "ASCII")],
)
def test_other_bytes_on_standard_input_are_one_sentence(copy: Path, command: str, locale: str) -> None:
    whom = {"send": ["bob", "-"], "reply": ["1", "-"], "edit": ["1", "-"], "connect": ["-", "--alias", "x"]}[command]
    result = run(copy, "--json", command, *whom, stdin=b"caf\xe9\n", environment=LOCALES[locale])
    assert result.returncode == 1
    [error] = [json.loads(line) for line in result.stdout.splitlines()]
    assert error["message"] == "Standard input is not UTF-8 text: byte 4 is invalid."
    assert b"Traceback" not in result.stderr
    assert texts(copy) == []


@pytest.mark.parametrize(
    "arguments", [["send", "bob", b"caf\xe9"], ["rename", "bob", b"caf\xe9"], ["history", b"\xff"]]
)
def test_other_bytes_as_arguments_are_one_sentence(copy: Path, arguments: list[str | bytes]) -> None:
    result = run(copy, "--json", *arguments)
    assert result.returncode == 1
    assert len(result.stdout.splitlines()) == 1
    assert b"Traceback" not in result.stderr and b"unexpectedly" not in result.stderr
    assert texts(copy) == []


def test_a_byte_order_mark_and_windows_line_ends_are_no_text(copy: Path) -> None:
    run(copy, "send", "bob", "-", "--wait", "none", stdin=b"\xef\xbb\xbfone\r\ntwo\r\n")
    assert texts(copy) == ["one\ntwo"]


def test_too_much_on_standard_input_is_not_read_to_its_end(copy: Path) -> None:
    result = run(copy, "send", "bob", "-", stdin=b"x" * (MAX_INPUT + 1))
    assert result.returncode == 1
    assert result.stderr.startswith(b"Standard input has more than 1,048,576 bytes")


def test_what_is_to_be_typed_stays_on_one_line() -> None:
    shown = filled("Only this computer can reach it; to reach others: `smpchat server use simplex`. Then go on.", 60)
    assert shown.split("\n") == [
        "Only this computer can reach it; to reach others:",
        "`smpchat server use simplex`. Then go on.",
    ]


@pytest.mark.parametrize(
    ("name", "shown"),
    [("abcdef", "abcdef"), ("abcdefg", "abcde…"), ("漢字漢", "漢字漢"), ("漢字漢字", "漢字…"), ("a\u200b", "a\\u{2…")],
)
def test_a_name_is_cut_by_the_columns_that_it_takes(name: str, shown: str) -> None:
    assert narrowed(name, 6) == shown


def test_a_link_from_standard_input(copy: Path) -> None:
    result = run(copy, "--json", "connect", "-", "--alias", "x", stdin=b"\n  no link \n")
    assert result.returncode == 1
    assert json.loads(result.stdout)["hint"].startswith("Copy the whole link again")


@pytest.mark.parametrize("locale", LOCALES)
def test_whatever_a_contact_writes_can_be_printed(copy: Path, locale: str) -> None:
    with closing(Home(copy).open("alice")) as service, service.database.transaction() as tx:
        bob = records.contact(tx, "bob")
        records.insert_message(tx, bob.id, records.Direction.RECEIVED, "€ 😀", 0, None)
    result = run(copy, "history", "bob", environment=LOCALES[locale])
    assert result.returncode == 0, result.stderr
    shown = "€ 😀".encode() if locale in ("utf-8", "C") else rb"\u20ac \U0001f600"
    assert shown in result.stdout


# -- what is no text ---------------------------------------------------------------------------------------------------

NO_TEXT = "x\udcff"
"""How Python writes a byte of a command line that fits nothing."""


def every_command(group: Any, *path: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, listed in group.commands.items():
        command = loaded(listed)
        if hasattr(command, "commands"):
            yield from every_command(command, *path, name)
        else:
            yield (*path, name), command


def lines_with(wrong: str) -> Iterator[tuple[str, ...]]:
    """Each text that each command takes, wrong; the least for the others."""
    for path, command in every_command(program()):
        texts = [p for p in command.params if p.type.name in ("text", "str")]
        for chosen in texts:
            line: list[str] = [*path]
            for parameter in command.params:
                if parameter is chosen:
                    line += [wrong] if parameter.param_type_name == "argument" else [parameter.opts[0], wrong]
                elif parameter.param_type_name == "argument" and parameter.required:
                    line.append("1")
            yield tuple(line)


@pytest.mark.parametrize("line", [*lines_with(NO_TEXT)], ids=lambda line: ascii(" ".join(line)))
def test_bytes_that_are_no_text_end_in_a_sentence(smpchat: Terminal, line: tuple[str, ...]) -> None:
    """Wherever they stand: none of our errors is a traceback, and nothing is kept."""
    smpchat("profile", "set", "Ola")
    with smpchat.service("default") as service:
        before = list(service.database.connection.iterdump())
    result = smpchat("--json", *line)
    [error] = result.objects("error")
    assert (result.code, error["code"]) in ((1, 1), (2, 2), (7, 7)), error
    assert "unexpectedly" not in error["message"]
    assert error["message"].isprintable() and "Traceback" not in result.stderr
    with smpchat.service("default") as service:
        assert list(service.database.connection.iterdump()) == before


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("relay.tar exists already", "relay.tar exists already."),
        ("/srv/x cannot be used", "/srv/x cannot be used."),
        ("smp.example.org does not answer", "smp.example.org does not answer."),
        ("the relay's folder is full", "The relay's folder is full."),
        ("nothing came: try again", "Nothing came: try again."),
        ("post-quantum keys are missing", "Post-quantum keys are missing."),
    ],
)
def test_names_of_files_and_hosts_are_not_capitalised(text: str, shown: str) -> None:
    assert sentence(text) == shown
