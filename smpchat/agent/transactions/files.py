"""Files that are sent and received: what the application asks for, and what each answer of a file relay changes.

Nothing here waits or talks to a relay: `smpchat.agent.online.file_transfers` carries out the stored transfers.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from smpchat.agent.context import Context
from smpchat.agent.errors import FileRefused, RelaysNotApproved
from smpchat.agent.machines import file_transfer as machine
from smpchat.agent.machines.file_transfer import (
    DropReplica,
    Event,
    ForgetPlace,
    Lost,
    Moved,
    NotMoved,
    Registered,
    Spoilt,
)
from smpchat.agent.store import clock, erasure, file_chunks, file_deletions, file_folder, files
from smpchat.agent.store.database import Database
from smpchat.agent.store.encrypted_files import EncryptedFile
from smpchat.agent.store.file_chunks import Chunk, Replica
from smpchat.agent.store.files import Problem, Stage, StoredFile
from smpchat.agent.transactions import file_descriptions
from smpchat.client.trouble import Trouble
from smpchat.crypto.keys import Ed25519PrivateKey
from smpchat.encoding.record import Record, field
from smpchat.protocol.address import FileServer

if TYPE_CHECKING:
    from smpchat.xftp.description import FileDescription

SLOTS = 4
"""For how many recipients a file is registered by default. This default does not depend on the real number of
recipients, so relays do not learn how many there are (xftp-wire 5)."""
MAX_PADDING = 4 * 1024 * 1024 + 64 * 1024
"""The most bytes by which a ciphertext may be longer than its file: a chunk of padding (4 MiB), and the smallest chunk
(64 KiB) for the file's name."""
MIN_OVERHEAD = 24
"""The fewest bytes by which a ciphertext is longer than its file: a length field, and the authentication tag."""
MAX_FILES = 1_000
"""How many files may be sent and received at the same time in one profile."""


class Transfer(Record):
    """The progress of a file.

    Attributes:
        done: Bytes of the encrypted and padded file that have been transferred; ``total`` is the size of this file.
        started, expires: POSIX seconds; the transfer is given up at ``expires``.
        problem: Why the transfer does not continue, or why it failed.
    """

    file_id: int
    sending: bool
    stage: Stage
    name: str
    done: int
    total: int
    started: float
    expires: float
    problem: Problem | None


def transfer(tx: sqlite3.Connection, file_id: int) -> Transfer | None:
    """The progress of a file; None if it was deleted."""
    file = files.find(tx, file_id)
    if file is None:
        return None
    done = file.size if file.stage in (Stage.OPENING, Stage.DONE) else min(files.moved(tx, file_id), file.size)
    problem = file.problem
    if problem is None and file.stage is Stage.MOVING:
        problem = files.worst_problem(tx, file_id)
    expires = file.started + machine.patience(sending=file.sending)
    return Transfer(file.id, file.sending, file.stage, file.name, done, file.size, file.started, expires, problem)


# -- what the application asks for ------------------------------------------------------------------------------------


def submit_file(
    tx: sqlite3.Connection, context: Context, encrypted: EncryptedFile, name: str, slots: int = SLOTS
) -> int:
    """Send a file: it is uploaded to relays, and then `Application.file_uploaded` gets the descriptions for recipients.

    Args:
        name: The file's name, as people see it.
        slots: Number of recipients for whom each chunk is registered. There is one description for each recipient.
    Returns:
        Number of the file.
    Raises:
        FileGone: The encrypted copy of the file was removed before this call.
        TooManyFiles: Too many files are being sent and received.
    """
    files.check_room(tx, MAX_FILES)
    file_id = files.add(
        tx,
        sending=True,
        name=name,
        target=None,
        local=encrypted.local,
        plain_size=encrypted.plain_size,
        slots=slots,
        digest=encrypted.digest,
        key=encrypted.key,
        nonce=encrypted.nonce,
        chunks=encrypted.chunks,
        now=context.now(),
    )
    # The ciphertext gets its final name only while this transaction holds the write lock. `sweep` must wait for this
    # lock, so it cannot remove the ciphertext before the new file is stored.
    encrypted.settle()
    return file_id


