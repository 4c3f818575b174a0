"""Opens sessions: connects to a relay, exchanges SMP hellos with it, and starts the session."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from smpchat.client.clock import Clock
from smpchat.client.identity import check_identity
from smpchat.client.network import Network
from smpchat.client.session import PING_AFTER, RESPONSE_TIMEOUT, DirectSession, OnEvent
from smpchat.crypto.entropy import Entropy
from smpchat.protocol.address import SMPServer
from smpchat.protocol.session import ClientHandshake
from smpchat.protocol.version import SMP_CLIENT_VERSIONS, VersionRange
from smpchat.transport.base import BlockConnection, ConnectFailed, ConnectionClosed


def _today() -> datetime:
    return datetime.now(UTC)


async def connect(
    server: SMPServer,
    *,
    entropy: Entropy,
    timeout: float,  # noqa: ASYNC109 - `Network` divides it among its attempts
    on_event: OnEvent,
    network: Network | None = None,
    versions: VersionRange = SMP_CLIENT_VERSIONS,
    extensions: bool = True,
    clock: Clock | None = None,
    response_timeout: float = RESPONSE_TIMEOUT,
    ping_after: float = PING_AFTER,
    now: Callable[[], datetime] = _today,
) -> DirectSession:
    """Open a session with ``server``.

    Args:
        server: The relay. The hosts in its address are tried in order.
        entropy: Random bytes for session keys and correlation ids.
        timeout: Seconds for connecting and the SMP hellos together.
        on_event: See `DirectSession`.
        network: Opens the connection; if None, the connection is opened directly over TLS.
        versions: The SMP versions that we offer.
        extensions: Whether to use smpchat's extension of SMP (NEW with the sender's key) if the relay offers it.
        clock, response_timeout, ping_after: See `DirectSession`.
        now: Returns the date and time at which certificates must be valid.
    Raises:
        ConnectFailed: The relay cannot be reached, or sends no hello in time. No command was sent.
        HandshakeError: The relay is not the one in its address, or has no version in common with us.
    """

    async def greet(connection: BlockConnection) -> DirectSession:
        return await open_session(
            connection,
            server,
            entropy=entropy,
            on_event=on_event,
            versions=versions,
            extensions=extensions,
            clock=clock,
            response_timeout=response_timeout,
            ping_after=ping_after,
            now=now,
        )

    return await (network or Network(entropy)).reach(server, greet, timeout=timeout)


async def open_session(
    connection: BlockConnection,
    server: SMPServer,
    *,
    entropy: Entropy,
    on_event: OnEvent,
    versions: VersionRange = SMP_CLIENT_VERSIONS,
    extensions: bool = True,
    clock: Clock | None = None,
    response_timeout: float = RESPONSE_TIMEOUT,
    ping_after: float = PING_AFTER,
    now: Callable[[], datetime] = _today,
) -> DirectSession:
    """Exchange hellos over ``connection`` and start a session. Any failure closes the connection.

    For the arguments and errors, see `connect`. This function has no time limit.
    """
    try:
        handshake = ClientHandshake(
            server.key_hash, connection.session_id, connection.peer_leaf, versions, entropy, extensions=extensions
        )
        hello, smp = handshake.receive_hello(await connection.receive())
        # The identity must be checked before we send our hello: commands follow our hello, and the first command shows
        # which queue is ours.
        check_identity(smp.chain, server.key_hash, now())
        await connection.send([hello])
        return DirectSession(
            connection,
            smp,
            server=server,
            entropy=entropy,
            on_event=on_event,
            clock=clock,
            response_timeout=response_timeout,
            ping_after=ping_after,
        )
    except ConnectionClosed as error:
        await connection.close()
        raise ConnectFailed(f"cannot reach relay {server.authority}: {error} during the handshake") from error
    except BaseException:
        await connection.close()
        raise
