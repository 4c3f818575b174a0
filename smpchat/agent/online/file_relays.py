"""File relays, as an online process uses them: one or two sessions with each, one request at a time in each session,
and a pause after each failure."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Collection, Sequence
from typing import Protocol

from smpchat.agent.machines.file_transfer import RESTS
from smpchat.client.diagnosis import trouble_of
from smpchat.client.trouble import Trouble
from smpchat.crypto.entropy import Entropy
from smpchat.crypto.keys import Ed25519PrivateKey, Ed25519PublicKey
from smpchat.encoding.record import Record
from smpchat.protocol.address import FileServer, FileServerAddress
from smpchat.protocol.errors import ProtocolError
from smpchat.protocol.xftp.errors import XFTPError
from smpchat.transport.base import ConnectFailed, TransportError

log = logging.getLogger("smpchat.agent")

CONNECT_TIMEOUT = 45.0
"""Seconds to wait for a session if no other relay can help (xftp-wire 1.2)."""
NEXT_RELAY_AFTER = 6.0
"""Seconds to wait for a session if another relay could take the chunk."""
KEPT_IDLE = 30.0
"""Seconds for which an unused session stays open."""


class FileRelaySession(Protocol):
    """A session with a file relay; it handles one request at a time. All methods raise `TransportError` and
    `ProtocolError`."""

    @property
    def closed(self) -> asyncio.Event:
        """Set when the session has ended."""
        ...

    async def create(
        self,
        sender_key: Ed25519PrivateKey,
        size: int,
        digest: bytes,
        recipient_keys: Sequence[Ed25519PublicKey],
        password: str | None,
    ) -> tuple[bytes, tuple[bytes, ...]]:
        """Register a chunk. Returns the ids that the relay gave the chunk: one for its sender, and one for each
        recipient."""
        ...

    async def put(
        self, sender_id: bytes, sender_key: Ed25519PrivateKey, size: int, body: AsyncIterator[memoryview]
    ) -> None:
        """Upload a chunk."""
        ...

    def get(
        self, replica_id: bytes, key: Ed25519PrivateKey, size: int, digest: bytes
    ) -> AsyncGenerator[memoryview, None]:
        """Download a chunk. If the bytes that the relay sends do not match ``digest``, an error is raised, at the
        latest after the last piece."""
        ...

    async def delete(self, sender_id: bytes, sender_key: Ed25519PrivateKey) -> None:
        """Delete a chunk."""
        ...

    async def close(self) -> None:
        """End the session."""
        ...


ConnectFiles = Callable[[FileServer, float], Awaitable[FileRelaySession]]
"""Opens a session, within the given number of seconds. Raises `TransportError` and `ProtocolError`."""
ChooseFileServers = Callable[[frozenset[str]], Awaitable[Sequence[FileServerAddress]]]
"""Returns the relays where chunks may be put, the best one first; the argument is the set of addresses of relays that
cannot be used now. The function may start the embedded relay. Raises `TransportError` if there is no relay."""


class FileNetwork(Record):
    """Two functions: one opens sessions with file relays, the other chooses the relays to which chunks are uploaded."""

    connect: ConnectFiles
    choose: ChooseFileServers


class Failure(Record):
    """Why a relay did not do what it was asked, in a form that can be stored."""

    kind: Trouble
    error: str


def failure_of(server: FileServer, error: Exception, *, registering: bool = False) -> Failure:
    """Turns an error of a session into a `Failure`. ``registering``: the error is an answer to FNEW, so AUTH means that
    the relay did not accept our password."""
    if isinstance(error, XFTPError):
        return Failure(_trouble_of_answer(error, registering=registering), f"relay {server.host}: {error.code}")
    return Failure(trouble_of(error), str(error))


def _trouble_of_answer(error: XFTPError, *, registering: bool) -> Trouble:
    if error.code.is_blocked:
        return Trouble.BLOCKED
    match error.code.words[0]:
        case "AUTH":
            return Trouble.PASSWORD if registering else Trouble.GONE
        case "NO_FILE":
            return Trouble.NOT_UPLOADED
        case "QUOTA":
            return Trouble.RELAY_FULL
        case "DIGEST" | "SIZE" | "CRYPTO":
            return Trouble.DAMAGED
        case "INTERNAL" | "FILE_IO" | "TIMEOUT":
            return Trouble.CANNOT_STORE
    return Trouble.FAULTY


class Lane:
    """One of at most two sessions with a file relay; requests in a session are made one after the other. This class has
    nothing to do with the lanes of the outbox.

    Attributes:
        first: True for the first session with a relay, which is used for all requests; False for the second session,
            which only transfers chunks.
    """

    def __init__(self, *, first: bool) -> None:
        self.first = first
        self.session: FileRelaySession | None = None
        self.busy = False
        self.idle: asyncio.TimerHandle | None = None


class _Relay:
    def __init__(self) -> None:
        self.lane, self.second = Lane(first=True), Lane(first=False)
        self.attempts = 0
        self.resting: asyncio.TimerHandle | None = None
        self.takes_two = True

    @property
    def lanes(self) -> tuple[Lane, Lane]:
        return self.lane, self.second


class FileRelays:
    """The file relays that one process uses.

    If there is much to transfer, two sessions with a relay are used: while the relay writes a chunk from one session to
    its disk, the next chunk arrives through the other session.

    Args:
        wake: Called when the pause of a relay is over.
    """

    def __init__(self, connect: ConnectFiles, entropy: Entropy, wake: Callable[[], object]) -> None:
        self._connect = connect
        self._entropy = entropy
        self._wake = wake
        self._relays: dict[FileServer, _Relay] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def _relay(self, server: FileServer) -> _Relay:
        return self._relays.setdefault(server, _Relay())

    def is_free(self, server: FileServer) -> bool:
        """Whether the relay's first session may be used now: nobody is using it, and the relay does not rest after a
        failure (see `rest`)."""
        relay = self._relays.get(server)
        return relay is None or (not relay.lane.busy and relay.resting is None)

    def has_second(self, server: FileServer) -> bool:
        """Whether a second session with the relay may be used now, at the same time as the first."""
        relay = self._relays.get(server)
        return relay is not None and relay.takes_two and not relay.second.busy and relay.resting is None

    def is_reached(self, server: FileServer) -> bool:
        """Whether there is a session with the relay."""
        relay = self._relays.get(server)
        return relay is not None and any(lane.session and not lane.session.closed.is_set() for lane in relay.lanes)

    def dials(self) -> int:
        """Number of relays that are in use (see `begin`), but with which no session is open yet."""
        return sum(relay.lane.busy and not self.is_reached(server) for server, relay in self._relays.items())

    def attempts(self, server: FileServer) -> int:
        """How often the relay has failed since its last success."""
        relay = self._relays.get(server)
        return relay.attempts if relay is not None else 0

    def forget_but(self, needed: Collection[FileServer]) -> None:
        """Forget all relays except those that are needed, are in use, or rest after a failure (see `rest`)."""
        for server, relay in list(self._relays.items()):
            used = any(lane.busy or lane.session for lane in relay.lanes)
            if server not in needed and not used and relay.resting is None:
                del self._relays[server]

    def in_trouble(self) -> frozenset[str]:
        """Addresses of the relays that rest after a failure (see `rest`)."""
        return frozenset(str(server) for server, relay in self._relays.items() if relay.resting is not None)

    def begin(self, server: FileServer, *, second: bool = False) -> Lane:
        """Begin to use the relay. Only the caller may use the returned `Lane`, until the caller gives it back with
        `end`."""
        relay = self._relay(server)
        lane = relay.second if second else relay.lane
        lane.busy = True
        if lane.idle is not None:
            lane.idle.cancel()
            lane.idle = None
        return lane

    def end(self, lane: Lane) -> None:
        """Give back a lane that was used, so that other code can use it. If the lane has a session, it stays open for a
        while."""
        lane.busy = False
        if lane.session is not None:
            lane.idle = asyncio.get_running_loop().call_later(KEPT_IDLE, self._let_go, lane)

    def keep_to_one(self, server: FileServer) -> None:
        """Use only one session with the relay from now on, because the relay did not accept a second session, or has
        ended it."""
        self._relay(server).takes_two = False

    def rest(self, server: FileServer) -> float:
        """Do not use the relay for a while, longer after each failure. Returns the seconds until the next try."""
        relay = self._relay(server)
        relay.attempts += 1
        delay = RESTS.after(relay.attempts, self._entropy.random(1)[0] / 255)
        if relay.resting is not None:
            relay.resting.cancel()
        relay.resting = asyncio.get_running_loop().call_later(delay, self._rested, relay)
        return delay

    def _rested(self, relay: _Relay) -> None:
        relay.resting = None
        self._wake()

    def did_well(self, server: FileServer) -> None:
        """The relay did what it was asked, so the pause after its next failure is short."""
        self._relay(server).attempts = 0

    async def session(self, server: FileServer, lane: Lane, seconds: float) -> FileRelaySession:
        """The lane's session; if no session is open, a new one is opened. Raises `TransportError` and
        `ProtocolError`."""
        if lane.session is not None and not lane.session.closed.is_set():
            return lane.session
        lane.session = None
        try:
            async with asyncio.timeout(seconds):
                lane.session = await self._connect(server, seconds)
        except TimeoutError:
            raise ConnectFailed(f"cannot reach relay {server.authority}: no answer within {seconds:g} s") from None
        return lane.session

    async def drop(self, lane: Lane) -> None:
        """End the lane's session, because the current request is not wanted any more, or because the session can no
        longer be relied on."""
        session, lane.session = lane.session, None
        if session is not None:
            await _close(session)

    def _let_go(self, lane: Lane) -> None:
        lane.idle = None
        session, lane.session = lane.session, None
        if session is not None:
            task = asyncio.ensure_future(_close(session))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """End all sessions and timers."""
        sessions = []
        for relay in self._relays.values():
            for timer in (relay.resting, *(lane.idle for lane in relay.lanes)):
                if timer is not None:
                    timer.cancel()
            sessions += [lane.session for lane in relay.lanes if lane.session is not None]
        self._relays.clear()
        await asyncio.gather(*self._closing, *map(_close, sessions), return_exceptions=True)


async def _close(session: FileRelaySession) -> None:
    try:
        await session.close()
    except (TransportError, ProtocolError, OSError) as error:
        log.debug("closing a session with a file relay failed: %s", error)
