"""Files beside messages in one process: whatever happens to the ones, the others go on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from smpchat.agent.online.file_relays import FileNetwork, FileRelaySession
from smpchat.agent.store.encrypted_files import encrypt_for_sending
from smpchat.agent.store.files import Stage
from smpchat.agent.transactions import files
from smpchat.protocol.address import FileServer, FileServerAddress
from smpchat.testing.entropy import SeededEntropy
from smpchat.testing.file_relay import MemoryFileRelay
from smpchat.testing.loop import run_jumping
from smpchat.testing.relay import MemoryRelay
from tests.faults.people import START, Person
from tests.unit.agent.online.file_world import server

PROMPTLY = 2.0
"""Seconds in which a message arrives."""


class Filing(Person):
    """A person who sends files, too."""

    relay: MemoryFileRelay

    @property
    def file_network(self) -> Callable[[], FileNetwork]:
        async def connect(_: FileServer, seconds: float) -> FileRelaySession:
            return await self.relay.connect(seconds)

        async def choose(_: frozenset[str]) -> list[FileServerAddress]:
            return [FileServerAddress(self.relay.server)]

        return lambda: FileNetwork(connect, choose)

    def send_file(self, path: Path) -> int:
        service = self.service
        with (
            encrypt_for_sending(path, service.folder, service.entropy, lambda *_: None) as encrypted,
            service.database.transaction() as tx,
        ):
            return files.submit_file(tx, service.context, encrypted, path.name)


def never(relay: MemoryFileRelay) -> None:
    relay.stop()


def slowly(relay: MemoryFileRelay) -> None:
    relay.delay = 3_600.0


def oddly(relay: MemoryFileRelay) -> None:
    def fault(_: str) -> None:
        raise ValueError("a fault of ours")

    relay.on_command = fault


@pytest.mark.parametrize("how", [never, slowly, oddly])
def test_messages_do_not_wait_for_files(
    tmp_path: Path, how: Callable[[MemoryFileRelay], None], caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        relay = MemoryRelay(SeededEntropy("relay"), lambda: START, host="relay.test")
        alice = Filing("alice", tmp_path / "alice", [relay], home=relay)
        bob = Person("bob", tmp_path / "bob", [relay], home=relay)
        alice.relay = MemoryFileRelay(server("files.test"), SeededEntropy("files"))
        how(alice.relay)
        (tmp_path / "a.bin").write_bytes(bytes(300_000))
        async with alice.online(), bob.online():
            alice.service.invite()
            await alice.until(lambda s: s.invitations()[0].link is not None)
            bob.service.connect(alice.service.invitations()[0].link or "", "alice")
            number = alice.send_file(tmp_path / "a.bin")
            await alice.until(lambda s: any(v.state.state == "connected" for v in s.contacts()), 60)
            begun = asyncio.get_running_loop().time()
            for n in range(3):
                alice.service.send("bob", f"text {n}")
                await bob.until(lambda s, n=n: any(m.text == f"text {n}" for m in s.history("alice")), 60)  # type: ignore[misc]
            assert asyncio.get_running_loop().time() - begun < PROMPTLY
            found = files.transfer(alice.service.database.connection, number)
            assert found is not None
            assert found.stage is Stage.MOVING
        for person in (alice, bob):
            person.service.close()
        await relay.stop()

    run_jumping(main)