def relays_to_approve(description_text: str, known: Callable[[FileServer], bool]) -> tuple[str, ...]:
    """Hosts of the relays that the user must approve before the file is downloaded.

    Args:
        known: Tells whether the user's own settings name a relay.
    Raises:
        FileRefused: The file's description cannot be used.
    """
    return unknown_relays(file_descriptions.read(description_text), known)


def unknown_relays(described: FileDescription, known: Callable[[FileServer], bool]) -> tuple[str, ...]:
    """Hosts of the relays that the user must approve: for each chunk that no ``known`` relay has, all relays that have
    this chunk."""
    found: dict[str, None] = {}
    for chunk in described.chunks:
        if not any(known(replica.server) for replica in chunk.replicas):
            found |= dict.fromkeys(replica.server.host for replica in chunk.replicas)
    return tuple(found)


def receive_file(
    tx: sqlite3.Connection,
    context: Context,
    description_text: str,
    target: Path,
    *,
    approved: bool,
    known: Callable[[FileServer], bool],
    size: int | None = None,
) -> int:
    """Download a file; `Application.file_received` gets its path when it is complete.

    Args:
        target: Where the complete file is saved. If another file has this path by then, a number is added to the name.
        approved: The user agrees that the relays chosen by the sender see this computer's address.
        known: Tells whether the user's own settings name a relay.
        size: Announced size of the file in bytes; a file of another size is not saved.
    Returns:
        Number of the file.
    Raises:
        FileRefused: The file's description cannot be used, or its size does not fit ``size``.
        RelaysNotApproved: The user must first approve the relays that the error names.
        TooManyFiles: Too many files are being sent and received.
    """
    described = file_descriptions.read(description_text)
    if size is not None and not _fits_size(described.size, size):
        raise FileRefused("This file is larger or smaller than its message said.")
    asked = () if approved else unknown_relays(described, known)
    if asked:
        raise RelaysNotApproved(asked)
    files.check_room(tx, MAX_FILES)
    file_id = files.add(
        tx,
        sending=False,
        name=target.name,
        target=target,
        local=file_folder.new_name(context.entropy.random(16)),
        plain_size=size,
        slots=0,
        digest=described.digest,
        key=described.key,
        nonce=described.nonce,
        chunks=[(chunk.size, chunk.digest) for chunk in described.chunks],
        now=context.now(),
    )
    for chunk in described.chunks:
        places = [r for r in chunk.replicas if approved or known(r.server)]
        file_chunks.save_replicas(
            tx,
            file_id,
            chunk.number,
            (Replica(n, str(r.server), r.replica_id, r.key.raw) for n, r in enumerate(places)),
        )
        file_chunks.save_state(tx, file_id, chunk.number, machine.Wanted())
    return file_id


def _fits_size(encrypted: int, plain: int) -> bool:
    # Without this check, a file that was announced as ten bytes long could fill the disk.
    return plain + MIN_OVERHEAD <= encrypted <= plain + MAX_PADDING


def cancel_file(tx: sqlite3.Connection, context: Context, file_id: int) -> None:
    """Stop a transfer, and have its chunks deleted at the relays; its state is then *cancelled*. A transfer that has
    ended does not change."""
    file = files.find(tx, file_id)
    if file is None:
        return
    _leave(tx, context, file)
    if file.stage in (Stage.MOVING, Stage.OPENING):
        files.set_stage(tx, file_id, Stage.CANCELLED)


def delete_file(tx: sqlite3.Connection, context: Context, file_id: int) -> None:
    """Delete a file from the store, and have its chunks deleted at the relays. A saved file stays on the disk."""
    file = files.find(tx, file_id)
    if file is not None:
        _leave(tx, context, file)
        files.delete(tx, file_id)


