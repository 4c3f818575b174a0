"""Subscribes queues, and again when a push may have been missed: see `smpchat.agent.machines.subscriptions`."""

from __future__ import annotations

import asyncio
from functools import partial

from smpchat.agent.context import Context
from smpchat.agent.machines.subscriptions import SubscriptionPlan
from smpchat.agent.online.incoming import Incoming
from smpchat.agent.online.tasks import Tasks
from smpchat.agent.store import addresses, connections
from smpchat.agent.store.connections import ReceiveQueue
from smpchat.agent.store.database import Database
from smpchat.client.pool import SessionPool
from smpchat.client.request import Request
from smpchat.client.session import ServerSession
from smpchat.protocol.address import SMPServer
from smpchat.protocol.commands import BrokerMessage, Sub
from smpchat.protocol.errors import ErrorCode, SMPError

LOST_QUEUE = "The relay {host} no longer has your queue for this contact."
LOST_ADDRESS = "The relay {host} no longer has the queue of your address: delete the address and create another."


class Subscriptions:
    """The queues of a profile, subscribed in the sessions that live."""

    def __init__(
        self, database: Database, context: Context, pool: SessionPool, incoming: Incoming, tasks: Tasks
    ) -> None:
        self._database = database
        self._context = context
        self._pool = pool
        self._incoming = incoming
        self._tasks = tasks
        self._plan = SubscriptionPlan()
        self._plan_changed = asyncio.Event()

    def begin(self, server: SMPServer, session: ServerSession, queues: list[ReceiveQueue]) -> None:
        """Subscribe these queues in a session that is new."""
        self._subscribe(server, session, queues)
        for queue in queues:
            self.follow(queue.connection_id)

    def follow(self, connection_id: int) -> None:
        """The connection's queue has just been subscribed, or created so: plan the SUBs that repeat it."""
        self._plan.subscribed(connection_id, asyncio.get_running_loop().time())
        self._plan_changed.set()

    def succeeded(self, connection_id: int) -> None:
        """A SUB or ACK of the connection's queue was carried out."""
        self._plan.succeeded(connection_id)

    def failed(self, session: ServerSession, connection_id: int) -> None:
        """SUB or ACK failed: another SUB brings what waits at the relay; a new session begins with one anyway."""
        if not session.closed.is_set():
            self._plan.failed(connection_id, asyncio.get_running_loop().time())
            self._plan_changed.set()

    async def repeat(self) -> None:
        """Repeat what the plan says, for ever."""
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
        for connection_id in self._plan.take_due(now):
            queue = connections.receive_queue(self._database.connection, connection_id)
            session = self._pool.live(queue.server) if queue else None
            if queue is None or session is None:
                self._plan.forget(connection_id)
                continue
            self._subscribe(queue.server, session, [queue])
            self._plan.repeated(connection_id, now, awaits_first_message=queue.e2e_secret is None)

    def _subscribe(self, server: SMPServer, session: ServerSession, queues: list[ReceiveQueue]) -> None:
        requests = [Request(Sub(), queue.rcv_id, queue.auth_key) for queue in queues]
        # Up to 135 SUBs in a block: of different queues, so that their order does not matter (smp-wire 4.1 and 7.3).
        for queue, answer in zip(queues, session.post(requests, batch=True), strict=True):
            answer.add_done_callback(partial(self._answered, server, session, queue))

    def _answered(
        self, server: SMPServer, session: ServerSession, queue: ReceiveQueue, answer: asyncio.Future[BrokerMessage]
    ) -> None:
        if answer.cancelled():
            return
        error = answer.exception()
        if isinstance(error, SMPError) and error.code == ErrorCode.AUTH:
            self._plan.forget(queue.connection_id)
            try:
                self._tell_lost(server, queue.connection_id)
            except Exception as fault:
                self._tasks.fault_of_callback("telling that a queue is lost failed", fault)
        elif error is None:
            self._plan.succeeded(queue.connection_id)
            self._incoming.push(session, queue.rcv_id, answer.result())
        else:
            self.failed(session, queue.connection_id)

    def _tell_lost(self, server: SMPServer, connection_id: int) -> None:
        with self._database.transaction() as tx:
            lost = LOST_ADDRESS if addresses.load(tx, connection_id) else LOST_QUEUE
            self._context.application.notice(tx, connection_id, lost.format(host=server.host))
