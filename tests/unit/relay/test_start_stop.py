"""`start_background` and `stop` in any order of their steps, of the processes they start, and killed at any of them.

What the folder holds is a model here, and so is the relay's process; both functions are the real ones. Each look at
the folder and each change of it is one step, and a seed decides who makes the next.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import SimpleNamespace

import pytest

from smpchat.relay import background
from smpchat.relay.background import EXIT_RUNNING, EXIT_TURNED_OFF, start_background, stop
from smpchat.relay.errors import RelayStartFailed, RelayTurnedOff
from smpchat.relay.folder import RelayInfo

FOLDER = Path("folder")
SEEDS = 120


class Killed(BaseException):
    """What ``kill -9`` does: nothing runs after it."""


@dataclass(eq=False)
class Actor:
    name: str
    body: Callable[[], object]
    turn: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    result: object = None
    ended: bool = False
    killed: bool = False
    asked: bool = False
    serving: bool = False


class World:
    """A folder, and everybody who uses it; one of them moves at a time."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.actors: list[Actor] = []
        self.current: Actor | None = None
        self.over = threading.Event()
        self.hurry: dict[Actor, float] = {}
        self.steps = 0
        self.kill_at: int | None = None
        self.marked = False
        self.holder: Actor | None = None
        self.pid: int | None = None

    # -- turns ----------------------------------------------------------------------------------------------------

    def add(self, name: str, body: Callable[[], object]) -> Actor:
        actor = Actor(name, body)
        self.actors.append(actor)
        threading.Thread(target=self._live, args=(actor,), daemon=True).start()
        return actor

    def _live(self, actor: Actor) -> None:
        actor.turn.acquire()
        try:
            actor.result = actor.body()
        except BaseException as error:
            actor.result = error
        actor.ended = True
        if self.holder is actor:  # the operating system gives the lock back
            self.holder = None
        self._next()

    def run(self) -> None:
        """Until everybody has ended or serves."""
        self.over.clear()
        self._next()
        assert self.over.wait(20)

    def _next(self) -> None:
        # a relay that serves moves only when it is asked to end
        able = [
            actor for actor in self.actors if not actor.ended and (not actor.serving or actor.asked or actor.killed)
        ]
        if not able or self.steps > 5000:
            self.over.set()
            return
        if self.random.random() < 0.2:
            self.hurry = {}
        for actor in able:  # now one is quick and now another, as where a computer is busy
            self.hurry.setdefault(actor, 200 ** self.random.random())
        [self.current] = self.random.choices(able, [self.hurry[actor] for actor in able])
        self.current.turn.release()

    def step(self) -> None:
        me = self.current
        assert me is not None
        self.steps += 1
        if self.kill_at is not None and self.steps >= self.kill_at:
            self.kill_at = None
            self.random.choice([actor for actor in self.actors if not actor.ended]).killed = True
        self._next()
        me.turn.acquire()
        if me.killed:
            raise Killed

    # -- the folder -----------------------------------------------------------------------------------------------

    def mark(self, present: bool) -> None:
        self.step()
        self.marked = present

    def is_marked(self) -> bool:
        self.step()
        return self.marked

    def is_locked(self) -> bool:
        self.step()
        return self.holder is not None

    def state(self) -> RelayInfo:
        self.step()
        return RelayInfo("stopped" if self.pid is None else "running", "smp://", self.pid, 1)

    def status(self) -> RelayInfo:
        info = self.state()
        return info if info.pid is not None and self.is_locked() else RelayInfo("stopped", "smp://", None, 1)

    # -- processes ------------------------------------------------------------------------------------------------

    def spawn(self, arguments: list[str]) -> tuple[int, SimpleNamespace]:
        self.step()
        pid = len(self.actors)
        process = self.add(f"process {pid}", lambda: self._relay(pid, unless_stopped="--unless-stopped" in arguments))

        def poll() -> int | None:
            self.step()
            return None if not process.ended else process.result if isinstance(process.result, int) else -9

        return 0, SimpleNamespace(poll=poll)

    def _relay(self, pid: int, *, unless_stopped: bool) -> int:
        """What ``python -m smpchat.relay`` does to the folder."""
        me = self.actors[pid]
        for _ in range(3):
            self.step()
            if self.holder is None:
                self.holder = me
                break
        else:
            return EXIT_RUNNING
        if unless_stopped and self.is_marked():
            return EXIT_TURNED_OFF
        for written in (None, pid):
            self.step()
            self.pid = written
        me.serving = True
        while not me.asked:
            self.step()
        self.step()
        self.pid = None
        return 0

    def signal(self, pid: int, *, kill: bool) -> None:
        self.step()
        assert not kill, "it waited too long"
        self.actors[pid].asked = True


