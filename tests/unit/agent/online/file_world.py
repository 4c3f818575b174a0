"""One profile that sends and receives files over relays in memory, in a loop whose time jumps."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from smpchat.agent.context import Context
from smpchat.agent.online.file_bytes import Offload, in_place, to_thread
from smpchat.agent.online.file_relays import FileNetwork, FileRelaySession
from smpchat.agent.online.file_transfers import FileTransfers
from smpchat.agent.online.tasks import Tasks
from smpchat.agent.store import encrypted_files, file_folder
from smpchat.agent.store.files import Stage
from smpchat.agent.transactions import files
from smpchat.agent.transactions.files import Transfer
from smpchat.client.routes import Route
from smpchat.client.trouble import Trouble
from smpchat.crypto.entropy import SystemEntropy
from smpchat.encoding.record import replace
from smpchat.protocol.address import FileServer, FileServerAddress
from smpchat.testing.entropy import SeededEntropy
from smpchat.testing.file_relay import MemoryFileRelay
from smpchat.transport.base import ConnectFailed
from smpchat.xftp.routes import FileRoutes
from smpchat.xftp.session import connect
from tests.unit.agent.agents import Agent

KIB = 1024


def server(host: str) -> FileServer:
    return FileServer((host,), "", hashlib.sha256(host.encode()).digest())


def today() -> datetime:
    return datetime.now(UTC)


class FileWorld:
    """A profile and its relays. ``homes`` are those it puts files at, in this order."""

    def __init__(self, folder: Path, *hosts: str) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.relays = {
            server(host): MemoryFileRelay(server(host), SeededEntropy(host)) for host in hosts or ("one.test",)
        }
        self.homes = list(self.relays)
        self.inbox = folder / "inbox"
        self.agent = Agent("alice", folder)
        self.agent.context = self._context(self.agent)
        self.offload: Offload = in_place
        self.chosen = 0
        self.password: str | None = None

    @staticmethod
    def _context(agent: Agent) -> Context:
        return replace(agent.context, now=lambda: agent.now + asyncio.get_running_loop().time())

    @property
    def relay(self) -> MemoryFileRelay:
        return self.relays[self.homes[0]]

    # -- network ------------------------------------------------------------------------------------------------------

    async def connect(self, address: FileServer, seconds: float) -> FileRelaySession:
        if address not in self.relays:
            await asyncio.sleep(seconds + 1)  # nobody is there, and nobody says so
        return await self.relays[address].connect(seconds)

    async def choose(self, in_trouble: frozenset[str]) -> list[FileServerAddress]:
        self.chosen += 1
        if not self.homes:
            raise ConnectFailed("the relay of this computer does not start")
        ordered = sorted(self.homes, key=lambda one: str(one) in in_trouble)
        return [FileServerAddress(one, self.password) for one in ordered]

    # -- what a person does -------------------------------------------------------------------------------------------

    def send(self, content: bytes, name: str = "picture.jpg", slots: int = 2) -> int:
        path = self.folder / name
        path.write_bytes(content)
        with (
            encrypted_files.encrypt_for_sending(path, self.folder, self.agent.entropy, lambda *_: None) as encrypted,
            self.agent.database.transaction() as tx,
        ):
            return files.submit_file(tx, self.agent.context, encrypted, name, slots)

    def receive(
        self, description: str, name: str = "picture.jpg", *, approved: bool = True, size: int | None = None
    ) -> int:
        with self.agent.database.transaction() as tx:
            return files.receive_file(
                tx,
                self.agent.context,
                description,
                self.inbox / name,
                approved=approved,
                known=lambda one: one in self.homes,
                size=size,
            )

    def transfer(self, file_id: int) -> Transfer:
        found = files.transfer(self.agent.tx, file_id)
        assert found is not None
        return found

    def stage(self, file_id: int) -> Stage:
        return self.transfer(file_id).stage

    # -- what was told ------------------------------------------------------------------------------------------------

    def _told(self, kind: str) -> list[tuple[Any, Any]]:
        return self.agent.application.all(kind)  # type: ignore[return-value]

    def descriptions(self, file_id: int) -> tuple[str, ...]:
        [found] = [texts for number, texts in self._told("uploaded") if number == file_id]
        assert isinstance(found, tuple)
        return found

    def failures(self) -> list[tuple[int, Trouble]]:
        return self._told("file failed")

    def arrivals(self) -> list[tuple[int, Path]]:
        return self._told("file")

    # -- the disk -----------------------------------------------------------------------------------------------------

    def left_over(self) -> list[str]:
        """Ciphertext and parts that are still there."""
        folder = file_folder.folder_of(self.folder)
        found = [path.name for path in folder.iterdir()] if folder.exists() else []
        if self.inbox.exists():
            found += [path.name for path in self.inbox.iterdir() if path.name.startswith(".")]
        return found

    # -- time ---------------------------------------------------------------------------------------------------------

    async def run(self, until: Callable[[], bool], seconds: float = 600.0) -> None:
        """Online until the store says so."""
        life = Life(self)
        try:
            await life.until(until, seconds)
        finally:
            await life.end()


class RealWorld(FileWorld):
    """The same with real sessions and threads, and relays on loopback."""

    def __init__(
        self, folder: Path, *homes: FileServer, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        super().__init__(folder)
        self.homes = list(homes)
        self.offload = to_thread
        self._now = now
        self._routes = FileRoutes(SystemEntropy(), lambda _: Route(local=True))

    async def connect(self, address: FileServer, seconds: float) -> FileRelaySession:
        return await connect(address, network=self._routes, entropy=SystemEntropy(), timeout=seconds, now=self._now)


class Life:
    """One process that is online."""

    def __init__(self, world: FileWorld) -> None:
        self.world = world
        self.tasks = Tasks()
        self.failure = self.tasks.start()
        network = FileNetwork(world.connect, world.choose)
        database, context = world.agent.database, world.agent.context
        self.transfers = FileTransfers(database, context, self.tasks, network, world.offload)
        self._changed = asyncio.Event()
        database.watch(self.transfers.look)
        database.watch(self._changed.set)
        self.tasks.spawn(self.transfers.run())

    async def until(self, condition: Callable[[], bool], seconds: float = 600.0) -> None:
        async with asyncio.timeout(seconds):
            while not condition():
                self._changed.clear()
                waiting = asyncio.ensure_future(self._changed.wait())
                awaited: set[asyncio.Future[Any]] = {waiting, self.failure}
                try:
                    await asyncio.wait(awaited, timeout=1.0, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    waiting.cancel()
                if self.failure.done():
                    self.failure.result()

    async def end(self) -> None:
        self.tasks.running = False
        self.world.agent.database.unwatch(self.transfers.look)
        self.world.agent.database.unwatch(self._changed.set)
        await self.tasks.cancel()
        await self.transfers.close()
