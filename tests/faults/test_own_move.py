"""Our own queue moves while a peer that follows as the reference does writes: crashes at each commit, dead relays."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from smpchat.agent.store import connections, moves, outgoing
from smpchat.agent.store.connections import ReceiveQueue
from smpchat.agent.store.outgoing import Lane
from smpchat.agent.transactions.moving import LEAVE_FOR
from smpchat.agent.wire.envelope import QueueAdd, QueueUse
from smpchat.chat.errors import InputError
from smpchat.chat.store.moves import MoveView
from smpchat.client.connect import open_session
from smpchat.protocol.address import SMPServer
from smpchat.protocol.commands import Del
from smpchat.testing.entropy import SeededEntropy
from smpchat.testing.loop import run_jumping
from smpchat.testing.relay import MemoryRelay
from tests.faults.follower import Follower
from tests.faults.people import START, CrashPlan, Person
from tests.faults.test_reference import INFO, heard, said_to


@dataclass
class Scene:
    """Alice, who moves and may crash; a peer that does not; a bystander whose relay is dead."""

    alice: Person
    peer: Follower
    old: MemoryRelay
    new: MemoryRelay
    third: MemoryRelay
    theirs: MemoryRelay

    def move(self) -> MoveView | None:
        return self.alice.service.contact("ref").move

    def step(self) -> str | None:
        move = self.move()
        return move.step if move else None

    @property
    def own(self) -> SMPServer:
        number = self.alice.service.contact("ref").contact.connection_id
        queue = connections.receive_queue(self.alice.service.database.connection, number)
        assert queue is not None
        return queue.server

    def lines(self) -> list[str]:
        return [notice.text for notice in self.alice.service.notices("ref")]

    async def rotate(self, relay: MemoryRelay) -> None:
        """Until it is stored, however often her process dies over it."""
        while self.move() is None and self.own != relay.server:
            await self.alice.do(lambda service: service.rotate("ref", str(relay.server)))

    async def until_step(self, step: str | None) -> None:
        await self.alice.until(lambda _: self.step() == step)

    async def alice_says(self, text: str) -> None:
        while not any(message.text == text for message in self.alice.service.history("ref")):
            await self.alice.do(lambda service: service.send("ref", text))

    async def alice_read(self, text: str) -> None:
        await self.alice.until(lambda _: text in heard(self.alice))

    async def until_left(self) -> None:
        """No queue but the connection's own is left."""
        await self.alice.until(lambda service: len(moves.every_queue(service.database.connection)) == self.queues)

    queues = 2
    """Alice's: one for each contact."""


@asynccontextmanager
async def scene(folder: Path, plan: CrashPlan) -> AsyncIterator[Scene]:
    """Connected; both have written once. Alice is online while the block runs."""
    hosts = ("old.test", "new.test", "third.test", "theirs.test", "dead.test")
    relays = [MemoryRelay(SeededEntropy(host), lambda: START, host=host) for host in hosts]
    old, new, third, theirs, dead = relays
    alice = Person("alice", folder / "alice", relays, home=old, plan=plan)
    peer, bystander = Follower("ref", relays), Follower("pal", relays)
    link = await bystander.invite(dead.server)
    dead.running = False
    while not alice.service.contacts():
        await alice.do(lambda service: service.connect(link, "pal", ["lost for now"]))
    async with asyncio.TaskGroup() as group:
        serving = group.create_task(peer.serve())
        async with alice.online():
            link = await peer.invite(theirs.server)
            while len(alice.service.contacts()) < 2:
                await alice.do(lambda service: service.connect(link, "ref"))
            await peer.until(lambda: peer.info is not None)
            await peer.answer(INFO)
            found = Scene(alice, peer, old, new, third, theirs)
            await alice.until(lambda service: service.contact("ref").state.state == "connected")
            await peer.say("hello")
            await found.alice_read("hello")
            await found.alice_says("welcome")
            await peer.until(lambda: "welcome" in said_to(peer))
            await alice.until(lambda s: len(moves.every_queue(s.database.connection)) == 2)
            yield found
        serving.cancel()
    await peer.close()
    await bystander.close()
    for relay in relays:
        await relay.stop()
    alice.service.close()


Scenario = Callable[[Path, CrashPlan], Awaitable[None]]


