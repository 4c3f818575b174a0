"""Who is listed, in which order, and what is said of a name that is not there; what `--version` prints."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest

import smpchat as package
from smpchat.chat.errors import AmbiguousContact
from smpchat.chat.store.records import Direction, insert_message
from smpchat.cli.schema import problems
from tests.cli.terminal import START, Terminal


@pytest.fixture
def many(smpchat: Terminal) -> Iterator[Terminal]:
    """Alice with contacts bob10, bob2 and carol, who wrote in that order, and dave, who has not."""
    with smpchat.service("alice") as service:
        for alias in ("dave12", "bob10", "dave3", "bob2", "carol"):
            service.connect(smpchat.invite("maker"), alias, [])
        with service.database.transaction() as tx:
            for alias in ("bob10", "bob2", "carol"):
                contact = service.contact(alias).contact
                number = insert_message(tx, contact.id, Direction.RECEIVED, "hello", START, alias)
                tx.execute("UPDATE messages SET shown = ? WHERE id = ?", (alias == "carol", number))
    yield smpchat


def aliases(smpchat: Terminal, *options: str) -> list[str]:
    return [contact["alias"] for contact in smpchat("--json", "-p", "alice", "contacts", *options).objects("contact")]


def test_the_latest_conversation_is_first_and_numbers_are_in_their_order(many: Terminal) -> None:
    assert aliases(many) == ["carol", "bob2", "bob10", "dave3", "dave12"]
    shown = many("-p", "alice", "contacts", tty=True).stdout
    assert [shown.index(alias) for alias in aliases(many)] == sorted(shown.index(alias) for alias in aliases(many))


def test_only_those_with_something_unread(many: Terminal) -> None:
    assert aliases(many, "--unread") == ["bob2", "bob10"]
    with many.service("alice") as service:
        for message in service.unshown_messages():
            service.mark_shown(message.id)
    assert aliases(many, "--unread") == []
    assert many("-p", "alice", "contacts", "--unread", tty=True).stderr == "No unread messages.\n"


@pytest.mark.parametrize("command", [["send", "bbo2", "x"], ["history", "bbo2"], ["delete", "bbo2", "--yes"]])
def test_who_may_be_meant_is_said(many: Terminal, command: list[str]) -> None:
    result = many("-p", "alice", *command)
    assert result.code == 1 and "Did you mean 'bob2'" in result.stderr


@pytest.mark.parametrize("command", ["status", "history", "verify", "contact show", "rename"])
def test_an_at_sign_and_capitals_do_not_matter(smpchat: Terminal, command: str) -> None:
    smpchat.connected()
    name = ["bobby"] if command == "rename" else []
    assert smpchat("-p", "alice", *command.split(), "@BOB", *name).code == 0


def test_nobody_is_deleted_who_may_not_be_meant(smpchat: Terminal) -> None:
    with smpchat.service("alice") as service:
        service.connect(smpchat.invite("maker"), "zoë", [])
        with service.database.transaction() as tx:  # as a version before made them
            tx.execute("INSERT INTO contacts (connection_id, alias, folded) VALUES (99, 'zoe\u0308', 'zoë')")
        with pytest.raises(AmbiguousContact):
            service.delete("ZOË")
    with smpchat.service("alice") as service, service.database.transaction() as tx:
        assert tx.execute("SELECT count(*) FROM contacts").fetchone()[0] == 2


def test_an_invitation_is_cancelled_by_its_note_however_it_is_typed(smpchat: Terminal) -> None:
    smpchat.invite("alice", "--note", "Zoë")
    assert smpchat("-p", "alice", "delete", "@zoe\u0308", "--yes").code == 0
    with smpchat.service("alice") as service:
        assert service.invitations() == []


def test_versions(smpchat: Terminal) -> None:
    lines = smpchat("--version").stdout.splitlines()
    assert lines[0] == f"smpchat {package.__version__}" and f"SQLite {sqlite3.sqlite_version}" in lines
    for command in (["--json", "--version"], ["--version", "--json"]):
        [found] = smpchat(*command).objects("version")
        assert problems(found) == [] and found["protocols"]["agent"]
    assert not (smpchat.home / "profiles").exists()
