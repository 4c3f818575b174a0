"""A conversation that is open in two terminals, and what happens elsewhere: each shows everything, and once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from smpchat.chat.store import events
from smpchat.chat.store.feed import publish
from smpchat.chat.store.records import Direction, insert_message
from tests.cli.chat.talk import Talk, hear
from tests.cli.terminal import Terminal


def said(lines: list[str], text: str) -> list[str]:
    """The lines that contain it."""
    return [line for line in lines if text in line]


def arrive(bob: Talk, who: str, text: str) -> None:
    """A message of a contact is stored, as the process does that is online."""
    with bob.service.database.transaction() as tx:
        contact = bob.service.contact(who).contact
        number = insert_message(tx, contact.id, Direction.RECEIVED, text, bob.environment.now(), None)
        publish(tx, events.MessageAdded(number))


def test_two_chats_show_what_arrives_whoever_is_first(people: Terminal, talk: Callable[..., Talk]) -> None:
    one, two = talk("alice"), talk("alice")
    for number, (first, second) in enumerate(((one, two), (two, one), (one, two))):
        hear(people, "alice", f"hello {number}")
        assert len(said(first.news(), f"alice: hello {number}")) == 1
        assert len(said(second.news(), f"alice: hello {number}")) == 1
    assert not said(one.news() + two.news(), "hello")


def test_a_chat_shows_what_another_terminal_writes_with_its_ticks(people: Terminal, talk: Callable[..., Talk]) -> None:
    bob = talk("alice")
    people("-p", "bob", "send", "alice", "from a script")
    bob.news()
    assert said(bob.tail(), "you: from a script")
    assert people("-p", "alice", "listen", "--timeout", "2").code == 0
    people("-p", "bob", "listen", "--timeout", "2")
    [line] = said(bob.news(), "you: from a script")
    assert line.endswith("✓✓")
    assert not bob.tail()


def test_what_is_typed_here_stands_here_once_and_in_the_other_chat_too(talk: Callable[..., Talk]) -> None:
    one, two = talk("alice", plain=True), talk("alice", plain=True)
    assert len(said(one.enter("typed"), "you: typed")) == 1
    assert len(said(two.news(), "you: typed")) == 1
    assert not said(one.news() + two.news(), "typed")


def test_a_message_to_somebody_else_is_not_shown(people: Terminal, talk: Callable[..., Talk]) -> None:
    bob = talk("alice")
    people("-p", "bob", "send", "carol", "for carol")
    assert not said(bob.news() + bob.tail(), "for carol")


def test_own_changes_of_another_terminal_are_shown_and_those_of_this_one_once(
    people: Terminal, talk: Callable[..., Talk]
) -> None:
    one, two = talk("alice", plain=True), talk("alice", plain=True)
    hear(people, "alice", "look")
    one.enter("frist")
    two.news()
    number = one.service.history("alice", 1)[0].id
    heard = next(m.id for m in one.service.history("alice") if m.text == "look")
    for line, shown, told in (
        (f"/edit {number} first", "you: first\n           | (edited)", f"edited message {number}"),
        (f"/react {heard} 👍", "alice: look\n           | (👍 you)", f"reacted 👍 to message {heard}"),
        (f"/react {heard} -👍", "alice: look", f"removed a reaction from message {heard}"),
        (f"/delete {number}", "you * [deleted]", f"deleted message {number}"),
    ):
        assert "\n".join(one.enter(line)).count(shown) == 1, line
        there = two.news()
        assert "\n".join(there).count(shown) == 1, there
        assert said(there, f"* You {told}:")
    assert not one.news() + two.news()


def test_changes_of_the_contact_are_shown_in_both(people: Terminal, talk: Callable[..., Talk]) -> None:
    one, two = talk("alice"), talk("alice")
    hear(people, "alice", "frist")
    for bob in (one, two):
        bob.news()
    with people.service("alice") as alice:
        number = next(m.id for m in alice.history("bob") if m.text == "frist")
    assert people("-p", "alice", "edit", str(number), "first").code == 0
    people("-p", "bob", "send", "carol", "(online)", "--wait", "delivered", "--timeout", "2")
    for bob in (two, one):
        shown = bob.news()
        assert said(shown, "* alice edited message")
        assert "\n".join(shown).count("alice: first\n           │ (edited)") == 1
        assert not bob.news()


def test_a_listen_beside_prints_what_chat_has_shown_first(people: Terminal, talk: Callable[..., Talk]) -> None:
    bob = talk("alice")

    async def chat_is_faster() -> None:
        await asyncio.sleep(1)
        for number in range(3):
            arrive(bob, "alice", f"quick {number}")
            bob.arrivals.follow()
            assert not bob.service.unshown_messages()
            await asyncio.sleep(0.5)

    result = people("--json", "-p", "bob", "listen", "--count", "3", "--timeout", "9", meanwhile=chat_is_faster)
    assert result.code == 0
    assert [message["text"] for message in result.objects("message")] == [f"quick {number}" for number in range(3)]
    assert len(said(bob.news(), "quick")) == 3
    assert people("--json", "-p", "bob", "listen", "--timeout", "1").objects("message") == []


def test_a_chat_shows_what_listen_has_printed_first(people: Terminal, talk: Callable[..., Talk]) -> None:
    bob = talk("alice")
    assert people("-p", "alice", "send", "bob", "hello").code == 0
    assert "hello" in people("-p", "bob", "listen", "--timeout", "2").stdout
    assert len(said(bob.news(), "alice: hello")) == 1
    assert not bob.news()


def test_another_conversation_counts_only_what_nobody_was_shown(people: Terminal, talk: Callable[..., Talk]) -> None:
    bob = talk("alice")
    hear(people, "carol", "psst")
    assert not said(bob.news(), "psst")
    assert "unread: carol 1" in bob.toolbar()
