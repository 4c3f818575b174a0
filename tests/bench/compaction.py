"""What deleting many messages leaves: sizes of the database file, and how long the steps take that shrink it.

    python -m tests.bench.compaction [--messages 100000] [--folder DIRECTORY]

Works on the relay's store as the relay does, without network: groups of commands share a commit, and free pages are
returned in the relay's own steps.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from smpchat.crypto.keys import Ed25519PrivateKey
from smpchat.protocol.queue_mode import QueueMode
from smpchat.relay.limits import QUOTA
from smpchat.relay.records import NewQueue, StoredMessage
from smpchat.relay.store import SQLiteStore
from smpchat.relay.worker import GIVE_BACK_PAGES, GROUP_COMMANDS, KEPT_PAGES

_BODY = bytes(range(256)) * 62 + bytes(128)  # 16,000 bytes, as an encrypted message with its padding
_NOW = 1_700_000_000


def measure(folder: Path, messages: int) -> None:
    """Stores, deletes and shrinks; prints what each left."""
    path = folder / "relay.db"
    key = Ed25519PrivateKey(b"k" * 32).public()
    with closing(SQLiteStore(path)) as store:
        _report(path, "empty")
        began = time.perf_counter()
        queues = [
            store.create(NewQueue(b"r%d" % number, b"s%d" % number, (key,), bytes(32), None, QueueMode.MESSAGING))
            for number in range(-(-messages // QUOTA))
        ]
        for number in range(messages):
            message = StoredMessage(number.to_bytes(24, "big"), _NOW, False, _BODY)
            store.append(queues[number % len(queues)], message)
            if number % GROUP_COMMANDS == 0:
                store.commit()
        store.commit()
        _report(path, f"{messages:,} messages stored", time.perf_counter() - began)

        began = time.perf_counter()
        for number in range(messages):
            store.delete_head(queues[number % len(queues)], number.to_bytes(24, "big"))
            if number % GROUP_COMMANDS == 0:
                store.commit()
        store.commit()
        _report(path, "all of them deleted", time.perf_counter() - began)

        steps: list[float] = []
        commits: list[float] = []
        more = True
        while more:
            began = time.perf_counter()
            more = store.give_back(GIVE_BACK_PAGES, keep=KEPT_PAGES)
            between = time.perf_counter()
            store.commit()
            steps.append(between - began)
            commits.append(time.perf_counter() - between)
        _report(path, f"free pages returned in {len(steps):,} steps", sum(steps) + sum(commits))
        for what, times in (("step", steps), ("commit of a step", commits)):
            times.sort()
            print(f"  {what}: median {times[len(times) // 2] * 1e3:.1f} ms, longest {times[-1] * 1e3:.1f} ms")
    _report(path, "closed")


def _report(path: Path, what: str, seconds: float | None = None) -> None:
    log = path.with_name(path.name + "-wal")
    size = path.stat().st_size / 1e6
    in_log = log.stat().st_size / 1e6 if log.exists() else 0.0
    took = "" if seconds is None else f", {seconds:.1f} s"
    print(f"{what}: {size:,.1f} MB and {in_log:,.1f} MB of log{took}", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the measurement; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.compaction", description=__doc__)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument(
        "--folder", type=Path, help="where to put 1.7 GB for 100,000 messages; default: temporary files"
    )
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="smpchat-bench-", dir=options.folder) as folder:
        measure(Path(folder), options.messages)
    return 0


if __name__ == "__main__":
    sys.exit(main())
