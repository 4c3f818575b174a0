"""`doctor`."""

from __future__ import annotations

import errno
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from smpchat import __version__
from smpchat.client.connect import open_session
from smpchat.client.session import ServerSession
from smpchat.protocol.address import SMPServer
from tests.cli.terminal import Result, Terminal


def checks(result: Result) -> dict[str, tuple[bool, str]]:
    return {check["name"]: (check["ok"], check["detail"]) for check in result.objects("check")}


def test_a_fresh_installation_passes_and_nothing_is_made(smpchat: Terminal) -> None:
    result = smpchat("--json", "doctor")
    assert result.code == 0
    found = checks(result)
    assert all(found[name][0] for name in ("python", "libraries", "crypto", "home", "profile", "relay"))
    assert not list(smpchat.home.iterdir())


def test_people_get_a_line_for_each_check(smpchat: Terminal) -> None:
    smpchat.connected()
    lines = smpchat("-p", "alice", "doctor").stdout.splitlines()
    assert [line.split()[1] for line in lines] == [
        "python", "versions", "protocols", "libraries", "crypto", "post-quantum", "home", "config",
        "profile", "schema", "online", "clock", "terminal", "relay",
    ]  # fmt: skip
    assert any("alice: 1 contact, 0 invitations not used yet" in line for line in lines)


def test_wrong_arithmetic_is_noticed(smpchat: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    def encrypt(*arguments: Any) -> tuple[None, bytes]:
        return None, b"something else"

    monkeypatch.setattr("smpchat.crypto.ratchet.encrypt", encrypt)
    result = smpchat("--json", "doctor")
    assert (result.code, checks(result)["crypto"][0]) == (1, False)
    assert result.objects("error")[0]["message"] == "1 required check failed: crypto."


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_whether_the_home_can_be_written_is_tried(
    smpchat: Terminal, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    """Mode bits say nothing of a full or read-only disk."""

    def fsync(_: int) -> None:
        raise OSError(error, os.strerror(error))

    smpchat("-p", "alice", "profile", "set", "Alice")
    monkeypatch.setattr(os, "fsync", fsync)
    result = smpchat("--json", "-p", "alice", "doctor")
    assert (result.code, checks(result)["home"]) == (
        1, (False, f"cannot write to {smpchat.home}: {os.strerror(error)}")
    )  # fmt: skip
    assert checks(result)["profile"][0]
    assert [path.name for path in smpchat.home.iterdir()] == ["profiles"]


def test_a_home_that_cannot_be_made_is_told(smpchat: Terminal) -> None:
    (smpchat.home / "file").touch()
    for home in (smpchat.home / "file", smpchat.home / "file" / "below"):
        result = smpchat("--json", "--home", str(home), "doctor")
        assert (result.code, checks(result)["home"][0]) == (1, False)


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("CREATE VIEW spy AS SELECT * FROM messages", "the database contains a view 'spy'"),
        ("CREATE TABLE spy (x)", "the database contains a table 'spy'"),
        ("DROP INDEX notices_of", "the database lacks the index 'notices_of'"),
        ("ALTER TABLE settings ADD COLUMN more", "the table 'settings' was changed"),
    ],
)
def test_a_changed_schema_is_told(smpchat: Terminal, statement: str, what: str) -> None:
    smpchat("-p", "alice", "profile", "set", "Alice")
    with closing(sqlite3.connect(smpchat.home / "profiles" / "alice" / "smpchat.db")) as database:
        database.execute(statement)
    result = smpchat("--json", "-p", "alice", "doctor")
    assert (result.code, checks(result)["schema"][0]) == (1, False)
    assert what in checks(result)["schema"][1]


def test_a_profile_with_a_trigger_is_opened_by_nothing(smpchat: Terminal) -> None:
    """It would copy what is written from now on to where whoever made it finds it."""
    smpchat("-p", "alice", "profile", "set", "Alice")
    with closing(sqlite3.connect(smpchat.home / "profiles" / "alice" / "smpchat.db")) as database:
        database.execute("CREATE TRIGGER spy INSERT ON messages BEGIN DELETE FROM settings; END")
    result = smpchat("--json", "-p", "alice", "doctor")
    assert (result.code, checks(result)["profile"][0]) == (1, False)
    result = smpchat("--json", "-p", "alice", "contacts")
    [error] = result.objects("error")
    assert (result.code, error["code"]) == (5, 5)
    assert "contains a trigger that smpchat did not make: 'spy'" in error["message"]
    assert smpchat("-p", "bob", "profile", "set", "Bob").code == 0  # another profile
    result = smpchat("--json", "profile", "list")
    assert [found["name"] for found in result.objects("profile")] == ["bob"]
    assert (result.code, [error["code"] for error in result.objects("error")]) == (5, [5])


