"""Messages that relays have pushed, and that wait until `smpchat.agent.online.receiver` processes them one by one.

A relay sends the next message of a queue only after the last one was acknowledged. So at most one message of each queue
waits to be processed. A bad relay could still send messages for any number of queues that are not ours, so there is
also a limit to how many messages of one session may wait.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from weakref import WeakKeyDictionary

from smpchat.client.session import ServerSession
from smpchat.encoding.record import Record
from smpchat.protocol.address import SMPServer
from smpchat.protocol.commands import BrokerMessage, Msg, Ok, Sok
from smpchat.protocol.errors import RemoteProtocolError

log = logging.getLogger("smpchat.agent")

MAX_WAITING = 64
"""How many messages of one session, 16 kB each, may wait to be processed. When so many wait, the session's next block
is not read yet."""
MAX_STRAY = 100
"""How many messages of one session may arrive for queues that are not ours. A few such messages are normal if queues
were just deleted."""


class Pushed(Record):
    """A message, and the session through which it came; the ACK goes through the same session."""

    session: ServerSession
    rcv_id: bytes
    message: Msg


class _Session:
    """What is known about one session: which message of each queue is not acknowledged yet, and how many messages wait
    to be processed."""

    def __init__(self) -> None:
        self.unacknowledged: dict[bytes, bytes] = {}
        self.waiting: dict[bytes, bytes] = {}
        self.count = 0
        self.strays = 0
        self.room = asyncio.Event()


class Incoming:
    """Messages that came and are not processed yet, in the order of their arrival.

    Attributes:
        counts: How many messages of each queue have come, by relay and recipient id.
    """

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[Pushed] = asyncio.Queue()
        self._sessions: WeakKeyDictionary[ServerSession, _Session] = WeakKeyDictionary()
        self.counts: Counter[tuple[SMPServer, bytes]] = Counter()

    def pushed(self, session: ServerSession, entity_id: bytes, message: BrokerMessage) -> None:
        """A relay sent ``message`` without being asked.

        Raises:
            RemoteProtocolError: The relay sent a message before we acknowledged the previous message of the same queue.
                A relay that does not wait for ACK could make us keep any number of messages.
        """
        if isinstance(message, Msg):
            last = self._of(session).unacknowledged.get(entity_id, message.msg_id)
            if last != message.msg_id:
                raise RemoteProtocolError(
                    "the relay sent another message of a queue before we acknowledged the last one"
                )
        # The same message again is not an error: relays send it after a repeated SUB (smp-wire 7.3).
        self.answered(session, entity_id, message)

    def answered(self, session: ServerSession, entity_id: bytes, message: BrokerMessage) -> None:
        """A relay sent ``message`` in answer to SUB or ACK."""
        match message:
            case Msg():
                self.counts[session.server, entity_id] += 1
                state = self._of(session)
                state.unacknowledged[entity_id] = message.msg_id
                if state.waiting.get(entity_id) == message.msg_id:  # SUB was repeated meanwhile
                    return
                state.waiting[entity_id] = message.msg_id
                state.count += 1
                self._waiting.put_nowait(Pushed(session, entity_id, message))
            case Ok() | Sok():
                pass  # the answer to ACK or SUB when nothing waits
            case _:
                log.info("relay event: %s", type(message).__name__)

    async def room(self, session: ServerSession) -> None:
        """Wait until the session may deliver more messages."""
        state = self._of(session)
        while state.count >= MAX_WAITING:
            state.room.clear()
            await state.room.wait()

    async def next(self) -> Pushed:
        """Wait until there is a message, and return the oldest one."""
        pushed = await self._waiting.get()
        state = self._of(pushed.session)
        if state.waiting.get(pushed.rcv_id) == pushed.message.msg_id:
            del state.waiting[pushed.rcv_id]
        state.count -= 1
        state.room.set()
        return pushed

    def acknowledged(self, pushed: Pushed) -> None:
        """An ACK is about to be sent; after that, the next message may come."""
        self._of(pushed.session).unacknowledged.pop(pushed.rcv_id, None)

    def stray(self, pushed: Pushed) -> None:
        """A message came for a queue that is not ours. Ignore the message; if there are too many such messages, end the
        session."""
        self.acknowledged(pushed)
        self.counts.pop((pushed.session.server, pushed.rcv_id), None)
        state = self._of(pushed.session)
        state.strays += 1
        if state.strays > MAX_STRAY:
            pushed.session.end(RemoteProtocolError("the relay sends messages of queues that are not ours"))

    def _of(self, session: ServerSession) -> _Session:
        return self._sessions.setdefault(session, _Session())
