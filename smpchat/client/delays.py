"""How long to wait before the next attempt to reach a relay."""

from __future__ import annotations

from smpchat.crypto.entropy import Entropy

RECONNECT_DELAYS = (2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 120.0)
"""Seconds to wait before the first attempt, the second and so on; the last value is used for all later attempts."""
JITTER = 0.2
"""Each delay is made shorter or longer by up to this share, so that not all clients return to a relay at once."""


def reconnect_delay(attempt: int, entropy: Entropy) -> float:
    """Seconds to wait before attempt number ``attempt``, counted from 0. Raises ValueError for a negative number."""
    if attempt < 0:
        raise ValueError("attempts are counted from 0")
    base = RECONNECT_DELAYS[min(attempt, len(RECONNECT_DELAYS) - 1)]
    share = int.from_bytes(entropy.random(4), "big") / 0xFFFF_FFFF
    return base * (1 - JITTER + 2 * JITTER * share)
