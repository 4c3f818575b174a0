"""``key``, and every other command of a profile that is encrypted."""

from __future__ import annotations

import getpass
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from smpchat.agent.store.database import encrypted_path
from smpchat.chat.service.reading import DATABASE_NAME
from smpchat.chat.store.lock import kept_offline
from smpchat.cli.commands.man import _ENVIRONMENT
from tests.cli.terminal import Result, Terminal
from tests.unit.agent.store.encryption_crashes import quick_keys

SECRET, OTHER = "correct horse", "battery staple"


@pytest.fixture(autouse=True)
def _quick() -> Iterator[None]:
    with quick_keys():
        yield


@pytest.fixture
def alone(smpchat: Terminal, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A home where alice is encrypted."""
    monkeypatch.setenv("SMPCHAT_KEY", SECRET)
    assert smpchat("-p", "alice", "key", "set").code == 0
    monkeypatch.delenv("SMPCHAT_KEY")
    return smpchat


@pytest.fixture
def alice(smpchat: Terminal, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A home where alice is encrypted, and knows bob, who is not."""
    smpchat.connected()
    monkeypatch.setenv("SMPCHAT_KEY", SECRET)
    assert smpchat("-p", "alice", "key", "set").code == 0
    monkeypatch.delenv("SMPCHAT_KEY")
    return smpchat


def folder(smpchat: Terminal, profile: str = "alice") -> Path:
    return smpchat.home / "profiles" / profile


def sentence(result: Result) -> tuple[int, str]:
    return result.code, result.stderr.splitlines()[0]


def test_a_profile_goes_on_encrypted(alice: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not (folder(alice) / DATABASE_NAME).exists()
    monkeypatch.setenv("SMPCHAT_KEY", SECRET)
    assert alice("-p", "alice", "send", "bob", "hello").code == 0
    assert [m["text"] for m in alice("--json", "-p", "bob", "listen", "--count", "1").objects("message")] == ["hello"]
    assert alice("-p", "bob", "send", "alice", "and you").code == 0
    heard = alice("--json", "-p", "alice", "listen", "--count", "1").objects("message")
    assert [m["text"] for m in heard] == ["and you"]
    history = alice("--json", "-p", "alice", "history", "bob").objects()
    assert [(m["text"], m["status"]) for m in history] == [("hello", "delivered"), ("and you", "received")]


def test_what_lay_beside_the_profile_goes(smpchat: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `key set`; and what an interrupted run left, with the next command."""
    assert smpchat("-p", "alice", "invite", "--no-wait", "--qr").code == 0
    assert smpchat("-p", "alice", "address", "create", "--qr").code == 0
    beside = folder(smpchat)
    (beside / "input-history").write_text("+hello")
    assert sorted(path.name for path in beside.glob("*.png")) == ["address.png", "invitation-1.png"]
    smpchat("-p", "alice", "status")
    assert not (beside / "input-history").exists(), "of a version before"
    (beside / "input-history").write_text("+hello")
    monkeypatch.setenv("SMPCHAT_KEY", SECRET)
    assert smpchat("-p", "alice", "key", "set").code == 0
    assert not list(beside.glob("*.png")) and not (beside / "input-history").exists()
    for name in ("input-history", "address.png", "invitation-1.png", DATABASE_NAME, f"{DATABASE_NAME}.new"):
        (beside / name).write_text("left by a run that was interrupted")
    assert smpchat("-p", "alice", "status").code == 0
    assert {path.name for path in beside.iterdir()} <= {encrypted_path(beside / DATABASE_NAME).name, "online.lock"}


def test_no_picture_of_a_link_is_kept_unless_asked_for(alone: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMPCHAT_KEY", SECRET)
    made = [alone("-p", "alice", *words, "--qr") for words in (("invite", "--no-wait"), ("address", "create"))]
    for result in made:
        assert result.code == 0
        assert (
            "it is not saved as a picture because your profile is encrypted. --qr-file FILE saves it." in result.stderr
        )
    assert not list(alone.home.rglob("*.png"))
    asked = alone("-p", "alice", "address", "show", "--qr-file", str(alone.home / "code.png"))
    assert "code.png. It is not encrypted. Anyone who sees it" in asked.stderr


@pytest.mark.parametrize("command", [["contacts"], ["send", "bob", "x"], ["key", "test"], ["key", "change"]])
def test_without_the_passphrase_nothing_opens(alone: Terminal, command: list[str]) -> None:
    missing = alone("-p", "alice", *command)
    assert sentence(missing) == (7, "No passphrase given, and no terminal to ask on.")
    assert missing.stderr.splitlines()[1] == "Use --key-file, --key-command or the variable SMPCHAT_KEY."
    wrong = alone("-p", "alice", "--key-command", "echo wrong passphrase", *command)
    assert sentence(wrong) == (7, "This passphrase does not open the profile.")
    assert "wrong passphrase" not in wrong.stderr


def test_where_the_passphrase_may_come_from(alone: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "secret file"
    file.write_text(f"{SECRET}\r\nnot this\n")
    monkeypatch.setenv("SMPCHAT_KEY", "of the variable")
    printing = f"{sys.executable} -c {shlex.quote(f'print({SECRET!r})')}"
    assert alone("-p", "alice", "--key-file", str(file), "contacts").code == 0
    assert alone("contacts", "--key-file", str(file), "-p", "alice").code == 0
    assert alone("-p", "alice", "--key-command", printing, "contacts").code == 0
    assert alone("-p", "alice", "--key-file", str(file), "--key-command", "false", "contacts").code == 0
    monkeypatch.setenv("SMPCHAT_KEY_COMMAND", printing)
    assert alone("-p", "alice", "contacts").code == 0
    monkeypatch.setenv("SMPCHAT_KEY_FILE", str(file))
    assert alone("-p", "alice", "contacts").code == 0


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--key-command", "false", "The command for the passphrase failed with exit code 1."),
        ("--key-command", "sh -c 'kill -9 $$'", "The command for the passphrase was ended by signal 9."),
        ("--key-command", "true", "The passphrase is empty."),
        ("--key-command", "", "The command for the passphrase cannot be run"),
        ("--key-command", "no-such-program", "The command for the passphrase cannot be run"),
        ("--key-command", "echo 'open", "The command for the passphrase cannot be run"),
        ("--key-command", "printf %5000d 1", "What the command for the passphrase printed is too long"),
        ("--key-command", r"printf 'a\000b'", "The passphrase contains a NUL character."),
        ("--key-file", "/no/such/file", "Cannot read the file '/no/such/file': No such file or directory."),
    ],
)
def test_a_source_that_gives_none(alone: Terminal, option: str, value: str, said: str) -> None:
    code, first = sentence(alone("-p", "alice", option, value, "contacts"))
    assert (code, first[: len(said)]) == (1, said)


def test_on_a_terminal_it_is_asked_for(alone: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, given = list[str](), [SECRET, SECRET, OTHER, OTHER, OTHER]

    def answer(question: str) -> str:
        asked.append(question)
        return given.pop(0)

    monkeypatch.setattr(getpass, "getpass", answer)
    assert alone("-p", "alice", "contacts", tty=True).code == 0
    assert alone("-p", "alice", "key", "change", tty=True).code == 0
    assert alone("-p", "alice", "doctor", tty=True).code == 0
    assert asked == [
        "Passphrase of the profile alice: ",
        "Passphrase of the profile alice: ",
        "New passphrase for the profile alice (8 characters or more): ",
        "Once more: ",
        "Passphrase of the profile alice: ",
    ]


def test_a_new_passphrase_is_chosen_with_care(smpchat: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    given = iter([SECRET, OTHER])
    monkeypatch.setattr(getpass, "getpass", lambda _: next(given))
    assert sentence(smpchat("-p", "alice", "key", "set", tty=True)) == (1, "The two passphrases differ.")
    code, said = sentence(smpchat("-p", "alice", "--key-command", "echo short", "key", "set"))
    assert (code, said) == (1, "The passphrase is too short: it needs 8 characters or more.")
    assert smpchat("-p", "alice", "contacts").code == 0


def test_its_whole_life(smpchat: Terminal, screen: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMPCHAT_KEY", SECRET)
    monkeypatch.setenv("SMPCHAT_NEW_KEY", OTHER)
    lines = [smpchat("-p", "alice", "key", command).transcript() for command in ("set", "test", "set", "change")]
    monkeypatch.setenv("SMPCHAT_KEY", OTHER)
    lines += [smpchat("-p", "alice", "key", command).transcript() for command in ("test", "remove", "test", "remove")]
    lines += [smpchat("-p", "alice", "key", "change").transcript(), smpchat("-p", "carol", "key", "test").transcript()]
    assert callable(screen)
    screen("key", "\n".join(lines))


def test_nothing_changes_while_a_process_is_online(alone: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    assert alone("-p", "bob", "contacts").code == 0
    monkeypatch.setenv("SMPCHAT_KEY", SECRET)
    monkeypatch.setenv("SMPCHAT_NEW_KEY", OTHER)
    busy = "Another smpchat is online for the profile"
    with kept_offline(folder(alone), "alice"):
        for command in ("change", "remove"):
            assert sentence(alone("-p", "alice", "key", command)) == (7, f"{busy} 'alice'.")
    with kept_offline(folder(alone, "bob"), "bob"):
        assert sentence(alone("-p", "bob", "key", "set")) == (7, f"{busy} 'bob'.")
    assert alone("-p", "alice", "key", "test").code == 0
    assert not encrypted_path(folder(alone, "bob") / DATABASE_NAME).exists()


def test_a_list_of_profiles_asks_for_nothing(alice: Terminal) -> None:
    listed = alice("--json", "-p", "alice", "profile", "list").objects("profile")
    assert [(p["name"], p["display_name"], p["active"]) for p in listed] == [
        ("alice", None, True),
        ("bob", "bob", False),
    ]
    assert alice("profile", "list").stdout == "  alice: (encrypted)\n  bob: bob\n"
    assert alice("profile", "switch", "alice").code == 0


def test_completion_never_asks(alice: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(getpass, "getpass", lambda _: pytest.fail("asked"))
    for profile, aliases in (("alice", ""), ("bob", "alice")):
        with monkeypatch.context() as patched:
            patched.setenv("_SMPCHAT_COMPLETE", "complete_bash")
            patched.setenv("COMP_WORDS", f"smpchat -p {profile} send ")
            patched.setenv("COMP_CWORD", "4")
            assert alice(tty=True).stdout.strip() == aliases


def test_an_encrypted_profile_moves_and_is_plain_where_it_is_imported(
    alice: Terminal, cheap_scrypt: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMPCHAT_KEY", SECRET)
    monkeypatch.setenv("SMPCHAT_PASSPHRASE", OTHER)
    assert alice("-p", "alice", "export", str(tmp_path / "file")).code == 0
    imported = alice("-p", "anna", "import", str(tmp_path / "file"))
    assert imported.code == 0
    assert "not encrypted on this computer" in " ".join(imported.stderr.split())
    assert [c["alias"] for c in alice("--json", "-p", "anna", "contacts").objects()] == ["bob"]


def test_a_program_that_handles_messages_opens_the_profile_too(alice: Terminal, tmp_path: Path) -> None:
    secret, seen = tmp_path / "secret", tmp_path / "seen"
    secret.write_text(SECRET)
    script = tmp_path / "handler.sh"
    script.write_text(f'#!/bin/sh\necho "$SMPCHAT_KEY_FILE" > {seen}\n')
    script.chmod(0o700)
    assert alice("-p", "bob", "send", "alice", "hello").code == 0
    heard = alice("-p", "alice", "--key-file", str(secret), "listen", "--count", "1", "--exec", str(script))
    assert heard.code == 0, heard
    assert seen.read_text() == f"{secret}\n"


def test_the_manual_names_every_variable() -> None:
    import re

    import smpchat

    used = set[str]()
    for source in Path(smpchat.__file__).parent.rglob("*.py"):
        used |= set(re.findall(r'"(SMPCHAT_[A-Z_]+)"', source.read_text(encoding="utf-8")))
    of_handlers = {f"SMPCHAT_{name}" for name in ("TYPE", "CONTENT", "CONTACT", "ID", "TEXT", "COMMAND", "ARGUMENTS")}
    of_handlers |= {"SMPCHAT_CONTACT_ID", "SMPCHAT_VERIFIED", "SMPCHAT_REQUEST"}
    assert used - of_handlers == {name for names in _ENVIRONMENT for name in names.split(", ") if "SMPCHAT" in name}


def test_to_open_a_profile_imports_no_more_than_for_a_plain_one(alone: Terminal) -> None:
    """Whoever only reads waits for no handshake, whether the profile is encrypted or not."""
    script = (
        "import sys; from smpchat.cli.app import main\n"
        "try: main()\n"
        "finally: print('smpchat.chat.service.connecting' in sys.modules)"
    )
    arguments = [sys.executable, "-c", script, "--home", str(alone.home), "-p", "alice", "contacts"]
    with_secret = os.environ | {"SMPCHAT_KEY": "another passphrase"}  # this process made the key with less work
    ended = subprocess.run(arguments, env=with_secret, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (7, "False\n")
