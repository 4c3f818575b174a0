"""The relay's SQLite database.

Queue records are also in memory, about 1 kB each, so that looking up a queue takes the same time whether it exists or
not (smp-wire 7.6). Messages and link data are only on the disk. A queue's list of messages is read when the queue is
first used, so that a start takes the same time with any number of messages. All changes go through one connection
to SQLite, so the changes of a group of commands are in one transaction, which `commit` ends.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from smpchat.crypto.keys import AuthPublicKey, auth_key
from smpchat.encoding.codec import non_empty
from smpchat.encoding.reader import DecodeError
from smpchat.protocol.queue_mode import QueueMode
from smpchat.relay.counters import StoreCounts, StoreSize
from smpchat.relay.errors import RelayStoreError
from smpchat.relay.limits import PLAUSIBLE_PAUSE
from smpchat.relay.records import Backlog, Link, NewQueue, Notifier, Queue, StoredMessage
from smpchat.relay.schema import INCREMENTAL, prepare, translated
from smpchat.storage.opening import harden

_auth_keys = non_empty(auth_key)


class SQLiteStore:
    """A `QueueStore` in one SQLite file.

    Any thread may call `measure` at any time, and `commit` while no other method except `measure` runs.

    Attributes:
        has_room: Whether the limits of `keep_within` left room when they were last checked. Each commit checks them.
        counts: Numbers of created queues, accepted messages and so on, since the store was opened.
    """

    def __init__(self, path: Path | str) -> None:
        """Opens the database, and creates or migrates it if necessary; ``":memory:"`` is for tests.

        Raises:
            RelayStoreError: The file is not a relay's database, cannot be read, or was written by a newer smpchat.
        """
        self._path = str(path)
        self._by_rcv: dict[bytes, Queue] = {}
        self._by_snd: dict[bytes, Queue] = {}
        self._by_link: dict[bytes, Queue] = {}
        self._by_notifier: dict[bytes, Queue] = {}
        self._by_row: dict[int, Queue] = {}
        self._last = 0  # number of the newest message
        self._writing = False
        self._shrunk = False  # whether this transaction returns the last free pages
        self.has_room = True
        self._stored, self._free = 0, 0
        self.counts = StoreCounts()
        self._committed = StoreCounts()
        if self._path != ":memory:":
            # Create the file for its owner only, because it contains secrets. SQLite would follow the umask instead.
            os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))
        with translated("opening"):
            self._db = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
            harden(self._db)
        try:
            with translated("opening"):
                prepare(self._db, self._path)
            self._load()
        except BaseException:
            self._db.close()
            raise

    def _load(self) -> None:
        self._by_rcv.clear()
        self._by_snd.clear()
        self._by_link.clear()
        self._by_notifier.clear()
        self._by_row.clear()
        with translated("reading queues"):
            for row in self._db.execute(
                "SELECT row, rcv_id, snd_id, recipient_keys, dh_secret, sender_key, mode, active FROM queue"
            ):
                self._remember(_queue(row))
            for number, link_id in self._db.execute("SELECT queue, link_id FROM link"):
                self._by_row[number].link_id = link_id
                self._by_link[link_id] = self._by_row[number]
            for number, *notifier in self._db.execute("SELECT queue, notifier_id, key, dh_secret FROM notifier"):
                self._set_notifier(self._by_row[number], _notifier(number, *notifier))
            for number, count in self._db.execute("SELECT queue, COUNT(*) FROM notification GROUP BY queue"):
                self._by_row[number].notifications = count
            (self._last,) = self._db.execute("SELECT COALESCE(MAX(seq), 0) FROM message").fetchone()

    def _backlog(self, queue: Queue) -> Backlog:
        with translated("reading a queue"):
            rows = self._db.execute("SELECT seq FROM message WHERE queue = ? ORDER BY seq", (queue.row,)).fetchall()
            numbers = [seq for (seq,) in rows]
            full = bool(numbers) and self._db.execute(
                "SELECT body IS NULL FROM message WHERE seq = ?", (numbers[-1],)
            ).fetchone() == (1,)
        return Backlog(numbers, full)

    def _remember(self, queue: Queue) -> None:
        queue.read_backlog = self._backlog
        self._by_rcv[queue.rcv_id] = queue
        self._by_snd[queue.snd_id] = queue
        self._by_row[queue.row] = queue

    def _set_notifier(self, queue: Queue, notifier: Notifier | None) -> None:
        if queue.notifier is not None:
            del self._by_notifier[queue.notifier.notifier_id]
        queue.notifier, queue.notifications = notifier, 0
        if notifier is not None:
            self._by_notifier[notifier.notifier_id] = queue

    def _write(self, doing: str, statement: str, values: tuple[object, ...] = ()) -> sqlite3.Cursor:
        with translated(doing):
            if not self._writing:
                self._db.execute("BEGIN IMMEDIATE")
                self._writing = True
            return self._db.execute(statement, values)

    def keep_within(self, stored: int, free: int) -> None:
        """Sets limits in bytes: what the database may use, and what must stay free on the disk. 0: no limit."""
        self._stored, self._free = stored, free
        self.look_for_room()

    def look_for_room(self) -> None:
        """Updates `has_room`."""
        with translated("looking for room"):
            (pages,) = self._db.execute("PRAGMA page_count").fetchone()
            (unused,) = self._db.execute("PRAGMA freelist_count").fetchone()
            (page,) = self._db.execute("PRAGMA page_size").fetchone()
        self.has_room = (not self._stored or (pages - unused) * page < self._stored) and self._disk_has_room()

    def _disk_has_room(self) -> bool:
        if not self._free or self._path == ":memory:":
            return True
        with suppress(OSError):  # if this fails, the next write will report the error
            return shutil.disk_usage(Path(self._path).parent).free >= self._free
        return True

    def see_clock(self, now: int, keep: int) -> tuple[bool, int]:
        """Returns whether the clock advanced normally, and for how many more seconds all messages must be kept.

        After the clock jumped, or after a long pause of the relay, all messages are kept for ``keep`` seconds, so that
        people have the promised time to fetch them.
        """
        with translated("reading the time of the last clock check"):
            seen, hold = self._db.execute("SELECT seen, hold FROM clock").fetchone() or (0, 0)
            newest = self._db.execute("SELECT timestamp FROM message ORDER BY seq DESC LIMIT 1").fetchone()
        if newest is None:  # no message can be old, so nothing needs to be written
            return True, hold
        if newest[0] <= now or not seen:
            seen = max(seen, newest[0])
        passed = now - seen
        believed = 0 <= passed <= PLAUSIBLE_PAUSE
        hold = max(0, hold - passed) if believed else keep
        self._write("noting the clock", "DELETE FROM clock")
        self._write("noting the clock", "INSERT INTO clock VALUES (?, ?)", (now, hold))
        return believed, hold

    @property
    def changed(self) -> bool:
        """Whether there is anything to commit."""
        return self._writing

    @property
    def queue_count(self) -> int:
        """Number of queues."""
        return len(self._by_row)

    def by_recipient(self, rcv_id: bytes) -> Queue | None:
        """The queue with this recipient id; None if there is no such queue."""
        return self._by_rcv.get(rcv_id)

    def by_sender(self, snd_id: bytes) -> Queue | None:
        """The queue with this sender id; None if there is no such queue."""
        return self._by_snd.get(snd_id)

    def by_link(self, link_id: bytes) -> Queue | None:
        """The queue whose link data has this id; None if there is no such queue."""
        return self._by_link.get(link_id)

    def by_notifier(self, notifier_id: bytes) -> Queue | None:
        """The queue whose notifier has this id; None if there is no such queue."""
        return self._by_notifier.get(notifier_id)

    def create(self, new: NewQueue) -> Queue:
        """Stores a new queue. No other queue may have any of its ids."""
        cursor = self._write(
            "creating a queue",
            "INSERT INTO queue (rcv_id, snd_id, recipient_keys, dh_secret, sender_key, mode, active)"
            " VALUES (?, ?, ?, ?, ?, ?, 1)",
            (
                new.rcv_id,
                new.snd_id,
                _auth_keys.encode(new.recipient_keys),
                new.dh_secret,
                None if new.sender_key is None else auth_key.encode(new.sender_key),
                None if new.mode is None else new.mode.value,
            ),
        )
        row = cursor.lastrowid
        assert row is not None  # an INSERT into a rowid table always sets it
        queue = Queue(row, new.rcv_id, new.snd_id, new.recipient_keys, new.dh_secret, new.sender_key, new.mode)
        self._remember(queue)
        if new.link is not None:
            self.set_link(queue, new.link)
        if new.notifier is not None:
            self.set_notifier(queue, new.notifier)
        self.counts.queues_created += 1
        return queue

    def secure(self, queue: Queue, sender_key: AuthPublicKey) -> None:
        """Gives an unsecured queue its sender key."""
        self._write(
            "securing a queue",
            "UPDATE queue SET sender_key = ? WHERE row = ?",
            (auth_key.encode(sender_key), queue.row),
        )
        # Change the object only after the statement has succeeded: the memory must not differ from the disk.
        queue.sender_key = sender_key

    def set_recipient_keys(self, queue: Queue, keys: tuple[AuthPublicKey, ...]) -> None:
        """Replaces the recipient's keys with ``keys``, which must not be empty."""
        self._write(
            "replacing recipient keys",
            "UPDATE queue SET recipient_keys = ? WHERE row = ?",
            (_auth_keys.encode(keys), queue.row),
        )
        queue.recipient_keys = keys

    def suspend(self, queue: Queue) -> None:
        """Makes a queue refuse new messages. If the queue already refuses them, nothing is written."""
        # Write only if the queue is active: a client may send OFF again and again, and each commit uses the disk.
        if queue.active:
            self._write("suspending a queue", "UPDATE queue SET active = 0 WHERE row = ?", (queue.row,))
            queue.active = False

    def delete(self, queue: Queue) -> None:
        """Removes a queue and its messages."""
        self._write("deleting messages", "DELETE FROM message WHERE queue = ?", (queue.row,))
        self._write("deleting a queue", "DELETE FROM queue WHERE row = ?", (queue.row,))
        del self._by_rcv[queue.rcv_id], self._by_snd[queue.snd_id], self._by_row[queue.row]
        if queue.link_id is not None:
            del self._by_link[queue.link_id]
        self._set_notifier(queue, None)
        self.counts.queues_deleted += 1

    def link(self, queue: Queue) -> Link | None:
        """The queue's link data; None if it has none."""
        if queue.link_id is None:
            return None
        with translated("reading link data"):
            row = self._db.execute("SELECT fixed, user FROM link WHERE queue = ?", (queue.row,)).fetchone()
        return None if row is None else Link(queue.link_id, *row)

    def set_link(self, queue: Queue, link: Link) -> None:
        """Sets the link data of a queue, and replaces any earlier link data. No other queue may have this link id."""
        self._write(
            "storing link data",
            "INSERT INTO link (queue, link_id, fixed, user) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (queue)"
            " DO UPDATE SET link_id = excluded.link_id, fixed = excluded.fixed, user = excluded.user",
            (queue.row, link.link_id, link.fixed, link.user),
        )
        if queue.link_id is not None:
            del self._by_link[queue.link_id]
        queue.link_id = link.link_id
        self._by_link[link.link_id] = queue

    def delete_link(self, queue: Queue) -> None:
        """Removes the queue's link data, if it has any."""
        if queue.link_id is not None:
            self._write("removing link data", "DELETE FROM link WHERE queue = ?", (queue.row,))
            del self._by_link[queue.link_id]
            queue.link_id = None

    def set_notifier(self, queue: Queue, notifier: Notifier) -> None:
        """Sets the notifier of a queue, and deletes the previous one. No other notifier may have the same id."""
        self.delete_notifier(queue)
        self._write(
            "storing a notifier",
            "INSERT INTO notifier (queue, notifier_id, key, dh_secret) VALUES (?, ?, ?, ?)",
            (queue.row, notifier.notifier_id, auth_key.encode(notifier.key), notifier.dh_secret),
        )
        self._set_notifier(queue, notifier)

    def delete_notifier(self, queue: Queue) -> None:
        """Removes the queue's notifier, if it has one, and the notifications for it."""
        if queue.notifier is not None:
            self._write("removing a notifier", "DELETE FROM notifier WHERE queue = ?", (queue.row,))
            self._set_notifier(queue, None)

    def add_notification(self, queue: Queue, msg_id: bytes, timestamp: int, *, keep: int) -> None:
        """Stores a notification for the queue's notifier. If ``keep`` notifications wait for it, deletes the oldest."""
        if queue.notifications >= keep:
            self.take_notifications(queue, 1)
        self._write(
            "storing a notification",
            "INSERT INTO notification (queue, msg_id, timestamp) VALUES (?, ?, ?)",
            (queue.row, msg_id, timestamp),
        )
        queue.notifications += 1

    def take_notifications(self, queue: Queue, limit: int) -> list[tuple[bytes, int]]:
        """Removes at most ``limit`` notifications, oldest first. Returns the message id and Unix time of each."""
        if not queue.notifications or limit <= 0:
            return []
        with translated("reading notifications"):
            rows = self._db.execute(
                "SELECT seq, msg_id, timestamp FROM notification WHERE queue = ? ORDER BY seq LIMIT ?",
                (queue.row, limit),
            ).fetchall()
        if rows:
            self._write(
                "removing notifications",
                "DELETE FROM notification WHERE queue = ? AND seq <= ?",
                (queue.row, rows[-1][0]),
            )
        queue.notifications -= len(rows)
        return [(msg_id, timestamp) for _, msg_id, timestamp in rows]

    def expire_notifications(self, before: int) -> int:
        """Removes the notifications of messages accepted before a given time (Unix seconds). Returns their number."""
        with translated("looking for old notifications"):
            old = self._db.execute(
                "SELECT queue, COUNT(*) FROM notification WHERE timestamp < ? GROUP BY queue", (before,)
            ).fetchall()
        if old:
            self._write("removing old notifications", "DELETE FROM notification WHERE timestamp < ?", (before,))
        for number, count in old:
            self._by_row[number].notifications -= count
        return sum(count for _, count in old)

    def append(self, queue: Queue, message: StoredMessage) -> None:
        """Adds a message at the end of a queue. If it is a quota marker, `Queue.full` becomes true."""
        backlog = queue.backlog
        number = self._last + 1
        self._write(
            "storing a message",
            "INSERT INTO message (seq, queue, msg_id, timestamp, notification, body) VALUES (?, ?, ?, ?, ?, ?)",
            (number, queue.row, message.msg_id, message.timestamp, message.notification, message.body),
        )
        self._last = number
        backlog.numbers.append(number)
        backlog.full = message.body is None
        self.counts.sends += message.body is not None

    def head(self, queue: Queue) -> StoredMessage | None:
        """The queue's oldest message, which stays in the queue; None if the queue is empty."""
        numbers = queue.backlog.numbers
        if not numbers:
            return None
        with translated("reading a message"):
            row = self._db.execute(
                "SELECT msg_id, timestamp, notification, body FROM message WHERE seq = ?", (numbers[0],)
            ).fetchone()
        return None if row is None else StoredMessage(row[0], row[1], bool(row[2]), row[3])

    def delete_head(self, queue: Queue, msg_id: bytes) -> bool:
        """Removes the oldest message if ``msg_id`` is the id of that message. Returns whether it was removed."""
        backlog = queue.backlog
        if not backlog.numbers:
            return False
        # Compare the message id: an ACK that comes late must not remove the message after the acknowledged one.
        cursor = self._write(
            "removing a message", "DELETE FROM message WHERE seq = ? AND msg_id = ?", (backlog.numbers[0], msg_id)
        )
        if not cursor.rowcount:
            return False
        del backlog.numbers[0]
        backlog.full = backlog.full and bool(backlog.numbers)
        self.counts.acks += 1
        return True

    def expire(
        self, before: int, *, now: int | None = None, after: int = 0, limit: int = 500
    ) -> tuple[int, int | None]:
        """Removes messages that were accepted before a given time. Never removes quota markers (smp-wire 7.5).

        Args:
            before: Unix seconds; messages accepted before this time are removed.
            now: The current Unix time. Messages from after this time are skipped: the clock was ahead when they came.
            after: Where to continue: the position that the previous call returned, or 0 in the first call.
            limit: Maximum number of messages to check in this call, so that the call is short.
        Returns:
            The number of removed messages, and the position for the next call (None: no old messages are left).
        """
        with translated("looking for old messages"):
            rows = self._db.execute(
                "SELECT seq, queue, timestamp, body IS NULL FROM message WHERE seq > ? ORDER BY seq LIMIT ?",
                (after, limit),
            ).fetchall()
        removed = 0
        for seq, number, timestamp, marker in rows:
            if now is not None and timestamp > now:
                continue
            if timestamp >= before:
                # Messages are read in order of arrival, so the messages after this one are not old either.
                return removed, None
            if not marker:
                backlog = self._by_row[number].backlog
                self._write("removing old messages", "DELETE FROM message WHERE seq = ?", (seq,))
                backlog.numbers.remove(seq)
                removed += 1
                self.counts.expired += 1
        return removed, rows[-1][0] if len(rows) == limit else None

    def give_back(self, pages: int, *, keep: int) -> bool:
        """Gives free pages of the file back to the file system. The file shrinks at the commit after the last of them.

        Args:
            pages: Maximum number of pages to give back in this call, so that the call is short.
            keep: Number of free pages that stay in the file for new messages.
        Returns:
            Whether more pages can be given back. Always False for databases of early versions, which cannot shrink.
        """
        with translated("returning free space"):
            (mode,) = self._db.execute("PRAGMA auto_vacuum").fetchone()
            (free,) = self._db.execute("PRAGMA freelist_count").fetchone()
        excess = free - keep
        if mode != INCREMENTAL or excess <= 0:
            return False
        for _ in range(min(pages, excess)):  # `sqlite3` gives back only one page per call, whatever the number
            self._write("returning free space", "PRAGMA incremental_vacuum(1)")
        self._shrunk = bool(excess <= pages)
        return not self._shrunk

    def measure(self) -> StoreSize:
        """The store's size on the disk after the last commit. All messages are counted, which may take long."""
        with translated("counting"):
            if self._path == ":memory:":
                return _measured(self._db, 0)
            size = sum(path.stat().st_size for path in map(Path, (self._path, f"{self._path}-wal")) if path.exists())
            with closing(sqlite3.connect(self._path)) as db:
                harden(db)
                return _measured(db, size)

    def commit(self) -> None:
        """Makes all changes since the last commit durable."""
        if self._writing:
            with translated("committing"):
                self._db.execute("COMMIT")
            if self._shrunk:  # shrink the file now, not only after 500 more pages of the log
                with suppress(sqlite3.Error):  # the commit is done; the next one will report a failing disk
                    self._db.execute("PRAGMA wal_checkpoint(PASSIVE)")
            self._writing = self._shrunk = False
            self._committed = self.counts.copy()
            if self._stored or self._free:
                self.look_for_room()

    def rollback(self) -> None:
        """Undoes all changes since the last commit, and reads all queues from the disk again."""
        with translated("rolling back"):
            if self._db.in_transaction:  # a failed COMMIT may have ended the transaction
                self._db.execute("ROLLBACK")
        self._writing = self._shrunk = False
        # Read all queues again, because we do not know which queues the undone commands changed. Commits rarely fail:
        # usually because the disk is full, and then the relay has nothing else to do.
        self.counts = self._committed.copy()
        self._load()

    def close(self) -> None:
        """Closes the file, without committing."""
        with translated("closing"):
            self._db.close()