@pytest.fixture
def world_of(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], World]:
    def make(seed: int) -> World:
        world = World(seed)
        replaced: dict[str, object] = {
            "prepare_folder": lambda folder: folder,
            "turn_on": lambda _: world.mark(False),
            "turn_off": lambda _: world.mark(True),
            "is_turned_off": lambda _: world.is_marked(),
            "is_locked": lambda _: world.is_locked(),
            "read_state": lambda _: world.state(),
            "status": lambda _: world.status(),
            "_accepts": lambda info: any(actor.serving and not actor.ended for actor in world.actors),
            "_spawn": lambda folder, arguments, password: world.spawn(arguments),
            "_signal": world.signal,
            "_last_words": lambda folder, start: "it ended.",
            "time": SimpleNamespace(monotonic=lambda: world.steps / 1000, sleep=lambda _: world.step()),
        }
        for name, value in replaced.items():
            monkeypatch.setattr(background, name, value)
        return world

    return make


WANTED: Callable[[], RelayInfo] = lambda: start_background(FOLDER, on_demand=True, timeout=3)  # noqa: E731
STARTED: Callable[[], RelayInfo] = lambda: start_background(FOLDER, timeout=3)  # noqa: E731
STOPPED: Callable[[], RelayInfo] = lambda: stop(FOLDER, timeout=3)  # noqa: E731


def prepared(world: World) -> None:
    """As it may be before: stopped on purpose, not yet started, or running."""
    match world.random.randrange(3):
        case 0:
            world.marked = True
        case 1:
            world.add("process 0", lambda: world._relay(0, unless_stopped=False))
            world.run()


def is_running(world: World) -> bool:
    return world.holder is not None and world.holder.serving and not world.holder.ended


def outcome(actor: Actor) -> type:
    return type(actor.result)


@pytest.mark.parametrize("people", [1, 2])
def test_after_stop_nothing_that_was_wanted_on_demand_runs(world_of: Callable[[int], World], people: int) -> None:
    for seed in range(SEEDS):
        world = world_of(seed)
        prepared(world)
        wanted = [world.add("on demand", WANTED) for _ in range(people)]
        stopping = world.add("stop", STOPPED)
        world.run()
        assert stopping.result == RelayInfo("stopped", "smp://", None, 1), seed
        assert world.marked and world.holder is None, seed
        assert {outcome(actor) for actor in wanted} <= {RelayInfo, RelayTurnedOff}, seed


def test_of_start_and_stop_one_wins(world_of: Callable[[int], World]) -> None:
    winners = set()
    for seed in range(SEEDS):
        world = world_of(seed)
        prepared(world)
        actors = [world.add("start", STARTED), world.add("stop", STOPPED)]
        if seed % 2:
            actors.append(world.add("on demand", WANTED))
        world.run()
        assert all(actor.ended for actor in actors), seed
        assert is_running(world) != world.marked, seed
        assert {outcome(actor) for actor in actors} <= {RelayInfo, RelayTurnedOff}, seed
        winners.add(world.marked)
    assert winners == {True, False}


def test_a_start_between_the_last_looks_of_stop_is_noticed(
    world_of: Callable[[int], World], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It found the relay running, which then ended: without another look it would be stopped, but for a moment."""
    world = world_of(0)
    looks = []

    def last_look(_: Path) -> bool:
        looks.append(world.marked)
        if len(looks) == 1:
            world.mark(False)
        return world.is_locked()

    monkeypatch.setattr(background, "is_locked", last_look)
    world.add("stop", STOPPED)
    world.run()
    assert world.marked
    assert looks == [True, True]


def test_where_the_relay_that_was_in_the_way_has_ended_another_is_started(
    world_of: Callable[[int], World], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = world_of(0)
    spawned = []

    def spawn(_: Path, arguments: list[str], password: str | None) -> tuple[int, SimpleNamespace]:
        spawned.append(arguments)
        if len(spawned) == 1:
            return 0, SimpleNamespace(poll=lambda: EXIT_RUNNING)
        return world.spawn(arguments)

    monkeypatch.setattr(background, "_spawn", spawn)
    wanted = world.add("on demand", WANTED)
    world.run()
    assert outcome(wanted) is RelayInfo and is_running(world)
    assert spawned[0] == spawned[1]


def test_whoever_is_killed_at_any_step_leaves_a_folder_that_works(world_of: Callable[[int], World]) -> None:
    for seed in range(SEEDS):
        world = world_of(seed)
        prepared(world)
        actors = [world.add("start", STARTED), world.add("stop", STOPPED), world.add("on demand", WANTED)]
        world.kill_at = world.random.randrange(60)
        world.run()
        assert all(actor.ended for actor in actors), seed
        world.kill_at = None
        outcomes = {outcome(actor) for actor in actors}
        assert outcomes <= {RelayInfo, RelayTurnedOff, RelayStartFailed, Killed}, seed
        assert not any("does not accept connections" in str(actor.result) for actor in actors), seed

        again = world.add("stop", STOPPED)
        world.run()
        assert outcome(again) is RelayInfo and world.marked and world.holder is None, seed
        again = world.add("start", STARTED)
        world.run()
        assert outcome(again) is RelayInfo and is_running(world) and not world.marked, seed
