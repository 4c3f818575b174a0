"""A profile's database encrypted, decrypted and with another passphrase: whole at every moment, and nobody else's."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from smpchat.agent.errors import PassphraseRefused, StoreError, StoreInUse, StoreReplaced
from smpchat.agent.store import encryption
from smpchat.agent.store.database import Database, encrypted_path
from smpchat.agent.store.encryption import EncryptedDatabase, change_passphrase, decrypt, encrypt
from tests.unit.agent.store import encryption_crashes
from tests.unit.agent.store.encryption_crashes import COMPONENTS, SECRET, quick_keys, texts, write

OTHER = "battery staple"


@pytest.fixture(autouse=True)
def _quick() -> Iterator[None]:
    with quick_keys():
        yield


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Of a plain database with one text."""
    path = tmp_path / "test.db"
    with closing(Database(path, COMPONENTS)) as database:
        write(database, "precious")
    return path


@pytest.fixture
def encrypted(path: Path) -> Path:
    encrypt(path, SECRET)
    return path


def names(path: Path) -> list[str]:
    return sorted(found.name for found in path.parent.iterdir())


def opened(path: Path, passphrase: str = SECRET) -> list[str]:
    with closing(EncryptedDatabase(path, COMPONENTS, passphrase)) as database:
        return texts(database)


@pytest.mark.parametrize("name", ["a b", "100%41", "what?mode=ro", "#1", "é\u4e2d", "a&b=c;d"])
def test_any_folder_will_do(tmp_path: Path, name: str) -> None:
    if sys.platform == "win32" and "?" in name:
        pytest.skip("no name of a file here")
    path = tmp_path / name / "test.db"
    path.parent.mkdir()
    with closing(Database(path, COMPONENTS)) as database:
        write(database, "precious")
    encrypt(path, SECRET)
    assert opened(path) == ["precious"]
    assert [folder.name for folder in tmp_path.iterdir()] == [name]


def test_what_was_there_is_there_and_cannot_be_read_by_others(encrypted: Path) -> None:
    assert names(encrypted) == ["test.db.encrypted"]
    content = encrypted_path(encrypted).read_bytes()
    assert b"SQLite" not in content and b"precious" not in content
    assert stat.S_IMODE(encrypted_path(encrypted).stat().st_mode) == 0o600
    with closing(EncryptedDatabase(encrypted, COMPONENTS, SECRET)) as database:
        write(database, "more")
        assert texts(database) == ["precious", "more"]
        for beside in names(encrypted):
            assert b"more" not in (encrypted.parent / beside).read_bytes()
    assert opened(encrypted) == ["precious", "more"]


def test_another_passphrase_is_refused_and_changes_nothing(encrypted: Path) -> None:
    before = encrypted_path(encrypted).read_bytes()
    refused: tuple[Callable[[], object], ...] = (
        lambda: opened(encrypted, OTHER),
        lambda: decrypt(encrypted, OTHER),
        lambda: change_passphrase(encrypted, OTHER, "third secret"),
    )
    for use in refused:
        with pytest.raises(PassphraseRefused) as caught:
            use()
        assert OTHER not in str(caught.value)
    assert encrypted_path(encrypted).read_bytes() == before
    assert names(encrypted) == ["test.db.encrypted"]


def test_the_same_letters_in_other_code_points_are_the_same_passphrase(path: Path) -> None:
    encrypt(path, "Stra\N{LATIN SMALL LETTER A WITH DIAERESIS}\N{LATIN SMALL LETTER SHARP S}e")
    assert opened(path, "Straa\N{COMBINING DIAERESIS}\N{LATIN SMALL LETTER SHARP S}e") == ["precious"]


@pytest.mark.parametrize("passphrase", ['it\'s "quoted"; DROP TABLE texts', "x'00ff'", "п" * 400])
def test_a_passphrase_is_never_read_as_something_else(path: Path, passphrase: str) -> None:
    encrypt(path, passphrase)
    assert opened(path, passphrase) == ["precious"]
    change_passphrase(path, passphrase, passphrase + "!")
    assert opened(path, passphrase + "!") == ["precious"]


def test_decrypted_it_is_as_before(encrypted: Path) -> None:
    decrypt(encrypted, SECRET)
    assert names(encrypted) == ["test.db"]
    assert stat.S_IMODE(encrypted.stat().st_mode) == 0o600
    with closing(Database(encrypted, COMPONENTS)) as database:
        assert texts(database) == ["precious"]


def test_with_another_passphrase_the_first_one_is_refused(encrypted: Path) -> None:
    change_passphrase(encrypted, SECRET, OTHER)
    assert opened(encrypted, OTHER) == ["precious"]
    with pytest.raises(PassphraseRefused):
        opened(encrypted)


def test_nothing_changes_while_it_is_open_elsewhere(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encryption, "IN_USE_TIMEOUT", 0.0)
    holder = "from tests.unit.agent.store.encryption_crashes import hold; hold()"

    def refused(kind: str, use: Callable[[], None]) -> None:
        arguments = [sys.executable, "-c", holder, kind, str(path)]
        with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
            assert other.stdin is not None and other.stdout is not None
            assert other.stdout.readline() == "open\n"
            with pytest.raises(StoreInUse):
                use()
            other.stdin.close()
            assert other.stdout.read() == "precious\n"

    refused("plain", lambda: encrypt(path, SECRET))
    assert names(path) == ["test.db"]
    encrypt(path, SECRET)
    refused("encrypted", lambda: decrypt(path, SECRET))
    refused("encrypted", lambda: change_passphrase(path, SECRET, OTHER))
    assert names(path) == ["test.db.encrypted"]


