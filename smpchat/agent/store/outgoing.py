"""Outgoing messages that wait to be sealed, the outbox with sealed messages and commands, and messages already sent."""

from __future__ import annotations

import sqlite3
from enum import IntEnum, StrEnum

from smpchat.client.trouble import Trouble
from smpchat.encoding.record import Record, field


class Lane(StrEnum):
    """A lane of a connection's outbox. Items in one lane are handled one by one, different lanes in parallel."""

    SEND = "send"  # what goes to the peer's queue
    RECEIVE = "receive"  # commands for our own queue
    REPEAT = "repeat"  # copies of a confirmation, if the peer does not answer
    ROTATE = "rotate"
    """The peer's queue moves to another relay: see `smpchat.agent.transactions.rotation`."""
    MOVE = "move"
    """Our own queue moves to another relay: see `smpchat.agent.transactions.moving`."""
    LEAVE = "leave"
    """Abandoned queues: in a lane of their own, so that a relay that is gone for good does not delay a later move."""


class Kind(StrEnum):
    """What an outbox item does."""

    CREATE = "create"  # NEW
    READ_ADDRESS = "read-address"  # LGET
    UPDATE_ADDRESS = "update-address"  # LSET
    REQUEST = "request"  # SEND
    SECURE_RECEIVE = "secure-receive"  # KEY
    SECURE_SEND = "secure-send"  # SKEY
    READ_LINK = "read-link"  # LKEY
    CONFIRMATION = "confirmation"  # SEND
    HELLO = "hello"  # SEND
    READY = "ready"  # SEND, of HELLO
    MESSAGE = "message"  # SEND
    RECEIPT = "receipt"  # no command: sealed only when its turn comes, if the user still wants receipts
    FAREWELL = "farewell"  # SEND
    REACH = "reach"  # no command: connect to the relay of the peer's new queue
    DELETE = "delete"  # DEL
    SECURE_NEW = "secure-new"  # KEY, for the new queue of our move
    EMPTY = "empty"  # SUB, for an abandoned queue, until it is empty
    DELETE_LEFT = "delete-left"  # DEL, for an abandoned queue


AWAITED = (Lane.SEND, Lane.RECEIVE)
"""Lanes whose results the user may wait for. Commands such as `send` never wait for what is in the other lanes."""
NUMBERED = frozenset({Kind.READY, Kind.MESSAGE, Kind.FAREWELL})
"""Items that send a message after the handshake's hello. The message has a number; the outbox holds its body."""
SENDS = frozenset({Kind.REQUEST, Kind.CONFIRMATION, Kind.HELLO}) | NUMBERED
TO_PEER = SENDS | {Kind.SECURE_SEND, Kind.RECEIPT}
"""Items that go to the peer's queue."""


class Priority(IntEnum):
    """The order of the items in a lane: lowest number first; with the same number, first come, first served."""

    SECURE = 0
    HANDSHAKE = 1
    MESSAGE = 2
    RECEIPT = 3
    """Receipts go after every sealed message: they are sealed later, so their message numbers are higher."""


PARKED = 1e11
"""The ``not_before`` of sealed messages about which the user must decide first: a time that never comes."""


class OutboxItem(Record):
    """Something to do at a relay, usually one command, which is repeated until the relay answers.

    Attributes:
        body: The body of a message or farewell, the key for KEY, the data for LSET, the parameters of NEW, or the
            number of an abandoned queue. A contact request, a confirmation and the initiator's hello are in
            `first_message`, and receipts in the column ``message``.
        signed: Whether we authorise the SEND with our key for the peer's queue.
        reference: The application's number for the message; None for the agent's own messages.
    """

    id: int
    connection_id: int
    lane: Lane
    kind: Kind
    body: bytes = field(repr=False)
    signed: bool
    notify: bool
    reference: int | None


