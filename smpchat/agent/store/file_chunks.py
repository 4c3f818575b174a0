"""Chunks of files: their states, the relays that store them, and what must be done next.

Keys are kept only as long as they are needed; see docs/keys.md.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from smpchat.agent.machines.file_transfer import Here, Lost, Placed, State, Stored, Unplaced, Wanted
from smpchat.agent.store import file_deletions
from smpchat.agent.store.files import Problem, Stage, problem_values
from smpchat.encoding.record import Record, field


class Chunk(Record):
    """One chunk of a file.

    Attributes:
        digest: SHA-256 of the chunk's bytes.
        not_before: No relay is asked to register, take or send the chunk before this time, in POSIX seconds.
        server: If we send the file, the address of the relay that has registered the chunk. If we receive the file, the
            address of the relay that we ask for the chunk.
        sender_id, sender_key: If we send the file: the chunk's id at that relay, and the key for our commands on the
            chunk.
    """

    file_id: int
    number: int
    size: int
    digest: bytes
    state: State
    not_before: float = 0
    server: str | None = None
    sender_id: bytes | None = None
    sender_key: bytes | None = field(default=None, repr=False)


class Replica(Record):
    """Where a recipient can download a chunk: a relay, the chunk's id there, and the recipient's key.

    ``place``: If we send the file, the number of the recipient. If we receive the file, the position of this replica
    among the chunk's replicas in the file's description.
    """

    place: int
    server: str
    replica_id: bytes
    key: bytes = field(repr=False)


_STATES: dict[str, type[Record]] = {
    "unplaced": Unplaced,
    "placed": Placed,
    "stored": Stored,
    "wanted": Wanted,
    "here": Here,
}
_NAMES = {cls: name for name, cls in _STATES.items()}


# -- chunks -----------------------------------------------------------------------------------------------------------


def chunk(tx: sqlite3.Connection, file_id: int, number: int) -> Chunk | None:
    """One chunk; None if its file was deleted."""
    row = tx.execute("SELECT * FROM file_chunks WHERE file_id = ? AND number = ?", (file_id, number)).fetchone()
    return _chunk(row) if row else None


def chunks(tx: sqlite3.Connection, file_id: int) -> list[Chunk]:
    """All chunks of a file, in order."""
    rows = tx.execute("SELECT * FROM file_chunks WHERE file_id = ? ORDER BY number", (file_id,)).fetchall()
    return [_chunk(row) for row in rows]


def offset(tx: sqlite3.Connection, file_id: int, number: int) -> int:
    """Where in the ciphertext a chunk begins, in bytes."""
    query = "SELECT coalesce(sum(size), 0) FROM file_chunks WHERE file_id = ? AND number < ?"
    return int(tx.execute(query, (file_id, number)).fetchone()[0])


def gapless(tx: sqlite3.Connection) -> dict[int, int]:
    """For each file that is being received, and whose first chunk has arrived: how many bytes of its ciphertext come
    before the first missing chunk. The keys of the dict are the numbers of the files."""
    begun = tx.execute(
        "SELECT id FROM files JOIN file_chunks ON file_id = id AND number = 1"
        " WHERE NOT sending AND stage = ? AND state = 'here'",
        (Stage.MOVING,),
    )
    query = (
        "SELECT sum(size) FROM file_chunks WHERE file_id = :id AND number <"
        " (SELECT min(number) FROM file_chunks WHERE file_id = :id AND state <> 'here')"
    )
    return {row["id"]: int(tx.execute(query, {"id": row["id"]}).fetchone()[0] or 0) for row in begun.fetchall()}


def save_state(tx: sqlite3.Connection, file_id: int, number: int, state: State, not_before: float = 0) -> None:
    """Save a chunk's new state. The state `Lost` is never saved: if a chunk is lost, the whole file fails.
    ``not_before``: see `Chunk`."""
    assert not isinstance(state, Lost)
    replica = getattr(state, "replica", 0)
    tx.execute(
        "UPDATE file_chunks SET state = ?, failures = ?, replica = ?, spoilt = ?, not_before = ?"
        " WHERE file_id = ? AND number = ?",
        (
            _NAMES[type(state)],
            getattr(state, "failures", 0),
            replica,
            getattr(state, "spoilt", False),
            not_before,
            file_id,
            number,
        ),
    )
    if isinstance(state, Wanted):
        tx.execute(
            "UPDATE file_chunks SET server = (SELECT r.server FROM file_replicas AS r WHERE r.file_id = :id"
            " AND r.number = :number ORDER BY r.place LIMIT 1 OFFSET :replica)"
            " WHERE file_id = :id AND number = :number",
            {"id": file_id, "number": number, "replica": replica},
        )


def clear_chunk_problem(tx: sqlite3.Connection, file_id: int, number: int) -> None:
    """Forget why a chunk was waiting: it is not waiting any more."""
    tx.execute(
        "UPDATE file_chunks SET trouble = NULL, error = '', since = NULL, next_try_at = NULL"
        " WHERE file_id = ? AND number = ? AND trouble IS NOT NULL",
        (file_id, number),
    )


def set_chunk_problem(tx: sqlite3.Connection, file_id: int, number: int, problem: Problem) -> None:
    """Save why a chunk waits. The stored ``since`` changes only if the problem is of another kind than before."""
    tx.execute(
        "UPDATE file_chunks SET since = CASE WHEN trouble = :kind THEN since ELSE :since END, trouble = :kind,"
        " error = :error, next_try_at = :next WHERE file_id = :id AND number = :number",
        problem_values(problem) | {"id": file_id, "number": number},
    )


def place(tx: sqlite3.Connection, file_id: int, number: int, server: str, sender_id: bytes, sender_key: bytes) -> None:
    """Save at which relay a chunk of ours is registered, with its id there and the key for commands on it."""
    tx.execute(
        "UPDATE file_chunks SET server = ?, sender_id = ?, sender_key = ? WHERE file_id = ? AND number = ?",
        (server, sender_id, sender_key, file_id, number),
    )


def take_place(tx: sqlite3.Connection, file_id: int, number: int, now: float) -> None:
    """Note that a chunk of ours must be deleted at its relay, and forget where recipients would have found it."""
    file_deletions.owe(tx, "file_id = ? AND number = ?", (file_id, number), now)
    tx.execute("DELETE FROM file_replicas WHERE file_id = ? AND number = ?", (file_id, number))


def take_places(tx: sqlite3.Connection, file_id: int, now: float) -> None:
    """Record that all chunks of the file must be deleted at their relays."""
    file_deletions.owe(tx, "file_id = ?", (file_id,), now)


def forget(tx: sqlite3.Connection, file_id: int) -> None:
    """Forget the chunks of a file whose transfer has ended. If relays must still delete some of the chunks, call
    `take_places` first, which notes where these chunks are."""
    tx.execute("DELETE FROM file_chunks WHERE file_id = ?", (file_id,))


def is_moved(tx: sqlite3.Connection, file_id: int) -> bool:
    """Whether all chunks have been transferred."""
    query = "SELECT 1 FROM file_chunks WHERE file_id = ? AND state IN ('unplaced', 'placed', 'wanted') LIMIT 1"
    return tx.execute(query, (file_id,)).fetchone() is None


# -- what is to be done -----------------------------------------------------------------------------------------------

# SQLite uses the index ``file_chunks_to_move`` only if the states are listed here as in the index.
_TO_MOVE = "state IN ('unplaced', 'placed', 'wanted') AND not_before <= :now"


def servers(tx: sqlite3.Connection, now: float) -> list[str]:
    """Addresses of the relays where a chunk is to be uploaded, downloaded or deleted at the time ``now``."""
    rows = tx.execute(
        f"SELECT DISTINCT server FROM file_chunks WHERE server IS NOT NULL AND {_TO_MOVE}"
        " UNION SELECT server FROM file_deletions WHERE not_before <= :now",
        {"now": now},
    )
    return [row["server"] for row in rows.fetchall()]


def files_at(tx: sqlite3.Connection, server: str | None, now: float) -> list[int]:
    """Numbers of the files that have chunks to be transferred now, to or from the relay ``server``. If ``server`` is
    None: of the files that have chunks for which no relay is chosen yet."""
    rows = tx.execute(
        f"SELECT DISTINCT file_id FROM file_chunks JOIN files ON files.id = file_id WHERE server IS :server AND"
        f" {_TO_MOVE} AND stage = :moving AND coalesce(files.next_try_at, 0) <= :now",
        {"server": server, "now": now, "moving": Stage.MOVING},
    )
    return [row["file_id"] for row in rows.fetchall()]


def numbers_at(tx: sqlite3.Connection, server: str | None, file_id: int, now: float, limit: int) -> list[int]:
    """Numbers of the next chunks of a file to be transferred to or from this relay, in order. ``server``: as in
    `files_at`."""
    rows = tx.execute(
        f"SELECT number FROM file_chunks WHERE server IS :server AND file_id = :id AND {_TO_MOVE}"
        " ORDER BY number LIMIT :limit",
        {"server": server, "id": file_id, "now": now, "limit": limit},
    )
    return [row["number"] for row in rows.fetchall()]


def next_deadline(tx: sqlite3.Connection, now: float) -> float | None:
    """When the next waiting chunk, deletion or file may be tried again, in POSIX seconds; None if nothing is
    waiting."""
    row = tx.execute(
        "SELECT min(at) FROM (SELECT not_before AS at FROM file_chunks WHERE not_before > :now"
        " UNION ALL SELECT not_before FROM file_deletions WHERE not_before > :now"
        " UNION ALL SELECT next_try_at FROM files WHERE next_try_at > :now AND stage IN ('moving', 'opening'))",
        {"now": now},
    ).fetchone()
    return None if row[0] is None else float(row[0])


# -- recipients and replicas ------------------------------------------------------------------------------------------


def save_replicas(tx: sqlite3.Connection, file_id: int, number: int, replicas: Iterable[Replica]) -> None:
    """Save where recipients find a chunk that we send, or where we find one that we receive."""
    tx.executemany(
        "INSERT OR REPLACE INTO file_replicas VALUES (?, ?, ?, ?, ?, ?)",
        ((file_id, number, r.place, r.server, r.replica_id, r.key) for r in replicas),
    )


def replicas(tx: sqlite3.Connection, file_id: int, number: int) -> list[Replica]:
    """The replicas of a chunk, in the order of their numbers (``place``)."""
    rows = tx.execute(
        "SELECT * FROM file_replicas WHERE file_id = ? AND number = ? ORDER BY place", (file_id, number)
    ).fetchall()
    return [Replica(row["place"], row["server"], row["replica_id"], row["key"]) for row in rows]


def drop_replica(tx: sqlite3.Connection, file_id: int, number: int, place: int) -> None:
    """Forget a replica that cannot be used any more."""
    query = "DELETE FROM file_replicas WHERE file_id = ? AND number = ? AND place = ?"
    tx.execute(query, (file_id, number, place))


def _chunk(row: sqlite3.Row) -> Chunk:
    return Chunk(
        file_id=row["file_id"],
        number=row["number"],
        size=row["size"],
        digest=row["digest"],
        state=_state(row),
        not_before=row["not_before"],
        server=row["server"],
        sender_id=row["sender_id"],
        sender_key=row["sender_key"],
    )


def _state(row: sqlite3.Row) -> State:
    match row["state"]:
        case "unplaced":
            return Unplaced()
        case "placed":
            return Placed(row["failures"])
        case "stored":
            return Stored()
        case "here":
            return Here(bool(row["spoilt"]))
    return Wanted(row["replica"], row["failures"], bool(row["spoilt"]))
