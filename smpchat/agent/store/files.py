"""Files that are uploaded or downloaded; their chunks are in `smpchat.agent.store.file_chunks`.

Keys are kept only as long as they are needed; see docs/keys.md.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path

from smpchat.agent.errors import MissingRecord, TooManyFiles
from smpchat.client.trouble import Trouble
from smpchat.encoding.record import Record, field

MAX_ERROR = 400
"""How many characters of an error message, from a relay or this computer, are kept."""


class Stage(StrEnum):
    """The state of a whole file."""

    MOVING = "moving"
    """The file's chunks are being uploaded or downloaded."""
    OPENING = "opening"
    """All chunks have arrived. The file is being checked, decrypted and saved under its final name."""
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Problem(Record):
    """Why the transfer of a file does not make progress, or has failed.

    Attributes:
        error: A description of the problem in words, from a relay or this computer.
        since: When the problem began; POSIX seconds.
        next_try_at: When the transfer is tried again, in POSIX seconds; None if that is not known.
    """

    kind: Trouble
    error: str
    since: float
    next_try_at: float | None = None


class StoredFile(Record):
    """A file that is or was uploaded or downloaded.

    Attributes:
        sending: Whether we send the file; otherwise we receive it.
        name: The file's name, as people see it.
        target: Where to save a received file; if that name is taken, a number is added.
        local: Name of its ciphertext in the profile's folder of files.
        size: Size of the ciphertext in bytes, which is the sum of the sizes of the chunks.
        plain_size: Size of the file itself in bytes, if it is known. If a received file turns out to have another size,
            it is refused.
        slots: The number of recipients for which each chunk is registered at its relay.
        started: When the transfer began; POSIX seconds.
        problem: Why the transfer of the whole file, not only of one chunk, does not make progress.
    """

    id: int
    sending: bool
    stage: Stage
    name: str
    target: Path | None
    local: str
    size: int
    plain_size: int | None
    slots: int
    digest: bytes
    key: bytes = field(repr=False)
    nonce: bytes = field(repr=False)
    started: float
    problem: Problem | None


# -- files ------------------------------------------------------------------------------------------------------------


def add(
    tx: sqlite3.Connection,
    *,
    sending: bool,
    name: str,
    target: Path | None,
    local: str,
    plain_size: int | None,
    slots: int,
    digest: bytes,
    key: bytes,
    nonce: bytes,
    chunks: Iterable[tuple[int, bytes]],
    now: float,
) -> int:
    """Insert a new file, and return its number. ``chunks``: the size and digest of each chunk, in order."""
    parts = list(chunks)
    row = tx.execute(
        "INSERT INTO files (sending, stage, name, target, local, size, plain_size, slots, digest, key, nonce,"
        " started) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            sending,
            Stage.MOVING,
            name,
            None if target is None else str(target),
            local,
            sum(size for size, _ in parts),
            plain_size,
            slots,
            digest,
            key,
            nonce,
            now,
        ),
    )
    file_id = int(row.lastrowid or 0)
    state = "unplaced" if sending else "wanted"
    tx.executemany(
        "INSERT INTO file_chunks (file_id, number, size, digest, state) VALUES (?, ?, ?, ?, ?)",
        ((file_id, number, size, chunk_digest, state) for number, (size, chunk_digest) in enumerate(parts, 1)),
    )
    return file_id


def find(tx: sqlite3.Connection, file_id: int) -> StoredFile | None:
    """The file with this number; None if it was deleted from the store."""
    row = tx.execute("SELECT * FROM files WHERE id = ?", (file_id,)).fetchone()
    return _file(row) if row else None


def load(tx: sqlite3.Connection, file_id: int) -> StoredFile:
    """The file with this number. Raises `MissingRecord` if it was deleted from the store."""
    found = find(tx, file_id)
    if found is None:
        raise MissingRecord(f"File {file_id} is missing.")
    return found


def in_stage(tx: sqlite3.Connection, stage: Stage) -> list[StoredFile]:
    """All files in a stage, oldest first."""
    return [_file(row) for row in tx.execute("SELECT * FROM files WHERE stage = ? ORDER BY id", (stage,)).fetchall()]


def set_stage(tx: sqlite3.Connection, file_id: int, stage: Stage) -> None:
    """Save that the file has reached another stage."""
    tx.execute("UPDATE files SET stage = ?, moving = 0 WHERE id = ?", (stage, file_id))


def delete(tx: sqlite3.Connection, file_id: int) -> None:
    """Delete a file and its chunks from the store."""
    tx.execute("DELETE FROM files WHERE id = ?", (file_id,))


def set_moving(tx: sqlite3.Connection, moving: dict[int, int]) -> None:
    """Save how many bytes of unfinished chunks have been transferred. The keys of ``moving`` are the numbers of the
    files; the values are these bytes."""
    tx.executemany("UPDATE files SET moving = ? WHERE id = ?", [(bytes_, file) for file, bytes_ in moving.items()])


def begin_anew(tx: sqlite3.Connection) -> None:
    """A new process has gone online. Save that no chunk is being transferred yet, and let the new process try every
    file and chunk now."""
    tx.execute("UPDATE files SET moving = 0, next_try_at = NULL WHERE moving <> 0 OR next_try_at IS NOT NULL")
    tx.execute(
        "UPDATE file_chunks SET not_before = 0, next_try_at = NULL WHERE not_before <> 0 OR next_try_at IS NOT NULL"
    )


def with_parts(tx: sqlite3.Connection) -> list[StoredFile]:
    """Files whose transfer has ended, but of which a partly decrypted copy may still be on the disk."""
    query = "SELECT * FROM files WHERE target IS NOT NULL AND stage NOT IN (?, ?)"
    return [_file(row) for row in tx.execute(query, (Stage.MOVING, Stage.OPENING)).fetchall()]


