from __future__ import annotations

import pytest

from smpchat.agent.machines.retry import (
    AFTER_SUBSCRIBING,
    FIRST_MESSAGE,
    QUOTA,
    REPEAT_CONFIRMATION,
    UNANSWERED,
    Delays,
)


def test_growth_by_half_up_to_the_longest() -> None:
    delays = Delays(2, 10)
    assert [delays.after(attempts) for attempts in range(7)] == [2, 2, 3, 4.5, 6.75, 10, 10]


@pytest.mark.parametrize("delays", [UNANSWERED, QUOTA, REPEAT_CONFIRMATION])
def test_any_number_of_tries_has_a_delay(delays: Delays) -> None:
    assert delays.after(0) == delays.after(1) == delays.first
    assert delays.after(10**9) == delays.longest


def test_jitter_only_shortens() -> None:
    assert UNANSWERED.after(3, 0.0) == 4.5
    assert UNANSWERED.after(3, 0.5) == pytest.approx(4.05)
    assert UNANSWERED.after(3, 1.0) == pytest.approx(3.6)


def test_delays_of_the_design() -> None:
    """agent-wire 5.4 and handshake.md 5, in seconds."""
    assert (UNANSWERED.first, UNANSWERED.longest) == (2, 120)
    assert AFTER_SUBSCRIBING == 1
    assert FIRST_MESSAGE[:2] == (5, 30)
