"""Finds messages by their words and times, newest first, with an index if there are many messages.

The index is an FTS5 table of trigrams, which finds parts of words, and works for scripts without blanks. The index
contains trigrams and the numbers of the messages in which they occur, but no whole texts. Measured with 20,000 messages
of 80 characters: a search takes 70 ms without the index, and 2 to 12 ms with it; the index has 2.5 MB, and building it
takes 0.7 s. Because building takes time, messages are added to the index only when the user searches: at most `BATCH`
of them in each search. Messages that are not in the index are searched one by one:

* the newest `UNINDEXED` messages: most edits and deletions concern these, and each edit or deletion of a message in the
  index empties the whole index (see below);
* messages that disappear (``ttl``), and messages that are still being written (``live``).

Receiving or sending a message never uses the index, so a damaged index does not stop messages. When a message in the
index changes or is deleted, the whole index is emptied: otherwise FTS5 would keep the deleted words in its older
segments until it merges these. With the FTS5 option ``secure-delete`` (since SQLite 3.42), FTS5 would remove the words
at once, but older versions of SQLite could not read the file any more. SQL triggers do not update the index, because
smpchat opens no database that has triggers.

The index contains all messages up to the largest message number in it, except those that disappear or are still being
written. Code that changes a message must call `forget`, so that the index does not keep the old text.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext

from smpchat.agent.store.erasure import empty_log
from smpchat.chat.wire.folding import contains, folded
from smpchat.encoding.record import Record
from smpchat.storage.opening import shadows_writable

UNINDEXED = 1_000
"""At least this many of the newest messages are not in the index. To search this many one by one takes 2 ms."""
BATCH = 5_000
"""One search adds at most this many messages to the index. To add this many takes 0.2 s."""
TABLE = "message_index"
_CREATE = (
    f"CREATE VIRTUAL TABLE {TABLE} USING fts5(words, content='', detail=none, tokenize='trigram case_sensitive 1')"
)
_DROP = f"DROP TABLE IF EXISTS {TABLE}"
_LONGEST_WORD = 2_000
"""At most this many characters of a word are looked up in the index. The rest of a longer word is only compared with
the texts."""
_GRAM = 3
_MOST_GRAMS = 32
_UNFIT = "ttl IS NOT NULL OR live = 1"


class Selection(Record):
    """The conditions of a search.

    Attributes:
        words: Finds only messages that contain all these words. The words are folded by
            `smpchat.chat.wire.folding.words_of`. If there are no words, finds messages with any text.
        contact_id: Finds only messages of the conversation with this contact; None: of all conversations.
        since: Finds only messages that were sent at this time or later, in POSIX seconds.
        until: Finds only messages that were sent before this time, in POSIX seconds.
        before: Finds only messages whose number is smaller than this number.
    """

    words: tuple[str, ...] = ()
    contact_id: int | None = None
    since: float | None = None
    until: float | None = None
    before: int | None = None


class IndexDamaged(Exception):
    """The index is damaged and cannot be read. The caller should delete the index with `drop`, and search again."""


def find(tx: sqlite3.Connection, selection: Selection, limit: int, *, indexed: bool = True) -> list[int]:
    """Finds the messages that meet the conditions of ``selection``. Returns the numbers of the newest ``limit`` of
    them, the newest first.

    Args:
        indexed: Use the index, if there is one.
    Raises:
        IndexDamaged: The index was used, and is damaged.
    """
    conditions, parameters = ["husk = 0"], list[object]()
    for condition, value in (
        ("contact_id = ?", selection.contact_id),
        ("sent_at >= ?", selection.since),
        ("sent_at < ?", selection.until),
        ("id < ?", selection.before),
    ):
        if value is not None:
            conditions.append(condition)
            parameters.append(value)
    if not selection.words:
        query = f"SELECT id FROM messages WHERE {' AND '.join(conditions)} ORDER BY id DESC LIMIT ?"
        return [row["id"] for row in tx.execute(query, (*parameters, limit))]
    last = _last(tx) if indexed else 0
    asked = _question(selection.words) if last else ""
    if asked:
        conditions.append(
            f"id IN (SELECT rowid FROM {TABLE} WHERE {TABLE} MATCH ? UNION ALL SELECT id FROM messages WHERE id > ?"
            f" UNION ALL SELECT id FROM messages WHERE {_UNFIT})"
        )
        parameters += [asked, last]
    query = f"SELECT id, text FROM messages WHERE {' AND '.join(conditions)} ORDER BY id DESC"
    found: list[int] = []
    with _damage_noticed() if asked else nullcontext(), closing(tx.execute(query, parameters)) as rows:
        for row in rows:
            if len(found) == limit:
                break
            # The text must be compared too: a text with all trigrams of a word need not contain the word, and for long
            # words, the query names only some of the trigrams.
            if contains(row["text"], selection.words):
                found.append(row["id"])
    return found


def _question(words: tuple[str, ...]) -> str:
    """The query for the index; empty if every word is shorter than a trigram. Each trigram is in quotation marks,
    so that SQLite does not read it as an operator."""
    grams: dict[str, None] = {}
    for word in words:
        part = word[:_LONGEST_WORD]
        grams |= {part[at : at + _GRAM]: None for at in range(len(part) - _GRAM + 1)}
    return " AND ".join('"{}"'.format(gram.replace('"', '""')) for gram in list(grams)[:_MOST_GRAMS])


def is_due(tx: sqlite3.Connection) -> bool:
    """Whether so many messages are missing in the index that some should be added. Raises `IndexDamaged`."""
    return _newest(tx) - _last(tx) >= 2 * UNINDEXED


def index(tx: sqlite3.Connection) -> None:
    """Adds messages to the index, oldest first. Raises `IndexDamaged`."""
    with _damage_noticed():
        if not _exists(tx):
            tx.execute(_CREATE)
        rows = tx.execute(
            f"SELECT id, text FROM messages WHERE id > ? AND id <= ? AND NOT ({_UNFIT}) ORDER BY id LIMIT ?",
            (_last(tx), _newest(tx) - UNINDEXED, BATCH),
        ).fetchall()
        words = [(row["id"], folded(row["text"])) for row in rows]
        tx.executemany(f"INSERT INTO {TABLE} (rowid, words) VALUES (?, ?)", words)


def forget(tx: sqlite3.Connection, message_id: int) -> None:
    """Empties the index if the message is in it, or should be.

    Call this before the text of a message changes or is deleted, and before a time to live is set for the message. Call
    it also after the author has finished a live message: the message then belongs in the index, but gets there only if
    the index is built anew.
    """
    if not _exists(tx):
        return
    fit = f"SELECT 1 FROM messages WHERE id = ? AND NOT ({_UNFIT})"
    try:
        if message_id <= _last(tx) and tx.execute(fit, (message_id,)).fetchone():
            _empty(tx)
    except IndexDamaged:
        drop(tx)


def forget_contact(tx: sqlite3.Connection, contact_id: int) -> None:
    """Empties the index if it may contain messages of a contact who is about to be deleted."""
    if not _exists(tx):
        return
    [first] = tx.execute("SELECT min(id) FROM messages WHERE contact_id = ?", (contact_id,)).fetchone()
    try:
        if first is not None and first <= _last(tx):
            _empty(tx)
    except IndexDamaged:
        drop(tx)


def drop(tx: sqlite3.Connection) -> None:
    """Deletes the index. The next search makes a new index."""
    try:
        tx.execute(_DROP)
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError:  # SQLite reads the table to drop it, so the damaged table is emptied first
        with shadows_writable(tx):
            for shadow in ("data", "idx", "docsize"):
                tx.execute(f"DELETE FROM {TABLE}_{shadow}")
            tx.execute(f"INSERT INTO {TABLE}_data (id, block) VALUES (1, x''), (10, x'00000000000000')")
        tx.execute(_DROP)
    empty_log(tx)


def leave_out(copy: sqlite3.Connection) -> None:
    """Removes the index, and the space that it takes, from a copy of the database. No transaction may be open on
    ``copy``."""
    if _exists(copy):
        copy.execute(f"DROP TABLE {TABLE}")
        copy.execute("VACUUM")


def copy_definition(source: sqlite3.Connection, target: sqlite3.Connection) -> None:
    """Creates an empty index in ``target`` if ``source`` has an index."""
    if _exists(source):
        target.execute(_CREATE)


def _empty(tx: sqlite3.Connection) -> None:
    # `drop` is not used here: SQLite cannot drop a table while any statement on the connection is unfinished.
    with _damage_noticed():
        tx.execute(f"INSERT INTO {TABLE} ({TABLE}) VALUES ('delete-all')")
    empty_log(tx)


def _exists(tx: sqlite3.Connection) -> bool:
    return tx.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (TABLE,)).fetchone() is not None


def _last(tx: sqlite3.Connection) -> int:
    """The largest message number in the index; 0 if there is no index, or if it is empty."""
    if not _exists(tx):
        return 0
    with _damage_noticed():
        row = tx.execute(f"SELECT rowid FROM {TABLE} ORDER BY rowid DESC LIMIT 1").fetchone()
    return 0 if row is None else int(row[0])


@contextmanager
def _damage_noticed() -> Iterator[None]:
    """Raises `IndexDamaged` if SQLite reports that the index is damaged; other errors, such as a full disk, are raised
    as they are."""
    try:
        yield
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as error:
        raise IndexDamaged from error


def _newest(tx: sqlite3.Connection) -> int:
    [newest] = tx.execute("SELECT coalesce(max(id), 0) FROM messages").fetchone()
    return int(newest)
