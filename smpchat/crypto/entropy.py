"""The source of randomness. Only this module, and the library that `kem` uses, ask the operating system for
randomness."""

from __future__ import annotations

import os
from typing import Protocol


class Entropy(Protocol):
    """A source of random bytes; tests pass a seeded one."""

    def random(self, size: int) -> bytes:
        """``size`` random bytes."""
        ...


class SystemEntropy:
    """The operating system's generator of random bytes."""

    def random(self, size: int) -> bytes:
        """``size`` bytes from the operating system."""
        return os.urandom(size)