@pytest.mark.parametrize("kind", ["plain", "encrypted"])
def test_whoever_opens_it_meanwhile_waits_and_then_writes_nothing(
    path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind == "encrypted":
        encrypt(path, SECRET)
    sync, others = encryption._sync, list[subprocess.Popen[str]]()

    def meanwhile(synced: Path) -> None:
        if not others:
            arguments = [sys.executable, "-m", encryption_crashes.__name__, "write", kind, str(path)]
            others.append(subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True))
            assert others[0].stdout is not None
            assert others[0].stdout.readline() == "opening\n"
        sync(synced)

    monkeypatch.setattr(encryption, "_sync", meanwhile)
    if kind == "plain":
        encrypt(path, SECRET)
    else:
        decrypt(path, SECRET)
    with others[0] as other:
        answer = other.communicate()[0]
    assert answer in ("StoreReplaced\n", "written\n")
    found = opened(path) if kind == "plain" else texts_of(path)
    assert found == (["precious", "late"] if answer == "written\n" else ["precious"])


def texts_of(path: Path) -> list[str]:
    with closing(Database(path, COMPONENTS)) as database:
        return texts(database)


def test_a_file_that_was_decrypted_is_not_made_anew(path: Path) -> None:
    with pytest.raises(StoreReplaced):
        opened(path)
    assert names(path) == ["test.db"]


def test_a_connection_of_before_writes_nothing_any_more(path: Path) -> None:
    with closing(Database(path, COMPONENTS)) as database:
        encrypted_path(path).touch()  # as if somebody had ignored that it is open
        with pytest.raises(StoreReplaced):
            write(database, "lost")
        encrypted_path(path).unlink()
        write(database, "kept")
        assert texts(database) == ["precious", "kept"]
        path.rename(path.with_name("elsewhere"))
        with pytest.raises(StoreReplaced):
            write(database, "lost")


def test_an_empty_file_opens_with_no_passphrase(path: Path) -> None:
    encrypted_path(path).touch()
    with pytest.raises(StoreError, match="empty"):
        opened(path)
    assert names(path) == ["test.db", "test.db.encrypted"]


def test_a_damaged_page_is_found_before_anything_is_replaced(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.executemany("INSERT INTO texts VALUES (?)", [("x" * 1000,)] * 50)
    content = bytearray(path.read_bytes())
    content[3 * 4096 : 4 * 4096] = bytes(4096)
    path.write_bytes(content)
    with pytest.raises(StoreError):
        encrypt(path, SECRET)
    assert names(path) == ["test.db"]


def test_a_full_disk_changes_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(encryption, "_sync", full)
    with pytest.raises(StoreError, match="No space left"):
        encrypt(path, SECRET)
    assert names(path) == ["test.db"]


def test_errors_are_those_of_sqlite3(encrypted: Path) -> None:
    """What handles them knows no other."""
    with closing(EncryptedDatabase(encrypted, COMPONENTS, SECRET)) as database:
        with pytest.raises(sqlite3.OperationalError, match="no such table"):
            database.read("SELECT * FROM nobody")
        with pytest.raises(sqlite3.IntegrityError), database.transaction() as tx:
            tx.execute("INSERT INTO texts VALUES ('again')")
            tx.executemany("INSERT INTO texts VALUES (?)", [("one",), (None,)])
        [pages] = database.connection.execute("PRAGMA page_count").fetchone()
        database.connection.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(StoreError, match="full"):
            write(database, "x" * 100_000)
        assert texts(database) == ["precious"]


def test_a_copy_in_memory_has_everything(encrypted: Path) -> None:
    with (
        closing(EncryptedDatabase(encrypted, COMPONENTS, SECRET)) as database,
        closing(sqlite3.connect(":memory:", isolation_level=None)) as copy,
    ):
        with database.transaction() as tx:
            tx.execute("INSERT INTO numbered (text) VALUES ('gone')")
            tx.execute("DELETE FROM numbered")
        database.copy_to(copy)
        assert copy.execute("SELECT text FROM texts").fetchall() == [("precious",)]
        assert [row[0] for row in copy.execute("SELECT name FROM sqlite_master ORDER BY name")] == sorted(
            row["name"] for row in database.read("SELECT name FROM sqlite_master")
        )
        copy.execute("INSERT INTO numbered (text) VALUES ('new')")
        assert copy.execute("SELECT id FROM numbered").fetchall() == [(2,)]  # a number is never used twice


@pytest.mark.skipif(sys.platform == "win32", reason="ends forked processes")
def test_a_crash_at_any_call_leaves_a_whole_database(tmp_path: Path) -> None:
    arguments = [sys.executable, "-m", encryption_crashes.__name__, "crash", str(tmp_path)]
    ended = subprocess.run(arguments, stdout=subprocess.PIPE, text=True, check=True)
    points = [int(word) for word in ended.stdout.split()]
    assert len(points) == 3 and min(points) > 5
