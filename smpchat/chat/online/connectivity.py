"""What the process that is online for a profile runs: the agent, and sessions by the way that the settings say.

Apart from `smpchat.chat.online.presence`, because importing the agent's network side takes a tenth of a second, and a
command that hands its work to the online process needs none of it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial

from smpchat.agent.online.runner import AgentRunner
from smpchat.chat.online.embedded import EmbeddedRelay
from smpchat.chat.service.writing import WritingProfile
from smpchat.chat.store.servers import choose_servers, route_to
from smpchat.client.connect import connect
from smpchat.client.network import Network
from smpchat.client.pool import SessionPool
from smpchat.client.routed_session import PrivateRouter
from smpchat.client.routes import Route
from smpchat.client.session import ServerSession
from smpchat.encoding.record import replace
from smpchat.protocol.address import SMPServer, SMPServerAddress

logging.getLogger("smpchat").addHandler(logging.NullHandler())  # or Python prints warnings, tracebacks too, unasked

CONNECT_TIMEOUT = 15.0
"""Seconds for a connection to a relay and the hellos."""


def network_of(service: WritingProfile, relay: EmbeddedRelay) -> Network:
    """By what way the profile's settings, as they are at each connection, reach relays."""

    def route(server: SMPServer) -> Route:
        return replace(route_to(service.servers(), server), local=relay.owns(server))

    return Network(service.entropy, route, service.proxy)


class _Sessions:
    """Opens the sessions of one process that is online, by the way that the profile's settings say."""

    def __init__(self, service: WritingProfile, relay: EmbeddedRelay) -> None:
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


async def run_agent(service: WritingProfile, relay: EmbeddedRelay) -> None:
    """Deliver and receive until cancelled."""

    async def choose(peer: SMPServer | None, in_trouble: frozenset[str]) -> Sequence[SMPServerAddress]:
        configured = choose_servers(service.servers(), peer, in_trouble, service.entropy)
        return configured or [await relay.start()]

    sessions = _Sessions(service, relay)
    make_pool = partial(SessionPool, sessions.open, entropy=service.entropy)
    try:
        await AgentRunner(service.database, service.context, make_pool, choose).run()
    finally:
        await sessions.close()


def _ignore(*_: object) -> None:
    """The pool gives each session its own listener."""
