"""Remembers when smpchat last read the computer's clock, so that nothing counts as old just because the clock leaps.

Otherwise, on a computer that starts with a wrong date, smpchat would delete at once what should be deleted in months,
and give up work that is still to be done. If smpchat was not used for a long time, the clock seems to have leapt, too;
everything that is due is then deleted a day later.
"""

from __future__ import annotations

import sqlite3

from smpchat.agent.store.outgoing import PARKED

LEAP = 7 * 86_400.0
"""If the clock has advanced by more than this many seconds since we last read it, this counts as a leap."""
BACK = 3_600.0
"""By how many seconds the clock may go back before this counts as a leap."""
HOLD = 86_400.0
"""After a leap of the clock, smpchat does not delete or give up anything because of its age for this many seconds.
Meanwhile, someone can set the clock right."""
_NOTED_EVERY = 3_600.0


def is_held(tx: sqlite3.Connection, now: float) -> bool:
    """Whether the clock leapt within the last `HOLD` seconds. If so, the caller must not treat anything as old yet.
    Changes nothing."""
    seen, until = _known(tx, now)
    return _leapt(seen, now) or now < until


def is_due(tx: sqlite3.Connection, now: float) -> bool:
    """Whether `note` must be called now. Changes nothing."""
    row = tx.execute("SELECT seen FROM own_clock").fetchone()
    return row is None or not 0 <= now - row[0] < _NOTED_EVERY


def note(tx: sqlite3.Connection, now: float) -> bool:
    """Note the time on the clock, and return whether the clock leapt.

    If the clock leapt or went back, the times until which messages and commands wait are shifted by the same amount, so
    that these waits keep their length.
    """
    seen, until = _known(tx, now)
    leapt = _leapt(seen, now)
    if leapt or now < seen:
        _put_off(tx, seen, now - seen)
    if leapt:
        until = now + HOLD
    elif until > now + HOLD:  # this time was stored while the clock was ahead
        until = 0.0
    tx.execute("DELETE FROM own_clock")
    tx.execute("INSERT INTO own_clock VALUES (?, ?)", (now, until))
    return leapt


def _put_off(tx: sqlite3.Connection, since: float, seconds: float) -> None:
    for table, column in (("outbox", "not_before"), ("rotations", "hold_until")):
        query = f"UPDATE {table} SET {column} = {column} + ? WHERE {column} > ? AND {column} < ?"
        tx.execute(query, (seconds, since, PARKED))


def _known(tx: sqlite3.Connection, now: float) -> tuple[float, float]:
    row = tx.execute("SELECT seen, held_until FROM own_clock").fetchone()
    return (row[0], row[1]) if row else (now, 0.0)


def _leapt(seen: float, now: float) -> bool:
    return not -BACK <= now - seen <= LEAP
