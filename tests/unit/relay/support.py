"""A client made of blocks and transmissions only, for trying a relay from the outside."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache

from smpchat.crypto.keys import AuthPrivateKey, Ed25519PrivateKey, X25519PrivateKey, X25519PublicKey
from smpchat.encoding.codec import short_bytes
from smpchat.protocol.address import SMPServer
from smpchat.protocol.block import decode_batch, encode_batches, pad_block, unpad_block
from smpchat.protocol.command_codec import decode_broker, encode_command
from smpchat.protocol.commands import BrokerMessage, Command, Err, Ids, LinkData, Msg, New, Ping, Pong, QueueRequest
from smpchat.protocol.errors import ErrorCode
from smpchat.protocol.messages import QuotaMarker, RcvMessage, open_message
from smpchat.protocol.queue_mode import QueueMode
from smpchat.protocol.session import ClientHello, ServerHello, SMPSession, open_signed_key
from smpchat.protocol.transmission import (
    Transmission,
    authorise,
    decode_transmission,
    derived_sender_id,
    encode_transmission,
    signed_bytes,
)
from smpchat.protocol.version import SMP_VERSIONS, VersionRange
from smpchat.relay.destinations import Destinations, dial
from smpchat.relay.limits import Limits
from smpchat.relay.server import RelayServer
from smpchat.relay.store import SQLiteStore
from smpchat.testing.entropy import SeededEntropy
from smpchat.transport.base import BlockConnection
from smpchat.transport.identity import Identity, create_identity
from smpchat.transport.memory import memory_pair

NOW = 1_700_000_000
PATIENCE = 20.0
"""Seconds after which a relay that should have answered counts as silent."""


@cache
def an_identity() -> Identity:
    return create_identity(SeededEntropy("relay identity"), datetime.fromtimestamp(NOW, UTC), ["127.0.0.1"])


def err(*words: str) -> Err:
    """``ERR CMD …`` for two words, else the plain error."""
    return Err(ErrorCode(words))


AUTH = err("AUTH")
NO_AUTH = err("CMD", "NO_AUTH")
SYNTAX = err("CMD", "SYNTAX")
UNKNOWN = err("CMD", "UNKNOWN")
PROHIBITED = err("CMD", "PROHIBITED")
HAS_AUTH = err("CMD", "HAS_AUTH")
NO_ENTITY = err("CMD", "NO_ENTITY")
NO_MSG = err("NO_MSG")
QUOTA = err("QUOTA")
LARGE_MSG = err("LARGE_MSG")
BLOCK = err("BLOCK")
WRONG_SIGNATURE = bytes(range(64))


@dataclass(frozen=True, slots=True)
class Created:
    """A queue as its recipient knows it."""

    ids: Ids
    key: AuthPrivateKey
    dh_secret: bytes

    @property
    def rcv_id(self) -> bytes:
        return self.ids.rcv_id

    @property
    def snd_id(self) -> bytes:
        return self.ids.snd_id

    def open(self, message: BrokerMessage) -> RcvMessage | QuotaMarker:
        assert isinstance(message, Msg), message
        return open_message(self.dh_secret, message.msg_id, message.body)


class Peer:
    """One connection to a relay after its hello exchange."""

    def __init__(self, connection: BlockConnection, session: SMPSession, seed: str) -> None:
        self.connection = connection
        self.session = session
        self.version = session.version
        self.entropy = SeededEntropy(seed)
        self._arrived: deque[Transmission] = deque()

    async def send_content(self, content: bytes) -> None:
        await self.connection.send([self.session.seal_block(content)])

    async def send(self, *transmissions: Transmission) -> None:
        encoded = [encode_transmission(t, self.version, self.session.session_id) for t in transmissions]
        for content in encode_batches(encoded, encrypted=self.session.encrypts):
            await self.send_content(content)

    async def receive(self) -> tuple[bytes, bytes, BrokerMessage]:
        """Correlation id, entity id and message of the next transmission."""
        async with asyncio.timeout(PATIENCE):
            while not self._arrived:
                for data in decode_batch(self.session.open_block(await self.connection.receive())):
                    self._arrived.append(decode_transmission(data, self.version, self.session.session_id))
        t = self._arrived.popleft()
        assert t.auth == b""
        return t.corr_id, t.entity_id, decode_broker(t.body, self.version)

    def transmission(
        self,
        command: Command | bytes,
        entity_id: bytes = b"",
        key: AuthPrivateKey | None = None,
        *,
        auth: bytes = b"",
        corr_id: bytes | None = None,
    ) -> Transmission:
        """Signed with ``key``, or with ``auth`` as it is."""
        body = (
            command
            if isinstance(command, bytes)
            else encode_command(command, self.version, keyed_new=self.session.keyed_new)
        )
        corr_id = self.entropy.random(24) if corr_id is None else corr_id
        if key is not None:
            signed = signed_bytes(self.session.session_id, corr_id, entity_id, body)
            auth = authorise(key, signed, corr_id, self.session.peer_session_key)
        return Transmission(corr_id, entity_id, body, auth)

    async def ask(
        self,
        command: Command | bytes,
        entity_id: bytes = b"",
        key: AuthPrivateKey | None = None,
        *,
        auth: bytes = b"",
        corr_id: bytes | None = None,
    ) -> BrokerMessage:
        """Sends a command; the very next transmission must be its answer."""
        t = self.transmission(command, entity_id, key, auth=auth, corr_id=corr_id)
        await self.send(t)
        corr, entity, message = await self.receive()
        assert corr == t.corr_id
        assert entity in (entity_id, b"")
        return message

    async def event(self, entity_id: bytes) -> BrokerMessage:
        """The very next transmission, which must be a push about ``entity_id``."""
        corr, entity, message = await self.receive()
        assert (corr, entity) == (b"", entity_id), message
        return message

    async def create(
        self,
        key: AuthPrivateKey | None = None,
        *,
        mode: QueueMode | None = None,
        subscribe: bool = True,
        basic_auth: bytes | None = None,
        sender_key: AuthPrivateKey | None = None,
        link: tuple[bytes, bytes] | None = None,
        link_id: bytes | None = None,
    ) -> Created:
        """A new queue; ``link`` is its fixed and user data."""
        key = key or Ed25519PrivateKey.generate(self.entropy)
        corr_id = self.entropy.random(24)
        data = None if link is None else LinkData(derived_sender_id(corr_id), *link, link_id)
        dh = X25519PrivateKey.generate(self.entropy)
        command = New(
            key.public(),
            dh.public(),
            basic_auth,
            subscribe,
            None if mode is None else QueueRequest(mode, data),
            None,
            None if sender_key is None else sender_key.public(),
        )
        answer = await self.ask(command, b"", key, corr_id=corr_id)
        assert isinstance(answer, Ids), answer
        return Created(answer, key, dh.exchange(answer.server_dh_key))

    async def is_quiet(self) -> bool:
        """Whether nothing is under way: the answer to a PING is the next thing to come."""
        return await self.ask(Ping()) == Pong()


async def shake_hands(
    connection: BlockConnection,
    *,
    version: int = 18,
    with_key: bool = True,
    extension: int | None = None,
    seed: str = "peer",
    proxy: bool = False,
) -> Peer:
    """Answers the relay's hello as a client of one version does."""
    async with asyncio.timeout(PATIENCE):
        hello = ServerHello.decode(unpad_block(await connection.receive()))
    assert hello.session_id == connection.session_id
    own = X25519PrivateKey.generate(SeededEntropy(seed + " session")) if with_key and version >= 7 else None
    peer_key: X25519PublicKey | None = None
    if hello.signed_key is not None and version >= 7:
        peer_key = open_signed_key(hello.signed_key, an_identity().key.public())
    answer = ClientHello(
        version,
        an_identity().fingerprint,
        None if own is None else own.public(),
        proxy=proxy,
        extension=extension,
    )
    await connection.send([pad_block(answer.encode())])
    session = SMPSession(
        version,
        connection.session_id,
        own_key=own,
        peer_key=peer_key,
        is_server=False,
        encrypts=version >= 11 and not proxy,
        extension=extension,
    )
    return Peer(connection, session, seed)


