"""A relay killed again and again while files come and go, and what its clients were told compared with what it has.

    python -m tests.bench.file_kills [--kills 30] [--clients 4] [--seed 1] [--json]

Each client registers, uploads, fetches and deletes chunks, until the relay is killed (SIGKILL, at a moment drawn at
random). After each start: every chunk whose FPUT was answered with OK comes back as it was sent, unless its FDEL was
sent; none comes back whose FDEL was answered with OK; an upload without an answer can be repeated; and the folder holds
no file but those of chunks that are there.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import random
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from smpchat.client.errors import UnexpectedResponse
from smpchat.crypto.entropy import SystemEntropy
from smpchat.crypto.keys import Ed25519PrivateKey
from smpchat.protocol.address import FileServer, parse_file_server
from smpchat.protocol.errors import ProtocolError
from smpchat.protocol.xftp.commands import CHUNK_SIZES
from smpchat.protocol.xftp.errors import AUTH, XFTPError
from smpchat.relay.files.store import CHUNKS, INCOMING
from smpchat.relay.folder import FILES, read_state
from smpchat.transport.base import TransportError
from smpchat.xftp.routes import FileRoutes
from smpchat.xftp.session import FileSession, connect
from tests.bench.kills import _stop
from tests.bench.server import start_relay

RUN_TIME = (0.05, 0.5)
"""Seconds of load before a kill, from and to."""
_SIZES = CHUNK_SIZES[:3]
_ENTROPY = SystemEntropy()


@dataclass(eq=False)
class Known:
    """A chunk as its sender and its recipient know it."""

    content: bytes
    sender_id: bytes
    recipient_id: bytes
    accepted: bool = False
    deleting: bool = False
    deleted: bool = False


@dataclass
class Client:
    """What outlives the connections of one client."""

    chance: random.Random
    key: Ed25519PrivateKey
    chunks: list[Known] = field(default_factory=list)
    uncertain: int = 0
    fetched: int = 0
    faults: list[str] = field(default_factory=list)

    async def work(self, session: FileSession) -> None:
        """Does something with chunks until the connection ends."""
        try:
            while True:
                await self._one(session)
        except UnexpectedResponse as error:
            self.faults.append(f"the relay answered what it should not: {error}")
        except TransportError:
            self.uncertain += 1

    async def _one(self, session: FileSession) -> None:
        there = [one for one in self.chunks if one.accepted and not one.deleting]
        what = self.chance.random()
        if there and what < 0.15:
            chunk = self.chance.choice(there)
            chunk.deleting = True
            await session.delete(chunk.sender_id, self.key)
            chunk.deleted = True
        elif there and what < 0.4:
            await self.fetch(session, self.chance.choice(there))
        else:
            size = self.chance.choice(_SIZES)
            content = self.chance.randbytes(1024) * (size // 1024)
            sender_id, [recipient_id] = await session.create(
                self.key, size, hashlib.sha256(content).digest(), [self.key.public()]
            )
            self.chunks.append(chunk := Known(content, sender_id, recipient_id))
            await self.upload(session, chunk)

    async def upload(self, session: FileSession, chunk: Known) -> None:
        """Upload a chunk, perhaps once more."""
        await session.put(chunk.sender_id, self.key, len(chunk.content), [chunk.content])
        chunk.accepted = True

    async def fetch(self, session: FileSession, chunk: Known) -> None:
        """Fetch a chunk and compare it."""
        digest = hashlib.sha256(chunk.content).digest()
        got = bytearray()
        async for piece in session.get(chunk.recipient_id, self.key, len(chunk.content), digest):
            got += piece
        self.fetched += 1
        if got != chunk.content:
            self.faults.append("a chunk came back as another one")

    async def compare(self, session: FileSession) -> None:
        """Look for every chunk after a start."""
        for chunk in self.chunks:
            try:
                if not chunk.accepted:
                    await self.upload(session, chunk)
                await self.fetch(session, chunk)
                if chunk.deleted:
                    self.faults.append("a chunk came back that was deleted")
            except XFTPError as error:
                if error.code != AUTH or not chunk.deleting:
                    self.faults.append(f"a chunk was accepted and lost: {error}")
                chunk.deleted = chunk.deleting
        self.chunks = [one for one in self.chunks if not one.deleted]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of all kills.

    Attributes:
        accepted: Chunks that are there at the end.
        fetched: Downloads, each compared with what was sent.
        cut: Requests that a kill left without an answer.
        faults: What must not happen, in words.
    """

    kills: int
    accepted: int
    fetched: int
    cut: int
    faults: tuple[str, ...]


