"""What a contact said, found again: by whom and under which id, or by what it tells of."""

from __future__ import annotations

import sqlite3

from smpchat.chat.store import records
from smpchat.chat.store.records import Direction, Message


def is_known(tx: sqlite3.Connection, contact_id: int, occasion: str) -> bool:
    """Whether a conversation has a line about this already."""
    row = tx.execute("SELECT 1 FROM messages WHERE contact_id = ? AND occasion = ?", (contact_id, occasion)).fetchone()
    return row is not None


def find_said(tx: sqlite3.Connection, contact_id: int, shared_id: str | None, sender: str | None) -> Message | None:
    """The newest message with this id that the contact wrote itself or, with ``sender``, passed on for a member.

    Each finds its own only: ids of others are known to all members, and nobody changes what another one said.
    """
    row = tx.execute(
        "SELECT id FROM messages WHERE contact_id = ? AND shared_id = ? AND direction = ? AND sender IS ?"
        " ORDER BY id DESC LIMIT 1",
        (contact_id, shared_id, Direction.RECEIVED, sender),
    ).fetchone()
    return records.message(tx, row["id"]) if row else None


def save_own_member(tx: sqlite3.Connection, contact_id: int, member: str | None) -> None:
    """The id that a business or group gave us among its members."""
    tx.execute("UPDATE contacts SET own_member = ? WHERE id = ?", (member, contact_id))


def own_member(tx: sqlite3.Connection, contact_id: int) -> str | None:
    """Our id among the members; None where the contact is one person."""
    row = tx.execute("SELECT own_member FROM contacts WHERE id = ?", (contact_id,)).fetchone()
    return row["own_member"] if row else None
