"""The relay under load as the operating system sees it: a process to start, its CPU time and its memory."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

START_TIME = 120.0
"""Seconds that a relay may take to accept connections."""


@dataclass(frozen=True, slots=True)
class Target:
    """A relay to measure; without ``pid`` its CPU time and memory stay unknown.

    Attributes:
        ready_cpu, ready_seconds: What the start cost until connections were accepted, where it was measured.
    """

    address: str
    pid: int | None = None
    ready_cpu: float | None = None
    ready_seconds: float | None = None


def cpu_seconds(pid: int | None) -> float | None:
    """CPU seconds of a process so far, user and system, all threads; None if it cannot be told."""
    if pid is None:
        return None
    try:
        # `schedstat` of each thread counts in nanoseconds; `stat` in hundredths of a second.
        tasks = Path(f"/proc/{pid}/task")
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks.iterdir()) / 1e9
    except (OSError, ValueError, IndexError):
        return None


def memory_bytes(pid: int | None, *, peak: bool = False) -> int | None:
    """Resident bytes of a process, now or at its peak; None if it cannot be told."""
    if pid is None:
        return None
    name = "VmHWM:" if peak else "VmRSS:"
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return None


def start_relay(folder: Path, *, source: Path | None = None) -> tuple[subprocess.Popen[bytes], Target]:
    """Starts the relay of ``folder`` and waits until it accepts connections.

    Args:
        source: A checkout whose relay to run, in place of the one that this interpreter imports.
    Raises:
        RuntimeError: It ended, or took longer than `START_TIME`.
    """
    environment = os.environ if source is None else {**os.environ, "PYTHONPATH": str(source)}
    state = folder / "relay.json"
    state_before = state.read_bytes() if state.exists() else b""
    began = time.monotonic()
    with (folder.parent / f"{folder.name}.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "smpchat.relay", str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
        )
    while time.monotonic() < began + START_TIME:
        if process.poll() is not None:
            raise RuntimeError(f"the relay ended with status {process.returncode}: see {log.name}")
        if state.exists() and state.read_bytes() != state_before:
            try:
                content = json.loads(state.read_bytes())
            except ValueError:
                content = {}
            if content.get("pid") == process.pid:
                target = Target(content["address"], process.pid, cpu_seconds(process.pid), time.monotonic() - began)
                return process, target
        time.sleep(0.005)
    process.kill()
    process.wait()
    raise RuntimeError(f"the relay accepts no connections after {START_TIME:g} s")


def stop_relay(process: subprocess.Popen[bytes]) -> None:
    """Asks the relay to stop, and ends it if it does not."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def running(folder: Path, *, source: Path | None = None) -> Iterator[Target]:
    """A relay while the block runs."""
    process, target = start_relay(folder, source=source)
    try:
        yield target
    finally:
        stop_relay(process)
