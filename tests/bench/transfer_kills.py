"""Sender, receiver and relay are killed while files go from one person to the other: what arrives, and what is left.

    python -m tests.bench.transfer_kills [--transfers 20] [--kills 30] [--seed N]

Three processes as people run them: ``listen`` of both, and the relay of this computer. Each kill is SIGKILL of one of
them, by chance, at a moment by chance; files are sent and asked for meanwhile. At the end every file has arrived once,
is what was sent, and nobody has anything left of them: no ciphertext, no part, nothing half at the relay.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from smpchat.relay.folder import status
from tests.bench.files import Bench
from tests.bench.startup import PROGRAM

SIZES = 20_000, 6_000_000
"""Bytes of the smallest and of the largest file."""
PATIENCE = 180.0
"""Seconds for what is left when nobody is killed any more."""


class World(Bench):
    """Both people's ``listen``, and the relay, each of which can be killed."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "home")
        self.folder, self.home, self.inbox = folder, folder / "home", folder / "in"
        self.inbox.mkdir()
        self.listening: dict[str, subprocess.Popen[bytes]] = {}
        self.sent: dict[str, bytes] = {}
        self.killed: Counter[str] = Counter()

    def listen(self, name: str) -> None:
        """In the background, until it is killed."""
        self.listening[name] = subprocess.Popen(
            [*PROGRAM, "-q", "-p", name, "listen"],
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    @contextmanager
    def online(self) -> Iterator[None]:
        """Both people, for as long as the block runs; the relay, which they start, is stopped as well."""
        try:
            for name in ("alice", "bob"):
                self.listen(name)
            yield
        finally:
            for process in self.listening.values():
                process.terminate()
                process.wait()
            self.smpchat("relay", "stop")

    def tried(self, *arguments: str) -> None:
        """A command that may fail, as its relay was killed just now: what it asked for is stored."""
        command = [*PROGRAM, "-q", *arguments]
        subprocess.run(command, env=self.environment, check=False, capture_output=True, timeout=60)

    def send(self, number: int, chance: random.Random) -> None:
        """One more file."""
        content = chance.randbytes(chance.randint(*SIZES))
        path = self.folder / f"file{number}.bin"
        path.write_bytes(content)
        self.sent[path.name] = hashlib.sha256(content).digest()
        self.smpchat("-p", "alice", "send", "bob", "--file", str(path), "--wait", "none")

    def ask(self) -> int:
        """Bob wants every file that he was told of; how many have come."""
        files = self.smpchat("-p", "bob", "files", "alice", "-n", "1000")
        for file in files:
            if file["state"] == "offered":
                self.tried("-p", "bob", "receive", str(file["message"]), "--to", str(self.inbox), "--timeout", "0.2")
        return sum(file["state"] == "received" for file in files)

    def kill(self, chance: random.Random) -> None:
        """One of the three."""
        who = chance.choice(("alice", "bob", "relay"))
        if who == "relay":
            pid = status(self.home / "relay").pid
            if pid is None:  # killed, and not started again yet
                return self.kill(chance)
            os.kill(pid, signal.SIGKILL)
        else:
            process = self.listening[who]
            process.kill()
            process.wait()
            self.listen(who)
        self.killed[who] += 1
        return None

    def left(self) -> list[str]:
        """What should be gone."""
        found = [*self.home.glob("profiles/*/files/*"), *self.home.glob("relay/files/incoming/*")]
        return [str(path) for path in (*found, *self.folder.rglob(".smpchat-*"))]


def main() -> None:
    """Kill, wait, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--transfers", type=int, default=20)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    options = parser.parse_args()
    chance = random.Random(options.seed)
    with tempfile.TemporaryDirectory(prefix="smpchat-bench-") as folder:
        world = World(Path(folder))
        world.connect()
        with world.online():
            while sum(world.killed.values()) < options.kills:
                done = sum(world.killed.values())
                while len(world.sent) < min(options.transfers, 1 + done * options.transfers // options.kills):
                    world.send(len(world.sent), chance)
                world.ask()
                time.sleep(chance.uniform(0, 1.2))
                world.kill(chance)
            while len(world.sent) < options.transfers:
                world.send(len(world.sent), chance)
            deadline = time.monotonic() + PATIENCE
            while (came := world.ask()) < options.transfers and time.monotonic() < deadline:
                time.sleep(0.5)
            settled = time.monotonic() + 20
            while world.left() and time.monotonic() < settled:
                time.sleep(0.5)
        here = {path.name: hashlib.sha256(path.read_bytes()).digest() for path in world.inbox.iterdir()}
        left = world.left()
    killed = ", ".join(f"{count} {who}" for who, count in sorted(world.killed.items()))
    print(f"seed {options.seed}: {sum(world.killed.values())} kills ({killed}), {came} of {options.transfers} arrived")
    if here != world.sent or left:
        wrong = sorted(here.items() ^ world.sent.items())
        sys.exit(f"not as it should be: {[name for name, _ in wrong]}, left over: {left}")
    print("each arrived once and whole, nothing left over")


if __name__ == "__main__":
    main()
