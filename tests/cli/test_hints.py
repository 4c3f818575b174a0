"""Every command in a hint, error or notice runs as it is printed, with the home and profile of whoever reads it.

The commands are collected from the sources: a new one needs a line in `TYPED`.
"""

from __future__ import annotations

import ast
import asyncio
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import smpchat as package
from smpchat.cli import app
from smpchat.cli.environment import Environment, make_environment
from smpchat.cli.exit_status import ExitStatus
from smpchat.cli.explanations import topics
from smpchat.cli.selection import as_typed
from smpchat.relay import background
from smpchat.relay.errors import RelayError
from tests.cli.terminal import Terminal

PROFILE = "o'hara & sons"
RELAY = "smp://AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=@relay.example"
_SPAN = re.compile(r"`(smpchat [^`]*)`")
_PLACEHOLDER = re.compile(r"\{\}|(?<![\w-])[A-Z]+\b")
_OK, _INPUT, _NETWORK, _REFUSED = ExitStatus.OK, ExitStatus.INPUT, ExitStatus.NETWORK, ExitStatus.REFUSED
_STOPPED = ExitStatus.INTERRUPTED

NAMED_ONLY = {
    # told of, and nothing to type: what was done before, or the other place of a setting
    "smpchat connect",
    "smpchat export",
    "smpchat export --move",
    "smpchat profile set --receipts",
    "smpchat delete",
    "smpchat group leave",
    "smpchat group link",
    "smpchat group accept",
    "smpchat group members",
    "smpchat group set",
    "smpchat rotate",
    "smpchat send",
    "smpchat server add",
    "smpchat server private-routing",
    "smpchat server socks",
    "smpchat server use",
}
TYPED: dict[str, tuple[ExitStatus, list[str]]] = {
    # What stands for each placeholder. Statuses other than 0 are of commands that found nothing to do, or their link
    # used by the same command above: the relay is one for all.
    "smpchat --help": (_OK, []),
    "smpchat -p NAME COMMAND": (_OK, ["carol", "status"]),
    "smpchat -p NAME import FILE": (_INPUT, ["new", "none"]),
    "smpchat -p NAME profile switch NAME": (_OK, ["carol", "carol"]),
    "smpchat -p alice invite": (_OK, []),
    "smpchat -p {} profile show": (_OK, ["new"]),
    "smpchat -v COMMAND": (_OK, ["status"]),
    "smpchat COMMAND --help": (_OK, ["status"]),
    "smpchat COMMAND --timeout S": (ExitStatus.TIMEOUT, ["listen --count 9", "1"]),
    "smpchat accept WHO --any-relay": (_OK, ["1"]),
    "smpchat accept {}": (_REFUSED, ["1"]),
    "smpchat accept {} --any-relay": (_REFUSED, ["1"]),
    "smpchat address create": (_INPUT, []),
    "smpchat address show": (_OK, []),
    "smpchat chat": (_INPUT, []),
    "smpchat chat WHO": (_INPUT, ["bob"]),
    "smpchat chat {}": (_INPUT, ["bob"]),
    "smpchat demo": (_INPUT, []),  # in a loop of its own, which a test has already
    "smpchat config get {}": (_OK, ["bell"]),
    "smpchat config list": (_OK, []),
    "smpchat config path": (_OK, []),
    "smpchat config set notifications COMMAND": (_OK, ["osc9"]),
    "smpchat config set {} VALUE": (_OK, ["bell", "true"]),
    "smpchat config unset {} --profile-only": (_OK, ["bell"]),
    "smpchat connect LINK": (_OK, ["LINK"]),
    "smpchat connect LINK --alias NAME": (_REFUSED, ["LINK", "dan"]),
    "smpchat connect LINK --alias WHO": (_REFUSED, ["LINK", "dan"]),
    "smpchat contact set {} reactions yes": (_OK, ["bob"]),
    "smpchat contacts": (_OK, []),
    "smpchat delete NUMBER": (_OK, ["2"]),
    "smpchat delete WHO": (_OK, ["bob"]),
    "smpchat delete {}": (_OK, ["bob"]),
    "smpchat doctor": (_OK, []),
    "smpchat explain": (_OK, []),
    "smpchat explain 3": (_OK, []),
    "smpchat explain CODE": (_OK, ["4"]),
    "smpchat explain ready": (_OK, []),
    "smpchat files": (_OK, []),
    "smpchat group accept GROUP MEMBER": (_INPUT, ["team", "nobody"]),
    "smpchat group create NAME": (_OK, ["hikers"]),
    "smpchat group invite {} WHO": (_INPUT, ["team", "nobody"]),
    "smpchat group join NUMBER": (_INPUT, ["1"]),
    "smpchat group leave GROUP": (_INPUT, ["team"]),
    "smpchat group leave NUMBER": (_INPUT, ["1"]),
    "smpchat group members GROUP": (_INPUT, ["team"]),
    "smpchat group members GROUP --all": (_INPUT, ["team"]),
    "smpchat group remove GROUP MEMBER": (_INPUT, ["team", "nobody"]),
    "smpchat group role GROUP MEMBER ROLE": (_INPUT, ["team", "nobody", "admin"]),
    "smpchat group join {}": (_INPUT, ["1"]),
    "smpchat group leave {}": (_INPUT, ["1"]),
    "smpchat group link {}": (_INPUT, ["team"]),
    "smpchat group members {}": (_INPUT, ["team"]),
    "smpchat group role {} MEMBER owner": (_INPUT, ["team", "nobody"]),
    "smpchat groups": (_OK, []),
    "smpchat history": (_OK, []),
    "smpchat history WHO": (_OK, ["bob"]),
    "smpchat history {}": (_OK, ["bob"]),
    "smpchat invite": (_OK, []),
    "smpchat key change": (_INPUT, []),
    "smpchat key set": (_OK, []),
    "smpchat key test": (_OK, []),
    "smpchat listen": (_STOPPED, []),
    "smpchat profile list": (_OK, []),
    "smpchat profile set NAME": (_OK, ["ola"]),
    "smpchat receive --help": (_OK, []),
    "smpchat receive NUMBER": (_INPUT, ["1"]),
    "smpchat receive {}": (_INPUT, ["1"]),
    "smpchat receive {} --approve": (_INPUT, ["1"]),
    "smpchat reject {}": (_OK, ["1"]),
    "smpchat relay rotate-certificate": (_NETWORK, []),
    "smpchat relay run --help": (_OK, []),
    "smpchat relay start": (_NETWORK, []),
    "smpchat relay start --files-port PORT": (_NETWORK, ["0"]),
    "smpchat relay stop": (_OK, []),
    "smpchat mute WHO": (_OK, ["bob"]),
    "smpchat rename WHO ALIAS": (_OK, ["bob", "bobby"]),
    "smpchat rename {} ALIAS": (_OK, ["bob", "bobby"]),
    "smpchat reply NUMBER TEXT": (_OK, ["1", "hi"]),
    "smpchat requests": (_OK, []),
    "smpchat requests --reject-all": (_INPUT, []),
    "smpchat resync {}": (_OK, ["bob"]),
    "smpchat resync {} --refuse": (_INPUT, ["bob"]),
    "smpchat rotate WHO": (_OK, ["bob"]),
    "smpchat rotate {}": (_OK, ["bob"]),
    "smpchat rotate {} --cancel": (_INPUT, ["bob"]),
    "smpchat search TEXT": (_OK, ["hello"]),
    "smpchat send WHO -- TEXT": (_OK, ["bob", "hi"]),
    "smpchat send WHO --file PATH": (_INPUT, ["bob", "none"]),
    "smpchat send {} --anyway": (_OK, ["bob"]),
    "smpchat server add ADDRESS": (_OK, [RELAY]),
    "smpchat server list": (_OK, []),
    "smpchat server private-routing off": (_OK, []),
    "smpchat server socks 127.0.0.1:9050": (_OK, []),
    "smpchat server socks off": (_OK, []),
    "smpchat server strangers any": (_OK, []),
    "smpchat server test": (_NETWORK, []),
    "smpchat server use ADDRESS": (_OK, [RELAY]),
    "smpchat server use simplex": (_OK, []),
    "smpchat status": (_OK, []),
    "smpchat status WHO": (_OK, ["bob"]),
    "smpchat status {}": (_OK, ["bob"]),
    "smpchat verify WHO": (_OK, ["bob"]),
    "smpchat verify {}": (_OK, ["bob"]),
    "smpchat verify {} CODE": (_OK, ["bob", "CODE"]),
}


