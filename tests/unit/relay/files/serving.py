"""A relay of files on loopback, and a client made of blocks only, for trying it from the outside."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ParamSpec

from smpchat.crypto.keys import AuthPrivateKey, Ed25519PrivateKey, X25519PrivateKey
from smpchat.crypto.secretbox import Opener
from smpchat.encoding.record import replace
from smpchat.protocol.block import BLOCK_SIZE, pad_block, unpad_block
from smpchat.protocol.transmission import Transmission, authorise, signed_bytes
from smpchat.protocol.xftp.command_codec import decode_answer, encode_command
from smpchat.protocol.xftp.commands import (
    Err,
    FGet,
    File,
    FileAnswer,
    FileCommand,
    FNew,
    FPut,
    Ok,
    SIds,
)
from smpchat.protocol.xftp.hello import FileClientHello, FileServerHello
from smpchat.protocol.xftp.transmission import decode_block, encode_block
from smpchat.relay.files.limits import FileLimits
from smpchat.relay.files.server import FileRelay
from smpchat.testing.entropy import SeededEntropy
from smpchat.transport.http2.client import HTTP2Client
from smpchat.transport.tls import client_context, client_stream
from smpchat.transport.tls_stream import TLSStream
from tests.unit.relay.support import NOW, an_identity

P = ParamSpec("P")
PATIENCE = 20.0
SIZE = 65_536
SENDER, RECIPIENT = Ed25519PrivateKey(b"s" * 32), Ed25519PrivateKey(b"r" * 32)
LIMITS = FileLimits(free=0)


def on_loop(test: Callable[P, Coroutine[None, None, None]]) -> Callable[P, None]:
    """A test that awaits."""

    @functools.wraps(test)
    def within(*arguments: P.args, **named: P.kwargs) -> None:
        asyncio.run(test(*arguments, **named))

    return within


async def until(condition: Callable[[], bool]) -> None:
    """Waits for what the relay notices a moment after it has happened, such as a connection's end."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)


@asynccontextmanager
async def a_file_relay(
    folder: Path,
    *,
    password: str | None = None,
    new_files: bool = True,
    limits: FileLimits = LIMITS,
    now: float = NOW,
) -> AsyncIterator[FileRelay]:
    folder.mkdir(exist_ok=True)  # noqa: ASYNC240 - nothing else runs yet
    relay = FileRelay(
        folder / "files",
        an_identity(),
        entropy=SeededEntropy("file relay"),
        clock=lambda: now,
        password=password,
        new_files=new_files,
        limits=limits,
    )
    try:
        await relay.start("127.0.0.1")
        yield relay
    finally:
        await relay.close()


