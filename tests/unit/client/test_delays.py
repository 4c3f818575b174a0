from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smpchat.client.delays import JITTER, RECONNECT_DELAYS, reconnect_delay


class Fixed:
    def __init__(self, byte: int) -> None:
        self.byte = byte

    def random(self, size: int) -> bytes:
        return bytes([self.byte]) * size


def test_delays_grow_from_2_seconds_to_2_minutes_with_jitter_of_a_fifth() -> None:
    shortest = [reconnect_delay(n, Fixed(0)) for n in range(9)]
    longest = [reconnect_delay(n, Fixed(255)) for n in range(9)]
    assert shortest == pytest.approx([1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 96, 96, 96])
    assert longest == pytest.approx([2.4, 4.8, 9.6, 19.2, 38.4, 76.8, 144, 144, 144])


@given(st.integers(0, 10_000), st.binary(min_size=4, max_size=4))
def test_every_draw_lies_within_the_jitter(attempt: int, drawn: bytes) -> None:
    class Drawn:
        def random(self, size: int) -> bytes:
            return drawn[:size]

    base = RECONNECT_DELAYS[min(attempt, len(RECONNECT_DELAYS) - 1)]
    assert base * (1 - JITTER) - 1e-9 <= reconnect_delay(attempt, Drawn()) <= base * (1 + JITTER) + 1e-9


def test_attempts_are_counted_from_0() -> None:
    with pytest.raises(ValueError, match="from 0"):
        reconnect_delay(-1, Fixed(0))
