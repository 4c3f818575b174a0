"""A relay behind a loopback proxy that delays each direction: the network of the benchmarks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class DelayProxy:
    """Passes TCP on, each piece ``delay`` seconds late, in both directions; counts what it passes.

    Attributes:
        bytes_passed: Both directions, all connections.
        connected_at: When each connection was taken, on the loop's clock.
    """

    target_port: int
    delay: float
    port: int = 0
    bytes_passed: int = 0
    connected_at: list[float] = field(default_factory=list)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Listens on a port of the system's choice while the block runs."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connected_at.append(asyncio.get_running_loop().time())
        there, back = await asyncio.open_connection("127.0.0.1", self.target_port)
        for source, sink in ((reader, back), (there, writer)):
            task = asyncio.get_running_loop().create_task(self._pass(source, sink))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pass(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        try:
            while piece := await source.read(1 << 16):
                self.bytes_passed += len(piece)
                loop.call_at(loop.time() + self.delay, _write, sink, piece)
            loop.call_at(loop.time() + self.delay, sink.close)
        except ConnectionError:
            sink.close()
        finally:
            if loop.is_closed():
                sink.close()


def _write(sink: asyncio.StreamWriter, piece: bytes) -> None:
    if not sink.is_closing():
        sink.write(piece)
