"""Transfers files while a process is online. The store says which chunks must be registered, uploaded, downloaded or
deleted, and at which relays.

For each relay, a task of this process, called a worker, makes one request at a time. If there are many chunks at one
relay, a second worker helps. All workers run at the same time. Each of them goes from file to file, so that no file
waits until another file is complete. A chunk that is not registered yet is registered by the first worker that is free.
So a dead or slow relay delays only the chunks that are registered there. Progress is committed a few times a second.
After a crash some chunks are transferred again, which does no harm. Messages have their own tasks and sessions, so they
never wait for files.
"""

from __future__ import annotations

import asyncio
import errno
import itertools
import logging
import sqlite3
from pathlib import Path

from smpchat.agent.context import Context
from smpchat.agent.errors import StoreError
from smpchat.agent.machines import file_transfer as machine
from smpchat.agent.online.file_bytes import Offload, to_thread
from smpchat.agent.online.file_chunks import ChunkKey, FileChunks, LocalFault, NotWanted, RegistrationFailed
from smpchat.agent.online.file_opening import NEXT_TRY_AFTER, FileOpening
from smpchat.agent.online.file_progress import FileProgress
from smpchat.agent.online.file_relays import (
    CONNECT_TIMEOUT,
    NEXT_RELAY_AFTER,
    FileNetwork,
    FileRelays,
    Lane,
    failure_of,
)
from smpchat.agent.online.tasks import Tasks, is_of_store
from smpchat.agent.store import file_chunks, file_deletions, file_traces, files
from smpchat.agent.store.database import Database
from smpchat.agent.store.file_chunks import Chunk
from smpchat.agent.store.files import Problem, StoredFile
from smpchat.agent.transactions import files as transactions
from smpchat.client.diagnosis import trouble_of
from smpchat.client.trouble import Trouble
from smpchat.encoding.reader import DecodeError
from smpchat.encoding.record import Record
from smpchat.protocol.address import FileServer, FileServerAddress, parse_file_server
from smpchat.protocol.errors import ProtocolError
from smpchat.protocol.xftp.errors import XFTPError
from smpchat.transport.base import TransportError

log = logging.getLogger("smpchat.agent")

LOOK_AGAIN = 300.0
"""The longest time in seconds between two checks of the store while there are files. If someone sets the computer's
clock, work may be due earlier than expected: the next check notices this."""
BATCH = 8
"""How many chunks are registered in one commit."""
MAX_WORKERS = 16
"""How many workers may run at the same time; each transfers chunks at one relay. Without a limit, a file whose
description names a different relay for each chunk would start as many workers as it has chunks."""
MAX_DIALS = 8
"""How many workers may be trying to reach their relays at the same time. The other workers stay free for other files,
even if the description of one file names only dead relays."""
MANY = 4
"""A relay gets a second session if at least this many chunks must be transferred there."""
CHOSEN_FOR = 10.0
"""Seconds for which smpchat remembers which relays were chosen for a file."""
_REFUSED_KEPT = 4_096
_PASSING = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.EINTR})
"""Errors of the operating system that may pass, and say nothing about the file."""


class _Job(Record):
    file: StoredFile
    chunk: Chunk


