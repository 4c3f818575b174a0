"""Beside an encrypted profile nothing can be read: every command is used, then every file is looked through.

The people she talks to have a home elsewhere, which is not encrypted, so that it shows what the search would find.
"""

from __future__ import annotations

import resource
import shlex
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from smpchat.cli.app import app
from smpchat.cli.chat import editor
from smpchat.cli.command_line import loaded
from smpchat.cli.environment import Environment
from tests.cli.chat.talk import Talk, type_into
from tests.cli.terminal import FakeTerminal, Result, Terminal
from tests.unit.agent.store.encryption_crashes import quick_keys

SECRET, NEW = "a passphrase to find", "another one to find"
PROFILE = "default"
"""The name of the encrypted profile's folder, which can be read: docs/privacy.md says so."""
SAID = {
    name: f"{name}-to-find"
    for name in (
        "first second answer edited heard typed drafted welcome autoreply asked looked_for forwarded typo"
        " myname about_me bot_label mila nora otto paul renamed note_of_link filename filetext"
        " titled crewed greeted shouted retitled"
    ).split()
}
"""Texts, names and aliases; every one is unlike all that stands in a database by itself."""
ELSEWHERE = {
    "profile delete": "removes all of it: test_profile_delete.py",
    "relay backup": "the relay's own folder, which holds what its senders encrypted",
    "relay restore": "the same",
    "relay rotate-certificate": "the same",
    "relay run": "the same; tests/unit/relay/test_log.py reads its log",
    "relay start": "tests/e2e/test_nothing_readable.py has a real one",
    "relay stats": "the relay's own folder",
    "relay stop": "the same",
    "import": "makes a profile that is not encrypted, and says so",
    "key remove": "is there to make everything readable",
    "server test": "dials a relay, and opens no profile",
}
"""Commands that this test does not use, and why it need not."""


def commands(group: Any = None, path: str = "") -> set[str]:
    """Every command there is, such as ``profile list``."""
    group = typer.main.get_command(app) if group is None else group
    found: set[str] = set()
    for name, listed in group.commands.items():
        command = loaded(listed)
        found |= commands(command, f"{path}{name} ") if hasattr(command, "commands") else {path + name}
    return found


class Used:
    """Runs her commands, and remembers which; `of` runs one of somebody else's."""

    def __init__(self, smpchat: Terminal, elsewhere: Path) -> None:
        self.smpchat, self.home, self.elsewhere = smpchat, smpchat.home, elsewhere
        self.names: set[str] = set()
        self._known = commands()

    def __call__(self, *arguments: str, code: int | None = 0, **how: Any) -> Result:
        words = [word for word in arguments if not word.startswith("-")]
        name = next(" ".join(words[:count]) for count in (2, 1) if " ".join(words[:count]) in self._known)
        self.names.add(name)
        result = self.smpchat(*arguments, **how)
        assert code is None or result.code == code, result
        return result

    def of(self, profile: str, *arguments: str) -> Result:
        self.smpchat.home = self.elsewhere
        result = self.smpchat("--json", "-p", profile, *arguments)
        self.smpchat.home = self.home
        assert result.code == 0, result
        return result

    def link(self, *arguments: str) -> str:
        made = [found for found in self("--json", *arguments).objects() if found["type"] in ("invitation", "address")]
        return str(made[0].get("short_link") or made[0]["link"])


