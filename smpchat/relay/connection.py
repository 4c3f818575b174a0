"""One client's connection: its blocks become commands, its answers become blocks, and neither side grows unbounded."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable

from smpchat.encoding.reader import DecodeError
from smpchat.protocol.block import decode_batch, encode_batches, largest_transmission
from smpchat.protocol.errors import BlockError, ErrorCode
from smpchat.protocol.session import SMPSession
from smpchat.protocol.transmission import SessionMismatch, Transmission, decode_transmission
from smpchat.relay.subscriptions import MAX_UNSENT_PUSHES, Client
from smpchat.transport.base import BlockConnection, TransportError

MAX_UNDER_WAY = 128
"""Commands of one connection that may wait for their answers before its next block is read."""
MAX_UNSENT_BYTES = 1024 * 1024
"""Bytes of answers that may wait for a client that does not read before its next block is read."""
_WRITE_AT_ONCE = 32

_log = logging.getLogger("smpchat.relay")

Received = Transmission | ErrorCode
"""A command, or what to answer in place of one that cannot be read."""


class Connection:
    """A connection after its handshake.

    Args:
        blocks: Closed by the caller.
        session: Result of the handshake.
        write_timeout: Seconds that the client may take nothing of what is sent before it counts as gone.
        on_room: Called when pushes that were held back can be sent.
    Attributes:
        client: The connection as the commands see it.
        largest: Bytes of the longest transmission that `put` takes.
    """

    def __init__(
        self, blocks: BlockConnection, session: SMPSession, write_timeout: float, on_room: Callable[[Connection], None]
    ) -> None:
        self.client = Client(
            session.version,
            session.session_id,
            session.own_session_key,
            peer_key=session.peer_session_key,
            keyed_new=session.keyed_new,
        )
        self.largest = largest_transmission(encrypted=session.encrypts)
        self._blocks = blocks
        self._session = session
        self._write_timeout = write_timeout
        self._on_room = on_room
        self._under_way = 0
        self._outgoing: deque[tuple[bytes, bool]] = deque()
        self._outgoing_bytes = 0
        self._to_write = asyncio.Event()
        self._may_read = asyncio.Event()
        self._finishing = False

    async def read(self) -> list[Received]:
        """The commands of the next block; waits first while too much of the connection's earlier work is undone.

        Raises:
            ConnectionClosed: Nothing more will come.
        """
        while self._under_way >= MAX_UNDER_WAY or self._outgoing_bytes >= MAX_UNSENT_BYTES:
            self._may_read.clear()
            await self._may_read.wait()
        received = self._open(await self._blocks.receive())
        self._under_way += len(received)
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
        """Notes that one of the commands read is answered later than its block; `release` when it is."""
        self._under_way += 1

    def release(self) -> None:
        """Notes that a command that was held is done."""
        self._under_way -= 1
        self._may_read.set()

    def answered(self, count: int) -> None:
        """Notes that ``count`` of the commands read are done."""
        self._under_way -= count
        self._may_read.set()

    def put(self, data: bytes, *, push: bool) -> None:
        """Takes a transmission to write; ``push`` if it is one that `Client.unsent` counts."""
        self._outgoing.append((data, push))
        self._outgoing_bytes += len(data)
        self._to_write.set()

    def finish(self) -> None:
        """Ends the connection once what was put so far is written."""
        self._finishing = True
        self._to_write.set()

    async def write(self) -> None:
        """Writes what is put, until cancelled or the connection ends; closes it if the client takes nothing."""
        try:
            while not self._finishing or self._outgoing:
                await self._to_write.wait()
                self._to_write.clear()
                while self._outgoing:
                    await self._write_some()
        except TimeoutError:
            _log.info("a client took nothing for %g s: its connection is closed", self._write_timeout)
        except TransportError as error:
            _log.debug("a connection ended: %s", error)
        await self._blocks.close()

    async def _write_some(self) -> None:
        some = [self._outgoing.popleft() for _ in range(min(_WRITE_AT_ONCE, len(self._outgoing)))]
        contents = encode_batches([data for data, _ in some], encrypted=self._session.encrypts)
        blocks = [self._session.seal_block(content) for content in contents]
        async with asyncio.timeout(self._write_timeout):
            await self._blocks.send(blocks)
        self._outgoing_bytes -= sum(len(data) for data, _ in some)
        self._may_read.set()
        client = self.client
        client.unsent -= sum(push for _, push in some)
        if client.deferred and client.unsent <= MAX_UNSENT_PUSHES // 2:
            self._on_room(self)
