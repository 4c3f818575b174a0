"""Settings of one contact, by name: what the contact may do, and how smpchat treats the contact.

If a setting is missing, the contact is treated like all others. The name of a setting is a `Feature` (what the contact
may do) or a `Setting` (how smpchat treats the contact). The value of a setting is a text; the code that
reads the value must check whether it is valid.
"""

from __future__ import annotations

import sqlite3
from enum import StrEnum

from smpchat.chat.store import settings

ON, OFF = "on", "off"
FOR_EVER = float("inf")


class Setting(StrEnum):
    """The names of the settings that say how smpchat treats a contact."""

    TTL = "ttl"
    """Seconds after which messages disappear, as last set by the user or the contact."""
    RECEIPTS = "receipts"
    """``on`` or ``off``: whether the contact is told that its messages arrived. If a contact lacks this setting, the
    profile's setting of the same name counts."""
    MUTE = "mute"
    """The time until which the contact is muted: POSIX seconds, or ``inf``."""


def all_of(tx: sqlite3.Connection, contact_id: int) -> dict[str, str]:
    """The settings of a contact."""
    rows = tx.execute("SELECT name, value FROM contact_settings WHERE contact_id = ?", (contact_id,))
    return {row["name"]: row["value"] for row in rows}


def by_contact(tx: sqlite3.Connection, name: str) -> dict[int, str]:
    """The number of each contact that has this setting, with the setting's value."""
    rows = tx.execute("SELECT contact_id, value FROM contact_settings WHERE name = ?", (name,))
    return {row["contact_id"]: row["value"] for row in rows}


def receipts(tx: sqlite3.Connection, contact_id: int) -> bool:
    """Whether a contact is told that messages arrived: as set for this contact, otherwise as set for all, otherwise
    yes."""
    own = all_of(tx, contact_id).get(Setting.RECEIPTS)
    return (receipts_of_all(tx) if own is None else own) != OFF


def receipts_of_all(tx: sqlite3.Connection) -> str:
    """Whether contacts without a setting of their own are told that messages arrived: ``on`` or ``off``."""
    return settings.in_force(tx, Setting.RECEIPTS) or ON


def muted(tx: sqlite3.Connection, now: float) -> dict[int, float]:
    """The muted contacts by number, with the time until which each is muted, in POSIX seconds or `FOR_EVER`."""
    found = {number: float(value) for number, value in by_contact(tx, Setting.MUTE).items()}
    return {number: until for number, until in found.items() if until > now}


def save_mute(tx: sqlite3.Connection, contact_id: int, until: float | None) -> None:
    """Mutes the contact until the time ``until``; if ``until`` is None, the contact is no longer muted."""
    save(tx, contact_id, Setting.MUTE, None if until is None else str(until))


def save_receipts(tx: sqlite3.Connection, contact_id: int | None, on: bool | None) -> None:
    """Saves whether a contact is told that messages arrived. If ``contact_id`` is None, saves this for all contacts
    that have no setting of their own.

    If ``on`` is None, the setting is deleted. `receipts` says what counts for a contact without a setting.
    """
    value = None if on is None else ON if on else OFF
    if contact_id is not None:
        save(tx, contact_id, Setting.RECEIPTS, value)
    elif value is None:
        settings.delete_setting(tx, Setting.RECEIPTS)
    else:
        settings.save_setting(tx, Setting.RECEIPTS, value)


def save(tx: sqlite3.Connection, contact_id: int, name: str, value: str | None) -> None:
    """Inserts or replaces a setting of a contact. If ``value`` is None, deletes the setting, so that the contact is
    treated like all others."""
    if value is None:
        tx.execute("DELETE FROM contact_settings WHERE contact_id = ? AND name = ?", (contact_id, name))
    else:
        tx.execute("INSERT OR REPLACE INTO contact_settings VALUES (?, ?, ?)", (contact_id, name, value))
