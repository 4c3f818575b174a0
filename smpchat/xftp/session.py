"""A session with a file relay: the hello, then one request after the other (xftp-wire 1.3 and 2.2).

A request that fails halfway ends the session, because parts of the request or of its answer may still be on their way.
If the relay answers ERR, the session continues, except after an upload (xftp-wire trap 12).
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import itertools
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from smpchat.client.errors import ResponseTimeout, SessionClosed, UnexpectedResponse
from smpchat.client.identity import check_identity
from smpchat.client.session import trace
from smpchat.crypto.entropy import Entropy
from smpchat.crypto.errors import CryptoError
from smpchat.crypto.keys import Ed25519PrivateKey, Ed25519PublicKey, X25519PrivateKey
from smpchat.encoding.reader import Buffer, DecodeError
from smpchat.protocol.address import FileServer
from smpchat.protocol.block import BLOCK_SIZE
from smpchat.protocol.errors import LocalProtocolError, RemoteProtocolError
from smpchat.protocol.version import VersionRange
from smpchat.protocol.xftp.command_codec import decode_answer, encode_command, password_bytes
from smpchat.protocol.xftp.commands import (
    Err,
    FAck,
    FAdd,
    FDel,
    FGet,
    File,
    FileAnswer,
    FileCommand,
    FNew,
    FPut,
    Ok,
    Ping,
    Pong,
    RIds,
    SIds,
)
from smpchat.protocol.xftp.errors import XFTPError
from smpchat.protocol.xftp.hello import XFTP_VERSIONS, check_acceptance, receive_server_hello
from smpchat.protocol.xftp.transmission import decode_block, signed_block
from smpchat.transport.base import ConnectFailed, ConnectionClosed
from smpchat.xftp.chunks import TAG_SIZE
from smpchat.xftp.errors import ChunkDamaged
from smpchat.xftp.routes import FileRoutes

if TYPE_CHECKING:
    from hashlib import _Hash

    from smpchat.crypto.secretbox import Opener
    from smpchat.transport.http2.client import Answer, HTTP2Client

RESPONSE_TIMEOUT = 30.0
"""The session ends if the relay neither sends nor accepts anything for this many seconds (xftp-wire 1.2)."""
SLOWEST = 16 * 1024
"""The lowest average rate of a chunk's transfer that we accept, in bytes a second. With this rate, the largest chunk
takes a little less than the five minutes that a relay waits for a chunk. The SimpleX app demands 80 KiB a second, so it
fails on slow lines."""
MAX_KEYS = 200
"""Maximum number of recipients in one command; FADD commands add the other recipients, as in the app (xftp-wire
2.2)."""
_PART = 64 * 1024
_BATCH = 512 * 1024
"""Bytes that are decrypted together: with fewer, switching to the thread that decrypts would take longer than
decrypting."""


A = TypeVar("A", SIds, RIds, File, Ok, Pong)


def _today() -> datetime:
    return datetime.now(UTC)


async def connect(
    server: FileServer,
    *,
    network: FileRoutes,
    entropy: Entropy,
    timeout: float,  # noqa: ASYNC109 - for connecting and the hellos together
    versions: VersionRange = XFTP_VERSIONS,
    response_timeout: float = RESPONSE_TIMEOUT,
    now: Callable[[], datetime] = _today,
    greeted: Callable[[], object] = lambda: None,
) -> FileSession:
    """Open a session with ``server``.

    Args:
        server: The relay. The hosts in its address are tried in order.
        network: Opens the connection.
        entropy: Makes a new key for each download of a chunk.
        versions: The XFTP versions that we offer.
        response_timeout: A request fails if the relay neither sends nor accepts anything for this many seconds.
        now: Calendar time, for the dates of certificates.
        greeted: Called when the relay is reached, before the hellos.
    Raises:
        ConnectFailed: No host was reached. The message is ``cannot reach relay HOST:PORT: …``.
        HandshakeError: The relay is not the one in its address, or has no version in common with us.
        XFTPError: The relay refuses the connection.
    """
    deadline = asyncio.get_running_loop().time() + timeout
    connection = await network.connect(server, timeout=timeout)
    try:
        greeted()
        async with asyncio.timeout_at(deadline):
            version = await _greet(connection, server, versions, now)
    except TimeoutError:
        await connection.close()
        raise ConnectFailed(f"cannot reach relay {server.authority}: no hello within {timeout:.3g} s") from None
    except ConnectionClosed as error:
        await connection.close()
        raise ConnectFailed(f"cannot reach relay {server.authority}: {error} during the handshake") from error
    except BaseException:
        await connection.close()
        raise
    return FileSession(connection, server, version, entropy, response_timeout)


async def _greet(
    connection: HTTP2Client, server: FileServer, versions: VersionRange, now: Callable[[], datetime]
) -> int:
    answer = await connection.request(())
    hello = await answer.body.take(BLOCK_SIZE)
    agreed = receive_server_hello(hello, server.key_hash, connection.session_id, connection.peer_leaf, versions)
    # The relay's identity must be checked before we send our hello: the commands that follow our hello contain secrets
    # for this relay only.
    check_identity(agreed.chain, server.key_hash, now())
    answer = await connection.request((agreed.answer,))
    check_acceptance(await answer.body.take(BLOCK_SIZE))
    return agreed.version


class FileSession:
    """A session with a file relay; `connect` makes it. A session can run only one request at a time.

    Every request raises `XFTPError` if the relay answers ERR, and `NoResponse`, a `TransportError`, if there is no
    usable answer. After `NoResponse` the session has ended, and the relay may still have executed the request.

    Attributes:
        server: The relay at the other end of the session.
        version: The XFTP version of the session.
    """

    def __init__(
        self, connection: HTTP2Client, server: FileServer, version: int, entropy: Entropy, response_timeout: float
    ) -> None:
        self.server = server
        self.version = version
        self._connection = connection
        self._entropy = entropy
        self._response_timeout = response_timeout
        self._closed = asyncio.Event()
        self._reason: SessionClosed | None = None
        self._busy = False

    @property
    def closed(self) -> asyncio.Event:
        """An event, which is set when the session has ended. If the connection is lost between two requests, the event
        is set only when you read the property ``closed``. So read ``closed`` before each request."""
        if not self._closed.is_set() and self._connection.is_lost:
            self._end("the relay closed the connection", None)
        return self._closed

    @property
    def close_reason(self) -> SessionClosed | None:
        """Why the session ended; None while it is open."""
        return self._reason

    # -- for senders --------------------------------------------------------------------------------------------------

    async def create(
        self,
        sender_key: Ed25519PrivateKey,
        size: int,
        digest: bytes,
        recipient_keys: Sequence[Ed25519PublicKey],
        password: str | None = None,
    ) -> tuple[bytes, tuple[bytes, ...]]:
        """Register a chunk at the relay, so that `put` can upload it.

        Args:
            size: One of `CHUNK_SIZES`.
            digest: SHA-256 of the chunk's bytes.
            recipient_keys: One public key for each recipient, and at least one.
            password: The password that the relay needs for uploads; None if it needs none.
        Returns:
            The sender's id, and the recipients' ids in the order of ``recipient_keys``.
        """
        first, rest = tuple(recipient_keys[:MAX_KEYS]), tuple(recipient_keys[MAX_KEYS:])
        command = FNew(sender_key.public(), size, digest, first, password_bytes(password))
        answer = await self._ask(command, b"", sender_key, SIds)
        ids = self._checked_ids(answer.recipient_ids, first)
        if not answer.sender_id:
            raise self._broken("an empty id")
        if rest:
            ids += await self.add_recipients(answer.sender_id, sender_key, rest)
        return answer.sender_id, ids

    async def add_recipients(
        self, sender_id: bytes, sender_key: Ed25519PrivateKey, recipient_keys: Sequence[Ed25519PublicKey]
    ) -> tuple[bytes, ...]:
        """Let more recipients download a chunk. Returns the ids of these recipients, in the order of
        ``recipient_keys``."""
        ids: tuple[bytes, ...] = ()
        for start in range(0, len(recipient_keys), MAX_KEYS):
            some = tuple(recipient_keys[start : start + MAX_KEYS])
            answer = await self._ask(FAdd(some), sender_id, sender_key, RIds)
            ids += self._checked_ids(answer.recipient_ids, some)
        return ids

    async def put(
        self,
        sender_id: bytes,
        sender_key: Ed25519PrivateKey,
        size: int,
        body: AsyncIterator[Buffer] | Iterable[Buffer],
    ) -> None:
        """Upload a chunk. An upload may be repeated, because the relay accepts a chunk that it already has.

        Args:
            body: The ``size`` bytes of the chunk, in parts. If ``body`` raises an error, the session ends, and `put`
                raises the same error.
        """
        async with self._request():
            async with asyncio.timeout(self._response_timeout) as limit:
                block = signed_block(sender_key, self._connection.session_id, sender_id, encode_command(FPut()))
                answer = await self._connection.request(_paced(block, body, size, limit, self._response_timeout))
            found = await self._read_answer(FPut(), sender_id, answer)
            if isinstance(found, Err) or not answer.request_was_sent:
                # Unread bytes use up the relay's HTTP/2 window for good (xftp-wire trap 12).
                self._end("an upload was refused", None)
            self._expect(found, Ok)

    async def delete(self, sender_id: bytes, sender_key: Ed25519PrivateKey) -> None:
        """Delete a chunk, for all recipients."""
        await self._ask(FDel(), sender_id, sender_key, Ok)

    # -- for recipients -----------------------------------------------------------------------------------------------

    async def get(
        self, recipient_id: bytes, recipient_key: Ed25519PrivateKey, size: int, digest: bytes
    ) -> AsyncGenerator[memoryview, None]:
        """Download a chunk in pieces, which are authentic only once the iteration has ended without an error.

        The pieces use two buffers in turn. So when the caller asks for the third piece, the first piece is overwritten,
        and so on.

        Args:
            size, digest: The chunk's size and SHA-256, from the description of the file.
        Raises:
            ChunkDamaged: The relay sent bytes that are not this chunk. `ChunkDamaged` may be raised at any time, even
                after the last piece.
        """
        async with self._request():
            own = X25519PrivateKey.generate(self._entropy)
            command = FGet(own.public())
            found, answer = await self._send(command, recipient_id, recipient_key)
            file = self._expect(found, File)
            try:
                secret = own.exchange(file.key)
            except CryptoError as error:
                raise ChunkDamaged("the key in the relay's answer is not valid") from error
            from smpchat.crypto.secretbox import Opener  # takes 10 ms to import, so only for downloads

            opener, hashed, left, tag = Opener(secret, file.nonce), hashlib.sha256(), size, b""
            opening: asyncio.Future[memoryview] | None = None
            # Use the same two buffers in turn: allocating memory for every piece would take as long as decrypting it.
            spaces = itertools.cycle([memoryview(bytearray(min(size, _BATCH + _PART))) for _ in range(2)])
            async with aclosing(self._batches(answer, size)) as batches:
                async for sealed, behind in batches:
                    if opening is not None:
                        yield await opening
                    # Decrypt in a thread, while the next pieces arrive: decryption and digest take as long as all other
                    # work of a download.
                    loop = asyncio.get_running_loop()
                    opening = loop.run_in_executor(None, _opened, opener, hashed, sealed, next(spaces))
                    left, tag = left - sum(map(len, sealed)), behind
            if opening is not None:
                yield await opening
            if left or len(tag) != TAG_SIZE:
                raise ChunkDamaged("the chunk is shorter than it should be")
            try:
                opener.finish(tag)
            except CryptoError as error:
                raise ChunkDamaged("the chunk was changed on its way") from error
            if not hmac.compare_digest(hashed.digest(), digest):
                raise ChunkDamaged("the chunk has the wrong digest")

    async def _batches(self, answer: Answer, size: int) -> AsyncGenerator[tuple[list[memoryview], bytes], None]:
        """Read the body of an answer to FGET: the encrypted chunk, then its tag. Yields pairs: several pieces of the
        encrypted chunk, and the bytes of the tag that have arrived so far.

        Raises:
            ChunkDamaged: The body is longer than the chunk and its tag.
        """
        loop, seconds = asyncio.get_running_loop(), self._response_timeout
        deadline = loop.time() + seconds + size / SLOWEST
        left, waiting, tag = size, [], bytearray()
        while True:
            async with asyncio.timeout_at(min(loop.time() + seconds, deadline)):
                piece = await answer.body.next()
            if piece is not None:
                sealed, rest = piece[:left], piece[left:]
                tag += rest
                if len(tag) > TAG_SIZE:
                    raise ChunkDamaged("the chunk is longer than it should be")
                left -= len(sealed)
                waiting.append(sealed)
            if piece is None or sum(map(len, waiting)) >= _BATCH:
                yield waiting, bytes(tag)
                waiting = []
            if piece is None:
                return

    async def acknowledge(self, recipient_id: bytes, recipient_key: Ed25519PrivateKey) -> None:
        """Tell the relay that we have the chunk; after that, we cannot download it again."""
        await self._ask(FAck(), recipient_id, recipient_key, Ok)

    async def ping(self) -> None:
        """Check that the relay still answers."""
        await self._ask(Ping(), b"", None, Pong)

    async def close(self) -> None:
        """End the session. May be repeated."""
        self._end("this program closed it", None)
        await self._connection.close()

    # -- requests -----------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _request(self) -> AsyncIterator[None]:
        """Run one request: an error inside the ``async with`` block ends the session, unless the relay answered ERR."""
        if self._busy:
            raise LocalProtocolError("a session with a file relay handles one request at a time")
        if self.closed.is_set():
            raise SessionClosed(str(self._reason)) from self._reason
        self._busy = True
        try:
            yield
        except TimeoutError:
            self._end("the relay does not answer", None)
            raise ResponseTimeout(f"relay {self.server.host} did not answer in time") from None
        except ChunkDamaged as error:
            self._end(str(error), error)  # the rest of this answer may still be on its way
            raise
        except XFTPError:
            raise
        except (ConnectionClosed, RemoteProtocolError, DecodeError) as error:
            self._end(str(error), error)
            raise SessionClosed(f"relay {self.server.host}: {error}") from error
        except BaseException as error:
            self._end("a request was broken off", error if isinstance(error, Exception) else None)
            raise
        finally:
            self._busy = False
            if self._closed.is_set():
                self._connection.abort()

    def _end(self, reason: str, cause: Exception | None) -> None:
        if self._reason is None:
            self._reason = SessionClosed(reason)
            self._reason.__cause__ = cause
            self._closed.set()

    async def _ask(self, command: FileCommand, entity_id: bytes, key: Ed25519PrivateKey | None, expected: type[A]) -> A:
        async with self._request():
            found, _ = await self._send(command, entity_id, key)
            return self._expect(found, expected)

    async def _send(
        self, command: FileCommand, entity_id: bytes, key: Ed25519PrivateKey | None
    ) -> tuple[FileAnswer, Answer]:
        """Send a command of one block, and return the relay's answer."""
        block = signed_block(key, self._connection.session_id, entity_id, encode_command(command))
        async with asyncio.timeout(self._response_timeout):
            answer = await self._connection.request((block,))
        return await self._read_answer(command, entity_id, answer), answer

    async def _read_answer(self, command: FileCommand, entity_id: bytes, answer: Answer) -> FileAnswer:
        self._trace(">", command)
        if answer.status != 200:
            raise self._broken(f"HTTP status {answer.status}")
        async with asyncio.timeout(self._response_timeout):
            block = await answer.body.take(BLOCK_SIZE)
        transmission, _ = decode_block(block, self._connection.session_id)
        found = decode_answer(transmission.body)
        self._trace("<", found)
        # Some ERR answers contain an empty id instead of the chunk's id. So does the answer to FNEW, because the chunk
        # had no id when we sent FNEW (xftp-wire 2.1).
        if transmission.entity_id not in (entity_id, b""):
            raise self._broken("the id of a different chunk")
        return found

    def _expect(self, found: FileAnswer, expected: type[A]) -> A:
        if isinstance(found, Err):
            raise XFTPError(found.error)
        if not isinstance(found, expected):
            raise self._broken(type(found).__name__.upper())
        return found

    def _checked_ids(self, ids: tuple[bytes, ...], keys: Sequence[Ed25519PublicKey]) -> tuple[bytes, ...]:
        if len(ids) != len(keys) or len(set(ids)) != len(ids) or not all(ids):
            raise self._broken("a wrong number of ids for recipients")
        return ids

    def _broken(self, what: str) -> UnexpectedResponse:
        error = UnexpectedResponse(f"relay {self.server.host} answered with {what}")
        self._end(str(error), RemoteProtocolError(str(error)))
        return error

    def _trace(self, direction: str, message: FileCommand | FileAnswer) -> None:
        name = type(message).__name__.upper()
        words = " ".join((name, *message.error.words)) if isinstance(message, Err) else name
        trace.debug("%s %-8s %s", direction, words, self.server.host)