class Relay:
    """A running relay for tests; connections are in memory."""

    def __init__(self, server: RelayServer, store: SQLiteStore, now: float) -> None:
        self.server = server
        self.store = store
        self.now = now
        self._tasks: list[asyncio.Task[None]] = []

    async def connect_blocks(self, *, capacity: int = 8) -> BlockConnection:
        number = len(self._tasks)
        ours, theirs = memory_pair(number.to_bytes(32, "big"), leaf=an_identity().certificate, capacity=capacity)
        self._tasks.append(asyncio.get_running_loop().create_task(self.server.serve(theirs)))
        return ours

    async def connect(
        self, *, version: int = 18, with_key: bool = True, extension: int | None = None, proxy: bool = False
    ) -> Peer:
        seed = f"peer {len(self._tasks)}"
        return await shake_hands(
            await self.connect_blocks(),
            version=version,
            with_key=with_key,
            extension=extension,
            seed=seed,
            proxy=proxy,
        )

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.server.close()


@asynccontextmanager
async def a_relay(
    *,
    store: SQLiteStore | None = None,
    password: str | None = None,
    new_queues: bool = True,
    limits: Limits | None = None,
    extensions: bool = True,
    now: float = NOW,
    versions: VersionRange = SMP_VERSIONS,
    destinations: Destinations | None = None,
    dial: Callable[[SMPServer, Destinations, float], Awaitable[BlockConnection]] = dial,
) -> AsyncIterator[Relay]:
    """A relay whose time stands still at ``now`` until ``relay.now`` is set."""
    store = store or SQLiteStore(":memory:")
    times: list[Relay] = []
    server = RelayServer(
        store,
        an_identity(),
        entropy=SeededEntropy("relay"),
        clock=lambda: times[0].now if times else now,
        password=password,
        new_queues=new_queues,
        limits=limits,
        extensions=extensions,
        versions=versions,
        destinations=destinations,
        dial=dial,
    )
    relay = Relay(server, store, now)
    times.append(relay)
    await server.start(listen=False)
    try:
        yield relay
    finally:
        await relay.close()
        store.close()


def short(data: bytes) -> bytes:
    """A short string of the wire."""
    return short_bytes.encode(data)