def _measured(db: sqlite3.Connection, size: int) -> StoreSize:
    (messages,) = db.execute("SELECT COUNT(*) FROM message").fetchone()
    (free,) = db.execute("PRAGMA freelist_count").fetchone()
    (page,) = db.execute("PRAGMA page_size").fetchone()
    return StoreSize(messages, size, free * page)


def _queue(row: tuple[Any, ...]) -> Queue:
    number, rcv_id, snd_id, recipient_keys, dh_secret, sender_key, mode, active = row
    try:
        return Queue(
            number,
            rcv_id,
            snd_id,
            _auth_keys.decode(recipient_keys, "recipient keys"),
            dh_secret,
            None if sender_key is None else auth_key.decode(sender_key, "sender key"),
            None if mode is None else QueueMode(mode),
            bool(active),
        )
    except (DecodeError, ValueError) as error:
        raise RelayStoreError(f"The relay's database contains a damaged queue record (row {number}).") from error


def _notifier(number: int, notifier_id: bytes, key: bytes, dh_secret: bytes) -> Notifier:
    try:
        return Notifier(notifier_id, auth_key.decode(key, "notifier key"), dh_secret)
    except DecodeError as error:
        raise RelayStoreError(f"The relay's database contains a damaged notifier (row {number}).") from error
