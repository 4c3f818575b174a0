"""The async part of the agent: the online process's tasks around the store.

Load, step, commit, then perform: every change is committed by `connection`, `outbox` or `receiver` before anything is
sent or acknowledged because of it. Other processes put work into the store; this one notices and does it.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any

from smpchat.agent.context import Context
from smpchat.agent.errors import AgentError, EnvelopeRefused, StoreError
from smpchat.agent.machines import handshake_states as states
from smpchat.agent.machines.retry import QUOTA, UNANSWERED
from smpchat.agent.machines.subscriptions import SubscriptionPlan
from smpchat.agent.online.spares import SpareKeys
from smpchat.agent.store import addresses, connections, outgoing
from smpchat.agent.store.connections import ReceiveQueue, UnknownConnection
from smpchat.agent.store.database import Database
from smpchat.agent.store.outgoing import Kind, Lane, OutboxItem, RelayTrouble
from smpchat.agent.transactions import outbox, receiving, rotation
from smpchat.agent.transactions.outbox import Verdict
from smpchat.client.pool import SessionPool
from smpchat.client.request import Request
from smpchat.client.session import ServerSession
from smpchat.crypto.kem import KEMUnavailable
from smpchat.encoding.record import Record
from smpchat.protocol.address import SMPServer, SMPServerAddress
from smpchat.protocol.commands import Ack, BrokerMessage, Del, Ids, Msg, Ok, Sok, Sub
from smpchat.protocol.errors import ErrorCode, ProtocolError, SMPError
from smpchat.transport.base import TransportError

log = logging.getLogger("smpchat.agent")

STORE_POLL = 0.05
"""Seconds between looks for work that other processes put into the store; a look takes microseconds."""
CONNECT_TIMEOUT = 20.0
"""Seconds that a lane waits for a session before it leaves the relay to the pool's own tries."""

NO_KEM = (
    "A message from your contact needs post-quantum decryption, which is not available here. It stays at the relay:"
    " install the Python package pqcrypto to read it."
)
NOT_PROCESSED = (
    "A message from your contact could not be processed because of a fault in this program. It stays at the relay;"
    " other contacts are not affected. Run with -v for details, and look for a newer version."
)

LOST_QUEUE = "The relay {host} no longer has your queue for this contact."
LOST_ADDRESS = "The relay {host} no longer has the queue of your address: delete the address and create another."

LaneKey = tuple[int, Lane]


class _Pushed(Record):
    session: ServerSession
    rcv_id: bytes
    message: Msg


