"""What shells complete: every argument that names something there is; run in the shells themselves where they exist."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from smpchat.chat.store import settings
from tests.cli.terminal import Terminal

RELAY = "smp://u2dS9sG8nMNURyZwqASV4yROM28Er0luVTx5X1CsMrU=@smp4.simplex.im"


@pytest.fixture
def home(smpchat: Terminal) -> Iterator[Terminal]:
    """Alice has contacts bob and zoë, an invitation for carol, a request, and a relay beside one with a password."""
    smpchat.connected()
    link = smpchat("-p", "alice", "--json", "address", "create").objects("address")[0]["link"]
    assert smpchat("-p", "dave", "connect", link, "--alias", "alice").code == 0
    smpchat("-p", "alice", "listen", "--timeout", "3")
    smpchat.invite("alice", "--note", "carol")
    with smpchat.service("alice") as service, service.database.transaction() as tx:
        settings.add_server(tx, RELAY, preferred=False)
        settings.add_server(tx, RELAY.replace("=@smp4", "=:secret@smp5"), preferred=False)
    assert smpchat("-p", "alice", "rename", "bob", "Bobby").code == 0
    yield smpchat


@pytest.fixture
def complete(home: Terminal, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[str]]:
    def complete(line: str) -> list[str]:
        monkeypatch.setenv("_SMPCHAT_COMPLETE", "complete_fish")
        monkeypatch.setenv("_TYPER_COMPLETE_ARGS", line)
        monkeypatch.setenv("_TYPER_COMPLETE_FISH_ACTION", "get-args")
        return [row.partition("\t")[0] for row in home().stdout.splitlines() if row]

    return complete


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        *(
            (f"smpchat -p alice {command} Bo", ["Bobby"])
            for command in (
                "send", "chat", "history", "status", "verify", "rename", "resync", "rotate", "delete", "contact show",
                "contact set", "forward 1", "search x --who",
            )
        ),
        ("smpchat -p alice send @Bo", ["@Bobby"]),
        ("smpchat -p alice delete ca", ["carol"]),
        ("smpchat -p alice accept ", ["1"]),
        ("smpchat -p alice reject ", ["1"]),
        ("smpchat -p a", ["alice"]),
        ("smpchat send -p a", ["alice"]),
        ("smpchat profile switch b", ["bob"]),
        *(
            (f"smpchat -p alice {command} smp://u2", [RELAY])
            for command in ("server use", "server remove", "server test", "server forget", "invite --server",
                            "address create --server", "rotate Bobby --server")
        ),
        ("smpchat -p nobody send ", []),
        ("smpchat -p nobody accept ", []),
    ],
)  # fmt: skip
def test_every_argument_that_names_something_there_is(
    complete: Callable[[str], list[str]], line: str, offered: list[str]
) -> None:
    assert complete(line) == offered


SHELLS = {
    "bash": """
        eval "$(smpchat --show-completion bash)"
        COMP_LINE={line!r}; COMP_POINT=${{#COMP_LINE}}; read -ra COMP_WORDS <<<"$COMP_LINE"; COMP_CWORD={word}
        _smpchat_completion smpchat; printf '%s\\n' "${{COMPREPLY[@]}}"
    """,
    "zsh": """
        autoload -Uz compinit; compinit -u -d {cache}
        compdef() {{ }}; _arguments() {{ printf '%s\\n' "$@"; }}; _files() {{ }}
        eval "$(smpchat --show-completion zsh)"; words=({line}); CURRENT={word}+1; _smpchat_completion
    """,
    "fish": """
        smpchat --show-completion fish | source
        complete -C {line!r}
    """,
}


@pytest.mark.parametrize("shell", SHELLS)
def test_in_the_shell_itself(home: Terminal, tmp_path: Path, shell: str) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    line, word = "smpchat -p alice send Bo", 4
    there = tmp_path / "bin"
    there.mkdir()
    (there / "smpchat").write_text(f'#!/bin/sh\nexec {sys.executable} -m smpchat "$@"\n')
    (there / "smpchat").chmod(0o755)
    surroundings = os.environ | {
        "PATH": f"{there}{os.pathsep}{os.environ['PATH']}", "HOME": str(tmp_path), "SMPCHAT_HOME": str(home.home),
        "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1",
    }  # fmt: skip
    script = SHELLS[shell].format(line=line, word=word, cache=tmp_path / "zcompdump")
    ended = subprocess.run(
        [program, "-c", script], env=surroundings, capture_output=True, text=True, timeout=60, check=False
    )
    assert "Bobby" in ended.stdout, ended
