"""Notices: lines in a conversation that say what has happened with the contact. Each notice is stored, shown once, and
appears in the history.

Notices come from smpchat itself, not from the contact, so they are not messages.
"""

from __future__ import annotations

import shlex
import sqlite3

from smpchat.encoding.record import Record, field

KEPT = 200
"""The most notices of one kind that are kept in a conversation. Each kind has a limit of its own, because a contact can
cause any number of notices of one kind, and these must not displace notices of other kinds."""
_NOBODY = "your contact"


class StoredNotice(Record):
    """One notice. ``at``: when it was added, in POSIX seconds; ``shown``: whether it was shown to the user."""

    id: int
    contact: str
    kind: str
    text: str = field(repr=False)
    at: float
    shown: bool


def addressed(sentence: str, alias: str | None) -> str:
    """Fills in the placeholders of a sentence: ``{alias}`` is replaced by the contact's alias, and ``{who}`` by the
    alias as the user must type it in a command."""
    who = shlex.quote(alias) if alias else "WHO"
    said = sentence.replace("{alias}", alias or _NOBODY).replace("{who}", who)
    return said if alias or not sentence.startswith("{alias}") else said[:1].upper() + said[1:]


def add(tx: sqlite3.Connection, contact_id: int, kind: str, sentence: str, at: float) -> int:
    """Adds a notice, and returns its id. The placeholder ``{alias}`` stays in the stored sentence: it is replaced each
    time the notice is shown, because the alias may change."""
    query = "INSERT INTO notices (contact_id, kind, text, at) VALUES (?, ?, ?, ?)"
    number = tx.execute(query, (contact_id, kind, sentence, at)).lastrowid
    assert number is not None
    tx.execute(
        "DELETE FROM notices WHERE contact_id = :contact AND kind = :kind AND id <="
        " (SELECT id FROM notices WHERE contact_id = :contact AND kind = :kind ORDER BY id DESC LIMIT 1 OFFSET :kept)",
        {"contact": contact_id, "kind": kind, "kept": KEPT},
    )
    return number


_NOTICES = "SELECT notices.*, contacts.alias FROM notices JOIN contacts ON contacts.id = notices.contact_id "


def _notice(row: sqlite3.Row) -> StoredNotice:
    alias = row["alias"]
    text = addressed(row["text"], alias)
    return StoredNotice(row["id"], alias, row["kind"], text, row["at"], bool(row["shown"]))


def of_contact(tx: sqlite3.Connection, contact_id: int, since: float = 0) -> list[StoredNotice]:
    """The notices of a conversation since the given time, in POSIX seconds, oldest first."""
    query = _NOTICES + "WHERE contact_id = ? AND at >= ? ORDER BY notices.id"
    return [_notice(row) for row in tx.execute(query, (contact_id, since))]


def lately(tx: sqlite3.Connection, contact_id: int, sentence: str, since: float) -> int:
    """How many notices with this sentence were added since the given time, in POSIX seconds."""
    query = "SELECT count(*) FROM notices WHERE contact_id = ? AND text = ? AND at >= ?"
    return int(tx.execute(query, (contact_id, sentence, since)).fetchone()[0])


def to_show(tx: sqlite3.Connection) -> list[StoredNotice]:
    """The notices that were not shown yet, oldest first."""
    return [_notice(row) for row in tx.execute(_NOTICES + "WHERE shown = 0 ORDER BY notices.id")]


def mark_shown(tx: sqlite3.Connection, number: int) -> None:
    """Stores that a notice was shown."""
    tx.execute("UPDATE notices SET shown = 1 WHERE id = ?", (number,))
