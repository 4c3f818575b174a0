"""The session that this relay, as a proxy, has with another relay (smp-wire 5.6)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime

from smpchat.crypto.entropy import Entropy
from smpchat.crypto.errors import CryptoError
from smpchat.encoding.reader import DecodeError, EncodeError
from smpchat.protocol import commands
from smpchat.protocol.address import SMPServer
from smpchat.protocol.block import decode_batch, encode_batches
from smpchat.protocol.command_codec import decode_broker, encode_command
from smpchat.protocol.commands import BrokerMessage
from smpchat.protocol.errors import ErrorCode, HandshakeError, IdentityError, ProtocolError, VersionError
from smpchat.protocol.forwarding import Forwarded, open_at_proxy, seal_for_relay
from smpchat.protocol.session import ClientHandshake, SMPSession
from smpchat.protocol.transmission import Transmission, decode_transmission, encode_transmission
from smpchat.protocol.version import PROXIED_VERSIONS, SMP_VERSIONS, VersionRange
from smpchat.transport.base import BlockConnection, ChainRefused, TransportError
from smpchat.transport.chain import verify_chain

_log = logging.getLogger("smpchat.relay")


class ProxyFailure(Exception):
    """A client's request to the proxy failed. The client gets ERR with ``code``."""

    def __init__(self, code: ErrorCode) -> None:
        self.code = code
        super().__init__(f"not forwarded: {code}")


def broker(*words: str, text: str | None = None) -> ProxyFailure:
    """Makes a `ProxyFailure` with ``PROXY BROKER …``, for an error between this relay and the other relay."""
    return ProxyFailure(ErrorCode(("PROXY", "BROKER", *words), None if text is None else text.encode()))


class RelaySession:
    """An open session with another relay; made by `open_relay_session`.

    Args:
        timeout: Seconds within which the other relay must answer a request.
        on_end: Function that is called once with this session, when the session has ended.
    Attributes:
        pkey: The PKEY that clients get for this session.
        finished: A task that is done once the session has ended and its connection is closed.
    """

    def __init__(
        self,
        connection: BlockConnection,
        smp: SMPSession,
        versions: VersionRange,
        secret: bytes,
        *,
        entropy: Entropy,
        timeout: float,
        on_end: Callable[[RelaySession], None],
    ) -> None:
        assert smp.signed_key is not None  # every version that works through a proxy has it
        self.pkey = commands.PKey(smp.session_id, versions, smp.chain, smp.signed_key)
        self._connection = connection
        self._smp = smp
        self._secret = secret
        self._entropy = entropy
        self._timeout = timeout
        self._waiting: dict[bytes, asyncio.Future[BrokerMessage]] = {}
        self._heard = 0
        self._ended = False
        self._closing: asyncio.Task[None] | None = None
        self._on_end = on_end
        self.finished = asyncio.get_running_loop().create_task(self._read())

    @property
    def idle(self) -> bool:
        """Whether the session has no unanswered requests."""
        return not self._waiting

    async def forward(self, forwarded: Forwarded) -> bytes:
        """Forwards a client's transmission. Returns the other relay's answer, encrypted for the client.

        Raises:
            ProxyFailure: The other relay answered with an error (``PROXY PROTOCOL`` with this error), or its answer
                cannot be decrypted (``CRYPTO``). Every other failure is ``PROXY BROKER`` with a cause such as TIMEOUT.
        """
        if self._ended:
            raise broker("NETWORK")
        corr_id = self._entropy.random(24)
        block = self._block(corr_id, forwarded)
        response: asyncio.Future[BrokerMessage] = asyncio.get_running_loop().create_future()
        response.add_done_callback(lambda done: done.cancelled() or done.exception())  # so asyncio does not report it
        self._waiting[corr_id] = response
        heard = self._heard
        try:
            async with asyncio.timeout(self._timeout):
                await self._connection.send([block])
                message = await response
        except TimeoutError:
            if self._heard == heard:  # the relay sent nothing at all: use a new connection for the next request
                self.end()
            raise broker("TIMEOUT") from None
        except TransportError:
            raise broker("NETWORK") from None
        finally:
            del self._waiting[corr_id]
        return self._open(corr_id, forwarded, message)

    def _block(self, corr_id: bytes, forwarded: Forwarded) -> bytes:
        version, session_id = self._smp.version, self._smp.session_id
        body = encode_command(commands.RFwd(seal_for_relay(self._secret, corr_id, forwarded)), version)
        data = encode_transmission(Transmission(corr_id, b"", body), version, session_id)
        try:
            [content] = encode_batches([data], encrypted=self._smp.encrypts)
        except EncodeError:
            raise broker("TRANSPORT", "LARGE_MSG") from None
        return self._smp.seal_block(content)

    def _open(self, corr_id: bytes, forwarded: Forwarded, message: BrokerMessage) -> bytes:
        match message:
            case commands.RRes(body):
                try:
                    answer = open_at_proxy(self._secret, corr_id, body)
                except CryptoError:
                    raise ProxyFailure(ErrorCode.CRYPTO) from None
                except DecodeError:
                    raise broker("RESPONSE", text="CMD SYNTAX") from None
                if answer.corr_id != forwarded.corr_id:
                    raise broker("UNEXPECTED", text="RRES")
                return answer.sealed
            case commands.Err(code):
                raise ProxyFailure(ErrorCode(("PROXY", "PROTOCOL", *code.words), code.text))
        raise broker("UNEXPECTED", text=type(message).__name__.upper())

    async def _read(self) -> None:
        try:
            while True:
                content = self._smp.open_block(await self._connection.receive())
                self._heard += 1
                for data in decode_batch(content):
                    self._settle(decode_transmission(data, self._smp.version, self._smp.session_id))
        except (TransportError, ProtocolError, DecodeError) as failure:
            _log.debug("the session with another relay ended: %s", failure)
        finally:
            self._end()
            await self._connection.close()

    def _settle(self, t: Transmission) -> None:
        response = self._waiting.get(t.corr_id)
        if response is None or response.done():
            return
        try:
            response.set_result(decode_broker(t.body, self._smp.version))
        except DecodeError:
            response.set_exception(broker("RESPONSE", text="CMD SYNTAX"))

    def _end(self) -> None:
        if self._ended:
            return
        self._ended = True
        for response in self._waiting.values():
            if not response.done():
                response.set_exception(broker("NETWORK"))
        self._on_end(self)

    def end(self) -> None:
        """Ends the session; unanswered requests fail. May be repeated."""
        self._end()
        if self._closing is None:  # closing the connection also ends the reading task
            self._closing = asyncio.get_running_loop().create_task(self._connection.close())


