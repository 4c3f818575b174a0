"""The message in an editor: where its file stands, what the editor gets, and what is left."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from smpchat.chat.errors import InputError
from smpchat.cli.chat import editor
from smpchat.storage.locks import FileLock


@pytest.fixture(autouse=True)
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """In place of the folder that all programs share; and another one for files on a disk."""
    for name in ("memory", "disk"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(editor, "IN_MEMORY", tmp_path / "memory")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "disk"))
    monkeypatch.delenv("VISUAL", raising=False)
    return tmp_path / "memory"


def _program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    path = tmp_path / "my editor"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o700)
    monkeypatch.setenv("EDITOR", f"'{path}' --fast")


@pytest.mark.parametrize("encrypted", [True, False])
def test_nothing_is_left(tmp_path: Path, memory: Path, monkeypatch: pytest.MonkeyPatch, encrypted: bool) -> None:
    """Not the file, nor what the editor put beside it; while it was there, it was in memory, and private."""
    monkeypatch.setenv("SMPCHAT_KEY", "correct horse")
    _program(
        tmp_path,
        monkeypatch,
        f'env >\'{tmp_path}/env\'; ls -ldn "$(dirname "$2")" "$2" >\'{tmp_path}/seen\''
        '; cp "$2" "$2.swp"; tr a-z A-Z <"$2" >"$2~"; mv "$2~" "$2"',
    )
    assert editor.edited("a draft\nof mine", encrypted=encrypted) == "A DRAFT\nOF MINE"
    seen = (tmp_path / "seen").read_text().splitlines()
    assert [line.split()[0][:10] for line in seen] == ["drwx------", "-rw-------"]
    assert str(memory) in seen[0] and list(memory.iterdir()) == []
    assert "correct horse" not in (tmp_path / "env").read_text()


def test_where_no_file_is_in_memory_an_encrypted_profile_has_no_editor(
    tmp_path: Path, memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory.rmdir()
    _program(tmp_path, monkeypatch, f'echo "$2" >\'{tmp_path}/seen\'; echo more >>"$2"')
    with pytest.raises(InputError, match="writes no unencrypted files"):
        editor.edited("draft", encrypted=True)
    assert not (tmp_path / "seen").exists()
    assert editor.edited("draft", encrypted=False) == "draftmore"
    assert (tmp_path / "seen").read_text().startswith(str(tmp_path / "disk"))
    assert list((tmp_path / "disk").iterdir()) == []


@pytest.mark.parametrize(("script", "found"), [("exit 1", None), ('rm "$2"; printf \'\\377\' >"$2"', "\ufffd")])
def test_an_editor_that_fails(
    tmp_path: Path, memory: Path, monkeypatch: pytest.MonkeyPatch, script: str, found: str | None
) -> None:
    _program(tmp_path, monkeypatch, script)
    assert editor.edited("draft", encrypted=True) == found
    assert list(memory.iterdir()) == []


@pytest.mark.parametrize("command", ["/nowhere/editor", "'not closed"])
def test_an_editor_that_is_none(memory: Path, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    monkeypatch.setenv("EDITOR", command)
    with pytest.raises(InputError, match="Cannot run"):
        editor.edited("draft", encrypted=True)
    assert list(memory.iterdir()) == []


def test_without_any_editor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDITOR", raising=False)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(InputError, match="No editor"):
        editor.edited("draft", encrypted=True)


def test_what_a_killed_process_left_goes_and_what_another_edits_stays(tmp_path: Path, memory: Path) -> None:
    left, other = memory / "smpchat-editor-left", memory / "smpchat-editor-other"
    for folder in (left, other):
        folder.mkdir(mode=0o700)
        (folder / "message.txt").write_text("a secret")
    at_work = FileLock(other / "lock")
    assert at_work.take()
    (tmp_path / "disk" / left.name).mkdir()
    editor.remove_left()
    assert list((tmp_path / "disk").iterdir()) == []
    assert [path.name for path in memory.iterdir()] == [other.name]
    at_work.release()
    assert os.listdir(other)