@pytest.fixture
def used(smpchat: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Used]:
    for name in ("home", "elsewhere", "tmp", "memory"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(editor, "IN_MEMORY", tmp_path / "memory")
    monkeypatch.setenv("SMPCHAT_KEY", SECRET)
    monkeypatch.setenv("SMPCHAT_NEW_KEY", SECRET)
    monkeypatch.setenv("SMPCHAT_PASSPHRASE", NEW)
    smpchat.home = tmp_path / "home"
    cores = resource.getrlimit(resource.RLIMIT_CORE)
    with quick_keys():
        yield Used(smpchat, tmp_path / "elsewhere")
    resource.setrlimit(resource.RLIMIT_CORE, cores)


def readable(folders: list[Path], words: dict[str, str]) -> dict[str, list[str]]:
    """Which words stand where: in a file, or in the name of one."""
    found: dict[str, list[str]] = {}
    for path in (path for folder in folders for path in folder.rglob("*")):
        content = path.read_bytes().lower() if path.is_file() else b""
        for word in words.values():
            if word.lower().encode() in content or word.lower() in path.name.lower():
                found.setdefault(word, []).append(path.name)
    return found


@pytest.mark.skipif(sys.platform == "win32", reason="limits of processes")
@pytest.mark.usefixtures("cheap_scrypt")
def test_every_command_leaves_nothing_to_read(used: Used, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said, folders = SAID, [tmp_path / "home", tmp_path / "tmp", tmp_path / "memory"]
    _use_everything(used, tmp_path, monkeypatch)
    words = said | {"secret": SECRET, "new": NEW} | {f"link {n}": link for n, link in enumerate(_LINKS)}
    assert len(_LINKS) == 7
    assert readable(folders, words) == {}, "beside an encrypted profile"
    assert resource.getrlimit(resource.RLIMIT_CORE)[0] == 0
    # What is looked for can be found: people elsewhere have it in clear.
    theirs = readable([used.elsewhere], words)
    assert {
        said[name]
        for name in (
            "first",
            "second",
            "answer",
            "edited",
            "typed",
            "drafted",
            "myname",
            "titled",
            "greeted",
            "shouted",
        )
    } <= theirs.keys()

    for who in (said["renamed"], said["nora"], said["otto"]):
        used("delete", who)
    assert readable(folders, words) == {}, "nor when all are deleted"
    assert used.names | ELSEWHERE.keys() == commands(), "a new command is used here, or has a reason why not"
    assert not used.names & ELSEWHERE.keys()


_LINKS: list[str] = []


def _use_everything(used: Used, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = SAID
    _LINKS.clear()
    used("key", "set")
    picture = tmp_path / "elsewhere" / "me.png"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n")
    used("profile", "set", said["myname"], "--description", said["about_me"], "--picture", str(picture))
    used("profile", "set", "--command", f"help={said['bot_label']}")
    used("profile", "set", "--no-bot")
    used("profile", "show")

    # links, used in all ways
    _LINKS.append(used.link("invite", "--note", said["mila"], "--no-wait", "--qr"))
    used.of(said["mila"], "connect", _LINKS[-1], "--alias", "friend", "-m", said["first"])
    used("listen", "--count", "1", "--timeout", "9")
    _LINKS.append(str(used.of(said["nora"], "invite", "--no-wait").objects()[0]["short_link"]))
    used("connect", "-", "--alias", said["nora"], "-m", said["second"], stdin=_LINKS[-1])
    used.of(said["nora"], "listen", "--timeout", "3")
    _LINKS.append(
        used.link("address", "create", "--welcome", said["welcome"], "--auto-reply", said["autoreply"], "--qr")
    )
    used("address", "set", "--welcome", said["welcome"] * 2)
    used("address", "show", "--qr")
    for name in (said["otto"], said["paul"]):
        used.of(name, "connect", _LINKS[-1], "--alias", "friend", "-m", said["asked"])
    used("listen", "--timeout", "3")
    numbers = [str(request["id"]) for request in used("--json", "requests").objects("request")]
    used("accept", numbers[0], "--alias", said["otto"])
    used("reject", numbers[1])
    _LINKS.append(used.link("invite", "--note", said["note_of_link"], "--no-wait", "--copy", "--qr"))
    _LINKS.append(used.link("invite", "--no-wait", "--qr", "--incognito"))
    used("status")
    used("delete", said["note_of_link"])
    used("address", "delete")

    # texts
    mila = said["mila"]
    sent = used("--json", "send", mila, said["typo"]).objects("message")[0]["id"]
    used("edit", str(sent), said["edited"])
    used("send", mila, "-", stdin=said["heard"])
    used.of(mila, "listen", "--timeout", "3")
    used.of(mila, "send", "friend", said["heard"])
    used("--trace", "-v", "listen", "--timeout", "3")
    heard = used("--json", "history", mila, "--search", "heard").objects("message")[-1]["id"]
    used("reply", str(heard), said["answer"])
    used("react", str(heard), "👍")
    used("forward", str(heard), said["nora"])
    gone = used("--json", "send", mila, said["forwarded"]).objects("message")[0]["id"]
    used("retract", str(gone))
    used("history", mila)
    used("search", said["heard"])
    _files(used)
    _groups(used)
    _chat(used, monkeypatch, tmp_path)
    used.of(mila, "listen", "--timeout", "3")
    handler = shlex.join([sys.executable, "-c", f"import os; assert 'SMPCHAT_KEY' not in os.environ; {RECORD}"])
    used.of(mila, "send", "friend", said["heard"])
    done = used("listen", "--exec", handler, "--count", "1", "--timeout", "9")
    assert "CMD does not get SMPCHAT_KEY" in done.stderr

    # people and settings
    used("contacts")
    used("contact", "show", mila)
    used("contact", "set", mila, "disappear", "1h")
    used("verify", mila)
    used("resync", said["nora"])
    used("rotate", said["nora"], code=None)
    used("mute", mila)
    used("rename", mila, said["renamed"])
    used("status", said["renamed"])
    used("send", said["looked_for"], "hello", code=1)
    used("profile", "list")
    used("profile", "switch", PROFILE)
    used("server", "add", f"smp://{'A' * 43}=@relay.example")
    used("server", "list")
    used("server", "use", "embedded", code=None)
    used("server", "remove", f"smp://{'A' * 43}=@relay.example")
    used("server", "forget", "relay.example", code=None)
    used("server", "socks", "off")
    used("server", "private-routing", "off")
    used("server", "strangers", "public")
    used("config", "set", "notifications", "bell", "--profile-only")
    used("config", "set", "receipts", "on")
    used("config", "get", "receipts")
    used("config", "list")
    used("config", "unset", "receipts")
    used("config", "path")
    used("relay", "status")
    used("doctor", code=None)
    used("explain", "sent")
    used("man")
    used("demo", code=None)
    used("export", str(tmp_path / "home" / "moved.smpchat"))
    used("key", "test")
    used("key", "change")
    # a link that still can be used when all is looked through
    _LINKS.append(used.link("invite", "--no-wait", "--qr"))


RECORD = "import sys; sys.stdin.read()"


def _files(used: Used) -> None:
    """One of ours is withdrawn. No relay here keeps files: tests/e2e/test_nothing_readable.py receives one."""
    mila, path = SAID["mila"], used.elsewhere / SAID["filename"]
    path.write_text(SAID["filetext"])
    sent = used("--json", "send", mila, "--file", str(path), "--wait", "none").objects("message")[0]["id"]
    used("files")
    used("view", str(sent), "--yes", code=None)  # a desktop's program is not everywhere
    used("cancel", str(sent))
    used("receive", mila, code=1)


def _groups(used: Used) -> None:
    """A group of hers with Mila in it, and one of Mila's."""
    said, mila = SAID, SAID["mila"]
    used("group", "create", said["titled"], "--alias", said["crewed"], "--welcome", said["greeted"])
    used("group", "invite", said["crewed"], mila)
    used.of(mila, "listen", "--timeout", "3")
    used.of(mila, "group", "join", "1")
    _both_online(used)
    used("send", said["crewed"], said["shouted"])
    _both_online(used)
    _LINKS.append(str(used("--json", "group", "link", said["crewed"], "--qr").objects("group-link")[0]["short_link"]))
    used("group", "members", said["crewed"])
    used("group", "role", said["crewed"], mila, "admin")
    used("group", "block", said["crewed"], mila)
    used("group", "unblock", said["crewed"], mila)
    used("group", "set", said["crewed"], "--name", said["retitled"])
    used("group", "accept", said["crewed"], mila, code=1)
    used("group", "remove", said["crewed"], mila)
    used("group", "delete", said["crewed"])
    used("delete", said["crewed"])
    used.of(mila, "group", "create", said["titled"] * 2)
    used.of(mila, "group", "invite", said["titled"] * 2, "friend")
    used("listen", "--timeout", "3")
    used("groups")
    used("group", "join", "2", "--alias", said["crewed"])
    _both_online(used)
    used("group", "leave", said["crewed"])
    used("delete", said["crewed"])


def _both_online(used: Used) -> None:
    for _ in range(6):
        used("listen", "--timeout", "2")
        used.of(SAID["mila"], "listen", "--timeout", "2")


def _chat(used: Used, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In `chat`: a text that is typed, one from the editor, commands with what else is typed there."""
    used.names.add("chat")
    said = SAID
    script = tmp_path / "elsewhere" / "editor"
    script.write_text(f'#!/bin/sh\ncp "$1" "$1.swp"; printf \'{said["drafted"]}\' >"$1"\n')
    script.chmod(0o700)
    monkeypatch.setenv("EDITOR", str(script))
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setattr(sys, "stdout", FakeTerminal())
    environment = Environment(used.home, PROFILE, now=used.smpchat.now)
    service = environment.open()
    try:
        talk = Talk(used.smpchat, service, said["mila"])
        talk.environment = talk.conversation.environment = environment
        type_into(
            talk,
            f"{said['typed']}\r/search {said['looked_for']}\r@{said['nora']} {said['typed']}\r/to nobody\r\x03\x04",
        )
        text = editor.edited("", encrypted=True)
        assert text == said["drafted"]
        type_into(talk, f"{text}\r/quit\r")
    finally:
        service.close()
    used("send", said["mila"], "(online for a moment)")
