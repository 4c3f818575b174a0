"""Keeps one session per relay: opens it when needed, and opens a new one when it is lost and still needed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from smpchat.client.clock import Clock, LoopClock, wait_until
from smpchat.client.delays import RECONNECT_DELAYS, reconnect_delay
from smpchat.client.errors import SessionClosed
from smpchat.client.session import MayRead, OnEvent, ServerSession
from smpchat.crypto.entropy import Entropy
from smpchat.protocol.address import SMPServer
from smpchat.protocol.errors import IdentityError, ProtocolError, VersionError
from smpchat.transport.base import ConnectFailed, TransportError

STABLE_AFTER = 60.0
"""A session that lasted this many seconds was stable: when it is lost, delays start again with the shortest."""

Connect = Callable[[SMPServer], Awaitable[ServerSession]]
OnUp = Callable[[SMPServer, ServerSession], None]
OnDown = Callable[[SMPServer, Exception, float], None]
"""Called when a session is lost or a relay cannot be reached: with the relay, the error, and the time of the next
attempt to connect (a time of the pool's clock)."""

OnFault = Callable[[str, Exception], None]


class _Relay:
    def __init__(self) -> None:
        self.session: ServerSession | None = None
        self.announced: ServerSession | None = None
        self.connecting: asyncio.Task[ServerSession] | None = None
        self.waiters = 0
        self.keeper: asyncio.Task[None] | None = None
        self.wake = asyncio.Event()
        self.attempt = 0

    def live(self) -> ServerSession | None:
        return None if self.session is None or self.session.closed.is_set() else self.session


class SessionPool:
    """The sessions of one client. Needs a running loop.

    Args:
        connect: Opens a session; must have a time limit of its own. Raises `TransportError` or `ProtocolError`.
        entropy: Random bytes for the jitter of delays.
        clock: By default, the event loop's clock. Tests pass another one.
        on_event, may_read: If given, each new session gets these functions (see `ServerSession`).
        on_up: Called with each new session of a watched relay (see `watch`), before anyone else can use the session.
            The function may subscribe queues.
        on_down: Called each time the session of a watched relay is lost, or an attempt to open one fails.
        on_fault: Called with a description and the exception if ``connect``, ``on_up`` or ``on_down`` fails with an
            unexpected error; the pool continues. By default, the event loop's exception handler gets the description
            and the exception.
    """

    def __init__(
        self,
        connect: Connect,
        *,
        entropy: Entropy,
        clock: Clock | None = None,
        on_event: OnEvent | None = None,
        may_read: MayRead | None = None,
        on_up: OnUp | None = None,
        on_down: OnDown | None = None,
        on_fault: OnFault | None = None,
    ) -> None:
        self._connect = connect
        self._entropy = entropy
        self._clock: Clock = clock or LoopClock()
        self._on_event = on_event
        self._may_read = may_read
        self._on_up = on_up
        self._on_down = on_down
        self._on_fault = on_fault or _report
        self._relays: dict[SMPServer, _Relay] = {}
        self._closed = False

    def live(self, server: SMPServer) -> ServerSession | None:
        """The session with ``server``, if there is one now."""
        relay = self._relays.get(server)
        return relay.live() if relay is not None else None

    async def get(self, server: SMPServer, *, timeout: float) -> ServerSession:  # noqa: ASYNC109 - by the pool's clock
        """The session with ``server``; opens it if there is none. If several callers wait at the same time, only one
        session is opened.

        Args:
            server: The relay.
            timeout: Seconds that this call waits. Other calls may wait longer for the same session.
        Raises:
            TransportError: The relay cannot be reached now. If it is watched (see `watch`), the pool tries again
                automatically.
            ProtocolError: The handshake failed: the relay is not the one in its address, or has no version in common
                with us.
            SessionClosed: The pool is closed.
        """
        return await self._join(server, self._relay(server), timeout)

    def watch(self, server: SMPServer) -> None:
        """Watch ``server``: from now on, keep a session with it, and open a new one whenever it ends. If a session is
        open already, ``on_up`` is called with that session too."""
        relay = self._relay(server)
        if relay.keeper is None:
            relay.announced = None
            relay.keeper = asyncio.get_running_loop().create_task(self._keep(server, relay))

    def unwatch(self, server: SMPServer) -> None:
        """Stop watching ``server``: when the session with it ends, do not open a new one."""
        relay = self._relays.get(server)
        if relay is not None and relay.keeper is not None:
            relay.keeper.cancel()
            relay.keeper = None

    async def release(self, server: SMPServer) -> None:
        """End the session with ``server``. Does nothing if `watch` was called for this relay, or if a caller waits for
        the session."""
        relay = self._relays.get(server)
        if relay is None or relay.keeper is not None or relay.connecting is not None:
            return
        del self._relays[server]
        if relay.session is not None:
            await relay.session.close()

    async def close(self) -> None:
        """End all sessions, and all attempts to connect. May be repeated."""
        self._closed = True
        tasks: list[asyncio.Task[Any]] = []
        for server, relay in self._relays.items():
            tasks += [task for task in (relay.keeper, relay.connecting) if task is not None]
            self.unwatch(server)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(relay.session.close() for relay in self._relays.values() if relay.session is not None))

    def _relay(self, server: SMPServer) -> _Relay:
        if self._closed:
            raise SessionClosed("the client is closed")
        return self._relays.setdefault(server, _Relay())

    async def _join(self, server: SMPServer, relay: _Relay, patience: float | None) -> ServerSession:
        """Return the session, or wait for the current attempt to connect, or start an attempt. When no caller waits for
        an attempt any more, it is cancelled."""
        if (session := relay.live()) is not None:
            return session
        if relay.connecting is None:
            relay.connecting = asyncio.get_running_loop().create_task(self._establish(server, relay))
            relay.connecting.add_done_callback(_retrieve)
        attempt = relay.connecting
        relay.waiters += 1
        try:
            if patience is None:
                # Not `await attempt`: then cancelling one caller would also cancel the attempt, for which other callers
                # wait.
                await asyncio.wait([attempt])
            elif not await wait_until(attempt, self._clock, self._clock.now() + patience):
                raise ConnectFailed(f"cannot reach relay {server.authority}: no answer within {patience:g} s")
        finally:
            relay.waiters -= 1
            if relay.waiters == 0 and not attempt.done():
                relay.connecting = None  # the next caller must not wait for an attempt that is being cancelled
                attempt.cancel()
        if attempt.cancelled():
            raise SessionClosed("the client is closed")
        return attempt.result()

    async def _establish(self, server: SMPServer, relay: _Relay) -> ServerSession:
        try:
            session = await self._connect(server)
        finally:
            if relay.connecting is asyncio.current_task():
                relay.connecting = None
        if self._on_event is not None:
            # Set these functions before anyone can post a command: right after the first answer, the relay may push a
            # message.
            session.on_event = self._on_event
        if self._may_read is not None:
            session.may_read = self._may_read
        relay.session = session
        if relay.keeper is not None:
            self._announce(server, relay, session)
            relay.wake.set()
        return session

    async def _keep(self, server: SMPServer, relay: _Relay) -> None:
        relay.attempt = 0
        while True:
            error = await self._until_down(server, relay)
            # Errors that someone must fix first (a wrong fingerprint, no common version) get the longest delay at once.
            attempt = relay.attempt if _may_pass(error) else len(RECONNECT_DELAYS)
            delay = reconnect_delay(attempt, self._entropy)
            relay.attempt += 1
            retry_at = self._clock.now() + delay
            # Clear this event before calling `on_down`: if `on_down` opens a session, the event that it sets must not
            # be lost.
            relay.wake.clear()
            if self._on_down is not None:
                self._tell("on_down", self._on_down, server, error, retry_at)
            woken = asyncio.get_running_loop().create_task(relay.wake.wait())
            try:
                await wait_until(woken, self._clock, retry_at)
            finally:
                woken.cancel()

    async def _until_down(self, server: SMPServer, relay: _Relay) -> Exception:
        """Open a session and wait until it is lost. Returns the error that ended or prevented the session."""
        try:
            session = await self._join(server, relay, None)
        except (TransportError, ProtocolError) as error:
            return error
        except Exception as error:  # after a bug of ours, this relay must still be tried again
            self._on_fault("connecting to a relay failed", error)
            return error
        self._announce(server, relay, session)
        since = self._clock.now()
        await session.closed.wait()
        # Go back to the shortest delay only after a stable session. Otherwise, if a relay ended each session right
        # after its start, we would dial it every two seconds, forever.
        if self._clock.now() - since >= STABLE_AFTER:
            relay.attempt = 0
        return session.close_reason or SessionClosed("the session ended")

    def _announce(self, server: SMPServer, relay: _Relay, session: ServerSession) -> None:
        if relay.announced is not session:
            relay.announced = session
            if self._on_up is not None:
                self._tell("on_up", self._on_up, server, session)

    def _tell(self, name: str, call: Callable[..., None], *arguments: Any) -> None:
        try:
            call(*arguments)
        except Exception as error:  # a bug in the caller's function must not end sessions
            self._on_fault(f"a session pool's function {name} failed", error)


def _may_pass(error: Exception) -> bool:
    """Whether the next attempt to connect may succeed even if nobody changes anything.

    True even after a damaged hello, or after an error caused by a bug of smpchat: such an error may not happen again,
    and waiting two minutes would be worse than one more failed attempt.
    """
    if isinstance(error, TransportError):
        return error.temporary
    return not isinstance(error, IdentityError | VersionError)


def _report(message: str, error: Exception) -> None:
    asyncio.get_running_loop().call_exception_handler({"message": message, "exception": error})


def _retrieve(attempt: asyncio.Task[ServerSession]) -> None:
    """Keep asyncio from reporting the failure of an attempt that no caller waits for any more."""
    if not attempt.cancelled():
        attempt.exception()
