"""Messages that relays pushed, until `smpchat.agent.online.receiver` processes them, one after the other."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter

from smpchat.client.session import ServerSession
from smpchat.encoding.record import Record
from smpchat.protocol.address import SMPServer
from smpchat.protocol.commands import BrokerMessage, Msg, Ok, Sok

log = logging.getLogger("smpchat.agent")


class Pushed(Record):
    """A message, and where it came from: the ACK goes back there."""

    session: ServerSession
    rcv_id: bytes
    message: Msg


class Incoming:
    """What came and is not processed yet, in the order of its coming.

    Attributes:
        counts: How many messages of each queue have come, by relay and recipient id.
    """

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[Pushed] = asyncio.Queue()
        self.counts: Counter[tuple[SMPServer, bytes]] = Counter()

    def push(self, session: ServerSession, entity_id: bytes, message: BrokerMessage) -> None:
        """A relay sent this unasked, or in answer to SUB or ACK."""
        match message:
            case Msg():
                self.counts[session.server, entity_id] += 1
                self._waiting.put_nowait(Pushed(session, entity_id, message))
            case Ok() | Sok():
                pass  # the answer to ACK or SUB when nothing waits
            case _:
                log.info("relay event: %s", type(message).__name__)

    async def next(self) -> Pushed:
        """The oldest message, once there is one."""
        return await self._waiting.get()
