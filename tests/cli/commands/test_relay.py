"""``smpchat relay …`` as operators and their scripts see it."""

from __future__ import annotations

import json
import socket
import sqlite3
import stat
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from smpchat.cli.schema import problems
from smpchat.protocol.address import masked, parse_file_server, parse_server
from smpchat.relay import background
from smpchat.relay.options import OPTIONS
from smpchat.relay.statistics import figures
from tests.cli.commands.test_server import Outcome, Terminal


@pytest.fixture
def terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    monkeypatch.setenv("SMPCHAT_HOME", str(tmp_path / "home"))  # so that hints do not name it
    yield Terminal(tmp_path / "home")
    if (tmp_path / "home" / "relay").exists():
        background.stop(tmp_path / "home" / "relay")


def fitting(outcome: Outcome) -> list[dict[str, Any]]:
    """The objects, which are as the table of JSON objects says."""
    assert [problem for item in outcome.objects for problem in problems(item)] == []
    return outcome.objects


def password_of(outcome: Outcome) -> str | None:
    return parse_server(fitting(outcome)[0]["address"]).password


def test_a_relay_that_runs_here_points_to_no_log_file(terminal: Terminal) -> None:
    done = terminal.run("relay", "run", "--host", "192.0.2.1", "--host", "[::1]")
    assert done.status == 3 and "cannot listen on 192.0.2.1" in done.stderr and "relay.log" not in done.stderr


def test_options_of_start_are_kept_until_changed(terminal: Terminal) -> None:
    first = terminal.run("--json", "relay", "start", "--password", "secret", "--quota", "7")
    assert (first.status, password_of(first)) == (0, "secret")
    again = terminal.run("--json", "relay", "start", "--quota", "7")
    assert (again.status, again.stderr) == (0, "")

    changed = terminal.run("--json", "relay", "start", "--quota", "8")
    assert changed.status == 1
    assert changed.stderr.splitlines() == [
        "The relay was already running, and keeps its options.",
        "To change its options, run `smpchat relay stop`, then this command again.",
    ]
    assert password_of(terminal.run("--json", "relay", "stop")) == "****"
    assert password_of(terminal.run("--json", "relay", "start", "--quota", "8")) == "secret"
    terminal.run("relay", "stop")
    assert password_of(terminal.run("--json", "relay", "start", "--reset")) is None
    assert terminal.run("--json", "relay", "start", "--quota", "8").status == 1  # forgotten


READING: list[tuple[str, ...]] = [
    ("relay", "status"),
    ("relay", "stats"),
    ("relay", "rotate-certificate"),
    ("relay", "stop"),
    ("server", "list"),
    ("server", "add", "smp://h--vW7ZSkXPeOUpfxlFGgauQmXNFOzGoizak7Ult7cw=:hush@127.0.0.1:9"),
    ("server", "list"),
    ("server", "test"),
    ("server", "test", "smp://h--vW7ZSkXPeOUpfxlFGgauQmXNFOzGoizak7Ult7cw=:hush@127.0.0.1:9"),
    ("server", "forget", "smp://h--vW7ZSkXPeOUpfxlFGgauQmXNFOzGoizak7Ult7cw=:hush@127.0.0.1:9"),
    ("server", "add", "smp://h--vW7ZSkXPeOUpfxlFGgauQmXNFOzGoizak7Ult7cw=:hush@127.0.0.1:99999"),
    ("status",),
    ("doctor",),
    ("contacts",),
    ("profile", "show"),
    ("profile", "list"),
    ("server", "socks"),
    ("server", "private-routing"),
    ("server", "strangers"),
    ("explain", "3"),
    ("address", "show"),
    ("requests",),
]


def test_a_password_is_printed_only_where_it_is_asked_for(terminal: Terminal) -> None:
    assert "hush" in terminal.run("relay", "start", "--password", "hush").stdout, "who makes it gives it to others"
    assert "hush" in terminal.run("relay", "status", "--show-password").stdout
    for options in ((), ("--json",), ("-v",)):
        for command in READING:
            outcome = terminal.run(*options, *command)
            assert "hush" not in outcome.stdout + outcome.stderr, command
        listed = terminal.run(*options, "server", "list")
        assert "****" in listed.stdout
        assert "hush" in terminal.run(*options, "server", "list", "--show-passwords").stdout
        terminal.run("relay", "start")
    logs = [path.read_text() for path in terminal.home.rglob("*.log*")]
    assert logs and not any("hush" in log for log in logs)


