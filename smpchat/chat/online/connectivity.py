"""Runs the agent of a profile in its online process, and opens sessions with relays according to the settings.

This module is separate from `smpchat.chat.online.presence`, because importing the agent's network side takes a tenth of
a second, and a command that hands its work to the online process needs none of it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from smpchat.agent.online.runner import AgentRunner
from smpchat.agent.store import consents
from smpchat.agent.transactions import strangers
from smpchat.chat.online.embedded import EmbeddedRelay
from smpchat.chat.online.files import tend_files
from smpchat.chat.online.groups import tend_groups
from smpchat.chat.service.writing import WritingProfile
from smpchat.chat.store.servers import choose_file_servers, choose_servers, route_to
from smpchat.client.connect import connect
from smpchat.client.network import Network
from smpchat.client.pool import SessionPool
from smpchat.client.routed_session import PrivateRouter
from smpchat.client.routes import Route
from smpchat.client.session import ServerSession
from smpchat.encoding.record import replace
from smpchat.protocol.address import FileServer, FileServerAddress, SMPServer, SMPServerAddress
from smpchat.transport.base import ConnectFailed
from smpchat.transport.scope import Fence

if TYPE_CHECKING:
    from smpchat.agent.online.file_relays import FileNetwork, FileRelaySession
    from smpchat.xftp.routes import FileRoutes

logging.getLogger("smpchat").addHandler(logging.NullHandler())  # without it, Python prints our warnings

CONNECT_TIMEOUT = 15.0
"""Seconds in which the connection to a relay must be made, including the exchange of hellos."""


STRANGER_TIMEOUT = 10.0
"""Like `CONNECT_TIMEOUT`, for a relay that a stranger named. The time is shorter, because such relays are tried one
after the other."""


def network_of(
    service: WritingProfile,
    relay: EmbeddedRelay,
    fence: Callable[[SMPServer], Fence | None] = lambda _: None,
) -> Network:
    """How relays are reached, according to the profile's settings at the time of each connection.

    Args:
        fence: Returns the network addresses that are allowed for a relay; None: all.
    """

    def route(server: SMPServer) -> Route:
        return replace(route_to(service.servers(), server), local=relay.owns(server), fence=fence(server))

    return Network(service.entropy, route, service.proxy)


def file_network_of(service: WritingProfile, relay: EmbeddedRelay, *, anywhere: bool = False) -> FileRoutes:
    """How file relays are reached, according to the profile's settings at the time of each connection.

    Args:
        anywhere: The user agrees to connect to the relays that the file's sender named, even if they are in the user's
            own network.
    """
    from smpchat.xftp.routes import FileRoutes

    def route(server: FileServer) -> Route:
        local = relay.owns_files(server)
        return Route(local=local, fence=None if local or anywhere else _fence_of_files(service, server))

    return FileRoutes(service.entropy, route, service.proxy)


def _fence_of_files(service: WritingProfile, server: FileServer) -> Fence | None:
    """The network addresses that are allowed for a file relay; None: all. A relay that nobody but the file's sender
    named is treated like a message relay that only a contact named."""
    tx = service.database.connection
    if service.knows_file_relay(server) or consents.anywhere(tx) or consents.covers(tx, server):
        return None
    return Fence.around({host for own in service.own_relays() for host in own.hosts})


class _Sessions:
    """Opens sessions with relays for the online process, according to the profile's settings."""

    def __init__(self, service: WritingProfile, relay: EmbeddedRelay) -> None:
        self._service = service
        self._relay = relay
        self._network = network_of(service, relay, self._fence)
        self._router = PrivateRouter(self._open_directly, entropy=service.entropy)
        self._turn = asyncio.Lock()

    async def open(self, server: SMPServer) -> ServerSession:
        """A session with ``server``. If private routing is on, other people's relays are reached through one of the
        user's own relays."""
        service = self._service
        if self._is_own(server):
            return await self._open_directly(server)
        if not strangers.is_unknown(service.database.connection, server):
            return await self._open_other(server, CONNECT_TIMEOUT)
        # Relays that a stranger named are tried one at a time: anyone who sends a contact request can make us connect
        # to a relay of their choice.
        async with self._turn:
            try:
                async with asyncio.timeout(2 * STRANGER_TIMEOUT):  # a proxy has its own time limits
                    return await self._open_other(server, STRANGER_TIMEOUT)
            except TimeoutError:
                raise ConnectFailed(f"cannot reach relay {server.authority}: no answer") from None

    def _is_own(self, server: SMPServer) -> bool:
        return self._relay.owns(server) or self._service.is_own_relay(server)

    def _fence(self, server: SMPServer) -> Fence | None:
        return None if self._is_own(server) else strangers.fence_for(self._service.database.connection, server)

    async def _open_other(self, server: SMPServer, seconds: float) -> ServerSession:
        service = self._service
        if not service.private_routing():
            return await self._open_directly(server, seconds)
        fence = self._fence(server)
        if fence is not None:  # the proxy looks up the IP addresses of names, so we check only the text
            fence.check(server.hosts, server.port_number)
        # The relay on this computer is never used for private routing: other relays would see this computer's address,
        # which private routing hides.
        own = [entry.address for entry in service.servers() if not self._relay.owns(entry.address.server)]
        return await self._router.open(server, own, timeout=seconds)

    async def _open_directly(self, server: SMPServer, seconds: float = CONNECT_TIMEOUT) -> ServerSession:
        if self._relay.owns(server):
            await self._relay.start()
        return await connect(
            server,
            entropy=self._service.entropy,
            timeout=seconds,
            on_event=_ignore,
            network=self._network,
        )

    async def close(self) -> None:
        """Ends the sessions that are used for private routing. In them, the user's own relays pass messages on to other
        people's relays."""
        await self._router.close()


def _file_network(service: WritingProfile, relay: EmbeddedRelay) -> FileNetwork:
    """What the agent needs to upload and download files: sessions with file relays, and the choice of relays."""
    from smpchat.agent.online.file_relays import FileNetwork

    routes = file_network_of(service, relay)

    async def choose(in_trouble: frozenset[str]) -> Sequence[FileServerAddress]:
        configured = choose_file_servers(service.file_servers(), in_trouble, service.entropy)
        return configured or [await relay.start_files()]

    async def open_session(server: FileServer, seconds: float) -> FileRelaySession:
        from smpchat.xftp.session import connect as open_file_session  # costs 50 ms

        if relay.owns_files(server):
            await relay.start()
        return await open_file_session(server, network=routes, entropy=service.entropy, timeout=seconds)

    return FileNetwork(open_session, choose)


async def run_agent(service: WritingProfile, relay: EmbeddedRelay) -> None:
    """Runs the agent, which sends and receives everything, until cancelled."""

    async def choose(peer: SMPServer | None, in_trouble: frozenset[str]) -> Sequence[SMPServerAddress]:
        configured = choose_servers(service.servers(), peer, in_trouble, service.entropy)
        return configured or [await relay.start()]

    sessions = _Sessions(service, relay)
    make_pool = partial(SessionPool, sessions.open, entropy=service.entropy)
    runner = AgentRunner(service.database, service.context, make_pool, choose, partial(_file_network, service, relay))
    try:
        async with asyncio.TaskGroup() as group:
            tending = [group.create_task(work) for work in (tend_files(service, relay), tend_groups(service))]
            try:
                await runner.run()
            finally:
                for task in tending:
                    task.cancel()
    finally:
        await sessions.close()


def _ignore(*_: object) -> None:
    """Ignores what a new session reports. `SessionPool` soon replaces this function in the sessions that it keeps."""
