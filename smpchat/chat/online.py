"""Being online for a profile: one process at a time runs the agent, any other hands it work through the store."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from functools import partial
from typing import Protocol

from filelock import FileLock, Timeout

from smpchat.agent.runner import AgentRunner
from smpchat.chat.errors import ProfileLocked
from smpchat.chat.events import ChatEvent
from smpchat.chat.servers import choose_server, route_to
from smpchat.chat.service import ChatService
from smpchat.client.connect import connect
from smpchat.client.network import Network, Route
from smpchat.client.pool import SessionPool
from smpchat.client.routed_session import PrivateRouter
from smpchat.client.session import ServerSession
from smpchat.protocol.address import SMPServer, SMPServerAddress

log = logging.getLogger("smpchat.chat")

FOLLOW_INTERVAL = 0.03
"""Seconds between looks at the feed; a look is one indexed query."""
TAKE_OVER_INTERVAL = 0.2
"""Seconds between tries to become online while another process is."""
CONNECT_TIMEOUT = 15.0


class EmbeddedRelay(Protocol):
    """The relay that comes with smpchat, as the chat layer sees it."""

    def owns(self, server: SMPServer) -> bool:
        """Whether this is the embedded relay's address."""
        ...

    async def start(self) -> SMPServerAddress:
        """Its address, once it runs. Raises `TransportError` if it was stopped on purpose or does not start."""
        ...


@contextlib.asynccontextmanager
async def online(service: ChatService, relay: EmbeddedRelay) -> AsyncIterator[None]:
    """While the block runs, this process or another one is online for the profile.

    If another process is online, this one only watches, and takes over when the other ends. If the agent fails for a
    reason of its own (a store that cannot be used), the block is cancelled with that error.
    """
    async with asyncio.TaskGroup() as group:
        agent = group.create_task(_take_turns(service, relay))
        try:
            yield
        finally:
            agent.cancel()


@contextlib.contextmanager
def kept_offline(service: ChatService) -> Iterator[None]:
    """While the block runs, no process is online for the profile. Raises `ProfileLocked` if one is already."""
    lock = _lock(service)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise ProfileLocked(f"Another process is online for the profile {service.name!r}.", "End it first.") from None
    try:
        yield
    finally:
        lock.release()


def _lock(service: ChatService) -> FileLock:
    return FileLock(service.folder / "online.lock", mode=0o600)


async def _take_turns(service: ChatService, relay: EmbeddedRelay) -> None:
    lock = _lock(service)
    while True:
        try:
            lock.acquire(blocking=False)
        except Timeout:
            await asyncio.sleep(TAKE_OVER_INTERVAL)
            continue
        try:
            service.check_not_moved()
            await _run_agent(service, relay)
        finally:
            lock.release()


def network_of(service: ChatService, relay: EmbeddedRelay) -> Network:
    """By what way the profile's settings, as they are at each connection, reach relays."""

    def route(server: SMPServer) -> Route:
        return replace(route_to(service.servers(), server), local=relay.owns(server))

    return Network(service.entropy, route, service.proxy)


class _Sessions:
    """Opens the sessions of one process that is online, by the way that the profile's settings say."""

    def __init__(self, service: ChatService, relay: EmbeddedRelay) -> None:
        self._service = service
        self._relay = relay
        self._network = network_of(service, relay)
        self._router = PrivateRouter(self._open_directly, entropy=service.entropy)

    async def open(self, server: SMPServer) -> ServerSession:
        """A session with ``server``; with a stranger's relay through one of one's own, if private routing is on."""
        service = self._service
        if not service.private_routing() or self._relay.owns(server) or service.is_own_relay(server):
            return await self._open_directly(server)
        own = [entry.address for entry in service.servers() if not self._relay.owns(entry.address.server)]
        return await self._router.open(server, own, timeout=CONNECT_TIMEOUT)

    async def _open_directly(self, server: SMPServer) -> ServerSession:
        if self._relay.owns(server):
            await self._relay.start()
        return await connect(
            server,
            entropy=self._service.entropy,
            timeout=CONNECT_TIMEOUT,
            on_event=_ignore,
            network=self._network,
        )

    async def close(self) -> None:
        """End the sessions with proxies."""
        await self._router.close()


async def _run_agent(service: ChatService, relay: EmbeddedRelay) -> None:
    async def choose(peer: SMPServer | None) -> SMPServerAddress:
        return choose_server(service.servers(), peer, service.entropy) or await relay.start()

    sessions = _Sessions(service, relay)
    make_pool = partial(SessionPool, sessions.open, entropy=service.entropy)
    try:
        await AgentRunner(service.database, service.context, make_pool, choose).run()
    finally:
        await sessions.close()


def _ignore(*_: object) -> None:
    """The pool gives each session its own listener."""


async def follow(service: ChatService, after: int) -> AsyncIterator[ChatEvent]:
    """Events of the profile newer than number ``after``, whichever process causes them; never ends by itself."""
    while True:
        for number, event in service.events_after(after):
            after = number
            yield event
        await asyncio.sleep(FOLLOW_INTERVAL)


def is_online(service: ChatService) -> bool:
    """Whether some process is online for the profile at this moment."""
    lock = FileLock(service.folder / "online.lock", mode=0o600)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return True
    lock.release()
    return False
