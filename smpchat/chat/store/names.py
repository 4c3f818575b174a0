"""Aliases of contacts: which ones look alike, and whether the user has confirmed them. The module also finds the last
message of each contact."""

from __future__ import annotations

import sqlite3

from smpchat.chat.store import records
from smpchat.chat.store.records import Contact
from smpchat.chat.wire.alias import fold


def rename(tx: sqlite3.Connection, contact_id: int, alias: str) -> None:
    """Gives a contact another alias. From then on, no name in a link or profile replaces the alias."""
    tx.execute(
        "UPDATE contacts SET alias = ?, folded = ?, looks = ?, provisional = 0 WHERE id = ?",
        (alias, fold(alias), records.joined_looks(alias), contact_id),
    )


def alias_looks(tx: sqlite3.Connection) -> list[tuple[int, str, frozenset[str]]]:
    """For every contact: its number, its alias, and the ``looks`` of the alias (the forms by which similar aliases are
    found)."""
    rows = tx.execute("SELECT id, alias, looks FROM contacts ORDER BY id")
    return [(row["id"], row["alias"], frozenset(row["looks"].split("\n"))) for row in rows]


def mark_resembling(tx: sqlite3.Connection, contact_id: int, other_id: int) -> None:
    """Stores that a contact chose a name which looks like the alias of another contact."""
    tx.execute("UPDATE contacts SET resembles = ? WHERE id = ?", (other_id, contact_id))


def has_unsettled(tx: sqlite3.Connection) -> bool:
    """Whether there are contacts that were stored before the columns ``folded`` and ``looks`` existed, and were not
    given to `settle` since."""
    return tx.execute("SELECT 1 FROM contacts WHERE folded IS NULL").fetchone() is not None


def unsettled(tx: sqlite3.Connection) -> list[Contact]:
    """The contacts that were stored before the columns ``folded`` and ``looks`` existed. Fills in the column ``looks``
    of these contacts; `settle` fills in ``folded``."""
    found = [records.contact_from(row) for row in tx.execute(records.CONTACTS + "WHERE folded IS NULL ORDER BY id")]
    for one in found:
        tx.execute("UPDATE contacts SET looks = ? WHERE id = ?", (records.joined_looks(one.alias), one.id))
    return found


def settle(tx: sqlite3.Connection, contact_id: int, alias: str) -> None:
    """Saves the alias of a contact that `unsettled` returned, and fills in the columns ``folded`` and ``looks``."""
    query = "UPDATE contacts SET alias = ?, folded = ?, looks = ? WHERE id = ?"
    tx.execute(query, (alias, fold(alias), records.joined_looks(alias), contact_id))


def confirm(tx: sqlite3.Connection, contact_id: int) -> None:
    """Stores that the user chose the alias of this contact, or compared the security code. From then on, smpchat does
    not warn that the alias may be a name that the contact chose."""
    tx.execute("UPDATE contacts SET confirmed = 1, resembles = NULL WHERE id = ?", (contact_id,))


def by_number(tx: sqlite3.Connection) -> dict[int, str]:
    """The alias of each contact; the keys are the numbers of the contacts."""
    return {row["id"]: row["alias"] for row in tx.execute("SELECT id, alias FROM contacts")}


def newest_messages(tx: sqlite3.Connection) -> dict[int, int]:
    """The number of the last message in each conversation; the keys are the numbers of the contacts."""
    rows = tx.execute("SELECT contact_id, max(id) FROM messages WHERE husk = 0 GROUP BY contact_id")
    return {row[0]: row[1] for row in rows}
