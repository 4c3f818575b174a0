"""A connection inside one process, for tests. Its buffer is limited, as with a socket. When one end closes, the other
end is told, as with TLS."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from smpchat.transport.base import ConnectionClosed, check_blocks

CAPACITY = 8
"""How many blocks may wait in each direction: blocks that were sent but not received yet. `MemoryConnection.send` waits
while there are more."""


class MemoryConnection:
    """One end of a connection that `memory_pair` made."""

    def __init__(self, session_id: bytes, peer_leaf: bytes | None, capacity: int, delay: float) -> None:
        self._session_id = session_id
        self._peer_leaf = peer_leaf
        self._capacity = capacity
        self._delay = delay
        self._under_way: deque[bytes | None] = deque()  # blocks on their way to the peer; None ends the connection
        self._peer: MemoryConnection = self
        self._arrived: deque[bytes] = deque()
        self._end: str | None = None
        self._reader: asyncio.Future[None] | None = None
        self._writers: set[asyncio.Future[None]] = set()

    @property
    def session_id(self) -> bytes:
        """The session id that was given to `memory_pair`; both ends have the same."""
        return self._session_id

    @property
    def peer_leaf(self) -> bytes | None:
        """The certificate that was given to `memory_pair`; None at the relay's end."""
        return self._peer_leaf

    @property
    def waiting(self) -> int:
        """Number of blocks that have arrived, but that `receive` has not returned yet."""
        return len(self._arrived)

    async def receive(self) -> bytes:
        """See `BlockConnection.receive`."""
        while not self._arrived:
            if self._end is not None:
                raise ConnectionClosed(self._end)
            if self._reader is not None:
                raise RuntimeError("two tasks read from one connection")
            self._reader = asyncio.get_running_loop().create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        block = self._arrived.popleft()
        self._peer.wake()
        return block

    async def send(self, blocks: Sequence[bytes]) -> None:
        """See `BlockConnection.send`."""
        check_blocks(blocks)
        if self._end is not None:
            raise ConnectionClosed(self._end)
        for block in blocks:
            self._carry(bytes(block))
        while len(self._under_way) + len(self._peer._arrived) > self._capacity:
            writer = asyncio.get_running_loop().create_future()
            self._writers.add(writer)
            try:
                await writer
            finally:
                self._writers.discard(writer)
            if self._end is not None:
                raise ConnectionClosed(self._end)

    async def close(self) -> None:
        """See `BlockConnection.close`."""
        self._arrived.clear()
        if self._end is None:
            self.end("this program closed the connection")
            self._carry(None)

    def _carry(self, block: bytes | None) -> None:
        self._under_way.append(block)
        if self._delay:
            asyncio.get_running_loop().call_later(self._delay, self._land)
        else:
            self._land()

    def _land(self) -> None:
        """Deliver the oldest block that is on its way. Each block has a timer, but timers for the same moment may run
        in any order. So a timer does not deliver its own block, but the oldest one."""
        block = self._under_way.popleft()
        if block is None:
            self._peer.end("the peer closed the connection")
        elif self._peer._end is None:
            self._peer._arrived.append(block)
            self._peer.wake()
        self.wake()

    def end(self, reason: str) -> None:
        """End the connection at this end. From now on, `send` raises `ConnectionClosed` with the text ``reason``.
        `receive` raises this error too, after it has returned the blocks that had already arrived."""
        if self._end is None:
            self._end = reason
        self.wake()

    def wake(self) -> None:
        """Wake the calls of `send` and `receive` that wait at this end, so that each checks whether it can go on."""
        for waiter in (self._reader, *self._writers):
            if waiter is not None and not waiter.done():
                waiter.set_result(None)


def memory_pair(
    session_id: bytes = bytes(range(32)), *, leaf: bytes | None = None, capacity: int = CAPACITY, delay: float = 0.0
) -> tuple[MemoryConnection, MemoryConnection]:
    """Make a connection. Returns the client's end and the relay's end.

    Args:
        session_id: The session id of both ends.
        leaf: DER of the relay's certificate, which the client's end returns as `peer_leaf`.
        capacity: How many blocks may wait in each direction: blocks that were sent but not received yet.
            `MemoryConnection.send` waits while there are more.
        delay: Seconds that every block takes to arrive, in each direction.
    """
    client = MemoryConnection(session_id, leaf, capacity, delay)
    relay = MemoryConnection(session_id, None, capacity, delay)
    client._peer, relay._peer = relay, client
    return client, relay