def enqueue(
    tx: sqlite3.Connection,
    connection_id: int,
    lane: Lane,
    kind: Kind,
    priority: Priority,
    *,
    body: bytes = b"",
    signed: bool = True,
    notify: bool = False,
    reference: int | None = None,
    not_before: float = 0,
    message: bytes | None = None,
) -> None:
    """Put an item into the outbox, to be handled at the time ``not_before`` (POSIX seconds) or later.

    Args:
        message: Plaintext of the body, so that a message can be sealed again as long as no relay has accepted it. For a
            receipt, the plaintext that is to be sealed.
    """
    tx.execute(
        "INSERT INTO outbox (connection_id, lane, priority, kind, body, signed, notify, reference, not_before, message)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (connection_id, lane, priority, kind, body, signed, notify, reference, not_before, message),
    )


def _item(row: sqlite3.Row) -> OutboxItem:
    return OutboxItem(
        id=row["id"],
        connection_id=row["connection_id"],
        lane=Lane(row["lane"]),
        kind=Kind(row["kind"]),
        body=row["body"],
        signed=bool(row["signed"]),
        notify=bool(row["notify"]),
        reference=row["reference"],
    )


def lanes(tx: sqlite3.Connection, now: float) -> list[tuple[int, Lane]]:
    """Lanes with something to do at this time."""
    query = "SELECT DISTINCT connection_id, lane FROM outbox WHERE not_before <= ? ORDER BY connection_id, lane"
    rows = tx.execute(query, (now,))
    return [(row["connection_id"], Lane(row["lane"])) for row in rows]


def next_deadline(tx: sqlite3.Connection, now: float) -> float | None:
    """When the first postponed item may be handled, in POSIX seconds; None if no item is postponed."""
    row = tx.execute(
        "SELECT min(not_before) FROM outbox WHERE not_before > ? AND not_before < ?", (now, PARKED)
    ).fetchone()
    deadline: float | None = row[0]
    return deadline


def head(tx: sqlite3.Connection, connection_id: int, lane: Lane, limit: int, now: float) -> list[OutboxItem]:
    """The next items of a lane that may be handled at the time ``now``, at most ``limit``."""
    rows = tx.execute(
        # The priority counts before the id: if the initiator's hello was refused, SKEY must be sent before the hello.
        "SELECT * FROM outbox WHERE connection_id = ? AND lane = ? AND not_before <= ? ORDER BY priority, id LIMIT ?",
        (connection_id, lane, now, limit),
    )
    return [_item(row) for row in rows]


def deletions_at(tx: sqlite3.Connection, server: str, before: float) -> list[OutboxItem]:
    """The unanswered DELs to this relay, of connections that ended at or before the given time, in POSIX seconds."""
    rows = tx.execute(
        "SELECT outbox.* FROM outbox JOIN receive_queues USING (connection_id)"
        " JOIN connections ON connections.id = outbox.connection_id"
        " WHERE kind = ? AND server = ? AND coalesce(over_at, created_at) <= ?",
        (Kind.DELETE, server, before),
    )
    return [_item(row) for row in rows.fetchall()]


def is_empty(tx: sqlite3.Connection, connection_id: int) -> bool:
    """Whether nothing is left to do for a connection, now or later."""
    return tx.execute("SELECT 1 FROM outbox WHERE connection_id = ?", (connection_id,)).fetchone() is None


def kinds(tx: sqlite3.Connection, connection_id: int) -> set[Kind]:
    """The kinds of the items in a connection's `AWAITED` lanes, without items that wait for the user's decision."""
    query = "SELECT DISTINCT kind FROM outbox WHERE connection_id = ? AND lane IN (?, ?) AND not_before < ?"
    return {Kind(row["kind"]) for row in tx.execute(query, (connection_id, *AWAITED, PARKED))}


def exists(tx: sqlite3.Connection, item_id: int) -> bool:
    """Whether an item is still in the outbox, which means that it must still be done."""
    return tx.execute("SELECT 1 FROM outbox WHERE id = ?", (item_id,)).fetchone() is not None


def done(tx: sqlite3.Connection, item_id: int) -> bool:
    """Remove an item; False if it did not exist any more."""
    return tx.execute("DELETE FROM outbox WHERE id = ?", (item_id,)).rowcount > 0


