"""A client's connection for files: first the XFTP hellos, then one command per request (xftp-wire 1.3 and 2.1)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from smpchat.crypto.entropy import Entropy
from smpchat.crypto.keys import X25519PrivateKey
from smpchat.protocol.block import BLOCK_SIZE
from smpchat.protocol.errors import BlockError, ErrorCode, HandshakeError
from smpchat.protocol.transmission import SessionMismatch, Transmission
from smpchat.protocol.xftp import errors
from smpchat.protocol.xftp.command_codec import (
    CommandDecodeError,
    check_credentials,
    decode_command,
    encode_answer,
)
from smpchat.protocol.xftp.commands import Err, FileAnswer
from smpchat.protocol.xftp.errors import XFTPError
from smpchat.protocol.xftp.hello import receive_client_hello, refusal_block, server_hello
from smpchat.protocol.xftp.transmission import decode_block, encode_block
from smpchat.relay.errors import RelayStoreError
from smpchat.relay.files.commands import Asked, FileService, Reply
from smpchat.relay.files.counters import ConnectionCounts
from smpchat.relay.files.limits import FileLimits
from smpchat.relay.rates import Bucket
from smpchat.transport.base import ConnectionClosed
from smpchat.transport.identity import Identity

if TYPE_CHECKING:
    from smpchat.transport.http2.link import Body
    from smpchat.transport.http2.server import Request

_FIRST_VERSION = 1
"""The XFTP version if the client offers no ALPN. Such a client sends no hello (xftp-wire 1.1)."""

_log = logging.getLogger("smpchat.relay")


class BrokenOff(Exception):
    """A request or its answer is incomplete. The connection must be closed, so that the client notices this."""


class FileConnection:
    """A client's connection for files, after the TLS handshake.

    Args:
        session_id: The session identifier of TLS.
        alpn: The protocol name that TLS agreed on; None if the client offered none.
        counts: The counters of all connections for files; this connection adds to them.
        origin: The address or network under which `smpchat.relay.gate` counts the client; None if the gate does not
            limit the client's address.
    Attributes:
        version: The XFTP version; None until the XFTP hellos are complete.
    """

    def __init__(
        self,
        service: FileService,
        identity: Identity,
        session_id: bytes,
        alpn: str | None,
        *,
        entropy: Entropy,
        limits: FileLimits,
        clock: Callable[[], float],
        counts: ConnectionCounts,
        origin: str | None = None,
    ) -> None:
        self._origin = origin
        self.version: int | None = None
        if alpn is None:
            self._begin(_FIRST_VERSION, counts)
        self._service = service
        self._identity = identity
        self._session_id = session_id
        self._entropy = entropy
        self._limits = limits
        self._counts = counts
        self._session_key: X25519PrivateKey | None = None
        self._new_chunks = Bucket(limits.new_chunks, clock)
        self._at_once = asyncio.Semaphore(limits.requests)

    async def serve(self, request: Request) -> None:
        """Answers one request.

        Raises:
            StreamEnded: The client has cancelled this request; its other requests continue.
            BrokenOff: The request or its answer is incomplete. The caller must close the connection, so that the client
                notices this.
        """
        # Limit how many requests are handled at the same time. The body of a further request is not read, so HTTP/2's
        # flow-control window fills, and the client must wait before it sends the rest.
        async with self._at_once:
            try:
                await self._serve(request)
            except ConnectionClosed as error:
                from smpchat.transport.http2.link import StreamEnded  # already loaded, because there is a request

                if isinstance(error, StreamEnded):  # the client ended only this request, and may send others
                    raise
                raise BrokenOff(str(error)) from error

    async def _serve(self, request: Request) -> None:
        try:
            async with asyncio.timeout(self._limits.handshake):
                block = await request.body.take(BLOCK_SIZE)
        except TimeoutError:
            raise BrokenOff("a client took too long for a command") from None
        if self.version is None:
            await request.answer(self._hello(block))
        else:
            await self._reply(request, *await self._executed(block, request.body))

    def _hello(self, block: bytes) -> list[bytes]:
        """Handles the next block of the hellos, and returns the answer."""
        if self._session_key is None:
            if not block:
                hello, self._session_key = server_hello(
                    self._identity.chain, self._identity.sign, self._session_id, self._entropy
                )
                return [hello]
        else:
            try:
                self._begin(receive_client_hello(block, self._identity.fingerprint), self._counts)
                return []
            except HandshakeError as error:
                _log.debug("the handshake with a client for files failed: %s", error)
        self._count_refusal(errors.HANDSHAKE)
        return [refusal_block(XFTPError(errors.HANDSHAKE))]

    def _begin(self, version: int, counts: ConnectionCounts) -> None:
        self.version = version
        counts.accepted += 1

    def _count_refusal(self, code: ErrorCode) -> None:
        self._counts.refused[code.words[0]] += 1

    async def _executed(self, block: bytes, body: Body) -> tuple[Transmission | None, Reply]:
        """Executes the command in a block. Returns two values: the transmission of the command, or None if the
        block cannot be decoded; and the reply."""
        transmission = None
        try:
            transmission, signed = decode_block(block, self._session_id)
            command = decode_command(transmission.body)
            check_credentials(command, transmission.auth, transmission.entity_id)
        except SessionMismatch:
            return transmission, Reply(Err(errors.SESSION))
        except BlockError:
            return transmission, Reply(Err(errors.BLOCK))
        except CommandDecodeError as error:
            return transmission, Reply(Err(error.code))
        asked = Asked(command, transmission, signed, self._session_key, self._origin, self._new_chunks, aiter(body))
        return transmission, await self._service.answer(asked)

    async def _reply(self, request: Request, to: Transmission | None, reply: Reply) -> None:
        if isinstance(reply.answer, Err):
            self._count_refusal(reply.answer.error)
        block = self._block(to, reply.answer)
        if reply.sealed is None:
            await request.answer([block])
            return
        download = self._service.download(block, reply.sealed)
        try:
            async with asyncio.timeout(self._limits.transfer):
                await request.answer(download)
        except TimeoutError:
            raise BrokenOff("a client took too long for a file") from None
        except RelayStoreError as error:
            _log.error("%s", error)
            raise BrokenOff(str(error)) from error
        finally:
            download.close()

    def _block(self, to: Transmission | None, answer: FileAnswer) -> bytes:
        assert self.version is not None
        corr_id, entity_id = (b"", b"") if to is None else (to.corr_id, to.entity_id)
        return encode_block(Transmission(corr_id, entity_id, encode_answer(answer, self.version)), self._session_id)
