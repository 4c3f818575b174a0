"""What a listener gets: each message once and each change, whoever else was shown it, and nothing is lost with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from smpchat.agent.machines.delivery import Integrity
from smpchat.chat.service.connecting import ChatService
from smpchat.chat.service.listening import Listener
from smpchat.chat.store import records
from smpchat.chat.store.events import MessageAdded
from smpchat.chat.store.feed import publish
from smpchat.chat.store.feed_rows import KEPT_EVENTS
from smpchat.chat.store.records import Direction
from smpchat.chat.wire.bodies import MAX_MESSAGES, compress_body
from smpchat.chat.wire.message import MessageUpdate, encode_text, encode_update

BOB, EVE = 7, 8
ONE, TWO, THREE = "b25l", "dHdv", "dGhy"
NOW = 1_700_000_000


class Alice:
    """A profile with one contact that exists in the chat layer only, and what processes do there."""

    def __init__(self, folder: Path) -> None:
        self.now = float(NOW)
        self.service = ChatService(folder, "alice", now=lambda: self.now)
        with self.service.database.transaction() as tx:
            records.insert_contact(tx, BOB, "bob")
            records.insert_contact(tx, EVE, "eve")

    def receive(self, body: bytes, *, of: int = BOB) -> None:
        with self.service.database.transaction() as tx:
            self.service.context.application.message_received(tx, of, body, NOW, Integrity.OK)

    def hear(self, text: str, shared_id: str = ONE) -> None:
        self.receive(encode_text(text, shared_id))

    def write_live(self, text: str, *, live: bool = True) -> None:
        self.receive(encode_update(MessageUpdate(ONE, text, live=live), TWO))

    def edit(self, text: str) -> None:
        self.receive(encode_update(MessageUpdate(ONE, text), TWO))

    def show_all(self) -> None:
        """What a `chat` does that has the conversation open."""
        for message in (*self.service.unshown_messages(), *self.service.unshown_changes()):
            self.service.mark_shown(message.id, message.changes)

    def listener(self, *, is_durable: bool = False) -> Listener:
        return Listener(self.service, self.service.last_event(), is_durable=is_durable)


@pytest.fixture
def alice(tmp_path: Path) -> Iterator[Alice]:
    alice = Alice(tmp_path / "alice")
    yield alice
    alice.service.close()


def take(listener: Listener) -> list[str]:
    """All that there is, as a listener takes it."""
    texts = []
    for message in listener.messages():
        texts.append(message.text)
        listener.done(message)
    for message in listener.changes():
        texts.append(f"changed: {message.text}")
        listener.done(message)
    return texts


@pytest.mark.parametrize("is_durable", [True, False])
def test_a_contact_that_floods_costs_nobody_else_a_message(alice: Alice, is_durable: bool) -> None:
    """While a handler works for long, the feed grows; a chat beside has shown everything."""
    listener = alice.listener(is_durable=is_durable)
    alice.hear("from bob")
    body = b"[" + b",".join(encode_text(f"{number}", ONE) for number in range(MAX_MESSAGES)) + b"]"
    for _ in range(KEPT_EVENTS // MAX_MESSAGES + 1):
        alice.receive(compress_body(body), of=EVE)
    alice.show_all()
    heard = take(listener)
    assert heard[0] == "from bob" and len(heard) == 1 + KEPT_EVENTS
    [kept] = alice.service.database.connection.execute("SELECT count(*) FROM events WHERE owner = 2").fetchone()
    assert kept == KEPT_EVENTS
    with alice.service.database.transaction() as tx:
        records.delete_contact(tx, 2)
    assert not alice.service.database.connection.execute("SELECT 1 FROM events WHERE owner = 2").fetchone()


def test_it_begins_with_what_nobody_was_shown(alice: Alice) -> None:
    alice.hear("shown")
    alice.show_all()
    alice.hear("not shown", TWO)
    listener = alice.listener()
    assert take(listener) == ["not shown"]
    assert take(listener) == []
    assert not alice.service.unshown_messages()


@pytest.mark.parametrize("first", ["chat", "listener"])
def test_what_arrives_is_for_it_whoever_is_first(alice: Alice, first: str) -> None:
    listener = alice.listener()
    for number, text in enumerate(("one", "two", "three")):
        alice.hear(text, (ONE, TWO, THREE)[number])
        if first == "chat":
            alice.show_all()
        assert take(listener) == [text]
        alice.show_all()
    assert take(listener) == []


def test_two_listeners_get_everything(alice: Alice) -> None:
    one, two = alice.listener(), alice.listener()
    alice.hear("hello")
    assert (take(one), take(two)) == (["hello"], ["hello"])
    alice.edit("hello!")
    assert (take(one), take(two)) == (["changed: hello!"], ["changed: hello!"])
    assert (take(one), take(two)) == ([], [])


def test_a_change_before_it_looked_is_part_of_the_message(alice: Alice) -> None:
    listener = alice.listener()
    alice.hear("hello")
    alice.edit("hello!")
    alice.show_all()
    assert take(listener) == ["hello!"]
    assert take(listener) == []


def test_a_change_of_an_older_message_is_for_it_too(alice: Alice) -> None:
    alice.hear("hello")
    alice.show_all()
    listener = alice.listener()
    alice.edit("hello!")
    alice.show_all()
    assert take(listener) == ["changed: hello!"]


@pytest.mark.parametrize("begun", [True, False], ids=["begun before it listens", "begun while it listens"])
@pytest.mark.parametrize("chat", [True, False], ids=["chat is first", "alone"])
def test_what_grows_is_one_message(alice: Alice, begun: bool, chat: bool) -> None:
    if begun:
        alice.write_live("wh")
    listener = alice.listener()
    for text in ("what", "what is"):
        alice.write_live(text)
        assert take(listener) == []
    alice.write_live("what is it?", live=False)
    if chat:
        alice.show_all()
    assert take(listener) == ["what is it?"]
    assert take(listener) == []


def test_what_we_write_is_not_for_it(alice: Alice) -> None:
    listener = alice.listener()
    with alice.service.database.transaction() as tx:
        contact = records.contact(tx, "bob")
        publish(tx, MessageAdded(records.insert_message(tx, contact.id, Direction.SENT, "mine", NOW, TWO)))
    assert take(listener) == []


def test_a_deleted_contact_takes_its_messages_away(alice: Alice) -> None:
    listener = alice.listener(is_durable=True)
    alice.hear("hello")
    alice.hear("again", TWO)
    texts = []
    for message in listener.messages():
        texts.append(message.text)
        with alice.service.database.transaction() as tx:
            tx.execute("DELETE FROM contacts")
        listener.done(message)
    assert texts == ["hello"]
    assert take(listener) == []


class TestDurable:
    def test_what_it_could_not_hand_over_comes_again_though_chat_has_shown_it(self, alice: Alice) -> None:
        crashed = alice.listener(is_durable=True)
        alice.hear("one")
        alice.hear("two", TWO)
        alice.show_all()
        messages = crashed.messages()
        crashed.done(next(messages))
        assert next(messages).text == "two"  # and here it is killed
        assert take(alice.listener(is_durable=True)) == ["two"]
        assert take(alice.listener(is_durable=True)) == []

    def test_what_was_unshown_when_it_began_is_its_too(self, alice: Alice) -> None:
        alice.hear("one")
        crashed = alice.listener(is_durable=True)
        next(crashed.messages())
        alice.show_all()
        assert take(alice.listener(is_durable=True)) == ["one"]

    def test_what_arrived_and_was_shown_while_nobody_listened_is_not(self, alice: Alice) -> None:
        assert take(alice.listener(is_durable=True)) == []
        alice.hear("one")
        alice.show_all()
        assert take(alice.listener(is_durable=True)) == []

    def test_what_another_listener_prints_is_not_handled_by_that(self, alice: Alice) -> None:
        crashed = alice.listener(is_durable=True)
        alice.hear("one")
        next(crashed.messages())
        assert take(alice.listener()) == ["one"]
        assert take(alice.listener(is_durable=True)) == ["one"]


def test_what_a_program_always_fails_on_is_skipped_and_stays_unread(alice: Alice) -> None:
    alice.hear("bad")
    alice.hear("good", TWO)
    for _ in range(2):  # each a run that ends with its failure
        [message, *_] = alice.listener(is_durable=True).messages()
        assert not alice.listener(is_durable=True).failed(message, None)
    listener = alice.listener(is_durable=True)
    [bad, _] = listener.messages()
    assert (bad.text, listener.failed(bad, 4), listener.failed(bad, 4)) == ("bad", False, True)
    assert [message.text for message in listener.messages()] == ["good"]
    assert take(listener) == ["good"]
    assert take(alice.listener(is_durable=True)) == []
    [told] = alice.service.unshown_notices()
    assert (
        told.kind == "not-handled"
        and "bob was skipped: the program of `listen --exec` failed on it 4 times" in told.text
    )
    assert [message.text for message in alice.service.unshown_messages()] == ["bad"], "nothing is lost silently"
    assert take(alice.listener()) == ["bad"]
