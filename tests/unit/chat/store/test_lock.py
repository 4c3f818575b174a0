"""The lock of a profile: one holder at a time, whoever it is."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import filelock
import pytest

from smpchat.chat.errors import ProfileLocked
from smpchat.chat.store.lock import kept_offline, online_lock
from smpchat.storage.locks import FileLock


def test_one_has_it_until_it_is_given_back(tmp_path: Path) -> None:
    first, second = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    assert first.take() and not second.take()
    second.release()  # of what it has not
    assert not second.take()
    first.release()
    assert second.take() and not first.take()
    second.release()


def test_of_a_profile_that_was_never_used(tmp_path: Path) -> None:
    with kept_offline(tmp_path / "profiles" / "alice", "alice"):
        assert not online_lock(tmp_path / "profiles" / "alice").take()


@pytest.mark.skipif(sys.platform == "win32", reason="files have no modes there")
def test_the_file_is_its_owners_and_no_link_is_followed(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / "lock")
    assert lock.take()
    lock.release()
    assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o600
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError):
        FileLock(tmp_path / "link").take()
    assert not (tmp_path / "elsewhere").exists()


def test_versions_before_this_one_and_programs_that_use_filelock_share_it(tmp_path: Path) -> None:
    with filelock.FileLock(tmp_path / "online.lock"):
        assert not online_lock(tmp_path).take()
        with pytest.raises(ProfileLocked), kept_offline(tmp_path, "alice"):
            pass
    with kept_offline(tmp_path, "alice"), pytest.raises(filelock.Timeout):
        filelock.FileLock(tmp_path / "online.lock").acquire(blocking=False)


def test_a_process_that_is_killed_holds_nothing(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from smpchat.storage.locks import FileLock\n"
        "lock = FileLock(Path(sys.argv[1])); print(lock.take(), flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "lock")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "True\n"
        assert not FileLock(tmp_path / "lock").take()
        process.kill()
    lock = FileLock(tmp_path / "lock")
    assert lock.take()
    lock.release()


@pytest.mark.skipif(sys.platform == "win32", reason="filelock is always asked there")
def test_where_the_file_system_has_no_such_locks_filelock_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    flock = fcntl.flock
    monkeypatch.setattr(fcntl, "flock", refuse)
    asked: list[bool] = []

    class Other(filelock.FileLock):
        def acquire(self, *arguments: object, **options: object) -> object:  # type: ignore[override]
            asked.append(True)
            monkeypatch.setattr(fcntl, "flock", flock)  # as if it had another way
            return super().acquire(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(filelock, "FileLock", Other)
    lock = FileLock(tmp_path / "lock")
    assert lock.take() and asked
    assert not FileLock(tmp_path / "lock").take()
    lock.release()
    assert FileLock(tmp_path / "lock").take()
