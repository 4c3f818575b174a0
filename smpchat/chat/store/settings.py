"""Loads and saves the settings of a profile and its configured relays, as rows of the database."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from smpchat.encoding.record import Record

_DEFAULT = "default."
"""The values last read from the config files are stored under the names of their settings, with this prefix in front.
Such a value is used only if the user has not chosen another value for this profile."""
SERVERS = "servers"
"""Name of a setting that exists if the user has chosen relays for this profile. The relays are in a table of their
own."""
FILE_SERVERS = "file_servers"
"""Name of a setting that exists if the user has chosen file relays for this profile."""
FILES_FOLDER, FILES_AUTO = "files_folder", "files_auto"
"""Names of two settings: the folder in which received files are saved, and which files are received automatically."""


class ServerRow(Record):
    """A configured relay as it is stored; see `smpchat.chat.store.servers`."""

    address: str
    preferred: bool
    transport: str
    ws_port: int


def servers(tx: sqlite3.Connection) -> list[ServerRow]:
    """Configured relays, in the order they were added."""
    return [
        ServerRow(row["address"], bool(row["preferred"]), row["transport"], row["ws_port"])
        for row in tx.execute("SELECT * FROM servers ORDER BY id")
    ]


def add_server(tx: sqlite3.Connection, address: str, *, preferred: bool) -> None:
    """Add a relay, or change whether it is used for new queues."""
    tx.execute(
        "INSERT INTO servers (address, preferred) VALUES (?, ?)"
        " ON CONFLICT (address) DO UPDATE SET preferred = excluded.preferred",
        (address, preferred),
    )


def set_route(tx: sqlite3.Connection, address: str, transport: str | None, ws_port: int | None) -> None:
    """Changes how a relay is reached: by which transport, and at which WebSocket port. If one of the two is None, it
    does not change."""
    tx.execute(
        "UPDATE servers SET transport = coalesce(?, transport), ws_port = coalesce(?, ws_port) WHERE address = ?",
        (transport, ws_port, address),
    )


def remove_server(tx: sqlite3.Connection, address: str) -> bool:
    """Remove a relay; False if it was not configured."""
    return tx.execute("DELETE FROM servers WHERE address = ?", (address,)).rowcount > 0


def prefer_no_server(tx: sqlite3.Connection) -> None:
    """Marks all configured relays as not used for new queues."""
    tx.execute("UPDATE servers SET preferred = 0")


def file_servers(tx: sqlite3.Connection) -> list[tuple[str, bool]]:
    """Configured file relays, in the order they were added: the address, and whether files are uploaded there."""
    rows = tx.execute("SELECT address, preferred FROM file_servers ORDER BY id")
    return [(row["address"], bool(row["preferred"])) for row in rows]


def add_file_server(tx: sqlite3.Connection, address: str) -> None:
    """Adds a file relay, or marks a known one as used for uploads."""
    tx.execute(
        "INSERT INTO file_servers (address, preferred) VALUES (?, 1) ON CONFLICT (address) DO UPDATE SET preferred = 1",
        (address,),
    )


def remove_file_server(tx: sqlite3.Connection, address: str) -> bool:
    """Remove a file relay; False if it was not configured."""
    return tx.execute("DELETE FROM file_servers WHERE address = ?", (address,)).rowcount > 0


def prefer_no_file_server(tx: sqlite3.Connection) -> None:
    """Marks all configured file relays as not used for uploads."""
    tx.execute("UPDATE file_servers SET preferred = 0")


def setting(tx: sqlite3.Connection, name: str) -> str | None:
    """The value that a setting has in the profile itself; None if it is not set there."""
    row = tx.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
    return row["value"] if row else None


def save_setting(tx: sqlite3.Connection, name: str, value: str) -> None:
    """Insert or replace a setting."""
    tx.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (name, value))


def delete_setting(tx: sqlite3.Connection, name: str) -> None:
    """Forget a setting."""
    tx.execute("DELETE FROM settings WHERE name = ?", (name,))


def in_force(tx: sqlite3.Connection, name: str) -> str | None:
    """The value that is in effect for a setting: the profile's own value, otherwise the one from the config files; None
    if there is neither."""
    own = setting(tx, name)
    return default(tx, name) if own is None else own


def default(tx: sqlite3.Connection, name: str) -> str | None:
    """The value that a setting had in the config files when they were last read; None if it was not set there."""
    return setting(tx, _DEFAULT + name)


def defaults(tx: sqlite3.Connection) -> dict[str, str]:
    """The settings that the config files had when they were last read: each name with its value."""
    rows = tx.execute("SELECT name, value FROM settings WHERE name >= ? AND name < ?", (_DEFAULT, _DEFAULT + "\x7f"))
    return {row["name"].removeprefix(_DEFAULT): row["value"] for row in rows}


def save_defaults(tx: sqlite3.Connection, values: Mapping[str, str]) -> None:
    """Replaces the stored copy of the config files' settings by ``values``. The profile's online process uses the new
    values at once."""
    for name in defaults(tx).keys() - values.keys():
        delete_setting(tx, _DEFAULT + name)
    for name, value in values.items():
        save_setting(tx, _DEFAULT + name, value)
