"""How long the program takes to start, in units of an interpreter that does nothing.

    python -m tests.bench.startup [--rounds N]

Prints, as ratios of ``python -c pass``: ``smpchat --help``, commands that only read, and ``send`` handed to an online
process (`listen` runs meanwhile, as it would in another terminal).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

PROGRAM = (sys.executable, "-m", "smpchat")


def measure(command: Sequence[str], environment: dict[str, str], rounds: int) -> float:
    """Median seconds of a command; the first run, which fills caches, does not count."""
    seconds = []
    for number in range(rounds + 1):
        start = time.perf_counter()
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if number:
            seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory(prefix="smpchat-bench-") as home:
        environment = {**os.environ, "SMPCHAT_HOME": home}

        def smpchat(*arguments: str) -> str:
            done = subprocess.run([*PROGRAM, *arguments], env=environment, check=True, capture_output=True, text=True)
            return done.stdout

        nothing = measure([sys.executable, "-c", "pass"], environment, rounds)
        figures = {"smpchat --help": measure([*PROGRAM, "--help"], environment, rounds)}
        try:
            invited = json.loads(smpchat("--json", "-p", "alice", "invite", "--no-wait").splitlines()[0])
            smpchat("-p", "bob", "connect", invited["link"], "--alias", "alice")
            listening = subprocess.Popen([*PROGRAM, "-p", "bob", "listen"], env=environment, stdout=subprocess.PIPE)
            try:
                for command in ("contacts", "status", "history alice"):
                    reading = [*PROGRAM, "-p", "bob", *command.split()]
                    figures[f"smpchat {command}"] = measure(reading, environment, rounds)
                send = [*PROGRAM, "-p", "bob", "send", "alice", "hello"]
                figures["smpchat send (an online process delivers)"] = measure(send, environment, rounds)
            finally:
                listening.terminate()
                listening.communicate()
        finally:
            smpchat("relay", "stop")
    print(f"{'python -c pass':45} {nothing * 1000:6.0f} ms    1.0")
    for name, seconds in figures.items():
        print(f"{name:45} {seconds * 1000:6.0f} ms  {seconds / nothing:5.1f}")


if __name__ == "__main__":
    main()
