"""Who wrote is told to the desktop or to a program: not too often, and never what was written."""

from __future__ import annotations

import os
import select
import shlex
import sys
from pathlib import Path

import pytest

from smpchat.cli.notifying import sequence
from tests.cli.terminal import Terminal


def _write(smpchat: Terminal, *texts: str) -> None:
    for text in texts:
        assert smpchat("-p", "alice", "send", "bob", text).code == 0


def _listen(smpchat: Terminal, *options: str, tty: bool = True) -> str:
    return smpchat("-p", "bob", *options, "listen", "--timeout", "3", tty=tty).stdout


@pytest.mark.parametrize(
    ("kind", "told"),
    [("bell", "\a"), ("osc9", "\x1b]9;smpchat: message from alice\x1b\\"), ("osc777", "\x1b]777;notify;smpchat;")],
)
def test_listen_tells_the_terminal_once_for_a_burst(smpchat: Terminal, kind: str, told: str) -> None:
    smpchat.connected()
    smpchat("config", "set", "notifications", kind)
    _write(smpchat, "a text", "another")
    shown = _listen(smpchat)
    assert shown.count(told) == 1
    assert told not in _listen(smpchat)  # nothing came


@pytest.mark.parametrize(("options", "tty"), [((), False), (("--json",), True), (("--plain",), True)])
def test_no_sequence_goes_where_it_is_none(smpchat: Terminal, options: tuple[str, ...], tty: bool) -> None:
    smpchat.connected()
    smpchat("config", "set", "notifications", "osc9")
    _write(smpchat, "a text")
    assert "\x1b]9" not in _listen(smpchat, *options, tty=tty)


def test_it_is_off_at_first(smpchat: Terminal) -> None:
    smpchat.connected()
    _write(smpchat, "a text")
    shown = _listen(smpchat)
    assert "a text" in shown and "\a" not in shown and "\x1b]" not in shown


def test_a_name_ends_no_sequence() -> None:
    for kind in ("osc9", "osc777"):
        told = sequence(kind, "a\x1b\\b\x07;c\x9c")
        assert told.count("\x1b") == 2 and not {"\x07", "\x9c"} & set(told)
    assert sequence("osc777", "a;b").count(";") == 3


@pytest.mark.skipif(os.name != "posix", reason="the program is a script with a first line")
def test_a_program_gets_who_wrote_and_not_what(
    smpchat: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    smpchat.connected()
    monkeypatch.setenv("SMPCHAT_KEY", "hidden")
    seen = tmp_path / "a name with blanks"
    os.mkfifo(seen)
    code = f"import os; open({str(seen)!r}, 'w').write(repr(dict(os.environ)))"
    smpchat("config", "set", "notifications", shlex.join([sys.executable, "-c", code]))
    _write(smpchat, "a text")
    reading = os.open(seen, os.O_RDONLY | os.O_NONBLOCK)
    try:
        _listen(smpchat, "--json", tty=False)
        assert select.select([reading], [], [], 30)[0], "the program was not run"
        os.set_blocking(reading, True)
        with os.fdopen(reading, closefd=False) as file:
            told = file.read() or file.read()
    finally:
        os.close(reading)
    assert "'SMPCHAT_CONTACT': 'alice'" in told and "'SMPCHAT_PROFILE': 'bob'" in told and "'SMPCHAT_ID': '" in told
    assert "a text" not in told and "hidden" not in told


def test_a_program_that_is_not_there_is_told_before_anything_is_shown(smpchat: Terminal) -> None:
    smpchat.connected()
    smpchat("config", "set", "notifications", "no-such-program --now")
    result = smpchat("-p", "bob", "listen", "--timeout", "1")
    assert result.code == 1 and "There is no program 'no-such-program'" in result.stderr
    assert smpchat("-p", "bob", "contacts").code == 0  # what tells nobody needs none
