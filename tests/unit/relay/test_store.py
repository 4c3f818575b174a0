from __future__ import annotations

import sqlite3
import stat
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from smpchat.crypto.keys import Ed25519PrivateKey
from smpchat.protocol.queue_mode import QueueMode
from smpchat.relay.errors import RelayStoreError
from smpchat.relay.records import Link, NewQueue, Notifier, Queue, StoredMessage
from smpchat.relay.schema import SCHEMA_VERSION
from smpchat.relay.store import SQLiteStore

KEY = Ed25519PrivateKey(b"\x01" * 32).public()
OTHER = Ed25519PrivateKey(b"\x02" * 32).public()
LINK = Link(b"link", b"fixed", b"user")
NOTIFIER = Notifier(b"notifier", OTHER, b"\x07" * 32)

SCHEMA_1 = """
    CREATE TABLE queue (
        row INTEGER PRIMARY KEY,
        rcv_id BLOB NOT NULL UNIQUE,
        snd_id BLOB NOT NULL UNIQUE,
        recipient_keys BLOB NOT NULL,
        dh_secret BLOB NOT NULL,
        sender_key BLOB,
        mode BLOB,
        active INTEGER NOT NULL
    );
    CREATE TABLE message (
        seq INTEGER PRIMARY KEY,
        queue INTEGER NOT NULL REFERENCES queue (row) ON DELETE CASCADE,
        msg_id BLOB NOT NULL,
        timestamp INTEGER NOT NULL,
        notification INTEGER NOT NULL,
        body BLOB
    );
    CREATE INDEX message_by_queue ON message (queue, seq);
    CREATE INDEX message_marker ON message (queue) WHERE body IS NULL;
    PRAGMA application_id = 1397575762;
    PRAGMA user_version = 1;
"""
"""What the first release wrote."""


def a_queue(number: int = 1, *, link: Link | None = None, mode: QueueMode | None = QueueMode.MESSAGING) -> NewQueue:
    name = b"%d" % number
    return NewQueue(b"rcv " + name, b"snd " + name, (KEY,), bytes(32), None, mode, link)


def a_message(name: bytes, *, at: int = 1_700_000_000) -> StoredMessage:
    return StoredMessage(name, at, True, b"body of " + name)


MARKER = StoredMessage(b"marker", 1_700_000_000, False, None)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "relay.db"


@pytest.fixture
def store() -> Iterator[SQLiteStore]:
    with closing(SQLiteStore(":memory:")) as store:
        yield store


def reopened(path: Path) -> SQLiteStore:
    """The database as a new process finds it. The one before was not closed: that is what kill -9 leaves."""
    return SQLiteStore(path)


def found(store: SQLiteStore, rcv_id: bytes = b"rcv 1") -> Queue:
    queue = store.by_recipient(rcv_id)
    assert queue is not None
    return queue


def test_everything_committed_survives_and_nothing_else(path: Path) -> None:
    with closing(SQLiteStore(path)) as store:
        queue = store.create(a_queue(link=LINK))
        store.append(queue, a_message(b"first"))
        store.append(queue, MARKER)
        store.set_notifier(queue, NOTIFIER)
        store.add_notification(queue, b"first", 1_700_000_000, keep=9)
        store.secure(queue, OTHER)
        store.set_recipient_keys(queue, (OTHER, KEY))
        store.suspend(queue)
        store.commit()
        store.create(a_queue(2, link=Link(b"another", b"", b"")))
        store.delete(queue)
        assert store.by_link(b"link") is store.by_notifier(b"notifier") is None
        with closing(reopened(path)) as again:
            queue = found(again)
            assert again.queue_count == 1
            assert (queue.sender_key, queue.active, queue.size, queue.full) == (OTHER, False, 2, True)
            assert (queue.snd_id, queue.recipient_keys, queue.mode) == (b"snd 1", (OTHER, KEY), QueueMode.MESSAGING)
            assert again.by_sender(b"snd 1") is again.by_link(b"link") is again.by_notifier(b"notifier") is queue
            assert (queue.notifier, queue.notifications) == (NOTIFIER, 1)
            assert again.link(queue) == LINK
            assert again.head(queue) == a_message(b"first")


def test_rolled_back(store: SQLiteStore) -> None:
    queue = store.create(a_queue(link=LINK))
    store.append(queue, a_message(b"stays"))
    store.commit()
    store.delete_link(queue)
    store.delete_head(queue, b"stays")
    store.create(a_queue(2))
    store.rollback()
    queue = found(store)
    assert (store.queue_count, queue.size, store.link(queue)) == (1, 1, LINK)
    assert not store.changed


def test_link_data(store: SQLiteStore) -> None:
    queue = store.create(a_queue())
    assert (queue.link_id, store.link(queue), store.by_link(b"link")) == (None, None, None)
    store.delete_link(queue)
    store.set_link(queue, LINK)
    assert store.by_link(b"link") is queue
    store.set_link(queue, Link(b"link", b"fixed", b"newer"))
    assert store.link(queue) == Link(b"link", b"fixed", b"newer")
    store.set_link(queue, Link(b"moved", b"f", b"u"))
    assert (store.by_link(b"link"), store.by_link(b"moved")) == (None, queue)
    store.delete_link(queue)
    assert (queue.link_id, store.link(queue), store.by_link(b"moved")) == (None, None, None)
    store.set_link(queue, LINK)
    store.delete(queue)
    store.create(a_queue(2, link=LINK))


