"""A file is encrypted once, before anything about it is stored; what comes to nothing leaves nothing."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from smpchat.agent.errors import FileGone, NotRegular
from smpchat.agent.store import encrypted_files, file_folder
from smpchat.agent.store.encrypted_files import encrypt_for_sending
from smpchat.testing.entropy import SeededEntropy


class Stop(Exception):
    pass


def left(profile: Path) -> list[str]:
    folder = file_folder.folder_of(profile)
    return os.listdir(folder) if folder.exists() else []


def test_it_says_what_it_made(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"hello")
    seen: list[tuple[int, int]] = []
    with encrypt_for_sending(tmp_path / "a.txt", tmp_path, SeededEntropy("x"), lambda *n: seen.append(n)) as encrypted:
        assert encrypted.plain_size == 5
        assert [size for size, _ in encrypted.chunks] == [65_536]
        assert seen[-1] == (5, 5)
        [name] = left(tmp_path)
        ciphertext = (file_folder.folder_of(tmp_path) / name).read_bytes()
        assert len(ciphertext) == 65_536
        assert b"hello" not in ciphertext
        assert b"a.txt" not in ciphertext


def test_what_is_not_submitted_goes(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"hello")
    with encrypt_for_sending(tmp_path / "a.txt", tmp_path, SeededEntropy("x"), lambda *_: None):
        assert left(tmp_path)
    assert left(tmp_path) == []


def test_what_was_removed_meanwhile_is_not_submitted(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"hello")
    with encrypt_for_sending(tmp_path / "a.txt", tmp_path, SeededEntropy("x"), lambda *_: None) as encrypted:
        for name in left(tmp_path):
            (file_folder.folder_of(tmp_path) / name).unlink()
        with pytest.raises(FileGone):
            encrypted.settle()


def test_stopped_in_the_middle_nothing_stays(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(bytes(3_000_000))

    def stop(done: int, total: int) -> None:
        raise Stop

    with pytest.raises(Stop):
        encrypt_for_sending(tmp_path / "a.txt", tmp_path, SeededEntropy("x"), stop)
    assert left(tmp_path) == []


def test_the_disk_begins_while_it_is_encrypted_and_has_it_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.bin").write_bytes(bytes(6_000_000))
    synced: list[int] = []
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        fsync(descriptor)
        synced.append(os.fstat(descriptor).st_size)

    monkeypatch.setattr(encrypted_files, "_SYNCED", 2 * 1024 * 1024)
    monkeypatch.setattr(os, "fsync", noted)
    with encrypt_for_sending(tmp_path / "a.bin", tmp_path, SeededEntropy("x"), lambda *_: None) as encrypted:
        whole = sum(size for size, _ in encrypted.chunks)
        assert len(synced) > 1 and synced[-1] == whole
        assert 2 * 1024 * 1024 <= synced[0] <= whole


@pytest.mark.parametrize("last", [False, True])
def test_a_disk_that_fails_meanwhile_is_told_and_nothing_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, last: bool
) -> None:
    (tmp_path / "a.bin").write_bytes(bytes(6_000_000))

    def full(descriptor: int) -> None:
        if not last or os.fstat(descriptor).st_size > 6_000_000:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(encrypted_files, "_SYNCED", 2 * 1024 * 1024)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        encrypt_for_sending(tmp_path / "a.bin", tmp_path, SeededEntropy("x"), lambda *_: None)
    assert left(tmp_path) == []


@pytest.mark.parametrize("kind", ["folder", "none", "device"])
def test_what_is_no_file(tmp_path: Path, kind: str) -> None:
    path = {"folder": tmp_path, "none": tmp_path / "none", "device": Path("/dev/zero")}[kind]
    with pytest.raises((OSError, NotRegular)):
        encrypt_for_sending(path, tmp_path, SeededEntropy("x"), lambda *_: None)
    assert left(tmp_path) == []


def test_a_named_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(NotRegular):
        encrypt_for_sending(tmp_path / "pipe", tmp_path, SeededEntropy("x"), lambda *_: None)
