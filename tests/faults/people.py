"""Two people and their relays inside one jumping loop: every process of theirs can crash and start again."""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory

from smpchat.agent.online.file_bytes import in_place
from smpchat.agent.online.file_relays import FileNetwork
from smpchat.agent.online.runner import AgentRunner
from smpchat.agent.store.database import Database, Scripts
from smpchat.chat.service.connecting import ChatService
from smpchat.chat.store import events
from smpchat.client.connect import open_session
from smpchat.client.pool import SessionPool
from smpchat.client.session import ServerSession
from smpchat.crypto.kem import KEMProvider
from smpchat.protocol.address import SMPServer, SMPServerAddress
from smpchat.testing.entropy import SeededEntropy
from smpchat.testing.relay import MemoryRelay

START = 1_700_000_000.0


class Crash(BaseException):
    """The process dies here; not an `Exception`, so nothing in between may swallow it.

    Whichever task it is raised in, nothing of that process commits or sends afterwards: the database refuses, and
    `Person` cancels the rest at once.
    """


def connecting(link: str, *, answer: bool) -> Callable[[ChatService], object]:
    """What `connect` does with a link and two texts, and with ``answer`` once the link's name was shown."""

    def run(service: ChatService) -> None:
        number = service.connect(link, None, ["one", "two"], hold=True).connection_id
        if answer and service.is_link_read(number):
            service.name_contact(number, "friend")

    return run


class CrashingDatabase(Database):
    """Dies right before or right after the commits of its plan."""

    SYNCHRONOUS = "OFF"  # the machine does not lose power in these tests

    def __init__(self, path: Path, components: Mapping[str, Scripts], plan: CrashPlan) -> None:
        self._plan = plan
        if not path.exists() and not plan.is_near():
            path.write_bytes(_new_file(tuple(components.items())))
            plan.commits += 1  # of the schema
        super().__init__(path, components)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        if self._plan.dead:
            raise Crash
        with super().transaction() as tx:
            yield tx

    def _before_commit(self) -> None:
        self._plan.commits += 1
        self._plan.check(after=False)

    def _after_commit(self) -> None:
        self._plan.on_commit()
        self._plan.check(after=True)


