"""Other processes for `test_encryption`: some hold a database, some write to one, and some end at any moment."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import FrameType

from sqlcipher3 import dbapi2  # type: ignore[import-untyped]

from smpchat.agent.errors import PassphraseRefused, StoreError
from smpchat.agent.store.database import Database, encrypted_path
from smpchat.agent.store.encryption import EncryptedDatabase, change_passphrase, decrypt, encrypt

SECRET, NEW = "correct horse", "battery staple"
COMPONENTS = {
    "test": [
        "CREATE TABLE texts (text TEXT NOT NULL);"
        "CREATE INDEX texts_by_text ON texts (text);"
        "CREATE TABLE numbered (id INTEGER PRIMARY KEY AUTOINCREMENT, text TEXT)"
    ]
}
_DEFAULT_ROUNDS, _FEW_ROUNDS = 256_000, 10
_STRIDE = 13
"""One of so many calls is tried; all of them take half a minute."""


@contextmanager
def quick_keys() -> Iterator[None]:
    """Keys are made of passphrases in the usual way, with less work, by all of this process."""
    with closing(dbapi2.connect(":memory:")) as anything:
        anything.execute(f"PRAGMA cipher_default_kdf_iter = {_FEW_ROUNDS}")
        yield
        anything.execute(f"PRAGMA cipher_default_kdf_iter = {_DEFAULT_ROUNDS}")


def write(database: Database, text: str) -> None:
    with database.transaction() as tx:
        tx.execute("INSERT INTO texts VALUES (?)", (text,))


def texts(database: Database) -> list[str]:
    return [row["text"] for row in database.read("SELECT text FROM texts ORDER BY rowid")]


def _open(kind: str, path: Path) -> Database:
    return Database(path, COMPONENTS) if kind == "plain" else EncryptedDatabase(path, COMPONENTS, SECRET)


def hold() -> None:
    """Have the database open until standard input ends, then read it."""
    with quick_keys(), closing(_open(sys.argv[1], Path(sys.argv[2]))) as database:
        print("open", flush=True)
        sys.stdin.read()
        print(*texts(database))


def _write_late(kind: str, path: Path) -> None:
    with quick_keys():
        print("opening", flush=True)
        try:
            with closing(_open(kind, path)) as database:
                write(database, "late")
            print("written")
        except StoreError as error:
            print(type(error).__name__)


def _crash_everywhere(folder: Path) -> None:
    for name, before, operation in (
        ("encrypt", lambda _: None, lambda path: encrypt(path, SECRET)),
        ("decrypt", lambda path: encrypt(path, SECRET), lambda path: decrypt(path, SECRET)),
        ("change", lambda path: encrypt(path, SECRET), lambda path: change_passphrase(path, SECRET, NEW)),
    ):
        point = tried = 1
        while _crashes(folder / f"{name}-{point}" / "test.db", before, operation, point):
            point, tried = point + _STRIDE, tried + 1
        print(tried, flush=True)


def _crashes(path: Path, before: Callable[[Path], None], operation: Callable[[Path], None], point: int) -> bool:
    """Whether the process ended at a call, the ``point``-th one, and not by itself."""
    path.parent.mkdir()
    with closing(Database(path, COMPONENTS)) as database:
        write(database, "precious")
    before(path)
    child = os.fork()
    if not child:
        _end_at(point)
        operation(path)
        os._exit(0)
    ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert ended in (0, 9), ended
    with closing(_whichever(path)) as database:
        assert texts(database) == ["precious"]
        write(database, "more")
    with closing(_whichever(path)) as database:
        assert texts(database) == ["precious", "more"]
        assert not (encrypted_path(path).exists() and (path.exists() or path.with_name("test.db.new").exists()))
    return ended == 9


def _end_at(point: int) -> None:
    left = point

    def count(frame: FrameType, event: str, _: object) -> None:
        nonlocal left
        left -= event in ("c_call", "c_return")
        if not left:
            os._exit(9)

    sys.setprofile(count)


def _whichever(path: Path) -> Database:
    """As a program opens it that knows all passphrases."""
    if not encrypted_path(path).exists():
        return Database(path, COMPONENTS)
    try:
        return EncryptedDatabase(path, COMPONENTS, SECRET)
    except PassphraseRefused:
        return EncryptedDatabase(path, COMPONENTS, NEW)


if __name__ == "__main__":
    if sys.argv[1] == "crash":
        with quick_keys():
            _crash_everywhere(Path(sys.argv[2]))
    else:
        _write_late(sys.argv[2], Path(sys.argv[3]))