def drop(tx: sqlite3.Connection, connection_id: int, lane: Lane) -> None:
    """Remove all items of a lane."""
    tx.execute("DELETE FROM outbox WHERE connection_id = ? AND lane = ?", (connection_id, lane))


def drop_item(tx: sqlite3.Connection, connection_id: int, kind: Kind, body: bytes) -> None:
    """Remove the items of this kind that have this body."""
    query = "DELETE FROM outbox WHERE connection_id = ? AND kind = ? AND body = ?"
    tx.execute(query, (connection_id, kind, body))


def postpone(tx: sqlite3.Connection, connection_id: int, lane: Lane, not_before: float) -> None:
    """Let all items of the lane wait until the given time, in POSIX seconds."""
    tx.execute(
        "UPDATE outbox SET not_before = ? WHERE connection_id = ? AND lane = ?", (not_before, connection_id, lane)
    )


def postpone_item(tx: sqlite3.Connection, item_id: int, not_before: float) -> None:
    """Let one item wait until the given time, in POSIX seconds, so that later items overtake it."""
    tx.execute("UPDATE outbox SET not_before = ? WHERE id = ?", (not_before, item_id))


def awaits_farewell(tx: sqlite3.Connection, connection_id: int) -> bool:
    """Whether the farewell, which is the last message to a peer, must still be sent."""
    query = "SELECT 1 FROM outbox WHERE connection_id = ? AND kind = ?"
    return tx.execute(query, (connection_id, Kind.FAREWELL)).fetchone() is not None


def hold_numbered(tx: sqlite3.Connection, connection_id: int, not_before: float) -> None:
    """Hold the connection's messages and receipts until the given time, in POSIX seconds; 0 releases them."""
    tx.execute(
        "UPDATE outbox SET not_before = ? WHERE connection_id = ? AND kind IN (?, ?, ?, ?)",
        (not_before, connection_id, Kind.READY, Kind.MESSAGE, Kind.FAREWELL, Kind.RECEIPT),
    )


def take_receipt(tx: sqlite3.Connection, item_id: int) -> bytes | None:
    """Remove a receipt that is not sealed yet, and return its plaintext; None if it did not exist any more."""
    query = "DELETE FROM outbox WHERE id = ? AND kind = ? RETURNING message"
    row = tx.execute(query, (item_id, Kind.RECEIPT)).fetchone()
    message: bytes | None = row["message"] if row else None
    return message


def numbered(tx: sqlite3.Connection, connection_id: int) -> list[OutboxItem]:
    """Sealed messages that the peer's relay has not accepted yet, in order."""
    rows = tx.execute(
        "SELECT * FROM outbox WHERE connection_id = ? AND kind IN (?, ?, ?) ORDER BY priority, id",
        (connection_id, Kind.READY, Kind.MESSAGE, Kind.FAREWELL),
    )
    return [_item(row) for row in rows]


def replace_body(tx: sqlite3.Connection, item_id: int, body: bytes) -> None:
    """Give an item another body; it keeps its place."""
    tx.execute("UPDATE outbox SET body = ? WHERE id = ?", (body, item_id))


def is_joining(tx: sqlite3.Connection) -> bool:
    """Whether we are joining a connection, but must still read its link or make our reply queue before we can send our
    confirmation."""
    query = (
        "SELECT 1 FROM outbox LEFT JOIN send_queues USING (connection_id)"
        " WHERE kind = ? OR (kind = ? AND lane = ? AND snd_id IS NOT NULL) LIMIT 1"
    )
    return tx.execute(query, (Kind.READ_LINK, Kind.CREATE, Lane.RECEIVE)).fetchone() is not None


def save_first_message(tx: sqlite3.Connection, connection_id: int, body: bytes) -> None:
    """Save the sealed contact request, confirmation or initiator's hello, so that every try sends the same bytes."""
    tx.execute("INSERT OR REPLACE INTO first_messages VALUES (?, ?)", (connection_id, body))