def forget_target(tx: sqlite3.Connection, file_id: int) -> None:
    """Forget where a received file was to be saved: its transfer has ended, and no partly decrypted copy is left
    there."""
    tx.execute("UPDATE files SET target = NULL WHERE id = ?", (file_id,))


def set_problem(tx: sqlite3.Connection, file_id: int, problem: Problem) -> None:
    """Save why the transfer of the whole file does not make progress. The stored ``since`` changes only if the problem
    is of another kind than before."""
    tx.execute(
        "UPDATE files SET since = CASE WHEN trouble = :kind THEN since ELSE :since END, trouble = :kind,"
        " error = :error, next_try_at = :next WHERE id = :id",
        problem_values(problem) | {"id": file_id},
    )


def clear_problem(tx: sqlite3.Connection, file_id: int) -> None:
    """Forget the problem of the whole file: its transfer continues."""
    tx.execute(
        "UPDATE files SET trouble = NULL, error = '', since = NULL, next_try_at = NULL"
        " WHERE id = ? AND trouble IS NOT NULL",
        (file_id,),
    )


def forget_keys(tx: sqlite3.Connection, file_id: int) -> None:
    """Erase the file's keys: we will not download or decrypt the file any more, and will not give anybody its
    description."""
    tx.execute("UPDATE files SET key = x'', nonce = x'', digest = x'' WHERE id = ?", (file_id,))
    tx.execute("DELETE FROM file_replicas WHERE file_id = ?", (file_id,))


def locals_in_use(tx: sqlite3.Connection) -> set[str]:
    """Names of the ciphertext files that are needed for unfinished transfers."""
    rows = tx.execute("SELECT local FROM files WHERE stage IN (?, ?)", (Stage.MOVING, Stage.OPENING))
    return {row["local"] for row in rows}


def count_moving(tx: sqlite3.Connection) -> int:
    """Number of files that are being sent or received."""
    query = "SELECT count(*) FROM files WHERE stage IN (?, ?)"
    return int(tx.execute(query, (Stage.MOVING, Stage.OPENING)).fetchone()[0])


def check_room(tx: sqlite3.Connection, limit: int) -> None:
    """Raises `TooManyFiles` if too many files are being sent and received already."""
    if count_moving(tx) >= limit:
        raise TooManyFiles(limit)


def moved(tx: sqlite3.Connection, file_id: int) -> int:
    """Bytes of the file's ciphertext that have been transferred."""
    row = tx.execute(
        "SELECT coalesce(sum(size), 0) + (SELECT moving FROM files WHERE id = :id) AS total FROM file_chunks"
        " WHERE file_id = :id AND state IN ('stored', 'here')",
        {"id": file_id},
    ).fetchone()
    return int(row["total"] or 0)


def worst_problem(tx: sqlite3.Connection, file_id: int) -> Problem | None:
    """The problem of the chunk that has waited longest; None if no chunk waits because of a problem."""
    row = tx.execute(
        "SELECT * FROM file_chunks WHERE file_id = ? AND trouble IS NOT NULL ORDER BY since, number LIMIT 1", (file_id,)
    ).fetchone()
    return problem_of(row) if row else None


def begun_before(tx: sqlite3.Connection, moment: float, *, sending: bool) -> list[StoredFile]:
    """Files whose transfer began before the given time, in POSIX seconds, and has not ended."""
    rows = tx.execute(
        "SELECT * FROM files WHERE stage IN (?, ?) AND sending = ? AND started < ?",
        (Stage.MOVING, Stage.OPENING, sending, moment),
    )
    return [_file(row) for row in rows.fetchall()]


def is_any_old(
    tx: sqlite3.Connection, *, sent_before: float, received_before: float, owed_before: float, keys_before: float
) -> bool:
    """Whether anything is older than allowed: an unfinished transfer, a deletion that a relay has not carried out yet,
    or a key that could delete chunks of an ended transfer. All times are POSIX seconds."""
    row = tx.execute(
        "SELECT EXISTS (SELECT 1 FROM files WHERE stage IN ('moving', 'opening')"
        "   AND started < CASE WHEN sending THEN :sent ELSE :received END)"
        " OR EXISTS (SELECT 1 FROM file_deletions WHERE since < :owed)"
        " OR EXISTS (SELECT 1 FROM files JOIN file_chunks ON file_id = files.id WHERE sender_key IS NOT NULL"
        "   AND started < :keys AND stage NOT IN ('moving', 'opening'))",
        {"sent": sent_before, "received": received_before, "owed": owed_before, "keys": keys_before},
    ).fetchone()
    return bool(row[0])


# -- rows -------------------------------------------------------------------------------------------------------------


def problem_values(problem: Problem) -> dict[str, object]:
    """The problem as parameters for an SQL statement."""
    return {
        "kind": problem.kind,
        "error": problem.error[:MAX_ERROR],
        "since": problem.since,
        "next": problem.next_try_at,
    }


def problem_of(row: sqlite3.Row) -> Problem | None:
    """The problem that a row of the table contains; None if it contains none."""
    if row["trouble"] is None:
        return None
    return Problem(Trouble(row["trouble"]), row["error"], row["since"], row["next_try_at"])


def _file(row: sqlite3.Row) -> StoredFile:
    return StoredFile(
        id=row["id"],
        sending=bool(row["sending"]),
        stage=Stage(row["stage"]),
        name=row["name"],
        target=None if row["target"] is None else Path(row["target"]),
        local=row["local"],
        size=row["size"],
        plain_size=row["plain_size"],
        slots=row["slots"],
        digest=row["digest"],
        key=row["key"],
        nonce=row["nonce"],
        started=row["started"],
        problem=problem_of(row),
    )
