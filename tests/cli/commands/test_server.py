"""``smpchat server …`` as scripts and people see it."""

from __future__ import annotations

import json
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from smpchat.agent.wire.file_presets import FILE_SERVERS
from smpchat.agent.wire.presets import SIMPLEX_SERVERS
from smpchat.cli.app import app, program
from smpchat.cli.command_line import globals_first
from smpchat.protocol.address import format_server
from smpchat.relay.background import start_background, stop

ELSEWHERE = "smp://h--vW7ZSkXPeOUpfxlFGgauQmXNFOzGoizak7Ult7cw=@relay.invalid"


@dataclass(frozen=True, slots=True)
class Outcome:
    status: int
    stdout: str
    stderr: str

    @property
    def objects(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stdout.splitlines()]


@dataclass(frozen=True, slots=True)
class Terminal:
    home: Path

    def run(self, *arguments: str) -> Outcome:
        result = CliRunner().invoke(app, globals_first(["--home", str(self.home), *arguments], program()))
        return Outcome(result.exit_code, result.stdout, result.stderr)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    yield Terminal(tmp_path)
    if (tmp_path / "relay").exists():
        stop(tmp_path / "relay")


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_without_configuration_the_embedded_relay_is_listed(terminal: Terminal) -> None:
    assert terminal.run("--json", "server", "list").objects == [
        {"v": 1, "type": "server", "address": None, "transport": "tls", "default": True, "embedded": True}
    ]


def test_transport_and_websocket_port_are_listed(terminal: Terminal) -> None:
    outcome = terminal.run("--json", "server", "add", ELSEWHERE, "--transport", "auto", "--ws-port", "8443")
    assert outcome.objects == [
        {
            "v": 1,
            "type": "server",
            "address": ELSEWHERE,
            "transport": "auto",
            "default": True,
            "embedded": False,
            "ws_port": 8443,
        }
    ]
    assert terminal.run("server", "list").stdout == f"* {ELSEWHERE} (auto, WebSocket port 8443)\n"
    assert terminal.run("server", "add", ELSEWHERE, "--transport", "tls").stdout == f"* {ELSEWHERE}\n"


def test_a_transport_that_is_none_changes_nothing(terminal: Terminal) -> None:
    outcome = terminal.run("server", "add", ELSEWHERE, "--transport", "pigeon")
    assert outcome.status == 1
    assert outcome.stderr == "'pigeon' is not a transport.\nChoose one of: tls, websocket, auto.\n"
    assert "pigeon" not in terminal.run("server", "list").stdout
    assert ELSEWHERE not in terminal.run("server", "list").stdout


def test_a_test_of_the_embedded_relay_starts_it_and_passes(terminal: Terminal) -> None:
    outcome = terminal.run("--json", "server", "test")
    assert outcome.status == 0
    assert [(check["type"], check["name"], check["ok"]) for check in outcome.objects] == [
        ("check", name, True) for name in ("connect", "hello", "NEW", "SKEY", "SEND", "MSG", "ACK", "DEL")
    ]
    assert all(check["detail"] and check["elapsed_ms"] >= 0 for check in outcome.objects)


def test_a_test_over_websocket_and_auto(terminal: Terminal) -> None:
    info = start_background(terminal.home / "relay", ws_port=0)
    assert info.address is not None
    outcome = terminal.run("server", "test", info.address, "--transport", "websocket", "--ws-port", str(info.ws_port))
    assert outcome.status == 0
    lines = outcome.stdout.splitlines()
    assert lines[0] == info.address
    assert lines[1].startswith("  connect ok ")
    assert lines[1].endswith(" ms  over websocket")
    assert len(lines) == 9
    outcome = terminal.run("--json", "server", "test", info.address, "--transport", "auto")
    assert outcome.objects[0]["detail"] == "over tls"


def test_a_failing_test_names_the_step_and_what_to_do(terminal: Terminal) -> None:
    address = f"{ELSEWHERE.replace('relay.invalid', '127.0.0.1')}:{unused_port()}"
    outcome = terminal.run("--json", "server", "test", address)
    assert outcome.status == 3
    check, error = outcome.objects
    assert (check["name"], check["ok"]) == ("connect", False)
    assert "connection refused" in check["detail"]
    assert (error["type"], error["code"]) == ("error", 3)
    assert outcome.stderr.startswith("The relay 127.0.0.1 failed at connect: ")
    assert "--transport auto" in outcome.stderr


