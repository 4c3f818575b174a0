"""How long the program takes to start and to leave, in units of an interpreter that does nothing.

    python -m tests.bench.startup [--rounds N]

Prints for each command the median of the time that passes and the least CPU time, and the ratios of both to those of
``python -c pass``, which runs once in each round, between the commands, so that what else the machine does weighs on
all alike; where that is much, only the CPU times tell anything. The commands: ``--help``; some that only read; ``send``
handed to an online process (`listen` runs meanwhile, as it would in another terminal); ``invite`` of a new profile,
with the relay running; and of a new profile's ``connect``, the times from the start of its process to its first byte on
the network, and from the last line that it prints to the end of its process.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

NOTHING = (sys.executable, "-c", "pass")
PROGRAM = (sys.executable, "-m", "smpchat")
READING = ("contacts", "history alice", "status")


class Gate:
    """A port of loopback before the relay's: tells when the first byte came through."""

    def __init__(self, host: str, port: int) -> None:
        self._relay = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.first: float | None = None
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            client = self._listener.accept()[0]
            relay = socket.create_connection(self._relay)
            for source, target in ((client, relay), (relay, client)):
                source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._carry, args=(source, target), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(65_536):
                if self.first is None:
                    self.first = time.perf_counter()
                target.sendall(piece)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)


class Bench:
    """A home of its own, and what was measured in it."""

    def __init__(self, home: str) -> None:
        checkout = str(Path(__file__).parents[2])  # the relay is started in another folder, from whatever is installed
        self.environment = {**os.environ, "SMPCHAT_HOME": home, "PYTHONPATH": checkout}
        self.environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed program is compiled, once
        self.figures: defaultdict[str, list[float]] = defaultdict(list)
        self.cpu: defaultdict[str, list[float]] = defaultdict(list)

    def smpchat(self, *arguments: str) -> str:
        """Run the program; its standard output."""
        done = subprocess.run([*PROGRAM, *arguments], env=self.environment, check=True, capture_output=True, text=True)
        return done.stdout

    def take(self, name: str, command: Sequence[str]) -> None:
        """Measure a command from its start to its end."""
        start, used = time.perf_counter(), _cpu_of_children()
        subprocess.run(command, env=self.environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.figures[name].append(time.perf_counter() - start)
        self.cpu[name].append(_cpu_of_children() - used)

    def take_connect(self, gate: Gate, link: str, profile: str) -> None:
        """Measure the beginning and the end of a join by a profile that has never run."""
        self.smpchat("-p", profile, "server", "use", self._address(gate))
        gate.first, start = None, time.perf_counter()
        process = subprocess.Popen(
            [*PROGRAM, "-p", profile, "connect", link, "--alias", "alice"],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert process.stdout is not None
        last = start
        while os.read(process.stdout.fileno(), 65_536):
            last = time.perf_counter()
        status, ended = process.wait(), time.perf_counter()
        if status or gate.first is None:
            raise SystemExit(f"connect ended with {status}")
        self.figures["connect, to its first byte on the network"].append(gate.first - start)
        self.figures["connect, from its last line to its end"].append(ended - last)

    def link(self, gate: Gate) -> str:
        """A new invitation through the gate."""
        printed = self.smpchat("--json", "-p", "alice", "invite", "--no-wait", "--server", self._address(gate))
        return _link(printed)

    def _address(self, gate: Gate) -> str:
        return f"{self._fingerprint}@127.0.0.1:{gate.port}"

    def gate(self) -> Gate:
        """Before the relay that runs."""
        [status] = [json.loads(line) for line in self.smpchat("--json", "relay", "status").splitlines()]
        self._fingerprint, _, place = status["address"].rpartition("@")
        host, _, port = place.rpartition(":")
        return Gate(host, int(port))


def _cpu_of_children() -> float:
    """CPU seconds of all processes that have ended; the relay and `listen`, which go on, are not among them."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _link(printed: str) -> str:
    [link] = [value["link"] for line in printed.splitlines() if "link" in (value := json.loads(line))]
    return str(link)


@contextlib.contextmanager
def _listening(bench: Bench, profile: str) -> Iterator[None]:
    """Another terminal in which the profile is online."""
    command = [*PROGRAM, "-p", profile, "listen"]
    listening = subprocess.Popen(command, env=bench.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        listening.terminate()
        listening.wait()


def measure(bench: Bench, rounds: int) -> None:
    """All figures; the first round, which fills caches, does not count."""
    invited = _link(bench.smpchat("--json", "-p", "alice", "invite", "--no-wait"))
    bench.smpchat("-p", "bob", "connect", invited, "--alias", "alice")
    gate = bench.gate()
    with _listening(bench, "bob"):
        for number in range(rounds + 1):
            if number == 1:
                bench.figures.clear()
                bench.cpu.clear()
            bench.take("python -c pass", NOTHING)
            bench.take("smpchat --help", [*PROGRAM, "--help"])
            for command in READING:
                bench.take(f"smpchat {command}", [*PROGRAM, "-p", "bob", *command.split()])
            bench.take("smpchat send, an online process delivers", [*PROGRAM, "-p", "bob", "send", "alice", "hello"])
            invite = [*PROGRAM, "-p", f"inviter-{number}", "invite", "--no-wait"]
            bench.take("smpchat invite --no-wait, a new profile", invite)
            bench.take_connect(gate, bench.link(gate), f"joiner-{number}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory(prefix="smpchat-bench-") as home:
        bench = Bench(home)
        try:
            measure(bench, rounds)
        finally:
            bench.smpchat("relay", "stop")
    medians = {name: statistics.median(seconds) for name, seconds in bench.figures.items()}
    least = {name: min(seconds) for name, seconds in bench.cpu.items()}
    nothing = "python -c pass"
    print(f"{'':45} {'median':>9}  ratio {'CPU':>9}  ratio")
    for name, seconds in medians.items():
        cpu = f" {least[name] * 1000:6.0f} ms  {least[name] / least[nothing]:5.1f}" if name in least else ""
        print(f"{name:45} {seconds * 1000:6.0f} ms  {seconds / medians[nothing]:5.1f}{cpu}")


if __name__ == "__main__":
    main()
