"""A profile in one file: what is in it, and what is refused."""

from __future__ import annotations

import random
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from smpchat.agent.store.database import Database
from smpchat.agent.store.schema import AGENT_MIGRATIONS
from smpchat.chat.errors import ArchiveDamaged, ArchiveForeign, ArchiveNewer, InputError, NoArchive, ProfileMoved
from smpchat.chat.service import archive
from smpchat.chat.service.archive import MAGIC, Archive, pack, unfold, unpack
from smpchat.chat.service.connecting import ChatService
from smpchat.chat.service.encryption import set_passphrase
from smpchat.chat.service.reading import MOVED
from smpchat.chat.store import files as message_files
from smpchat.chat.store import records, settings
from smpchat.chat.store.files import to_start as files_to_start
from smpchat.chat.store.schema import CHAT_MIGRATIONS
from smpchat.crypto.errors import WrongPassphrase
from smpchat.crypto.passphrase import Cost
from smpchat.storage.foreign import open_foreign, schema_of
from smpchat.testing.entropy import SeededEntropy

CHEAP = Cost(cost=4, block=8, parallel=1)
SECRET = "correct horse"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[ChatService]:
    """A profile with a contact and a message."""
    with closing(
        ChatService(tmp_path / "profiles" / "alice", "alice", entropy=SeededEntropy("archive"), now=lambda: 7.5)
    ) as made:
        connection = made.invite()
        with made.database.transaction() as tx:
            records.insert_contact(tx, connection, "bob")
            records.insert_message(tx, 1, records.Direction.RECEIVED, "a secret text", 0, None)
        yield made


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def restore(found: Archive, folder: Path) -> None:
    unfold(found, folder, folder.parent)


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
    with pytest.raises(InputError, match="There is already a profile 'alice'"):
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


# -- a database that somebody else made -------------------------------------------------------------------------------

SPY = "CREATE TRIGGER spy AFTER INSERT ON messages BEGIN INSERT INTO settings VALUES (random(), new.text); END"
NOT_OURS = {
    "trigger": SPY,
    "trigger on update": "CREATE TRIGGER spy UPDATE ON contacts BEGIN DELETE FROM messages; END",
    "view": "CREATE VIEW everything AS SELECT * FROM messages",
    "view in the place of a table": "DROP TABLE to_handle; CREATE VIEW to_handle AS SELECT 1 AS message_id",
    "table": "CREATE TABLE mine (x)",
    "virtual table": "CREATE VIRTUAL TABLE words USING fts5(x)",
    "computed column": "ALTER TABLE settings ADD COLUMN more TEXT AS (value || value)",
    "column": "ALTER TABLE settings ADD COLUMN more TEXT",
    "index of expressions": "CREATE INDEX mine ON messages (length(text))",
    "another index of ours": "DROP INDEX notices_of; CREATE INDEX notices_of ON notices (abs(contact_id))",
    "check": "DROP TABLE to_handle; CREATE TABLE to_handle (message_id INTEGER PRIMARY KEY CHECK (message_id > 1))",
    "a table less": "DROP TABLE to_handle",
    "another type": "DROP TABLE to_handle; CREATE TABLE to_handle (message_id TEXT PRIMARY KEY)",
    "statistics": "ANALYZE",
    "blob for text": "UPDATE messages SET text = x'00ff'",
    "text for a number": "UPDATE messages SET shown = 'yes'",
    "bytes that are not UTF-8": "UPDATE messages SET text = CAST(x'c3ff41' AS TEXT)",
    "endless time": "UPDATE messages SET sent_at = 9e999",
    "time that no calendar has": "UPDATE messages SET sent_at = 1e15",
    "large value": "UPDATE messages SET text = CAST(zeroblob(2000000) AS TEXT)",
    "last number": "UPDATE messages SET id = 9223372036854775807",
    "last number to count from": "UPDATE sqlite_sequence SET seq = 9223372036854775807",
    "number of nothing": "INSERT INTO sqlite_sequence VALUES ('mine', 1)",
    "negative number to count from": "UPDATE sqlite_sequence SET seq = -1",
    "text to count from": "UPDATE sqlite_sequence SET seq = 'x'",
    "child without its parent": "PRAGMA foreign_keys = OFF; UPDATE messages SET contact_id = 77",
    "third component": "INSERT INTO schema_versions VALUES ('mine', 1)",
    "no version": "DELETE FROM schema_versions",
    "version as text": "UPDATE schema_versions SET version = 'new'",
    "version that never was": "UPDATE schema_versions SET version = 0",
}
"""Statements that change a database into one that no export writes."""
BROKEN = {
    "state of a connection": "UPDATE connections SET state = '{'",
    "relay": "INSERT INTO servers (address) VALUES ('smp://')",
    "way to a relay": "INSERT INTO servers (address, transport) VALUES ('smp://AAAA@a', 'post')",
    "profile": "INSERT OR REPLACE INTO settings VALUES ('profile', '[')",
    "proxy": "INSERT INTO settings VALUES ('socks', '?')",
    "event": "INSERT INTO events (kind, payload) VALUES ('x', 'y')",
    "contact without a connection": "UPDATE contacts SET connection_id = 99",
    "status": "UPDATE messages SET status = 'x'",
}
"""Rows that fit our schema, and that our own readers cannot read."""


