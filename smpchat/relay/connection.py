"""One client's connection: decodes the client's blocks into commands, and encodes answers into blocks. Limits how many
commands may be unanswered, and how many bytes may be unsent."""

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
"""If this many commands of a connection wait for their answers, the relay does not read the connection's next block."""
MAX_BLOCKS_UNDER_WAY = 8
"""If this many blocks of a connection contain unanswered commands, the relay does not read the next block: 8 blocks
take 128 KiB of memory."""
_WRITE_AT_ONCE = 32
"""Maximum number of transmissions that are sent in one write: each may take a block, 16 KiB of memory."""

_log = logging.getLogger("smpchat.relay")


class ConnectionLimits(Record):
    """The relay's limits for one client's connection.

    Attributes:
        new_queues: Maximum number of queues created in a minute.
        unsent_bytes: If this many bytes wait for a client that does not read them, the relay does not read the client's
            next block. The number of unsent pushes has a separate limit, `MAX_UNSENT_PUSHES`.
    """

    new_queues: int
    unsent_bytes: int


Received = Transmission | ErrorCode
"""A command; or, if the command cannot be decoded, the error with which the relay answers."""


class Connection:
    """A client's connection after the SMP handshake.

    Args:
        blocks: The transport's connection, which sends and receives blocks.
        session: The result of the SMP handshake.
        limits: The relay's limits for this connection.
        clock: The clock of the event loop, in seconds.
        on_room: Called with this connection, when it has room again for pushes that were held back.
    Attributes:
        client: The data of this connection that `smpchat.relay.commands` needs.
        largest: Length of the longest transmission that `put` accepts, in bytes.
        active_at: When a block was last received or sent.
        sending_since: When the relay began to send the blocks that it is sending now; None if it is sending nothing.
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
        """Whether the client may create one more queue now. If it may, this method counts the queue."""
        return self._new_queues.take()  # each queue takes about 1 kB of memory until it is deleted

    async def read(self) -> list[Received]:
        """Reads the next block, and returns its commands. If too many earlier commands are unanswered, or too many
        bytes are unsent, this method waits for that to change before it reads.

        Raises:
            ConnectionClosed: The connection has ended.
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
            return [ErrorCode.BLOCK]  # the session continues (smp-wire trap 32)
        return [self._transmission(data) for data in batch]

    def _transmission(self, data: bytes) -> Received:
        try:
            return decode_transmission(data, self._session.version, self._session.session_id)
        except SessionMismatch:
            return ErrorCode.SESSION
        except DecodeError:
            return ErrorCode.BLOCK

    def hold(self) -> None:
        """Counts a command that will be answered later than the rest of its block. Call `release` when this command is
        answered."""
        self._under_way += 1

    def release(self) -> None:
        """Stops counting a command for which `hold` was called, because it is answered."""
        self._under_way -= 1
        self._may_read.set()

    def answered(self, count: int, *, block: bool) -> None:
        """Call this when ``count`` commands are answered: they are no longer counted as unanswered. ``block``: whether
        these commands are the last ones of their block."""
        self._under_way -= count
        self._blocks_under_way -= block
        self._may_read.set()

    def put(self, data: bytes, *, push: bool) -> None:
        """Adds a transmission, which the next `flush` sends. ``push``: whether `Client.unsent` counts the
        transmission."""
        self._outgoing.append((data, push))
        self._outgoing_bytes += len(data)

    def flush(self) -> None:
        """Sends the transmissions given to `put`."""
        self._to_write.set()

    def finish(self) -> None:
        """Ends the connection after all transmissions given to `put` are sent."""
        self._finishing = True
        self._to_write.set()

    async def close(self) -> None:
        """Ends the connection without sending the remaining transmissions."""
        await self._blocks.close()

    async def write(self) -> None:
        """Sends the transmissions given to `put`, until the connection ends or this task is cancelled."""
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
        self._may_read.set()  # wake a `read` that waits for room

    async def _write_some(self) -> None:
        outgoing = self._outgoing
        some = [outgoing.popleft() for _ in range(min(_WRITE_AT_ONCE, len(outgoing)))]
        session = self._session
        contents = encode_batches([data for data, _ in some], encrypted=session.encrypts)
        # A write has no timer of its own. The server checks `sending_since` of all connections at intervals, and closes
        # those whose write takes too long.
        self.sending_since = self.active_at = self._clock()
        await self._blocks.send([session.seal_block(content) for content in contents])
        self.sending_since = None
        self._outgoing_bytes -= sum(len(data) for data, _ in some)
        self._may_read.set()
        client = self.client
        client.unsent -= sum(push for _, push in some)
        # Call `_on_room` only when at most half of `MAX_UNSENT_PUSHES` are unsent. So there is one call for 32 pushes,
        # instead of one call for each push.
        if client.deferred and client.unsent <= MAX_UNSENT_PUSHES // 2:
            self._on_room(self)