def _leave(tx: sqlite3.Connection, context: Context, file: StoredFile) -> None:
    # What has been decrypted so far is removed from the disk, so a process that is still decrypting the file cannot
    # move the result to its place. If this transaction is rolled back, the file is decrypted again.
    file_folder.remove_part(file.target, file.local)
    file_chunks.take_places(tx, file.id, context.now())
    file_chunks.forget(tx, file.id)
    files.forget_keys(tx, file.id)
    erasure.empty_log(tx)


def abandon_received(tx: sqlite3.Connection, context: Context) -> None:
    """The profile was imported from a file. Give up the profile's unfinished downloads: their target paths were chosen
    before the export, perhaps on another computer."""
    for stage in (Stage.MOVING, Stage.OPENING):
        for file in files.in_stage(tx, stage):
            if not file.sending:
                fail(tx, context, file.id, Problem(Trouble.FILE_LOST, "the profile was moved", context.now()))


def begin_anew(tx: sqlite3.Connection) -> None:
    """A new process is online: it may try every transfer and deletion at once. Remove partly decrypted files that a
    killed process has left."""
    files.begin_anew(tx)
    file_deletions.begin_anew(tx)
    for file in files.with_parts(tx):
        file_folder.remove_part(file.target, file.local)
        files.forget_target(tx, file.id)


def sweep(database: Database) -> None:
    """Remove ciphertext that no file needs, and leftovers of a process that was killed while it encrypted."""
    profile = database.path.parent
    if not file_folder.candidates(profile, files.locals_in_use(database.connection)):
        return
    with database.transaction() as tx:
        file_folder.remove(file_folder.candidates(profile, files.locals_in_use(tx)))


def spent(database: Database) -> list[Path]:
    """Paths of ciphertext that no transfer needs any more, except what another process may be using. Changes
    nothing."""
    found = file_folder.candidates(database.path.parent, files.locals_in_use(database.connection))
    return [path for path in found if not file_folder.may_be_in_use(path)]


# -- uploads ----------------------------------------------------------------------------------------------------------


class Registration(Record):
    """The content of the FNEW that registers a chunk. Each try uses fresh keys: if the relay's answer to a try is
    lost, the registration that this try made has no key in common with the registration that we use."""

    file_id: int
    number: int
    size: int
    digest: bytes
    sender_key: Ed25519PrivateKey = field(repr=False)
    recipient_keys: tuple[Ed25519PrivateKey, ...] = field(repr=False)


class Answer(Record):
    """The answer of a relay to one `FNEW`."""

    registration: Registration
    server: FileServer
    sender_id: bytes
    recipient_ids: tuple[bytes, ...]


def prepare(tx: sqlite3.Connection, context: Context, file_id: int, number: int) -> Registration | None:
    """A registration with fresh keys, for a chunk that no relay knows yet; None if it need not be registered any
    more."""
    file, chunk = files.find(tx, file_id), file_chunks.chunk(tx, file_id, number)
    if file is None or chunk is None or file.stage is not Stage.MOVING or chunk.state != machine.Unplaced():
        return None
    make = Ed25519PrivateKey.generate
    return Registration(
        file_id,
        number,
        chunk.size,
        chunk.digest,
        make(context.entropy),
        tuple(make(context.entropy) for _ in range(file.slots)),
    )


def registered(tx: sqlite3.Connection, context: Context, answers: Sequence[Answer]) -> None:
    """Relays have registered chunks. If a chunk was given up meanwhile, its relay is asked to delete it."""
    for answer in answers:
        one, server = answer.registration, str(answer.server)
        if _apply(tx, context, one.file_id, one.number, Registered()) is None:
            file_deletions.owe_deletion(tx, server, answer.sender_id, one.sender_key.raw, context.now())
            continue
        file_chunks.place(tx, one.file_id, one.number, server, answer.sender_id, one.sender_key.raw)
        keyed = zip(answer.recipient_ids, one.recipient_keys, strict=True)
        file_chunks.save_replicas(
            tx,
            one.file_id,
            one.number,
            (Replica(slot, server, replica_id, key.raw) for slot, (replica_id, key) in enumerate(keyed)),
        )