def first_message(tx: sqlite3.Connection, connection_id: int) -> bytes:
    """The message that `save_first_message` has saved. Raises `LookupError` if the message was forgotten."""
    row = tx.execute("SELECT body FROM first_messages WHERE connection_id = ?", (connection_id,)).fetchone()
    if row is None:
        raise LookupError("the connection's first message is no longer stored")
    body: bytes = row["body"]
    return body


def forget_first_message(tx: sqlite3.Connection, connection_id: int) -> None:
    """Stop sending and forget the confirmation or initiator's hello: the handshake is complete, so the peer has it."""
    tx.execute("DELETE FROM first_messages WHERE connection_id = ?", (connection_id,))
    query = "DELETE FROM outbox WHERE connection_id = ? AND kind IN (?, ?)"
    tx.execute(query, (connection_id, Kind.CONFIRMATION, Kind.HELLO))


def drop_request(tx: sqlite3.Connection, connection_id: int) -> None:
    """Stop sending a contact request, because it has arrived."""
    tx.execute("DELETE FROM outbox WHERE connection_id = ? AND kind = ?", (connection_id, Kind.REQUEST))


def clear(tx: sqlite3.Connection, connection_id: int) -> list[int]:
    """Drop everything that was to be sent, and return the application's numbers of the dropped messages."""
    rows = tx.execute(
        "SELECT reference FROM outbox WHERE connection_id = :id AND reference IS NOT NULL"
        " UNION SELECT reference FROM waiting_messages WHERE connection_id = :id AND reference IS NOT NULL",
        {"id": connection_id},
    ).fetchall()
    tx.execute("DELETE FROM outbox WHERE connection_id = ?", (connection_id,))
    tx.execute("DELETE FROM waiting_messages WHERE connection_id = ?", (connection_id,))
    return [row["reference"] for row in rows]


# -- messages not sealed yet ------------------------------------------------------------------------------------------


class WaitingMessage(Record):
    """A message in plaintext that must not be sealed yet, for example because the handshake is not complete."""

    id: int
    message: bytes = field(repr=False)
    notify: bool
    reference: int | None


def wait(tx: sqlite3.Connection, connection_id: int, message: bytes, *, notify: bool, reference: int | None) -> None:
    """Add a message behind those that wait until they may be sealed."""
    tx.execute(
        "INSERT INTO waiting_messages (connection_id, message, notify, reference) VALUES (?, ?, ?, ?)",
        (connection_id, message, notify, reference),
    )


def take_waiting(tx: sqlite3.Connection, connection_id: int, *, but: bytes | None = None) -> list[WaitingMessage]:
    """Remove and return the waiting messages, in order. Messages that begin with the bytes ``but`` stay."""
    where = "connection_id = ? AND (? IS NULL OR substr(message, 1, ?) <> ?)"
    chosen = (connection_id, but, len(but or b""), but)
    rows = tx.execute(f"SELECT * FROM waiting_messages WHERE {where} ORDER BY id", chosen).fetchall()
    tx.execute(f"DELETE FROM waiting_messages WHERE {where}", chosen)
    return [WaitingMessage(row["id"], row["message"], bool(row["notify"]), row["reference"]) for row in rows]


def park(tx: sqlite3.Connection, connection_id: int, beginning: bytes) -> None:
    """Hold the sealed messages whose plaintext begins with ``beginning``; all other messages overtake them."""
    # These messages are not sealed again as in `take_back`: one that is on its way now would arrive twice.
    tx.execute(
        "UPDATE outbox SET not_before = ? WHERE connection_id = ? AND kind = ? AND substr(message, 1, ?) = ?",
        (PARKED, connection_id, Kind.MESSAGE, len(beginning), beginning),
    )


def unpark(tx: sqlite3.Connection, connection_id: int, not_before: float) -> None:
    """Allow the messages that `park` holds to be sent from the given time on, in POSIX seconds."""
    query = "UPDATE outbox SET not_before = ? WHERE connection_id = ? AND not_before >= ?"
    tx.execute(query, (not_before, connection_id, PARKED))


