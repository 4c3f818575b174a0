"""Sessions with other people's relays, through one of the user's own relays as proxy; and the choice of that proxy."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from typing import Any

from smpchat.client.correlation import Response, fail, new_response
from smpchat.client.errors import NoResponse, SessionClosed, UnexpectedResponse
from smpchat.client.pool import Connect, SessionPool
from smpchat.client.private_routing import (
    Destination,
    Forwarding,
    PrivateRoutingFailed,
    forward,
    may_forward,
    open_pkey,
    open_pres,
    proxy_error,
)
from smpchat.client.request import Request
from smpchat.client.session import MayRead, OnEvent, ServerSession, at_once
from smpchat.crypto.entropy import Entropy
from smpchat.encoding.record import Record, field
from smpchat.protocol.address import SMPServer, SMPServerAddress
from smpchat.protocol.commands import BrokerMessage, Err, PKey, PRes, Prxy
from smpchat.protocol.errors import ErrorCode, ProtocolError, RemoteProtocolError, SMPError
from smpchat.protocol.version import SENDING_PROXY
from smpchat.transport.base import TransportError

FORWARD_TIMEOUT = 30.0
"""Seconds to wait for an answer through two relays: the proxy may first have to connect to the other relay."""
_BROKER = ("PROXY", "BROKER")
_NO_SESSION = ErrorCode.proxy("NO_SESSION")


def _today() -> datetime:
    return datetime.now(UTC)


class _Waiting(Record):
    request: Request
    prepared: Forwarding
    destination: Destination  # what `prepared` was encrypted for
    timeout: float
    response: Response = field(default_factory=new_response)


async def open_routed(
    server: SMPServer,
    proxy: ServerSession,
    *,
    password: str | None,
    entropy: Entropy,
    now: Callable[[], datetime] = _today,
) -> RoutedSession:
    """Open a session with ``server`` through ``proxy``. The caller must close the session.

    Args:
        password: The password that the proxy needs, if any.
        now: Returns the date and time at which certificates must be valid.
    Raises:
        PrivateRoutingFailed: The proxy refuses to forward commands, or cannot reach ``server``.
        HandshakeError: The proxy gave the key of another relay than ``server``, or proxy, relay and client have no
            version in common.
        NoResponse: The proxy does not answer.
    """
    session = RoutedSession(server, proxy, password, entropy, now)
    await session.start()
    return session


class RoutedSession:
    """A `ServerSession` whose commands are forwarded by a proxy; made by `open_routed`.

    A proxy works on several commands at the same time, in random order (smp-wire 7.3). So each queue has a lane: a line
    of commands, each of which is sent after the previous one was answered. The lanes of different queues do not wait
    for each other. Only commands that senders need can be forwarded. If any other command is posted, this means that
    the relay has become one of the user's own. Then the session ends, because smpchat connects to the user's own relays
    directly.
    """

    def __init__(
        self,
        server: SMPServer,
        proxy: ServerSession,
        password: str | None,
        entropy: Entropy,
        now: Callable[[], datetime],
    ) -> None:
        self.server = server
        self.on_event: OnEvent = lambda *_: None  # through a proxy, only answers arrive
        self.may_read: MayRead = at_once
        self.closed = asyncio.Event()
        self._proxy = proxy
        self._password = password.encode() if password else None
        self._entropy = entropy
        self._now = now
        self._destination: Destination | None = None
        self._asking = asyncio.Lock()
        self._lanes: dict[bytes, deque[_Waiting]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._reason: SessionClosed | None = None

    async def start(self) -> None:
        """Let the proxy open its session with the relay. Raises the errors of `open_routed`."""
        await self._agree(None)
        self._spawn(self._watch_proxy())

    @property
    def version(self) -> int:
        """See `ServerSession.version`."""
        return self._current.version

    @property
    def keyed_new(self) -> bool:
        """See `ServerSession.keyed_new`; proxies do not forward NEW."""
        return False

    @property
    def close_reason(self) -> SessionClosed | None:
        """See `ServerSession.close_reason`."""
        return self._reason

    def post(self, requests: Sequence[Request], *, batch: bool = False, timeout: float | None = None) -> list[Response]:
        """See `ServerSession.post`. If a command gets no answer, the commands that wait behind it, for the same queue,
        fail too."""
        if self._reason is None and not all(may_forward(request) for request in requests):
            self._end("smpchat now connects to this relay directly", None)
        if self._reason is not None:
            return [self._refused(self._reason) for _ in requests]
        seconds = FORWARD_TIMEOUT if timeout is None else timeout
        added = [_Waiting(one, forward(one, self._current, self._entropy), self._current, seconds) for one in requests]
        for waiting in added:
            entity_id = waiting.request.entity_id
            lane = self._lanes.get(entity_id)
            if lane is None:
                lane = self._lanes[entity_id] = deque()
                self._spawn(self._run_lane(entity_id, lane))
            lane.append(waiting)
        return [waiting.response for waiting in added]

    def end(self, fault: RemoteProtocolError) -> None:
        """See `ServerSession.end`."""
        self._end(str(fault), fault)

    async def close(self) -> None:
        """See `ServerSession.close`. The session with the proxy continues."""
        self._end("this program closed it", None)
        if self._tasks:
            await asyncio.wait(self._tasks)

    @property
    def _current(self) -> Destination:
        assert self._destination is not None
        return self._destination

    @property
    def _names(self) -> tuple[str, str]:
        return self._proxy.server.host, self.server.host

    # -- the proxy ----------------------------------------------------------------------------------------------------

    async def _agree(self, stale: Destination | None) -> None:
        """Send PRXY, so that the proxy opens a new session with the relay, which replaces ``stale``. Do nothing if
        ``stale`` is already replaced, because a command for another queue needed a new session too."""
        async with self._asking:
            if self._destination is not stale:
                return
            if self._proxy.version < SENDING_PROXY:
                text = f"private routing: {self._names[0]} speaks SMP version {self._proxy.version} and cannot forward"
                raise PrivateRoutingFailed(text, temporary=False)
            try:
                answer = await self._ask(Request(Prxy(self.server, self._password)), FORWARD_TIMEOUT)
            except SMPError as error:
                raise proxy_error(error.code, *self._names) from error
            if not isinstance(answer, PKey):
                raise UnexpectedResponse("the proxy gave a wrong answer to PRXY")
            self._destination = open_pkey(answer, self.server.key_hash, self._now())

    async def _ask(self, request: Request, seconds: float) -> BrokerMessage:
        (response,) = self._proxy.post([request], timeout=seconds)
        return await response

    async def _forward(self, waiting: _Waiting) -> BrokerMessage:
        destination = self._current
        try:
            return await self._forward_once(waiting)
        except SMPError as error:
            if error.code != _NO_SESSION:
                raise proxy_error(error.code, *self._names) from error
        await self._agree(destination)  # the proxy forgot its session with the relay, and did not forward the command
        try:
            return await self._forward_once(waiting)
        except SMPError as error:
            raise proxy_error(error.code, *self._names) from error

    async def _forward_once(self, waiting: _Waiting) -> BrokerMessage:
        """Returns the relay's answer, which may be an ERR. Raises `SMPError` for an ERR of the proxy."""
        destination, forwarding = self._current, waiting.prepared
        # The command's signature includes the id of the proxy's session with the relay, and its encryption uses the
        # session's key. So if the proxy has a new session, sign and encrypt the command again; the command's body stays
        # the same.
        if destination is not waiting.destination:
            forwarding = forward(waiting.request, destination, self._entropy)
        answer = await self._ask(forwarding.request, waiting.timeout)
        if not isinstance(answer, PRes):
            raise UnexpectedResponse("the proxy gave a wrong answer to PFWD")
        return open_pres(answer, forwarding, destination)

    # -- lanes --------------------------------------------------------------------------------------------------------

    async def _run_lane(self, entity_id: bytes, lane: deque[_Waiting]) -> None:
        while lane and self._reason is None:
            waiting = lane[0]
            try:
                answer = await self._forward(waiting)
            except (SessionClosed, PrivateRoutingFailed, ProtocolError) as error:
                self._end(str(error), error)
                return
            except NoResponse as error:
                self._abandon(lane, error)
            except Exception as error:
                self._end("forwarding failed", error)
                raise
            else:
                lane.popleft()
                _settle(waiting.response, answer)
        if self._reason is None:
            del self._lanes[entity_id]

    @staticmethod
    def _abandon(lane: deque[_Waiting], error: NoResponse) -> None:
        """Fail all commands of a lane. The caller may repeat the first command, so the later ones must not be sent
        before it."""
        for waiting in lane:
            fail(waiting.response, type(error)(str(error)), error)
        lane.clear()

    async def _watch_proxy(self) -> None:
        await self._proxy.closed.wait()
        self._end(str(self._proxy.close_reason), self._proxy.close_reason)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    @staticmethod
    def _refused(reason: SessionClosed) -> Response:
        response = new_response()
        fail(response, SessionClosed(str(reason)), reason)
        return response

    def _end(self, reason: str, cause: BaseException | None) -> None:
        if self._reason is not None:
            return
        text = f"the session with relay {self.server.host} through {self._proxy.server.host} ended: {reason}"
        self._reason = SessionClosed(text)
        self._reason.__cause__ = cause
        for lane in self._lanes.values():
            for waiting in lane:
                fail(waiting.response, SessionClosed(text), cause)
        self._lanes.clear()
        self.closed.set()
        current = asyncio.current_task()
        for task in self._tasks:
            if task is not current:
                task.cancel()


