"""Subscribes queues, and subscribes again when a push may have been missed: see
`smpchat.agent.machines.subscriptions`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from weakref import WeakSet

from smpchat.agent.context import Context
from smpchat.agent.machines.notices import NoticeKind
from smpchat.agent.machines.subscriptions import SubscriptionPlan
from smpchat.agent.online.incoming import Incoming
from smpchat.agent.online.tasks import Tasks
from smpchat.agent.store import addresses, moves
from smpchat.agent.store.connections import ReceiveQueue
from smpchat.agent.store.database import Database
from smpchat.agent.transactions import moving
from smpchat.client.pool import SessionPool
from smpchat.client.request import Request
from smpchat.client.session import ServerSession
from smpchat.protocol.address import SMPServer
from smpchat.protocol.commands import BrokerMessage, Sub
from smpchat.protocol.errors import ErrorCode, SMPError

LOST_QUEUE = (
    "The relay {host} no longer has your queue for {alias}, so nothing arrives from {alias}. Delete the contact"
    " and connect again with a new link."
)
LOST_ADDRESS = "The relay {host} no longer has the queue of your address. Delete the address and create a new one."
LOST_GROUP_LINK = "The relay {host} no longer has the queue of your group's link. Delete the link and make another."


class Subscriptions:
    """Subscribes the queues of a profile in the sessions with their relays.

    Args:
        listening: Called once for each session, with its relay, as soon as one of our queues is subscribed in the
            session.
    """

    def __init__(
        self,
        database: Database,
        context: Context,
        pool: SessionPool,
        incoming: Incoming,
        tasks: Tasks,
        listening: Callable[[SMPServer], None],
    ) -> None:
        self._database = database
        self._context = context
        self._pool = pool
        self._incoming = incoming
        self._tasks = tasks
        self._listening = listening
        self._listens: WeakSet[ServerSession] = WeakSet()
        self._plan: SubscriptionPlan[tuple[SMPServer, bytes]] = SubscriptionPlan()
        self._plan_changed = asyncio.Event()

    def begin(self, server: SMPServer, session: ServerSession, queues: list[ReceiveQueue]) -> None:
        """Subscribe these queues in a new session."""
        self._subscribe(server, session, queues)
        for queue in queues:
            self._follow(server, queue.rcv_id)

    def created(self, server: SMPServer, session: ServerSession, rcv_id: bytes) -> None:
        """NEW has created a queue, and has also subscribed it. Plan the SUBs that repeat the subscription."""
        self._listens_in(server, session)
        self._follow(server, rcv_id)

    def _follow(self, server: SMPServer, rcv_id: bytes) -> None:
        self._plan.subscribed((server, rcv_id), asyncio.get_running_loop().time())
        self._plan_changed.set()

    def _listens_in(self, server: SMPServer, session: ServerSession) -> None:
        if session not in self._listens and not session.closed.is_set():
            self._listens.add(session)
            self._listening(server)

    def answered(self, session: ServerSession, rcv_id: bytes, message: BrokerMessage) -> None:
        """Handle the answer to a SUB that another module has sent."""
        self._incoming.answered(session, rcv_id, message)

    def arrivals(self, server: SMPServer, rcv_id: bytes) -> int:
        """How many messages of a queue this process has received so far. A message that came twice counts twice."""
        return self._incoming.counts[server, rcv_id]

    def succeeded(self, server: SMPServer, rcv_id: bytes) -> None:
        """A SUB or ACK of a queue was executed."""
        self._plan.succeeded((server, rcv_id))

    def failed(self, session: ServerSession, server: SMPServer, rcv_id: bytes) -> None:
        """SUB or ACK failed, so plan another SUB, which brings the message that waits at the relay. If the session has
        ended, no SUB is planned: the next session begins with SUB anyway."""
        if not session.closed.is_set():
            self._plan.failed((server, rcv_id), asyncio.get_running_loop().time())
            self._plan_changed.set()

    async def repeat(self) -> None:
        """Repeat subscriptions as planned, without end."""
        loop = asyncio.get_running_loop()
        while True:
            deadline = self._plan.next_deadline()
            self._plan_changed.clear()
            try:
                async with asyncio.timeout_at(deadline):
                    await self._plan_changed.wait()
                    continue
            except TimeoutError:
                self._repeat_due(loop.time())

    def _repeat_due(self, now: float) -> None:
        tx = self._database.connection
        for server, rcv_id in self._plan.take_due(now):
            queue = moves.find_any(tx, server, rcv_id)
            session = self._pool.live(server)
            if queue is None or session is None:
                self._plan.forget((server, rcv_id))
                continue
            self._subscribe(server, session, [queue])
            awaits_first_message = moves.awaits_first_message(tx, queue)
            self._plan.repeated((server, rcv_id), now, awaits_first_message=awaits_first_message)

    def _subscribe(self, server: SMPServer, session: ServerSession, queues: list[ReceiveQueue]) -> None:
        requests = [Request(Sub(), queue.rcv_id, queue.auth_key) for queue in queues]
        # Up to 135 SUBs share a block: they are for different queues, so their order does not matter (smp-wire 4.1 and
        # 7.3).
        for queue, answer in zip(queues, session.post(requests, batch=True), strict=True):
            answer.add_done_callback(partial(self._answered, server, session, queue))

    def _answered(
        self, server: SMPServer, session: ServerSession, queue: ReceiveQueue, answer: asyncio.Future[BrokerMessage]
    ) -> None:
        if answer.cancelled():
            return
        error = answer.exception()
        if isinstance(error, SMPError) and error.code == ErrorCode.AUTH:
            self._plan.forget((server, queue.rcv_id))
            try:
                self._tell_lost(server, queue)
            except Exception as fault:
                # asyncio would only report what a callback raises, but an error of the store must end the run.
                self._tasks.fault_of_callback("cannot report that a queue is lost", fault)
        elif error is None:
            self._plan.succeeded((server, queue.rcv_id))
            self._listens_in(server, session)
            self._incoming.answered(session, queue.rcv_id, answer.result())
        else:
            self.failed(session, server, queue.rcv_id)

    def _tell_lost(self, server: SMPServer, queue: ReceiveQueue) -> None:
        connection_id = queue.connection_id
        with self._database.transaction() as tx:
            other = moves.find_queue(tx, server, queue.rcv_id)
            if other is not None:
                if other.left_at is None:
                    moving.queue_lost(tx, self._context, connection_id)
                return  # nobody misses an abandoned queue
            address, lost = addresses.load(tx, connection_id), LOST_QUEUE
            if address is not None:
                lost = LOST_GROUP_LINK if address.group else LOST_ADDRESS
            sentence = lost.replace("{host}", server.host)
            self._context.application.notice(tx, connection_id, sentence, NoticeKind.QUEUE_LOST)
