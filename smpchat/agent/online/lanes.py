"""Runs the lanes of the outbox, and keeps track of which lanes are running, which pause after a refusal, and which wait
for their relay.

A lane contains items of one connection that must be sent in order, for example all that go to the peer's queue. Lanes
do not wait for each other, so a dead relay delays only the contacts who use it.
"""

from __future__ import annotations

import asyncio
import logging

from smpchat.agent.context import Context
from smpchat.agent.machines.notices import NoticeKind
from smpchat.agent.machines.retry import QUOTA, UNANSWERED
from smpchat.agent.online.notices import Notices
from smpchat.agent.online.relays import Relays
from smpchat.agent.online.sending import LaneKey, Sender
from smpchat.agent.online.spares import SpareKeys
from smpchat.agent.online.tasks import Tasks, is_of_store, severity
from smpchat.agent.store import held, outgoing
from smpchat.agent.store.database import Database
from smpchat.agent.store.outgoing import Kind, Lane
from smpchat.agent.transactions import outbox, rotation
from smpchat.agent.transactions.outbox import Verdict
from smpchat.client.pool import SessionPool
from smpchat.protocol.address import SMPServer
from smpchat.protocol.errors import ProtocolError
from smpchat.transport.base import TransportError

log = logging.getLogger("smpchat.agent")


class Lanes:
    """Runs each lane that has work, until the work is done or refused, or the connection to the relay is lost."""

    def __init__(
        self,
        database: Database,
        context: Context,
        pool: SessionPool,
        tasks: Tasks,
        relays: Relays,
        notices: Notices,
        spares: SpareKeys,
        sender: Sender,
    ) -> None:
        self._database = database
        self._context = context
        self._pool = pool
        self._tasks = tasks
        self._relays = relays
        self._notices = notices
        self._spares = spares
        self._sender = sender
        self._busy: set[LaneKey] = set()
        self._resting: dict[LaneKey, asyncio.TimerHandle] = {}
        self._blocked: dict[LaneKey, SMPServer | None] = {}
        self._attempts: dict[LaneKey, int] = {}
        self._rested_with: dict[LaneKey, int] = {}
        self._alarm: asyncio.TimerHandle | None = None

    def kick(self) -> None:
        """Start every lane that has work, unless the lane is running already, pauses, or waits for its relay."""
        if not self._tasks.running:  # a commit, or a lane that stops, may call this while the run is ending
            return
        try:
            self._start()
        except Exception as error:  # most calls come from timers, so nobody would see the error
            self._tasks.fail(error)

    def cancel(self) -> None:
        """Stop all timers."""
        for timer in (*self._resting.values(), *([self._alarm] if self._alarm else [])):
            timer.cancel()

    def wake(self, key: LaneKey) -> None:
        """The lane need not pause or wait any longer."""
        timer = self._resting.pop(key, None)
        if timer:
            timer.cancel()
        self._blocked.pop(key, None)
        self.kick()

    def unblock(self, server: SMPServer) -> None:
        """There is a session with this relay: start the lanes that waited for the session. If a connection's queue is
        to move to another relay, also try again to create the new queue."""
        for key in [key for key, blocker in self._blocked.items() if blocker == server]:
            del self._blocked[key]
        for key in [key for key in self._resting if key[1] is Lane.MOVE]:
            self._resting.pop(key).cancel()
        self.kick()

    def _start(self) -> None:
        now = self._context.now()
        self._go_on_elsewhere()
        for key in outgoing.lanes(self._database.connection, now):
            if key not in self._busy and key not in self._resting and key not in self._blocked:
                self._busy.add(key)
                self._tasks.spawn(self._run(key))
        if self._alarm is not None:
            self._alarm.cancel()
        deadline = outgoing.next_deadline(self._database.connection, now)
        loop = asyncio.get_running_loop()
        self._alarm = None if deadline is None else loop.call_later(deadline - now, self.kick)
        self._spares.plan()

    def _go_on_elsewhere(self) -> None:
        """A queue's move to another relay pauses after a failure. If the move was started again meanwhile, for example
        towards a different relay, end the pause."""
        for key, item_id in list(self._rested_with.items()):
            if key not in self._resting:
                del self._rested_with[key]
            elif [item.id for item in self._sender.head(key)[:1]] != [item_id]:
                self._resting.pop(key).cancel()
                self._attempts.pop(key, None)

    async def _run(self, key: LaneKey) -> None:
        server: SMPServer | None = None
        try:
            while items := self._sender.head(key):
                if items[0].kind is Kind.CREATE:
                    verdict = await self._sender.create(items[0])
                else:
                    server = outbox.target(self._database.connection, items[0])
                    if key[1] is not Lane.ROTATE:  # a contact may name many relays to which it never moves
                        self._pool.watch(server)
                        self._relays.used(server)
                    if key[1] is Lane.SEND:
                        self._relays.leave_unused(key[0], server)
                    verdict = await self._sender.perform(key, server, one_by_one=key in self._attempts)
                if verdict is Verdict.MOVED:
                    continue
                if verdict is not Verdict.DONE:
                    self._rest(key, verdict)
                    return
                self._attempts.pop(key, None)
                if key[1] is Lane.LEAVE and server is not None:
                    self._relays.leave_if_unused(server)
        except (TransportError, ProtocolError) as error:
            log.info("relay not reached: %s", error)
            if key[1] is Lane.ROTATE and server is not None:
                self._notices.tell(key[0], rotation.NOT_REACHED.format(error=error), NoticeKind.MOVE_FAILED)
                await self._pool.release(server)
            if key[1] is Lane.LEAVE:
                self._leave_later(key)
            else:
                self._relay_lost(key, server)
        except Exception as error:  # an error of one connection must not stop the others
            if is_of_store(error):
                raise
            log.log(severity(error), "a lane of connection %d stopped", key[0], exc_info=error)
            self._rest(key, Verdict.RETRY)
        finally:
            # The lane must not count as busy when `kick` is called: only `kick` can start the work that was committed
            # while the lane was running.
            self._busy.discard(key)
        self.kick()

    def _relay_lost(self, key: LaneKey, server: SMPServer | None) -> None:
        """The relay was not reached: let the lane wait until the relay is reached, or pause the lane for a while. The
        lane does not wait if its next item now goes to a different relay."""
        if server is None or key[1] in (Lane.ROTATE, Lane.MOVE) or self._pool.live(server) is not None:
            self._rest(key, Verdict.RETRY)
        elif self._goes_to(key, server):
            self._pool.watch(server)
            self._blocked[key] = server  # `unblock` ends this wait

    def _leave_later(self, key: LaneKey) -> None:
        with self._database.transaction() as tx:
            for item in self._sender.head(key)[:1]:
                outbox.left_relay_lost(tx, self._context, item)

    def _goes_to(self, key: LaneKey, server: SMPServer) -> bool:
        items = self._sender.head(key)
        return not items or outbox.target(self._database.connection, items[0]) == server

    def _rest(self, key: LaneKey, verdict: Verdict) -> None:
        attempts = self._attempts[key] = self._attempts.get(key, 0) + 1
        if key[1] is Lane.MOVE:
            self._rested_with[key] = next((item.id for item in self._sender.head(key)), 0)
        delays = QUOTA if verdict is Verdict.FULL else UNANSWERED
        jitter = self._context.entropy.random(1)[0] / 255
        delay = delays.after(attempts, jitter)
        with self._database.transaction() as tx:
            held.rests_until(tx, *key, self._context.now() + delay)
        self._resting[key] = asyncio.get_running_loop().call_later(delay, self.wake, key)
