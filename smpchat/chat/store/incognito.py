"""Contacts that know us by a made-up name. It is stored for the connection before anyone is told anything.

Such a contact is told only this name and what we allow, and nothing else of our profile, even if it changes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from smpchat.chat.wire.made_up import made_up_name
from smpchat.chat.wire.profile import Profile


def make(tx: sqlite3.Connection, connection_id: int, random: Callable[[int], bytes]) -> str:
    """Choose the made-up name for a connection; if it already has one, that is kept."""
    known = name(tx, connection_id)
    if known is not None:
        return known
    made = made_up_name(random)
    tx.execute("INSERT INTO incognito VALUES (?, ?)", (connection_id, made))
    return made


def name(tx: sqlite3.Connection, connection_id: int) -> str | None:
    """The name by which a connection's contact knows us, if it is a made-up one."""
    row = tx.execute("SELECT name FROM incognito WHERE connection_id = ?", (connection_id,)).fetchone()
    return row["name"] if row else None


def name_of_contact(tx: sqlite3.Connection, contact_id: int) -> str | None:
    """The same of a contact."""
    query = "SELECT name FROM incognito JOIN contacts USING (connection_id) WHERE contacts.id = ?"
    row = tx.execute(query, (contact_id,)).fetchone()
    return row["name"] if row else None


def names(tx: sqlite3.Connection) -> dict[int, str]:
    """All made-up names, by connection; those in groups by the number of the group, below 0."""
    rows = tx.execute(
        "SELECT connection_id, name FROM incognito UNION ALL"
        " SELECT -id, incognito FROM groups WHERE incognito IS NOT NULL"
    )
    return {row[0]: row[1] for row in rows}


def profile_for(tx: sqlite3.Connection, own: Profile, connection_id: int) -> Profile:
    """Our profile; or instead of it, the made-up name and what we allow."""
    made = name(tx, connection_id)
    return own if made is None else Profile(made, preferences=own.preferences)
