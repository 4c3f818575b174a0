"""Processes messages one after the other: each is committed, then acknowledged."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial

from smpchat.agent.context import Context
from smpchat.agent.errors import EnvelopeRefused, HeldBack, NumberRefused
from smpchat.agent.machines.notices import NoticeKind
from smpchat.agent.online.incoming import Incoming, Pushed
from smpchat.agent.online.notices import Notices
from smpchat.agent.online.subscriptions import Subscriptions
from smpchat.agent.online.tasks import is_of_store
from smpchat.agent.store import moves
from smpchat.agent.store.connections import ReceiveQueue
from smpchat.agent.store.database import Database
from smpchat.agent.transactions import receiving
from smpchat.client.request import Request
from smpchat.crypto.kem import KEMUnavailable
from smpchat.protocol.address import SMPServer
from smpchat.protocol.commands import Ack, BrokerMessage
from smpchat.protocol.errors import ErrorCode, SMPError

log = logging.getLogger("smpchat.agent")

NO_KEM = (
    "A message from {alias} needs post-quantum decryption, which is not available here. It stays at the relay."
    " Install the Python package pqcrypto to read this message."
)
NOT_PROCESSED = (
    "A message from {alias} could not be processed because of a bug in smpchat. It stays at the relay; other"
    " contacts are not affected. Run with -v for details, and look for a newer version."
)
HELD_BACK = (
    f"{{alias}} has sent more than {receiving.MESSAGES.most:,} messages within a day. Further messages wait at"
    f" your relay until tomorrow. If you do not want them: `smpchat delete {{who}}`."
)


class Receiver:
    """Processes the messages that wait in `Incoming`.

    Args:
        resume: Called with the number of a connection if messages to its peer need not wait any longer: the peer's
            queue has room again, or the peer uses another queue.
    """

    def __init__(
        self,
        database: Database,
        context: Context,
        incoming: Incoming,
        subscriptions: Subscriptions,
        notices: Notices,
        resume: Callable[[int], None],
    ) -> None:
        self._database = database
        self._context = context
        self._incoming = incoming
        self._subscriptions = subscriptions
        self._notices = notices
        self._resume = resume

    async def run(self) -> None:
        """Process what arrives, without end. If the store fails, its error is raised."""
        while True:
            pushed = await self._incoming.next()
            queue = moves.find_any(self._database.connection, pushed.session.server, pushed.rcv_id)
            if queue is None:
                self._incoming.stray(pushed)
                continue
            try:
                resume = self._store(pushed, queue.connection_id)
            except KEMUnavailable as error:
                log.warning("message not opened: %s", error)
                self._notices.tell(queue.connection_id, NO_KEM, NoticeKind.NOT_OPENED)
                continue  # not acknowledged: the relay keeps it
            except HeldBack as error:
                log.warning("message left at the relay: %s", error)
                self._notices.tell(queue.connection_id, HELD_BACK, NoticeKind.TOO_MUCH)
                # Until this message is acknowledged, the relay sends nothing more from this queue by itself, so
                # subscribe to it again now and then.
                self._subscriptions.failed(pushed.session, queue.server, pushed.rcv_id)
                continue
            except Exception as error:  # an error with one message must not stop the other connections
                if is_of_store(error):
                    raise
                log.error("message not processed", exc_info=error)
                self._notices.tell(queue.connection_id, NOT_PROCESSED, NoticeKind.NOT_PROCESSED)
                continue
            self._acknowledge(pushed, queue)  # the ACK is sent together with what the commit put into the outbox
            if resume:
                self._resume(queue.connection_id)

    def _store(self, pushed: Pushed, connection_id: int) -> bool:
        message = pushed.message
        try:
            with self._database.transaction() as tx:
                received = receiving.receive(
                    tx, self._context, pushed.session.server, pushed.rcv_id, message.msg_id, message.body
                )
        # A refused message is acknowledged, too: else the relay would deliver it again and again, and never the
        # messages after it (agent-wire 5.4).
        except EnvelopeRefused as error:
            log.warning("message refused: %s", error)
            if error.notice is not None:
                kind = NoticeKind.MESSAGES_LOST if isinstance(error, NumberRefused) else NoticeKind.VERSIONS
                self._notices.tell(connection_id, error.notice, kind)
            return False
        return received is not None and received.resume

    def _acknowledge(self, pushed: Pushed, queue: ReceiveQueue) -> None:
        """Send ACK, after the message was processed and committed. The relay may answer ACK with the queue's next
        message. If the ACK is lost, the relay only sends the same message again."""
        if pushed.session.closed.is_set():
            return
        self._incoming.acknowledged(pushed)
        [answer] = pushed.session.post([Request(Ack(pushed.message.msg_id), pushed.rcv_id, queue.auth_key)])
        answer.add_done_callback(partial(self._acknowledged, pushed, queue.server))

    def _acknowledged(self, pushed: Pushed, server: SMPServer, answer: asyncio.Future[BrokerMessage]) -> None:
        if answer.cancelled():
            return
        error = answer.exception()
        if error is None:
            self._subscriptions.succeeded(server, pushed.rcv_id)
            self._incoming.answered(pushed.session, pushed.rcv_id, answer.result())
        # NO_MSG is normal after a repeated SUB.
        elif not (isinstance(error, SMPError) and error.code == ErrorCode.NO_MSG):
            self._subscriptions.failed(pushed.session, server, pushed.rcv_id)
