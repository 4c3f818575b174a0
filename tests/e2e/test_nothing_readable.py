"""Beside an encrypted profile nothing can be read, with real processes: files, environments; nor after kill -9.

Without bystanders: it is all that a profile leaves that is looked through, and theirs are made before it is encrypted.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from smpchat.relay.folder import status
from tests.e2e.smpchat import Home, environment
from tests.e2e.test_beside import chat

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
SECRET, PASSWORD = "a passphrase to find", "RelayPasswordToFind"
HEARD, TYPED, DRAFTED, ALIAS = "heard-to-find", "typed-to-find", "drafted-to-find", "friend-to-find"
FILE, CONTENT = "name-to-find.txt", "content-to-find"


def _environments(*pids: int) -> bytes:
    return b"".join(Path(f"/proc/{pid}/environ").read_bytes() for pid in pids)


def _found(folders: list[Path], words: list[str]) -> list[tuple[str, str]]:
    paths = [path for folder in folders for path in folder.rglob("*")]
    return [
        (word, path.name)
        for path in paths
        for word in words
        if word in path.name or (path.is_file() and word.encode() in path.read_bytes())
    ]


def test_files_sockets_and_environments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    temporary, script = tmp_path / "tmp", tmp_path / "editor"
    temporary.mkdir()
    script.write_text(
        f'#!/bin/sh\nprintf {DRAFTED} >"$1"; cp "$1" "$1.swp"; env >{tmp_path}/env; echo >{tmp_path}/left\n'
    )
    os.mkfifo(tmp_path / "left")
    script.chmod(0o700)
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setenv("EDITOR", str(script))
    monkeypatch.delenv("VISUAL", raising=False)
    alone = "all that a profile leaves is looked through"
    home, elsewhere = Home(tmp_path / "home", alone), Home(tmp_path / "elsewhere", alone)
    # The helpers of these tests take all that begins with SMPCHAT_ out of the environment: these go in afterwards.
    secrets = {"SMPCHAT_KEY": SECRET, "SMPCHAT_RELAY_PASSWORD": PASSWORD}
    monkeypatch.setattr("tests.e2e.smpchat.environment", lambda: environment() | secrets)
    monkeypatch.setattr("tests.e2e.test_beside.environment", lambda: environment() | secrets)

    assert home.run("default", "relay", "start").code == 0
    relay = status(home.folder / "relay")
    assert relay.pid is not None
    try:
        assert home.run("default", "key", "set").code == 0
        made = home.run("default", "invite", "--no-wait", "--note", ALIAS).of("invitation")[0]
        link = made["link"]
        assert elsewhere.run("me", "connect", link, "--alias", "hers", "-m", HEARD).code == 0
        with home.running("default", "listen") as listening:
            listening.until("message", text=HEARD)
            with chat(home, "default", ALIAS) as screen:
                screen.type(TYPED)
                screen.until(f"you: {TYPED}")
                screen.press("\x18\x05")  # the editor
                (tmp_path / "left").read_text()
                assert elsewhere.run("me", "send", "hers", HEARD).code == 0
                screen.until(f"> {DRAFTED}")  # drawn again below what came
                screen.type("")
                screen.until(f"you: {DRAFTED}")
                seen = _environments(listening.process.pid, relay.pid)
                assert b"PATH=" in seen
                for secret in (SECRET, PASSWORD):
                    assert secret.encode() not in seen
                assert SECRET not in (tmp_path / "env").read_text() and "EDITOR" in (tmp_path / "env").read_text()
                sockets = [path for path in temporary.rglob("*") if path.is_socket()]
                assert sockets, "they are looked through as well"
                words = [HEARD, TYPED, DRAFTED, ALIAS, link, str(made["short_link"]), SECRET]
                in_memory = list(Path("/dev/shm").glob("smpchat-*"))
                assert _found([home.folder, temporary, *in_memory], words) == [], "while it runs"
        # Both were ended by kill -9.
        words += [FILE, CONTENT]
        (tmp_path / FILE).write_text(CONTENT)
        assert elsewhere.run("me", "send", "hers", "--file", str(tmp_path / FILE), "--wait", "sent").code == 0
        assert home.run("default", "listen", "--count", "1", "--timeout", "30").of("message")[0]["file"]["name"] == FILE
        assert home.run("default", "receive", ALIAS, "--to", str(tmp_path / "got"), "--approve").code == 0
        assert (tmp_path / "got").read_text() == CONTENT
        assert _found([home.folder, temporary], words) == [], "after a crash"
        assert _found([elsewhere.folder], words), "it can be found where nothing is encrypted"
        assert home.run("default", "delete", ALIAS).code == 0
        assert _found([home.folder, temporary], words) == [], "once all is deleted"
    finally:
        for folder in (home.folder, elsewhere.folder):
            stop = [sys.executable, "-m", "smpchat", "--home", str(folder), "relay", "stop"]
            subprocess.run(stop, env=environment(), check=True)
