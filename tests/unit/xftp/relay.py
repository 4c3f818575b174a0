"""A relay of files on loopback that does what a test tells it, and is otherwise as simple as one can be."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import wraps
from typing import Any, ParamSpec

from smpchat.crypto.keys import X25519PrivateKey
from smpchat.crypto.secretbox import Sealer
from smpchat.encoding.reader import Buffer
from smpchat.protocol.address import FileServer
from smpchat.protocol.block import BLOCK_SIZE
from smpchat.protocol.errors import ErrorCode
from smpchat.protocol.transmission import Transmission, verify_authorisation
from smpchat.protocol.xftp import errors
from smpchat.protocol.xftp.command_codec import check_credentials, decode_command, encode_answer
from smpchat.protocol.xftp.commands import (
    Err,
    FAck,
    FAdd,
    FDel,
    FGet,
    File,
    FileAnswer,
    FNew,
    FPut,
    Ok,
    Ping,
    Pong,
    RIds,
    SIds,
)
from smpchat.protocol.xftp.hello import receive_client_hello, server_hello
from smpchat.protocol.xftp.transmission import decode_block, encode_block
from smpchat.testing.entropy import SeededEntropy
from smpchat.transport.http2 import server
from smpchat.transport.http2.server import HTTP2Server, Request
from smpchat.xftp.routes import FileRoutes
from smpchat.xftp.session import FileSession, connect
from tests.unit.transport.support import NOW, an_identity

P = ParamSpec("P")


def in_loop(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run a test in a loop of its own, for half a minute at most."""

    @wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        asyncio.run(asyncio.wait_for(test(*args, **kwargs), 30))

    return run


class Chunk:
    def __init__(self, command: FNew) -> None:
        self.new = command
        self.recipients: dict[bytes, Any] = {}
        self.data: bytes | None = None


