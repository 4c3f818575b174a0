"""A contact that moves its queue again and again: to relays that are away, that it never uses, or to one by one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from smpchat.agent.store import held, rotations
from smpchat.agent.store.rotations import Stage
from smpchat.agent.wire.envelope import QueueKey, QueueUse
from smpchat.testing.entropy import SeededEntropy
from smpchat.testing.loop import run_jumping
from smpchat.testing.relay import MemoryRelay
from tests.faults.people import START, Person
from tests.faults.reference import ReferencePeer

INFO = b'{"v":"1-7","event":"x.info","params":{"profile":{"displayName":"ref","fullName":""}}}'


@dataclass
class Scene:
    """Alice, online and connected with a contact that may be anywhere; their queues are at the first relay."""

    alice: Person
    peer: ReferencePeer
    relays: list[MemoryRelay]

    async def offer(self, relay: MemoryRelay) -> None:
        """The contact wants to receive there, and thinks no more of it."""
        self.peer.queues.remove(await self.peer.offer_queue(relay.server))

    def stage(self, relay: MemoryRelay) -> Stage | None:
        """How far Alice follows to this relay."""
        found = rotations.load(self.alice.service.database.connection, 1)
        return found.stage if found is not None and found.queue.server == relay.server else None


def at_relays(number: int, folder: Path, check: Callable[[Scene], Awaitable[None]]) -> None:
    """Run ``check`` with so many relays."""

    async def main() -> None:
        relays = [MemoryRelay(SeededEntropy(f"{n}"), lambda: START, host=f"{n}.test") for n in range(number)]
        alice = Person("alice", folder / "alice", relays, home=relays[0])
        peer = ReferencePeer("ref", relays)
        alice.service.invite("ref")
        async with asyncio.TaskGroup() as group:
            serving = group.create_task(peer.serve())
            async with alice.online():
                await alice.until(lambda s: s.invitations()[0].link is not None)
                await peer.join(alice.service.invitations()[0].link or "", INFO, reply_at=relays[0].server)
                await peer.until(lambda: peer.info is not None)
                await alice.until(lambda s: s.contact("ref").state.state == "connected")
                await check(Scene(alice, peer, relays))
            serving.cancel()
        await peer.close()
        for relay in relays:
            await relay.stop()
        alice.service.close()

    run_jumping(main)


def test_a_move_to_a_relay_that_is_away_can_be_given_up_for_another(tmp_path: Path) -> None:
    async def check(scene: Scene) -> None:
        _, away, new = scene.relays
        await scene.offer(away)
        await away.stop()
        await scene.alice.until(lambda _: scene.stage(away) is Stage.REACHING)
        await asyncio.sleep(60)
        await scene.offer(new)
        await scene.alice.until(lambda _: scene.stage(new) is Stage.KEYED)

    at_relays(3, tmp_path, check)


def test_a_move_that_the_new_relay_refuses_is_no_trouble_of_the_old_one(tmp_path: Path) -> None:
    async def check(scene: Scene) -> None:
        alice, peer, new = scene.alice, scene.peer, scene.relays[1]
        queue = await peer.offer_queue(new.server)
        await peer.until(lambda: bool(peer.of(QueueKey)))
        await peer.drop_queue(queue)
        await peer.send(QueueUse(((queue.address, True),)))
        await alice.until(lambda _: scene.stage(new) is None)
        assert held.load_all(alice.service.database.connection) == {}
        await alice.until(lambda s: s.is_idle(), seconds=1)
        assert peer.tested(), "QTEST was sent again, to the old queue"

    at_relays(2, tmp_path, check)


def test_relays_that_a_contact_only_names_cost_no_sessions(tmp_path: Path) -> None:
    async def check(scene: Scene) -> None:
        named = scene.relays[1:]
        for number, relay in enumerate(named, 1):
            await scene.offer(relay)
            await scene.peer.until(lambda count=number: len(scene.peer.of(QueueKey)) == count)  # type: ignore[misc]
        await asyncio.sleep(10)
        assert [relay.sessions for relay in named] == [1] * len(named), "the contact's own"

    at_relays(4, tmp_path, check)


def test_relays_that_a_contact_has_left_are_left(tmp_path: Path) -> None:
    async def check(scene: Scene) -> None:
        for relay in scene.relays[1:]:
            await scene.peer.move(relay.server)
            scene.alice.service.send("ref", "hello")
            await scene.alice.until(lambda s: s.is_idle())
        await asyncio.sleep(10)
        home, *left, _, current = scene.relays
        assert home.sessions == current.sessions == 2
        assert [relay.sessions for relay in left] == [1] * len(left), "the contact's own"

    at_relays(5, tmp_path, check)
