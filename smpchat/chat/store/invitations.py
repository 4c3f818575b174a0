"""Unanswered invitations, with the alias that the user has noted for the person who answers."""

from __future__ import annotations

import sqlite3


def insert(tx: sqlite3.Connection, connection_id: int, note: str | None) -> None:
    """Saves a new invitation, with the alias that its contact will get."""
    tx.execute("INSERT INTO invitations VALUES (?, ?)", (connection_id, note))


def notes(tx: sqlite3.Connection) -> dict[int, str | None]:
    """The connection of each unanswered invitation, with the noted alias; None if the user has noted none."""
    return {row["connection_id"]: row["note"] for row in tx.execute("SELECT * FROM invitations ORDER BY connection_id")}


def delete(tx: sqlite3.Connection, connection_id: int) -> None:
    """Deletes an invitation that was answered or cancelled."""
    tx.execute("DELETE FROM invitations WHERE connection_id = ?", (connection_id,))