def take_back(tx: sqlite3.Connection, connection_id: int) -> None:
    """Let sealed messages that no relay has accepted wait to be sealed again, before the other waiting messages."""
    rows = tx.execute(
        "DELETE FROM outbox WHERE connection_id = ? AND kind = ? AND message IS NOT NULL"
        " RETURNING id, message, notify, reference",
        (connection_id, Kind.MESSAGE),
    ).fetchall()
    if not rows:
        return
    behind = take_waiting(tx, connection_id)
    for row in sorted(rows, key=lambda row: int(row["id"])):
        query = "DELETE FROM sent_messages WHERE connection_id = ? AND reference = ?"
        tx.execute(query, (connection_id, row["reference"]))
        wait(tx, connection_id, row["message"], notify=bool(row["notify"]), reference=row["reference"])
    for waiting in behind:
        wait(tx, connection_id, waiting.message, notify=waiting.notify, reference=waiting.reference)


def hold_texts(tx: sqlite3.Connection, connection_id: int, now: float) -> None:
    """Note that messages of the user must wait from now on, until `let_texts_go` is called."""
    tx.execute("INSERT OR IGNORE INTO held_texts VALUES (?, ?)", (connection_id, now))


def let_texts_go(tx: sqlite3.Connection, connection_id: int) -> bool:
    """Note that messages of the user need not wait any longer. Returns False if they were not waiting."""
    return tx.execute("DELETE FROM held_texts WHERE connection_id = ?", (connection_id,)).rowcount > 0


def holds_texts(tx: sqlite3.Connection, connection_id: int) -> bool:
    """Whether messages of the user wait because `hold_texts` was called."""
    return tx.execute("SELECT 1 FROM held_texts WHERE connection_id = ?", (connection_id,)).fetchone() is not None


def longest_waiting(tx: sqlite3.Connection, connection_id: int) -> int:
    """Size in bytes of the longest message that waits to be sealed; 0 if none does."""
    query = "SELECT coalesce(max(length(message)), 0) FROM waiting_messages WHERE connection_id = ?"
    return int(tx.execute(query, (connection_id,)).fetchone()[0])


# -- messages sent ----------------------------------------------------------------------------------------------------

KEPT_SENT = 1000
"""When a message gets its receipt, this many messages before it may still get theirs."""
KEPT_UNCONFIRMED = 10_000
"""If no receipt has ever come, this many of our latest messages may still get one."""


def record_sent(
    tx: sqlite3.Connection, connection_id: int, message_id: int, message_hash: bytes, reference: int
) -> None:
    """Remember a message of the user until its receipt comes, or until `KEPT_UNCONFIRMED` later messages were sent."""
    tx.execute("INSERT INTO sent_messages VALUES (?, ?, ?, ?)", (connection_id, message_id, message_hash, reference))
    query = "DELETE FROM sent_messages WHERE connection_id = ? AND message_id <= ?"
    tx.execute(query, (connection_id, message_id - KEPT_UNCONFIRMED))


def take_sent(tx: sqlite3.Connection, connection_id: int, message_id: int) -> tuple[bytes, int] | None:
    """Remove and return the hash and reference of the message that a receipt is for; None for a second receipt.

    Also forget what was sent more than `KEPT_SENT` messages before that message: receipts come almost in the order of
    the messages, so such old messages will not get one any more. Edits and reactions never get a receipt.
    """
    row = tx.execute(
        "DELETE FROM sent_messages WHERE connection_id = ? AND message_id = ? RETURNING hash, reference",
        (connection_id, message_id),
    ).fetchone()
    if row is None:
        return None
    query = "DELETE FROM sent_messages WHERE connection_id = ? AND message_id < ?"
    tx.execute(query, (connection_id, message_id - KEPT_SENT))
    return row["hash"], row["reference"]


# -- relays that cannot be reached ------------------------------------------------------------------------------------


