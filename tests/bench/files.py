"""How fast a file goes from one profile to another through the relay of this computer, and how much memory that takes.

    python -m tests.bench.files [--mib 1024] [--runs 1] [--json]

``send`` and ``receive`` as people run them, with the relay in a process of its own, one after the other. What they are
compared with is computed in the same run: the limit is the rate of XSalsa20-Poly1305 twice, SHA-512, SHA-256 and the
disk once, one after the other on one core. Both commands do all of that: the box of the file, and that of its way (TLS,
or the download); the digests of the whole and of its chunks; and the ciphertext is written. Not in it: that the relay,
or `receive`, writes every byte once more, all copies, and HTTP/2. `receive` decrypts the file while it downloads it, so
the two cores of a small computer share the work.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
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

    def relay(self) -> tuple[float, int]:
        """Seconds of the processor that the relay has taken, and the most memory that it had, in MiB; Linux only."""
        (status,) = self.smpchat("relay", "status")
        process = Path("/proc", str(status["pid"]))
        used = process.joinpath("stat").read_text().rpartition(")")[2].split()
        (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", process.joinpath("status").read_text())
        return (int(used[11]) + int(used[12])) / os.sysconf("SC_CLK_TCK"), int(peak) // 1024

    def connect(self) -> None:
        """Two people who know each other."""
        invited = self.smpchat("-p", "alice", "invite", "--no-wait", "--note", "bob")
        link = next(str(found["link"]) for found in invited if found["type"] == "invitation")
        self.smpchat("-p", "bob", "connect", link, "--alias", "alice", "--no-wait")
        for name in ("alice", "bob"):
            self.smpchat("-p", name, "listen", "--timeout", "2")


def written(path: Path, mib: int) -> tuple[bytes, float]:
    """Make a file of chance: its SHA-256, and how many seconds it took to write it onto the disk."""
    digest, seconds = hashlib.sha256(), 0.0
    with path.open("wb", buffering=0) as file:
        for _ in range(mib):
            piece = os.urandom(PIECE)
            digest.update(piece)
            start = time.perf_counter()
            file.write(piece)
            seconds += time.perf_counter() - start
        start = time.perf_counter()
        os.fsync(file.fileno())
    return digest.digest(), seconds + time.perf_counter() - start


def measure(mib: int) -> dict[str, float]:
    """Seconds, rates in MiB a second, memory in MiB, and parts of the limit."""
    with tempfile.TemporaryDirectory(prefix="smpchat-bench-") as folder:
        bench, source, target = Bench(Path(folder) / "home"), Path(folder) / "big.iso", Path(folder) / "in"
        target.mkdir()
        digest, _ = written(source, mib)
        bench.connect()
        try:
            before, _ = bench.relay()
            sending, sending_cpu, sender = bench.timed("-p", "alice", "send", "bob", "--file", str(source))
            between, _ = bench.relay()
            bench.smpchat("-p", "bob", "listen", "--count", "1", "--timeout", "60")
            receiving, receiving_cpu, receiver = bench.timed("-p", "bob", "receive", "alice", "--to", str(target))
            after, relay = bench.relay()
        finally:
            bench.smpchat("relay", "stop")
        with (target / source.name).open("rb") as file:
            if hashlib.file_digest(file, "sha256").digest() != digest:
                sys.exit("another file arrived")
        # Beside all that is there: memory that was never used costs a virtual machine more than the disk does.
        _, disk = written(Path(folder) / "disk", mib)
    box, sealed = Sealer(bytes(32), bytes(24)), memoryview(bytearray(PIECE))
    sample = min(mib, 256)
    rates = {
        "box": sample / seconds_for(lambda piece: box.update(piece, sealed), sample),
        "sha512": sample / seconds_for(hashlib.sha512().update, sample),
        "sha256": sample / seconds_for(hashlib.sha256().update, sample),
        "disk": mib / disk,
    }
    limit = 1 / (2 / rates["box"] + 1 / rates["sha512"] + 1 / rates["sha256"] + 1 / rates["disk"])
    return {
        "MiB": mib,
        "send_s": sending,
        "receive_s": receiving,
        "send_cpu_s": sending_cpu,
        "receive_cpu_s": receiving_cpu,
        "send_relay_cpu_s": between - before,
        "receive_relay_cpu_s": after - between,
        "send_MiB_s": mib / sending,
        "receive_MiB_s": mib / receiving,
        "sender_memory_MiB": sender,
        "receiver_memory_MiB": receiver,
        "relay_memory_MiB": relay,
        **{f"{name}_MiB_s": rate for name, rate in rates.items()},
        "limit_MiB_s": limit,
        "send_of_limit": mib / sending / limit,
        "receive_of_limit": mib / receiving / limit,
    }


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    for _ in range(options.runs):
        found = measure(options.mib)
        if options.json:
            print(json.dumps(found), flush=True)
            continue
        for name, value in found.items():
            print(f"{name:22} {value:10,.{2 if name.endswith('_limit') else 1}f}", flush=True)


if __name__ == "__main__":
    main()
