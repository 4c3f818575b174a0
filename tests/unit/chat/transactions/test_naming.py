# ruff: noqa: RUF001 - letters that look alike are what this is about
"""Which alias a contact gets from its own name, and what is told of it: in the chat layer only."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from smpchat.chat.errors import AliasInUse, AmbiguousContact, InputError, UnknownContact
from smpchat.chat.service.connecting import ChatService
from smpchat.chat.store import invitations, records
from smpchat.chat.store.records import Contact
from smpchat.chat.transactions import naming
from smpchat.chat.transactions.incoming import ChatApplication
from smpchat.chat.wire.alias import looks
from smpchat.chat.wire.message import encode_profile
from smpchat.chat.wire.profile import Profile

CYRILLIC_BOB = "bоb"
NOW = 1_700_000_000.0


class Alice:
    def __init__(self, folder: Path) -> None:
        self.service = ChatService(folder, "alice", now=lambda: NOW)
        self._connections = iter(range(100, 200))

    def chosen(self, alias: str) -> Contact:
        """A contact that Alice named."""
        with self.service.database.transaction() as tx:
            records.insert_contact(tx, next(self._connections), alias)
            return records.contact(tx, alias)

    def joins(self, name: str, note: str | None = None) -> Contact:
        """Somebody uses an invitation, and says a name."""
        application = self.service.context.application
        assert isinstance(application, ChatApplication)
        with self.service.database.transaction() as tx:
            connection = next(self._connections)
            invitations.insert(tx, connection, note)
            application.peer_info_received(tx, connection, encode_profile(Profile(name)))
            found = records.contact_of(tx, connection)
        assert found is not None
        return found

    def says_name(self, contact: Contact, name: str) -> Contact:
        application = self.service.context.application
        assert isinstance(application, ChatApplication)
        with self.service.database.transaction() as tx:
            application.peer_info_received(tx, contact.connection_id, encode_profile(Profile(name)))
            return records.contact(tx, contact.alias)

    def told(self, contact: Contact) -> list[str]:
        return [notice.text for notice in self.service.notices(contact.alias)]


@pytest.fixture
def alice(tmp_path: Path) -> Iterator[Alice]:
    alice = Alice(tmp_path)
    yield alice
    alice.service.close()


@pytest.mark.parametrize(
    "name", ["bob", "BOB", CYRILLIC_BOB, "b0b", "ｂｏｂ", "bob\ufe0f", " bob", "@bob", "bob.", "~BOB ✓"]
)
def test_a_stranger_with_the_name_of_a_friend(alice: Alice, name: str) -> None:
    friend, other = alice.chosen("bob"), alice.chosen("carol")
    stranger = alice.joins(name)
    assert looks(stranger.alias).isdisjoint(looks("bob")) and stranger.self_named
    assert stranger.resembles == friend.id
    [told] = alice.told(stranger)
    assert "looks like your contact bob" in told and f"`smpchat verify {shlex.quote(stranger.alias)}`" in told
    assert alice.told(friend) == alice.told(other) == []
    assert not friend.self_named


def test_it_is_told_once(alice: Alice) -> None:
    alice.chosen("bob")
    stranger = alice.joins("bob")
    assert alice.says_name(stranger, "BOB").resembles is not None
    assert len(alice.told(stranger)) == 1


def test_a_contact_that_takes_the_name_of_another_later(alice: Alice) -> None:
    friend = alice.chosen("bob")
    stranger = alice.joins("mallory")
    assert stranger.self_named and stranger.resembles is None
    stranger = alice.says_name(stranger, CYRILLIC_BOB)
    assert (stranger.alias, stranger.resembles) == ("mallory", friend.id)
    assert "looks like your contact bob" in alice.told(stranger)[0]


def test_an_alias_of_the_users_own_needs_no_mark(alice: Alice) -> None:
    alice.chosen("bob")
    invited = alice.joins("bob", note="bob_at_work")
    assert (invited.alias, invited.confirmed, invited.resembles) == ("bob_at_work", True, None)
    assert alice.told(invited) == []


def test_nobody_takes_the_name_of_somebody_who_is_invited(alice: Alice) -> None:
    with alice.service.database.transaction() as tx:
        invitations.insert(tx, 1, "bob")
    assert alice.joins(CYRILLIC_BOB).alias == f"{CYRILLIC_BOB}_2"
    assert alice.joins("whoever", note="dave").alias == "dave"


def test_a_name_that_is_a_word_of_ours(alice: Alice) -> None:
    assert [alice.joins("you").alias, alice.joins("You").alias, alice.joins("you").alias] == ["you_2", "You_3", "you_4"]


def test_the_users_own_choice_must_not_look_like_another_contact(alice: Alice) -> None:
    alice.chosen("bob")
    with pytest.raises(AliasInUse, match="looks like your contact 'bob'"), alice.service.database.transaction() as tx:
        naming.check_unlike(tx, CYRILLIC_BOB)
    with pytest.raises(AliasInUse):
        alice.service.invite(CYRILLIC_BOB)
    with pytest.raises(AliasInUse):
        alice.service.invite("BOB")
    with pytest.raises(InputError, match="smpchat uses"):
        alice.service.invite("you")


@pytest.mark.parametrize("typed", ["Zoë", "zoe\u0308", "ZOË", "@zoë", "@ZOE\u0308"])
def test_an_alias_is_found_however_it_is_typed(alice: Alice, typed: str) -> None:
    alice.chosen("bob")
    zoe = alice.chosen("zoë")
    with alice.service.database.transaction() as tx:
        assert records.contact(tx, typed).id == zoe.id


def test_one_that_is_not_there_names_those_that_may_be_meant(alice: Alice) -> None:
    alice.chosen("alice")
    alice.chosen("bob")
    with pytest.raises(UnknownContact) as raised, alice.service.database.transaction() as tx:
        records.contact(tx, "@alcie")
    assert raised.value.hint.startswith("Did you mean 'alice'? ")


class TestOldProfile:
    """Contacts of a version that looked at no names."""

    def open(self, tmp_path: Path, *contacts: tuple[str, str | None]) -> Alice:
        alice = Alice(tmp_path)
        with alice.service.database.transaction() as tx:
            for number, (alias, name) in enumerate(contacts, 1):
                profile = Profile(name).to_json() if name else None
                tx.execute(
                    "INSERT INTO contacts (connection_id, alias, profile) VALUES (?, ?, ?)", (number, alias, profile)
                )
        alice.service.close()
        return Alice(tmp_path)

    def find(self, alice: Alice, number: int) -> Contact:
        found = alice.service.contact_of(number)
        assert found is not None
        return found

    def test_only_names_that_the_contact_chose_are_marked(self, tmp_path: Path) -> None:
        old = [("bob", "Bob"), ("carol_2", "carol"), ("dave", "David"), ("erin", None)]
        alice = self.open(tmp_path, *old)
        assert [self.find(alice, number).self_named for number in (1, 2, 3, 4)] == [True, True, False, False]
        alice.service.close()

    def test_a_reserved_alias_is_changed_once_and_told(self, tmp_path: Path) -> None:
        alice = self.open(tmp_path, ("you", "you"), ("bob", "bob"))
        you = self.find(alice, 1)
        assert (you.alias, you.self_named) == ("you_2", True)
        assert alice.told(you) == [
            "you_2 used to have the alias you, which is a word or number that smpchat itself uses."
        ]
        alice.service.close()
        alice = Alice(tmp_path)
        assert (self.find(alice, 1).alias, len(alice.told(you))) == ("you_2", 1)
        alice.service.close()

    def test_two_that_differ_in_form_alone_are_both_found(self, tmp_path: Path) -> None:
        alice = self.open(tmp_path, ("zoë", "x"), ("zoe\u0308", "y"))
        with alice.service.database.transaction() as tx:
            assert [records.contact(tx, "zoë").connection_id, records.contact(tx, "zoe\u0308").connection_id] == [1, 2]
            with pytest.raises(AmbiguousContact, match="'zoë' or 'zo"):
                records.contact(tx, "ZOË")
        alice.service.close()