def changed(found: Archive, script: str, folder: Path) -> Archive:
    """What somebody makes of an exported profile with a program of their own."""
    path = folder / "theirs"
    path.write_bytes(found.database)
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode = DELETE")
        database.executescript(script)
    return Archive(found.name, found.exported_at, path.read_bytes())


@pytest.mark.parametrize("state", ["receiving", "offered"])
def test_no_file_is_received_to_where_the_file_says(service: ChatService, tmp_path: Path, state: str) -> None:
    """Asked for on another computer, or by whoever made the file: it could be put in the place of any of ours."""
    script = (
        "INSERT INTO message_files (message_id, name, size, state, target, approved, complete, judged)"
        f" VALUES (1, 'a.sh', 9, '{state}', '/home/alice/.bashrc', 1, 1, 0)"
    )
    restore(changed(unpack(pack(service, SECRET, CHEAP), SECRET), script, tmp_path), tmp_path / "profiles" / "new")
    with closing(ChatService(tmp_path / "profiles" / "new", "new")) as again:
        tx = again.database.connection
        assert message_files.to_start(tx) == [] == message_files.to_judge(tx)
        [file] = [message_files.find(tx, 1)]
        assert file is not None and (file.state, file.target, file.approved) == ("offered", None, False)


@pytest.mark.parametrize("script", NOT_OURS.values(), ids=NOT_OURS)
def test_what_no_export_writes_is_refused_whole(service: ChatService, tmp_path: Path, script: str) -> None:
    found = changed(unpack(pack(service, SECRET, CHEAP), SECRET), script, tmp_path)
    folder = tmp_path / "other" / "alice"
    with pytest.raises((ArchiveForeign, ArchiveDamaged)):
        restore(found, folder)
    assert list(folder.parent.iterdir()) == []


FETCHING = """
    INSERT INTO files (sending, stage, name, target, local, size, digest, key, nonce, started)
        VALUES (0, 'moving', 'x', '/home/user/.config/autostart/x.desktop', '00000000000000000000000000000000', 65536,
        x'', x'', x'', 0);
    INSERT INTO file_chunks (file_id, number, size, digest, state, server) VALUES (1, 1, 65536, x'', 'wanted', 'x');
    INSERT INTO message_files (message_id, name, size, state, target, approved, complete, description)
        VALUES (1, 'x', 1, 'receiving', '/home/user/.config/autostart/x.desktop', 1, 1, 'x');
    INSERT INTO settings VALUES ('files_folder', '/home/user/.config/autostart')
"""
"""Somebody else's profile that would fetch files to where they are run."""