def test_files_are_kept_at_a_port_that_is_told_or_not_at_all(terminal: Terminal) -> None:
    [started] = fitting(terminal.run("--json", "relay", "start", "--password", "hush"))
    assert parse_file_server(started["files_address"]).password == "hush"
    assert started["files_address"].endswith(f"@127.0.0.1:{started['files_port']}")
    lines = terminal.run("relay", "status").stdout.splitlines()
    assert lines[1] == f"files: {masked(started['files_address'])}" and "hush" not in lines[1]
    assert terminal.run("relay", "start", "--files-port", "off").status == 1  # it runs already
    terminal.run("relay", "stop")
    [without] = fitting(terminal.run("--json", "relay", "start", "--files-port", "off"))
    assert (without["files_port"], without["files_address"]) == (None, None)
    assert terminal.run("relay", "status").stdout.splitlines()[1] == "files: not stored (`--files-port off`)"


def test_why_files_are_not_kept_is_told(terminal: Terminal) -> None:
    port = terminal.run("--json", "relay", "start").objects[0]["files_port"]
    terminal.run("relay", "stop")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        trouble = f"Port {port} is used by another program."
        refused = terminal.run("relay", "start", "--files-port", str(port))
        assert refused.status == 3 and trouble in refused.stderr
        started = terminal.run("relay", "start")
        assert (started.status, started.stdout.splitlines()[-1]) == (0, f"files: not stored. {trouble}")
        assert "relay start --files-port PORT`" in started.stderr
        assert terminal.run("relay", "status").stderr == started.stderr
        [relay] = fitting(terminal.run("--json", "relay", "status"))
        assert (relay["files_trouble"], relay["files_address"]) == (trouble, None)
        [check] = [item for item in terminal.run("--json", "doctor").objects if item.get("name") == "files"]
        assert (
            not check["ok"]
            and not check["required"]
            and check["detail"].startswith(f"the embedded relay does not store files. {trouble}")
        )
        for wanted in (str(port), "0", "off"):
            assert terminal.run("relay", "start", "--files-port", wanted).status == 1  # it goes on as it was


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--files-port", "here"), "'here' is not a port."),
        (("--files-quota", "0"), "--files-quota takes a number from 1 to 100000000, not '0'."),
        (("--new-files", "perhaps"), "--new-files takes on or off, not 'perhaps'."),
        (("--quota", "0"), "--quota takes a number from 1 to 100000, not '0'."),
        (("--new-queues", "perhaps"), "--new-queues takes on or off, not 'perhaps'."),
        (("--proxy", "some"), "--proxy takes one of none, public, all."),
        (("--password", "a b"), "A password has up to 200 printable ASCII characters, without spaces, @, : and /."),
    ],
)
@pytest.mark.parametrize("command", ["run", "start"])
def test_options_that_cannot_be(terminal: Terminal, command: str, arguments: tuple[str, str], sentence: str) -> None:
    outcome = terminal.run("relay", command, *arguments)
    assert (outcome.status, outcome.stderr.splitlines()[0]) == (1, sentence)
    assert not (terminal.home / "relay").exists()


@pytest.mark.parametrize("command", ["run", "start"])
def test_help_names_every_option_with_its_default(terminal: Terminal, command: str) -> None:
    words = " ".join(terminal.run("relay", command, "--help").stdout.split())
    for option in OPTIONS:
        assert option.flag in words
        assert option.help in words


def test_figures_of_a_running_relay(terminal: Terminal) -> None:
    stopped = terminal.run("relay", "stats")
    assert (stopped.status, stopped.stderr) == (
        3,
        "The relay is not running.\nStart the relay with `smpchat relay start`.\n",
    )
    terminal.run("relay", "start")
    [content] = fitting(terminal.run("--json", "relay", "stats"))
    assert (content.pop("v"), content.pop("type")) == (1, "stats")
    assert list(content) == [name for name, _, _ in figures()]
    lines = terminal.run("relay", "stats").stdout.splitlines()
    assert len(lines) == len(content)
    assert "queues                      0" in lines
    assert "refused                     none" in lines


