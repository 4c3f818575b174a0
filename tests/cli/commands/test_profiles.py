"""``profile switch``, ``export`` and ``import``: what they print, refuse and leave behind."""

from __future__ import annotations

import getpass
import json
import os
import stat
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from smpchat.chat.service.reading import DATABASE_NAME
from smpchat.chat.store.lock import kept_offline
from smpchat.cli.app import app
from smpchat.cli.schema import problems
from smpchat.cli.selection import FILE, as_typed, select
from smpchat.home import Home

SECRET = "correct horse"
Call = Callable[..., Result]


@pytest.fixture(autouse=True)
def _cheap(cheap_scrypt: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SMPCHAT_HOME", "SMPCHAT_PROFILE", "SMPCHAT_PASSPHRASE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def call(tmp_path: Path) -> Call:
    """Runs a command in a home with the profiles alice and bob."""
    home = tmp_path / "home"
    for name in ("alice", "bob"):
        Home(home).open(name).close()

    def run(*arguments: str, text: str = "", **environment: str) -> Result:
        return CliRunner().invoke(app, arguments, input=text, env={"SMPCHAT_HOME": str(home), **environment})

    return run


def objects(result: Result) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert [problems(value) for value in found] == [[]] * len(found)
    return found


def active(call: Call, *arguments: str, **environment: str) -> str:
    [name] = [p["name"] for p in objects(call("--json", *arguments, "profile", "list", **environment)) if p["active"]]
    return str(name)


# -- switch -----------------------------------------------------------------------------------------------------------


def test_switch_chooses_for_later_commands(call: Call, tmp_path: Path) -> None:
    [profile] = objects(call("--json", "profile", "switch", "bob"))
    assert profile == {"v": 1, "type": "profile", "name": "bob", "display_name": "bob", "active": True}
    assert objects(call("--json", "profile", "show"))[0]["name"] == "bob"
    assert active(call) == "bob"
    assert call("profile", "list").stdout == "  alice: alice\n* bob: bob\n"
    assert stat.S_IMODE((tmp_path / "home" / FILE).stat().st_mode) == 0o600
    assert call("profile", "switch", "alice").exit_code == 0
    assert active(call) == "alice"


def test_an_option_and_the_environment_win(call: Call) -> None:
    call("profile", "switch", "bob")
    assert active(call, "-p", "alice") == "alice"
    assert active(call, SMPCHAT_PROFILE="alice") == "alice"
    assert active(call, "-p", "bob", SMPCHAT_PROFILE="alice") == "bob"


def test_the_default_profile_can_be_chosen_again(call: Call) -> None:
    call("profile", "switch", "bob")
    assert call("profile", "switch", "default").exit_code == 0
    assert objects(call("--json", "profile", "show"))[0]["name"] == "default"


@pytest.mark.parametrize("name", ["carol", "", "../alice", ".", "a\nb"])
def test_switch_to_no_profile_changes_nothing(call: Call, tmp_path: Path, name: str) -> None:
    call("profile", "switch", "bob")
    result = call("--json", "profile", "switch", name)
    assert result.exit_code == 1
    assert objects(result)[0]["type"] == "error"
    assert active(call) == "bob"
    assert sorted(path.name for path in (tmp_path / "home" / "profiles").iterdir()) == ["alice", "bob"]


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\n", b"a\0b\n", b"x" * 1000])
def test_a_damaged_choice_is_an_error_and_no_other_profile(call: Call, tmp_path: Path, content: bytes) -> None:
    """To speak as somebody else would be worse than not at all."""
    (tmp_path / "home" / FILE).write_bytes(content)
    result = call("--json", "profile", "show")
    assert result.exit_code == 1
    [error] = objects(result)
    assert error["message"].endswith("does not say which profile to use.")
    assert result.stderr.startswith(error["message"])
    assert call("-p", "alice", "profile", "switch", "alice").exit_code == 0
    assert active(call) == "alice"


# -- what sentences tell to type --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Run `smpchat status`, or `smpchat delete 1`.", "Run `smpchat -p bob status`, or `smpchat -p bob delete 1`."),
        ("`smpchat relay start`, then `smpchat listen`.", "`smpchat relay start`, then `smpchat -p bob listen`."),
        ("`smpchat -p NAME profile show` makes it.", "`smpchat -p NAME profile show` makes it."),
        ("smpchat failed.", "smpchat failed."),
    ],
)
def test_commands_in_sentences_name_the_profile_where_they_must(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, shown: str
) -> None:
    monkeypatch.setenv("SMPCHAT_HOME", str(tmp_path))
    assert as_typed(text, tmp_path, "bob") == shown
    assert as_typed(text, tmp_path, "default") == text
    select(tmp_path, "bob")
    assert as_typed(text, tmp_path, "bob") == text
    (tmp_path / FILE).write_bytes(b"\xff")
    assert as_typed(text, tmp_path, "bob") == shown


