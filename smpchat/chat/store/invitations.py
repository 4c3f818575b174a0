"""Unanswered invitations, with the alias that the user has noted for the person who answers."""

from __future__ import annotations

import sqlite3


def insert(tx: sqlite3.Connection, connection_id: int, note: str | None) -> None:
    """Saves a new invitation. ``note``: the alias for the person who answers; None if the user has noted no alias."""
    tx.execute("INSERT INTO invitations VALUES (?, ?)", (connection_id, note))


def notes(tx: sqlite3.Connection) -> dict[int, str | None]:
    """For the connection of each unanswered invitation: the alias that the user has noted for the person who answers;
    None if the user has noted no alias."""
    return {row["connection_id"]: row["note"] for row in tx.execute("SELECT * FROM invitations ORDER BY connection_id")}


def delete(tx: sqlite3.Connection, connection_id: int) -> None:
    """Deletes an invitation that was answered or cancelled."""
    tx.execute("DELETE FROM invitations WHERE connection_id = ?", (connection_id,))