class FileTransfers:
    """Transfers all files of a profile.

    Args:
        offload: Runs blocking work in a thread.
    """

    def __init__(
        self,
        database: Database,
        context: Context,
        tasks: Tasks,
        network: FileNetwork,
        offload: Offload = to_thread,
    ) -> None:
        self._database = database
        self._context = context
        self._tasks = tasks
        self._network = network
        self._relays = FileRelays(network.connect, context.entropy, self.look)
        self._progress = FileProgress(database, context, tasks, self._fault)
        self._chunks = FileChunks(database, context, offload, self._progress.moving)
        self._opening = FileOpening(database, context, offload, tasks, self._fault, self.look)
        self._changed = asyncio.Event()
        self._registrable: dict[FileServer, FileServerAddress] = {}
        self._chosen = 0, 0.0
        self._no_relay_until = 0.0
        self._no_relay_attempts = 0
        self._turn = itertools.count(1)
        self._turns: dict[int, int] = {}
        self._refused: dict[ChunkKey, int] = {}
        self._stuck: set[Path] = set()
        self._chooses = False
        self._workers = 0

    @property
    def _tx(self) -> sqlite3.Connection:
        return self._database.connection

    def look(self) -> None:
        """Check for work: something was committed, or a relay may be tried again."""
        self._changed.set()

    async def run(self) -> None:
        """Do all work on files, until this task is cancelled."""
        if file_traces.are_there_any(self._tx):
            with self._database.transaction() as tx:
                transactions.begin_anew(tx)
        transactions.sweep(self._database)  # also removes what a killed process left
        while True:
            self._changed.clear()
            self._start_all()
            try:
                async with asyncio.timeout(self._patience()):
                    await self._changed.wait()
            except TimeoutError:
                pass

    async def close(self) -> None:
        """End sessions and timers, and commit the progress if possible."""
        self._opening.stop()
        try:
            self._progress.commit()
            self._remove_spent()
        except (StoreError, sqlite3.Error) as error:  # this error must not replace the one with which the process ends
            log.info("the last progress of file transfers was not stored: %s", type(error).__name__)
        self._progress.cancel()
        await self._relays.close()

    def _patience(self) -> float | None:
        if not file_traces.are_there_any(self._tx):
            return None
        now = self._context.now()
        due = [LOOK_AGAIN]
        deadline = file_chunks.next_deadline(self._tx, now)
        if deadline is not None:
            due.append(deadline - now)
        if self._no_relay_until > now:
            due.append(self._no_relay_until - now)
        return max(0.01, min(due))

    # -- who works on what --------------------------------------------------------------------------------------------

    def _start_all(self) -> None:
        now = self._context.now()
        if transactions.is_any_old(self._tx, now):
            with self._database.transaction() as tx:
                transactions.give_up_old(tx, self._context)
        self._remove_spent()
        self._opening.start(now)
        found = [server for text in file_chunks.servers(self._tx, now) if (server := _server(text)) is not None]
        self._relays.forget_but({*found, *self._registrable})
        for server in sorted(found, key=self._relays.attempts):
            self._start_worker(server, now)
        if not self._chooses and self._next(None, 1, now) is not None and now >= self._no_relay_until:
            self._chooses = True
            self._tasks.spawn(self._start_registering(now))

    def _remove_spent(self) -> None:
        """Remove the ciphertext of files whose transfer has ended. If a file's ciphertext cannot be removed, the next
        calls of this method do not try it again."""
        spent = set(transactions.spent(self._database)) - self._stuck
        if spent:
            self._stuck |= spent
            transactions.sweep(self._database)

    def _start_worker(self, server: FileServer, now: float) -> None:
        if self._workers >= MAX_WORKERS or not self._relays.is_free(server):
            return
        if not self._relays.is_reached(server) and self._relays.dials() >= MAX_DIALS:
            return
        if self._has_work(server, now):
            self._begin_work(server)

    def _begin_work(self, server: FileServer) -> None:
        if self._workers < MAX_WORKERS and self._tasks.running:
            self._workers += 1
            self._tasks.spawn(self._work(server, self._relays.begin(server)))

    def _widen(self, server: FileServer) -> None:
        """Start a second worker for a relay, if there is enough work for both of its workers."""
        # If half of the `MAX_WORKERS` workers are running, no relay gets a second worker: the other half is kept for
        # relays that have no worker yet.
        if self._workers < MAX_WORKERS // 2 and self._relays.has_second(server) and self._has_much(server):
            self._workers += 1
            self._tasks.spawn(self._work(server, self._relays.begin(server, second=True)))

    def _has_much(self, server: FileServer) -> bool:
        now, enough = self._context.now(), MANY + len(self._progress.claimed)
        found = file_chunks.files_at(self._tx, str(server), now)
        return (
            sum(len(file_chunks.numbers_at(self._tx, str(server), number, now, enough)) for number in found) >= enough
        )

    def _has_work(self, server: FileServer, now: float) -> bool:
        return (
            file_deletions.next_deletion(self._tx, str(server), now) is not None
            or self._next(str(server), 1, now) is not None
        )

    async def _start_registering(self, now: float) -> None:
        """Start workers at relays that can register the chunks that are not registered yet. This coroutine runs as a
        task of its own: it may have to start the embedded relay, which takes a while."""
        try:
            waiting = self._next(None, MAX_WORKERS, now)
            if waiting is not None and await self._choose(waiting):
                # Relays that have failed come last, even after their pause, so that a file of one chunk does not wait
                # for them.
                free = sorted(filter(self._relays.is_free, self._registrable), key=self._relays.attempts)
                for server in free[: len(waiting[1])]:  # at most one relay for each chunk
                    self._begin_work(server)
        finally:
            self._chooses = False

    async def _choose(self, waiting: tuple[int, list[int]]) -> bool:
        """Choose the relays for a file's chunks; returns False if there is no relay."""
        moment = asyncio.get_running_loop().time()
        # The order of the relays is random, so that different files begin at different relays. For one file, the order
        # is kept for a while, so that it does not change with every commit.
        if self._chosen[0] == waiting[0] and moment <= self._chosen[1] + CHOSEN_FOR:
            return True
        try:
            addresses = await self._network.choose(self._relays.in_trouble())
            if not addresses:
                raise TransportError("no file relay is set up")
        except (TransportError, ProtocolError) as error:
            self._no_relay(waiting, error)
            return False
        self._no_relay_attempts = 0
        self._chosen = waiting[0], moment
        self._registrable = {address.server: address for address in addresses}
        return True

    def _no_relay(self, waiting: tuple[int, list[int]], error: Exception) -> None:
        self._no_relay_attempts += 1
        now = self._context.now()
        self._no_relay_until = now + machine.RESTS.after(self._no_relay_attempts)
        file_id, numbers = waiting
        problem = Problem(trouble_of(error), str(error), now, self._no_relay_until)
        with self._database.transaction() as tx:
            transactions.not_moved(tx, self._context, file_id, numbers[0], problem)

    def _next(self, server: str | None, count: int, now: float) -> tuple[int, list[int]] | None:
        """The file whose turn is next, and the numbers of at most ``count`` of its chunks: if ``server`` is given,
        chunks to be transferred at this relay; if ``server`` is None, chunks that are not registered at any relay
        yet."""
        found = file_chunks.files_at(self._tx, server, now)
        for file_id in sorted(found, key=lambda number: self._turns.get(number, 0)):
            taken = {number for claimed, number in self._progress.claimed if claimed == file_id}
            numbers = file_chunks.numbers_at(self._tx, server, file_id, now, count + len(taken))
            free = [number for number in numbers if number not in taken][:count]
            if free:
                return file_id, free
        return None

    # -- one relay ----------------------------------------------------------------------------------------------------

    async def _work(self, server: FileServer, lane: Lane) -> None:
        try:
            while self._tasks.running and await self._do_next(server, lane):
                self._relays.did_well(server)
                if lane.first:
                    self._widen(server)
        except Exception as error:
            if is_of_store(error):
                raise
            # An error with one file or relay must not stop the others.
            log.error("work with a file relay stopped", exc_info=error)
            self._relays.rest(server)
        finally:
            self._workers -= 1
            self._relays.end(lane)
            if self._tasks.running:
                self._progress.commit()
                self.look()

    async def _do_next(self, server: FileServer, lane: Lane) -> bool:
        """Make the next request; False if there is none, or if the relay must not be used for a while."""
        now = self._context.now()
        deletion = file_deletions.next_deletion(self._tx, str(server), now) if lane.first else None
        if deletion is not None:
            return await self._delete(server, lane, deletion)
        found = self._next(str(server), 1, now)
        if found is not None:
            return await self._move(server, lane, *found)
        if not lane.first:
            return False
        address = self._registrable.get(server)
        found = self._next(None, BATCH, now) if address is not None else None
        if address is None or found is None:
            return False
        file_id, numbers = found
        # Register only a share of the chunks here, so that relays whose workers begin a moment later get some, too.
        left = len(file_chunks.numbers_at(self._tx, None, file_id, now, 2 * BATCH * MAX_WORKERS))
        others = sum(other not in self._in_trouble() for other in self._registrable)
        return await self._register(server, lane, address, file_id, numbers[: max(1, left // (2 * max(1, others)))])

    def _connect_timeout(self, server: FileServer) -> float:
        """Seconds to wait for a session with a relay to which chunks are uploaded."""
        others = any(self._relays.is_free(other) for other in self._registrable if other != server)
        return NEXT_RELAY_AFTER if others else CONNECT_TIMEOUT

    def _in_trouble(self) -> set[FileServer]:
        texts = self._relays.in_trouble()
        return {server for server in self._registrable if str(server) in texts}

    async def _delete(self, server: FileServer, lane: Lane, deletion: file_deletions.Deletion) -> bool:
        try:
            session = await self._relays.session(server, lane, CONNECT_TIMEOUT)
            await self._chunks.delete(session, deletion)
        except (TransportError, ProtocolError) as error:
            if not isinstance(error, XFTPError):
                await self._failed(server, lane, error)
                return False
            # After GONE or BLOCKED, the deletion is done: the chunk has expired, was deleted by a request whose answer
            # was lost, or was blocked by the relay's operator. If the relay gives another reason, this deletion is
            # tried again later, and the other requests to the relay do not wait for it.
            if failure_of(server, error).kind not in (Trouble.GONE, Trouble.BLOCKED):
                with self._database.transaction() as tx:
                    file_deletions.postpone(tx, deletion.id, self._context.now() + machine.RESTS.longest)
                return True
        except Exception as error:
            if is_of_store(error):
                raise
            log.error("a chunk cannot be deleted", exc_info=error)  # not tried again: others must not wait for it
        with self._database.transaction() as tx:
            transactions.forgotten(tx, deletion.id)
        return True

    async def _register(
        self, server: FileServer, lane: Lane, address: FileServerAddress, file_id: int, numbers: list[int]
    ) -> bool:
        keys = {(file_id, number) for number in numbers}
        self._progress.claimed |= keys
        failed: tuple[int, Exception] | None = None
        try:
            try:
                session = await self._relays.session(server, lane, self._connect_timeout(server))
                await self._chunks.register(session, address, file_id, numbers)
            except RegistrationFailed as error:
                if not isinstance(error.__cause__, TransportError | ProtocolError):
                    self._fault(file_id, error.__cause__ or error)
                    return True
                failed = error.number, error.__cause__
            except (TransportError, ProtocolError) as error:
                failed = numbers[0], error
        finally:
            self._progress.claimed -= keys
        self._turns[file_id] = next(self._turn)
        if failed is None:
            return True
        number, cause = failed
        await self._failed(server, lane, cause, file_id, number, registering=True)
        return False

    async def _move(self, server: FileServer, lane: Lane, file_id: int, numbers: list[int]) -> bool:
        file, chunk = files.find(self._tx, file_id), file_chunks.chunk(self._tx, file_id, numbers[0])
        if file is None or chunk is None:
            return True
        key = (file_id, chunk.number)
        self._progress.claimed.add(key)
        moved = False
        try:
            patience = self._connect_timeout(server) if file.sending else CONNECT_TIMEOUT
            session = await self._relays.session(server, lane, patience)
            self._turns[file_id] = next(self._turn)
            await self._chunks.move(session, file, chunk)
            moved = True
            self._refused.pop(key, None)
            self._progress.moved(key, last=self._next(str(server), 1, self._context.now()) is None)
            return True
        except NotWanted:
            await self._relays.drop(lane)
            return True
        except LocalFault as fault:
            await self._relays.drop(lane)
            self._local_fault(file, chunk, fault)
            return True
        except (TransportError, ProtocolError) as error:
            return await self._move_failed(server, lane, _Job(file, chunk), error)
        except Exception as error:
            if is_of_store(error):
                raise
            await self._relays.drop(lane)
            self._fault(file_id, error)
            return True
        finally:
            if not moved:
                self._progress.stopped(key)

    async def _move_failed(self, server: FileServer, lane: Lane, job: _Job, error: Exception) -> bool:
        failure = failure_of(server, error)
        kind = failure.kind
        if job.file.sending:
            # A body that the relay did not read uses up the connection's flow-control window, so the session is ended
            # (xftp-wire trap 12).
            await self._relays.drop(lane)
            if kind is Trouble.DAMAGED and not await self._chunks.is_intact(job.file, job.chunk):
                kind = Trouble.FILE_LOST
        # If a relay refuses to give us a chunk, this says nothing about the other chunks at the relay, so they
        # continue.
        answered = isinstance(error, XFTPError) and not job.file.sending
        if not answered and kind not in machine.OF_THE_FILE:
            await self._failed(server, lane, error, job.file.id, job.chunk.number)
            return False
        key, now = (job.file.id, job.chunk.number), self._context.now()
        if len(self._refused) >= _REFUSED_KEPT:  # some entries are of files that failed long ago: count anew
            self._refused.clear()
        attempts = self._refused[key] = self._refused.get(key, 0) + 1
        next_try_at = None if kind in machine.DECIDED else now + machine.RESTS.after(attempts)
        problem = Problem(kind, failure.error, now, next_try_at)
        with self._database.transaction() as tx:
            transactions.not_moved(tx, self._context, *key, problem, next_try_at or 0)
        return True

    async def _failed(
        self,
        server: FileServer,
        lane: Lane,
        error: Exception,
        file_id: int | None = None,
        number: int = 0,
        *,
        registering: bool = False,
    ) -> None:
        """The relay cannot be used now: make no requests to the relay for a while, and store the reason with the chunk.
        If only a second session with the relay has failed, do without a second session from now on."""
        log.info("a file relay cannot be used now: %s", error)
        await self._relays.drop(lane)
        if not lane.first:  # the first lane continues, or finds out by itself that the relay cannot be used
            self._relays.keep_to_one(server)
            return
        now = self._context.now()
        problem_at = now + self._relays.rest(server)
        if file_id is None:
            return
        failure = failure_of(server, error, registering=registering)
        problem = Problem(failure.kind, failure.error, now, problem_at)
        with self._database.transaction() as tx:
            transactions.not_moved(tx, self._context, file_id, number, problem)

    def _local_fault(self, file: StoredFile, chunk: Chunk, fault: LocalFault) -> None:
        now = self._context.now()
        reason = getattr(fault.error, "strerror", None) or str(fault.error)
        with self._database.transaction() as tx:
            if file.sending and getattr(fault.error, "errno", None) not in _PASSING:
                problem = Problem(Trouble.FILE_LOST, reason, now)
                transactions.not_moved(tx, self._context, file.id, chunk.number, problem)
            else:
                wait = NEXT_TRY_AFTER
                transactions.hold(tx, file.id, Problem(Trouble.CANNOT_WRITE, reason, now, now + wait))

    def _fault(self, file_id: int, error: BaseException) -> None:
        """An unexpected error in the work on a file: this file waits, and the others continue."""
        log.error("file %d waits after an unexpected error", file_id, exc_info=error)
        now = self._context.now()
        problem = Problem(Trouble.FAULTY, type(error).__name__, now, now + NEXT_TRY_AFTER)
        with self._database.transaction() as tx:
            transactions.hold(tx, file_id, problem)


def _server(text: str) -> FileServer | None:
    try:
        return parse_file_server(text).server
    except DecodeError:  # an imported profile may come from somebody else, and contain any text
        return None