async def whole(folder: Path, plan: CrashPlan) -> None:
    """The move, with texts in both directions at each step."""
    async with scene(folder, plan) as found:
        alice, peer = found.alice, found.peer
        await found.rotate(found.new)
        await peer.say("one")
        await found.alice_says("first")
        await peer.until(lambda: peer.moves == 1)
        await peer.say("two")
        await found.alice_says("second")
        await found.until_step(None)
        await found.alice_read("two")
        await found.until_left()
        await peer.say("three")
        await found.alice_read("three")
        await peer.until(lambda: "second" in said_to(peer))
        assert found.own == found.new.server
        assert heard(alice) == ["hello", "one", "two", "three"]
        assert said_to(peer) == ["welcome", "first", "second"]
        assert all(arrived.in_order for arrived in peer.arrived)
        assert found.lines() == ["You now receive messages from ref at the relay new.test."]
        assert (len(peer.of(QueueAdd)), len(peer.of(QueueUse)), peer.refused) == (1, 1, 0)
        assert sum(isinstance(command, Del) for command in found.old.commands) >= 1


async def crossing(folder: Path, plan: CrashPlan) -> None:
    """Both move at the same moment, each to another relay."""
    async with scene(folder, plan) as found:
        peer = found.peer
        moved = asyncio.get_running_loop().create_task(peer.move(found.third.server))
        await found.rotate(found.new)
        await found.alice_says("one")
        await peer.until(lambda: peer.moves == 1)
        await moved
        await peer.say("two")
        await found.alice_read("two")
        await found.until_left()
        await found.alice_says("three")
        await peer.until(lambda: "three" in said_to(peer))
        assert found.own == found.new.server and peer.queues[0].server == found.third.server
        assert said_to(peer) == ["welcome", "one", "three"] and heard(found.alice) == ["hello", "two"]
        assert sorted(found.lines()) == [
            "You now receive messages from ref at the relay new.test.",
            "ref now receives at the relay third.test.",
        ]


async def begun_anew(folder: Path, plan: CrashPlan) -> None:
    """The peer does not answer; the move is begun anew to another relay, and the first new queue is deleted."""
    async with scene(folder, plan) as found:
        found.peer.follows.clear()
        await found.rotate(found.new)
        await found.until_step("asked")
        while (move := found.move()) is not None and move.relay == "new.test":
            await found.alice.do(lambda service: service.rotate("ref", str(found.third.server)))
        found.peer.follows.set()
        await found.until_step(None)
        await found.until_left()
        await found.peer.say("two")
        await found.alice_read("two")
        assert found.own == found.third.server
        assert sum(isinstance(command, Del) for command in found.new.commands) >= 1
        assert found.lines() == ["You now receive messages from ref at the relay third.test."]


async def given_up(folder: Path, plan: CrashPlan) -> None:
    """The user stays where the queue is; the peer's keys that come later change nothing."""
    async with scene(folder, plan) as found:
        found.peer.follows.clear()
        await found.rotate(found.new)
        await found.until_step("asked")
        while found.move() is not None:
            await found.alice.do(lambda service: service.stay("ref"))
        found.peer.follows.set()
        await found.peer.until(lambda: len(found.peer.of(QueueAdd)) == 1)
        await found.until_left()
        await found.peer.say("two")
        await found.alice_read("two")
        assert found.own == found.old.server and found.lines() == [] and found.move() is None
        assert not found.peer.of(QueueUse)


SCENARIOS = [whole, crossing, begun_anew, given_up]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_without_faults(tmp_path: Path, scenario: Scenario) -> None:
    run_jumping(lambda: _run(scenario, tmp_path, CrashPlan()))


@pytest.mark.parametrize("after", [False, True], ids=["before-commit", "after-commit"])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_a_crash_at_each_commit(tmp_path: Path, scenario: Scenario, after: bool) -> None:
    for at in itertools.count(FIRST_COMMIT):
        plan = CrashPlan((at, after))
        run_jumping(lambda at=at, plan=plan: _run(scenario, tmp_path / str(at), plan))  # type: ignore[misc]
        if plan.commits < at:
            break


FIRST_COMMIT = 12
"""The handshake before has its own tests, in `test_conversation`."""


