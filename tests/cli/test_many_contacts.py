"""A profile with many contacts: what is told of each must not keep a message from being shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from smpchat.agent.store.database import Database
from smpchat.chat.store import records
from tests.cli.terminal import Terminal

PEOPLE = ("bob", "carol", "dave", "eve")


def test_new_contacts_are_marked_as_shown_all_at_once(smpchat: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """115 s passed once before a message was shown: each of 500 new contacts waited for the disk by itself."""
    for name in PEOPLE:
        smpchat.connected("alice", name)
    with smpchat.service("alice") as service, service.database.transaction() as tx:
        tx.execute("UPDATE contacts SET profile_shown = 0")
    marked: list[Any] = []
    mark = records.mark_profile_shown

    def noted(tx: Any, contact_id: int) -> None:
        marked.append(current[-1])
        mark(tx, contact_id)

    current: list[object] = []
    transaction: Callable[[Database], Any] = Database.transaction

    @contextmanager
    def counted(self: Database) -> Iterator[Any]:
        with transaction(self) as tx:
            current.append(object())
            yield tx

    monkeypatch.setattr(Database, "transaction", counted)
    monkeypatch.setattr(records, "mark_profile_shown", noted)
    result = smpchat("-p", "alice", "listen", "--timeout", "1")
    assert [line.split(":")[0] for line in result.stdout.splitlines()] == list(PEOPLE)
    assert len(marked) == len(PEOPLE) and len(set(marked)) == 1


def test_one_contact_is_looked_up_alone(smpchat: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asked for each of 500 built 250,000 views."""
    for name in PEOPLE:
        smpchat.connected("alice", name)
    with smpchat.service("alice") as service:
        everybody = {view.alias: view for view in service.contacts()}
        monkeypatch.setattr(records, "contacts", lambda _: pytest.fail("all were loaded"))
        assert {name: service.contact(name) for name in PEOPLE} == everybody
