"""The worker executes the commands of all connections in groups. Each group is one transaction of the database.

Commands that arrive during a commit form the next group, so all of them together wait for the disk only once. The
answers and pushes of a group are sent only after the group's commit. Groups of commands are short, and connections take
turns. So a client that keeps the relay busy delays other clients by only a few milliseconds.

If a group of commands cannot be committed, for example because the disk is full, the group is undone, and its commands
are answered with ERR INTERNAL. After that, each group contains commands of only one block, until a commit succeeds
again. So clients that only read are not affected when the commands of other clients cannot be stored.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from datetime import timedelta

from smpchat.encoding.record import Record
from smpchat.protocol.commands import Err
from smpchat.protocol.errors import ErrorCode
from smpchat.relay.commands import QueueService
from smpchat.relay.connection import Connection, Received
from smpchat.relay.connections import Connections
from smpchat.relay.counters import Counters
from smpchat.relay.errors import RelayStoreError
from smpchat.relay.limits import CERTIFICATE_WARNING, Limits, runs_out
from smpchat.relay.outgoing import Outgoing, error
from smpchat.relay.recovery import take_back
from smpchat.relay.store import SQLiteStore
from smpchat.relay.subscriptions import Client
from smpchat.relay.turns import Turns

GROUP_COMMANDS = 64
"""Maximum number of commands in a group. A group of commands is stored with one commit."""
GROUP_SECONDS = 0.001
"""A group takes no more commands after this number of seconds, because the event loop does nothing else while a group
is executed. With shorter groups, the relay would need more CPU time, because each group needs a commit."""
TURN_COMMANDS = 16
"""Maximum number of commands of a connection that are executed before another connection has its turn. Usually a turn
is one block with one command."""

GIVE_BACK_PAGES = 64
"""Number of free database pages that are returned to the file system in one step. Together, these pages take 1 MB.
Returning them takes a few milliseconds."""
KEPT_PAGES = 256
"""Number of free database pages (4 MB) that are kept for new messages."""
_GIVE_BACK_PAUSE = 0.05
"""Seconds between two steps that return free pages to the file system."""

_log = logging.getLogger("smpchat.relay")


class _Arrived(Record):
    connection: Connection
    received: list[Received]
    ends_block: bool


class _Room(Record):
    connection: Connection


class _Ended(Record):
    connection: Connection


class _Expire(Record):
    after: int = 0


class _GiveBack(Record):
    pass


class _Notify(Record):
    pass


_ClientWork = _Arrived | _Room | _Ended
_Upkeep = _Expire | _GiveBack | _Notify
_Work = _ClientWork | _Upkeep


class Worker:
    """Executes the commands of all connections, group by group, and maintains the store between these groups.

    Args:
        clock: Returns the Unix time in seconds.
        committer: Executor that runs the commits of the store, one at a time.
        certificate_left: Returns how long the certificate is still valid, so that the operator can be warned.
    """

    def __init__(
        self,
        store: SQLiteStore,
        service: QueueService,
        connections: Connections,
        counters: Counters,
        limits: Limits,
        *,
        clock: Callable[[], float],
        committer: Executor,
        certificate_left: Callable[[], timedelta],
    ) -> None:
        self._store = store
        self._service = service
        self._connections = connections
        self._counters = counters
        self._limits = limits
        self._clock = clock
        self._committer = committer
        self._certificate_left = certificate_left
        self._work: Turns[Connection, _ClientWork] = Turns()
        self._upkeep: deque[_Upkeep] = deque()
        self._arrival = asyncio.Event()
        self._keeps_up = False  # whether the last group was maintenance
        self._quick = False  # whether the last group of commands was one for newcomers only, see `Turns`
        self._stopping = False
        self._failing = False  # whether the last attempt to store something failed
        self._timer: asyncio.TimerHandle | None = None
        self._notifying: asyncio.TimerHandle | None = None
        self._giving_back: asyncio.TimerHandle | None = None
        self._full = False  # whether the log says that the relay is full
        self._has_more_room = False  # whether there are more free pages to return after this group

    def stop(self) -> None:
        """Make `run` return when all work that has arrived before this call is done. Commands that arrive after this
        call are not answered."""
        self._stopping = True
        self._arrival.set()

    def cancel_timers(self) -> None:
        """Cancel the timers that start maintenance of the store and pushes of notifications."""
        for timer in (self._timer, self._notifying, self._giving_back):
            if timer is not None:
                timer.cancel()

    def arrived(self, connection: Connection, received: list[Received]) -> None:
        """Adds the commands of a block that has arrived. These commands will be executed in order."""
        if self._stopping:
            return  # too late: this block is not answered
        for at in range(0, len(received) or 1, TURN_COMMANDS):
            part = received[at : at + TURN_COMMANDS]
            self._put(_Arrived(connection, part, at + len(part) == len(received)))

    def has_room(self, connection: Connection) -> None:
        """Tells the worker that a connection has room for pushes that were held back."""
        self._put(_Room(connection))

    def ended(self, connection: Connection) -> None:
        """Tells the worker that a connection has ended. The worker handles this after the connection's commands:
        otherwise one of these commands could subscribe the ended connection again."""
        self._put(_Ended(connection))

    def expire(self) -> None:
        """Remove old messages, now and at regular intervals."""
        self._put(_Expire())
        self._timer = asyncio.get_running_loop().call_later(self._limits.expire_every, self.expire)

    def _put(self, work: _Work) -> None:
        if not isinstance(work, _Upkeep):
            self._work.put(work.connection, work)
        elif not self._stopping:
            self._upkeep.append(work)
        self._arrival.set()

    def _notify_later(self) -> None:
        if self._notifying is None and self._service.notifications_due:
            loop = asyncio.get_running_loop()
            self._notifying = loop.call_later(self._limits.notify_every, self._put, _Notify())

    async def run(self) -> None:
        """Executes work until `stop` is called. Raises `RelayStoreError` if a failed group of commands cannot be
        undone."""
        while True:
            await self._arrival.wait()
            self._arrival.clear()
            while self._work or self._upkeep:
                await self._run_group()
                await asyncio.sleep(0)  # let other tasks run: without a commit, `_run_group` did not
            self._quick = self._keeps_up = False
            if self._stopping:
                return

    async def _run_group(self) -> None:
        group: list[_Work] = []
        outgoing: list[Outgoing] = []
        try:
            self._perform_some(group, outgoing)
            if self._store.changed:
                # Commit in a thread, because a commit waits for the disk. Commands that arrive during the commit form
                # the next group. Answers must wait for the commit: otherwise a power cut could undo a command that was
                # already answered.
                await asyncio.get_running_loop().run_in_executor(self._committer, self._store.commit)
                self._succeeded()
                self._counters.committed(sum(len(work.received) for work in group if isinstance(work, _Arrived)))
        except RelayStoreError as failure:
            outgoing = self._undo(group, outgoing, failure)
        self._connections.send(outgoing)
        self._notify_later()
        for work in group:
            if isinstance(work, _Arrived):
                work.connection.answered(len(work.received), block=work.ends_block)

    def _perform_some(self, group: list[_Work], outgoing: list[Outgoing]) -> None:
        """Executes one group of work, and adds the executed pieces of work to ``group``.

        Maintenance of the store is done in small steps between groups of commands, so that answers are never delayed
        much. If some connections are newcomers (see `Turns`), every second group contains only commands of newcomers.
        So neither a client with a single command nor a client with many commands waits long.

        Raises:
            RelayStoreError: The store failed, so some work of the group may not be done.
        """
        self._look_for_room()
        self._keeps_up = bool(self._upkeep) and not (self._keeps_up and self._work)
        if self._keeps_up:
            # Each step of maintenance is a group of its own: if the step fails, no client is affected.
            group.append(self._upkeep.popleft())
            self._perform(group[0], outgoing)
            return
        self._quick = self._work.newcomers > 0 and not self._quick
        commands, end = 0, time.perf_counter() + GROUP_SECONDS
        while self._work and commands < GROUP_COMMANDS and time.perf_counter() < end:
            if self._quick and not self._work.newcomers:
                break
            work = self._work.take(newcomers_first=self._quick)
            group.append(work)
            self._perform(work, outgoing)
            if isinstance(work, _Arrived):
                # While commits fail, a group contains commands of only one block: otherwise clients that only read
                # would get the errors of clients that write.
                commands += GROUP_COMMANDS if self._failing else len(work.received)

    def _perform(self, work: _Work, outgoing: list[Outgoing]) -> None:
        match work:
            case _Arrived(connection, received):
                for one in received:
                    outgoing += self._execute(connection, one)
            case _Room(connection):
                outgoing += self._service.resume(connection.client)
            case _Ended(connection):
                self._service.disconnect(connection.client)
            case _Expire(after):
                now = int(self._clock())
                if not after:
                    self._warn_of_certificate()
                    if self._is_held(now):
                        self._put(_GiveBack())
                        return
                    self._store.expire_notifications(now - self._limits.keep_notifications)
                removed, next_after = self._store.expire(now - self._limits.keep, now=now, after=after)
                if removed:
                    _log.info("%d old messages were removed", removed)
                self._put(_GiveBack() if next_after is None else _Expire(next_after))
            case _GiveBack():
                self._has_more_room = self._store.give_back(GIVE_BACK_PAGES, keep=KEPT_PAGES)
            case _Notify():
                self._notifying = None
                outgoing += self._service.notify()

    def _is_held(self, now: int) -> bool:
        """Whether old messages must stay for now, because the clock jumped or the relay was off for a long time."""
        believed, hold = self._store.see_clock(now, self._limits.keep)
        if not believed:
            _log.warning(
                "the clock jumped, or the relay was off for a long time: no old messages are removed for %d more days",
                hold // 86_400,
            )
        return hold > 0

    def _look_for_room(self) -> None:
        if self._full and not self._store.changed:
            self._store.look_for_room()
        if self._full == self._store.has_room:
            self._full = not self._full
            if self._full:
                _log.error("no new messages or queues are accepted: --max-stored or --min-free is reached")
            else:
                _log.info("new messages and queues are accepted again")

    def _warn_of_certificate(self) -> None:
        left = self._certificate_left()
        if left < CERTIFICATE_WARNING:
            _log.warning("the certificate %s; smpchat relay rotate-certificate makes a new one", runs_out(left))

    def _execute(self, connection: Connection, received: Received) -> list[Outgoing]:
        client = connection.client
        if isinstance(received, ErrorCode):
            return [Outgoing(client, b"", b"", Err(received))]
        # If a client sends too many NEW commands, refuse them before their signatures are checked: verifying a
        # signature costs more than refusing the command.
        if received.body.startswith(b"NEW") and not connection.may_create():
            return [error(client, received, ErrorCode.QUOTA)]
        try:
            return self._service.execute(client, received)
        except RelayStoreError:
            raise
        except Exception:  # a bug in one command must not end the connections of other clients
            _log.exception("a command failed")
            return [error(client, received, ErrorCode.INTERNAL)]

    # --- failures of the store -----------------------------------------------------------------------------------

    def _succeeded(self) -> None:
        if self._failing:
            self._failing = False
            _log.info("the relay's database works again")
        if self._has_more_room:
            self._has_more_room = False
            self._giving_back = asyncio.get_running_loop().call_later(_GIVE_BACK_PAUSE, self._put, _GiveBack())

    def _undo(self, group: list[_Work], outgoing: list[Outgoing], failure: RelayStoreError) -> list[Outgoing]:
        """Rolls back a group of commands. Returns the transmissions to send instead of the group's answers.

        Raises:
            RelayStoreError: The store cannot be rolled back, so the relay cannot continue.
        """
        self._counters.commits_failed += 1
        if not self._failing:
            self._failing = True
            _log.error("%s No message that the relay has accepted is lost; the relay keeps trying.", failure)
        self._store.rollback()
        commands: list[tuple[Client, Received]] = []
        resumed: list[Client] = []
        for work in group:
            match work:
                case _Arrived(connection, received):
                    commands += [(connection.client, one) for one in received]
                case _Room(connection):
                    resumed.append(connection.client)
                case _GiveBack():
                    self._has_more_room = False  # returning pages needs disk space too; try again later
                case _Expire():
                    _log.warning("old messages were not removed; trying again later")
        # The store's rollback does not undo changes of subscriptions, because subscriptions are only in memory.
        undone = take_back(self._service, self._store, commands, resumed, outgoing)
        for work in group:
            if isinstance(work, _Ended):
                self._service.disconnect(work.connection.client)
        for client in undone.waiting:
            if (waiting := self._connections.get(client)) is not None:
                asyncio.get_running_loop().call_later(self._limits.notify_every, self.has_room, waiting)
        for client in undone.afresh:
            if (ending := self._connections.get(client)) is not None:
                ending.finish()
        return undone.outgoing
