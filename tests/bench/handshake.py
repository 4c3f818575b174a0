"""How long each handshake takes, side by side through one delaying proxy.

    python -m tests.bench.handshake [--delays 0,25,50,150] [--runs 3] [--json]

Relay and both people run in this process over real TLS; each direction of every connection is delayed. Times are
medians in milliseconds and contain this process's own work. V1 is the five-message handshake of before 2022, replayed
with bodies of the real size at SMP level; it repeats HELLO every 200 ms until the other side has secured its queue.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from smpchat.agent.machines import handshake_states as states
from smpchat.agent.machines.delivery import Integrity
from smpchat.agent.machines.handshake_states import Variant
from smpchat.agent.online.runner import AgentRunner
from smpchat.agent.store.connections import Connection
from smpchat.chat.service.connecting import ChatService
from smpchat.chat.transactions.incoming import ChatApplication
from smpchat.client.connect import connect
from smpchat.client.pool import SessionPool
from smpchat.client.session import ServerSession
from smpchat.crypto.entropy import SystemEntropy
from smpchat.crypto.keys import Ed25519PrivateKey, X25519PrivateKey
from smpchat.protocol.address import SMPServer, SMPServerAddress
from smpchat.protocol.commands import Ack, BrokerMessage, Ids, Key, Msg, New, Send
from smpchat.protocol.errors import SMPError
from smpchat.protocol.version import SMP_VERSIONS, VersionRange
from smpchat.relay.records import Queue, StoredMessage
from smpchat.relay.server import RelayServer
from smpchat.relay.store import SQLiteStore
from smpchat.transport.identity import create_identity
from tests.bench.network import DelayProxy

OLD = VersionRange(6, 8)
TIMEOUT = 60.0


@dataclass(frozen=True)
class Row:
    """One handshake to measure; ``reply_key``: whether the joiner gets to see it; ``pq``: with post-quantum keys."""

    name: str
    variant: Variant
    reply_key: bool = True
    versions: VersionRange = SMP_VERSIONS
    extensions: bool = True
    pq: bool = True


ROWS = [
    Row("standard", Variant.STANDARD, versions=OLD, extensions=False),
    Row("three-step", Variant.THREE_STEP),
    Row("sender-secured", Variant.INSTANT, reply_key=False, extensions=False),
    Row("instant, plain relay", Variant.INSTANT, extensions=False),
    Row("instant", Variant.INSTANT),
    Row("instant, no PQ", Variant.INSTANT, pq=False),
]


@dataclass
class Measured:
    """Times in seconds since the joiner began (offline: the inviter's since the inviter came back)."""

    joiner_may_write: float = 0.0
    joiner_round_trips: float | None = None
    inviter_may_write: float = 0.0
    first_message_read: float = 0.0
    messages: int = 0
    bytes_passed: int = 0


class CountingStore(SQLiteStore):
    """Counts the messages that the relay accepts."""

    accepted = 0

    def append(self, queue: Queue, message: StoredMessage) -> None:
        self.accepted += 1
        super().append(queue, message)


class Watched(ChatApplication):
    """Tells when a side may write, is connected, and reads its first message."""

    def __init__(self, service: ChatService) -> None:
        super().__init__(service.own_profile, service.now, service.entropy.random)
        self.times: dict[str, float] = {}
        self.changed = asyncio.Event()

    def _note(self, what: str) -> None:
        self.times.setdefault(what, asyncio.get_running_loop().time())
        self.changed.set()

    def state_changed(self, tx: sqlite3.Connection, connection: Connection) -> None:
        super().state_changed(tx, connection)
        if states.may_send(connection.state):
            self._note("may write")
        self._note(str(states.connection_state(connection.state)))

    def message_received(
        self, tx: sqlite3.Connection, connection_id: int, body: bytes, sent_at: int, integrity: Integrity
    ) -> bool:
        self._note("read")
        return super().message_received(tx, connection_id, body, sent_at, integrity)

    async def until(self, what: str) -> float:
        async with asyncio.timeout(TIMEOUT):
            while what not in self.times:
                self.changed.clear()
                await self.changed.wait()
        return self.times[what]


@dataclass
class Side:
    """One person, online while `online` runs."""

    name: str
    folder: Path
    server: SMPServer
    pq: bool
    service: ChatService = field(init=False)
    watched: Watched = field(init=False)

    def __post_init__(self) -> None:
        self.service = ChatService(self.folder, self.name)
        self.watched = Watched(self.service)
        self.service.context = replace(
            self.service.context, application=self.watched, kem=self.service.kem if self.pq else None
        )

    def go_online(self) -> asyncio.Task[None]:
        async def open_session(server: SMPServer) -> ServerSession:
            return await connect(server, entropy=self.service.entropy, timeout=TIMEOUT, on_event=lambda *_: None)

        async def choose(_: SMPServer | None, in_trouble: frozenset[str]) -> list[SMPServerAddress]:
            return [SMPServerAddress(self.server)]

        pool = partial(SessionPool, open_session, entropy=self.service.entropy)
        runner = AgentRunner(self.service.database, self.service.context, pool, choose)
        return asyncio.get_running_loop().create_task(runner.run())


async def _cancel(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@dataclass
class Network:
    """Relay, proxy and the address that leads through both."""

    store: CountingStore
    relay: RelayServer
    proxy: DelayProxy
    server: SMPServer


async def with_network(
    delay: float, versions: VersionRange, extensions: bool, use: Callable[[Network, Path], Awaitable[Measured]]
) -> Measured:
    """Run ``use`` against a fresh relay behind a fresh proxy."""
    with tempfile.TemporaryDirectory() as name:
        folder, entropy = Path(name), SystemEntropy()
        identity = create_identity(entropy, datetime.now(UTC), ["127.0.0.1"])
        store = CountingStore(folder / "relay.db")
        relay = RelayServer(store, identity, entropy=entropy, clock=time.time, versions=versions, extensions=extensions)
        await relay.start("127.0.0.1", 0)
        proxy = DelayProxy(relay.port, delay)
        async with proxy.running():
            server = SMPServer(("127.0.0.1",), str(proxy.port), identity.fingerprint)
            measured = await use(Network(store, relay, proxy, server), folder)
        await relay.close()
        store.close()
        return measured


async def measure(row: Row, delay: float, *, inviter_online: bool) -> Measured:
    """One handshake with a first message from the joiner."""

    async def use(network: Network, folder: Path) -> Measured:
        loop, measured = asyncio.get_running_loop(), Measured()
        alice = Side("alice", folder / "alice", network.server, row.pq)
        bob = Side("bob", folder / "bob", network.server, row.pq)
        alice.service.invite(variant=row.variant)
        alice_online = alice.go_online()
        await alice.watched.until("invited")
        link = alice.service.invitations()[0].link
        assert link is not None
        if not inviter_online:
            await _cancel(alice_online)
        passed = network.proxy.bytes_passed
        began = loop.time()
        connections = len(network.proxy.connected_at)
        bob.service.connect(link if row.reply_key else re.sub("&rk=.*", "", link), "alice")
        bob_online = bob.go_online()
        ready = await bob.watched.until("ready")
        if not inviter_online:
            began_inviter = loop.time()
            alice_online = alice.go_online()
        else:
            began_inviter = began
        measured.inviter_may_write = await alice.watched.until("may write") - began_inviter
        joiner_may_write = await bob.watched.until("may write")
        measured.joiner_may_write = max(joiner_may_write, ready) - began
        if delay:
            connected_at = network.proxy.connected_at[connections]
            measured.joiner_round_trips = (max(joiner_may_write, ready) - connected_at) / (2 * delay)
        await bob.watched.until("connected")
        await alice.watched.until("connected")
        await asyncio.sleep(4 * delay + 0.05)  # the last flights of the older handshakes pass
        measured.messages, measured.bytes_passed = network.store.accepted, network.proxy.bytes_passed - passed
        await _cancel(alice_online, bob_online)
        alice.service.close()
        bob.service.close()
        return measured

    measured = await with_network(delay, row.versions, row.extensions, use)
    measured.first_message_read = await _first_message(row, delay, inviter_online=inviter_online)
    return measured


async def _first_message(row: Row, delay: float, *, inviter_online: bool) -> float:
    """A second handshake, with a text given to `connect`: when is it read?"""

    async def use(network: Network, folder: Path) -> Measured:
        loop = asyncio.get_running_loop()
        alice = Side("alice", folder / "alice", network.server, row.pq)
        bob = Side("bob", folder / "bob", network.server, row.pq)
        alice.service.invite(variant=row.variant)
        alice_online = alice.go_online()
        await alice.watched.until("invited")
        link = alice.service.invitations()[0].link
        assert link is not None
        if not inviter_online:
            await _cancel(alice_online)
        began = loop.time()
        bob.service.connect(link if row.reply_key else re.sub("&rk=.*", "", link), "alice", ["hi"])
        bob_online = bob.go_online()
        await bob.watched.until("ready")
        if not inviter_online:
            began = loop.time()
            alice_online = alice.go_online()
        read = await alice.watched.until("read") - began
        await _cancel(alice_online, bob_online)
        alice.service.close()
        bob.service.close()
        return Measured(first_message_read=read)

    return (await with_network(delay, row.versions, row.extensions, use)).first_message_read


# -- V1, replayed -----------------------------------------------------------------------------------------------------

HELLO_PAUSE = 0.2


class V1Side:
    """One side of the replay: a session, its own queue and what arrives there."""

    def __init__(self) -> None:
        self.arrived: asyncio.Queue[Msg] = asyncio.Queue()
        self.own, self.key = Ed25519PrivateKey.generate(SystemEntropy()), Ed25519PrivateKey.generate(SystemEntropy())

    def on_event(self, _: ServerSession, __: bytes, message: BrokerMessage) -> None:
        if isinstance(message, Msg):
            self.arrived.put_nowait(message)

    async def online(self, server: SMPServer) -> None:
        self.session = await connect(server, entropy=SystemEntropy(), timeout=TIMEOUT, on_event=self.on_event)

    async def create(self) -> Ids:
        new = New(self.own.public(), X25519PrivateKey.generate(SystemEntropy()).public())
        ids = await self.session.request(new, b"", self.own)
        assert isinstance(ids, Ids)
        self.ids = ids
        return ids

    async def read(self) -> None:
        message = await self.arrived.get()
        answer = await self.session.request(Ack(message.msg_id), self.ids.rcv_id, self.own)
        if isinstance(answer, Msg):
            self.arrived.put_nowait(answer)

    async def secure(self, peer: V1Side) -> None:
        await self.session.request(Key(peer.key.public()), self.ids.rcv_id, self.own)

    async def send(self, queue: Ids, size: int, *, signed: bool) -> None:
        await self.session.request(Send(True, bytes(size)), queue.snd_id, self.key if signed else None)

    async def hello(self, queue: Ids) -> None:
        while True:
            try:
                return await self.send(queue, 16043, signed=True)
            except SMPError:
                await asyncio.sleep(HELLO_PAUSE)


async def measure_v1(delay: float, *, inviter_online: bool) -> Measured:
    """Confirmation, HELLO and REPLY to the inviter's queue; confirmation and HELLO to the joiner's."""

    async def use(network: Network, _: Path) -> Measured:
        loop, measured = asyncio.get_running_loop(), Measured()
        alice, bob = V1Side(), V1Side()
        await alice.online(network.server)
        queue_a = await alice.create()
        passed, began = network.proxy.bytes_passed, loop.time()
        connections = len(network.proxy.connected_at)

        async def initiator() -> None:
            await alice.read()  # 1, the confirmation
            await alice.secure(bob)
            await alice.read()  # 2, HELLO
            await alice.read()  # 3, REPLY with the joiner's queue
            await alice.send(bob.ids, 15992, signed=False)
            await alice.hello(bob.ids)
            measured.inviter_may_write = loop.time() - began_inviter

        async def joiner() -> None:
            await bob.online(network.server)
            await bob.send(queue_a, 15992, signed=False)
            confirmed.set()
            await bob.hello(queue_a)
            queue_b = await bob.create()
            assert queue_b.snd_id
            await bob.send(queue_a, 16043, signed=True)
            await bob.read()  # 4, the confirmation
            await bob.secure(alice)
            await bob.read()  # 5, HELLO
            measured.joiner_may_write = loop.time() - began
            await bob.send(queue_a, 16043, signed=True)  # the first text

        confirmed = asyncio.Event()
        joining = loop.create_task(joiner())
        if not inviter_online:
            await confirmed.wait()
        began_inviter = began if inviter_online else loop.time()
        answering = loop.create_task(initiator())
        async with asyncio.timeout(TIMEOUT):
            await asyncio.gather(joining, answering)
            await alice.read()
        measured.first_message_read = loop.time() - began_inviter
        if delay:
            connected_at = network.proxy.connected_at[connections]
            measured.joiner_round_trips = (began + measured.joiner_may_write - connected_at) / (2 * delay)
        measured.messages = network.store.accepted - 1
        measured.bytes_passed = network.proxy.bytes_passed - passed
        await alice.session.close()
        await bob.session.close()
        return measured

    return await with_network(delay, OLD, False, use)


# -- the table --------------------------------------------------------------------------------------------------------


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.handshake")
    parser.add_argument("--delays", default="0,25,50,150", help="milliseconds in each direction")
    parser.add_argument("--runs", type=int, default=3, help="runs of each case; medians are shown")
    parser.add_argument("--json", action="store_true", help="one JSON object per row")
    options = parser.parse_args()
    if not options.json:
        print(_HEAD)
    for online in (True, False):
        if not options.json:
            print("both online" if online else "joiner first, the inviter comes online when the joiner is ready")
        for delay in (int(text) / 1000 for text in options.delays.split(",")):
            cases: list[tuple[str, Callable[[], Coroutine[None, None, Measured]]]] = [
                ("V1 (replayed)", partial(measure_v1, delay, inviter_online=online)),
                *((row.name, partial(measure, row, delay, inviter_online=online)) for row in ROWS),
            ]
            for name, case in cases:
                runs = [asyncio.run(case()) for _ in range(options.runs)]
                _print(name, delay, online, runs, as_json=options.json)


def _print(name: str, delay: float, online: bool, runs: list[Measured], *, as_json: bool) -> None:
    times = [1000 * statistics.median(getattr(run, field) for run in runs) for field in _TIMES]
    counted = [run.joiner_round_trips for run in runs if run.joiner_round_trips is not None]
    trips = statistics.median(counted) if counted else None
    if as_json:
        row = {
            "handshake": name,
            "one_way_ms": delay * 1000,
            "both_online": online,
            "messages": runs[0].messages,
            "bytes": runs[0].bytes_passed,
            "joiner_round_trips": trips,
            **{f"{field}_ms": value for field, value in zip(_TIMES, times, strict=True)},
        }
        print(json.dumps(row), flush=True)
        return
    kilobytes = round(statistics.median(run.bytes_passed for run in runs) / 1000)
    shown = f"{trips:.1f}" if trips is not None else "-"
    cells = [f"{value:.0f}" for value in times]
    print(
        f"{name:22}{delay * 1000:8.0f}{runs[0].messages:9}{kilobytes:7}"
        f"{cells[0]:>12}{shown:>12}{cells[1]:>13}{cells[2]:>12}",
        flush=True,
    )


_TIMES = ("joiner_may_write", "inviter_may_write", "first_message_read")
_HEAD = (
    f"{'':22}{'one-way':>8}{'messages':>9}{'kB':>7}{'joiner may write':>24}{'inviter may':>13}{'first text':>12}\n"
    f"{'handshake':22}{'ms':>8}{'':>9}{'':>7}{'ms':>12}{'round trips':>12}{'write, ms':>13}{'read, ms':>12}"
)

if __name__ == "__main__":
    main()
