"""A clock that a test moves, and a scripted relay."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable

from smpchat.protocol.block import decode_batch, encode_batches
from smpchat.protocol.command_codec import decode_command, encode_broker
from smpchat.protocol.commands import BrokerMessage, Command
from smpchat.protocol.session import ServerHandshake, SMPSession
from smpchat.protocol.transmission import Transmission, decode_transmission, encode_transmission
from smpchat.protocol.version import SMP_VERSIONS, VersionRange
from smpchat.testing.entropy import SeededEntropy
from smpchat.transport.base import BlockConnection
from tests.unit.transport.support import an_identity


class FakeTimer:
    def __init__(self, call: Callable[[], object]) -> None:
        self.call: Callable[[], object] | None = call

    def cancel(self) -> None:
        self.call = None


class FakeClock:
    """Stands still until `advance`."""

    def __init__(self) -> None:
        self._now = 1000.0
        self._order = itertools.count()
        self._due: list[tuple[float, int, FakeTimer]] = []

    def now(self) -> float:
        return self._now

    def call_at(self, when: float, call: Callable[[], object]) -> FakeTimer:
        timer = FakeTimer(call)
        heapq.heappush(self._due, (when, next(self._order), timer))
        return timer

    async def advance(self, seconds: float) -> None:
        """Let time pass, each due call at its own moment, and everything settle that follows from it."""
        until = self._now + seconds
        await settle()
        while self._due and self._due[0][0] <= until:
            when, _, timer = heapq.heappop(self._due)
            if timer.call is not None:
                self._now = max(self._now, when)
                timer.call()
                await settle()
        self._now = until

    @property
    def next_due(self) -> float | None:
        """Seconds until the next call."""
        times = [when for when, _, timer in self._due if timer.call is not None]
        return min(times) - self._now if times else None


async def settle() -> None:
    """Let every task run until it waits for something from outside."""
    for _ in range(30):
        await asyncio.sleep(0)


class ScriptedRelay:
    """The relay's end of a session; the test says what it answers."""

    def __init__(self, connection: BlockConnection, smp: SMPSession) -> None:
        self.connection = connection
        self.smp = smp

    @classmethod
    async def accept(
        cls, connection: BlockConnection, versions: VersionRange = SMP_VERSIONS, *, extensions: bool = True
    ) -> ScriptedRelay:
        """Exchange hellos."""
        identity = an_identity()
        handshake = ServerHandshake(
            identity.chain,
            identity.sign,
            connection.session_id,
            versions,
            SeededEntropy("relay"),
            extensions=extensions,
        )
        await connection.send([handshake.hello()])
        return cls(connection, handshake.receive_hello(await connection.receive()))

    async def next_block(self) -> list[Transmission]:
        """The transmissions of the next block."""
        content = self.smp.open_block(await self.connection.receive())
        return [decode_transmission(data, self.smp.version, self.smp.session_id) for data in decode_batch(content)]

    async def next(self) -> Transmission:
        """The only transmission of the next block."""
        (transmission,) = await self.next_block()
        return transmission

    def command(self, transmission: Transmission) -> Command:
        return decode_command(transmission.body, self.smp.version, keyed_new=self.smp.keyed_new)

    async def send(self, *messages: tuple[bytes, bytes, BrokerMessage | bytes]) -> None:
        """One block of (correlation id, entity id, message or its raw body)."""
        encoded = [
            encode_transmission(
                Transmission(
                    corr_id,
                    entity_id,
                    message if isinstance(message, bytes) else encode_broker(message, self.smp.version),
                ),
                self.smp.version,
                self.smp.session_id,
            )
            for corr_id, entity_id, message in messages
        ]
        await self.connection.send(
            [self.smp.seal_block(content) for content in encode_batches(encoded, encrypted=self.smp.encrypts)]
        )

    async def answer(self, to: Transmission, message: BrokerMessage) -> None:
        await self.send((to.corr_id, to.entity_id, message))