def test_a_relay_that_is_another_one_is_a_failure_of_its_own_kind(terminal: Terminal) -> None:
    """Also behind one that is down: somebody may be answering in the other's place."""
    info = start_background(terminal.home / "relay")
    assert info.address is not None
    wrong = f"{ELSEWHERE.replace('relay.invalid', '127.0.0.1')}:{info.address.rpartition(':')[2]}"
    down = f"{ELSEWHERE.replace('relay.invalid', '127.0.0.1')}:{unused_port()}"
    for address in (down, wrong):
        terminal.run("server", "add", address)
    outcome = terminal.run("--json", "server", "test")
    assert (outcome.status, outcome.objects[-1]["code"]) == (5, 5)
    assert "fingerprint" in outcome.stderr and "Someone else may be answering" in outcome.stderr


def test_all_relays_for_new_queues_are_tested_though_one_fails(terminal: Terminal) -> None:
    info = start_background(terminal.home / "relay")
    assert info.address is not None
    terminal.run("server", "add", f"{ELSEWHERE.replace('relay.invalid', '127.0.0.1')}:{unused_port()}")
    terminal.run("server", "add", info.address)
    outcome = terminal.run("--json", "server", "test")
    assert outcome.status == 3
    checks = outcome.objects[:-1]
    assert [check["ok"] for check in checks] == [False] + [True] * 8
    assert {check["server"] for check in checks if check["ok"]} == {info.address}


def test_the_public_relays_are_those_of_the_apps_with_their_onion_hosts(terminal: Terminal) -> None:
    listed = [server["address"] for server in terminal.run("--json", "server", "use", "simplex").objects]
    assert listed == [format_server(server) for server in (*SIMPLEX_SERVERS, *FILE_SERVERS)]
    assert all("smp4." not in address and ".onion" in address for address in listed if address.startswith("smp:"))
    assert "smp16.simplex.im" in terminal.run("server", "list").stdout


@pytest.mark.parametrize("command", ["add", "use", "remove", "test"])
def test_an_address_that_can_never_work_is_refused_by_every_command(terminal: Terminal, command: str) -> None:
    before = terminal.run("server", "list").stdout
    for address, part in (
        ("smp://FINGERPRINT@HOST", "FINGERPRINT is a placeholder"),
        ("smp://abc@relay.example.org", "its fingerprint has 3 characters instead of 43"),
        (f"{ELSEWHERE}:0", "its port is 0"),
        ("xftp://FINGERPRINT@HOST", "FINGERPRINT is a placeholder"),
    ):
        outcome = terminal.run("server", command, address)
        assert outcome.status == 1 and outcome.stdout == ""
        assert part in " ".join(outcome.stderr.split())
    assert terminal.run("server", "list").stdout == before


def test_file_relays_are_added_used_and_removed(terminal: Terminal) -> None:
    files = ELSEWHERE.replace("smp:", "xftp:")
    assert terminal.run("server", "add", files).stdout.splitlines()[0] == f"* {files}"
    assert "TLS only" in terminal.run("server", "add", files, "--transport", "auto").stderr
    other = files.replace("relay.invalid", "other.invalid")
    assert terminal.run("server", "use", f"<{other}>").stdout.splitlines()[:2] == [f"  {files}", f"* {other}"]
    secret = other.replace("@", ":s3cret@")
    terminal.run("server", "add", secret)
    assert "s3cret" not in terminal.run("server", "list").stdout
    assert secret in terminal.run("server", "list", "--show-passwords").stdout
    for address in (files, other, secret):
        assert terminal.run("server", "remove", address).status == 0
    assert "xftp" not in terminal.run("server", "list").stdout
    assert "not in your list" in terminal.run("server", "remove", files).stderr


