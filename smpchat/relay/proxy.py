"""The relay as a proxy: PRXY opens a session with another relay, PFWD sends a command through this session (smp-wire
5.6).

Each request is a task of its own, so that a slow relay does not delay requests to other relays. So a client may get its
answers in any order. `ProxyLimits` limits the requests of each client, and the sessions that all clients share.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from smpchat.crypto.entropy import Entropy
from smpchat.encoding.record import Record
from smpchat.protocol import commands
from smpchat.protocol.address import SMPServer
from smpchat.protocol.commands import BrokerMessage
from smpchat.protocol.errors import ErrorCode
from smpchat.protocol.forwarding import Forwarded
from smpchat.protocol.transmission import Transmission
from smpchat.relay.destinations import DestinationRefused
from smpchat.relay.outgoing import Outgoing, answer
from smpchat.relay.relay_session import ProxyFailure, RelaySession, broker, open_relay_session
from smpchat.relay.subscriptions import Client
from smpchat.transport.base import BlockConnection, TransportError

_log = logging.getLogger("smpchat.relay")

Dial = Callable[[SMPServer, float], Awaitable[BlockConnection]]
"""Connects to a relay within the given number of seconds; raises `DestinationRefused` or `TransportError`."""
Request = commands.Prxy | commands.PFwd


class ProxyLimits(Record):
    """Limits for the requests of clients to the proxy, and for its sessions with other relays.

    Attributes:
        per_client: Maximum number of unanswered requests of one connection; further requests wait.
        sessions: Maximum number of sessions with other relays. If one more is needed, the proxy ends the idle session
            that has been unused for longest.
        connect: Seconds allowed for connecting to another relay. Exchanging the SMP hellos may take as long again.
        answer: Seconds within which the other relay must answer a request.
    """

    per_client: int = 32
    sessions: int = 256
    connect: float = 20.0
    answer: float = 15.0


class _Requests:
    """The unanswered requests of one client."""

    def __init__(self, at_once: int) -> None:
        self.turn = asyncio.Semaphore(at_once)
        self.tasks: set[asyncio.Task[None]] = set()


_Destination = tuple[tuple[str, ...], int, bytes]


class Proxy:
    """Sessions with other relays, and the requests that use them.

    Args:
        dial: Connects to another relay.
        clock: Returns the Unix time in seconds.
        password: The password that PRXY must contain; None if PRXY needs none.
        respond: Called with the answer to each request that `request` has begun.
    """

    def __init__(
        self,
        dial: Dial,
        *,
        entropy: Entropy,
        clock: Callable[[], float],
        respond: Callable[[Outgoing], None],
        password: str | None = None,
        limits: ProxyLimits | None = None,
    ) -> None:
        self._dial = dial
        self._entropy = entropy
        self._clock = clock
        self._respond = respond
        self._password = None if password is None else password.encode()
        self._limits = limits or ProxyLimits()
        self._requests: dict[Client, _Requests] = {}
        self._sessions: dict[_Destination, asyncio.Task[RelaySession]] = {}  # least recently used first
        self._by_id: dict[bytes, tuple[_Destination, RelaySession]] = {}
        self._running: set[asyncio.Task[None]] = set()

    def request(self, client: Client, t: Transmission, command: Request) -> ErrorCode | None:
        """Begins a request.

        Returns:
            The error with which the caller must answer the request; None if ``respond`` will get the answer later.
        """
        refused = self._refusal(t, command)
        if refused is not None:
            return refused
        requests = self._requests.setdefault(client, _Requests(self._limits.per_client))
        task = asyncio.get_running_loop().create_task(self._run(requests.turn, client, t, command))
        requests.tasks.add(task)
        task.add_done_callback(requests.tasks.discard)
        return None

    def _refusal(self, t: Transmission, command: Request) -> ErrorCode | None:
        match command:
            # A client that may not create queues may not use the proxy either: strangers must not use it to reach other
            # networks (smp-wire 5.6).
            case commands.Prxy(_, password):
                right = self._password is None or hmac.compare_digest(self._password, password or b"")
                return None if right else ErrorCode.proxy("BASIC_AUTH")
            case commands.PFwd():
                # The session may have ended. The error NO_SESSION makes the client ask for a new session with PRXY
                # (smp-wire 5.6, step 6).
                return None if t.entity_id in self._by_id else ErrorCode.proxy("NO_SESSION")

    async def _run(self, turn: asyncio.Semaphore, client: Client, t: Transmission, command: Request) -> None:
        async with turn:
            try:
                message = await self._perform(t, command)
            except ProxyFailure as failure:
                message = commands.Err(failure.code)
            except Exception:
                _log.exception("forwarding failed")
                message = commands.Err(ErrorCode.INTERNAL)
        self._respond(answer(client, t, message))

    async def _perform(self, t: Transmission, command: Request) -> BrokerMessage:
        match command:
            case commands.Prxy(server):
                return (await self._session(server)).pkey
            case commands.PFwd(version, key, sealed):
                session = self._used(t.entity_id)
                if not session.pkey.versions.contains(version):
                    raise broker("TRANSPORT", "VERSION")
                return commands.PRes(await session.forward(Forwarded(t.corr_id, version, key, sealed)))

    # --- sessions ----------------------------------------------------------------------------------------------

    async def _session(self, server: SMPServer) -> RelaySession:
        """Returns the session with another relay, and opens it if necessary. If several requests need the same session,
        they all wait for one attempt to open it."""
        destination = (server.hosts, server.port_number, server.key_hash)
        # Remove the session here and add it again below: the dict is sorted by last use, so the session must move to
        # its end.
        opening = self._sessions.pop(destination, None)
        if opening is None:
            self._make_room()
            opening = asyncio.get_running_loop().create_task(self._open(destination, server))
            opening.add_done_callback(lambda done: self._opened(destination, done))
        self._sessions[destination] = opening
        return await asyncio.shield(opening)  # if one request is cancelled, others still wait for the session

    def _used(self, session_id: bytes) -> RelaySession:
        if session_id not in self._by_id:  # the session ended while the request waited for its turn
            raise ProxyFailure(ErrorCode.proxy("NO_SESSION"))
        destination, session = self._by_id[session_id]
        # Move the session to the end, because the dict is sorted by last use.
        self._sessions[destination] = self._sessions.pop(destination)
        return session

    async def _open(self, destination: _Destination, server: SMPServer) -> RelaySession:
        try:
            connection = await self._dial(server, self._limits.connect)
        except DestinationRefused as refused:
            raise broker("HOST") from refused
        except TransportError as failure:
            _log.debug("another relay was not reached: %s", failure)
            raise broker("NETWORK") from failure
        try:
            async with asyncio.timeout(self._limits.connect):
                session = await open_relay_session(
                    connection,
                    server,
                    entropy=self._entropy,
                    now=datetime.fromtimestamp(self._clock(), UTC),
                    timeout=self._limits.answer,
                    on_end=lambda ended: self._forget(destination, ended),
                )
        except TimeoutError:
            raise broker("TIMEOUT") from None
        self._by_id[session.pkey.session_id] = (destination, session)
        self._running.add(session.finished)
        session.finished.add_done_callback(self._running.discard)
        return session

    def _opened(self, destination: _Destination, opening: asyncio.Task[RelaySession]) -> None:
        if opening.cancelled() or opening.exception() is not None:
            self._sessions.pop(destination, None)

    def _forget(self, destination: _Destination, session: RelaySession) -> None:
        del self._by_id[session.pkey.session_id], self._sessions[destination]

    def _make_room(self) -> None:
        if len(self._sessions) < self._limits.sessions:
            return
        open_sessions = {destination: session for destination, session in self._by_id.values()}
        unused = (open_sessions[which] for which in self._sessions if which in open_sessions)
        # End only a session without unanswered requests: otherwise a client that asks for many relays could make the
        # requests of other clients fail.
        longest_unused = next((session for session in unused if session.idle), None)
        if longest_unused is None:
            raise broker("NETWORK")
        longest_unused.end()

    # --- ends --------------------------------------------------------------------------------------------------

    def drop(self, client: Client) -> None:
        """Forgets a client whose connection has ended. The client's last requests may still reach other relays."""
        requests = self._requests.pop(client, None)
        for task in list(requests.tasks) if requests is not None else ():
            task.cancel()

    async def close(self) -> None:
        """Ends all sessions, and cancels all requests without answering them."""
        for client in list(self._requests):
            self.drop(client)
        for _, session in list(self._by_id.values()):
            session.end()
        openings = list(self._sessions.values())  # only tasks that are still opening a session are left
        for opening in openings:
            opening.cancel()
        await asyncio.gather(*openings, *self._running, return_exceptions=True)