async def _run(scenario: Scenario, folder: Path, plan: CrashPlan) -> None:
    await scenario(folder, plan)


def moving(folder: Path, check: Callable[[Scene], Awaitable[None]]) -> None:
    async def main() -> None:
        async with scene(folder, CrashPlan()) as found:
            await check(found)

    run_jumping(main)


# -- relays that are away ---------------------------------------------------------------------------------------------


def test_an_old_relay_that_goes_away_in_the_middle_holds_nothing_up(tmp_path: Path) -> None:
    """The peer has the new queue by then; the old one is deleted once its relay is back, and another move is free."""

    async def check(found: Scene) -> None:
        found.peer.tests.clear()
        await found.rotate(found.new)
        await found.until_step("using")
        await found.old.stop()
        found.peer.tests.set()
        await found.peer.until(lambda: found.peer.moves == 1)  # until then it would speak to the relay that is gone
        await found.peer.say("one")
        await found.until_step(None)
        await found.alice_read("one")
        await found.rotate(found.third)
        await found.until_step(None)
        assert found.own == found.third.server
        await found.alice.until(lambda s: len(moves.every_queue(s.database.connection)) == 3)
        await asyncio.sleep(120)
        due = outgoing.lanes(found.alice.service.database.connection, found.alice.service.now())
        assert Lane.LEAVE not in {lane for _, lane in due}, "nobody waits for the old relay"
        found.old.start()
        await found.until_left()
        assert sum(isinstance(command, Del) for command in found.old.commands) == 1

    moving(tmp_path, check)


def test_an_old_relay_that_never_comes_back_is_forgotten(tmp_path: Path) -> None:
    async def check(found: Scene) -> None:
        found.peer.tests.clear()
        await found.rotate(found.new)
        await found.until_step("using")
        await found.old.stop()
        found.peer.tests.set()
        await found.until_step(None)
        number = found.alice.service.contact("ref").contact.connection_id
        database = found.alice.service.database.connection
        async with found.alice.away():
            await asyncio.sleep(LEAVE_FOR - 86_400)
        await asyncio.sleep(60)
        assert moves.other_queues(database, number)
        async with found.alice.away():
            await asyncio.sleep(86_400)
        await found.until_left()
        await found.peer.say("still")
        await found.alice_read("still")

    moving(tmp_path, check)


@pytest.mark.parametrize("at", ["creating", "securing"])
def test_a_new_relay_that_is_away_is_left_for_another_at_once(tmp_path: Path, at: str) -> None:
    async def check(found: Scene) -> None:
        if at == "creating":
            await found.new.stop()
            await found.rotate(found.new)
        else:
            found.peer.follows.clear()
            await found.rotate(found.new)
            await found.until_step("asked")
            await found.new.stop()
            found.peer.follows.set()
        await found.until_step(at)
        await asyncio.sleep(600)
        began = asyncio.get_running_loop().time()
        found.alice.service.rotate("ref", str(found.third.server))
        await found.until_step(None)
        assert asyncio.get_running_loop().time() - began < 5, "it does not wait for the first one's next try"
        assert found.own == found.third.server
        found.new.start()
        if at == "securing":
            await found.until_left()

    moving(tmp_path, check)


def test_a_new_relay_that_loses_the_queue_ends_the_move(tmp_path: Path) -> None:
    async def check(found: Scene) -> None:
        found.peer.follows.clear()
        await found.rotate(found.new)
        await found.until_step("asked")
        number = found.alice.service.contact("ref").contact.connection_id
        new = moves.new_queue(found.alice.service.database.connection, number)
        assert new is not None
        await delete_at(found.new, new.queue)
        found.peer.follows.set()
        await found.until_step(None)
        await found.until_left()
        assert found.own == found.old.server
        assert found.lines() == [
            "Moving to the relay new.test failed: the new queue there cannot be used. You still receive at old.test."
        ]
        await found.peer.say("one")
        await found.alice_read("one")

    moving(tmp_path, check)


async def delete_at(relay: MemoryRelay, queue: ReceiveQueue) -> None:
    """What a relay's operator might do."""
    session = await open_session(
        relay.connect(), relay.server, entropy=SeededEntropy("operator"), on_event=lambda *_: None
    )
    await session.request(Del(), queue.rcv_id, queue.auth_key)
    await session.close()


