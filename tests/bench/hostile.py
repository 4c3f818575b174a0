"""What an attacker costs everybody else: latency of a lone message, and the relay's memory, under each attack in turn.

    python -m tests.bench.hostile [--seconds 8] [--attackers 4] [--json]

One client sends a message at a time, with a pause between them, undisturbed and then while connections of another
process do one of the things in `ATTACKS`. The relay has one core to itself where the system allows that, and the
attacker gives way to the client on the other: it would have a computer of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from smpchat.crypto.entropy import SystemEntropy
from smpchat.crypto.keys import X25519PrivateKey
from smpchat.protocol.address import SMPServer, parse_server
from smpchat.protocol.block import BLOCK_SIZE
from smpchat.protocol.commands import New, Ping
from smpchat.protocol.session import ClientHandshake, SMPSession
from smpchat.protocol.version import VersionRange
from smpchat.transport import tls
from smpchat.transport.base import BlockConnection, TransportError
from tests.bench.load import ANSWER_TIME, Line, LoadError, LoadQueue, Signer, Stream, close_all
from tests.bench.server import memory_bytes, running

PAUSE = 0.01
"""Seconds between two messages of the client."""
BODY = bytes(16_000)
UNENCRYPTED = VersionRange(9, 9)
"""Blocks that the relay takes without a secret box around them, so that any content is read."""


# -- attacks ----------------------------------------------------------------------------------------------------------


async def _connect(server: SMPServer) -> tuple[BlockConnection, SMPSession]:
    connection = await tls.connect(server.hosts, server.port_number, timeout=ANSWER_TIME)
    hello = ClientHandshake(
        server.key_hash, connection.session_id, connection.peer_leaf, UNENCRYPTED, SystemEntropy(), extensions=False
    )
    answer, session = hello.receive_hello(await connection.receive())
    await connection.send([answer])
    return connection, session


async def _read_all(connection: BlockConnection) -> None:
    while True:
        await connection.receive()


async def _blocks(server: SMPServer, block: bytes, *, read: bool = True) -> None:
    """Sends one block for ever."""
    connection, _ = await _connect(server)
    async with asyncio.TaskGroup() as group:
        if read:
            group.create_task(_read_all(connection))
        while True:
            await connection.send([block] * 8)


async def garbage(server: SMPServer) -> None:
    """Random blocks."""
    await _blocks(server, os.urandom(BLOCK_SIZE))


async def half_blocks(server: SMPServer) -> None:
    """Connections that stop in the middle of their first block, and others in their place."""
    while True:
        reader, writer = await asyncio.open_connection(
            server.hosts[0], server.port_number, ssl=_any_certificate(), server_hostname=""
        )
        await reader.readexactly(BLOCK_SIZE)
        writer.write(os.urandom(BLOCK_SIZE // 2))
        await writer.drain()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def _any_certificate() -> object:
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["smp/1"])
    return context


async def oversize_counts(server: SMPServer) -> None:
    """Blocks that announce 255 transmissions of 65,535 bytes, and hold none."""
    content = b"\xff" + b"\xff\xff" * 4
    await _blocks(server, len(content).to_bytes(2, "big") + content.ljust(BLOCK_SIZE - 2, b"#"))


async def new_queues(server: SMPServer) -> None:
    """NEW as fast as it is taken, whatever the answer."""
    line = await Line.open(server)
    signer, key = Signer(line.entropy), X25519PrivateKey.generate(line.entropy)
    corr_id, data = line.encode(New(signer.public, key.public()), signer=signer)
    answered = asyncio.Event()
    under_way = 0

    def one_less(_: object) -> None:
        nonlocal under_way
        under_way -= 1
        answered.set()

    while not line.failure.done():
        while under_way < 128:
            under_way += 1
            corr_id, data = line.encode(New(signer.public, key.public()), signer=signer)
            line.post(corr_id, data, one_less)
        answered.clear()
        await answered.wait()
    line.failure.result()


async def never_reads(server: SMPServer) -> None:
    """PINGs whose answers nobody takes."""
    connection, session = await _connect(server)
    from smpchat.protocol.block import encode_batches
    from smpchat.protocol.command_codec import encode_command
    from smpchat.protocol.transmission import Transmission, encode_transmission

    ping = Transmission(bytes(24), b"", encode_command(Ping(), session.version))
    data = encode_transmission(ping, session.version, session.session_id)
    [content] = encode_batches([data] * 100, encrypted=False)
    block = session.seal_block(content)
    while True:
        await connection.send([block])


ATTACKS: dict[str, Callable[[SMPServer], Awaitable[None]]] = {
    "garbage": garbage,
    "half-blocks": half_blocks,
    "oversize-counts": oversize_counts,
    "new-queues": new_queues,
    "never-reads": never_reads,
}


async def _attack(name: str, server: SMPServer, attackers: int, seconds: float) -> None:
    """So many connections at once; one that is ended begins again."""

    async def again() -> None:
        while True:
            try:
                await ATTACKS[name](server)
            except (TransportError, LoadError, OSError, EOFError, ExceptionGroup):
                await asyncio.sleep(0)  # the relay ended it: that is its answer

    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds), asyncio.TaskGroup() as group:
            for _ in range(attackers):
                group.create_task(again())


def _give_way() -> None:
    if hasattr(os, "SCHED_IDLE"):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    elif hasattr(os, "nice"):
        os.nice(19)


# -- the client -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Figures:
    """One phase.

    Attributes:
        median, p99: Milliseconds from SEND to MSG.
        memory: Bytes that the relay held at the end.
    """

    attack: str
    messages: int
    median: float
    p99: float
    memory: int | None


async def _converse(server: SMPServer, seconds: float) -> list[float]:
    """Lone messages for so long; seconds from SEND to MSG of each."""
    recipient, sender = await Line.open(server), await Line.open(server)
    try:
        queue = await LoadQueue.create(recipient, sender)
        delivered: list[float] = []
        complete = asyncio.Event()
        may_send = True

        def more() -> bool:
            nonlocal may_send
            allowed, may_send = may_send, False
            return allowed

        def done(until_message: float, _: float) -> None:
            delivered.append(until_message)
            complete.set()

        stream = Stream(queue, BODY, more, done)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            may_send = True
            complete.clear()
            stream.begin()
            async with asyncio.timeout(ANSWER_TIME):
                await complete.wait()
            await asyncio.sleep(PAUSE)
        return delivered
    finally:
        await close_all([recipient, sender])


@contextlib.contextmanager
def _attacked(name: str, address: str, attackers: int, seconds: float) -> Iterator[None]:
    if name not in ATTACKS:
        yield
        return
    arguments = ["--attack", name, "--address", address, "--attackers", str(attackers), "--seconds", str(seconds)]
    process = subprocess.Popen([sys.executable, "-m", "tests.bench.hostile", *arguments])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def measure(seconds: float, attackers: int) -> list[Figures]:
    """Every attack in turn against one relay, with a phase without any before each."""
    results = []
    with tempfile.TemporaryDirectory() as folder, running(Path(folder) / "relay") as target:
        if target.pid is not None and hasattr(os, "sched_setaffinity") and (os.cpu_count() or 1) > 1:
            os.sched_setaffinity(target.pid, {0})
            os.sched_setaffinity(0, {1})
        server = parse_server(target.address).server
        asyncio.run(_converse(server, 1.0))  # a warm relay is what counts
        for name in [phase for attack in ATTACKS for phase in ("none", attack)]:
            with _attacked(name, target.address, attackers, seconds + 5):
                times = sorted(1000 * t for t in asyncio.run(_converse(server, seconds)))
            p99 = times[min(len(times) - 1, len(times) * 99 // 100)]
            results.append(Figures(name, len(times), statistics.median(times), p99, memory_bytes(target.pid)))
    return results


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints a table, or with ``--json`` an object for each phase."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=8.0, help="of each phase")
    parser.add_argument("--attackers", type=int, default=4, help="connections of the attacker")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--attack", choices=ATTACKS, help=argparse.SUPPRESS)
    parser.add_argument("--address", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if not 0 < options.seconds <= 600 or not 0 < options.attackers <= 1_000:
        parser.error("at most 600 seconds and 1,000 attackers")
    if options.attack:
        _give_way()
        server = parse_server(options.address).server
        asyncio.run(_attack(options.attack, server, options.attackers, options.seconds))
        return 0
    figures = measure(options.seconds, options.attackers)
    quiet = figures[0]
    for one in figures:
        if one.attack == "none":
            quiet = one
        if options.json:
            print(json.dumps(asdict(one)))
        else:
            memory = "" if one.memory is None else f"{one.memory / 1e6:6.0f} MB"
            ratio = "" if one is quiet else f"{one.p99 / quiet.p99:5.2f} times the p99 without"
            print(
                f"{one.attack:16} {one.messages:5} messages, median {one.median:6.2f} ms,"
                f" p99 {one.p99:6.2f} ms {memory} {ratio}"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
