"""Files whose process dies at any commit: each arrives once, and nothing is left over, here or at the relay."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from smpchat.agent.store.files import Stage
from smpchat.agent.store.schema import AGENT_MIGRATIONS
from smpchat.agent.transactions import files
from smpchat.client.trouble import Trouble
from smpchat.testing.file_relay import FileFault, FileFaultKind
from smpchat.testing.loop import run_jumping
from tests.faults.people import Crash, CrashingDatabase, CrashPlan
from tests.unit.agent.agents import Recorder
from tests.unit.agent.online.file_world import KIB, FileWorld, Life

CONTENT = bytes(range(251)) * 700
"""Three chunks of 64 KiB."""
CHUNKS = 3


class Told(Recorder):
    """Notes what it is told in the transaction in which it is told: what was rolled back was never said."""

    def file_uploaded(self, tx: sqlite3.Connection, file_id: int, descriptions: tuple[str, ...]) -> None:
        tx.execute("INSERT INTO told VALUES ('uploaded', ?, ?)", (file_id, descriptions[0]))

    def file_received(self, tx: sqlite3.Connection, file_id: int, path: Path) -> None:
        tx.execute("INSERT INTO told VALUES ('received', ?, ?)", (file_id, str(path)))

    def file_failed(self, tx: sqlite3.Connection, file_id: int, trouble: Trouble) -> None:
        tx.execute("INSERT INTO told VALUES ('failed', ?, ?)", (file_id, trouble))


class MortalWorld(FileWorld):
    """Its process dies by plan, and is started again."""

    def __init__(self, folder: Path, plan: CrashPlan, *hosts: str) -> None:
        super().__init__(folder, *hosts)
        self.plan = plan
        self.lives = 0
        self.agent.application = Told()
        from smpchat.encoding.record import replace

        self.agent.context = replace(self.agent.context, application=self.agent.application)
        with self.agent.database.transaction() as tx:
            tx.execute("CREATE TABLE told (kind TEXT, file_id INTEGER, what TEXT)")
        self._open()

    def _open(self) -> None:
        self.plan.dead = False
        path = self.agent.database.path
        self.agent.database.close()
        self.agent.database = CrashingDatabase(path, {"agent": AGENT_MIGRATIONS}, self.plan)

    def told(self, kind: str) -> list[tuple[int, str]]:
        rows = self.agent.database.read("SELECT file_id, what FROM told WHERE kind = ? ORDER BY rowid", (kind,))
        return [(row["file_id"], row["what"]) for row in rows]

    def command(self, act: Callable[[], int]) -> int:
        """What a command does in a process of its own; if that dies, the person looks, and types it again."""
        while True:
            try:
                return act()
            except Crash:
                self._open()
                rows = self.agent.database.read("SELECT max(id) FROM files WHERE stage = ?", (Stage.MOVING,))
                if rows[0][0] is not None:
                    return int(rows[0][0])

    def delete(self, number: int) -> None:
        try:
            with self.agent.database.transaction() as tx:
                files.delete_file(tx, self.agent.context, number)
        except Crash:
            self._open()
            self.delete(number)

    async def live(self, until: Callable[[], bool]) -> None:
        """Online, and again after each crash."""
        while True:
            self.lives += 1
            died = asyncio.Event()
            self.plan.on_crash = died.set
            life = Life(self)
            waiting = asyncio.ensure_future(life.until(until))
            dying = asyncio.ensure_future(died.wait())
            await asyncio.wait({waiting, dying}, return_when=asyncio.FIRST_COMPLETED)
            for task in (waiting, dying):
                task.cancel()
            await asyncio.gather(waiting, dying, return_exceptions=True)
            try:
                await life.end()
            except Crash:
                pass  # in its last moment
            if not died.is_set() and not self.plan.dead:
                waiting.result()
                return
            self._open()


def stored(world: MortalWorld) -> int:
    """Bytes at all relays."""
    return sum(relay.used for relay in world.relays.values())


async def there_and_back(world: MortalWorld) -> None:
    number = world.command(lambda: world.send(CONTENT, slots=1))
    await world.live(lambda: bool(world.told("uploaded")))
    [(_, description)] = world.told("uploaded")
    received = world.command(lambda: world.receive(description))
    await world.live(lambda: bool(world.told("received")))
    await world.live(lambda: world.left_over() == [])
    assert world.told("received") == [(received, str(world.inbox / "picture.jpg"))]
    assert (world.inbox / "picture.jpg").read_bytes() == CONTENT
    assert [path.name for path in world.inbox.iterdir()] == ["picture.jpg"]
    assert len(world.told("uploaded")) == 1
    assert world.told("failed") == []
    await world.live(lambda: stored(world) == CHUNKS * 64 * KIB)  # a relay that was left may still have to delete one
    world.delete(number)
    await world.live(lambda: stored(world) == 0)


def play(folder: Path, *points: tuple[int, bool], faults: list[FileFault] | None = None) -> MortalWorld:
    world = MortalWorld(folder, CrashPlan(*points))
    world.relay.faults = faults or []

    async def main() -> None:
        await there_and_back(world)

    run_jumping(main)
    with closing(world.agent.database):
        return world


@pytest.fixture(scope="module")
def commits(tmp_path_factory: pytest.TempPathFactory) -> int:
    found = play(tmp_path_factory.mktemp("plain")).plan.commits
    assert 8 < found < 60
    return found


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_the_process_dies_at_any_commit(tmp_path: Path, commits: int, after: bool) -> None:
    died = 0
    for at in range(1, commits + 1):
        world = play(tmp_path / f"{at}", (at, after))
        died += world.lives > 4
    assert died > commits // 2


def test_the_process_dies_again_and_again(tmp_path: Path, commits: int) -> None:
    for start in range(1, 4):
        points = [(at, at % 2 == 0) for at in range(start, 3 * commits, 3)]
        play(tmp_path / f"{start}", *points)


@pytest.mark.parametrize("kind", list(FileFaultKind))
def test_the_process_dies_where_a_request_goes_wrong(tmp_path: Path, commits: int, kind: FileFaultKind) -> None:
    for at in range(1, 9):
        points = [(point, True) for point in range(at, commits, 4)]
        play(tmp_path / f"{at}", *points, faults=[FileFault(at, kind)])


def by_chance(folder: Path, seed: int) -> None:
    """Two relays that lose requests, and go and come; a process that dies. In the end all is as it should be."""
    chance = random.Random(seed)
    points = [(chance.randrange(1, 40), chance.random() < 0.5) for _ in range(chance.randrange(4))]
    world = MortalWorld(folder, CrashPlan(*points), "one.test", "two.test")
    for relay in world.relays.values():
        kinds = list(FileFaultKind)
        relay.faults = [FileFault(chance.randrange(1, 16), chance.choice(kinds)) for _ in range(chance.randrange(5))]
        relay.delay = chance.choice([0.0, 0.3])

    async def weather() -> None:
        for _ in range(chance.randrange(4)):
            await asyncio.sleep(chance.uniform(0, 3))
            relay = chance.choice(list(world.relays.values()))
            relay.stop()
            await asyncio.sleep(chance.uniform(0, 30))
            relay.up = True

    async def main() -> None:
        changing = asyncio.ensure_future(weather())
        await there_and_back(world)
        await changing

    run_jumping(main)
    world.agent.database.close()


@pytest.mark.parametrize("seed", range(12))
def test_by_chance(tmp_path: Path, seed: int) -> None:
    by_chance(tmp_path, seed)
