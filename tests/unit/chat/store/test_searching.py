"""Messages found by words and times, with the index and without; what it must not keep, and what it must survive."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from smpchat.chat.service import archive, encryption
from smpchat.chat.service.connecting import ChatService
from smpchat.chat.service.reading import DATABASE_NAME
from smpchat.chat.store import expiry, records, searching
from smpchat.chat.store.records import Direction
from smpchat.chat.transactions import changes
from smpchat.crypto.passphrase import Cost

SECRET = "correct horse"
MANY = 25


class Alice:
    """A profile that writes with bob and carol; the index takes all but the newest 5 messages."""

    def __init__(self, folder: Path, passphrase: str | None = None) -> None:
        self.folder, self.passphrase, self.clock = folder, passphrase, 1000.0
        self.open()
        for alias in ("bob", "carol"):
            connection_id = self.service.invite()
            with self.service.database.transaction() as tx:
                records.insert_contact(tx, connection_id, alias)

    def open(self) -> None:
        secret = self.passphrase
        given = {} if secret is None else {"passphrase": lambda: secret}
        self.service = ChatService(self.folder, "alice", now=lambda: self.clock, **given)  # type: ignore[arg-type]

    def got(self, text: str, who: str = "bob", ttl: int | None = None, *, live: bool = False) -> int:
        with self.service.database.transaction() as tx:
            contact = records.contact(tx, who)
            self.clock += 1
            return records.insert_message(
                tx, contact.id, Direction.RECEIVED, text, self.clock, None, ttl=ttl, live=live
            )

    def filled(self) -> None:
        """So many messages more that all before are put into the index by the next search."""
        for number in range(MANY):
            self.got(f"filling {number}", "carol")

    def found(self, text: str, who: str | None = None, **more: float) -> list[str]:
        return [message.text for message in self.service.find(text, who, **more).messages]  # type: ignore[arg-type]

    def indexed(self) -> int:
        return searching._last(self.service.database.connection)

    def content(self) -> bytes:
        return b"".join(path.read_bytes() for path in sorted(self.folder.iterdir()) if path.is_file())


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "UNINDEXED", 5)


@pytest.fixture
def alice(tmp_path: Path) -> Iterator[Alice]:
    made = Alice(tmp_path / "alice")
    yield made
    made.service.close()


TEXTS = [
    "See you at the Café tomorrow",
    "the password is tr0ub4dor&3",
    "你好 世界",
    'NEAR("a" OR b*) AND NOT c:^d',
    "ein Boxkämpfer",
    "ab",
    'quote " and \0 nothing',
]


@pytest.mark.parametrize("indexed", [False, True])
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("cafe TOMORROW", [0]),
        ("tomorrow café see", [0]),
        ("ub4dor&3", [1]),
        ("世界", [2]),
        ("界", [2]),
        ('NEAR("a"', [3]),
        ("b*) NOT c:^d", [3]),
        ("kampf", [4]),
        ("ab", [5]),
        ('"', [3, 6]),
        ("quote nothing", [6]),
        ("nobody wrote this", []),
        ("x" * 40_000, []),
        ("' OR 1=1 --", []),
        ("\udcff", []),
    ],
)
def test_whatever_is_asked(tmp_path: Path, query: str, expected: list[int], *, indexed: bool) -> None:
    alice = Alice(tmp_path)
    for text in TEXTS:
        alice.got(text)
    if indexed:
        alice.filled()
    assert alice.found(query) == [TEXTS[number] for number in expected]
    assert alice.indexed() == (len(TEXTS) + MANY - 5 if indexed else 0)
    alice.service.close()


def test_times_contacts_and_pages(alice: Alice) -> None:
    for number in range(40):
        alice.got(f"word {number}", "bob" if number % 2 else "carol")
    assert alice.found("word", limit=3) == ["word 37", "word 38", "word 39"]
    assert alice.found("word", "bob", limit=2) == ["word 37", "word 39"]
    assert alice.found("word", since=1011, until=1013) == ["word 10", "word 11"]
    assert alice.found("", since=1011, until=1013) == ["word 10", "word 11"]
    page, pages = alice.service.find("word", "carol", limit=8), []
    while page.more:
        pages.append(page.messages)
        page = alice.service.find("word", "carol", limit=8, before=page.messages[0].id)
    pages.append(page.messages)
    assert [len(messages) for messages in pages] == [8, 8, 4]
    assert len({message.id for messages in pages for message in messages}) == 20
    assert (
        alice.found("word", limit=10**30) and alice.found("word", before=10**30) and not alice.found("word", before=0)
    )


def test_the_index_grows_a_part_at_each_search(alice: Alice, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "BATCH", 10)
    for number in range(40):
        alice.got(f"word {number}")
    seen = []
    for _ in range(5):
        assert len(alice.found("word")) == 40
        seen.append(alice.indexed())
    assert seen == [10, 20, 30, 35, 35]


def retract(alice: Alice, number: int) -> None:
    with alice.service.database.transaction() as tx:
        changes.delete(tx, number)


def erase(alice: Alice, number: int) -> None:
    with alice.service.database.transaction() as tx:
        message = records.message(tx, number)
        assert message is not None
        changes.erase(tx, message)


def edit(alice: Alice, number: int) -> None:
    with alice.service.database.transaction() as tx:
        changes.edit(tx, number, "other words", edited=True, live=False)
    alice.service.database.clear_log()


def disappear(alice: Alice, number: int) -> None:
    with alice.service.database.transaction() as tx:
        expiry.shorten(tx, number, 60, alice.clock)
        expiry.start(tx, number, alice.clock)
    alice.clock += 60
    alice.service.expire()


def delete_contact(alice: Alice, _: int) -> None:
    with alice.service.database.transaction() as tx:
        records.delete_contact(tx, records.contact(tx, "bob").id)
    alice.service.database.clear_log()


@pytest.mark.parametrize("gone", [retract, erase, edit, disappear, delete_contact])
@pytest.mark.parametrize("indexed", [False, True])
def test_words_that_went_are_in_no_file(tmp_path: Path, gone: Callable[[Alice, int], None], *, indexed: bool) -> None:
    """Read as bytes; each trigram of the word is in nothing else that is written."""
    alice = Alice(tmp_path)
    number = alice.got("zqxjvk")
    kept = alice.got("a word that stays", "carol")
    if indexed:
        alice.filled()
    assert alice.found("zqxjvk") == ["zqxjvk"]
    alice.service.database.clear_log()
    content = alice.content()
    grams = [b"zqx", b"qxj", b"xjv", b"jvk"]
    assert b"zqxjvk" in content
    if indexed:
        assert alice.indexed() > kept > number
        # Each trigram stands there alone, behind the letters that it shares with the one before.
        assert content.count(b"zqx") > 1 and content.count(b"xjv") > 1
    gone(alice, number)
    content = alice.content()
    assert not [gram for gram in grams if gram in content]
    assert alice.found("zqxjvk") == []
    assert alice.found("that stays") == ["a word that stays"]
    if gone is edit:
        assert alice.found("other words") == ["other words"]
    alice.service.close()


def test_what_disappears_is_never_in_the_index(alice: Alice) -> None:
    soon = alice.got("a secret that disappears", ttl=60)
    alice.filled()
    assert alice.found("secret") == ["a secret that disappears"]
    indexed = alice.indexed()
    assert indexed > soon
    with alice.service.database.transaction() as tx:
        expiry.start(tx, soon, alice.clock)
    alice.clock += 60
    assert alice.found("secret") == [] and alice.indexed() == indexed  # it need not be built anew


def test_what_is_being_written_is_found_as_it_grows(alice: Alice) -> None:
    number = alice.got("once upon", live=True)
    alice.filled()
    assert alice.found("upon") == ["once upon"] and alice.indexed() > number
    for text, live in (("once upon a time", True), ("once upon a time there was", False)):
        with alice.service.database.transaction() as tx:
            changes.edit(tx, number, text, edited=False, live=live)
        assert alice.found("upon time") == [text]


def test_a_damaged_index_keeps_nothing_away(tmp_path: Path) -> None:
    alice = Alice(tmp_path)
    first = alice.got("a word that stays")
    alice.filled()
    alice.found("word")
    assert alice.indexed()
    alice.service.close()
    with closing(sqlite3.connect(tmp_path / DATABASE_NAME)) as other, other:
        other.execute(f"UPDATE {searching.TABLE}_data SET block = x'ffffffffff'")
        other.execute(f"DELETE FROM {searching.TABLE}_docsize WHERE id > 3")
    alice.open()
    assert alice.got("a word that came")
    assert alice.found("word") == ["a word that stays", "a word that came"]
    edit(alice, first)
    assert alice.found("words") == ["other words"]
    alice.service.close()


def test_a_damaged_index_does_not_keep_a_message_from_being_taken_back(tmp_path: Path) -> None:
    alice = Alice(tmp_path)
    first = alice.got("a word that stays")
    alice.filled()
    alice.found("word")
    alice.service.close()
    with closing(sqlite3.connect(tmp_path / DATABASE_NAME)) as other, other:
        other.execute(f"UPDATE {searching.TABLE}_data SET block = x'ffffffffff'")
    alice.open()
    retract(alice, first)
    assert alice.found("word") == []
    alice.service.close()


def test_without_such_an_index_everything_is_looked_through(alice: Alice, monkeypatch: pytest.MonkeyPatch) -> None:
    alice.got("a word that stays")
    alice.filled()
    monkeypatch.setattr(searching, "_CREATE", "CREATE VIRTUAL TABLE message_index USING fts9(words)")
    assert alice.found("word") == ["a word that stays"] and not alice.indexed()


def packed(alice: Alice) -> archive.Archive:
    return archive.unpack(archive.pack(alice.service, "x", Cost(cost=4, block=8, parallel=1)), "x")


def test_an_index_goes_with_the_profile_into_no_archive(alice: Alice, tmp_path: Path) -> None:
    alice.got("a word that stays")
    alice.filled()
    alice.found("word")
    assert alice.indexed()
    assert archive.schema_difference(alice.service) is None
    found = packed(alice)
    assert searching.TABLE.encode() not in found.database
    archive.unfold(found, tmp_path / "again", tmp_path)
    with closing(ChatService(tmp_path / "again", "again")) as again:
        assert [message.text for message in again.find("word").messages] == ["a word that stays"]
        assert searching._last(again.database.connection)


def test_an_encrypted_profile_has_one_too(tmp_path: Path) -> None:
    """With an SQLite of its own, which reads what the other has written, and the other way."""
    alice = Alice(tmp_path / "alice")
    first = alice.got("a word that stays")
    alice.filled()
    alice.found("word")
    indexed = alice.indexed()
    alice.service.close()
    encryption.set_passphrase(alice.folder, SECRET)
    alice.passphrase = SECRET
    alice.open()
    assert alice.indexed() == indexed and alice.found("word") == ["a word that stays"]
    retract(alice, first)
    last = alice.got("a word that came")
    alice.filled()
    assert alice.found("word") == ["a word that came"] and alice.indexed() > indexed
    archive.unfold(packed(alice), tmp_path / "again", tmp_path)
    alice.service.close()
    encryption.remove_passphrase(alice.folder, SECRET)
    alice.passphrase = None
    alice.open()
    assert alice.indexed() > indexed and alice.found("word") == ["a word that came"]
    retract(alice, last)
    assert not alice.indexed() and alice.found("word") == []
    alice.service.close()
    with closing(ChatService(tmp_path / "again", "again")) as again:
        assert [message.text for message in again.find("word").messages] == ["a word that came"]
