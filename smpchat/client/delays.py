"""How long to wait before another attempt to reach a relay: data, and a pure function over it."""

from __future__ import annotations

from smpchat.crypto.entropy import Entropy

RECONNECT_DELAYS = (2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 120.0)
"""Seconds before the first, second, … attempt after a loss; the last repeats."""
JITTER = 0.2
"""Share of a delay by which it may be shorter or longer, so that clients do not come back to a relay all at once."""


def reconnect_delay(attempt: int, entropy: Entropy) -> float:
    """Seconds before attempt number ``attempt``, counted from 0. Raises ValueError for a negative number."""
    if attempt < 0:
        raise ValueError("attempts are counted from 0")
    base = RECONNECT_DELAYS[min(attempt, len(RECONNECT_DELAYS) - 1)]
    share = int.from_bytes(entropy.random(4), "big") / 0xFFFF_FFFF
    return base * (1 - JITTER + 2 * JITTER * share)
