"""A relay killed again and again under load, and what its clients were told compared with what they got.

    python -m tests.bench.kills [--kills 50] [--connections 4] [--queues 5] [--body 1000] [--seed 1] [--json]

Each queue has a sender and a recipient that subscribes again after each kill (SIGKILL, at a moment drawn at random).
Afterwards the queues are drained, and: every message whose SEND was answered with OK has come; none came after its ACK
was answered; none is there twice under two ids; and messages came in the order in which they were sent.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from smpchat.protocol.address import SMPServer, parse_server
from smpchat.protocol.commands import Ack, BrokerMessage, Err, Msg, Ok, Send, Sub
from smpchat.protocol.errors import ErrorCode, ProtocolError
from smpchat.protocol.messages import RcvMessage, open_message
from smpchat.transport.base import TransportError
from tests.bench.load import Line, LoadError, LoadQueue, close_all, is_alive
from tests.bench.server import start_relay, stop_relay

RUN_TIME = (0.05, 0.4)
"""Seconds of load before a kill, from and to."""
_NUMBER = 8


@dataclass
class Ledger:
    """What both ends of one queue know. Messages go by their number; ids are the relay's."""

    accepted: set[int] = field(default_factory=set)
    delivered: dict[int, bytes] = field(default_factory=dict)
    acknowledged: set[bytes] = field(default_factory=set)
    repeated: int = 0
    uncertain: int = 0
    faults: list[str] = field(default_factory=list)

    def deliver(self, number: int, msg_id: bytes) -> None:
        """Notes a message that came."""
        if msg_id in self.acknowledged:
            self.faults.append(f"message {number} came after its ACK was answered")
        if number not in self.delivered:
            if self.delivered and number < max(self.delivered):
                self.faults.append(f"message {number} came after message {max(self.delivered)}")
            self.delivered[number] = msg_id
        elif self.delivered[number] != msg_id:
            self.faults.append(f"message {number} came with two ids")
        else:
            self.repeated += 1

    def close(self) -> None:
        """Looks for what was lost, once the queue is empty."""
        self.faults += [
            f"message {number} was accepted and lost" for number in sorted(self.accepted - set(self.delivered))
        ]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of all kills.

    Attributes:
        accepted: SENDs answered with OK.
        uncertain: SENDs that a kill left without an answer.
        delivered: Messages that came, each counted once.
        repeated: Deliveries of a message that had come before and whose ACK was not answered.
        acknowledged: ACKs that were answered.
        faults: What must not happen, in words.
    """

    kills: int
    accepted: int
    uncertain: int
    delivered: int
    repeated: int
    acknowledged: int
    faults: tuple[str, ...]


class _Traffic:
    """The ends of one queue, which outlive their connections."""

    def __init__(self, queue: LoadQueue, body: int) -> None:
        self.ledger = Ledger()
        self._queue = queue
        self._filler = bytes(max(0, body - _NUMBER))
        self._next = 0
        self._inbox: asyncio.Queue[BrokerMessage] = asyncio.Queue()

    def reconnect(self, recipient: Line, sender: Line) -> None:
        """Takes new connections."""
        self._queue.recipient, self._queue.sender = recipient, sender

    async def send(self) -> None:
        """Sends until the connection ends."""
        queue, ledger = self._queue, self.ledger
        while True:
            number = self._next
            self._next += 1
            body = number.to_bytes(_NUMBER, "big") + self._filler
            try:
                answer = await queue.sender.ask(Send(False, body), queue.snd_id, queue.snd_signer)
            except TransportError:
                ledger.uncertain += 1
                return
            if answer == Ok():
                ledger.accepted.add(number)
            elif answer == Err(ErrorCode.QUOTA):
                await asyncio.sleep(0.01)  # the recipient is behind
            else:
                raise LoadError(f"SEND was answered with {answer}")

    async def receive(self) -> None:
        """Receives and acknowledges until the connection ends."""
        try:
            await self._subscribe()
            while True:
                await self._acknowledge(await self._arrived())
        except TransportError:
            return

    async def drain(self) -> None:
        """Receives what is there."""
        await self._subscribe()
        if not await is_alive(self._queue.recipient):
            raise LoadError("PING was not answered with PONG")
        while not self._inbox.empty():
            await self._acknowledge(self._inbox.get_nowait())

    async def _subscribe(self) -> None:
        queue = self._queue
        self._inbox = asyncio.Queue()
        queue.recipient.events[queue.rcv_id] = self._arrive
        answer = await queue.recipient.ask(Sub(), queue.rcv_id, queue.rcv_signer)
        if isinstance(answer, Err):
            raise LoadError(f"SUB was answered with {answer}")

    def _arrive(self, message: BrokerMessage) -> None:
        """Notes what comes at the moment at which it comes, and hands it on."""
        if isinstance(message, Msg):
            content = open_message(self._queue.dh_secret, message.msg_id, message.body)
            if isinstance(content, RcvMessage):
                self.ledger.deliver(int.from_bytes(content.body[:_NUMBER], "big"), message.msg_id)
        self._inbox.put_nowait(message)

    async def _arrived(self) -> BrokerMessage:
        """The next message. Raises `TransportError` when the connection ends first."""
        arrival = asyncio.ensure_future(self._inbox.get())
        failure = self._queue.recipient.failure
        waiting: set[asyncio.Future[Any]] = {arrival, failure}
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if not arrival.done():
                failure.result()
            return arrival.result()
        finally:
            arrival.cancel()

    async def _acknowledge(self, message: BrokerMessage) -> None:
        """Acknowledges a message; one that comes as the answer joins the others."""
        queue, ledger = self._queue, self.ledger
        if not isinstance(message, Msg):
            raise LoadError(f"a message was expected, not {message}")
        answer = await queue.recipient.ask(Ack(message.msg_id), queue.rcv_id, queue.rcv_signer)
        if isinstance(answer, Msg):
            self._arrive(answer)
        elif isinstance(answer, Err) and message.msg_id not in ledger.acknowledged:
            # SUB delivers again what is unacknowledged, so that the second ACK finds nothing
            raise LoadError(f"ACK was answered with {answer}")
        ledger.acknowledged.add(message.msg_id)


async def run(
    folder: Path, kills: int, *, connections: int = 4, queues: int = 5, body: int = 1000, seed: int = 1
) -> Outcome:
    """Kills the relay of ``folder`` so many times. Raises `LoadError` if it answers what it should not."""
    chance = random.Random(seed)
    process, target = await asyncio.to_thread(start_relay, folder)
    server = parse_server(target.address).server
    lines: list[Line] = []
    try:
        lines = await _connect(server, connections)
        made = [await LoadQueue.create(*_ends(lines, index)) for index in range(connections * queues)]
        traffic = [_Traffic(queue, body) for queue in made]
        for _ in range(kills):
            async with asyncio.TaskGroup() as group:
                for one in traffic:
                    group.create_task(one.send())
                    group.create_task(one.receive())
                await asyncio.sleep(chance.uniform(*RUN_TIME))
                process.kill()
            await asyncio.to_thread(process.wait)
            await close_all(lines)
            lines = []
            process, _ = await asyncio.to_thread(start_relay, folder)
            lines = await _connect(server, connections)
            for index, one in enumerate(traffic):
                one.reconnect(*_ends(lines, index))
        for one in traffic:
            await one.drain()
            one.ledger.close()
    finally:
        await close_all(lines)
        await asyncio.to_thread(_stop, process)
    ledgers = [one.ledger for one in traffic]
    return Outcome(
        kills,
        sum(len(one.accepted) for one in ledgers),
        sum(one.uncertain for one in ledgers),
        sum(len(one.delivered) for one in ledgers),
        sum(one.repeated for one in ledgers),
        sum(len(one.acknowledged) for one in ledgers),
        tuple(fault for one in ledgers for fault in one.faults),
    )


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        stop_relay(process)


async def _connect(server: SMPServer, count: int) -> list[Line]:
    return [await Line.open(server) for _ in range(count)]


def _ends(lines: Sequence[Line], index: int) -> tuple[Line, Line]:
    """Connections of the recipient and of the sender of a queue."""
    return lines[index % len(lines)], lines[(index + 1) % len(lines)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Kills, compares and prints; returns 1 if anything was lost or came twice."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.kills", description="Kill a relay under load.")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--queues", type=int, default=5, help="of each connection (default: %(default)s)")
    parser.add_argument("--body", type=int, default=1000, help="bytes of each message (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="smpchat-kills-") as base:
        try:
            outcome = asyncio.run(
                run(
                    Path(base, "relay"),
                    options.kills,
                    connections=options.connections,
                    queues=options.queues,
                    body=options.body,
                    seed=options.seed,
                )
            )
        except (LoadError, TransportError, ProtocolError, ExceptionGroup) as failure:
            reason = failure.exceptions[0] if isinstance(failure, ExceptionGroup) else failure
            print(f"the relay failed: {reason}", file=sys.stderr)
            return 2
    if options.json:
        print(json.dumps(asdict(outcome)))
    else:
        print(
            f"{outcome.kills} kills: {outcome.accepted} messages accepted, {outcome.uncertain} SENDs without an answer,"
            f" {outcome.delivered} delivered, {outcome.repeated} of them again before their ACK was answered,"
            f" {outcome.acknowledged} acknowledged"
        )
        print("\n".join(outcome.faults) or "nothing lost, nothing delivered after its acknowledgement")
    return 1 if outcome.faults else 0


if __name__ == "__main__":
    sys.exit(main())
