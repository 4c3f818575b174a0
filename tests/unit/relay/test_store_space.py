"""What the store counts, what it measures, and that it gives room back."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from smpchat.relay.copying import copy_database, take_over
from smpchat.relay.counters import StoreCounts
from smpchat.relay.errors import RelayStoreError
from smpchat.relay.records import Queue, StoredMessage
from smpchat.relay.store import SQLiteStore
from tests.unit.relay.test_store import a_queue

BODY = b"\xa5" * 16_000


def fill(store: SQLiteStore, messages: int) -> Queue:
    queue = store.create(a_queue())
    for number in range(messages):
        store.append(queue, StoredMessage(number.to_bytes(24, "big"), 1_700_000_000, False, BODY))
    store.commit()
    return queue


def empty(store: SQLiteStore, queue: Queue, messages: int) -> None:
    for number in range(messages):
        assert store.delete_head(queue, number.to_bytes(24, "big"))
    store.commit()


def test_what_was_done_is_counted() -> None:
    with closing(SQLiteStore(":memory:")) as store:
        queue = fill(store, 3)
        store.append(queue, StoredMessage(b"marker", 1_700_000_000, False, None))
        assert store.delete_head(queue, bytes(24))
        assert not store.delete_head(queue, b"another")
        assert store.expire(1_700_000_001) == (2, None)
        store.delete(queue)
        store.commit()
        assert store.counts == StoreCounts(queues_created=1, queues_deleted=1, sends=3, acks=1, expired=2)


def test_what_was_rolled_back_is_not_counted() -> None:
    with closing(SQLiteStore(":memory:")) as store:
        queue = fill(store, 1)
        store.append(queue, StoredMessage(b"2" * 24, 1_700_000_000, False, BODY))
        store.delete(queue)
        store.rollback()
        assert store.counts == StoreCounts(queues_created=1, sends=1)


def test_what_it_holds_is_measured(tmp_path: Path) -> None:
    with closing(SQLiteStore(tmp_path / "relay.db")) as store:
        assert store.measure().messages == 0
        queue = fill(store, 10)
        size = store.measure()
        assert size.messages == 10
        assert size.database_bytes > 10 * len(BODY)
        empty(store, queue, 10)
        size = store.measure()
        assert size.messages == 0
        assert size.free_bytes >= 9 * len(BODY)
    with closing(SQLiteStore(":memory:")) as store:
        fill(store, 2)
        assert store.measure().messages == 2


def test_free_pages_are_returned_step_by_step(tmp_path: Path) -> None:
    path = tmp_path / "relay.db"
    with closing(SQLiteStore(path)) as store:
        queue = fill(store, 300)
        empty(store, queue, 290)
    full = path.stat().st_size
    with closing(SQLiteStore(path)) as store:
        steps = 1
        while store.give_back(32, keep=40):
            store.commit()
            steps += 1
        store.commit()
        assert 7 <= steps <= 9
        assert store.measure().free_bytes == 40 * 16_384
        assert path.stat().st_size <= full - 240 * 16_384  # at once, not only when it is closed
        assert not store.give_back(32, keep=40)
        assert not store.changed
        queue = store.by_recipient(queue.rcv_id) or queue
        assert (queue.size, store.head(queue)) == (
            10, StoredMessage((290).to_bytes(24, "big"), 1_700_000_000, False, BODY)
        )  # fmt: skip
    assert path.stat().st_size <= full - 240 * 16_384
    take_over(path)


def test_giving_back_can_be_rolled_back(tmp_path: Path) -> None:
    with closing(SQLiteStore(tmp_path / "relay.db")) as store:
        empty(store, fill(store, 50), 50)
        before = store.measure().free_bytes
        store.give_back(20, keep=0)
        store.rollback()
        assert store.measure().free_bytes == before


def test_a_database_of_before_keeps_its_pages(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "relay.db")) as old:
        old.execute("PRAGMA auto_vacuum = NONE")
        old.execute("PRAGMA application_id = 0x534D5052")
        old.execute("CREATE TABLE queue (row INTEGER PRIMARY KEY, rcv_id BLOB, snd_id BLOB, recipient_keys BLOB,"
                    " dh_secret BLOB, sender_key BLOB, mode BLOB, active INTEGER NOT NULL)")  # fmt: skip
        old.execute("CREATE TABLE message (seq INTEGER PRIMARY KEY, queue INTEGER, msg_id BLOB, timestamp INTEGER,"
                    " notification INTEGER, body BLOB)")  # fmt: skip
        old.execute("PRAGMA user_version = 1")
    with closing(SQLiteStore(tmp_path / "relay.db")) as store:
        empty(store, fill(store, 20), 20)
        assert not store.give_back(10, keep=0)
        assert not store.changed


@pytest.mark.parametrize("kept", [0, 3])
def test_what_is_deleted_is_overwritten_where_that_costs_nothing(tmp_path: Path, kept: int) -> None:
    """Small messages share a page, which is written anyway when one of them goes."""
    path = tmp_path / "relay.db"
    with closing(SQLiteStore(path)) as store:
        queue = store.create(a_queue())
        for number in range(4):
            body = b"secret!!" if number < 4 - kept else b"kept"
            store.append(queue, StoredMessage(number.to_bytes(24, "big"), 1_700_000_000, False, body * 4))
        store.commit()
        empty(store, queue, 4 - kept)
    assert b"secret!!" not in path.read_bytes()


def test_a_copy_is_of_one_moment_and_needs_no_other_file(tmp_path: Path) -> None:
    with closing(SQLiteStore(tmp_path / "relay.db")) as store:
        queue = fill(store, 5)
        store.append(queue, StoredMessage(b"uncommitted", 1_700_000_000, False, BODY))
        copy_database(tmp_path / "relay.db", tmp_path / "copy.db")
        store.commit()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy.db", "relay.db"]
    take_over(tmp_path / "copy.db")
    with closing(SQLiteStore(tmp_path / "copy.db")) as copy:
        assert copy.measure().messages == 5


def test_copies_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(RelayStoreError, match="no database"):
        copy_database(tmp_path / "none", tmp_path / "copy")
    assert list(tmp_path.iterdir()) == []
    SQLiteStore(tmp_path / "relay.db").close()
    with pytest.raises(FileExistsError):
        copy_database(tmp_path / "relay.db", tmp_path / "relay.db")
    (tmp_path / "text").write_text("no database" * 1_000)
    with pytest.raises(RelayStoreError):
        copy_database(tmp_path / "text", tmp_path / "copy")
    with pytest.raises(RelayStoreError):
        take_over(tmp_path / "text")


def test_a_database_with_holes_is_told(tmp_path: Path) -> None:
    path = tmp_path / "relay.db"
    with closing(SQLiteStore(path)) as store:
        fill(store, 40)
    content = bytearray(path.read_bytes())
    content[20 * 16_384 : 24 * 16_384] = b"\xff" * (4 * 16_384)
    path.write_bytes(content)
    with pytest.raises(RelayStoreError, match=r"^relay\.db cannot be read: the database's pages are damaged"):
        take_over(path)


DAY = 86_400
KEEP = 21 * DAY
T = 1_700_000_000


def test_a_clock_that_leaps_makes_nothing_old() -> None:
    with closing(SQLiteStore(":memory:")) as store:
        assert store.see_clock(T - 365 * DAY, KEEP) == (True, 0), "nothing is there that could be old"
        assert not store.changed
        fill(store, 1)
        assert store.see_clock(T, KEEP) == (True, 0)
        assert store.see_clock(T + 7_200, KEEP) == (True, 0)
        assert store.see_clock(T + 365 * DAY, KEEP) == (False, KEEP), "a year ahead"
        assert store.see_clock(T + 365 * DAY + 7_200, KEEP) == (True, KEEP - 7_200), "and told once"
        assert store.see_clock(T + DAY, KEEP) == (False, KEEP), "back again"
        assert store.see_clock(T, KEEP) == (False, KEEP), "in small steps, too"
        for day in range(21):
            assert store.see_clock(T + day * DAY, KEEP) == (True, KEEP - day * DAY)
        assert store.see_clock(T + KEEP, KEEP) == (True, 0), "from then on, it is as ever"


def test_when_the_clock_was_seen_outlives_the_process_and_older_databases_go_by_their_messages(tmp_path: Path) -> None:
    path = tmp_path / "relay.db"
    with closing(SQLiteStore(path)) as store:
        fill(store, 1)
        store.see_clock(T, KEEP)
        store.commit()
    with closing(SQLiteStore(path)) as store:
        assert store.see_clock(T + 40 * DAY, KEEP) == (False, KEEP)
    with closing(sqlite3.connect(path)) as db:
        db.executescript("DROP TABLE clock; PRAGMA user_version = 3")
    with closing(SQLiteStore(path)) as store:
        assert store.see_clock(T + 40 * DAY, KEEP) == (False, KEEP)


def test_what_was_stamped_ahead_hides_nothing_that_is_old() -> None:
    with closing(SQLiteStore(":memory:")) as store:
        queue = store.create(a_queue())
        for number, at in enumerate((T + 365 * DAY, T, T + 10)):
            store.append(queue, StoredMessage(number.to_bytes(24, "big"), at, False, BODY))
        assert store.expire(T + 5, now=T + KEEP) == (1, None)


def test_room_is_bounded_by_what_is_used_and_by_the_disk(tmp_path: Path) -> None:
    with closing(SQLiteStore(tmp_path / "relay.db")) as store:
        assert store.has_room
        store.keep_within(1024**2, 0)
        queue = fill(store, 100)
        assert not store.has_room
        empty(store, queue, 100)
        assert store.has_room, "pages of what is gone count as room"
        store.keep_within(0, 1 << 60)
        assert not store.has_room, "no disk has so much left"
        store.keep_within(0, 1)
        assert store.has_room