class FileRelay:
    """Chunks in memory.

    Attributes:
        instead: Called with each command, and answers in the relay's place unless it returns None.
        change: What becomes of a download's bytes, behind the block, before they leave.
        before: Awaited before each answer, and ``between`` the pieces of a download.
        commands: All that was asked, by name.
    """

    def __init__(self) -> None:
        self.identity = an_identity("files")
        self.port = 0
        self.instead: Callable[[Any], FileAnswer | None] = lambda command: None
        self.change: Callable[[bytes], bytes] = lambda data: data
        self.before: Callable[[], Awaitable[object]] | None = None
        self.between: Callable[[], Awaitable[object]] | None = None
        self.commands: list[str] = []
        self.chunks: dict[bytes, Chunk] = {}
        self.connections: list[HTTP2Server] = []
        self._entropy = SeededEntropy("file relay")

    @property
    def server(self) -> FileServer:
        return FileServer(("127.0.0.1",), str(self.port), self.identity.fingerprint)

    async def serve(self, connection: HTTP2Server) -> None:
        self.connections.append(connection)
        state: list[int] = []  # empty, 0 after our hello, then the version

        async def on_request(request: Request) -> None:
            head = await request.body.take(BLOCK_SIZE)
            if not state:
                assert not head
                state.append(0)
                hello, _ = server_hello(
                    self.identity.chain, self.identity.sign, connection.session_id, SeededEntropy("hello")
                )
                await request.answer((hello,))
            elif not state[0]:
                state[0] = receive_client_hello(head, self.identity.fingerprint)
                await request.answer(())
            else:
                await self._answer(connection, request, head, state[0])

        await connection.serve(on_request)

    async def _answer(self, connection: HTTP2Server, request: Request, head: bytes, version: int) -> None:
        transmission, signed = decode_block(head, connection.session_id)
        command = decode_command(transmission.body)
        check_credentials(command, transmission.auth, transmission.entity_id)
        self.commands.append(type(command).__name__.upper())
        if self.before is not None:
            await self.before()
        rest = b""
        answer = self.instead(command)
        if answer is None:
            try:
                answer, rest = await self._do(command, transmission, signed, request)
            except errors.XFTPError as error:
                answer = Err(error.code)
        entity = b"" if isinstance(command, FNew | Ping) else transmission.entity_id
        block = encode_block(Transmission(b"", entity, encode_answer(answer, version)), connection.session_id)

        async def parts() -> AsyncIterator[Buffer]:
            yield block
            for start in range(0, len(rest), 50_000):
                if self.between is not None:
                    await self.between()
                yield rest[start : start + 50_000]

        await request.answer(parts())

    async def _do(
        self, command: Any, transmission: Transmission, signed: bytes, request: Request
    ) -> tuple[FileAnswer, bytes]:
        if isinstance(command, Ping):
            return Pong(), b""
        if isinstance(command, FNew):
            verify_authorisation(command.sender_key, transmission.auth, signed, b"", None)
            sender_id = self._entropy.random(16)
            chunk = self.chunks[sender_id] = Chunk(command)
            return SIds(sender_id, self._add(chunk, command.recipient_keys)), b""
        for sender_id, chunk in self.chunks.items():
            if transmission.entity_id == sender_id:
                verify_authorisation(chunk.new.sender_key, transmission.auth, signed, b"", None)
                return await self._for_sender(command, sender_id, chunk, request), b""
            if (key := chunk.recipients.get(transmission.entity_id)) is not None:
                verify_authorisation(key, transmission.auth, signed, b"", None)
                return self._for_recipient(command, transmission.entity_id, chunk)
        raise errors.XFTPError(errors.AUTH)

    def _add(self, chunk: Chunk, keys: tuple[Any, ...]) -> tuple[bytes, ...]:
        ids = tuple(self._entropy.random(16) for _ in keys)
        chunk.recipients |= dict(zip(ids, keys, strict=True))
        return ids

    async def _for_sender(self, command: Any, sender_id: bytes, chunk: Chunk, request: Request) -> FileAnswer:
        match command:
            case FAdd():
                return RIds(self._add(chunk, command.recipient_keys))
            case FPut():
                data = b"".join([bytes(piece) async for piece in request.body])
                if len(data) != chunk.new.size:
                    raise errors.XFTPError(errors.SIZE)
                if hashlib.sha256(data).digest() != chunk.new.digest:
                    raise errors.XFTPError(errors.DIGEST)
                chunk.data = data
                return Ok()
            case FDel():
                del self.chunks[sender_id]
                return Ok()
        raise errors.XFTPError(ErrorCode.cmd("PROHIBITED"))

    def _for_recipient(self, command: Any, recipient_id: bytes, chunk: Chunk) -> tuple[FileAnswer, bytes]:
        match command:
            case FGet():
                if chunk.data is None:
                    raise errors.XFTPError(errors.NO_FILE)
                own, nonce = X25519PrivateKey.generate(self._entropy), self._entropy.random(24)
                sealer, sealed = Sealer(own.exchange(command.key), nonce), bytearray(chunk.data)
                sealer.update(sealed, memoryview(sealed))
                return File(own.public(), nonce), self.change(bytes(sealed) + sealer.finish())
            case FAck():
                del chunk.recipients[recipient_id]
                return Ok(), b""
        raise errors.XFTPError(ErrorCode.cmd("PROHIBITED"))


@asynccontextmanager
async def a_file_relay() -> AsyncIterator[FileRelay]:
    relay = FileRelay()
    listener = await server.serve(relay.identity, "127.0.0.1", 0, relay.serve)
    relay.port = listener.port
    try:
        yield relay
    finally:
        await listener.close()


@asynccontextmanager
async def a_session(relay: FileRelay, response_timeout: float = 10) -> AsyncIterator[FileSession]:
    entropy = SeededEntropy("client")
    session = await connect(
        relay.server,
        network=FileRoutes(entropy),
        entropy=entropy,
        timeout=10,
        response_timeout=response_timeout,
        now=lambda: NOW,
    )
    try:
        yield session
    finally:
        await session.close()