def test_a_notifier_and_its_notifications(store: SQLiteStore) -> None:
    queue = store.create(a_queue())
    store.delete_notifier(queue)
    assert store.take_notifications(queue, 5) == []
    store.set_notifier(queue, NOTIFIER)
    for number in range(5):
        store.add_notification(queue, b"%d" % number, 100 + number, keep=4)
    assert queue.notifications == 4
    assert store.take_notifications(queue, 0) == []
    assert store.take_notifications(queue, 1) == [(b"1", 101)]
    assert store.expire_notifications(103) == 1
    assert store.expire_notifications(103) == 0
    assert store.take_notifications(queue, 5) == [(b"3", 103), (b"4", 104)]
    assert queue.notifications == 0

    store.add_notification(queue, b"of the old one", 105, keep=4)
    store.set_notifier(queue, Notifier(b"another", KEY, bytes(32)))
    assert (store.by_notifier(b"notifier"), store.by_notifier(b"another")) == (None, queue)
    assert store.take_notifications(queue, 5) == []
    store.add_notification(queue, b"goes along", 106, keep=4)
    store.delete_notifier(queue)
    assert (store.by_notifier(b"another"), queue.notifier, queue.notifications) == (None, None, 0)
    store.set_notifier(queue, NOTIFIER)
    store.delete(queue)
    assert store.by_notifier(b"notifier") is None
    assert store.expire_notifications(1_000) == 0


def test_messages_leave_in_order_and_a_marker_last(store: SQLiteStore) -> None:
    queue = store.create(a_queue())
    assert store.head(queue) is None
    assert not store.delete_head(queue, b"first")
    for message in (a_message(b"first"), a_message(b"second"), MARKER):
        store.append(queue, message)
    assert not store.delete_head(queue, b"second")
    for name in (b"first", b"second"):
        assert queue.full
        assert store.head(queue) == a_message(name)
        assert store.delete_head(queue, name)
    assert store.head(queue) == MARKER
    assert store.delete_head(queue, b"marker")
    assert (queue.size, queue.full, store.head(queue)) == (0, False, None)


def test_old_messages_go_and_markers_stay(store: SQLiteStore) -> None:
    one, two = store.create(a_queue(1)), store.create(a_queue(2))
    for number in range(5):
        store.append(one, a_message(b"%d" % number, at=100 + number))
    store.append(two, StoredMessage(b"marker", 104, False, None))
    store.append(two, a_message(b"young", at=105))
    assert store.expire(105, limit=4) == (4, 4)
    assert store.expire(105, after=4, limit=4) == (1, None)
    assert (one.size, two.size) == (0, 2)
    assert store.expire(105) == (0, None)


def test_the_file_is_nobody_elses(path: Path) -> None:
    SQLiteStore(path).close()
    if sys.platform != "win32":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


# --- schemas -------------------------------------------------------------------------------------------------------


def test_what_the_first_release_wrote_is_migrated(path: Path) -> None:
    with closing(sqlite3.connect(path)) as old:
        old.executescript(SCHEMA_1)
        keys = bytes([1, len(KEY.der)]) + KEY.der
        old.execute("INSERT INTO queue VALUES (7, X'01', X'02', ?, zeroblob(32), NULL, X'4d', 1)", (keys,))
        old.execute("INSERT INTO message VALUES (3, 7, X'05', 1700000000, 1, X'06')")
        old.commit()
    for _ in range(2):
        with closing(SQLiteStore(path)) as store:
            queue = found(store, b"\x01")
            assert store.by_sender(b"\x02") is queue
            assert (queue.recipient_keys, queue.mode, queue.size) == ((KEY,), QueueMode.MESSAGING, 1)
            assert store.head(queue) == StoredMessage(b"\x05", 1_700_000_000, True, b"\x06")
            assert store.link(queue) is None
    with closing(SQLiteStore(path)) as store:
        store.set_link(found(store, b"\x01"), LINK)
        store.set_notifier(found(store, b"\x01"), NOTIFIER)
        store.commit()
    with closing(SQLiteStore(path)) as store:
        assert store.link(found(store, b"\x01")) == LINK
        assert found(store, b"\x01").notifier == NOTIFIER


def test_files_that_are_not_ours_or_newer(path: Path, tmp_path: Path) -> None:
    SQLiteStore(path).close()
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    with pytest.raises(RelayStoreError, match="newer"):
        SQLiteStore(path)
    other = tmp_path / "other.db"
    with closing(sqlite3.connect(other)) as db:
        db.execute("CREATE TABLE theirs (x)")
        db.commit()
    with pytest.raises(RelayStoreError, match="not a relay's"):
        SQLiteStore(other)
    (tmp_path / "text").write_text("not a database at all, but long enough to be one" * 50)
    with pytest.raises(RelayStoreError):
        SQLiteStore(tmp_path / "text")


@pytest.mark.parametrize(
    "statement",
    ["UPDATE queue SET recipient_keys = X'00'", "UPDATE queue SET mode = X'51'", "UPDATE notifier SET key = X'00'"],
)
def test_a_damaged_record(path: Path, statement: str) -> None:
    with closing(SQLiteStore(path)) as store:
        store.set_notifier(store.create(a_queue()), NOTIFIER)
        store.commit()
    with closing(sqlite3.connect(path)) as db:
        db.execute(statement)
        db.commit()
    with pytest.raises(RelayStoreError, match="damaged"):
        SQLiteStore(path)
