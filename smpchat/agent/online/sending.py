"""What a lane of the outbox does once it may: commands to a relay, and the commit of each answer."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from smpchat.agent.context import Context
from smpchat.agent.online.relays import Relays
from smpchat.agent.online.spares import SpareKeys
from smpchat.agent.online.subscriptions import Subscriptions
from smpchat.agent.store import connections, outgoing
from smpchat.agent.store.connections import UnknownConnection
from smpchat.agent.store.database import Database
from smpchat.agent.store.outgoing import Kind, Lane, OutboxItem
from smpchat.agent.transactions import outbox
from smpchat.agent.transactions.outbox import Verdict
from smpchat.client.pool import SessionPool
from smpchat.client.request import Request
from smpchat.client.session import ServerSession
from smpchat.protocol.address import SMPServer, SMPServerAddress
from smpchat.protocol.commands import Del, Ids
from smpchat.protocol.errors import ErrorCode, SMPError
from smpchat.transport.base import TransportError

log = logging.getLogger("smpchat.agent")

CONNECT_TIMEOUT = 20.0
"""Seconds that a lane waits for a session before it leaves the relay to the pool's own tries."""

LaneKey = tuple[int, Lane]


class Sender:
    """Does the items at the head of a lane.

    Args:
        choose_server: See `AgentRunner`.
    """

    def __init__(
        self,
        database: Database,
        context: Context,
        pool: SessionPool,
        relays: Relays,
        subscriptions: Subscriptions,
        spares: SpareKeys,
        choose_server: Callable[[SMPServer | None], Awaitable[SMPServerAddress]],
    ) -> None:
        self._database = database
        self._context = context
        self._pool = pool
        self._relays = relays
        self._subscriptions = subscriptions
        self._spares = spares
        self._choose_server = choose_server
        self._plain_new: set[SMPServer] = set()

    def head(self, key: LaneKey) -> list[OutboxItem]:
        """The lane's next items, as many as may be under way at once."""
        return outgoing.head(self._database.connection, *key, outbox.PIPELINE, self._context.now())

    async def perform(self, key: LaneKey, server: SMPServer, *, one_by_one: bool) -> Verdict:
        """Send the next items at once and commit each outcome in order; the first that is not done ends the run.

        Args:
            one_by_one: The first was refused before. Were it refused again, those behind it might not be, and pass it.
        """
        session = await self._pool.get(server, timeout=CONNECT_TIMEOUT)
        items = self.head(key)  # anew: while the session was made, the peer's queue may have moved
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
        if one_by_one:
            items = items[:1]
        return await self._post(session, outbox.together(self._database.connection, items))

    async def _post(self, session: ServerSession, items: list[OutboxItem]) -> Verdict:
        requests = [outbox.request(self._database.connection, item) for item in items]
        # A block for each, on one connection, in order (handshake.md 4). Outcomes are committed in that order too; what
        # follows one that failed counts as unsent, and the receiver drops the copies.
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

    async def create(self, item: OutboxItem) -> Verdict:
        """NEW, at a relay that is chosen now."""
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
                return await self.create(item)
            log.info("relay refused NEW: %s", error.code)
            with self._database.transaction() as tx:
                self._relays.note_trouble(tx, server, f"the relay refuses new queues ({error.code})", None)
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
        self._subscriptions.follow(item.connection_id)
        return Verdict.DONE