# -- outcomes ---------------------------------------------------------------------------------------------------------


def moved(tx: sqlite3.Connection, context: Context, moved_chunks: Sequence[tuple[int, int]]) -> None:
    """Chunks have been uploaded or downloaded. For each of them, ``moved_chunks`` contains the number of the file and
    the number of the chunk in this file."""
    touched = dict.fromkeys(
        file_id for file_id, number in moved_chunks if _apply(tx, context, file_id, number, Moved()) is not None
    )
    for file_id in touched:
        files.clear_problem(tx, file_id)
        if not file_chunks.is_moved(tx, file_id):
            continue
        file = files.load(tx, file_id)
        if file.sending:
            _uploaded(tx, context, file)
        else:
            files.set_stage(tx, file_id, Stage.OPENING)


def not_moved(
    tx: sqlite3.Connection, context: Context, file_id: int, number: int, problem: Problem, not_before: float = 0
) -> None:
    """A chunk could not be registered, uploaded or downloaded.

    Args:
        not_before: POSIX seconds; the chunk is not tried again before this time, neither at this relay nor at another
            one.
    """
    left = max(1, len(file_chunks.replicas(tx, file_id, number)))
    state = _apply(tx, context, file_id, number, NotMoved(problem.kind, left), problem, not_before)
    if state is not None and not isinstance(state, Lost):
        file_chunks.set_chunk_problem(tx, file_id, number, problem)


def spoilt(tx: sqlite3.Connection, context: Context, file_id: int, numbers: Sequence[int], error: str) -> None:
    """Downloaded chunks were damaged on this disk. Each is downloaded once more; if it is damaged again, the transfer
    fails."""
    file = files.find(tx, file_id)
    if file is None or file.stage is not Stage.OPENING:
        return
    problem = Problem(Trouble.DAMAGED, error, context.now())
    for number in numbers:
        if isinstance(_apply(tx, context, file_id, number, Spoilt(), problem), Lost):
            return
    files.set_stage(tx, file_id, Stage.MOVING)


def opened(tx: sqlite3.Connection, context: Context, file_id: int, path: Path) -> bool:
    """The file was decrypted and moved to its place. Returns False if the transfer had ended before."""
    file = files.find(tx, file_id)
    if file is None or file.stage is not Stage.OPENING:
        return False
    files.set_stage(tx, file_id, Stage.DONE)
    files.clear_problem(tx, file_id)
    file_chunks.forget(tx, file_id)
    files.forget_keys(tx, file_id)
    erasure.empty_log(tx)
    context.application.file_received(tx, file_id, path)
    return True


def hold(tx: sqlite3.Connection, file_id: int, problem: Problem) -> None:
    """The whole file waits, because of a problem on this computer."""
    file = files.find(tx, file_id)
    if file is not None and file.stage in (Stage.MOVING, Stage.OPENING):
        files.set_problem(tx, file_id, problem)


def fail(tx: sqlite3.Connection, context: Context, file_id: int, problem: Problem) -> None:
    """Give up a file for good, and tell the application why."""
    file = files.find(tx, file_id)
    if file is None or file.stage not in (Stage.MOVING, Stage.OPENING):
        return
    _leave(tx, context, file)
    files.set_stage(tx, file_id, Stage.FAILED)
    files.set_problem(tx, file_id, problem)
    context.application.file_failed(tx, file_id, problem.kind)