async def open_relay_session(
    connection: BlockConnection,
    server: SMPServer,
    *,
    entropy: Entropy,
    now: datetime,
    timeout: float,  # noqa: ASYNC109 - for later answers; the caller limits the opening
    on_end: Callable[[RelaySession], None],
) -> RelaySession:
    """Exchanges SMP hellos with another relay, and returns the session. If this fails, the connection is closed.

    Args:
        now: The time at which the other relay's certificates must be valid.
        timeout, on_end: See `RelaySession`.
    Raises:
        ProxyFailure: The other relay is not the one that ``server`` names, its hello is not valid, it supports no
            version that works through a proxy, or the connection ended.
    """
    try:
        handshake = ClientHandshake(
            server.key_hash, connection.session_id, connection.peer_leaf, SMP_VERSIONS, entropy, proxy=True
        )
        hello, smp = handshake.receive_hello(await connection.receive())
        versions = smp.versions.common(PROXIED_VERSIONS)
        if versions is None or smp.peer_session_key is None or smp.own_session_key is None:
            raise broker("TRANSPORT", "VERSION")
        verify_chain(smp.chain, server.key_hash, now)
        secret = smp.own_session_key.exchange(smp.peer_session_key)
        # Send our hello only after the checks above: a relay that is not the one in the address then only learns that
        # someone connected.
        await connection.send([hello])
        return RelaySession(connection, smp, versions, secret, entropy=entropy, timeout=timeout, on_end=on_end)
    except BaseException as failure:
        await connection.close()
        match failure:
            case IdentityError() | ChainRefused():
                raise broker("TRANSPORT", "HANDSHAKE", "IDENTITY") from failure
            case VersionError():
                raise broker("TRANSPORT", "VERSION") from failure
            case HandshakeError():
                raise broker("TRANSPORT", "HANDSHAKE", "PARSE") from failure
            case CryptoError():
                raise broker("TRANSPORT", "HANDSHAKE", "BAD_AUTH") from failure
            case TransportError():
                raise broker("NETWORK") from failure
        raise
