"""A SOCKS5 server (RFC 1928, 1929) that a test can look into, made of asyncio streams."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

NO_AUTH, USER_PASSWORD, NONE_ACCEPTABLE = 0, 2, 255


@dataclass(slots=True)
class SocksServer:
    """Connects wherever it is asked to; ``names`` says where to instead, by the host asked for.

    Attributes:
        asked: Hosts and ports asked for, in order; names as they came.
        users: User and password of each request, None without.
        refuse: A reply code to give in place of connecting.
        wants: The method it insists on.
    """

    names: dict[str, tuple[str, int]] = field(default_factory=dict)
    refuse: int = 0
    wants: int = USER_PASSWORD
    port: int = 0
    asked: list[tuple[str, int]] = field(default_factory=list)
    users: list[tuple[bytes, bytes] | None] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            target = await self._negotiate(reader, writer)
            if target is not None:
                far_reader, far_writer = await asyncio.open_connection(*target)
                try:
                    writer.write(b"\x05\x00\x00\x01" + bytes(6))
                    await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))
                finally:
                    far_writer.close()
        except (OSError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    async def _negotiate(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[str, int] | None:
        version, count = await reader.readexactly(2)
        methods = await reader.readexactly(count)
        assert version == 5
        if self.wants not in methods:
            writer.write(bytes([5, NONE_ACCEPTABLE]))
            return None
        writer.write(bytes([5, self.wants]))
        if self.wants == USER_PASSWORD:
            assert await reader.readexactly(1) == b"\x01"
            user = await reader.readexactly((await reader.readexactly(1))[0])
            password = await reader.readexactly((await reader.readexactly(1))[0])
            self.users.append((user, password))
            writer.write(b"\x01\x00")
        else:
            self.users.append(None)
        assert await reader.readexactly(3) == b"\x05\x01\x00"
        match (await reader.readexactly(1))[0]:
            case 1:
                host = str(ipaddress.ip_address(await reader.readexactly(4)))
            case 4:
                host = str(ipaddress.ip_address(await reader.readexactly(16)))
            case 3:
                host = (await reader.readexactly((await reader.readexactly(1))[0])).decode("ascii")
            case other:
                raise AssertionError(other)
        port = int.from_bytes(await reader.readexactly(2), "big")
        self.asked.append((host, port))
        if self.refuse:
            writer.write(bytes([5, self.refuse, 0, 1]) + bytes(6))
            return None
        return self.names.get(host, (host, port))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


@asynccontextmanager
async def a_socks_server(**options: object) -> AsyncIterator[SocksServer]:
    """One that listens on loopback."""
    server = SocksServer(**options)  # type: ignore[arg-type]
    tasks: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        await server.serve(reader, writer)

    listening = await asyncio.start_server(accept, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