def test_a_store_that_cannot_be_used_is_named(smpchat: Terminal) -> None:
    smpchat("-p", "alice", "profile", "set", "Alice")
    path = smpchat.home / "profiles" / "alice" / "smpchat.db"
    for leftover in path.parent.glob("smpchat.db-*"):
        leftover.unlink()
    path.write_bytes(b"not a database at all" * 100)
    result = smpchat("--json", "-p", "alice", "doctor")
    assert result.code == 1
    assert not checks(result)["profile"][0]


def test_a_clock_that_is_behind_is_noticed(smpchat: Terminal) -> None:
    smpchat.connected()
    smpchat("-p", "alice", "send", "bob", "hi")
    smpchat("-p", "bob", "listen", "--timeout", "3")
    smpchat.wait(-3600)
    result = smpchat("--json", "-p", "bob", "doctor")
    assert (result.code, checks(result)["clock"][0]) == (0, False)


def test_relays_are_asked_and_their_silence_is_no_failure(smpchat: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    async def connect(server: SMPServer, *, entropy: Any, on_event: Any, **_: Any) -> ServerSession:
        return await open_session(smpchat.relay.connect(), server, entropy=entropy, on_event=on_event)

    monkeypatch.setattr("smpchat.client.connect.connect", connect)
    assert smpchat("-p", "alice", "server", "add", str(smpchat.relay.server)).code == 0
    assert "127.0.0.1 answered in" in checks(smpchat("--json", "-p", "alice", "doctor"))["relay"][1]
    smpchat.relay.running = False
    result = smpchat("--json", "-p", "alice", "doctor")
    assert (result.code, checks(result)["relay"][0]) == (0, False)


def test_the_relay_of_a_queue_is_asked_though_it_is_not_configured(
    smpchat: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def connect(server: SMPServer, *, entropy: Any, on_event: Any, **_: Any) -> ServerSession:
        return await open_session(smpchat.relay.connect(), server, entropy=entropy, on_event=on_event)

    smpchat.connected()
    monkeypatch.setattr("smpchat.client.connect.connect", connect)
    monkeypatch.setattr(smpchat, "owns", lambda _: False)
    smpchat.relay.running = False
    found = [check for check in smpchat("--json", "-p", "alice", "doctor").objects("check") if check["name"] == "relay"]
    assert [check["ok"] for check in found][-1:] == [False]
    assert found[-1]["detail"].endswith("until it answers, nothing arrives from bob")
    assert not found[-1]["required"]


def test_a_process_that_is_online_is_seen(smpchat: Terminal) -> None:
    from filelock import FileLock

    smpchat("-p", "alice", "profile", "set", "Alice")
    with FileLock(smpchat.home / "profiles" / "alice" / "online.lock"):
        assert "another smpchat" in checks(smpchat("--json", "-p", "alice", "doctor"))["online"][1]
    assert "no smpchat is online" in checks(smpchat("--json", "-p", "alice", "doctor"))["online"][1]


def test_long_details_stay_in_their_column(smpchat: Terminal) -> None:
    lines = smpchat("doctor", "--no-color", tty=True).stdout.splitlines()
    assert [line[:17] for line in lines if "rich " in line or "typer " in line][-1] == " " * 17


def test_the_versions_that_a_report_needs_are_named(smpchat: Terminal) -> None:
    found = checks(smpchat("--json", "doctor"))
    assert [name.split()[0] for name in found["versions"][1].split(", ")] == ["smpchat", "Python", "OpenSSL", "SQLite"]
    assert f"smpchat {__version__}, " in found["versions"][1]
    assert "SMP 7-18" in found["protocols"][1] and "agent 2-7" in found["protocols"][1]


@pytest.mark.parametrize("command", ["export", "import", "relay backup", "relay restore", "key set"])
def test_what_a_killed_command_left_is_told_and_removed_by_the_next(
    smpchat: Terminal, tmp_path: Path, command: str
) -> None:
    smpchat("-p", "alice", "profile", "set", "Alice")
    left = tmp_path / ".alice.smpchat.0123456789abcdef"
    left.write_bytes(b"half of it")
    register = smpchat.home / ".under-way"
    register.mkdir(mode=0o700)
    (register / "0123456789abcdef").write_bytes(bytes(left))
    result = smpchat("--json", "-p", "alice", "doctor")
    assert (result.code, checks(result)["leftovers"]) == (
        0,
        (False, f"left by an interrupted command: {left}; the next export, import, backup or restore cleans up"),
    )
    (tmp_path / "file").touch()
    (tmp_path / "secret").write_text("correct horse battery")
    options = ["--passphrase-file", str(tmp_path / "secret")] if " " not in command else []
    file = [str(tmp_path / "file")] if command != "key set" else ["--key-file", str(tmp_path / "secret")]
    told = smpchat("-p", "alice", *command.split(), *file, *options).stderr
    assert f"Removed {left}, left by an interrupted command." in told
    assert not left.exists() and not register.exists()
    assert "leftovers" not in checks(smpchat("--json", "-p", "bob", "doctor"))
