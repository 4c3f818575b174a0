"""Does the work of a lane of the outbox: sends commands to a relay, and commits what each answer changes."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Awaitable, Callable, Sequence

from smpchat.agent.context import Context
from smpchat.agent.machines.notices import NoticeKind
from smpchat.agent.online.notices import Notices
from smpchat.agent.online.relays import Relays
from smpchat.agent.online.spares import SpareKeys
from smpchat.agent.online.subscriptions import Subscriptions
from smpchat.agent.store import held, outgoing
from smpchat.agent.store.connections import UnknownConnection
from smpchat.agent.store.database import Database
from smpchat.agent.store.held import Held
from smpchat.agent.store.outgoing import Kind, Lane, OutboxItem
from smpchat.agent.transactions import outbox, sending
from smpchat.agent.transactions.outbox import Verdict
from smpchat.client.diagnosis import trouble_of, trouble_of_command
from smpchat.client.pool import SessionPool
from smpchat.client.request import Request
from smpchat.client.session import ServerSession
from smpchat.client.trouble import Trouble
from smpchat.protocol.address import SMPServer, SMPServerAddress
from smpchat.protocol.commands import Del, Ids
from smpchat.protocol.errors import ErrorCode, ProtocolError, SMPError
from smpchat.transport.base import TransportError

log = logging.getLogger("smpchat.agent")

CONNECT_TIMEOUT = 20.0
"""Seconds for which the items of a lane (see `Lane`) wait for a session. After that, only the session pool still tries
to reach the relay."""
NEXT_RELAY_AFTER = 4.0
"""Seconds to wait for a session with a relay where a new queue is to be made, if the queue can be made at another relay
instead. This is short, because a command of the user that needs the queue waits for only 20 seconds in all."""

ChooseServers = Callable[[SMPServer | None, frozenset[str]], Awaitable[Sequence[SMPServerAddress]]]
"""Returns the relays where a new queue may be made, the best one first; see `AgentRunner`."""

QUIET = 5.0
"""An abandoned queue counts as empty if, in a working session, no message came from it for this many seconds."""

LaneKey = tuple[int, Lane]


class Sender:
    """Handles the items at the head of a lane.

    Args:
        choose_servers: See `AgentRunner`.
    """

    def __init__(
        self,
        database: Database,
        context: Context,
        pool: SessionPool,
        relays: Relays,
        subscriptions: Subscriptions,
        spares: SpareKeys,
        notices: Notices,
        choose_servers: ChooseServers,
    ) -> None:
        self._database = database
        self._context = context
        self._pool = pool
        self._relays = relays
        self._subscriptions = subscriptions
        self._spares = spares
        self._notices = notices
        self._choose_servers = choose_servers
        self._plain_new: set[SMPServer] = set()

    def head(self, key: LaneKey) -> list[OutboxItem]:
        """The lane's next items, at most as many as may be on their way at the same time."""
        return outgoing.head(self._database.connection, *key, outbox.PIPELINE, self._context.now())

    async def perform(self, key: LaneKey, server: SMPServer, *, one_by_one: bool) -> Verdict:
        """Send the lane's next items, as many as may be on their way at the same time, and commit the changes that
        follow from the answers, in the same order. Stop at the first item that could not be done.

        Args:
            one_by_one: Send only the first item, because an earlier try to send this item failed. If later items were
                sent at the same time and only the first one failed again, the later items would overtake it.
        """
        session = await self._pool.get(server, timeout=CONNECT_TIMEOUT)
        items = self.head(key)  # again: while the session was made, the peer's queue may have moved
        if not items or items[0].kind is Kind.CREATE:
            return Verdict.DONE
        if outbox.target(self._database.connection, items[0]) != session.server:
            return Verdict.DONE
        self._seal_receipts(key, 1 if one_by_one else outbox.PIPELINE)
        items = self.head(key)
        if not items:  # the user does not want those receipts any more
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
        if outbox.waits_on(self._database.connection, self._context, items[0]):
            with self._database.transaction() as tx:
                outbox.wait_on(tx, self._context, items[0])
            return Verdict.DONE
        if items[0].kind is Kind.EMPTY:
            return await self._empty(session, items[0])
        if one_by_one:
            items = items[:1]
        return await self._post(session, outbox.together(self._database.connection, items))

    def _seal_receipts(self, key: LaneKey, most: int) -> None:
        """Encrypt the receipts that are sent next, now that there is a session. Receipts that are sent later are not
        encrypted yet, so that they can still be changed or left out."""
        while due := [item for item in self.head(key)[:most] if item.kind is Kind.RECEIPT]:
            with self._database.transaction() as tx:
                for item in due:
                    sending.seal_receipt(tx, self._context, item)

    async def _post(self, session: ServerSession, items: list[OutboxItem]) -> Verdict:
        requests = [outbox.request(self._database.connection, item) for item in items]
        # Each command is a block of its own, and all are sent in order on one connection. The changes that follow from
        # the answers are committed in the same order. If one command fails, the commands after it count as unsent and
        # are sent again; the peer drops the copies.
        answers = session.post(requests)
        self._spares.commands_sent()
        for item, request, answer in zip(items, requests, answers, strict=True):
            try:
                answered = await answer
            except SMPError as error:
                with self._database.transaction() as tx:
                    verdict = outbox.refused(tx, self._context, item, error.code, request.entity_id)
                    if verdict in (Verdict.DONE, Verdict.MOVED):
                        held.let_go(tx, item.connection_id, item.lane)
                    else:
                        trouble = trouble_of_command(request.command, error)
                        self._hold(tx, item, trouble, f"relay {session.server.hosts[0]}: {error.code}")
                log.info("relay refused %s: %s", item.kind, error.code)
                # If the relay refuses a text for good, the items after it can still be sent. If the relay refuses a
                # message of the handshake, the refusal may have changed the lane's items, so they are read again.
                if verdict is Verdict.DONE and item.kind is Kind.MESSAGE:
                    continue
                return verdict
            with self._database.transaction() as tx:
                outbox.accepted(tx, self._context, item, request.entity_id, answered)
                held.let_go(tx, item.connection_id, item.lane)
        return Verdict.DONE

    def _hold(self, tx: sqlite3.Connection, item: OutboxItem, kind: Trouble, error: str) -> None:
        """Store why an item cannot be done, so that the user can be told. If the item was deleted meanwhile, store
        nothing."""
        if outgoing.exists(tx, item.id):
            now = self._context.now()
            held.hold(tx, item.connection_id, item.lane, Held(kind, error, now, now))

    async def _empty(self, session: ServerSession, item: OutboxItem) -> Verdict:
        """Subscribe (SUB) our old queue after we have moved to another relay, to receive the messages that are still in
        the old queue. The item is done when no more messages come from this queue.

        The relay's answer to SUB does not show whether the queue is empty: relays first answer SOK, and push waiting
        messages after it.
        """
        request = outbox.request(self._database.connection, item)
        queue, [answer] = (session.server, request.entity_id), session.post([request])
        try:
            answered = await answer
        except SMPError as error:
            with self._database.transaction() as tx:
                return outbox.refused(tx, self._context, item, error.code, request.entity_id)
        arrived = self._subscriptions.arrivals(*queue)
        self._subscriptions.answered(session, request.entity_id, answered)
        await asyncio.sleep(QUIET)
        if session.closed.is_set() or self._subscriptions.arrivals(*queue) != arrived:
            return Verdict.RETRY
        with self._database.transaction() as tx:
            outbox.accepted(tx, self._context, item, request.entity_id, answered)
        return Verdict.DONE

    async def create(self, item: OutboxItem) -> Verdict:
        """Make a queue (NEW) at the first relay that accepts it, so that a relay in trouble does not prevent people
        from connecting.

        If the user named a relay, only that one is tried.
        """
        wanted = outbox.wanted_relay(self._database.connection, item)
        try:
            candidates = [wanted] if wanted is not None else await self._candidates(item)
        except (TransportError, ProtocolError) as error:  # the embedded relay does not start
            with self._database.transaction() as tx:
                self._hold(tx, item, trouble_of(error), str(error))
            return Verdict.RETRY
        failures: list[tuple[SMPServer, Exception]] = []
        for address in candidates:
            patience = CONNECT_TIMEOUT if address is candidates[-1] else NEXT_RELAY_AFTER
            try:
                await self._create_at(item, address, patience)
            except (TransportError, ProtocolError) as error:
                log.info("no new queue could be made at %s: %s", address.server.hosts[0], error)
                failures.append((address.server, error))
                with self._database.transaction() as tx:
                    self._relays.note_trouble(tx, address.server, error)
                continue
            if failures:
                self._notices.tell(item.connection_id, _left_out(failures, address.server), NoticeKind.RELAY_LEFT_OUT)
            return Verdict.DONE
        _, first = failures[0]
        with self._database.transaction() as tx:
            self._hold(tx, item, trouble_of(first), "; ".join(_reason(*failure) for failure in failures))
        return Verdict.RETRY

    async def _candidates(self, item: OutboxItem) -> Sequence[SMPServerAddress]:
        peer, left = (look(self._database.connection, item) for look in (outbox.peer_server, outbox.left_server))
        found = await self._choose_servers(peer, self._relays.in_trouble())
        return sorted(found, key=lambda address: address.server == left)  # when moving, the old relay comes last

    async def _create_at(self, item: OutboxItem, address: SMPServerAddress, patience: float) -> None:
        """Send NEW to this relay, and commit its answer. Raises `TransportError` or `ProtocolError`."""
        server = address.server
        session = await self._pool.get(server, timeout=patience)
        self._pool.watch(server)  # not before the relay is reached: the pool would try to reach it for ever
        try:
            creation = outbox.prepare_creation(self._database.connection, self._context, item, server, session.version)
        except UnknownConnection:  # the connection was deleted while the session was made
            return
        password = address.password.encode() if address.password else None
        keyed = creation.reply_key is not None and session.keyed_new and server not in self._plain_new
        try:
            [answer] = session.post([creation.request(session.version, keyed=keyed, password=password)])
            self._spares.commands_sent()
            ids = await answer
        except SMPError as error:
            if keyed and error.code in (ErrorCode.cmd("SYNTAX"), ErrorCode.cmd("UNKNOWN")):
                self._plain_new.add(server)  # it cannot do what it advertised: send it plain NEW and KEY from now on
                await self._create_at(item, address, patience)
                return
            raise
        if not isinstance(ids, Ids):
            raise TransportError(f"relay {server.hosts[0]} gave a wrong answer to NEW")
        try:
            with self._database.transaction() as tx:
                outbox.created(tx, self._context, item, creation, server, session.version, ids, keyed=keyed)
                held.let_go(tx, item.connection_id, item.lane)
                outgoing.clear_relay_trouble(tx, str(server))
        except UnknownConnection:
            session.post([Request(Del(), ids.rcv_id, creation.auth_key)])
            return
        self._subscriptions.created(server, session, ids.rcv_id)


def _reason(server: SMPServer, error: Exception) -> str:
    """Why a relay did not create a queue. The relay's host is added unless the error names it already."""
    text = str(error).rstrip(".")
    return text if server.hosts[0] in text else f"relay {server.hosts[0]}: {text[:1].lower()}{text[1:]}"


def _left_out(failures: list[tuple[SMPServer, Exception]], used: SMPServer) -> str:
    reasons = "; ".join(_reason(*failure) for failure in failures)
    return f"The new queue is at the relay {used.hosts[0]}, because another relay could not be used: {reasons}."
