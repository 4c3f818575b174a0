"""Tests whether a file relay works: uploads the smallest chunk, downloads it, and deletes it again."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from smpchat.client.diagnosis import trouble_of
from smpchat.client.probe import Check, Stopwatch
from smpchat.client.trouble import Trouble
from smpchat.crypto.entropy import Entropy
from smpchat.crypto.errors import CryptoError
from smpchat.crypto.keys import Ed25519PrivateKey
from smpchat.encoding.reader import DecodeError
from smpchat.protocol.address import FileServerAddress
from smpchat.protocol.errors import ProtocolError
from smpchat.protocol.xftp.commands import CHUNK_SIZES
from smpchat.protocol.xftp.errors import AUTH, QUOTA, XFTPError
from smpchat.transport.base import TransportError
from smpchat.xftp.routes import FileRoutes
from smpchat.xftp.session import FileSession, connect

_SIZE = CHUNK_SIZES[0]


def _today() -> datetime:
    return datetime.now(UTC)


async def probe_files(
    address: FileServerAddress,
    report: Callable[[Check], None],
    *,
    network: FileRoutes,
    entropy: Entropy,
    timeout: float,  # noqa: ASYNC109 - for each step
    now: Callable[[], datetime] = _today,
) -> bool:
    """Test a relay with one chunk: connect, hello, FNEW, FPUT, FGET, FDEL.

    Args:
        address: The relay, with the password for new files if the relay needs one.
        report: Called after each step. The test stops at the first step that fails. Even then, smpchat tries to delete
            a chunk that it has created.
        timeout: Maximum number of seconds for the steps "connect" and "hello" together. A later step fails if the relay
            neither sends nor accepts anything for this many seconds.
        now: Calendar time, for the dates of certificates.
    Returns:
        Whether every step succeeded.
    """
    stopwatch = Stopwatch(report)

    async def open_session(greeted: Callable[[], object] = lambda: None) -> FileSession:
        return await connect(
            address.server,
            network=network,
            entropy=entropy,
            timeout=timeout,
            response_timeout=timeout,
            now=now,
            greeted=greeted,
        )

    stopwatch.next("connect")
    try:
        session = await open_session(lambda: stopwatch.next("hello"))
    except (TransportError, ProtocolError) as error:
        if stopwatch.name == "hello":
            stopwatch.passed("connect", "the relay was reached")
        stopwatch.failed(str(error), trouble_of(error))
        return False
    stopwatch.passed("connect", "over TLS")
    stopwatch.passed("hello", f"XFTP version {session.version}")
    walk = _Walk(session, address.password, entropy)
    try:
        for name, step in walk.steps():
            stopwatch.next(name)
            stopwatch.passed(name, await step())
    except (TransportError, ProtocolError, CryptoError, DecodeError) as error:
        stopwatch.failed(*_explain(stopwatch.name, error, address))
        return False
    finally:
        await walk.tidy(open_session)
    return True


class _Walk:
    """The steps of the test that use a chunk. smpchat is both the sender and the recipient of this chunk."""

    def __init__(self, session: FileSession, password: str | None, entropy: Entropy) -> None:
        self._session = session
        self._password = password
        self._sender_key = Ed25519PrivateKey.generate(entropy)
        self._recipient_key = Ed25519PrivateKey.generate(entropy)
        self._chunk = entropy.random(_SIZE)
        self._digest = hashlib.sha256(self._chunk).digest()
        self._sender_id = self._recipient_id = b""

    def steps(self) -> list[tuple[str, Callable[[], Awaitable[str]]]]:
        return [("FNEW", self._create), ("FPUT", self._put), ("FGET", self._get), ("FDEL", self._delete)]

    async def tidy(self, open_session: Callable[[], Awaitable[FileSession]]) -> None:
        """Try to delete the chunk if it still exists; then end the session."""
        with contextlib.suppress(TransportError, ProtocolError):
            if self._sender_id:
                if self._session.closed.is_set():
                    await self._session.close()
                    self._session = await open_session()
                await self._delete()
        await self._session.close()

    async def _create(self) -> str:
        keys = [self._recipient_key.public()]
        created = await self._session.create(self._sender_key, _SIZE, self._digest, keys, self._password)
        self._sender_id, (self._recipient_id,) = created
        return f"a file of {_SIZE // 1024} KiB was registered"

    async def _put(self) -> str:
        await self._session.put(self._sender_id, self._sender_key, _SIZE, [self._chunk])
        return f"{_SIZE // 1024} KiB were uploaded"

    async def _get(self) -> str:
        pieces = [
            bytes(piece)
            async for piece in self._session.get(self._recipient_id, self._recipient_key, _SIZE, self._digest)
        ]
        assert hmac.compare_digest(b"".join(pieces), self._chunk)
        return f"{_SIZE // 1024} KiB were downloaded unchanged"

    async def _delete(self) -> str:
        await self._session.delete(self._sender_id, self._sender_key)
        self._sender_id = b""
        return "the file was deleted"


def _explain(step: str, error: Exception, address: FileServerAddress) -> tuple[str, Trouble | None]:
    if isinstance(error, XFTPError):
        if step == "FNEW" and error.code == AUTH:
            if address.password:
                return "the relay refuses the password in its address, or does not allow new files", Trouble.PASSWORD
            return "the relay needs a password for new files, or does not allow new files", Trouble.PASSWORD
        if error.code == QUOTA:
            return "the relay has no space left for files", Trouble.RELAY_FULL
    return str(error), None