class RelayTrouble(Record):
    """Why the online process cannot use a relay.

    Attributes:
        error: What happened, in words.
        since: When the relay first failed; POSIX seconds.
        next_try_at: When the relay is tried again, in POSIX seconds; None if that is not known.
    """

    server: str
    error: str
    since: float
    next_try_at: float | None
    kind: Trouble = Trouble.UNREACHABLE


def save_relay_trouble(tx: sqlite3.Connection, trouble: RelayTrouble) -> None:
    """Remember why a relay cannot be reached; ``since`` stays the time of the first failure."""
    tx.execute(
        "INSERT INTO relay_states (server, error, since, next_try_at, kind) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT (server) DO UPDATE"
        " SET error = excluded.error, kind = excluded.kind, next_try_at = coalesce(excluded.next_try_at, next_try_at)",
        (trouble.server, trouble.error, trouble.since, trouble.next_try_at, trouble.kind),
    )


def is_relay_needed(tx: sqlite3.Connection, server: str) -> bool:
    """Whether this relay has a queue of ours or of a peer, or may have one soon. The old and the new queue of a move
    count, too."""
    if tx.execute(_HAS_QUEUES.format(server=":server"), {"server": server}).fetchone():
        return True
    return tx.execute(_SEEKS_QUEUES, _SEEKING).fetchone() is not None


def has_work_at(tx: sqlite3.Connection, server: str) -> bool:
    """Whether there is something to send to peers' queues at a relay."""
    query = "SELECT 1 FROM outbox JOIN send_queues USING (connection_id) WHERE server = ? AND lane = ? LIMIT 1"
    return tx.execute(query, (server, Lane.SEND)).fetchone() is not None


TROUBLE_KEPT = 600
"""For this many seconds after a relay has refused a new queue, smpchat tries other relays first for new queues."""


def forget_relay_troubles(tx: sqlite3.Connection, now: float) -> None:
    """Forget troubles that began more than `TROUBLE_KEPT` seconds ago at relays that are not needed any more."""
    if tx.execute(_SEEKS_QUEUES, _SEEKING).fetchone() is None:
        unused = f"NOT EXISTS ({_HAS_QUEUES.format(server='relay_states.server')})"
        tx.execute(f"DELETE FROM relay_states WHERE since < ? AND {unused}", (now - TROUBLE_KEPT,))


_HAS_QUEUES = " UNION ALL ".join(
    f"SELECT 1 FROM {table} WHERE server = {{server}}"
    for table in ("receive_queues", "other_receive_queues", "send_queues", "rotations")
)
_SEEKING = (Kind.CREATE, Kind.READ_LINK, Kind.READ_ADDRESS)
"""Kinds of items after which we may use a queue, ours or a peer's, at a relay where we have used none before."""
_SEEKS_QUEUES = "SELECT 1 FROM outbox WHERE kind IN (?, ?, ?)"


def clear_relay_trouble(tx: sqlite3.Connection, server: str) -> None:
    """Forget what was wrong with a relay, because the relay has answered."""
    tx.execute("DELETE FROM relay_states WHERE server = ?", (server,))


def relay_troubles(tx: sqlite3.Connection) -> dict[str, RelayTrouble]:
    """What was wrong with each relay that failed at the last try. The keys of the dict are the relays' addresses."""
    return {row["server"]: _trouble(row) for row in tx.execute("SELECT * FROM relay_states")}


def troubles_of_needed_relays(tx: sqlite3.Connection) -> dict[str, RelayTrouble]:
    """What was wrong with the relays that are needed now: a part of `relay_troubles`."""
    return {server: trouble for server, trouble in relay_troubles(tx).items() if is_relay_needed(tx, server)}


def relay_trouble(tx: sqlite3.Connection, server: str) -> RelayTrouble | None:
    """What was wrong with a relay at the last try; None if nothing was."""
    row = tx.execute("SELECT * FROM relay_states WHERE server = ?", (server,)).fetchone()
    return _trouble(row) if row else None


def _trouble(row: sqlite3.Row) -> RelayTrouble:
    return RelayTrouble(row["server"], row["error"], row["since"], row["next_try_at"], Trouble(row["kind"]))
