from __future__ import annotations

import asyncio
import io
import json
import sqlite3
import stat
import sys
import tarfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from smpchat.relay.backup import back_up, restore
from smpchat.relay.errors import BackupRefused, RelayError, RelayRunning
from smpchat.relay.folder import (
    CONTROL,
    DATABASE,
    IDENTITY,
    LOCK,
    LOG,
    STATE,
    STOPPED,
    FolderLock,
    read_state,
    status,
    turn_off,
)
from smpchat.relay.options import Options
from smpchat.relay.records import StoredMessage
from smpchat.relay.store import SQLiteStore
from tests.unit.relay.test_daemon import in_foreground, run_until_ready
from tests.unit.relay.test_store import a_queue


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A relay that has run, with a queue and two messages."""
    folder = tmp_path / "relay"
    in_foreground(folder, Options(quota=7), keep=True)
    with closing(SQLiteStore(folder / DATABASE)) as store:
        queue = store.create(a_queue())
        for body in (b"first", b"second"):
            store.append(queue, StoredMessage(body.ljust(24), int(time.time()), False, body))
        store.commit()
    return folder


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def bodies(folder: Path) -> list[bytes | None]:
    with closing(SQLiteStore(folder / DATABASE)) as store:
        queue = store.by_recipient(b"rcv 1")
        assert queue is not None
        found = []
        while (message := store.head(queue)) is not None:
            found.append(message.body)
            store.delete_head(queue, message.msg_id)
        return found


def test_a_restored_relay_is_the_same(folder: Path, tmp_path: Path) -> None:
    size = back_up(folder, tmp_path / "copy.tar")
    assert size == (tmp_path / "copy.tar").stat().st_size
    restore(tmp_path / "copy.tar", tmp_path / "again")
    assert status(tmp_path / "again") == status(folder)
    assert status(tmp_path / "again").options == Options(quota=7)
    ours, theirs = files(tmp_path / "again"), files(folder)
    assert set(ours) == {DATABASE, STATE, *(name for name in theirs if name.startswith(IDENTITY))}
    assert all(ours[name] == theirs[name] for name in ours if name != DATABASE)
    assert bodies(tmp_path / "again") == [b"first", b"second"]
    assert in_foreground(tmp_path / "again")[:2] == in_foreground(folder)[:2]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again", "copy.tar", "relay"]


@pytest.mark.skipif(sys.platform == "win32", reason="mode bits")
def test_only_the_owner_can_read_it(folder: Path, tmp_path: Path) -> None:
    back_up(folder, tmp_path / "copy.tar")
    assert stat.S_IMODE((tmp_path / "copy.tar").stat().st_mode) == 0o600
    restore(tmp_path / "copy.tar", tmp_path / "again")
    assert stat.S_IMODE((tmp_path / "again").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "again" / IDENTITY).stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "again").rglob("*") if path.is_file()} == {0o600}


def test_it_is_copied_while_it_runs_and_names_no_process(folder: Path, tmp_path: Path) -> None:
    async def within() -> None:
        relay, stopping, _, _ = await run_until_ready(folder)
        assert (folder / CONTROL).exists()
        await asyncio.to_thread(back_up, folder, tmp_path / "copy.tar")
        stopping.set()
        await relay

    asyncio.run(within())
    restore(tmp_path / "copy.tar", tmp_path / "again")
    assert read_state(tmp_path / "again").pid is None
    assert bodies(tmp_path / "again") == [b"first", b"second"]


def test_where_no_relay_was_there_is_nothing_to_copy(tmp_path: Path) -> None:
    with pytest.raises(BackupRefused, match="never started"):
        back_up(tmp_path / "none", tmp_path / "copy.tar")
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten_or_left_half_done(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "copy.tar").write_text("mine")
    with pytest.raises(BackupRefused, match="already exists"):
        back_up(folder, tmp_path / "copy.tar")
    assert (tmp_path / "copy.tar").read_text() == "mine"
    with pytest.raises(RelayError, match="cannot be written"):
        back_up(folder, tmp_path / "none" / "copy.tar")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("smpchat.relay.backup.os.fsync", full)
    with pytest.raises(RelayError, match="No space left"):
        back_up(folder, tmp_path / "new.tar")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy.tar", "relay"]


def test_a_relay_is_never_overwritten(folder: Path, tmp_path: Path) -> None:
    back_up(folder, tmp_path / "copy.tar")
    before = files(folder)
    with pytest.raises(BackupRefused, match="already"):
        restore(tmp_path / "copy.tar", folder)
    assert files(folder) == before


def test_what_a_folder_without_a_relay_may_hold_stays(folder: Path, tmp_path: Path) -> None:
    back_up(folder, tmp_path / "copy.tar")
    turn_off(tmp_path / "again")
    (tmp_path / "again" / LOG).write_text("words")
    (tmp_path / "again" / LOCK).touch()
    restore(tmp_path / "copy.tar", tmp_path / "again")
    assert (tmp_path / "again" / STOPPED).exists()
    assert (tmp_path / "again" / LOG).read_text() == "words"


def test_a_folder_that_a_relay_starts_on_is_left_alone(folder: Path, tmp_path: Path) -> None:
    back_up(folder, tmp_path / "copy.tar")
    (tmp_path / "again").mkdir()
    lock = FolderLock(tmp_path / "again")
    assert lock.acquire()
    with pytest.raises(RelayRunning):
        restore(tmp_path / "copy.tar", tmp_path / "again")
    lock.release()


Members = dict[str, bytes]


def without(name: str) -> Callable[[Members], object]:
    return lambda members: members.pop(name)


def with_other(name: str, content: bytes) -> Callable[[Members], object]:
    return lambda members: members.update({name: content})


@pytest.mark.parametrize(
    "spoil",
    [
        without(DATABASE),
        without(STATE),
        without(f"{IDENTITY}/server.key"),
        with_other("../outside", b"x"),
        with_other("/tmp/outside", b"x"),
        with_other("identity/../../outside", b"x"),
        with_other("relay.lock", b""),
        with_other(STATE, b"{}"),
        with_other(STATE, b" " * 70_000),
        with_other(STATE, b"[" * 60_000),
        with_other(STATE, b"\xff"),
        with_other(STATE, b'{"address": "smp://A@h\\u001b", "port": 5223, "pid": null}'),
        with_other(STATE, b'{"address": null, "port": 5223, "pid": null, "options": {"host": "\\ud800"}}'),
        with_other(DATABASE, b"no database" * 1_000),
        with_other(f"{IDENTITY}/server.key", b"no key"),
        with_other(f"{IDENTITY}/fingerprint", b"another"),
    ],
)
def test_what_is_no_backup_makes_no_folder(folder: Path, tmp_path: Path, spoil: Callable[[Members], object]) -> None:
    back_up(folder, tmp_path / "copy.tar")
    with tarfile.open(tmp_path / "copy.tar") as tar:
        members = {member.name: _content(tar, member) for member in tar}
    spoil(members)
    with tarfile.open(tmp_path / "spoilt.tar", "w") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    refused(tmp_path / "spoilt.tar", tmp_path)


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    assert file is not None
    return file.read()


def refused(source: Path, tmp_path: Path) -> None:
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(BackupRefused):
        restore(source, tmp_path / "again")
    assert sorted(path.name for path in tmp_path.iterdir()) == before


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE])
def test_members_that_are_no_files(folder: Path, tmp_path: Path, kind: bytes) -> None:
    with tarfile.open(tmp_path / "spoilt.tar", "w") as tar:
        member = tarfile.TarInfo(STATE)
        member.type, member.linkname = kind, "/etc/passwd"
        tar.addfile(member)
    refused(tmp_path / "spoilt.tar", tmp_path)


def sparse(map_of_data: bytes) -> bytes:
    """A database of a gigabyte in a few kB: what GNU tar makes of a file that is a hole."""
    records = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": DATABASE}
    records["GNU.sparse.realsize"] = str(1 << 30)
    member = tarfile.TarInfo(f"GNUSparseFile.0/{DATABASE}")
    member.pax_headers, member.size = records, len(map_of_data)
    return member.tobuf(tarfile.PAX_FORMAT) + map_of_data


def test_holes_are_not_unpacked(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "spoilt.tar").write_bytes(sparse(b"1\n0\n512\n".ljust(512, b"\0") + bytes(512)) + bytes(1024))
    refused(tmp_path / "spoilt.tar", tmp_path)


@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_SPARSE])
@pytest.mark.parametrize("size", [10**6, 1 << 40, 1 << 62])
def test_more_is_declared_than_is_there(folder: Path, tmp_path: Path, kind: bytes, size: int) -> None:
    member = tarfile.TarInfo(DATABASE)
    member.type, member.size = kind, size
    (tmp_path / "spoilt.tar").write_bytes(member.tobuf(tarfile.GNU_FORMAT) + bytes(10_000))
    refused(tmp_path / "spoilt.tar", tmp_path)


def test_a_member_that_comes_twice(folder: Path, tmp_path: Path) -> None:
    back_up(folder, tmp_path / "copy.tar")
    with tarfile.open(tmp_path / "copy.tar", "a") as tar:
        tar.addfile(tarfile.TarInfo(STATE), io.BytesIO())
    refused(tmp_path / "copy.tar", tmp_path)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.9])
def test_a_file_that_is_not_whole(folder: Path, tmp_path: Path, share: float) -> None:
    back_up(folder, tmp_path / "copy.tar")
    content = (tmp_path / "copy.tar").read_bytes()
    (tmp_path / "half.tar").write_bytes(content[: int(len(content) * share)])
    refused(tmp_path / "half.tar", tmp_path)


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(RelayError, match="cannot be restored"):
        restore(tmp_path / "none.tar", tmp_path / "again")
    assert list(tmp_path.iterdir()) == []


def test_a_state_of_before_options_were_kept(folder: Path, tmp_path: Path) -> None:
    content = json.loads((folder / STATE).read_text())
    del content["options"]
    (folder / STATE).write_text(json.dumps(content))
    back_up(folder, tmp_path / "copy.tar")
    restore(tmp_path / "copy.tar", tmp_path / "again")
    assert status(tmp_path / "again").options == Options()


SPY = "CREATE TRIGGER spy INSERT ON message BEGIN INSERT INTO queue SELECT * FROM queue; END"


@pytest.mark.parametrize(
    "script",
    [
        SPY,
        "CREATE VIEW spy AS SELECT * FROM message",
        "CREATE TABLE spy (x)",
        "CREATE VIRTUAL TABLE spy USING fts5(x)",
        "ALTER TABLE link ADD COLUMN more AS (user)",
        "CREATE INDEX spy ON message (length(body))",
        "DROP INDEX message_by_queue",
        "UPDATE queue SET dh_secret = x'00'",
        "UPDATE queue SET rcv_id = x''",
        "UPDATE queue SET recipient_keys = 'text'",
        "UPDATE queue SET recipient_keys = x'ff'",
        "UPDATE message SET msg_id = x'01'",
        "UPDATE message SET body = zeroblob(20000)",
        "UPDATE message SET timestamp = 9223372036854775807",
        "UPDATE message SET seq = 9223372036854775807 WHERE seq = (SELECT max(seq) FROM message)",
        "PRAGMA user_version = 99",
        "PRAGMA user_version = 1",
        "PRAGMA user_version = -1",
        "PRAGMA application_id = 7",
    ],
)
def test_a_database_that_no_relay_writes_makes_no_folder(folder: Path, tmp_path: Path, script: str) -> None:
    back_up(folder, tmp_path / "copy.tar")
    with tarfile.open(tmp_path / "copy.tar") as tar:
        members = {member.name: _content(tar, member) for member in tar}
    (tmp_path / "theirs").write_bytes(members[DATABASE])
    with closing(sqlite3.connect(tmp_path / "theirs")) as database:
        database.executescript(script)
    members[DATABASE] = (tmp_path / "theirs").read_bytes()
    with tarfile.open(tmp_path / "spoilt.tar", "w") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    refused(tmp_path / "spoilt.tar", tmp_path)
    restore(tmp_path / "copy.tar", tmp_path / "again")
    assert bodies(tmp_path / "again") == [b"first", b"second"]
    assert not list((tmp_path / "again").glob("*.new*"))
