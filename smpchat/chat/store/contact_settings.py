"""What the user has set for one contact alone, by name: what it allows them, and how this program treats them.

A setting that is not there is as it is for everybody. Names are those of `Feature` for what the contact may do, and of
`Setting`; each value is a text whose form its reader checks.
"""

from __future__ import annotations

import sqlite3
from enum import StrEnum

from smpchat.chat.store import settings

ON, OFF = "on", "off"
FOR_EVER = float("inf")


class Setting(StrEnum):
    """Settings of one contact beside the features."""

    TTL = "ttl"
    """Seconds after which messages disappear, as one of the two people set it last."""
    RECEIPTS = "receipts"
    """``on`` or ``off``: whether the contact is told that messages arrived. For the profile: whether all contacts
    are."""
    MUTE = "mute"
    """Until when the contact is muted: POSIX seconds, or ``inf``."""


def all_of(tx: sqlite3.Connection, contact_id: int) -> dict[str, str]:
    """The settings of a contact."""
    rows = tx.execute("SELECT name, value FROM contact_settings WHERE contact_id = ?", (contact_id,))
    return {row["name"]: row["value"] for row in rows}


def by_contact(tx: sqlite3.Connection, name: str) -> dict[int, str]:
    """One setting of all contacts that have it, by their numbers."""
    rows = tx.execute("SELECT contact_id, value FROM contact_settings WHERE name = ?", (name,))
    return {row["contact_id"]: row["value"] for row in rows}


def receipts(tx: sqlite3.Connection, contact_id: int) -> bool:
    """Whether a contact is told that its messages arrived: as it is set for it, else for everybody, else yes."""
    own = all_of(tx, contact_id).get(Setting.RECEIPTS)
    return (receipts_of_all(tx) if own is None else own) != OFF


def receipts_of_all(tx: sqlite3.Connection) -> str:
    """``on`` or ``off``: what holds for contacts for which nothing else is set."""
    return settings.in_force(tx, Setting.RECEIPTS) or ON


def muted(tx: sqlite3.Connection, now: float) -> dict[int, float]:
    """Contacts for which nothing rings now, by their numbers: until when, in POSIX seconds; `FOR_EVER`."""
    found = {number: float(value) for number, value in by_contact(tx, Setting.MUTE).items()}
    return {number: until for number, until in found.items() if until > now}


def save_mute(tx: sqlite3.Connection, contact_id: int, until: float | None) -> None:
    """Nothing rings for the contact until then; None: it rings."""
    save(tx, contact_id, Setting.MUTE, None if until is None else str(until))


def save_receipts(tx: sqlite3.Connection, contact_id: int | None, on: bool | None) -> None:
    """Of one contact, or of everybody; None: as it is for everybody, or at first."""
    value = None if on is None else ON if on else OFF
    if contact_id is not None:
        save(tx, contact_id, Setting.RECEIPTS, value)
    elif value is None:
        settings.delete_setting(tx, Setting.RECEIPTS)
    else:
        settings.save_setting(tx, Setting.RECEIPTS, value)


def save(tx: sqlite3.Connection, contact_id: int, name: str, value: str | None) -> None:
    """Insert or replace a setting; None: as it is for everybody."""
    if value is None:
        tx.execute("DELETE FROM contact_settings WHERE contact_id = ? AND name = ?", (contact_id, name))
    else:
        tx.execute("INSERT OR REPLACE INTO contact_settings VALUES (?, ?, ?)", (contact_id, name, value))
