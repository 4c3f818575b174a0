"""What the user has set for one contact alone, by name: what it allows them, and how this program treats them.

A setting that is not there is as it is for everybody. Names are those of `Feature` for what the contact may do, and of
`Setting`; each value is a text whose form its reader checks.
"""

from __future__ import annotations

import sqlite3
from enum import StrEnum


class Setting(StrEnum):
    """Settings of one contact beside the features."""

    TTL = "ttl"
    """Seconds after which messages disappear, as one of the two sides has set it last."""
    RECEIPTS = "receipts"
    """``on`` or ``off``: whether the contact is told that its messages arrived."""
    MUTE = "mute"
    """Until when nothing rings for this contact: POSIX seconds, or ``always``."""


def all_of(tx: sqlite3.Connection, contact_id: int) -> dict[str, str]:
    """The settings of a contact."""
    rows = tx.execute("SELECT name, value FROM contact_settings WHERE contact_id = ?", (contact_id,))
    return {row["name"]: row["value"] for row in rows}


def save(tx: sqlite3.Connection, contact_id: int, name: str, value: str | None) -> None:
    """Insert or replace a setting; None: as it is for everybody."""
    if value is None:
        tx.execute("DELETE FROM contact_settings WHERE contact_id = ? AND name = ?", (contact_id, name))
    else:
        tx.execute("INSERT OR REPLACE INTO contact_settings VALUES (?, ?, ?)", (contact_id, name, value))
