from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from smpchat.agent.store.database import Database
from smpchat.agent.store.schema import AGENT_MIGRATIONS
from smpchat.chat.service.connecting import ChatService
from smpchat.chat.service.reading import DATABASE_NAME
from smpchat.chat.store.schema import CHAT_MIGRATIONS
from smpchat.chat.transactions import changes
from tests.tables import LAYERS, texts

_CHANGES_ANEW = 7
"""The version that made their table again."""


@pytest.mark.parametrize("version", range(1, len(CHAT_MIGRATIONS) + 1))
def test_a_profile_of_every_earlier_version_is_read_as_it_was(tmp_path: Path, version: int) -> None:
    old = Database(tmp_path / DATABASE_NAME, {"agent": AGENT_MIGRATIONS, "chat": CHAT_MIGRATIONS[:version]})
    with old.transaction() as tx:
        tx.execute("INSERT INTO contacts (connection_id, alias) VALUES (7, 'bob')")
        tx.execute(
            "INSERT INTO messages (contact_id, direction, text, sent_at, status, shared_id, shown)"
            " VALUES (1, 'received', 'hello', 1.5, 'received', 'b25l', 0)"
        )
        if 1 < version < _CHANGES_ANEW:
            tx.execute("INSERT INTO changes (id, message_id, status) VALUES (41, 1, 'pending')")
            tx.execute("DELETE FROM changes")
            tx.execute("INSERT INTO changes (id, message_id, status) VALUES (40, 1, 'pending')")
    old.close()
    service = ChatService(tmp_path, "alice")
    with service.database.transaction() as tx:
        change = changes.insert_sent(tx, 1, 1)
    if 1 < version < _CHANGES_ANEW:  # the agent knows changes by their numbers: none is used twice
        kept = service.change(40)
        assert change.id == 42 and kept is not None and kept.message_id == 1
    [message] = service.unshown_messages()
    assert (message.contact, message.text, message.shared_id) == ("bob", "hello", "b25l")
    assert (message.edited, message.deleted, message.live, message.reactions, message.reply_to) == (
        False,
        False,
        False,
        (),
        None,
    )
    assert (message.ttl, message.expires_at) == (None, None)
    assert service.unshown_changes() == []
    service.close()


def test_a_new_profile_gets_what_the_migrations_lead_to() -> None:
    assert {layer: migrations.tables.read_text(encoding="utf-8") for layer, migrations in LAYERS.items()} == texts(), (
        "run: python -m tests.tables"
    )


def test_a_new_file_is_of_the_newest_version(tmp_path: Path) -> None:
    def content(path: Path, migrated: bool) -> list[tuple[object, ...]]:
        components = {name: tuple(scripts) if migrated else scripts for name, scripts in LAYERS.items()}
        with closing(Database(path, components)) as database:
            queries = (
                "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY name",
                "SELECT * FROM schema_versions",
            )
            return [tuple(row) for query in queries for row in database.read(query)]

    assert content(tmp_path / "new.db", migrated=False) == content(tmp_path / "old.db", migrated=True)
