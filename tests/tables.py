"""Writes what the migrations of each layer lead to: ``python -m tests.tables``, after a migration was added."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from smpchat.agent.store.migrating import define_functions
from smpchat.agent.store.schema import AGENT_MIGRATIONS
from smpchat.chat.store.schema import CHAT_MIGRATIONS
from smpchat.storage.migrations import Migrations

LAYERS = {"agent": AGENT_MIGRATIONS, "chat": CHAT_MIGRATIONS}
_STATEMENTS = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite%'"


def texts() -> dict[str, str]:
    """What the file of each layer is to hold."""
    made: dict[str, str] = {}
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        define_functions(connection)
        known: set[str] = set()
        for layer, migrations in LAYERS.items():
            _run(connection, migrations)
            statements = [sql for (sql,) in connection.execute(_STATEMENTS) if sql not in known]
            known.update(statements)
            head = f"-- The tables of the {layer} layer as they are today. Made by python -m tests.tables\n"
            made[layer] = head + ";\n".join(statements) + "\n"
    return made


def _run(connection: sqlite3.Connection, migrations: Migrations) -> None:
    for script in migrations:
        for statement in script.split(";"):
            connection.execute(statement)
    names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    for name in names:
        rows = connection.execute(f"SELECT * FROM {name}").fetchall()  # names are our own
        assert not rows, f"a migration puts rows into {name}, which a new file would lack: {rows}"


if __name__ == "__main__":
    for layer, text in texts().items():
        LAYERS[layer].tables.write_text(text, encoding="utf-8")
