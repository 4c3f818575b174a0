"""`--copy`: what reaches the terminal's clipboard, and where nothing may be written to it."""

from __future__ import annotations

import base64
import re
import shlex

import pytest

from tests.cli.terminal import Terminal

SEQUENCE = re.compile("\x1b]52;c;([A-Za-z0-9+/=]*)\x07")


@pytest.fixture(autouse=True)
def _no_multiplexer(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TMUX", "STY"):
        monkeypatch.delenv(name, raising=False)


def copied(stdout: str) -> str:
    [encoded] = SEQUENCE.findall(stdout)
    return base64.b64decode(encoded).decode()


def test_the_command_for_them_is_copied(smpchat: Terminal) -> None:
    result = smpchat("-p", "alice", "invite", "--copy", "--no-wait", tty=True)
    assert result.code == 0
    assert "The command for them was sent to the clipboard. If it is not there, your terminal" in " ".join(
        result.stderr.split()
    )
    command = copied(result.stdout)
    assert command in SEQUENCE.sub("", result.stdout)
    assert smpchat("-p", "bob", *shlex.split(command)[1:]).code == 0


def test_the_link_of_an_address_is_copied(smpchat: Terminal) -> None:
    made = smpchat("address", "create", "--copy", tty=True)
    assert copied(made.stdout) == copied(smpchat("address", "show", "--copy", tty=True).stdout)
    assert copied(made.stdout) == smpchat("--json", "address", "show").objects()[0]["short_link"]
    assert "The link was sent to the clipboard" in made.stderr


@pytest.mark.parametrize(
    ("flags", "tty", "term"),
    [([], False, "xterm"), (["--json"], True, "xterm"), (["--plain"], True, "xterm"), ([], True, "dumb")],
    ids=["pipe", "json", "plain", "dumb"],
)
def test_nothing_is_copied_elsewhere_and_that_is_said(
    smpchat: Terminal, monkeypatch: pytest.MonkeyPatch, flags: list[str], tty: bool, term: str
) -> None:
    monkeypatch.setenv("TERM", term)
    result = smpchat("invite", "--copy", "--no-wait", *flags, tty=tty)
    assert result.code == 0
    assert "\x1b]" not in result.stdout
    assert "Nothing was copied: --copy needs a terminal," in result.stderr


def test_it_is_off_unless_asked_for(smpchat: Terminal) -> None:
    result = smpchat("invite", "--no-wait", tty=True)
    assert not SEQUENCE.search(result.stdout) and "clipboard" not in result.stderr


def test_tmux_understands_the_sequence_itself(smpchat: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMUX", "/tmp/tmux,1,0")
    result = smpchat("invite", "--copy", "--no-wait", tty=True)
    assert copied(result.stdout).startswith("smpchat connect ")
    assert "(in tmux: `set -g set-clipboard on`)." in " ".join(result.stderr.split())


def test_screen_is_asked_to_pass_it_on_in_parts(smpchat: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STY", "1.pts-0.host")
    result = smpchat("invite", "--copy", "--no-wait", tty=True)
    parts = re.findall("\x1bP((?:(?!\x1b\\\\).)*)\x1b\\\\", result.stdout, re.DOTALL)
    assert len(parts) > 1 and max(map(len, parts)) <= 200
    assert copied("".join(parts)).startswith("smpchat connect ")
