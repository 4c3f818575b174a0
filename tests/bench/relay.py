"""Load for a relay: messages per second, CPU time and memory for each, latencies, idle connections.

    python -m tests.bench.relay [ADDRESS [ADDRESS]] [--connections 10] [--queues 20] [--messages 4000] [--body 16000]

Works against any SMP server given by its address (``smp://FINGERPRINT@HOST:PORT``, with ``--pid`` for its CPU time and
memory), or against two in turn, with the ratio of both. Without an address it starts this checkout's relay in a
temporary folder, and with ``--against CHECKOUT`` that one's beside it. Every queue has one message under way at a
time, from one connection to the next. Figures are those of the run that cost the relay the least CPU time: other
programs can make a run slower, never faster.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from smpchat.encoding.reader import DecodeError
from smpchat.protocol.address import parse_server
from smpchat.protocol.errors import ProtocolError
from smpchat.transport.base import TransportError
from tests.bench.fill import fill
from tests.bench.load import Line, LoadError, LoadQueue, Stream, close_all, is_alive, resubscribe, subscribed_lines
from tests.bench.server import Target, cpu_seconds, memory_bytes, running

STALL = 5.0
"""Seconds without a message on a queue after which its recipient subscribes again."""
LONE_MESSAGES = 60
LONE_PAUSE = 0.02
"""Seconds of silence before each lone message."""
MOST_CONNECTIONS, MOST_QUEUES, MOST_MESSAGES, MOST_IDLE = 1_000, 100_000, 10_000_000, 19_000


@dataclass(frozen=True, slots=True)
class Load:
    """What to do to a relay; ``seconds`` bounds each run."""

    connections: int
    queues: int
    messages: int
    body: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Figures:
    """One run. Times are milliseconds unless named otherwise; None where the relay's process is not known.

    Attributes:
        complete, delivered: From SEND to the last answer, and to MSG, under load: median and 99th of 100.
        lone: From SEND to MSG on connections that were silent before.
        server_cpu, generator_cpu: Seconds for 1,000 messages.
        peak_memory: Bytes that the relay held at most.
    """

    messages_per_second: float
    complete: tuple[float, float]
    delivered: tuple[float, float]
    lone: tuple[float, float]
    server_cpu: float | None
    generator_cpu: float
    peak_memory: int | None


@dataclass(frozen=True, slots=True)
class Idle:
    """What holding connections costs that are subscribed and silent.

    Attributes:
        memory: Bytes of the relay for each.
        connect_cpu: Milliseconds of the relay to accept one and create its queue.
    """

    connections: int
    memory: float | None
    connect_cpu: float | None


async def measure(target: Target, load: Load) -> Figures:
    """One run against one relay. Raises `LoadError`, `TransportError` or `ProtocolError`."""
    server = parse_server(target.address).server
    lines: list[Line] = []
    try:
        async with asyncio.timeout(load.seconds):
            for _ in range(load.connections):
                lines.append(await Line.open(server))
            following = [*lines[1:], lines[0]]
            queues = await asyncio.gather(
                *(_queues_of(pair, load.queues) for pair in zip(lines, following, strict=True))
            )
            flat = [queue for of_line in queues for queue in of_line]
            body = bytes(index % 251 for index in range(load.body))
            # A warm relay is what counts: caches are filled and the database has its pages.
            await _stream(flat, body, len(flat))
            server_before, own_before = cpu_seconds(target.pid), time.process_time()
            began = time.perf_counter()
            delivered, complete = await _stream(flat, body, load.messages)
            elapsed = time.perf_counter() - began
            server_cpu, own_cpu = _since(server_before, cpu_seconds(target.pid)), time.process_time() - own_before
            lone = await _lone(flat[0], body)
            peak = memory_bytes(target.pid, peak=True)
    except TimeoutError:
        raise LoadError(f"the load was not done in {load.seconds:g} s") from None
    finally:
        await close_all(lines)
    thousands = load.messages / 1000
    return Figures(
        messages_per_second=load.messages / elapsed,
        complete=_percentiles(complete),
        delivered=_percentiles(delivered),
        lone=_percentiles(lone),
        server_cpu=None if server_cpu is None else server_cpu / thousands,
        generator_cpu=own_cpu / thousands,
        peak_memory=peak,
    )


async def _queues_of(pair: tuple[Line, Line], count: int) -> list[LoadQueue]:
    recipient, sender = pair
    return [await LoadQueue.create(recipient, sender) for _ in range(count)]


async def _stream(queues: Sequence[LoadQueue], body: bytes, messages: int) -> tuple[list[float], list[float]]:
    """Sends so many messages over all queues; seconds to MSG and to the end of each."""
    left, under_way = messages, 0
    finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    delivered: list[float] = []
    complete: list[float] = []

    def more() -> bool:
        nonlocal left, under_way
        if left:
            left -= 1
            under_way += 1
            return True
        return False

    def done(to_message: float, to_end: float) -> None:
        nonlocal under_way
        under_way -= 1
        delivered.append(to_message)
        complete.append(to_end)
        if not left and not under_way and not finished.done():
            finished.set_result(None)

    streams = [Stream(queue, body, more, done) for queue in queues]
    for stream in streams:
        stream.begin()
    watched = {finished, *(line.failure for queue in queues for line in (queue.recipient, queue.sender))}
    while not finished.done():
        before = len(complete)
        await asyncio.wait(watched, timeout=STALL, return_when=asyncio.FIRST_COMPLETED)
        for one in watched:
            if one is not finished and one.done():
                one.result()
        if len(complete) == before and not finished.done():
            for queue in queues:
                await resubscribe(queue)
    return delivered, complete


async def _lone(queue: LoadQueue, body: bytes) -> list[float]:
    times: list[float] = []
    for _ in range(LONE_MESSAGES):
        await asyncio.sleep(LONE_PAUSE)
        (delivered,), _complete = await _stream([queue], body, 1)
        times.append(delivered)
    return times


async def measure_idle(target: Target, count: int) -> Idle:
    """Opens so many connections. To be called before any load: memory that a load left free would hide what they take.

    Raises `LoadError`, `TransportError` or `ProtocolError`.
    """
    server = parse_server(target.address).server
    warm = await subscribed_lines(server, 20)  # what the first connections allocate for all
    memory_before, cpu_before = memory_bytes(target.pid), cpu_seconds(target.pid)
    lines = await subscribed_lines(server, count)
    try:
        memory, cpu = memory_bytes(target.pid), cpu_seconds(target.pid)
        if not await is_alive(lines[0]) or not await is_alive(lines[-1]):
            raise LoadError("idle connections were not held")
    finally:
        await close_all([*lines, *warm])
    spent = _since(cpu_before, cpu)
    return Idle(
        count,
        None if memory is None or memory_before is None else (memory - memory_before) / count,
        None if spent is None else spent / count * 1000,
    )


def _since(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else after - before


def _percentiles(times: list[float]) -> tuple[float, float]:
    """Median and 99th percentile in milliseconds."""
    ordered = sorted(times)
    return statistics.median(ordered) * 1000, ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)] * 1000


# -- report -----------------------------------------------------------------------------------------------------------


def _best(runs: list[Figures]) -> Figures:
    return min(runs, key=lambda one: one.server_cpu if one.server_cpu is not None else -one.messages_per_second)


def _rows(figures: Figures, idle: Idle | None) -> list[tuple[str, float | None, str]]:
    held = None if idle is None else (idle.connections, idle.memory, idle.connect_cpu)
    connections, memory, connect_cpu = held or (None, None, None)
    return [
        ("messages/s", figures.messages_per_second, "{:,.0f}"),
        ("relay CPU per message, ms", figures.server_cpu, "{:.3f}"),
        ("generator CPU per message, ms", figures.generator_cpu, "{:.3f}"),
        ("SEND to last answer, median ms", figures.complete[0], "{:.2f}"),
        ("SEND to last answer, 99th ms", figures.complete[1], "{:.2f}"),
        ("SEND to MSG, median ms", figures.delivered[0], "{:.2f}"),
        ("SEND to MSG, 99th ms", figures.delivered[1], "{:.2f}"),
        ("lone message, median ms", figures.lone[0], "{:.2f}"),
        ("lone message, 99th ms", figures.lone[1], "{:.2f}"),
        ("relay memory at its peak, MB", figures.peak_memory and figures.peak_memory / 1e6, "{:.1f}"),
        ("idle connections", connections, "{:,.0f}"),
        ("memory per idle connection, kB", memory and memory / 1e3, "{:.1f}"),
        ("relay CPU to connect one, ms", connect_cpu, "{:.2f}"),
    ]


def print_table(names: list[str], best: list[Figures], idle: list[Idle | None]) -> None:
    """One column for each relay, and the ratio of the first to the second."""
    widths = [max(12, len(name)) for name in names]
    print(" " * 32 + "".join(f"  {name:>{width}}" for name, width in zip(names, widths, strict=True)), end="")
    print("     ratio" if len(best) == 2 else "")
    for rows in zip(*map(_rows, best, idle), strict=True):
        values = [value for _, value, _ in rows]
        if all(value is None for value in values):
            continue
        cells = ["-" if value is None else form.format(value) for _, value, form in rows]
        line = f"{rows[0][0]:32}" + "".join(f"  {cell:>{width}}" for cell, width in zip(cells, widths, strict=True))
        if len(values) == 2 and values[0] is not None and values[1]:
            line += f"{values[0] / values[1]:10.2f}"
        print(line)


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.relay", description="Put a relay under load.")
    parser.add_argument("address", nargs="*", help="smp://FINGERPRINT@HOST:PORT of a running relay, or of two")
    parser.add_argument("--pid", type=int, action="append", default=[], help="of the relay, in the order of addresses")
    parser.add_argument("--against", type=Path, help="another checkout whose relay to start and measure too")
    parser.add_argument("--connections", type=int, default=10)
    parser.add_argument("--queues", type=int, default=20, help="of each connection (default: %(default)s)")
    parser.add_argument("--messages", type=int, default=4000, help="in all (default: %(default)s)")
    parser.add_argument("--body", type=int, default=16_000, help="bytes of each message (default: %(default)s)")
    parser.add_argument("--idle", type=int, default=0, help="idle subscribed connections to open afterwards")
    parser.add_argument("--fill-queues", type=int, default=0, help="queues that a relay started here has already")
    parser.add_argument("--fill-messages", type=int, default=0, help="small messages stored in those queues")
    parser.add_argument("--runs", type=int, default=1, help="of which the best counts")
    parser.add_argument("--seconds", type=float, default=120.0, help="that a run may take")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    if len(options.address) > 2:
        parser.error("at most two addresses")
    if options.against and options.address:
        parser.error("--against starts both relays itself")
    bounds = {"connections": MOST_CONNECTIONS, "messages": MOST_MESSAGES, "body": 16_048, "runs": 20}
    for name, most in bounds.items():
        if not 1 <= getattr(options, name) <= most:
            parser.error(f"--{name} is 1 to {most}")
    if not 1 <= options.queues * options.connections <= MOST_QUEUES or not 0 <= options.idle <= MOST_IDLE:
        parser.error(f"at most {MOST_QUEUES} queues and {MOST_IDLE} idle connections")
    for address in options.address:
        try:
            parse_server(address)
        except DecodeError as error:
            parser.error(f"{address}: {error}")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and prints; returns the exit status."""
    options = _arguments(arguments)
    load = Load(options.connections, options.queues, options.messages, options.body, options.seconds)
    with ExitStack() as stack:
        if options.address:
            pids = [*options.pid, None, None]
            targets = [Target(address, pid) for address, pid in zip(options.address, pids, strict=False)]
            names = ["first", "second"][: len(targets)]
        else:
            sources = {"this": None} | ({"against": options.against.resolve()} if options.against else {})
            base = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="smpchat-bench-")))
            names, targets = list(sources), []
            for name, source in sources.items():
                folder = base / name
                folder.mkdir(mode=0o700)
                if options.fill_queues:
                    fill(folder, options.fill_queues, options.fill_messages, source=source)
                targets.append(stack.enter_context(running(folder, source=source)))
        runs: list[list[Figures]] = [[] for _ in targets]
        try:
            idle = [asyncio.run(measure_idle(target, options.idle)) if options.idle else None for target in targets]
            for _ in range(options.runs):
                for target, figures in zip(targets, runs, strict=True):
                    figures.append(asyncio.run(measure(target, load)))
        except (LoadError, TransportError, ProtocolError) as error:
            print(f"the relay cannot be measured: {error}", file=sys.stderr)
            return 1
    best = [_best(figures) for figures in runs]
    if options.json:
        print(
            json.dumps(
                [
                    {"name": name, "start": {"cpu": t.ready_cpu, "seconds": t.ready_seconds}}
                    | {"load": asdict(load), "best": asdict(figures), "runs": [asdict(one) for one in every]}
                    | {"idle": held and asdict(held)}
                    for name, t, figures, every, held in zip(names, targets, best, runs, idle, strict=True)
                ]
            )
        )
    else:
        for name, target in zip(names, targets, strict=True):
            if target.ready_cpu is not None and target.ready_seconds is not None:
                print(f"{name}: ready after {target.ready_seconds:.2f} s, {target.ready_cpu:.2f} s of CPU")
        print_table(names, best, idle)
    return 0


if __name__ == "__main__":
    sys.exit(main())
