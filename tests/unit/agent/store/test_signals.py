"""Signals between connections to one store: all others hear of a commit, and nothing goes wrong without them."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from smpchat.agent.store.database import Database

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="signals are Unix sockets")

SCHEMA = {"test": ["CREATE TABLE texts (text TEXT)"]}


@pytest.fixture(autouse=True)
def sockets(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the sockets stand: a short path, as a temporary folder of the system is."""
    with TemporaryDirectory(dir="/tmp", prefix="s") as folder:
        monkeypatch.setenv("TMPDIR", folder)
        yield Path(folder) / f"smpchat-{os.getuid()}"


def opened(folder: Path) -> Database:
    return Database(folder / "test.db", SCHEMA)


def insert(database: Database) -> None:
    with database.transaction() as tx:
        tx.execute("INSERT INTO texts VALUES ('new')")


def heard(listening: socket.socket | None) -> int:
    """How many signals wait."""
    assert listening is not None
    for count in range(1000):
        try:
            listening.recv(1)
        except BlockingIOError:
            return count
    raise AssertionError


def test_all_others_hear_of_a_commit_and_whoever_commits_does_not(tmp_path: Path) -> None:
    ines, second, third = (opened(tmp_path) for _ in range(3))
    own, *others = (database.signals.listen() for database in (ines, second, third))
    insert(ines)
    assert [heard(other) for other in others] == [1, 1]
    assert heard(own) == 0
    for database in (ines, second, third):
        database.close()


def test_a_transaction_that_changes_nothing_wakes_nobody(tmp_path: Path) -> None:
    ines, second = opened(tmp_path), opened(tmp_path)
    listening = second.signals.listen()
    with ines.transaction() as tx:
        tx.execute("UPDATE texts SET text = 'none'")
    with pytest.raises(ZeroDivisionError), ines.transaction() as tx:
        tx.execute("INSERT INTO texts VALUES ('never')")
        raise ZeroDivisionError
    assert heard(listening) == 0
    second.close()
    ines.close()


def test_another_store_is_another_matter(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    ines, dora = opened(tmp_path / "a"), opened(tmp_path / "b")
    listening = dora.signals.listen()
    insert(ines)
    assert heard(listening) == 0
    dora.close()
    ines.close()


def test_another_path_to_the_same_store_is_the_same_store(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "a")
    ines, other = opened(tmp_path / "a"), opened(tmp_path / "link")
    listening = other.signals.listen()
    insert(ines)
    assert heard(listening) == 1
    other.close()
    ines.close()


def test_the_folder_is_private_and_a_closed_store_leaves_nothing_there(tmp_path: Path, sockets: Path) -> None:
    ines = opened(tmp_path)
    ines.signals.listen()
    assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
    assert len(list(sockets.iterdir())) == 1
    ines.close()
    assert not list(sockets.iterdir())


@pytest.mark.parametrize("by", ["a commit", "a listener of another store"])
def test_the_socket_of_a_killed_process_is_removed(tmp_path: Path, sockets: Path, by: str) -> None:
    (tmp_path / "a").mkdir()
    killed = """
import os, sys
from pathlib import Path
from smpchat.agent.store.database import Database
Database(Path(sys.argv[1]), {}).signals.listen()
os.kill(os.getpid(), 9)
"""
    ines, dora = opened(tmp_path), opened(tmp_path / "a")
    subprocess.run([sys.executable, "-c", killed, ines.path], check=False)
    assert len(list(sockets.iterdir())) == 1
    if by == "a commit":
        insert(ines)
    else:
        dora.signals.listen()
        dora.signals.stop()
    assert not list(sockets.iterdir())
    dora.close()
    ines.close()


def test_somebody_who_does_not_read_holds_nobody_up(tmp_path: Path) -> None:
    ines, second = opened(tmp_path), opened(tmp_path)
    listening = second.signals.listen()
    for _ in range(600):
        ines.signals.send()
    assert heard(listening) > 0
    ines.signals.send()
    assert heard(listening) == 1
    second.close()
    ines.close()


@pytest.mark.parametrize("mode", [0o777, 0o750])
def test_a_folder_that_others_may_use_is_not_used(tmp_path: Path, sockets: Path, mode: int) -> None:
    sockets.mkdir()
    sockets.chmod(mode)
    ines = opened(tmp_path)
    assert ines.signals.listen() is None
    insert(ines)
    assert not list(sockets.iterdir())
    ines.close()


def test_a_path_that_is_too_long_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / ("x" * 100)
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    ines = opened(tmp_path)
    assert ines.signals.listen() is None
    insert(ines)
    ines.close()
