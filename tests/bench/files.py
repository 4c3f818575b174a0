"""How fast a file goes from one profile to another through the relay of this computer, and how much memory that takes.

    python -m tests.bench.files [--mib 1024] [--json]

``send`` and ``receive`` as people run them, with the relay in a process of its own, one after the other. The limit that
the rates are compared with is what has to be computed anyway: sending takes XSalsa20-Poly1305, SHA-512 and SHA-256 of
every byte once, then TLS; receiving takes the box of the download, SHA-256, SHA-512 and the box of the file. *The box*
is the rate of `smpchat.crypto.secretbox` alone, on one core and without a disk.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from smpchat.crypto.secretbox import Sealer
from tests.bench.startup import PROGRAM

PIECE = 1 << 20


def seconds_for(work: object, mib: int) -> float:
    """Seconds of the processor that some work takes for so many MiB."""
    assert callable(work)
    piece = bytes(PIECE)
    start = time.process_time()
    for _ in range(mib):
        work(piece)
    return time.process_time() - start


class Bench:
    """A home of its own, with a relay and two people."""

    def __init__(self, home: Path) -> None:
        self.environment = {**os.environ, "SMPCHAT_HOME": str(home), "PYTHONPATH": str(Path(__file__).parents[2])}

    def smpchat(self, *arguments: str) -> list[dict[str, object]]:
        """Run a command to its end; what it printed."""
        done = subprocess.run(
            [*PROGRAM, "--json", *arguments], env=self.environment, check=True, capture_output=True, text=True
        )
        return [json.loads(line) for line in done.stdout.splitlines()]

    def timed(self, *arguments: str) -> tuple[float, float, int]:
        """Seconds that a command takes, those of the processor, and the most memory that it had, in MiB."""
        start = time.perf_counter()
        process = subprocess.Popen([*PROGRAM, *arguments], env=self.environment, stdout=subprocess.DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
        if status:
            sys.exit(f"smpchat {' '.join(arguments)} failed")
        return time.perf_counter() - start, used.ru_utime + used.ru_stime, used.ru_maxrss // 1024

    def connect(self) -> None:
        """Two people who know each other."""
        invited = self.smpchat("-p", "alice", "invite", "--no-wait", "--note", "bob")
        link = next(str(found["link"]) for found in invited if found["type"] == "invitation")
        self.smpchat("-p", "bob", "connect", link, "--alias", "alice", "--no-wait")
        for name in ("alice", "bob"):
            self.smpchat("-p", name, "listen", "--timeout", "2")


def measure(mib: int) -> dict[str, float]:
    """Seconds, rates in MiB a second, and memory in MiB."""
    with tempfile.TemporaryDirectory(prefix="smpchat-bench-") as folder:
        bench, source, target = Bench(Path(folder) / "home"), Path(folder) / "big.iso", Path(folder) / "in"
        target.mkdir()
        digest = hashlib.sha256()
        with source.open("wb") as file:
            for _ in range(mib):
                piece = os.urandom(PIECE)
                digest.update(piece)
                file.write(piece)
        bench.connect()
        try:
            sending, sending_cpu, sender = bench.timed("-p", "alice", "send", "bob", "--file", str(source))
            bench.smpchat("-p", "bob", "listen", "--count", "1", "--timeout", "60")
            receiving, receiving_cpu, receiver = bench.timed("-p", "bob", "receive", "alice", "--to", str(target))
        finally:
            bench.smpchat("relay", "stop")
        with (target / source.name).open("rb") as file:
            if hashlib.file_digest(file, "sha256").digest() != digest.digest():
                sys.exit("another file arrived")
    box, sealed = Sealer(bytes(32), bytes(24)), memoryview(bytearray(PIECE))
    sample = min(mib, 256)
    return {
        "MiB": mib,
        "send_s": sending,
        "receive_s": receiving,
        "send_cpu_s": sending_cpu,
        "receive_cpu_s": receiving_cpu,
        "send_MiB_s": mib / sending,
        "receive_MiB_s": mib / receiving,
        "sender_memory_MiB": sender,
        "receiver_memory_MiB": receiver,
        "box_MiB_s": sample / seconds_for(lambda piece: box.update(piece, sealed), sample),
        "sha512_MiB_s": sample / seconds_for(hashlib.sha512().update, sample),
        "sha256_MiB_s": sample / seconds_for(hashlib.sha256().update, sample),
    }


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = measure(options.mib)
    if options.json:
        print(json.dumps(found))
        return
    for name, value in found.items():
        print(f"{name:22} {value:10,.1f}")


if __name__ == "__main__":
    main()