@cache
def _new_file(components: tuple[tuple[str, Scripts], ...]) -> bytes:
    """A profile's database with its schema and nothing else, which takes some milliseconds to make."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "new.db"
        Database(path, dict(components)).close()
        return path.read_bytes()


class CrashPlan:
    """Where a person's process dies: before or after commits, counted from 1 over all its lives.

    Attributes:
        commits: How many there were.
        dead: The process died and nobody has started it again.
    """

    def __init__(self, *points: tuple[int, bool]) -> None:
        """``points``: number of a commit, and whether the process dies after it."""
        self.commits = 0
        self.dead = False
        self.on_crash: Callable[[], object] = lambda: None
        self.on_commit: Callable[[], object] = lambda: None
        self._points = set(points)

    def is_near(self) -> bool:
        """Whether the process dies at the next commit."""
        return any(at == self.commits + 1 for at, _ in self._points)

    def check(self, *, after: bool) -> None:
        """Dies here if that is the plan."""
        if (self.commits, after) in self._points:
            self._points.discard((self.commits, after))
            self.dead = True
            self.on_crash()
            raise Crash


class Person:
    """One profile, online through `MemoryRelay`s. ``kem``: makes post-quantum keys; None leaves them out.

    Without the bystanders of `tests.bystander`: what is noted of a dead relay at every try are commits, each of them a
    place to crash at, and the scenarios that crash everywhere would take many times as long; `test_bystander` has them.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        relays: list[MemoryRelay],
        *,
        home: MemoryRelay,
        plan: CrashPlan | None = None,
        kem: KEMProvider | None = None,
    ) -> None:
        self.name = name
        self._folder = folder
        self._relays = {relay.server: relay for relay in relays}
        self.homes = [home]
        self.plan = plan or CrashPlan()
        self._kem = kem
        self._lives = itertools.count()
        self._online = False
        self._returns = False
        self._runner_task: asyncio.Task[None] | None = None
        self._may_return = asyncio.Event()
        self._may_return.set()
        self._changed = asyncio.Event()
        self.plan.on_commit = self._changed.set
        self.service = self._open()

    def _open(self) -> ChatService:
        while True:
            try:
                return self._open_once()
            except Crash:  # while the schema was made
                self.plan.dead = False

    def _open_once(self) -> ChatService:
        entropy = SeededEntropy(f"{self.name} {next(self._lives)}")
        return ChatService(
            self._folder,
            self.name,
            entropy=entropy,
            now=lambda: START + asyncio.get_running_loop().time(),
            open_database=lambda path, components: CrashingDatabase(path, components, self.plan),
            kem=self._kem,
        )

    def restart(self) -> None:
        """What a new process finds: only what was committed."""
        self.plan.dead = False
        self.service.close()
        self.service = self._open()
        self._changed.set()

    def _runner(self) -> AgentRunner:
        async def connect(server: SMPServer) -> ServerSession:
            return await open_session(
                self._relays[server].connect(), server, entropy=self.service.entropy, on_event=lambda *_: None
            )

        async def choose(_: SMPServer | None, in_trouble: frozenset[str]) -> list[SMPServerAddress]:
            return sorted(
                (SMPServerAddress(relay.server) for relay in self.homes),
                key=lambda address: str(address.server) in in_trouble,
            )

        make_pool = partial(SessionPool, connect, entropy=self.service.entropy)
        return AgentRunner(self.service.database, self.service.context, make_pool, choose, self.file_network, in_place)

    @property
    def file_network(self) -> Callable[[], FileNetwork] | None:
        """How files get to relays and from them; None if they do not."""
        return None

    @asynccontextmanager
    async def online(self) -> AsyncIterator[None]:
        """Online while the block runs; a crash starts the process again from what it committed."""
        async with asyncio.TaskGroup() as group:
            self._online = True
            task = group.create_task(self._stay_online())
            try:
                yield
            finally:
                self._online = False
                task.cancel()
        if self.plan.dead:  # in its last moment
            self.restart()

    async def _stay_online(self) -> None:
        while True:
            await self._may_return.wait()
            runner = self._runner_task = asyncio.get_running_loop().create_task(self._runner().run())
            self.plan.on_crash = runner.cancel
            try:
                await asyncio.wait([runner])
            finally:
                runner.cancel()
                await asyncio.gather(runner, return_exceptions=True)
            if self._returns and not self.plan.dead:
                self._returns = False
                continue
            if not self.plan.dead:
                runner.result()
            self.restart()

    def come_back(self) -> None:
        """Go offline and online again in the same process."""
        assert self._runner_task is not None
        self._returns = True
        self._runner_task.cancel()

    @asynccontextmanager
    async def away(self) -> AsyncIterator[None]:
        """Offline while the block runs."""
        self._may_return.clear()
        self.come_back()
        try:
            yield
        finally:
            self._may_return.set()

    async def do(self, action: Callable[[ChatService], object]) -> None:
        """A command of the person; if its process dies meanwhile, return once there is a new one."""
        try:
            action(self.service)
        except Crash:
            if self._online:
                await self.until(lambda _: not self.plan.dead)
            else:
                self.restart()

    async def until(self, condition: Callable[[ChatService], bool], seconds: float = 900.0) -> None:
        """Wait for the store to say so; what is elsewhere is looked at once a second."""
        async with asyncio.timeout(seconds):
            while not condition(self.service):
                self._changed.clear()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), 1.0)

    def state_of(self, alias: str) -> events.StateChanged:
        return self.service.contact(alias).state

    def transcript(self) -> list[tuple[str, str, str, str]]:
        """Every message of every contact: contact, direction, text, status."""
        return [
            (view.alias, m.direction, m.text, m.status)
            for view in self.service.contacts()
            for m in self.service.history(view.alias)
        ]
