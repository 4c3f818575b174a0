"""Made-up names by which some contacts know us. A made-up name is stored before anything is sent to the contact.

A contact who knows us by a made-up name gets only this name and our preferences, and nothing else from our profile.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from smpchat.chat.wire.made_up import made_up_name
from smpchat.chat.wire.profile import Profile


def make(tx: sqlite3.Connection, connection_id: int, random: Callable[[int], bytes]) -> str:
    """Chooses a made-up name for a connection, unless it already has one. Returns the name."""
    known = name(tx, connection_id)
    if known is not None:
        return known
    made = made_up_name(random)
    tx.execute("INSERT INTO incognito VALUES (?, ?)", (connection_id, made))
    return made


def name(tx: sqlite3.Connection, connection_id: int) -> str | None:
    """The made-up name by which a connection's contact knows us; None if the contact knows our profile."""
    row = tx.execute("SELECT name FROM incognito WHERE connection_id = ?", (connection_id,)).fetchone()
    return row["name"] if row else None


def name_of_contact(tx: sqlite3.Connection, contact_id: int) -> str | None:
    """The made-up name by which a contact knows us; None if the contact knows our profile."""
    query = "SELECT name FROM incognito JOIN contacts USING (connection_id) WHERE contacts.id = ?"
    row = tx.execute(query, (contact_id,)).fetchone()
    return row["name"] if row else None


def names(tx: sqlite3.Connection) -> dict[int, str]:
    """All our made-up names, as a dict. The key of a name is the id of the contact's connection or, if we use the name
    in a group, the negative number of the group."""
    rows = tx.execute(
        "SELECT connection_id, name FROM incognito UNION ALL"
        " SELECT -id, incognito FROM groups WHERE incognito IS NOT NULL"
    )
    return {row[0]: row[1] for row in rows}


def profile_for(tx: sqlite3.Connection, own: Profile, connection_id: int) -> Profile:
    """The profile to send over a connection: our own, or one with only the made-up name and our preferences."""
    made = name(tx, connection_id)
    return own if made is None else Profile(made, preferences=own.preferences)
