"""`man`: read in a pager, printed for roff, installed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from smpchat.cli.chat.slash_table import COMMANDS as SLASH_COMMANDS
from smpchat.cli.exit_status import ExitStatus
from tests.cli.terminal import Terminal
from tests.cli.test_contract import COMMANDS


def test_the_manual_names_every_command_and_exit_status(smpchat: Terminal) -> None:
    page = smpchat("man").stdout
    for command in COMMANDS:
        assert ".SS " + command.replace("-", "\\-") in page  # roff would print another hyphen
    for status in ExitStatus:
        assert f"\n{int(status)}\n" in page
    assert "\\-\\-handshake" in page


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
def test_roff_reads_the_manual(smpchat: Terminal, tmp_path: Path) -> None:
    page = smpchat("man").stdout
    done = subprocess.run(
        ["groff", "-man", "-Kutf8", "-Tutf8", "-ww", "-P-cbou"], input=page, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    assert "smpchat invite" in done.stdout


def test_the_manual_has_keys_slash_commands_and_files(smpchat: Terminal) -> None:
    sections = dict(part.split("\n", 1) for part in smpchat("man").stdout.split(".SH ")[1:])
    assert "Ctrl\\-X Ctrl\\-E" in sections["KEYS"]
    assert all(name in sections["SLASH COMMANDS"] for name in SLASH_COMMANDS)
    assert "smpchat.db" in sections["FILES"]


def _program(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def test_a_terminal_gets_the_pager(smpchat: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs, shown = tmp_path / "bin", tmp_path / "shown"
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    _program(programs, "man", f'cp "$1" {shown}')
    assert smpchat("man", tty=True).stdout == ""
    assert shown.read_text(encoding="utf-8") == smpchat("man").stdout  # into a pipe: roff
    _program(programs, "man", "exit 1")  # as in small images, where it says that there are no pages
    assert smpchat("man", tty=True).stdout.startswith(".TH SMPCHAT 1")


def test_it_is_installed_where_man_looks(smpchat: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs, pages = tmp_path / "bin", tmp_path / "share" / "man"
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    _program(programs, "manpath", "echo /usr/share/man")
    result = smpchat("man", "--install")
    assert result.stdout == f"{pages}/man1/smpchat.1\n"
    assert f"export MANPATH={pages}:" in result.stderr
    assert (pages / "man1" / "smpchat.1").read_text(encoding="utf-8") == smpchat("man").stdout
    _program(programs, "manpath", f"echo /usr/share/man:{pages}")
    assert smpchat("man", "--install").stderr == "Read it with `man smpchat`.\n"
    assert [file.name for file in (pages / "man1").iterdir()] == ["smpchat.1"]
