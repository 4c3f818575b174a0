"""The loop: targets by turns, each for a moment; what is found is kept; processes share nothing but the results."""

from __future__ import annotations

import hashlib
import json
import logging
import multiprocessing
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.fuzz.mutate import Mutator
from tests.fuzz.target import Target

TURN = 0.2
"""Seconds that a target has before the next one."""
GROWTH = 48 << 20
"""Bytes that a process may take more than after its first round through all targets."""
_PAGE = 4_096


@dataclass
class Outcome:
    """What a run has come to.

    Attributes:
        inputs: By target.
        accepted: Those that were read without an error, by target.
        findings: Each as a file holds it.
        memory: Most bytes that a process took more than after its first round.
    """

    inputs: Counter[str] = field(default_factory=Counter)
    accepted: Counter[str] = field(default_factory=Counter)
    findings: list[dict[str, str]] = field(default_factory=list)
    memory: int = 0

    @property
    def total(self) -> int:
        """Inputs of all targets."""
        return sum(self.inputs.values())

    def add(self, other: Outcome) -> None:
        """What another process, or a later turn, has come to."""
        self.inputs += other.inputs
        self.accepted += other.accepted
        known = {(one["target"], one["problem"]) for one in self.findings}
        self.findings += [one for one in other.findings if (one["target"], one["problem"]) not in known]
        self.memory = max(self.memory, other.memory)


def turns(targets: Sequence[Target], seed: int, turn: float = TURN) -> Iterator[Outcome]:
    """Run targets one after the other, for ever; what each turn came to."""
    logging.disable(logging.CRITICAL)  # what is refused is logged, and nobody reads it here
    mutator = Mutator(random.Random(seed))
    base = None
    while True:
        for target in targets:
            yield _turn(target, mutator, turn * target.weight)
        taken = _resident()
        base = taken if base is None else base
        outcome = Outcome(memory=max(0, taken - base))
        if taken - base > GROWTH:
            outcome.findings.append({"target": "all", "input": "", "problem": f"memory grew by {taken - base} bytes"})
            base = taken
        yield outcome


def _turn(target: Target, mutator: Mutator, seconds: float) -> Outcome:
    outcome, end = Outcome(), time.perf_counter() + seconds
    number = accepted = 0
    while time.perf_counter() < end:
        for _ in range(4):
            data = target.next_input(mutator)
            problem = target.check(data)
            number += 1
            if problem is not None and problem not in {one["problem"] for one in outcome.findings}:
                outcome.findings.append({"target": target.name, "input": data.hex(), "problem": problem})
            elif target.was_accepted:
                accepted += 1
                target.accepted(data, mutator)
    outcome.inputs[target.name], outcome.accepted[target.name] = number, accepted
    return outcome


def _resident() -> int:
    """Bytes of memory that this process takes; 0 where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE
    except OSError:
        return 0


def _work(names: Sequence[str], seed: int, send: Any) -> None:
    """What a process of several does, until it is ended."""
    from tests.fuzz.targets import chosen

    gathered, last = Outcome(), time.monotonic()
    for outcome in turns(chosen(names), seed):
        gathered.add(outcome)
        if gathered.findings or time.monotonic() - last > 1:
            send.put(gathered)
            gathered, last = Outcome(), time.monotonic()


def run(
    names: Sequence[str],
    *,
    seed: int,
    seconds: float | None,
    inputs: int | None,
    jobs: int,
    report: Callable[[Outcome, float], None],
) -> Outcome:
    """Run until the time is over or there were so many inputs.

    Args:
        names: Targets, or beginnings of their names; all if there are none.
        report: Called now and then with what there is so far, and the seconds that it took.
    """
    total, begin = Outcome(), time.monotonic()
    context = multiprocessing.get_context("spawn")
    results: Any = context.Queue()
    workers = [context.Process(target=_work, args=(names, seed + job, results), daemon=True) for job in range(jobs)]
    for worker in workers:
        worker.start()
    try:
        while all(worker.is_alive() for worker in workers):
            took = time.monotonic() - begin
            if (seconds is not None and took >= seconds) or (inputs is not None and total.total >= inputs):
                break
            try:
                total.add(results.get(timeout=1))
            except Exception as error:
                if type(error).__name__ != "Empty":
                    raise
            report(total, time.monotonic() - begin)
        else:
            raise RuntimeError("a process ended by itself")
    finally:
        for worker in workers:
            worker.terminate()
            worker.join()
    return total


def save(finding: dict[str, str], folder: Path) -> Path:
    """A file that replays it; the same finding is the same file."""
    folder.mkdir(parents=True, exist_ok=True)
    name = hashlib.sha256(f"{finding['target']} {finding['problem'][:60]}".encode()).hexdigest()[:10]
    path = folder / f"{finding['target']}-{name}.json"
    if not path.exists():
        path.write_text(json.dumps(finding, indent=1) + "\n", encoding="utf-8")
    return path
