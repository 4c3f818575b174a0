"""Random bytes from a seed: the same seed gives the same keys, nonces and ids."""

from __future__ import annotations

import hashlib


class SeededEntropy:
    """A reproducible stream of bytes. Never use it for real keys."""

    def __init__(self, seed: bytes | str) -> None:
        self._seed = seed.encode() if isinstance(seed, str) else seed
        self._counter = 0

    def random(self, size: int) -> bytes:
        """The next ``size`` bytes of the stream."""
        self._counter += 1
        return hashlib.shake_256(self._seed + self._counter.to_bytes(8, "big")).digest(size)
