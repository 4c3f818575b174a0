"""The bell of `chat`: off at first, and once for a burst."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from smpchat.chat.store.events import MessageAdded
from smpchat.chat.store.feed import publish
from smpchat.chat.store.records import Direction, insert_message
from smpchat.cli.chat.screen import Screen as ChatScreen
from smpchat.cli.chat.title import Title
from smpchat.cli.environment import Environment
from smpchat.cli.notifying import Notifier, sequence
from smpchat.config import Configuration, Value
from smpchat.encoding.record import replace
from tests.cli.chat.talk import Talk, ask, hear
from tests.cli.terminal import Terminal


def test_the_bell_is_off_at_first_and_remembered(people: Terminal, talk: Callable[..., Talk]) -> None:
    bob = talk("alice")
    hear(people, "alice", "hello")
    bob.news()
    assert not bob.conversation.bell.take()
    assert bob.enter("/bell") == ["The bell is off."]
    assert bob.enter("/bell on") == ["The bell is on: it rings when someone writes."]
    assert talk("carol").enter("/bell") == ["The bell is on: it rings when someone writes."]
    assert bob.enter("/bell loud") == ["! 'loud' is not on or off. Type /bell on or /bell off."]
    bob.enter("/bell off")
    assert not bob.service.rings()


@pytest.mark.parametrize("sender", ["alice", "carol"])
def test_the_bell_rings_once_for_a_burst_of_whoever_writes(
    people: Terminal, talk: Callable[..., Talk], sender: str
) -> None:
    bob = talk("alice")
    bob.enter("/bell on")
    for number in range(3):
        people("-p", sender, "send", "bob", f"message {number}")
    hear(people, sender, "one more")
    bob.news()
    assert [bob.conversation.bell.take() for _ in range(3)] == [True, False, False]
    publish_message(bob, sender)
    bob.news()
    assert not bob.conversation.bell.take()  # too soon
    people.wait(5)
    publish_message(bob, sender)
    bob.news()
    assert bob.conversation.bell.take()


def publish_message(bob: Talk, sender: str) -> None:
    with bob.service.database.transaction() as tx:
        contact = bob.service.contact(sender).contact
        text = insert_message(tx, contact.id, Direction.RECEIVED, "text", bob.environment.now(), None)
        publish(tx, MessageAdded(text))


def test_what_we_write_ourselves_does_not_ring(people: Terminal, talk: Callable[..., Talk]) -> None:
    bob = talk("alice")
    bob.enter("/bell on")
    bob.enter("hello")
    people("-p", "bob", "send", "carol", "from another terminal")
    bob.news()
    assert not bob.conversation.bell.take()


def test_a_request_rings(people: Terminal, talk: Callable[..., Talk]) -> None:
    bob = talk("alice")
    bob.enter("/bell on")
    ask(people, "Dave")
    bob.news()
    assert bob.conversation.bell.take()


def test_the_terminal_gets_the_bell(people: Terminal, talk: Callable[..., Talk]) -> None:
    bob = talk("alice")
    bob.enter("/bell on")

    async def run() -> None:
        rang = asyncio.Event()

        class Bell(DummyOutput):
            def bell(self) -> None:
                rang.set()

        with create_pipe_input() as source:
            running = asyncio.create_task(
                ChatScreen(bob.environment, bob.conversation, source=source, sink=Bell()).run()
            )
            publish_message(bob, "alice")
            await asyncio.wait_for(rang.wait(), 30)
            source.send_text("/quit\r")
            await running

    asyncio.run(run())


def test_the_desktop_is_told_of_what_others_write(people: Terminal, talk: Callable[..., Talk]) -> None:
    bob = talk("alice")
    config = Configuration({"notifications": Value("osc9")})
    bob.conversation.notifier = Notifier(replace(bob.environment, config=config), rings=False)
    told: list[str] = []
    with bob.service.database.transaction() as tx:
        contact = bob.service.contact("carol").contact
        for direction in (Direction.RECEIVED, Direction.SENT):
            publish(tx, MessageAdded(insert_message(tx, contact.id, direction, "text", bob.environment.now(), None)))
    bob.news()
    bob.conversation.notifier.tell(told.append)
    bob.conversation.notifier.tell(told.append)
    assert told == [sequence("osc9", "carol")]


def test_a_muted_contact_rings_nothing_and_a_bystander_does(people: Terminal, talk: Callable[..., Talk]) -> None:
    bob = talk("alice")
    bob.enter("/bell on")
    config = Configuration({"notifications": Value("osc9")})
    bob.conversation.notifier = Notifier(replace(bob.environment, config=config), rings=False)
    assert bob.enter("/mute 8h")[-1].startswith("* alice is muted until ")
    told: list[str] = []
    publish_message(bob, "alice")
    bob.news()
    bob.conversation.notifier.tell(told.append)
    assert not bob.conversation.bell.take() and told == []
    publish_message(bob, "carol")
    bob.news()
    bob.conversation.notifier.tell(told.append)
    assert bob.conversation.bell.take() and told == [sequence("osc9", "carol")]
    assert bob.enter("/mute off") == ["* alice is not muted."]


def test_the_desktop_is_told_of_requests(people: Terminal, talk: Callable[..., Talk]) -> None:
    bob = talk("alice")
    config = Configuration({"notifications": Value("osc9")})
    bob.conversation.notifier = Notifier(replace(bob.environment, config=config), rings=False)
    told: list[str] = []
    ask(people, "Dave")
    bob.news()
    bob.conversation.notifier.tell(told.append)
    assert told == [sequence("osc9", "Dave", "request")]


def test_the_title_counts_what_others_wrote_and_is_put_back(
    people: Terminal, talk: Callable[..., Talk], monkeypatch: pytest.MonkeyPatch
) -> None:
    bob = talk("alice")
    written: list[str] = []
    monkeypatch.setattr(Environment, "redraws", True)
    title = Title(bob.environment, written.append)
    for alias in ("alice", "carol", "carol"):
        publish_message(bob, alias)
        bob.news()
        title.show(bob.conversation.unseen())
    title.show(2)
    title.restore()
    assert written == [
        "\x1b[22;2t", "\x1b]2;smpchat\x07", "\x1b]2;(1) smpchat\x07", "\x1b]2;(2) smpchat\x07",
        "\x1b]2;\x07\x1b[23;2t",
    ]  # fmt: skip
    bob.service.mute("carol", None)
    bob.service.mute("carol", 60)
    bob.conversation.refresh()
    assert bob.conversation.unseen() == 0
    monkeypatch.setattr(Environment, "redraws", False)
    plain = Title(bob.environment, written.append)
    plain.show(1)
    plain.restore()
    assert len(written) == 5