def test_the_profile_of_the_environment_needs_no_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMPCHAT_HOME", str(tmp_path))
    monkeypatch.setenv("SMPCHAT_PROFILE", "my work")
    assert as_typed("`smpchat status`", tmp_path, "my work") == "`smpchat status`"
    assert as_typed("`smpchat status`", tmp_path, "default") == "`smpchat -p default status`"
    monkeypatch.delenv("SMPCHAT_PROFILE")
    assert as_typed("`smpchat status`", tmp_path, "my work") == "`smpchat -p 'my work' status`"


def test_the_hint_of_an_error_can_be_typed_as_it_stands(call: Call) -> None:
    result = call("--json", "-p", "bob", "send", "carol", "hi")
    assert objects(result)[0]["hint"].startswith("`smpchat -p bob contacts` lists your contacts")
    assert "`smpchat -p bob contacts`" in result.stderr


# -- export and import ------------------------------------------------------------------------------------------------


def export(call: Call, file: Path, *options: str, profile: str = "alice") -> Result:
    return call("--json", "-p", profile, "export", str(file), *options, SMPCHAT_PASSPHRASE=SECRET)


def test_export_and_import(call: Call, tmp_path: Path) -> None:
    file = tmp_path / "alice.smpchat"
    result = export(call, file)
    assert result.exit_code == 0
    size = file.stat().st_size
    assert objects(result) == [
        {"v": 1, "type": "export", "profile": "alice", "file": str(file), "bytes": size, "moved": False}
    ]
    assert "never both" in result.stderr
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["alice.smpchat"]
    other = call("--home", str(tmp_path / "other"), "--json", "import", str(file), SMPCHAT_PASSPHRASE=SECRET)
    assert other.exit_code == 0
    [profile] = objects(other)
    assert (profile["name"], profile["display_name"], profile["active"]) == ("alice", "alice", False)
    assert "only here" in other.stderr
    assert Home(tmp_path / "other").has("alice")


def test_import_under_another_name_keeps_what_contacts_are_told(call: Call, tmp_path: Path) -> None:
    export(call, tmp_path / "file")
    [profile] = objects(call("--json", "-p", "anna", "import", str(tmp_path / "file"), SMPCHAT_PASSPHRASE=SECRET))
    assert (profile["name"], profile["display_name"], profile["active"]) == ("anna", "alice", True)


def test_moving_leaves_the_profile_offline(call: Call, tmp_path: Path) -> None:
    result = export(call, tmp_path / "file", "--move")
    assert objects(result)[0]["moved"] is True
    assert "never goes online" in result.stderr
    for command in (["send", "bob", "hello"], ["listen", "--timeout", "20"]):
        refused = call("--json", "-p", "alice", *command)
        assert (refused.exit_code, objects(refused)[-1]["code"]) == (7, 7)
        assert "was moved away" in refused.stderr
    assert call("-p", "alice", "contacts").exit_code == 0
    assert export(call, tmp_path / "again").exit_code == 0  # nothing is lost if the first file is


@pytest.mark.parametrize("file", ["there", "no/such/folder"])
def test_export_replaces_nothing(call: Call, tmp_path: Path, file: str) -> None:
    (tmp_path / "there").write_bytes(b"precious")
    result = export(call, tmp_path / file, "--move")
    assert result.exit_code == 1
    assert (tmp_path / "there").read_bytes() == b"precious"
    with closing(Home(tmp_path / "home").open("alice")) as service:
        service.check_not_moved()


def test_export_of_no_profile(call: Call, tmp_path: Path) -> None:
    result = export(call, tmp_path / "file", profile="carol")
    assert (result.exit_code, result.stderr.splitlines()[0]) == (1, "There is no profile 'carol'.")
    assert not (tmp_path / "file").exists()
    assert not Home(tmp_path / "home").has("carol")


def test_no_export_while_a_process_is_online(call: Call, tmp_path: Path) -> None:
    with closing(Home(tmp_path / "home").open("alice")) as service, kept_offline(service.folder, "alice"):
        result = export(call, tmp_path / "file")
    assert (result.exit_code, result.stderr.splitlines()[0]) == (
        7,
        "Another smpchat is online for the profile 'alice'.",
    )
    assert not (tmp_path / "file").exists()