async def run(folder: Path, kills: int, *, clients: int = 4, seed: int = 1) -> Outcome:
    """Kills the relay of ``folder`` so many times."""
    chance = random.Random(seed)
    people = [Client(random.Random(chance.random()), Ed25519PrivateKey.generate(_ENTROPY)) for _ in range(clients)]
    process, _ = await asyncio.to_thread(start_relay, folder)
    sessions: list[FileSession] = []
    try:
        server = parse_file_server(read_state(folder).files_address or "").server
        sessions = await _connect(server, clients)
        for _ in range(kills):
            async with asyncio.TaskGroup() as group:
                for one, session in zip(people, sessions, strict=True):
                    group.create_task(one.work(session))
                await asyncio.sleep(chance.uniform(*RUN_TIME))
                process.kill()
            await asyncio.to_thread(process.wait)
            await _close(sessions)
            process, _ = await asyncio.to_thread(start_relay, folder)
            left = _left_over(folder, people)
            sessions = await _connect(server, clients)
            for one, session in zip(people, sessions, strict=True):
                one.faults += left
                await one.compare(session)
                left = []
    finally:
        await _close(sessions)
        await asyncio.to_thread(_stop, process)
    return Outcome(
        kills,
        sum(len(one.chunks) for one in people),
        sum(one.fetched for one in people),
        sum(one.uncertain for one in people),
        tuple(fault for one in people for fault in one.faults),
    )


def _left_over(folder: Path, people: Sequence[Client]) -> list[str]:
    """Files that no chunk that may be there has, in words."""
    may_be = {chunk.sender_id.hex() for one in people for chunk in one.chunks if not chunk.deleted}
    faults = [f"{path.name} was left" for path in (folder / FILES / INCOMING).iterdir()]
    # A chunk may have been registered and confirmed to nobody: its answer was on the way.
    return faults + [f"{path.name} was left" for path in (folder / FILES / CHUNKS).iterdir() if path.name not in may_be]


async def _connect(server: FileServer, count: int) -> list[FileSession]:
    routes = FileRoutes(_ENTROPY)
    return [await connect(server, network=routes, entropy=_ENTROPY, timeout=20) for _ in range(count)]


async def _close(sessions: Sequence[FileSession]) -> None:
    for session in sessions:
        await session.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """Kills, compares and prints; returns 1 if anything was lost or left."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.file_kills", description="Kill a relay under load.")
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="smpchat-kills-") as base:
        try:
            outcome = asyncio.run(run(Path(base, "relay"), options.kills, clients=options.clients, seed=options.seed))
        except (TransportError, ProtocolError, ExceptionGroup) as failure:
            reason: Any = failure.exceptions[0] if isinstance(failure, ExceptionGroup) else failure
            print(f"the relay failed: {reason}", file=sys.stderr)
            return 2
    if options.json:
        print(json.dumps(asdict(outcome)))
    else:
        print(
            f"{outcome.kills} kills: {outcome.accepted} chunks there at the end, {outcome.fetched} downloads compared,"
            f" {outcome.cut} requests cut off"
        )
        print("\n".join(outcome.faults) or "nothing lost, nothing left over")
    return 1 if outcome.faults else 0


if __name__ == "__main__":
    sys.exit(main())