def _opened(opener: Opener, hashed: _Hash, pieces: list[memoryview], space: memoryview) -> memoryview:
    """Decrypt some pieces of a chunk into ``space``, and add them to the digest ``hashed``."""
    size, at = sum(map(len, pieces)), 0
    output = (space if len(space) >= size else memoryview(bytearray(size)))[:size]
    for piece in pieces:
        opener.update(piece, output[at : at + len(piece)])
        at += len(piece)
    hashed.update(output)
    return output


async def _each(parts: AsyncIterator[Buffer] | Iterable[Buffer]) -> AsyncIterator[Buffer]:
    if isinstance(parts, AsyncIterator):
        async for part in parts:
            yield part
    else:
        for part in parts:
            yield part


async def _paced(
    block: bytes, body: AsyncIterator[Buffer] | Iterable[Buffer], size: int, limit: asyncio.Timeout, seconds: float
) -> AsyncIterator[Buffer]:
    """The parts of an upload, each so small that even a slow relay accepts it within the time limit ``seconds``."""
    loop = asyncio.get_running_loop()
    yield block
    left = size
    async for piece in _each(body):
        if len(piece) > left:
            raise LocalProtocolError("more bytes were given than the chunk has")
        view = memoryview(piece)
        for start in range(0, len(view), _PART):
            limit.reschedule(loop.time() + seconds)
            part = view[start : start + _PART]
            left -= len(part)
            if not left:  # from here on, we cannot see how much is still on its way
                limit.reschedule(loop.time() + seconds + size / SLOWEST)
            yield part
    if left:
        raise LocalProtocolError("fewer bytes were given than the chunk has")