def _uploaded(tx: sqlite3.Connection, context: Context, file: StoredFile) -> None:
    descriptions = tuple(file_descriptions.describe(tx, file))
    files.set_stage(tx, file.id, Stage.DONE)
    # From now on the file's keys are only in the recipients' descriptions. We keep only the keys with which the chunks
    # can be deleted.
    files.forget_keys(tx, file.id)
    erasure.empty_log(tx)
    context.application.file_uploaded(tx, file.id, descriptions)


def _apply(
    tx: sqlite3.Connection,
    context: Context,
    file_id: int,
    number: int,
    event: Event,
    problem: Problem | None = None,
    not_before: float = 0,
) -> machine.State | None:
    """Let a chunk's state machine process an event, and return the chunk's new state. None if the file's transfer has
    ended, or if the event does not fit the chunk's state any more."""
    file, chunk = files.find(tx, file_id), file_chunks.chunk(tx, file_id, number)
    if file is None or chunk is None or file.stage not in (Stage.MOVING, Stage.OPENING) or not _fits(chunk, event):
        return None
    state, effects = machine.step(chunk.state, event)
    for effect in effects:
        match effect:
            case ForgetPlace():
                file_chunks.take_place(tx, file_id, number, context.now())
            case DropReplica():
                file_chunks.drop_replica(tx, file_id, number, asked(tx, chunk).place)
    if isinstance(state, Lost):
        fail(tx, context, file_id, problem or Problem(state.trouble, "", context.now()))
    else:
        file_chunks.save_state(tx, file_id, number, state, not_before)
        if isinstance(event, Moved):
            file_chunks.clear_chunk_problem(tx, file_id, number)
    return state


def _fits(chunk: Chunk, event: Event) -> bool:
    """Whether the event fits the chunk's state. It does not fit if another process has done the same work meanwhile."""
    match event:
        case Registered():
            return isinstance(chunk.state, machine.Unplaced)
        case Moved():
            return isinstance(chunk.state, machine.Placed | machine.Wanted)
        case NotMoved():
            return isinstance(chunk.state, machine.Unplaced | machine.Placed | machine.Wanted)
    return isinstance(chunk.state, machine.Here)


def asked(tx: sqlite3.Connection, chunk: Chunk) -> Replica:
    """The place (a relay, and the chunk's id and key there) from which to download a wanted chunk."""
    places = file_chunks.replicas(tx, chunk.file_id, chunk.number)
    assert isinstance(chunk.state, machine.Wanted)
    return places[chunk.state.replica % len(places)]


# -- time limits ------------------------------------------------------------------------------------------------------


def is_any_old(tx: sqlite3.Connection, now: float) -> bool:
    """Whether `give_up_old` may have something to do. Changes nothing."""
    return files.is_any_old(
        tx,
        sent_before=now - machine.SENDING_PATIENCE,
        received_before=now - machine.RECEIVING_PATIENCE,
        owed_before=now - machine.DELETION_PATIENCE,
        keys_before=now - machine.SENDER_KEYS_KEPT,
    )


def give_up_old(tx: sqlite3.Connection, context: Context) -> None:
    """Give up transfers and deletions whose time is over. Nothing is given up soon after a leap of the clock: a
    transfer that has just begun may look two days old then."""
    now = context.now()
    if clock.is_held(tx, now):
        return
    for sending in (True, False):
        for file in files.begun_before(tx, now - machine.patience(sending=sending), sending=sending):
            waited = file.problem or files.worst_problem(tx, file.id)
            error = waited.error if waited else ""
            fail(tx, context, file.id, Problem(Trouble.TIME_UP, error, now))
    gone = file_deletions.give_up_deletions(tx, now - machine.DELETION_PATIENCE)
    if file_deletions.forget_sender_keys(tx, now - machine.SENDER_KEYS_KEPT) or gone:
        erasure.empty_log(tx)


def forgotten(tx: sqlite3.Connection, deletion_id: int) -> None:
    """A relay has deleted a chunk, or does not know it."""
    file_deletions.deleted(tx, deletion_id)
