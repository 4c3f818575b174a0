"""Messages in the store: order, what a restart finds, and what reading costs."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from smpchat.crypto.keys import Ed25519PrivateKey
from smpchat.relay.errors import RelayStoreError
from smpchat.relay.records import NewQueue, Queue, StoredMessage
from smpchat.relay.store import SQLiteStore
from smpchat.testing.entropy import SeededEntropy

KEY = Ed25519PrivateKey(bytes(32)).public()


def an_id(number: int) -> bytes:
    return number.to_bytes(24, "big")


def message(number: int, body: bytes | None = b"body", timestamp: int = 0) -> StoredMessage:
    return StoredMessage(an_id(number), timestamp, False, body)


def new_queue(store: SQLiteStore, number: int) -> Queue:
    return store.create(NewQueue(an_id(number), an_id(1000 + number), (KEY,), bytes(32), KEY))


def again(store: SQLiteStore, queue: Queue) -> Queue:
    """The queue as it is after a restart or a rollback."""
    found = store.by_recipient(queue.rcv_id)
    assert found is not None
    return found


def test_messages_come_out_in_order_and_queues_are_apart(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "relay.db")
    one, two = new_queue(store, 1), new_queue(store, 2)
    for number in range(6):
        store.append(one if number % 2 else two, message(number))
    store.commit()
    assert (one.size, two.size) == (3, 3)
    for number in (1, 3, 5):
        assert store.head(one) == message(number)
        assert not store.delete_head(one, an_id(99))
        assert store.delete_head(one, an_id(number))
    assert (one.size, store.head(one)) == (0, None)
    assert not store.delete_head(one, an_id(5))
    assert store.head(two) == message(0)
    store.close()


def test_a_restart_finds_what_was_committed(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "relay.db")
    queue, full = new_queue(store, 1), new_queue(store, 2)
    for number in range(3):
        store.append(queue, message(number))
    store.append(full, message(10))
    store.append(full, message(11, None))
    store.delete_head(queue, an_id(0))
    store.commit()
    store.append(queue, message(12))  # lost with the process
    store.close()

    store = SQLiteStore(tmp_path / "relay.db")
    queue, full = again(store, queue), again(store, full)
    assert (queue.size, queue.full) == (2, False)
    assert (full.size, full.full) == (2, True)
    store.append(queue, message(13))
    assert [store.head(queue), store.delete_head(queue, an_id(1))] == [message(1), True]
    assert [store.head(queue), store.delete_head(queue, an_id(2))] == [message(2), True]
    assert store.head(queue) == message(13)
    assert store.delete_head(full, an_id(10))
    assert full.full
    assert store.delete_head(full, an_id(11))
    assert (full.size, full.full) == (0, False)
    store.close()


def test_a_start_reads_no_messages(tmp_path: Path) -> None:
    """What waits in a queue is read when the queue is used, and once."""
    store = SQLiteStore(tmp_path / "relay.db")
    queue = new_queue(store, 1)
    store.append(queue, message(1))
    store.commit()
    store.close()

    statements: list[str] = []
    connect = sqlite3.connect

    def traced(*arguments: object, **options: object) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*arguments, **options)  # type: ignore[call-overload]
        connection.set_trace_callback(statements.append)
        return connection

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite3, "connect", traced)
        store = SQLiteStore(tmp_path / "relay.db")
    assert [text for text in statements if "message" in text] == ["SELECT COALESCE(MAX(seq), 0) FROM message"]
    statements.clear()
    queue = again(store, queue)
    assert statements == []
    assert [queue.size, queue.size, queue.full] == [1, 1, False]
    assert len([text for text in statements if "message" in text]) == 2
    store.close()


def test_a_rollback_forgets_messages_and_acknowledgements() -> None:
    store = SQLiteStore(":memory:")
    queue = new_queue(store, 1)
    store.append(queue, message(1))
    store.append(queue, message(2))
    store.commit()
    store.delete_head(queue, an_id(1))
    store.append(queue, message(3, None))
    store.rollback()
    queue = again(store, queue)
    assert (queue.size, queue.full, store.head(queue)) == (2, False, message(1))
    store.append(queue, message(4))
    store.commit()
    assert queue.size == 3
    store.close()


def test_a_deleted_queue_takes_its_messages_along(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "relay.db")
    queue, other = new_queue(store, 1), new_queue(store, 2)
    store.append(queue, message(1))
    store.append(other, message(2))
    store.delete(queue)
    store.commit()
    store.close()
    with sqlite3.connect(tmp_path / "relay.db") as database:
        assert database.execute("SELECT msg_id FROM message").fetchall() == [(an_id(2),)]
    database.close()


def test_old_messages_go_whether_their_queue_was_used_or_not(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "relay.db")
    used, unused = new_queue(store, 1), new_queue(store, 2)
    for number, queue in enumerate((used, unused, used, unused)):
        store.append(queue, message(number, timestamp=number))
    store.append(used, message(9, None, timestamp=1))
    store.commit()
    store.close()

    store = SQLiteStore(tmp_path / "relay.db")
    used, unused = again(store, used), again(store, unused)
    assert used.size == 3
    assert store.expire(3) == (3, None)
    store.commit()
    assert [used.size, unused.size] == [1, 1]
    assert used.full
    assert store.head(unused) == message(3, timestamp=3)
    store.close()


def test_expiry_goes_on_where_it_stopped() -> None:
    store = SQLiteStore(":memory:")
    queue = new_queue(store, 1)
    for number in range(7):
        store.append(queue, message(number))
    removed, after = store.expire(1, limit=3)
    assert (removed, queue.size) == (3, 4)
    assert after is not None
    assert store.expire(1, after=after, limit=10) == (4, None)
    store.close()


def test_the_longest_message_takes_one_page(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "relay.db")
    queue = new_queue(store, 1)
    for number in range(20):
        store.append(queue, message(number, SeededEntropy("body").random(16_088)))
    store.commit()
    store.close()
    with sqlite3.connect(tmp_path / "relay.db") as database:
        (size,) = database.execute("PRAGMA page_size").fetchone()
        (pages,) = database.execute("PRAGMA page_count").fetchone()
        (others,) = database.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
    database.close()
    assert size == 16_384
    assert pages <= 20 + others + 3


def test_a_full_database_is_told_and_keeps_what_it_has(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "relay.db")
    queue = new_queue(store, 1)
    store.commit()
    store._db.execute("PRAGMA max_page_count = 20")
    stored = 0
    with pytest.raises(RelayStoreError, match="full"):
        for number in range(100):
            store.append(queue, message(number, bytes(16_000)))
            store.commit()
            stored += 1
    store.rollback()
    queue = again(store, queue)
    assert 0 < queue.size == stored < 20
    assert store.delete_head(queue, an_id(0))
    store.commit()
    store.append(queue, message(100, bytes(16_000)))
    store.commit()
    assert queue.size == stored
    store.close()
