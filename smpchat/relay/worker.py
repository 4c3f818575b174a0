"""One worker runs what has arrived on all connections as one transaction.

Commands that arrive while a group is being committed make up the next group, so one wait for the disk serves all of
them. Nothing is answered or pushed before the commit on which it depends has returned. Groups are short and connections
take turns in them, so that a client who keeps the relay busy delays the others only by a few milliseconds.

A group that cannot be committed, for example because the disk is full, is undone, and each of its commands is answered
with ERR INTERNAL. After that each block is a group of its own until something can be stored again, so that clients who
only read are not affected by the failures of those who write.
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
"""A group is closed after so many commands."""
GROUP_SECONDS = 0.001
"""A group is closed after so many seconds, since nothing else is done meanwhile. Shorter groups would cost CPU time,
because each needs a commit."""
TURN_COMMANDS = 16
"""Commands of one connection that are done in its turn; mostly this is one block with one command."""

GIVE_BACK_PAGES = 64
"""Free pages of the database that are returned in one step: 1 MB, which takes some milliseconds."""
KEPT_PAGES = 256
"""Free pages that are kept for new messages: 4 MB."""
_GIVE_BACK_PAUSE = 0.05
"""Seconds between two steps."""

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
    """Does the work of all connections, group by group, and the maintenance of the store between the groups.

    Args:
        clock: Unix time in seconds.
        committer: Runs commits, one at a time.
        certificate_left: Returns how long the certificate is still valid; the operator must be told in time.
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
        self._keeps_up = False  # whether the last group was upkeep
        self._quick = False  # whether the last group of commands was of newcomers
        self._stopping = False
        self._failing = False  # whether the last attempt to store something failed
        self._timer: asyncio.TimerHandle | None = None
        self._notifying: asyncio.TimerHandle | None = None
        self._giving_back: asyncio.TimerHandle | None = None
        self._full = False  # whether it is known that nothing more is taken
        self._has_more_room = False  # whether the database has pages to return after those of this group

    def stop(self) -> None:
        """`run` returns when everything that has arrived is done; what arrives later is not answered."""
        self._stopping = True
        self._arrival.set()

    def cancel_timers(self) -> None:
        """No more maintenance is done."""
        for timer in (self._timer, self._notifying, self._giving_back):
            if timer is not None:
                timer.cancel()

    def arrived(self, connection: Connection, received: list[Received]) -> None:
        """The commands of one block, which are done in the order in which they came."""
        if self._stopping:
            return  # it came too late, and is not answered
        for at in range(0, len(received) or 1, TURN_COMMANDS):
            part = received[at : at + TURN_COMMANDS]
            self._put(_Arrived(connection, part, at + len(part) == len(received)))

    def has_room(self, connection: Connection) -> None:
        """Pushes that were held back can be sent now."""
        self._put(_Room(connection))

    def ended(self, connection: Connection) -> None:
        """The connection has ended. This is handled after its commands, so that none of them subscribes it again."""
        self._put(_Ended(connection))

    def expire(self) -> None:
        """Look for old messages, now and at regular intervals."""
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
        """Work until stopped. Raises `RelayStoreError` if the store cannot even be rolled back."""
        while True:
            await self._arrival.wait()
            self._arrival.clear()
            while self._work or self._upkeep:
                await self._run_group()
                await asyncio.sleep(0)  # a group without a commit waits for nothing, and others have work too
            self._quick = self._keeps_up = False
            if self._stopping:
                return

    async def _run_group(self) -> None:
        group: list[_Work] = []
        outgoing: list[Outgoing] = []
        try:
            self._perform_some(group, outgoing)
            if self._store.changed:
                # On a thread, as the disk takes its time: what arrives meanwhile becomes the next group. Nothing of
                # this group may be sent before it returns, or a power cut would take back what a client was told.
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
        """Does the work of one group, and lists it in ``group``.

        Maintenance is done between groups of commands, piece by piece, so that it never prevents an answer. If there
        are newcomers, every second group of commands is only for them. So a single command does not wait long, and
        clients with many commands do not either.

        Raises:
            RelayStoreError: See `SQLiteStore`; the group is not complete.
        """
        self._look_for_room()
        self._keeps_up = bool(self._upkeep) and not (self._keeps_up and self._work)
        if self._keeps_up:
            # Alone: what it may cost, or break, is then not a client's.
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
                # While nothing can be stored each block is a group: those who read would
                # else share the failure of those who write.
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
        """Whether nothing counts as old, because the clock leapt."""
        believed, hold = self._store.see_clock(now, self._limits.keep)
        if not believed:
            _log.warning(
                "the clock jumped, or the relay was off for long: no old messages are removed for %d more days",
                hold // 86_400,
            )
        return hold > 0

    def _look_for_room(self) -> None:
        if self._full and not self._store.changed:
            self._store.look_for_room()
        if self._full == self._store.has_room:
            self._full = not self._full
            if self._full:
                _log.error("no more messages and queues are taken: --max-stored or --min-free is reached")
            else:
                _log.info("messages and queues are taken again")

    def _warn_of_certificate(self) -> None:
        left = self._certificate_left()
        if left < CERTIFICATE_WARNING:
            _log.warning("the certificate %s: smpchat relay rotate-certificate", runs_out(left))

    def _execute(self, connection: Connection, received: Received) -> list[Outgoing]:
        client = connection.client
        if isinstance(received, ErrorCode):
            return [Outgoing(client, b"", b"", Err(received))]
        # Before it is verified, which costs more than refusing it.
        if received.body.startswith(b"NEW") and not connection.may_create():
            return [error(client, received, ErrorCode.QUOTA)]
        try:
            return self._service.execute(client, received)
        except RelayStoreError:
            raise
        except Exception:  # a fault of ours that one client found must not end the others' connections
            _log.exception("a command failed")
            return [error(client, received, ErrorCode.INTERNAL)]

    # --- failures of the store -----------------------------------------------------------------------------------

    def _succeeded(self) -> None:
        if self._failing:
            self._failing = False
            _log.info("the relay can store again")
        if self._has_more_room:
            self._has_more_room = False
            self._giving_back = asyncio.get_running_loop().call_later(_GIVE_BACK_PAUSE, self._put, _GiveBack())

    def _undo(self, group: list[_Work], outgoing: list[Outgoing], failure: RelayStoreError) -> list[Outgoing]:
        """Rolls a group back. Returns what to send instead of its answers.

        Raises:
            RelayStoreError: The store cannot be rolled back, so the relay cannot go on.
        """
        self._counters.commits_failed += 1
        if not self._failing:
            self._failing = True
            _log.error("%s No acknowledged message is lost; the relay keeps trying.", failure)
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
                    self._has_more_room = False  # it needs room in the log; the next attempt is in a while
                case _Expire():
                    _log.warning("old messages were not removed; the next attempt is in a while")
        # What the group did to subscriptions is only in memory, where the store's rollback does not reach.
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
