"""A profile in one file: what is in it, and what is refused."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from smpchat.chat.errors import ArchiveDamaged, ArchiveNewer, InputError, NoArchive, ProfileMoved
from smpchat.chat.service import archive
from smpchat.chat.service.archive import MAGIC, Archive, pack, unfold, unpack
from smpchat.chat.service.connecting import ChatService
from smpchat.chat.service.reading import MOVED
from smpchat.chat.store import records, settings
from smpchat.crypto.errors import WrongPassphrase
from smpchat.crypto.passphrase import Cost
from smpchat.testing.entropy import SeededEntropy

CHEAP = Cost(cost=4, block=8, parallel=1)
SECRET = "correct horse"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[ChatService]:
    """A profile with a contact and a message."""
    with closing(
        ChatService(tmp_path / "profiles" / "alice", "alice", entropy=SeededEntropy("archive"), now=lambda: 7.5)
    ) as made:
        with made.database.transaction() as tx:
            records.insert_contact(tx, 1, "bob")
            records.insert_message(tx, 1, records.Direction.RECEIVED, "a secret text", 0, None)
        yield made


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def restore(found: Archive, folder: Path) -> None:
    unfold(found, folder, folder.parent, SeededEntropy("unfold"))


def test_everything_comes_back(service: ChatService, tmp_path: Path) -> None:
    data = pack(service, SECRET, CHEAP)
    assert data.startswith(MAGIC + b"\1")
    assert b"a secret text" not in data and b"SQLite" not in data
    found = unpack(data, SECRET)
    assert (found.name, found.exported_at) == (b"alice", 7)
    assert "secret text" not in repr(found)
    folder = tmp_path / "other" / "anna"
    restore(found, folder)
    with closing(ChatService(folder, "anna")) as other:
        assert [message.text for message in other.unshown_messages()] == ["a secret text"]
        assert other.own_profile().display_name == "alice"  # not "anna": contacts are told the same name as before
    assert [path.name for path in folder.parent.iterdir()] == ["anna"]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in files(folder)} == {0o600}


def test_a_snapshot_leaves_the_profile_as_it_is(service: ChatService) -> None:
    pack(service, SECRET, CHEAP)
    assert settings.setting(service.database.connection, "profile") is None


def test_a_profile_that_was_moved_can_be_exported_again(service: ChatService, tmp_path: Path) -> None:
    service.retire()
    restore(unpack(pack(service, SECRET, CHEAP), SECRET), tmp_path / "again")
    with closing(ChatService(tmp_path / "again", "again")) as again:
        again.check_not_moved()
    assert settings.setting(service.database.connection, MOVED) is not None


@pytest.mark.parametrize("command", ["invite", "send"])
def test_a_moved_profile_stores_nothing_new(service: ChatService, command: str) -> None:
    service.retire()
    before = list(service.database.connection.iterdump())
    with pytest.raises(ProfileMoved):
        if command == "invite":
            service.invite("carol")
        else:
            service.send("bob", "hello")
    assert list(service.database.connection.iterdump()) == before


def test_a_wrong_passphrase(service: ChatService) -> None:
    with pytest.raises(WrongPassphrase):
        unpack(pack(service, SECRET, CHEAP), "correct hors")


@pytest.mark.parametrize("data", [b"", b"smpchat", MAGIC[:-1], b"SQLite format 3\0" + bytes(100), b"\xff" * 1000])
def test_another_file_is_named_as_such(data: bytes) -> None:
    with pytest.raises(NoArchive):
        unpack(data, SECRET)


def test_a_later_version_is_named_as_such(service: ChatService) -> None:
    data = bytearray(pack(service, SECRET, CHEAP))
    data[len(MAGIC)] = 2
    with pytest.raises(ArchiveNewer):
        unpack(bytes(data), SECRET)


@pytest.mark.parametrize("cut", [0, 1, 40, 5000])
def test_a_cut_file_is_damaged(service: ChatService, cut: int) -> None:
    with pytest.raises(ArchiveDamaged):
        unpack(pack(service, SECRET, CHEAP)[: len(MAGIC) + cut], SECRET)


def test_a_file_is_bounded(monkeypatch: pytest.MonkeyPatch, service: ChatService) -> None:
    data = pack(service, SECRET, CHEAP)
    monkeypatch.setattr(archive, "MAX_SIZE", len(data) - 1)
    with pytest.raises(NoArchive):
        unpack(data, SECRET)
    with pytest.raises(InputError, match="too large"):
        pack(service, SECRET, CHEAP)


def test_an_existing_profile_is_left_alone(service: ChatService) -> None:
    found = unpack(pack(service, SECRET, CHEAP), SECRET)
    with pytest.raises(InputError, match="There is a profile 'alice' already"):
        restore(found, service.folder)
    assert [message.text for message in service.unshown_messages()] == ["a secret text"]


@pytest.mark.parametrize("damage", ["page", "end"])
def test_a_database_that_cannot_be_used_leaves_nothing(service: ChatService, tmp_path: Path, damage: str) -> None:
    """Such a file can only be made on purpose, by somebody who knows the passphrase."""
    found = unpack(pack(service, SECRET, CHEAP), SECRET)
    whole = found.database
    broken = {"page": whole[:4096] + b"\xff" * 4096 + whole[8192:], "end": whole[: len(whole) // 2]}[damage]
    folder = tmp_path / "other" / "alice"
    with pytest.raises(ArchiveDamaged):
        restore(Archive(found.name, 0, broken), folder)
    assert list(folder.parent.iterdir()) == []


def test_the_folder_appears_whole_or_not_at_all(
    service: ChatService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = unpack(pack(service, SECRET, CHEAP), SECRET)

    class DiskFull(Exception):
        pass

    def rename(*_: object) -> None:
        raise DiskFull

    monkeypatch.setattr(Path, "rename", rename)
    folder = tmp_path / "other" / "alice"
    with pytest.raises(DiskFull):
        restore(found, folder)
    assert list(folder.parent.iterdir()) == []


def test_a_new_file_replaces_none(tmp_path: Path) -> None:
    archive.write_new(tmp_path / "file", b"one")
    with pytest.raises(FileExistsError):
        archive.write_new(tmp_path / "file", b"two")
    assert (tmp_path / "file").read_bytes() == b"one"
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o600
