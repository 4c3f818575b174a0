"""The program as a process of its own; and what help does not wait for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = (
    "asyncio",
    "cryptography",
    "nacl",
    "prompt_toolkit",
    "rich.console",
    "segno",
    "smpchat.chat",
    "sqlite3",
    "pydantic",
)


def _run(home: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "SMPCHAT_HOME": str(home), "LOGNAME": "ola"}
    return subprocess.run([sys.executable, *command], env=environment, capture_output=True, text=True, timeout=60)


def test_the_program_runs(tmp_path: Path) -> None:
    done = _run(tmp_path, "-m", "smpchat", "profile", "show", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["display_name"] == "ola"


def test_an_error_ends_the_process_with_its_code(tmp_path: Path) -> None:
    assert _run(tmp_path, "-m", "smpchat", "connect", "nonsense").returncode == 1
    assert _run(tmp_path, "-m", "smpchat", "nonsense").returncode == 2


@pytest.mark.parametrize("command", ["profile show", "demo"])
def test_a_reader_that_goes_away_is_no_error(tmp_path: Path, command: str) -> None:
    script = f"{sys.executable} -m smpchat {command} | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", script],
        env={**os.environ, "SMPCHAT_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.stdout, done.stderr) == ("0\n", "")


def test_the_demonstration_shows_three_steps_of_two_people(tmp_path: Path) -> None:
    done = _run(tmp_path, "-m", "smpchat", "demo", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    found = [json.loads(line) for line in done.stdout.splitlines()]
    for role in ("initiator", "joiner"):
        states = [value for value in found if value["type"] == "state" and value["role"] == role]
        assert [state["step"] for state in states] == [1, 2, 3]
        assert states[-1]["state"] == "connected"
    assert {value["status"] for value in found if value["type"] == "status"} == {"sent", "delivered"}
    assert not list(tmp_path.iterdir())


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    program = (
        "import sys; from smpchat.cli.app import main\n"
        "try: main(['--help'])\n"
        "finally: print(*sys.modules, file=sys.stderr)"
    )
    imported = _run(tmp_path, "-c", program).stderr.split()
    assert "typer" in imported
    assert not [name for name in HEAVY if name in imported]