class AgentRunner:
    """Does everything that the profile's store says is to be done, for as long as it runs.

    Args:
        choose_server: The relay for a new queue; told the relay of the peer's queue, where there is one, to prefer
            another. May start the embedded relay; raises `TransportError` when there is none to be had.
    """

    def __init__(
        self,
        database: Database,
        context: Context,
        make_pool: Callable[..., SessionPool],
        choose_server: Callable[[SMPServer | None], Awaitable[SMPServerAddress]],
    ) -> None:
        self._database = database
        self._context = context
        self._choose_server = choose_server
        self._pool = make_pool(
            on_event=self._pushed, on_up=self._up, on_down=self._down, on_fault=self._fault_of_callback
        )
        self._incoming: asyncio.Queue[_Pushed] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()
        self._running = False
        self._failure: asyncio.Future[None] | None = None
        self._busy: set[LaneKey] = set()
        self._resting: dict[LaneKey, asyncio.TimerHandle] = {}
        self._blocked: dict[LaneKey, SMPServer | None] = {}
        self._attempts: dict[LaneKey, int] = {}
        self._alarm: asyncio.TimerHandle | None = None
        self._plan = SubscriptionPlan()
        self._plan_changed = asyncio.Event()
        self._plain_new: set[SMPServer] = set()
        self._spares = SpareKeys(database, context.kem)
        self._told: set[tuple[int, str]] = set()
        self._sends_to: dict[int, SMPServer] = {}
        self._left: set[SMPServer] = set()

    async def run(self) -> None:
        """Work until cancelled. An unexpected exception in any task ends it, and in any callback one of the store.

        Raises:
            StoreError: The database cannot be read or written. What was committed stays; the rest was not sent.
        """
        loop = asyncio.get_running_loop()
        self._failure = loop.create_future()
        self._database.on_commit = lambda: loop.call_soon(self.kick)
        self._running = True
        try:
            self._watch_relays()
            for work in (self._receive(), self._watch_store(), self._subscribe_again()):
                self._spawn(work)
            self.kick()
            await self._failure
        except sqlite3.Error as error:
            raise StoreError(f"The profile's database {self._database.path} cannot be read: {error}.") from error
        finally:
            self._running = False
            self._database.on_commit = None
            self._spares.cancel()
            for timer in (*self._resting.values(), *([self._alarm] if self._alarm else [])):
                timer.cancel()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self._pool.close()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        """End `run` with the first error; those that come while it ends are its consequences."""
        if self._running and self._failure is not None and not self._failure.done():
            self._failure.set_exception(error)
            self._failure.exception()  # asking marks it as seen, where `run` is cancelled in the same moment
        else:
            log.info("while the agent ended: %s", type(error).__name__, exc_info=error)

    def _fault_of_callback(self, message: str, error: Exception) -> None:
        """What asyncio or the pool would only report. With other faults than the store's the rest can go on."""
        if _is_of_store(error):
            self._fail(error)
        else:
            asyncio.get_running_loop().call_exception_handler({"message": message, "exception": error})

    # -- lanes of the outbox ------------------------------------------------------------------------------------------

    def kick(self) -> None:
        """Start every lane that has work and is neither running, resting nor waiting for its relay."""
        if not self._running:  # called for a commit, or by a lane, while the runner ended
            return
        try:
            self._start_lanes()
        except Exception as error:  # nobody would be told: most calls come from timers
            self._fail(error)

    def _start_lanes(self) -> None:
        now = self._context.now()
        for key in outgoing.lanes(self._database.connection, now):
            if key not in self._busy and key not in self._resting and key not in self._blocked:
                self._busy.add(key)
                self._spawn(self._run_lane(key))
        if self._alarm is not None:
            self._alarm.cancel()
        deadline = outgoing.next_deadline(self._database.connection, now)
        loop = asyncio.get_running_loop()
        self._alarm = None if deadline is None else loop.call_later(deadline - now, self.kick)
        self._spares.plan()

    async def _run_lane(self, key: LaneKey) -> None:
        server: SMPServer | None = None
        try:
            while items := self._head(key):
                if items[0].kind is Kind.CREATE:
                    verdict = await self._create(items[0])
                else:
                    server = outbox.target(self._database.connection, items[0])
                    if key[1] is not Lane.ROTATE:  # a contact may name any number of relays, and never move there
                        self._pool.watch(server)
                    if key[1] is Lane.SEND:
                        self._leave_unused(key[0], server)
                    verdict = await self._perform(key, await self._pool.get(server, timeout=CONNECT_TIMEOUT))
                if verdict is not Verdict.DONE:
                    self._rest(key, verdict)
                    return
                self._attempts.pop(key, None)
        except (TransportError, ProtocolError) as error:
            log.info("relay not reached: %s", error)
            if key[1] is Lane.ROTATE and server is not None:
                self._tell(key[0], rotation.NOT_REACHED.format(error=error))
                await self._pool.release(server)
            self._relay_lost(key, server)
        except Exception as error:  # a fault of one connection must not cost the others theirs
            if _is_of_store(error):
                raise
            log.log(_severity(error), "a lane of connection %d stopped", key[0], exc_info=error)
            self._rest(key, Verdict.RETRY)
        finally:
            self._busy.discard(key)
        self.kick()

    def _leave_unused(self, connection_id: int, server: SMPServer) -> None:
        """A contact is sent to at ``server`` now: end sessions with relays where it was before, and nobody else is."""
        before = self._sends_to.get(connection_id)
        self._sends_to[connection_id] = server
        if before is None or before == server:
            return
        self._left.add(before)
        for left in [left for left in self._left if not self._is_needed(left)]:
            self._left.remove(left)
            self._pool.unwatch(left)
            self._spawn(self._pool.release(left))

    def _is_needed(self, server: SMPServer) -> bool:
        return outgoing.is_relay_needed(self._database.connection, str(server))

    def _head(self, key: LaneKey) -> list[OutboxItem]:
        return outgoing.head(self._database.connection, *key, outbox.PIPELINE, self._context.now())

    def _relay_lost(self, key: LaneKey, server: SMPServer | None) -> None:
        """Wait for the relay, or for the next try; not at all if the lane now goes elsewhere."""
        if server is None or key[1] is Lane.ROTATE or self._pool.live(server) is not None:
            self._rest(key, Verdict.RETRY)
        elif self._goes_to(key, server):
            self._pool.watch(server)
            self._blocked[key] = server  # `_up` ends this

    def _goes_to(self, key: LaneKey, server: SMPServer) -> bool:
        items = self._head(key)
        return not items or outbox.target(self._database.connection, items[0]) == server

    def _rest(self, key: LaneKey, verdict: Verdict) -> None:
        attempts = self._attempts[key] = self._attempts.get(key, 0) + 1
        delays = QUOTA if verdict is Verdict.FULL else UNANSWERED
        jitter = self._context.entropy.random(1)[0] / 255
        loop = asyncio.get_running_loop()
        self._resting[key] = loop.call_later(delays.after(attempts, jitter), self._wake, key)

    def _wake(self, key: LaneKey) -> None:
        timer = self._resting.pop(key, None)
        if timer:
            timer.cancel()
        self._blocked.pop(key, None)
        self.kick()

    async def _perform(self, key: LaneKey, session: ServerSession) -> Verdict:
        """Send the next items at once and commit each outcome in order; the first that is not done ends the run."""
        items = self._head(key)  # anew: while the session was made, the peer's queue may have moved
        if not items or items[0].kind is Kind.CREATE:
            return Verdict.DONE
        if outbox.target(self._database.connection, items[0]) != session.server:
            return Verdict.DONE
        if items[0].kind is Kind.REACH:
            with self._database.transaction() as tx:
                outbox.reached(tx, self._context, items[0])
            await self._pool.release(session.server)
            return Verdict.DONE
        if not outbox.is_offered(items[0], session.version):
            with self._database.transaction() as tx:
                outbox.not_offered(tx, self._context, items[0])
            return Verdict.DONE
        if key in self._attempts:  # refused before; were it refused again, those behind it might not be, and pass it
            items = items[:1]
        items = outbox.together(self._database.connection, items)
        requests = [outbox.request(self._database.connection, item) for item in items]
        answers = session.post(requests)
        self._spares.commands_sent()
        for item, request, answer in zip(items, requests, answers, strict=True):
            try:
                answered = await answer
            except SMPError as error:
                with self._database.transaction() as tx:
                    verdict = outbox.refused(tx, self._context, item, error.code, request.entity_id)
                log.info("relay refused %s: %s", item.kind, error.code)
                if verdict is Verdict.DONE and item.kind is Kind.MESSAGE:
                    continue
                return verdict
            with self._database.transaction() as tx:
                outbox.accepted(tx, self._context, item, request.entity_id, answered)
        return Verdict.DONE

    async def _create(self, item: OutboxItem) -> Verdict:
        tx = self._database.connection
        address = connections.wanted_relay(tx, item.connection_id)
        if address is None:
            address = await self._choose_server(outbox.peer_server(tx, item))
        server = address.server
        self._pool.watch(server)
        session = await self._pool.get(server, timeout=CONNECT_TIMEOUT)
        try:
            creation = outbox.prepare_creation(self._database.connection, self._context, item, server, session.version)
        except UnknownConnection:  # deleted while the session was made
            return Verdict.DONE
        password = address.password.encode() if address.password else None
        keyed = creation.reply_key is not None and session.keyed_new and server not in self._plain_new
        try:
            [answer] = session.post([creation.request(session.version, keyed=keyed, password=password)])
            self._spares.commands_sent()
            ids = await answer
        except SMPError as error:
            if keyed and error.code in (ErrorCode.cmd("SYNTAX"), ErrorCode.cmd("UNKNOWN")):
                self._plain_new.add(server)  # it does not do what it advertised: plain NEW and KEY from now on
                return await self._create(item)
            log.info("relay refused NEW: %s", error.code)
            with self._database.transaction() as tx:
                self._note_trouble(tx, server, f"the relay refuses new queues ({error.code})", None)
            return Verdict.RETRY
        if not isinstance(ids, Ids):
            raise TransportError("The relay answered NEW with something else.")
        try:
            with self._database.transaction() as tx:
                outbox.created(tx, self._context, item, creation, server, session.version, ids, keyed=keyed)
                outgoing.clear_relay_trouble(tx, str(server))
        except UnknownConnection:
            session.post([Request(Del(), ids.rcv_id, creation.auth_key)])
            return Verdict.DONE
        self._plan_for(item.connection_id)
        return Verdict.DONE

    # -- receiving ----------------------------------------------------------------------------------------------------

    def _pushed(self, session: ServerSession, entity_id: bytes, message: BrokerMessage) -> None:
        match message:
            case Msg():
                self._incoming.put_nowait(_Pushed(session, entity_id, message))
            case Ok() | Sok():
                pass  # the answer to ACK or SUB when nothing waits
            case _:
                log.info("relay event: %s", type(message).__name__)

    async def _receive(self) -> None:
        while True:
            pushed = await self._incoming.get()
            queue = connections.find_receive_queue(self._database.connection, pushed.session.server, pushed.rcv_id)
            if queue is None:
                continue
            try:
                resume = self._store(pushed, queue.connection_id)
            except KEMUnavailable as error:
                log.warning("message not opened: %s", error)
                self._tell(queue.connection_id, NO_KEM)
                continue  # not acknowledged: the relay keeps it
            except Exception as error:  # a fault that one message brings out must not stop the other connections
                if _is_of_store(error):
                    raise
                log.error("message not processed", exc_info=error)
                self._tell(queue.connection_id, NOT_PROCESSED)
                continue
            self._acknowledge(pushed, queue)  # in one flight with what the commit put into the outbox
            if resume:
                self._wake((queue.connection_id, Lane.SEND))

    def _tell(self, connection_id: int, sentence: str) -> None:
        """A notice, once in the life of this process."""
        if (connection_id, sentence) not in self._told:
            self._told.add((connection_id, sentence))
            with self._database.transaction() as tx:
                self._context.application.notice(tx, connection_id, sentence)

    def _store(self, pushed: _Pushed, connection_id: int) -> bool:
        message = pushed.message
        try:
            with self._database.transaction() as tx:
                received = receiving.receive(
                    tx, self._context, pushed.session.server, pushed.rcv_id, message.msg_id, message.body
                )
        except EnvelopeRefused as error:
            log.warning("message refused: %s", error)
            if error.notice is not None:
                self._tell(connection_id, error.notice)
            return False
        return received is not None and received.resume

    def _acknowledge(self, pushed: _Pushed, queue: ReceiveQueue) -> None:
        """ACK after commit; its answer may be the next message. A lost ACK only brings the same message again."""
        if pushed.session.closed.is_set():
            return
        [answer] = pushed.session.post([Request(Ack(pushed.message.msg_id), pushed.rcv_id, queue.auth_key)])
        answer.add_done_callback(partial(self._acknowledged, pushed, queue.connection_id))

    def _acknowledged(self, pushed: _Pushed, connection_id: int, answer: asyncio.Future[BrokerMessage]) -> None:
        if answer.cancelled():
            return
        error = answer.exception()
        if error is None:
            self._plan.succeeded(connection_id)
            self._pushed(pushed.session, pushed.rcv_id, answer.result())
        elif not (isinstance(error, SMPError) and error.code == ErrorCode.NO_MSG):  # which follows a repeated SUB
            self._not_carried_out(pushed.session, connection_id)

    def _not_carried_out(self, session: ServerSession, connection_id: int) -> None:
        """SUB or ACK failed: another SUB brings what waits at the relay; a new session begins with one anyway."""
        if not session.closed.is_set():
            self._plan.failed(connection_id, asyncio.get_running_loop().time())
            self._plan_changed.set()

    # -- subscriptions ------------------------------------------------------------------------------------------------

    def _watch_relays(self) -> None:
        if outgoing.relay_troubles(self._database.connection):
            with self._database.transaction() as tx:
                outgoing.forget_relay_troubles(tx)
        for queue in self._live_queues():
            self._pool.watch(queue.server)

    def _live_queues(self) -> list[ReceiveQueue]:
        tx = self._database.connection
        over = {c.id for c in connections.load_all(tx) if isinstance(c.state, states.Failed | states.Deleted)}
        return [queue for queue in connections.receive_queues(tx) if queue.connection_id not in over]

    def _up(self, server: SMPServer, session: ServerSession) -> None:
        with self._database.transaction() as tx:
            outgoing.clear_relay_trouble(tx, str(server))
        queues = [queue for queue in self._live_queues() if queue.server == server]
        self._subscribe(server, session, queues)
        for queue in queues:
            self._plan_for(queue.connection_id)
        for key in [key for key, blocker in self._blocked.items() if blocker == server]:
            del self._blocked[key]
        self.kick()

    def _down(self, server: SMPServer, error: Exception, next_try_at: float) -> None:
        wait = next_try_at - asyncio.get_running_loop().time()
        with self._database.transaction() as tx:
            if not self._is_needed(server):
                self._pool.unwatch(server)
                outgoing.clear_relay_trouble(tx, str(server))
                return
            self._note_trouble(tx, server, str(error), self._context.now() + wait)

    def _note_trouble(self, tx: sqlite3.Connection, server: SMPServer, error: str, next_try_at: float | None) -> None:
        trouble = RelayTrouble(str(server), error, self._context.now(), next_try_at)
        outgoing.save_relay_trouble(tx, trouble)

    def _subscribe(self, server: SMPServer, session: ServerSession, queues: list[ReceiveQueue]) -> None:
        requests = [Request(Sub(), queue.rcv_id, queue.auth_key) for queue in queues]
        for queue, answer in zip(queues, session.post(requests, batch=True), strict=True):
            answer.add_done_callback(partial(self._subscribed, server, session, queue))

    def _subscribed(
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
                self._fault_of_callback("telling that a queue is lost failed", fault)
        elif error is None:
            self._plan.succeeded(queue.connection_id)
            self._pushed(session, queue.rcv_id, answer.result())
        else:
            self._not_carried_out(session, queue.connection_id)

    def _tell_lost(self, server: SMPServer, connection_id: int) -> None:
        with self._database.transaction() as tx:
            lost = LOST_ADDRESS if addresses.load(tx, connection_id) else LOST_QUEUE
            self._context.application.notice(tx, connection_id, lost.format(host=server.host))

    def _plan_for(self, connection_id: int) -> None:
        self._plan.subscribed(connection_id, asyncio.get_running_loop().time())
        self._plan_changed.set()

    async def _subscribe_again(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            deadline = self._plan.next_deadline()
            self._plan_changed.clear()
            try:
                async with asyncio.timeout_at(deadline):
                    await self._plan_changed.wait()
                    continue
            except TimeoutError:
                self._repeat_subscriptions(loop.time())

    def _repeat_subscriptions(self, now: float) -> None:
        for connection_id in self._plan.take_due(now):
            queue = connections.receive_queue(self._database.connection, connection_id)
            session = self._pool.live(queue.server) if queue else None
            if queue is None or session is None:
                self._plan.forget(connection_id)
                continue
            self._subscribe(queue.server, session, [queue])
            self._plan.repeated(connection_id, now, awaits_first_message=queue.e2e_secret is None)

    # -- other processes ----------------------------------------------------------------------------------------------

    async def _watch_store(self) -> None:
        version = self._database.foreign_version()
        while True:
            await asyncio.sleep(STORE_POLL)
            changed = self._database.foreign_version()
            if changed != version:
                version = changed
                self.kick()


def _is_of_store(error: BaseException) -> bool:
    """Whether the database itself failed, and not something that one connection or message wants of it."""
    if isinstance(error, StoreError | sqlite3.OperationalError | sqlite3.InternalError):
        return True
    return type(error) is sqlite3.DatabaseError  # of a file that is damaged


def _severity(error: BaseException) -> int:
    return logging.WARNING if isinstance(error, AgentError) else logging.ERROR
