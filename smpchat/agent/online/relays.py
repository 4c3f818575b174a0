"""Decides with which relays sessions are kept, and stores why a relay is not reached, so that the user can be told."""

from __future__ import annotations

import asyncio
import logging
import sqlite3

from smpchat.agent.context import Context
from smpchat.agent.errors import StoreError
from smpchat.agent.machines import handshake_states as states
from smpchat.agent.online.tasks import Tasks
from smpchat.agent.store import clock, connections, held, moves, outgoing, visits
from smpchat.agent.store.connections import ReceiveQueue
from smpchat.agent.store.database import Database
from smpchat.agent.store.outgoing import RelayTrouble
from smpchat.agent.transactions import outbox
from smpchat.client.diagnosis import trouble_of
from smpchat.client.pool import SessionPool
from smpchat.protocol.address import SMPServer

log = logging.getLogger("smpchat.agent")

DELETION_PATIENCE = 3 * 86_400.0
"""If we cannot reach a relay to delete the queue of a deleted connection there, we give up after this many seconds."""


MAX_IDLE = 32
"""How many sessions may stay open although there is nothing to send, with relays that have queues of contacts, but no
queue of ours. Each session takes a file descriptor."""


class Relays:
    """Keeps sessions with the relays that a profile needs, and ends sessions with those that it no longer needs."""

    def __init__(self, database: Database, context: Context, pool: SessionPool, tasks: Tasks) -> None:
        self._database = database
        self._context = context
        self._pool = pool
        self._tasks = tasks
        self._sends_to: dict[int, SMPServer] = {}
        self._left: set[SMPServer] = set()
        self._used: dict[SMPServer, None] = {}

    def watch_all(self) -> None:
        """Keep a session with every relay that has a queue of ours. Before that, bring up to date what an earlier
        process stored: the troubles of relays, the times until which lanes pause, and the times at which we listened at
        relays."""
        tx = self._database.connection
        if outgoing.relay_troubles(tx) or held.load_all(tx) or visits.unfinished(tx):
            with self._database.transaction() as tx:
                outgoing.forget_relay_troubles(tx, self._context.now())
                held.begin_anew(tx)
                visits.end_of_killed(tx)
        for queue in self._live_queues():
            self._pool.watch(queue.server)

    def queues_at(self, server: SMPServer) -> list[ReceiveQueue]:
        """Our queues at a relay, without those of connections that are deleted or have failed."""
        return [queue for queue in self._live_queues() if queue.server == server]

    def _live_queues(self) -> list[ReceiveQueue]:
        tx = self._database.connection
        over = {c.id for c in connections.load_all(tx) if isinstance(c.state, states.Failed | states.Deleted)}
        return [queue for queue in moves.every_queue(tx) if queue.connection_id not in over]

    def reached(self, server: SMPServer) -> None:
        """There is a session with the relay: forget why the relay could not be used before."""
        with self._database.transaction() as tx:
            outgoing.clear_relay_trouble(tx, str(server))

    def listening(self, server: SMPServer) -> None:
        """Note that we now listen at this relay: one of our queues was subscribed in a new session with the relay."""
        with self._database.transaction() as tx:
            visits.arrived(tx, str(server), self._context.now())

    def leave_all(self) -> None:
        """Note that the process ends: from now on, nobody listens at the relays (see `smpchat.agent.store.visits`).

        An error of the store is only logged, because it must not replace the error with which the process ends.
        """
        try:
            if visits.unfinished(self._database.connection):
                with self._database.transaction() as tx:
                    visits.all_left(tx, self._context.now())
        except (StoreError, sqlite3.Error) as error:
            log.info("the time at which smpchat went offline was not stored: %s", type(error).__name__)

    def not_reached(self, server: SMPServer, error: Exception, next_try_at: float) -> None:
        """A try to reach a relay failed. ``next_try_at``: when the session pool tries to reach the relay again, by the
        event loop's clock. The error is stored only if the relay is still needed."""
        wait = next_try_at - asyncio.get_running_loop().time()
        with self._database.transaction() as tx:
            visits.left(tx, str(server), self._context.now())
            # If the clock has leapt, a deletion may seem to have waited for three days although it has not, so no
            # deletion is given up then.
            if not clock.is_held(tx, self._context.now()):
                outbox.give_up_deletions(tx, str(server), self._context.now() - DELETION_PATIENCE)
            if not self._is_needed(server):
                self._pool.unwatch(server)
                outgoing.clear_relay_trouble(tx, str(server))
                return
            self.note_trouble(tx, server, error, self._context.now() + wait)

    def note_trouble(
        self, tx: sqlite3.Connection, server: SMPServer, error: Exception, next_try_at: float | None = None
    ) -> None:
        """Store that this relay cannot be used, and why, so that the user can be told. ``next_try_at``: when the relay
        is tried again, in POSIX seconds; None if that is not known."""
        trouble = RelayTrouble(str(server), str(error), self._context.now(), next_try_at, trouble_of(error))
        outgoing.save_relay_trouble(tx, trouble)

    def in_trouble(self) -> frozenset[str]:
        """Addresses of relays that could not be used at the last try."""
        return frozenset(outgoing.relay_troubles(self._database.connection))

    def used(self, server: SMPServer) -> None:
        """Note that the session with ``server`` is used to send something. If there are now more than `MAX_IDLE` such
        sessions, end some of those that are not needed: first the session that was used longest ago."""
        self._used.pop(server, None)
        self._used[server] = None
        if len(self._used) <= MAX_IDLE:
            return
        tx = self._database.connection
        for other in [other for other in self._used if other != server]:
            if len(self._used) <= MAX_IDLE:
                return
            if self._queues_at_or_work(tx, other):
                continue
            del self._used[other]
            self._pool.unwatch(other)
            self._tasks.spawn(self._pool.release(other))

    def _queues_at_or_work(self, tx: sqlite3.Connection, server: SMPServer) -> bool:
        return bool(self.queues_at(server)) or outgoing.has_work_at(tx, str(server))

    def leave_unused(self, connection_id: int, server: SMPServer) -> None:
        """A contact is now reached at ``server``. End the session with the relay where the contact was reached before,
        if nothing else needs this session."""
        before = self._sends_to.get(connection_id)
        self._sends_to[connection_id] = server
        if before is None or before == server:
            return
        self.leave_if_unused(before)

    def leave_if_unused(self, server: SMPServer) -> None:
        """Some work at ``server`` is done. End the session with this relay, unless the relay is still needed. Also end
        the sessions with relays that were still needed at an earlier call of this method, but are not needed now."""
        self._left.add(server)
        for left in [left for left in self._left if not self._is_needed(left)]:
            self._left.remove(left)
            self._pool.unwatch(left)
            self._tasks.spawn(self._pool.release(left))

    def _is_needed(self, server: SMPServer) -> bool:
        return outgoing.is_relay_needed(self._database.connection, str(server))
