"""A file relay inside a test's process and event loop. The relay keeps chunks in memory, and tests can make its
sessions fail."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from enum import Enum, auto

from smpchat.client.errors import SessionClosed
from smpchat.crypto.entropy import Entropy
from smpchat.crypto.keys import Ed25519PrivateKey, Ed25519PublicKey
from smpchat.encoding.record import Record
from smpchat.protocol.address import FileServer
from smpchat.protocol.errors import ErrorCode
from smpchat.protocol.xftp.errors import AUTH, DIGEST, NO_FILE, QUOTA, SIZE, XFTPError
from smpchat.transport.base import ConnectFailed

PIECE = 16 * 1024
"""Maximum number of bytes that a download yields in one step."""


class FileFaultKind(Enum):
    """What goes wrong with one request to a `MemoryFileRelay`."""

    REQUEST_LOST = auto()
    """The session ends before the relay executes the command."""
    ANSWER_LOST = auto()
    """The session ends after the relay has executed the command, or in the middle of a download."""
    STALLED = auto()
    """Nothing is sent or received for longer than a client waits for an answer."""
    CHANGED = auto()
    """One bit of the chunk is changed, in an upload or a download."""


class FileFault(Record):
    """A fault that happens once, at request number ``at``. Requests of all sessions are counted together, from 1."""

    at: int
    kind: FileFaultKind


STALL = 120.0
"""Seconds that a `FileFaultKind.STALLED` lasts: longer than a client waits for an answer."""


class _Stored:
    def __init__(self, sender: Ed25519PublicKey, size: int, digest: bytes) -> None:
        self.sender, self.size, self.digest = sender, size, digest
        self.data: bytes | None = None
        self.recipients: dict[bytes, Ed25519PublicKey] = {}


class MemoryFileRelay:
    """A file relay for tests. To a client, it behaves like a real XFTP relay.

    Attributes:
        up: Whether clients can connect.
        refuses: Names of commands that the relay does not execute, each with the error that it answers.
        refuses_id: The id of a chunk that cannot be downloaded, and the error that the relay answers.
        commands: The names of all commands received so far.
        on_command: Called with the name of each command before the command is executed.
        delay: Seconds that each request takes.
        sessions: Maximum number of sessions at the same time; None means that there is no limit.
        turned_away: How many sessions were refused because of the limit ``sessions``.
    """

    def __init__(self, server: FileServer, entropy: Entropy) -> None:
        self.server = server
        self.up = True
        self.password: str | None = None
        self.quota: int | None = None
        self.refuses: dict[str, ErrorCode] = {}
        self.refuses_id: tuple[bytes, ErrorCode] | None = None
        self.commands: list[str] = []
        self.on_command: Callable[[str], object] = lambda _: None
        self.delay = 0.0
        self.sessions: int | None = None
        self.turned_away = 0
        self.faults: list[FileFault] = []
        self._entropy = entropy
        self._chunks: dict[bytes, _Stored] = {}
        self._sessions: set[MemoryFileSession] = set()
        self.most_sessions = 0

    @property
    def used(self) -> int:
        """Total size of all uploaded chunks, in bytes."""
        return sum(len(chunk.data) for chunk in self._chunks.values() if chunk.data is not None)

    @property
    def registered(self) -> int:
        """Number of registered chunks, uploaded or not."""
        return len(self._chunks)

    def forget_all(self) -> None:
        """Forget all chunks, as if they had expired."""
        self._chunks.clear()

    def damage(self) -> None:
        """Change the first byte of every uploaded chunk."""
        for chunk in self._chunks.values():
            if chunk.data:
                chunk.data = bytes([chunk.data[0] ^ 1]) + chunk.data[1:]

    def stop(self) -> None:
        """End all sessions, and refuse new ones."""
        self.up = False
        for session in self._sessions:
            session.closed.set()

    async def connect(self, seconds: float) -> MemoryFileSession:
        """Open a session. Raises `ConnectFailed`."""
        if not self.up:
            raise ConnectFailed(f"cannot reach relay {self.server.authority}: the relay is down")
        self._sessions = {other for other in self._sessions if not other.closed.is_set()}
        if self.sessions is not None and len(self._sessions) >= self.sessions:
            self.turned_away += 1
            raise ConnectFailed(f"cannot reach relay {self.server.authority}: the test allows no more sessions")
        session = MemoryFileSession(self)
        self._sessions.add(session)
        self.most_sessions = max(self.most_sessions, len(self._sessions))
        return session

    def next_fault(self, name: str) -> FileFaultKind | None:
        """Count a request for the command ``name``. Returns the fault that the test chose for this request, or None."""
        self.commands.append(name)
        self.on_command(name)
        number = len(self.commands)
        return next((fault.kind for fault in self.faults if fault.at == number), None)

    # -- commands -----------------------------------------------------------------------------------------------------

    def create(
        self, sender: Ed25519PublicKey, size: int, digest: bytes, keys: Sequence[Ed25519PublicKey], password: str | None
    ) -> tuple[bytes, tuple[bytes, ...]]:
        self._refuse("FNEW")
        if self.password is not None and password != self.password:
            raise XFTPError(AUTH)
        sender_id = self._entropy.random(16)
        chunk = self._chunks[sender_id] = _Stored(sender, size, digest)
        for key in keys:
            chunk.recipients[self._entropy.random(16)] = key
        return sender_id, tuple(chunk.recipients)

    def check_put(self, sender_id: bytes, key: Ed25519PrivateKey) -> None:
        """Check the sender's key and the relay's quota, before the body of an upload is read."""
        self._refuse("FPUT")
        chunk = self._of_sender(sender_id, key)
        if self.quota is not None and chunk.data is None and self.used + chunk.size > self.quota:
            raise XFTPError(QUOTA)

    def put(self, sender_id: bytes, key: Ed25519PrivateKey, data: bytes) -> None:
        chunk = self._of_sender(sender_id, key)
        if len(data) != chunk.size:
            raise XFTPError(SIZE)
        if hashlib.sha256(data).digest() != chunk.digest:
            raise XFTPError(DIGEST)
        chunk.data = data

    def get(self, replica_id: bytes, key: Ed25519PrivateKey) -> bytes:
        self._refuse("FGET")
        if self.refuses_id is not None and self.refuses_id[0] == replica_id:
            raise XFTPError(self.refuses_id[1])
        for chunk in self._chunks.values():
            if chunk.recipients.get(replica_id) == key.public():
                if chunk.data is None:
                    raise XFTPError(NO_FILE)
                return chunk.data
        raise XFTPError(AUTH)

    def delete(self, sender_id: bytes, key: Ed25519PrivateKey) -> None:
        self._refuse("FDEL")
        self._of_sender(sender_id, key)
        del self._chunks[sender_id]

    def _refuse(self, name: str) -> None:
        if name in self.refuses:
            raise XFTPError(self.refuses[name])

    def _of_sender(self, sender_id: bytes, key: Ed25519PrivateKey) -> _Stored:
        chunk = self._chunks.get(sender_id)
        if chunk is None or chunk.sender != key.public():
            raise XFTPError(AUTH)
        return chunk


class MemoryFileSession:
    """A client's session with a `MemoryFileRelay`. The client must not send a request while its previous request is
    unanswered."""

    def __init__(self, relay: MemoryFileRelay) -> None:
        self._relay = relay
        self._busy = False
        self.closed = asyncio.Event()

    async def _begin(self, name: str) -> FileFaultKind | None:
        assert not self._busy, "a session handles only one request at a time"
        if self.closed.is_set():
            raise SessionClosed("the session has ended")
        self._busy = True
        fault = self._relay.next_fault(name)
        await asyncio.sleep(self._relay.delay)
        if fault is FileFaultKind.STALLED:
            await asyncio.sleep(STALL)
            self._lose()
        if fault is FileFaultKind.REQUEST_LOST or self.closed.is_set():
            self._lose()
        return fault

    def _lose(self) -> None:
        self.closed.set()
        raise SessionClosed("the session ended")

    def _end(self, fault: FileFaultKind | None) -> None:
        self._busy = False
        if fault is FileFaultKind.ANSWER_LOST:
            self._lose()

    async def create(
        self,
        sender_key: Ed25519PrivateKey,
        size: int,
        digest: bytes,
        recipient_keys: Sequence[Ed25519PublicKey],
        password: str | None,
    ) -> tuple[bytes, tuple[bytes, ...]]:
        """Register a new chunk (FNEW). Returns the sender's id of the chunk, and an id for each recipient."""
        fault = await self._begin("FNEW")
        try:
            return self._relay.create(sender_key.public(), size, digest, recipient_keys, password)
        finally:
            self._end(fault)

    async def put(
        self, sender_id: bytes, sender_key: Ed25519PrivateKey, size: int, body: AsyncIterator[memoryview]
    ) -> None:
        """Upload a chunk (FPUT)."""
        fault = await self._begin("FPUT")
        try:
            self._relay.check_put(sender_id, sender_key)
            data = bytearray()
            async for piece in body:
                data += piece
                if self.closed.is_set():
                    self._lose()
                await asyncio.sleep(0)
            if fault is FileFaultKind.CHANGED:
                data[0] ^= 1
            self._relay.put(sender_id, sender_key, bytes(data))
        except BaseException:
            self.closed.set()  # otherwise, the rest of the body would be read as the next request
            raise
        finally:
            self._end(fault)

    async def get(
        self, replica_id: bytes, key: Ed25519PrivateKey, size: int, digest: bytes
    ) -> AsyncGenerator[memoryview, None]:
        """Download a chunk (FGET)."""
        fault = await self._begin("FGET")
        try:
            data = bytearray(self._relay.get(replica_id, key))
            if fault is FileFaultKind.CHANGED:
                data[0] ^= 1
            for begin in range(0, len(data), PIECE):
                if self.closed.is_set() or (fault is FileFaultKind.ANSWER_LOST and begin >= len(data) // 2):
                    self._lose()
                yield memoryview(data)[begin : begin + PIECE]
                await asyncio.sleep(0)
            if len(data) != size or hashlib.sha256(data).digest() != digest:
                raise XFTPError(DIGEST)
        except BaseException:
            self.closed.set()
            raise
        finally:
            self._busy = False

    async def delete(self, sender_id: bytes, sender_key: Ed25519PrivateKey) -> None:
        """Delete a chunk (FDEL)."""
        fault = await self._begin("FDEL")
        try:
            self._relay.delete(sender_id, sender_key)
        finally:
            self._end(fault)

    async def close(self) -> None:
        """End the session."""
        self.closed.set()
