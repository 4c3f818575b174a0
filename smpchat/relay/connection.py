"""One client's connection: its blocks become commands, and its answers become blocks; both directions are limited."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable

from smpchat.encoding.reader import DecodeError
from smpchat.encoding.record import Record
from smpchat.protocol.block import decode_batch, encode_batches, largest_transmission
from smpchat.protocol.errors import BlockError, ErrorCode
from smpchat.protocol.session import SMPSession
from smpchat.protocol.transmission import SessionMismatch, Transmission, decode_transmission
from smpchat.relay.rates import Bucket
from smpchat.relay.subscriptions import MAX_UNSENT_PUSHES, Client
from smpchat.transport.base import BlockConnection, TransportError

MAX_UNDER_WAY = 128
"""Commands of one connection that may wait for their answers before the relay reads its next block."""
MAX_BLOCKS_UNDER_WAY = 8
"""Blocks in which those commands may have arrived: 128 KiB."""
_WRITE_AT_ONCE = 32
"""Transmissions that are sent in one write, for each of which the transport may hold a block."""

_log = logging.getLogger("smpchat.relay")


class ConnectionLimits(Record):
    """The limits of one connection.

    Attributes:
        new_queues: Queues created in a minute.
        unsent_bytes: Answers that may wait for a client that does not read before its next block is read. Pushes stop
            at `MAX_UNSENT_PUSHES` anyway.
    """

    new_queues: int
    unsent_bytes: int


Received = Transmission | ErrorCode
"""A command, or the answer to one that cannot be read."""


class Connection:
    """A connection after its handshake.

    Args:
        blocks: Closed by the caller.
        session: Result of the handshake.
        limits: What it may have under way.
        clock: Seconds of the loop.
        on_room: Called when pushes that were held back can be sent.
    Attributes:
        client: The connection as the commands see it.
        largest: Bytes of the longest transmission that `put` takes.
        active_at: When a block last came or went.
        sending_since: When the data that is being written was handed over; None if nothing is being written.
    """

    def __init__(
        self,
        blocks: BlockConnection,
        session: SMPSession,
        limits: ConnectionLimits,
        clock: Callable[[], float],
        on_room: Callable[[Connection], None],
    ) -> None:
        self.client = Client(
            session.version,
            session.session_id,
            session.own_session_key,
            peer_key=session.peer_session_key,
            keyed_new=session.keyed_new,
        )
        self.largest = largest_transmission(encrypted=session.encrypts)
        self.active_at = clock()
        self.sending_since: float | None = None
        self._blocks = blocks
        self._session = session
        self._limits = limits
        self._clock = clock
        self._on_room = on_room
        self._new_queues = Bucket(limits.new_queues, clock)
        self._under_way = 0
        self._blocks_under_way = 0
        self._outgoing: deque[tuple[bytes, bool]] = deque()
        self._outgoing_bytes = 0
        self._to_write = asyncio.Event()
        self._may_read = asyncio.Event()
        self._finishing = False
        self._ended = False

    def may_create(self) -> bool:
        """Whether one more queue may be created now; counts it if so."""
        return self._new_queues.take()  # a queue is about 1 kB of the relay's memory, for good

    async def read(self) -> list[Received]:
        """The commands of the next block; waits first while too much of the connection's earlier work is undone.

        Raises:
            ConnectionClosed: Nothing more will come.
        """
        while not self._ended and (
            self._under_way >= MAX_UNDER_WAY
            or self._blocks_under_way >= MAX_BLOCKS_UNDER_WAY
            or self._outgoing_bytes >= self._limits.unsent_bytes
        ):
            self._may_read.clear()
            await self._may_read.wait()
        received = self._open(await self._blocks.receive())
        self.active_at = self._clock()
        self._under_way += len(received)
        self._blocks_under_way += 1
        return received

    def _open(self, block: bytes) -> list[Received]:
        try:
            batch = decode_batch(self._session.open_block(block))
        except (BlockError, DecodeError):
            return [ErrorCode.BLOCK]  # the session goes on (smp-wire trap 32)
        return [self._transmission(data) for data in batch]

    def _transmission(self, data: bytes) -> Received:
        try:
            return decode_transmission(data, self._session.version, self._session.session_id)
        except SessionMismatch:
            return ErrorCode.SESSION
        except DecodeError:
            return ErrorCode.BLOCK

    def hold(self) -> None:
        """Notes that one of the commands is answered later than its block; call `release` when it was answered."""
        self._under_way += 1

    def release(self) -> None:
        """Notes that a command that was held is done."""
        self._under_way -= 1
        self._may_read.set()

    def answered(self, count: int, *, block: bool) -> None:
        """Notes that ``count`` commands are done, and with them the whole ``block``."""
        self._under_way -= count
        self._blocks_under_way -= block
        self._may_read.set()

    def put(self, data: bytes, *, push: bool) -> None:
        """Accepts a transmission to write at the next `flush`; ``push``: it is counted by `Client.unsent`."""
        self._outgoing.append((data, push))
        self._outgoing_bytes += len(data)

    def flush(self) -> None:
        """Writes the transmissions that were put."""
        self._to_write.set()

    def finish(self) -> None:
        """Ends the connection when all transmissions that were put are written."""
        self._finishing = True
        self._to_write.set()

    async def close(self) -> None:
        """Ends the connection without waiting for unwritten transmissions."""
        await self._blocks.close()

    async def write(self) -> None:
        """Writes the transmissions that are put, until it is cancelled or the connection ends."""
        try:
            while not self._finishing or self._outgoing:
                await self._to_write.wait()
                self._to_write.clear()
                while self._outgoing:
                    await self._write_some()
        except TransportError as error:
            _log.debug("a connection ended: %s", error)
        await self._blocks.close()
        self._ended = True
        self._may_read.set()  # a reader that waits for room has to hear of it

    async def _write_some(self) -> None:
        outgoing = self._outgoing
        some = [outgoing.popleft() for _ in range(min(_WRITE_AT_ONCE, len(outgoing)))]
        session = self._session
        contents = encode_batches([data for data, _ in some], encrypted=session.encrypts)
        # No timer for each write: the server looks now and then at what has been under way for too long.
        self.sending_since = self.active_at = self._clock()
        await self._blocks.send([session.seal_block(content) for content in contents])
        self.sending_since = None
        self._outgoing_bytes -= sum(len(data) for data, _ in some)
        self._may_read.set()
        client = self.client
        client.unsent -= sum(push for _, push in some)
        # At half, so that there is one call for 32 pushes and not one for each.
        if client.deferred and client.unsent <= MAX_UNSENT_PUSHES // 2:
            self._on_room(self)