def test_no_file_is_put_where_a_profile_from_elsewhere_says(service: ChatService, tmp_path: Path) -> None:
    found = changed(unpack(pack(service, SECRET, CHEAP), SECRET), FETCHING, tmp_path)
    folder = tmp_path / "other" / "alice"
    restore(found, folder)
    with closing(ChatService(folder, "alice")) as moved:
        rows = moved.database.read("SELECT stage FROM files UNION ALL SELECT target FROM message_files")
        assert [row[0] for row in rows] == ["failed", None]
        assert moved.database.read("SELECT 1 FROM file_chunks") == []
        assert not files_to_start(moved.database.connection)
        assert settings.setting(moved.database.connection, settings.FILES_FOLDER) is None


@pytest.mark.parametrize("script", BROKEN.values(), ids=BROKEN)
def test_records_that_cannot_be_read_are_refused(service: ChatService, tmp_path: Path, script: str) -> None:
    found = changed(unpack(pack(service, SECRET, CHEAP), SECRET), script, tmp_path)
    folder = tmp_path / "other" / "alice"
    with pytest.raises(ArchiveDamaged):
        restore(found, folder)
    assert list(folder.parent.iterdir()) == []


def test_it_is_said_what_there_is(service: ChatService, tmp_path: Path) -> None:
    found = changed(unpack(pack(service, SECRET, CHEAP), SECRET), SPY, tmp_path)
    with pytest.raises(ArchiveForeign, match="was not written by smpchat: the database contains a trigger 'spy'"):
        restore(found, tmp_path / "other" / "alice")


def test_another_encoding_is_refused(service: ChatService, tmp_path: Path) -> None:
    found = unpack(pack(service, SECRET, CHEAP), SECRET)
    (tmp_path / "theirs").write_bytes(found.database)
    with closing(sqlite3.connect(tmp_path / "theirs")) as database, closing(sqlite3.connect(":memory:")) as other:
        other.execute("PRAGMA encoding = 'UTF-16le'")
        other.executescript("".join(line for line in database.iterdump() if "sqlite_sequence" not in line))
        found = Archive(found.name, 0, other.serialize())
    with pytest.raises(ArchiveForeign, match="UTF-16le"):
        restore(found, tmp_path / "other" / "alice")


@pytest.mark.parametrize("seed", range(12))
def test_damaged_pages_end_in_a_sentence_or_in_our_own_rows(service: ChatService, tmp_path: Path, seed: int) -> None:
    """Bytes anywhere in the file: what is imported is always a database of ours."""
    found = unpack(pack(service, SECRET, CHEAP), SECRET)
    chance, data = random.Random(seed), bytearray(found.database)
    for _ in range(1 << seed % 6):
        data[chance.randrange(16, len(data))] = chance.randrange(256)
    folder = tmp_path / "other" / "alice"
    with suppress(ArchiveDamaged, ArchiveForeign, ArchiveNewer):
        restore(Archive(found.name, 0, bytes(data)), folder)
        with closing(ChatService(folder, "alice")) as made:
            assert schema_of(made.database.connection) == schema_of(service.database.connection)


def test_pages_that_lead_to_each_other_give_no_rows_without_end(service: ChatService, tmp_path: Path) -> None:
    """Each inner page may name the same page hundreds of times, twenty levels deep."""
    with service.database.transaction() as tx:
        for number in range(400):
            records.insert_message(tx, 1, records.Direction.RECEIVED, f"{number}" * 200, 0, None)
    data = bytearray(unpack(pack(service, SECRET, CHEAP), SECRET).database)
    with closing(sqlite3.connect(":memory:")) as reading:
        reading.deserialize(bytes(data[:18]) + b"\1\1" + bytes(data[20:]))
        [root] = reading.execute("SELECT rootpage FROM sqlite_master WHERE name = 'messages'").fetchone()
    size = int.from_bytes(data[16:18], "big")
    page = (root - 1) * size
    assert data[page] == 5  # an inner page of a table
    for cell in range(int.from_bytes(data[page + 3 : page + 5], "big")):
        at = page + int.from_bytes(data[page + 12 + 2 * cell : page + 14 + 2 * cell], "big")
        data[at : at + 4] = data[page + 8 : page + 12]
    with pytest.raises(ArchiveDamaged):
        restore(Archive(b"alice", 0, bytes(data)), tmp_path / "other" / "alice")