def test_another_certificate(terminal: Terminal) -> None:
    missing = terminal.run("relay", "rotate-certificate")
    assert missing.status == 3
    assert "no relay identity" in missing.stderr
    address = terminal.run("--json", "relay", "start").objects[0]["address"]
    rotated = terminal.run("--json", "relay", "rotate-certificate")
    assert fitting(rotated)[0]["address"] == address
    assert fitting(rotated)[0]["certificate_expires"] > "2100"
    assert "Restart the relay" in rotated.stderr
    terminal.run("relay", "stop")
    assert "Restart the relay" not in terminal.run("relay", "rotate-certificate").stderr
    assert terminal.run("--json", "relay", "start").objects[0]["address"] == address


def test_one_that_runs_out_soon_is_told(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal.run("relay", "start")
    assert terminal.run("relay", "status").stderr == ""
    monkeypatch.setattr("smpchat.transport.certificates._LIFETIME", timedelta(days=20))
    terminal.run("relay", "rotate-certificate")
    assert terminal.run("relay", "status").stderr == (
        "The relay's certificate expires in 18 days. `smpchat relay rotate-certificate` makes a new one.\n"
    )


def test_a_backup_and_what_it_is_good_for(terminal: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "relay.tar"
    assert terminal.run("relay", "backup", str(file)).status == 1  # there is none
    started = terminal.run("--json", "relay", "start").objects[0]
    written = terminal.run("--json", "relay", "backup", str(file))
    assert fitting(written) == [{"v": 1, "type": "backup", "file": str(file), "bytes": file.stat().st_size}]
    assert "Keep it as safe" in written.stderr
    if sys.platform != "win32":
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert terminal.run("relay", "backup", str(file)).status == 1  # the file exists

    assert terminal.run("relay", "restore", str(file)).status == 3  # it runs
    terminal.run("relay", "stop")
    refused = terminal.run("--json", "relay", "restore", str(file))
    assert refused.status == json.loads(refused.stdout)["code"] == 1
    other = Terminal(tmp_path / "other")
    restored = other.run("--json", "relay", "restore", str(file))
    assert fitting(restored) == [started | {"state": "stopped", "pid": None}]


def test_a_folder_that_cannot_be_used_is_named_whatever_needs_the_relay(tmp_path: Path, terminal: Terminal) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "relay").write_text("not a folder")
    for command in (["relay", "start"], ["invite", "--no-wait"], ["address", "create"]):
        done = terminal.run(*command)
        assert done.status == 1 and f"{tmp_path}/home/relay cannot be used: " in done.stderr
        assert "[Errno" not in done.stderr and "--home" in done.stderr
    (tmp_path / "home" / "relay").unlink()


@pytest.mark.parametrize("command", ["run", "start"])
def test_what_a_newer_smpchat_wrote_is_for_the_newer_one(terminal: Terminal, tmp_path: Path, command: str) -> None:
    folder = tmp_path / "home" / "relay"
    terminal.run("relay", "start")
    terminal.run("relay", "stop")
    [store] = [path for path in folder.glob("*.db") if "file" not in path.name]
    with closing(sqlite3.connect(store)) as database:
        database.execute("PRAGMA user_version = 999")
    refused = terminal.run("relay", command)
    assert refused.status == 3
    happened, then = refused.stderr.splitlines()[-2:]
    assert happened.startswith(f"A newer smpchat wrote {folder}")
    assert happened.endswith(": upgrade smpchat on this computer.")
    assert then == "After the upgrade, run the same command again."
    with closing(sqlite3.connect(store)) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (999,)


def test_why_the_relay_does_not_start_is_said_without_time_and_level(terminal: Terminal, tmp_path: Path) -> None:
    refused = terminal.run("relay", "start", "--host", "192.0.2.1")
    assert refused.status == 3
    assert refused.stderr.startswith("The relay did not start: The relay cannot listen on 192.0.2.1")
