"""Who is written to in `chat`: only the user changes that."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from smpchat.chat.errors import InputError, UnknownContact
from smpchat.cli.chat.conversation import choose
from tests.cli.chat.talk import Talk, hear
from tests.cli.terminal import FakeTerminal, Terminal


def test_an_incoming_message_is_shown_and_marked(people: Terminal, talk: Callable[..., Talk]) -> None:
    bob = talk("alice")
    hear(people, "alice", "hello bob")
    assert [line for line in bob.news() if "alice:" in line] == ["22:13  alice: hello bob"]
    assert not bob.service.unshown_messages()


def test_a_message_of_another_contact_is_only_counted(people: Terminal, talk: Callable[..., Talk]) -> None:
    bob = talk("alice")
    hear(people, "carol", "psst")
    assert not [line for line in bob.news() if "psst" in line]
    assert bob.who == "alice"
    assert "unread: carol 1 (Alt-A)" in bob.toolbar()
    assert [message.text for message in bob.service.unshown_messages()] == ["psst"]


def test_an_incoming_message_never_changes_who_is_written_to(people: Terminal, talk: Callable[..., Talk]) -> None:
    bob = talk("alice")
    hear(people, "carol", "write to me")
    bob.news()
    bob.enter("for alice only")
    assert [m.text for m in bob.service.history("alice", 1)] == ["for alice only"]


def test_next_goes_to_whoever_wrote(people: Terminal, talk: Callable[..., Talk]) -> None:
    bob = talk("alice")
    hear(people, "carol", "psst")
    bob.news()
    shown = bob.enter("/next")
    assert bob.who == "carol"
    assert shown[0] == "Now writing to carol."
    assert any("carol: psst" in line for line in shown)
    assert not bob.service.unshown_messages()
    assert bob.enter("/next") == ["No unread messages."]


def test_to_changes_who_is_written_to(talk: Callable[..., Talk]) -> None:
    bob = talk("alice")
    bob.enter("/to carol")
    assert bob.who == "carol"
    assert bob.conversation.prompt() == "carol> "
    assert bob.enter("/to nobody")[0].startswith("! There is no contact 'nobody'. /contacts")
    assert bob.who == "carol"


def test_one_message_to_another_contact(talk: Callable[..., Talk]) -> None:
    bob = talk("alice")
    assert bob.enter("@carol only for you") == ["to carol: pending"]
    assert bob.who == "alice"
    assert [m.text for m in bob.service.history("carol")] == ["only for you"]
    assert not bob.tail()
    assert bob.enter("@carol")[0].startswith("! The text is missing.")


def test_a_rename_elsewhere_keeps_the_conversation(people: Terminal, talk: Callable[..., Talk]) -> None:
    bob = talk("alice")
    people("-p", "bob", "rename", "alice", "ally")
    bob.news()
    assert bob.who == "ally"
    bob.enter("still you")
    assert [m.text for m in bob.service.history("ally", 1)] == ["still you"]


def test_a_contact_deleted_elsewhere_ends_the_writing(people: Terminal, talk: Callable[..., Talk]) -> None:
    bob = talk("alice")
    people("-p", "bob", "delete", "alice")
    assert bob.enter("anybody?")[0].startswith("! No contact is chosen.")
    assert bob.toolbar().startswith("no contacts yet")


def test_the_first_contact_is_whoever_is_unread_else_who_spoke_last(
    people: Terminal, talk: Callable[..., Talk]
) -> None:
    with people.service("bob") as service:
        service.send("carol", "hi")
        assert choose(service, None) == service.contact("carol").contact.id
    hear(people, "alice", "hello")
    with people.service("bob") as service:
        assert choose(service, None) == service.contact("alice").contact.id


def test_nobody_to_write_to(smpchat: Terminal) -> None:
    with smpchat.service("bob") as service:
        with pytest.raises(InputError, match="No contacts yet"):
            choose(service, None)
        with pytest.raises(UnknownContact):
            choose(service, "alice")
    smpchat.invite("bob", "--note", "alice")
    with smpchat.service("bob") as service:
        assert choose(service, None) is None
        with pytest.raises(InputError, match="Nobody has used your invitation for 'alice' yet"):
            choose(service, "alice")


def test_who_answers_an_invitation_is_not_written_to_by_itself(
    smpchat: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", FakeTerminal())
    link = smpchat.invite("bob")
    with smpchat.service("bob") as service:
        bob = Talk(smpchat, service, None)
        assert bob.news()[0].startswith("No contacts yet")
        smpchat("-p", "alice", "connect", link, "--alias", "bob", "-m", "hi")
        smpchat("-p", "bob", "invite", "--no-wait")  # online for a moment
        shown = bob.news()
        assert "* alice is connected. Type /to alice to write to them." in shown
        assert bob.enter("hello?") == ["! No contact is chosen. Choose a contact with /to WHO."]
        bob.enter("/to alice")
        bob.enter("hello!")
        assert [m.text for m in service.history("alice")] == ["hi", "hello!"]