# -- messages on both queues ------------------------------------------------------------------------------------------


def test_what_comes_late_through_the_old_queue_is_read(tmp_path: Path) -> None:
    """The peer's messages go to both queues until its test is taken; each is read once, whichever relay is slower."""

    async def check(found: Scene) -> None:
        async with found.alice.away():
            await found.peer.say("before")
        found.peer.tests.clear()
        await found.rotate(found.new)
        await found.peer.until(lambda: bool(found.peer.of(QueueUse)))
        async with found.alice.away():
            for text in ("one", "two", "three"):
                await found.peer.say(text)
            found.peer.tests.set()
            await found.peer.until(lambda: found.peer.moves == 1)
        await found.until_step(None)
        await found.until_left()
        assert heard(found.alice) == ["hello", "before", "one", "two", "three"]

    moving(tmp_path, check)


def test_the_old_queue_is_read_to_its_end_before_it_is_deleted(tmp_path: Path) -> None:
    """Alice is away when the last messages come to the old queue, and its relay is slower to tell than the new one."""

    async def check(found: Scene) -> None:
        number = found.alice.service.contact("ref").contact.connection_id
        found.peer.tests.clear()
        await found.rotate(found.new)
        await found.until_step("using")
        await found.peer.until(lambda: bool(found.peer.of(QueueUse)))
        assert found.peer.new is not None
        new, found.peer.new = found.peer.new, None  # as long as it does not use it, it writes to the old one
        async with found.alice.away():
            for count in range(30):
                await found.peer.say(f"late{count}")
            await found.old.stop()
            found.peer.new = new
            found.peer.tests.set()
            await found.peer.until(lambda: found.peer.moves == 1)
        await found.until_step(None)
        await asyncio.sleep(3600)
        assert len(moves.other_queues(found.alice.service.database.connection, number)) == 1
        found.old.start()
        await found.until_left()
        assert heard(found.alice) == ["hello", *(f"late{count}" for count in range(30))]

    moving(tmp_path, check)


# -- who cannot follow ------------------------------------------------------------------------------------------------


def test_moves_that_cannot_be(tmp_path: Path) -> None:
    async def check(found: Scene) -> None:
        service = found.alice.service
        with pytest.raises(InputError, match="You are not connected with pal yet"):
            service.rotate("pal")
        with pytest.raises(InputError, match="No move to another relay is in progress for ref"):
            service.stay("ref")
        with pytest.raises(InputError, match="not the address of a relay"):
            service.rotate("ref", "nonsense")
        number = service.contact("ref").contact.connection_id
        with service.database.transaction() as tx:
            tx.execute("UPDATE connections SET agent_version = 2 WHERE id = ?", (number,))
        with pytest.raises(InputError, match="ref's app is too old"):
            service.rotate("ref")
        with service.database.transaction() as tx:
            tx.execute("UPDATE connections SET agent_version = 7 WHERE id = ?", (number,))
        found.peer.tests.clear()
        await found.rotate(found.new)
        await found.until_step("using")
        told = r"ref's app may already send to .*new\.test"
        with pytest.raises(InputError, match=told):
            service.rotate("ref")
        with pytest.raises(InputError, match=told):
            service.stay("ref")
        found.peer.tests.set()
        await found.until_step(None)

    moving(tmp_path, check)


def test_a_contact_that_is_deleted_in_the_middle_leaves_no_queue_anywhere(tmp_path: Path) -> None:
    async def check(found: Scene) -> None:
        found.peer.tests.clear()
        await found.rotate(found.new)
        await found.until_step("using")
        number = found.alice.service.delete("ref")
        await found.alice.until(lambda service: service.is_forgotten(number))
        for relay in (found.old, found.new):
            assert sum(isinstance(command, Del) for command in relay.commands) == 1
        found.alice.service.connect(await found.peer.invite(found.third.server), "ref")  # for the end of the scene

    moving(tmp_path, check)


def test_without_a_wish_the_new_queue_goes_to_another_relay(tmp_path: Path) -> None:
    async def check(found: Scene) -> None:
        found.alice.homes = [found.old, found.third]
        found.alice.service.rotate("ref")
        await found.until_step(None)
        assert found.own == found.third.server

    moving(tmp_path, check)