class Asker:
    """One connection to a relay of files."""

    def __init__(self, link: HTTP2Client) -> None:
        self.link = link
        self.server_hello: FileServerHello | None = None

    async def body(self, *parts: bytes) -> bytes:
        """The whole answer to a body."""
        async with asyncio.timeout(PATIENCE):
            answer = await self.link.request(parts)
            assert answer.status == 200
            return b"".join([bytes(piece) async for piece in answer.body])

    async def shake_hands(self, version: int = 3, key_hash: bytes | None = None) -> bytes:
        """What the relay says to the client's hello; empty if it takes it."""
        self.server_hello = FileServerHello.decode(unpad_block(await self.body()))
        hello = FileClientHello(version, an_identity().fingerprint if key_hash is None else key_hash)
        return await self.body(pad_block(hello.encode()))

    def block(
        self,
        command: FileCommand | bytes,
        entity_id: bytes = b"",
        key: AuthPrivateKey | None = None,
        *,
        auth: bytes = b"",
        corr_id: bytes = b"",
        session_id: bytes | None = None,
    ) -> bytes:
        """Signed with ``key``, or with ``auth`` as it is."""
        encoded = command if isinstance(command, bytes) else encode_command(command)
        session_id = self.link.session_id if session_id is None else session_id
        if key is not None:
            session_key = None
            if isinstance(key, X25519PrivateKey):
                from smpchat.protocol.session import open_signed_key

                assert self.server_hello is not None
                session_key = open_signed_key(self.server_hello.signed_key, an_identity().key.public())
            auth = authorise(key, signed_bytes(session_id, corr_id, entity_id, encoded), corr_id, session_key)
        return encode_block(Transmission(corr_id, entity_id, encoded, auth), session_id)

    def read(self, block: bytes) -> tuple[bytes, bytes, FileAnswer]:
        """Correlation id, entity id and answer in a block."""
        transmission, _ = decode_block(block, self.link.session_id)
        assert transmission.auth == b""
        return transmission.corr_id, transmission.entity_id, decode_answer(transmission.body)

    async def ask(
        self,
        command: FileCommand | bytes,
        entity_id: bytes = b"",
        key: AuthPrivateKey | None = None,
        data: Sequence[bytes] = (),
        *,
        auth: bytes = b"",
    ) -> FileAnswer:
        corr, entity, answer = self.read(await self.body(self.block(command, entity_id, key, auth=auth), *data))
        assert (corr, entity) == (b"", entity_id)
        return answer

    async def register(
        self,
        content: bytes,
        recipients: int = 1,
        *,
        size: int | None = None,
        password: bytes | None = None,
        sender: AuthPrivateKey = SENDER,
        recipient: AuthPrivateKey = RECIPIENT,
    ) -> SIds:
        answer = await self.ask(
            FNew(
                sender.public(),
                len(content) if size is None else size,
                hashlib.sha256(content).digest(),
                (recipient.public(),) * recipients,
                password,
            ),
            key=sender,
        )
        assert isinstance(answer, SIds), answer
        return answer

    async def put(self, ids: SIds, content: bytes) -> FileAnswer:
        return await self.ask(FPut(), ids.sender_id, SENDER, [content])

    async def get(self, recipient_id: bytes, key: AuthPrivateKey = RECIPIENT) -> bytes | Err:
        own = X25519PrivateKey.generate(SeededEntropy(f"get {recipient_id.hex()}"))
        body = await self.body(self.block(FGet(own.public()), recipient_id, key))
        _, _, answer = self.read(body[:BLOCK_SIZE])
        if isinstance(answer, Err):
            assert len(body) == BLOCK_SIZE
            return answer
        assert isinstance(answer, File)
        sealed, tag = body[BLOCK_SIZE:-16], body[-16:]
        opener, content = Opener(own.exchange(answer.key), answer.nonce), bytearray(len(sealed))
        opener.update(sealed, memoryview(content))
        opener.finish(tag)
        return bytes(content)

    async def upload(self, content: bytes, recipients: int = 1) -> SIds:
        ids = await self.register(content, recipients)
        assert await self.put(ids, content) == Ok()
        return ids

    async def close(self) -> None:
        await self.link.close()


async def connect(
    relay: FileRelay,
    *,
    alpn: Sequence[str] = ("xftp/1",),
    settings: Callable[[ssl.SSLContext], Any] = lambda context: context,
) -> Asker:
    """A connection before its hellos. ``settings``: changes those of TLS."""
    context = settings(client_context(alpn))

    async def begin(stream: TLSStream) -> HTTP2Client:
        return HTTP2Client(stream, "127.0.0.1")

    async with asyncio.timeout(PATIENCE):
        connected = socket.create_connection(("127.0.0.1", relay.port))
        connected.setblocking(False)
        return Asker(await client_stream(connected, context, begin))


@asynccontextmanager
async def a_client(relay: FileRelay, version: int = 3) -> AsyncIterator[Asker]:
    asker = await connect(relay)
    try:
        assert await asker.shake_hands(version) == b""
        yield asker
    finally:
        await asker.close()


def limits(**changes: Any) -> FileLimits:
    return replace(LIMITS, **changes)
