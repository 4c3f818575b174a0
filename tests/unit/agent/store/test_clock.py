"""A clock that leaps makes nothing old; one that goes on as it does is believed."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from smpchat.agent.store import clock, outgoing
from smpchat.agent.store.outgoing import Kind, Lane, Priority
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


def test_what_was_to_come_later_keeps_its_distance(tmp_path: Path) -> None:
    """Also where the clock goes back by less than counts as a leap; what is parked stays so."""
    alice = Agent("alice", tmp_path)
    alice.invite()
    for moment in (NOW - 5, NOW + 100, outgoing.PARKED):
        alice.do(lambda tx, _, at=moment: enqueue(tx, alice.id, at))  # type: ignore[misc]

    def due() -> list[float]:
        return [row[0] for row in alice.tx.execute("SELECT not_before FROM outbox ORDER BY not_before")]

    with alice.database.transaction() as tx:
        clock.note(tx, NOW)
        clock.note(tx, NOW + 50)
        assert due() == [NOW - 5, NOW + 100, outgoing.PARKED], "as it goes on"
        clock.note(tx, NOW + 50 + YEAR)
        assert due() == [NOW - 5, NOW + 100 + YEAR, outgoing.PARKED]
        clock.note(tx, NOW + 50)
        assert due() == [NOW - 5, NOW + 100, outgoing.PARKED]
        clock.note(tx, NOW - 10)
        assert due() == [NOW - 5, NOW + 40, outgoing.PARKED]


def enqueue(tx: sqlite3.Connection, connection_id: int, at: float) -> None:
    outgoing.enqueue(tx, connection_id, Lane.LEAVE, Kind.EMPTY, Priority.MESSAGE, not_before=at)
