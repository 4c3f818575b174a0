"""A clock that leaps makes nothing old; one that goes on as it does is believed."""

from __future__ import annotations

from pathlib import Path

from smpchat.agent.store import clock
from tests.unit.agent.agents import NOW, Agent

YEAR = 365 * 86_400.0


def test_a_leap_holds_for_a_day_and_time_that_goes_on_does_not(tmp_path: Path) -> None:
    alice = Agent("alice", tmp_path)
    with alice.database.transaction() as tx:
        assert clock.is_due(tx, NOW)
        assert not clock.is_held(tx, NOW)
        assert not clock.note(tx, NOW)
        assert not clock.is_due(tx, NOW + 60)
        assert not clock.note(tx, NOW + 6 * 86_400)
        ahead = NOW + YEAR
        assert clock.is_held(tx, ahead), "before anybody has noted it"
        assert clock.note(tx, ahead)
        assert not clock.note(tx, ahead + 3_600), "told once"
        assert clock.is_held(tx, ahead + 3_600)
        assert clock.note(tx, NOW + 7 * 86_400), "set right"
        assert clock.is_held(tx, NOW + 7 * 86_400)
        assert not clock.is_held(tx, NOW + 8 * 86_400), "a day later it is as ever"


def test_a_long_pause_holds_for_a_day_only(tmp_path: Path) -> None:
    alice = Agent("alice", tmp_path)
    with alice.database.transaction() as tx:
        clock.note(tx, NOW)
        back = NOW + 30 * 86_400
        assert clock.note(tx, back)
        assert clock.is_held(tx, back + 86_399)
        assert not clock.is_held(tx, back + 86_401)