def imported(call: Call, file: Path, secret: str = SECRET) -> tuple[int, dict[str, Any]]:
    result = call("--json", "-p", "new", "import", str(file), SMPCHAT_PASSPHRASE=secret)
    [last] = objects(result)
    return result.exit_code, last


def test_import_refuses_what_is_wrong_and_leaves_nothing(call: Call, tmp_path: Path) -> None:
    file = tmp_path / "file"
    export(call, file)
    whole = file.read_bytes()
    assert imported(call, file, "wrong horse")[0] == 7
    for damaged in (whole[:-1], whole[:-1] + bytes([whole[-1] ^ 1]), whole[:30]):
        file.write_bytes(damaged)
        assert imported(call, file)[0] == 5
    for other in (b"", b"hello"):
        file.write_bytes(other)
        code, error = imported(call, file)
        assert (code, error["message"]) == (1, "This is not an exported profile.")
    assert imported(call, tmp_path / "missing")[0] == 1
    assert imported(call, tmp_path)[0] == 1
    assert not Home(tmp_path / "home").has("new")
    assert sorted(path.name for path in (tmp_path / "home").iterdir()) == ["profiles"]
    file.write_bytes(whole)
    assert imported(call, file)[0] == 0
    code, error = imported(call, file)
    assert (code, error["message"]) == (1, "There is already a profile 'new'.")


# -- passphrases ------------------------------------------------------------------------------------------------------


def test_a_passphrase_file_wins_over_the_environment(call: Call, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"another passphrase\r\nnot this\n")
    assert export(call, tmp_path / "file", "--passphrase-file", str(tmp_path / "secret")).exit_code == 0
    assert imported(call, tmp_path / "file")[0] == 7
    assert imported(call, tmp_path / "file", "another passphrase")[0] == 0


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "The passphrase is empty."),
        (b"\nsecond line", "The passphrase is empty."),
        (b"7 chars", "The passphrase is too short: it needs 8 characters or more."),
        (b"\xff" * 10, "The passphrase is not UTF-8 text."),
        (b"x" * 2000, "The first line of"),
        (None, "Cannot read the file"),
    ],
)
def test_a_passphrase_that_cannot_be_used(call: Call, tmp_path: Path, content: bytes | None, sentence: str) -> None:
    if content is not None:
        (tmp_path / "secret").write_bytes(content)
    result = export(call, tmp_path / "file", "--passphrase-file", str(tmp_path / "secret"))
    assert result.exit_code == 1
    assert result.stderr.startswith(sentence)
    assert not (tmp_path / "file").exists()


def test_without_a_terminal_nothing_is_asked(call: Call, tmp_path: Path) -> None:
    result = call("-p", "alice", "export", str(tmp_path / "file"), text=f"{SECRET}\n{SECRET}\n")
    assert (result.exit_code, result.stderr.splitlines()[0]) == (7, "No passphrase given, and no terminal to ask on.")


@pytest.mark.parametrize(("answers", "code"), [([SECRET, SECRET], 0), ([SECRET, "correct hors"], 1)])
def test_on_a_terminal_the_passphrase_is_asked_for_twice(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answers: list[str], code: int
) -> None:
    given = iter(answers)
    monkeypatch.setattr(getpass, "getpass", lambda _: next(given))
    monkeypatch.setattr("smpchat.cli.passphrases.sys", Attended())
    assert call("-p", "alice", "export", str(tmp_path / "file")).exit_code == code
    assert next(given, None) is None
    assert (tmp_path / "file").exists() is (code == 0)


class Attended:
    """A ``sys`` whose standard input is a terminal."""

    class stdin:
        @staticmethod
        def isatty() -> bool:
            return True


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_folder_that_cannot_be_written(call: Call, tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    result = export(call, folder / "file")
    assert result.exit_code == 1
    assert "cannot be written" in result.stderr


def test_the_store_in_the_file_is_a_snapshot(call: Call, tmp_path: Path) -> None:
    """A writer that is in the middle of something does not get in, and is not waited for."""
    with closing(Home(tmp_path / "home").open("alice")) as service, service.database.transaction():
        service.database.connection.execute("INSERT INTO settings VALUES ('half', 'done')")
        assert export(call, tmp_path / "file").exit_code == 0
    assert imported(call, tmp_path / "file")[0] == 0
    assert (tmp_path / "home" / "profiles" / "new" / DATABASE_NAME).exists()
    with closing(Home(tmp_path / "home").open("new")) as service:
        assert service.database.read("SELECT * FROM settings WHERE name = 'half'") == []