def texts(source: str) -> Iterator[str]:
    """Every text of a module but its docstrings; what is put in when it runs is ``{}``."""
    tree, parts = ast.parse(source), set[ast.AST]()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr):
            parts.add(node.value)
        elif isinstance(node, ast.JoinedStr):
            parts.update(node.values)
            yield "".join(str(v.value) if isinstance(v, ast.Constant) else "{}" for v in node.values)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in parts:
            yield node.value


def commands() -> set[str]:
    """Every command that a sentence of the program names in full."""
    folder = Path(package.__file__).parent
    found = {command for topic in topics() for command, _ in topic.commands}
    for path in folder.rglob("*.py"):
        for text in texts(path.read_text(encoding="utf-8")):
            found.update(re.sub(r"\{+\w*\}+", "{}", span) for span in _SPAN.findall(text))
    return {command for command in found if "[" not in command}  # patterns


def test_every_command_in_a_sentence_is_typed_here() -> None:
    found = commands() - NAMED_ONLY
    assert found - TYPED.keys() == set(), "hints that no test types"
    assert TYPED.keys() - found == set(), "hints that are gone"
    assert len(TYPED) >= 50


def test_hints_run_as_printed(smpchat: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, prepared, elsewhere = tmp_path / "my home", tmp_path / "prepared", tmp_path / "elsewhere"
    values = _prepare(smpchat, home)
    home.rename(prepared)
    smpchat.home = elsewhere  # what commands without --home would use
    monkeypatch.setenv("SMPCHAT_KEY", "correct horse battery staple")
    used: list[Environment] = []

    def noted(*arguments: Any, **options: Any) -> Environment:
        used.append(make_environment(*arguments, **options))
        return used[-1]

    def no_process(folder: Path, *_: object, **__: object) -> None:
        assert folder == home / "relay"
        raise RelayError("no process is started by a test")

    monkeypatch.setattr(app, "make_environment", noted)
    monkeypatch.setattr(background, "start_background", no_process)
    failed = []
    for hint, (status, given) in TYPED.items():
        shutil.copytree(prepared, home)
        waiting = iter([values.get(value, value) for value in given])
        line = _PLACEHOLDER.sub(lambda _: next(waiting), as_typed(f"`{hint}`", home, PROFILE).strip("`"))  # noqa: B023
        program, *arguments = shlex.split(line)
        assert program == "smpchat"
        used.clear()
        result = smpchat(*arguments, meanwhile=_interrupt if status is _STOPPED else None)
        needs_data = not re.search("--help|explain|demo", hint)
        needs_profile = needs_data and not re.search("-p|relay|profile list", hint)
        here = [] if not needs_data else [used[0].home == home, not needs_profile or used[0].profile == PROFILE]
        if result.code != status or not all(here):
            failed.append(result)
        shutil.rmtree(home)
    assert failed == [], f"{len(TYPED) - len(failed)} of {len(TYPED)} hints run as printed"
    assert not elsewhere.exists()


def _prepare(smpchat: Terminal, home: Path) -> dict[str, str]:
    """A profile with a contact, a message, an invitation and a request; what placeholders stand for."""
    smpchat.home = home
    link = smpchat.invite(PROFILE, "--note", "bob")
    assert smpchat("-p", "bob", "connect", link, "--alias", "ola", "-m", "hello").code == 0
    assert smpchat("-p", PROFILE, "listen", "--timeout", "3").code == 0
    smpchat.invite(PROFILE)
    created = smpchat("--json", "-p", PROFILE, "address", "create")
    address = str(created.objects("address")[0]["link"])
    assert smpchat("-p", "erin", "connect", address, "--alias", "ola", "--timeout", "3").code == 0
    assert smpchat("-p", PROFILE, "listen", "--timeout", "3").code == 0
    assert smpchat("-p", "bob", "listen", "--timeout", "3").code == 0
    code = smpchat("--json", "-p", PROFILE, "verify", "bob").objects("verification")[0]["code"]
    return {"LINK": shlex.quote(smpchat.invite("carol")), "CODE": str(code)}


async def _interrupt() -> None:
    await asyncio.sleep(1)
    [command] = [task for task in asyncio.all_tasks() if task.get_name() == "command"]
    command.cancel()
