"""A disk that is full or read-only: what is stored is read, and nothing is written."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from smpchat.agent.errors import StoreError, StoreNotWritable
from smpchat.agent.store import sqlcipher
from smpchat.chat.service.connecting import ChatService
from smpchat.chat.service.encryption import set_passphrase
from smpchat.chat.store import records

SECRET = "correct horse"
REFUSALS = ("unable to open database file", "attempt to write a readonly database", "disk I/O error")
"""What SQLite says when it cannot make the files beside a database: no folder, no right, no room."""
Open = Callable[[], ChatService]


@pytest.fixture(params=["plain", "encrypted"])
def profile(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Opens a profile with a contact, a message that waits to be read, and one whose time is over."""
    folder = tmp_path / "alice"
    with closing(ChatService(folder, "alice", now=lambda: 7.0)) as service:
        connection = service.invite()
        with service.database.transaction() as tx:
            records.insert_contact(tx, connection, "bob")
            records.insert_message(tx, 1, records.Direction.RECEIVED, "hello", 1.0, None, ttl=5)
            gone = records.insert_message(tx, 1, records.Direction.SENT, "over", 1.0, None, ttl=5)
            tx.execute("UPDATE messages SET expires_at = 8 WHERE id = ?", (gone,))
    if request.param == "encrypted":
        set_passphrase(folder, SECRET)
    yield lambda: ChatService(folder, "alice", now=lambda: 9.0, passphrase=lambda: SECRET)


class Unwritable(sqlite3.Connection):
    """A file on such a disk, as SQLite has it: the log cannot be made, and so nothing of the file be read."""

    refusal = REFUSALS[0]

    def execute(self, sql: str, *parameters: object) -> sqlite3.Cursor:
        if "sqlite_master" in sql or "journal_mode" in sql:
            raise sqlite3.OperationalError(self.refusal)
        return super().execute(sql, *parameters)  # type: ignore[arg-type]


@pytest.fixture(params=REFUSALS)
def unwritable(profile: Open, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, encrypted = sqlite3.connect, sqlcipher.connect

    def connect(database: object, **options: object) -> sqlite3.Connection:
        factory = sqlite3.Connection if options.get("uri") else Unwritable
        return plain(database, factory=factory, **options)  # type: ignore[call-overload, no-any-return]

    def connect_encrypted(path: Path, passphrase: str | None, timeout: float, options: str = "mode=rw") -> object:
        if options == "mode=rw":
            raise sqlite3.OperationalError(request.param)
        return encrypted(path, passphrase, timeout, options)

    monkeypatch.setattr(Unwritable, "refusal", request.param)
    monkeypatch.setattr(sqlite3, "connect", connect)
    monkeypatch.setattr(sqlcipher, "connect", connect_encrypted)


@pytest.mark.usefixtures("unwritable")
def test_everything_is_read_and_nothing_written(profile: Open, tmp_path: Path) -> None:
    [file] = (tmp_path / "alice").glob("smpchat.db*")
    before = file.read_bytes()
    with closing(profile()) as service:
        found = service.history("bob")
        assert [message.text for message in found] == ["hello", "over"]
        service.were_read(found)
        assert [message.text for message in service.unshown_messages()] == ["hello"]
        assert [view.alias for view in service.contacts()] == ["bob"]
        assert service.status().invitations and not service.servers() and not service.is_online()
        for write in (
            lambda: service.rename("bob", "rob"),
            lambda: service.mark_shown(1),
            lambda: service.invite(),
            lambda: service.set_private_routing(on=True),
        ):
            with pytest.raises(StoreNotWritable, match="cannot be written: its disk is full or read-only"):
                write()
        assert [view.alias for view in service.contacts()] == ["bob"]
    assert file.read_bytes() == before


def test_what_cannot_be_written_now_is_done_later(profile: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched, closing(profile()) as service:
        assert not service.database.read_only
        patched.setattr(service.database, "read_only", True)  # the disk filled up
        service.were_read(service.history("bob"))
    with closing(profile()) as service:
        assert [message.text for message in service.history("bob")] == ["hello"]
        service.were_read(service.history("bob"))
        [message] = service.history("bob")
        assert message.expires_at == 14.0


def test_a_log_that_cannot_be_read_is_not_passed_over(
    profile: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest rows stand in it: an old state would be shown as if it were the present one."""
    [path] = (tmp_path / "alice").glob("smpchat.db*")
    path.with_name(f"{path.name}-wal").write_bytes(b"rows")

    def refuse(*arguments: object, **options: object) -> None:
        raise sqlite3.OperationalError(REFUSALS[0])

    tried: list[str] = []

    def connect(path: Path, passphrase: str | None, timeout: float, options: str = "mode=rw") -> object:
        tried.append(options)
        raise sqlite3.OperationalError(REFUSALS[0])

    monkeypatch.setattr(sqlite3, "connect", refuse)
    monkeypatch.setattr(sqlcipher, "connect", connect)
    with pytest.raises(StoreError, match=REFUSALS[0]):
        profile()
    assert "mode=ro&immutable=1" not in tried


def test_a_file_that_somebody_holds_is_not_called_read_only(profile: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    def locked(*arguments: object, **options: object) -> None:
        raise sqlite3.OperationalError("database is locked")

    monkeypatch.setattr(sqlite3, "connect", locked)
    monkeypatch.setattr(sqlcipher, "connect", locked)
    with pytest.raises(StoreError, match="cannot be used: database is locked"):
        profile()