def test_a_file_relay_is_tested_with_a_chunk(terminal: Terminal) -> None:
    info = start_background(terminal.home / "relay")
    assert info.files_address is not None
    outcome = terminal.run("--json", "server", "test", info.files_address)
    assert outcome.status == 0
    names = [check["name"] for check in outcome.objects]
    assert names == ["connect", "hello", "FNEW", "FPUT", "FGET", "FDEL"] and all(c["ok"] for c in outcome.objects)
    dead = info.files_address.rpartition(":")[0] + f":{unused_port()}"
    failed = terminal.run("server", "test", dead)
    assert failed.status == 3 and "failed at connect" in failed.stderr


def test_an_address_as_it_is_found_on_a_page_is_taken(terminal: Terminal) -> None:
    assert terminal.run("server", "add", f"<{ELSEWHERE.replace('smp:', 'SMP:')}>.").stdout == f"* {ELSEWHERE}\n"


def test_an_address_that_was_taken_before_it_was_checked_can_be_removed(terminal: Terminal) -> None:
    terminal.run("server", "add", ELSEWHERE)
    database = sqlite3.connect(terminal.home / "profiles" / "default" / "smpchat.db")
    with closing(database), database:
        database.execute("UPDATE servers SET address = 'smp://abc0@relay.example.org'")
    assert terminal.run("server", "list").stdout == "* smp://abc0@relay.example.org\n"
    assert "embedded" in terminal.run("server", "remove", "smp://abc0@relay.example.org").stdout


def test_a_text_that_is_no_address_is_not_tested(terminal: Terminal) -> None:
    outcome = terminal.run("server", "test", "relay.example")
    assert outcome.status == 1
    assert outcome.stderr.startswith("This is not the address of a relay")


def test_the_proxy_is_kept_and_may_be_another_one_for_a_run(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def value(*arguments: str) -> object:
        [setting] = terminal.run("--json", *arguments).objects
        assert (setting["type"], setting["name"]) == ("setting", "socks")
        return setting["value"]

    assert value("server", "socks") is None
    assert value("server", "socks", "localhost:9050") == "localhost:9050"
    assert value("server", "socks") == "localhost:9050"
    assert value("server", "socks", "--socks", "localhost:1") == "localhost:1"
    assert value("--socks=off", "server", "socks") is None
    monkeypatch.setenv("SMPCHAT_SOCKS", "localhost:2")
    assert value("server", "socks") == "localhost:2"
    monkeypatch.delenv("SMPCHAT_SOCKS")
    assert value("server", "socks", "off") is None


def test_through_a_proxy_that_is_not_there_nothing_is_reached_but_the_own_relay(terminal: Terminal) -> None:
    nowhere = f"127.0.0.1:{unused_port()}"
    outcome = terminal.run("--socks", nowhere, "server", "test", ELSEWHERE)
    assert outcome.status == 3
    assert f"the SOCKS proxy {nowhere} cannot be reached" in outcome.stderr
    assert terminal.run("--socks", nowhere, "server", "test").status == 0


def test_a_proxy_that_is_no_address_is_an_error(terminal: Terminal) -> None:
    assert terminal.run("--socks", "localhost", "server", "list").status == 1


def test_private_routing_needs_a_relay_of_ones_own(terminal: Terminal) -> None:
    refused = terminal.run("server", "private-routing", "on")
    assert refused.status == 1
    assert refused.stderr.startswith("Private routing needs a relay of yours")
    terminal.run("server", "add", ELSEWHERE)
    for setting in ("on", "off"):
        [shown] = terminal.run("--json", "server", "private-routing", setting).objects
        assert (shown["type"], shown["name"], shown["value"]) == ("setting", "private-routing", setting)
        assert terminal.run("--json", "server", "private-routing").objects == [shown]
    assert terminal.run("server", "private-routing", "perhaps").status == 1


def test_private_routing_is_chosen_with_the_relay(terminal: Terminal) -> None:
    assert terminal.run("server", "use", "embedded", "--private-routing").status == 1
    for option, value in (("--private-routing", "on"), ("--no-private-routing", "off")):
        assert terminal.run("server", "use", ELSEWHERE, option).status == 0
        assert terminal.run("server", "use", ELSEWHERE).status == 0
        [shown] = terminal.run("--json", "server", "private-routing").objects
        assert shown["value"] == value