def _settle(response: Response, answer: BrokerMessage) -> None:
    if isinstance(answer, Err):
        fail(response, SMPError(answer.error))
    elif not response.done():
        response.set_result(answer)


def _of_all(failures: list[Exception]) -> Exception:
    """The error to raise if none of our relays can be used as a proxy. An error about a relay that is not the one in
    its address takes precedence."""
    for error in sorted(failures, key=lambda failure: not isinstance(failure, ProtocolError)):
        if isinstance(error, ProtocolError | PrivateRoutingFailed):
            return error
    text = f"private routing: {'; '.join(dict.fromkeys(map(str, failures)))}"
    return PrivateRoutingFailed(text, temporary=any(getattr(error, "temporary", True) for error in failures))


class PrivateRouter:
    """Opens sessions with other people's relays, each through one of the user's own relays. Needs a running loop.

    Args:
        connect: Opens a session with a relay of the user.
        entropy: Random bytes for the choice of the proxy and for keys.
        now: Returns the date and time at which certificates must be valid.
    """

    def __init__(self, connect: Connect, *, entropy: Entropy, now: Callable[[], datetime] = _today) -> None:
        self._pool = SessionPool(connect, entropy=entropy)
        self._entropy = entropy
        self._now = now
        self._failed: set[SMPServer] = set()

    async def open(
        self,
        server: SMPServer,
        own: Sequence[SMPServerAddress],
        *,
        timeout: float,  # noqa: ASYNC109 - for the session with the proxy
    ) -> RoutedSession:
        """Open a session with ``server`` through one of the user's relays, which are in ``own``. They are tried in
        random order.

        Raises:
            PrivateRoutingFailed: ``own`` is empty, or none of the relays in it worked as a proxy, or a proxy could not
                reach ``server``.
            ProtocolError: A proxy gave the key of another relay than ``server``, or a proxy's certificate does not fit
                its own address.
        """
        if not own:
            text = "private routing is on, but you have no relay to go through"
            raise PrivateRoutingFailed(text, temporary=False)
        failures: list[Exception] = []
        proxies = self._in_order(own)
        for left, proxy in zip(range(len(proxies), 0, -1), proxies, strict=True):
            try:
                # The first proxies get less time than the last: if one never answers, there must be time to try the
                # next.
                session = await self._pool.get(proxy.server, timeout=timeout / left)
                routed = await open_routed(
                    server, session, password=proxy.password, entropy=self._entropy, now=self._now
                )
            except (TransportError, ProtocolError) as error:
                if isinstance(error, PrivateRoutingFailed) and error.code and error.code.words[:2] == _BROKER:
                    raise  # this proxy works; it is ``server`` that cannot be reached, and other proxies would not help
                self._failed.add(proxy.server)
                failures.append(error)
            else:
                self._failed.discard(proxy.server)
                return routed
        raise _of_all(failures)

    def _in_order(self, own: Sequence[SMPServerAddress]) -> list[SMPServerAddress]:
        # In random order: if we always used one proxy, it would see all the relays that our contacts use. Relays whose
        # last attempt failed come after all others.
        drawn = [(entry.server in self._failed, self._entropy.random(8), entry) for entry in own]
        return [entry for _, _, entry in sorted(drawn, key=lambda draw: draw[:2])]

    async def close(self) -> None:
        """End the sessions with all proxies, and so also all sessions that go through proxies."""
        await self._pool.close()