@pytest.mark.parametrize("version", range(1, len(CHAT_MIGRATIONS) + 1))
def test_an_export_of_every_earlier_version_is_brought_up_to_date(tmp_path: Path, version: int) -> None:
    agent = min(version, len(AGENT_MIGRATIONS))
    path = tmp_path / "old.db"
    with closing(Database(path, {"agent": AGENT_MIGRATIONS[:agent], "chat": CHAT_MIGRATIONS[:version]})) as old:
        with old.transaction() as tx:
            tx.execute("INSERT INTO settings VALUES ('socks', 'off')")
            tx.execute("INSERT INTO events (kind, payload) VALUES ('x', 'y')")
            tx.execute("DELETE FROM events")
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as copy:
            old.copy_to(copy)
            data = copy.serialize()
    folder = tmp_path / "other" / "old"
    restore(Archive(b"old", 0, data), folder)
    with closing(ChatService(folder, "old")) as service:
        assert settings.setting(service.database.connection, "socks") == "off"
        [row] = service.database.read("SELECT seq FROM sqlite_sequence WHERE name = 'events'")
        assert row["seq"] == 1  # its number is not used again


def test_a_table_that_is_counted_twice_goes_on_from_the_larger_number(service: ChatService, tmp_path: Path) -> None:
    """Exports of encrypted profiles once were so."""
    script = "INSERT INTO sqlite_sequence VALUES ('messages', 41); INSERT INTO sqlite_sequence VALUES ('messages', 7)"
    restore(changed(unpack(pack(service, SECRET, CHEAP), SECRET), script, tmp_path), tmp_path / "alice")
    with closing(ChatService(tmp_path / "alice", "alice")) as again, again.database.transaction() as tx:
        assert records.insert_message(tx, 1, records.Direction.RECEIVED, "next", 0, None) == 42


def test_an_encrypted_profile_with_rows_in_every_table(service: ChatService, tmp_path: Path) -> None:
    with service.database.transaction() as tx:
        rows_everywhere(tx)
    set_passphrase(service.folder, SECRET)
    with closing(ChatService(service.folder, "alice", passphrase=lambda: SECRET)) as encrypted:
        found = unpack(pack(encrypted, SECRET, CHEAP), SECRET)
    with closing(open_foreign(found.database)) as source:
        for table in (row[0] for row in source.execute("SELECT name FROM sqlite_master WHERE type = 'table'")):
            assert source.execute(f"SELECT count(*) FROM {table}").fetchone()[0], table
        names = [name for [name] in source.execute("SELECT name FROM sqlite_sequence")]
    assert len(names) == len(set(names))


def rows_everywhere(tx: sqlite3.Connection) -> None:
    """A row in each table, of the least that the schema asks for."""
    tx.execute("PRAGMA defer_foreign_keys = ON")
    for _ in range(2):
        for [table] in tx.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            if table == "sqlite_sequence" or tx.execute(f"SELECT 1 FROM {table}").fetchone():
                continue
            columns = {
                row["name"]: {"INTEGER": 1, "REAL": 1.5, "TEXT": "x", "BLOB": b"x"}[row["type"]]
                for row in tx.execute(f"PRAGMA table_info({table})")
            }
            marks = ", ".join("?" for _ in columns)
            tx.execute(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", tuple(columns.values()))
