"""What a target is, and the limits that hold for every input of every target."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tests.fuzz.mutate import BYTES, Mutate, Mutator

SLOW = 0.1
"""Seconds that one input may take."""
_TRIES = 3
_KEPT = 16
"""Mutated inputs that were accepted, and are mutated further: few, as what they take counts as memory that grows."""


@dataclass
class Target:
    """One function that gets bytes of others.

    Attributes:
        errors: What it may raise: documented errors, and nothing else.
        make_seeds: Called once, when the target is first used.
        weight: How many times as long as others it runs.
    """

    name: str
    run: Callable[[bytes], object]
    errors: tuple[type[Exception], ...]
    make_seeds: Callable[[], Sequence[bytes]]
    mutate: Mutate = BYTES
    weight: int = 1
    _seeds: list[bytes] = field(default_factory=list)
    _grown: list[bytes] = field(default_factory=list)

    def next_input(self, mutator: Mutator) -> bytes:
        """A seed, changed."""
        if not self._seeds:
            self._seeds = list(self.make_seeds()) or [b""]
        chance = mutator.chance
        pool = self._grown if self._grown and chance.random() < 0.3 else self._seeds
        return self.mutate(mutator, chance.choice(pool), self._seeds)

    def check(self, data: bytes) -> str | None:
        """Run it; what is wrong, if anything: an error that is not documented, or time."""
        begin = time.perf_counter()
        problem = self._try(data)
        if problem is None and time.perf_counter() - begin > SLOW:
            problem = self._slow(data)
        return problem

    def accepted(self, data: bytes, mutator: Mutator) -> None:
        """It was read without an error: worth being changed further."""
        if len(data) > 4_096:
            return
        if len(self._grown) < _KEPT:
            self._grown.append(data)
        else:
            self._grown[mutator.chance.randrange(_KEPT)] = data

    def _try(self, data: bytes) -> str | None:
        self.was_accepted = False
        try:
            self.run(data)
        except self.errors:
            return None
        except (Exception, RecursionError) as error:
            return f"{type(error).__name__}: {error}"[:500]
        self.was_accepted = True
        return None

    def _slow(self, data: bytes) -> str | None:
        """Whether it is the input that takes long, and not the machine: the CPU's time, the best of a few."""
        best = SLOW * 100
        for _ in range(_TRIES):
            begin = time.thread_time()
            self._try(data)
            best = min(best, time.thread_time() - begin)
        return f"takes {best * 1000:.0f} ms" if best > SLOW else None

    was_accepted = False
