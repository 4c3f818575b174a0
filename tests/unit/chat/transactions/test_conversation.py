"""What we say: two people on one relay edit, take back, react, reply and say farewell; and what is refused at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from smpchat.agent.errors import LinkJoinedError
from smpchat.agent.transactions import sending
from smpchat.agent.transactions.connection import FAREWELL_PATIENCE
from smpchat.chat.errors import ContactGone, InputError, TextTooLong, UnknownContact, UnknownMessage
from smpchat.chat.service.connecting import ChatService
from smpchat.chat.store import live, records
from smpchat.chat.store.records import Direction, Message, MessageStatus, Quoted, Reaction
from smpchat.chat.wire.content import Content
from smpchat.chat.wire.message import REACTIONS
from smpchat.protocol.commands import Del, Send
from smpchat.testing.entropy import SeededEntropy
from smpchat.testing.loop import run_jumping
from smpchat.testing.relay import MemoryRelay
from tests.faults import people
from tests.faults.people import START, Person


class Two:
    """Alice and Bob, connected; each has a relay of their own."""

    def __init__(self, folder: Path) -> None:
        self.relays = {
            name: MemoryRelay(SeededEntropy(f"{name}'s relay"), lambda: START, host=f"{name}.test")
            for name in ("alice", "bob")
        }
        everywhere = list(self.relays.values())
        self.alice = Person("alice", folder / "alice", everywhere, home=self.relays["alice"])
        self.bob = Person("bob", folder / "bob", everywhere, home=self.relays["bob"])
        self.link = ""

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        async with self.alice.online(), self.bob.online():
            number = self.alice.service.invite("bob")
            await self.alice.until(lambda service: service.invitations()[0].link is not None)
            invitation = self.alice.service.invitation(number)
            assert invitation is not None and invitation.link is not None
            self.link = invitation.link
            self.bob.service.connect(self.link, "alice")
            await self.bob.until(lambda service: service.contact("alice").state.state == "connected")
            await self.alice.until(lambda service: service.contact("bob").state.state == "connected")
            yield

    async def said(self, text: str) -> tuple[int, int]:
        """A text of Alice's, delivered: its number on her side and on Bob's."""
        sent = self.alice.service.send("bob", text)
        await self.alice.until(lambda service: one(service, sent.id).status is MessageStatus.DELIVERED)
        return sent.id, self.bob.service.history("alice")[-1].id

    async def close(self) -> None:
        for relay in self.relays.values():
            await relay.stop()
        self.alice.service.close()
        self.bob.service.close()


def one(service: ChatService, number: int) -> Message:
    message = service.message(number)
    assert message is not None
    return message


def run(folder: Path, scenario: Callable[[Two], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        two = Two(folder)
        async with two.connected():
            await scenario(two)
        await two.close()

    run_jumping(main)


def test_an_edit_reaches_the_other_side(tmp_path: Path) -> None:
    async def scenario(two: Two) -> None:
        ours, theirs = await two.said("helo")
        change = two.alice.service.edit(ours, "hello")
        assert (one(two.alice.service, ours).text, one(two.alice.service, ours).edited) == ("hello", True)
        await two.bob.until(lambda service: one(service, theirs).text == "hello")
        await two.alice.until(lambda service: (service.change(change.id) or change).status is MessageStatus.SENT)
        assert one(two.bob.service, theirs).edited
        assert one(two.alice.service, ours).status is MessageStatus.DELIVERED

    run(tmp_path, scenario)


def test_a_retracted_message_is_gone_on_both_sides(tmp_path: Path) -> None:
    async def scenario(two: Two) -> None:
        ours, theirs = await two.said("hello")
        two.alice.service.retract(ours)
        await two.bob.until(lambda service: one(service, theirs).deleted)
        assert one(two.alice.service, ours).text == one(two.bob.service, theirs).text == ""
        for call in (two.alice.service.retract, lambda number: two.alice.service.edit(number, "back")):
            with pytest.raises(InputError, match="was deleted"):
                call(ours)

    run(tmp_path, scenario)


def test_several_messages_are_retracted_at_once_or_none(tmp_path: Path) -> None:
    async def scenario(two: Two) -> None:
        ours = [(await two.said(text))[0] for text in ("one", "two", "three")]
        theirs = two.bob.service.send("alice", "mine")
        await two.alice.until(lambda service: len(service.history("bob")) == 4)
        service = two.alice.service
        received = service.history("bob")[-1].id
        for bad in (received, 99):
            with pytest.raises(InputError):
                service.retract_all([ours[0], bad])
        assert not one(service, ours[0]).deleted and service.change(1) is None
        changes = service.retract_all([ours[0], ours[2], ours[0]])
        assert [change.message_id for change in changes] == [ours[0], ours[2]]
        await two.bob.until(lambda service: sum(m.deleted for m in service.history("alice")) == 2)
        assert [m.text for m in two.bob.service.history("alice")] == ["", "two", "", "mine"]
        assert one(two.bob.service, theirs.id).text == "mine"

    run(tmp_path, scenario)


def test_a_forwarded_text_says_so_on_both_sides(tmp_path: Path) -> None:
    async def scenario(two: Two) -> None:
        _, theirs = await two.said("the news")
        sent = two.bob.service.forward(theirs, "alice")
        assert (sent.text, sent.forwarded, sent.reply_to) == ("the news", True, None)
        await two.alice.until(lambda service: len(service.history("bob")) == 2)
        received = two.alice.service.history("bob")[-1]
        assert (received.text, received.forwarded, received.direction) == ("the news", True, Direction.RECEIVED)

    run(tmp_path, scenario)


def test_what_cannot_be_forwarded(tmp_path: Path) -> None:
    async def scenario(two: Two) -> None:
        ours, theirs = await two.said("the news")
        service = two.alice.service
        with service.database.transaction() as tx:
            bob = records.contact(tx, "bob")
            image = records.insert_message(
                tx, bob.id, Direction.RECEIVED, "[image] x", 0, None, content=Content("image", "[image]")
            )
            growing = records.insert_message(tx, bob.id, Direction.RECEIVED, "I am", 0, None, live=True)
            live.hold(tx, growing, START)
        service.retract(ours)
        for number, why in ((ours, "was deleted"), (image, "is not a text"), (growing, "still being written")):
            with pytest.raises(InputError, match=why):
                service.forward(number, "bob")
        with pytest.raises(UnknownMessage):
            service.forward(999, "bob")
        with pytest.raises(UnknownContact):
            two.bob.service.forward(theirs, "nobody")

    run(tmp_path, scenario)


def test_reactions_go_both_ways_and_can_be_taken_back(tmp_path: Path) -> None:
    async def scenario(two: Two) -> None:
        ours, theirs = await two.said("hello")
        two.bob.service.react(theirs, "\u2764\ufe0f")
        two.alice.service.react(ours, REACTIONS[0])
        both = {("\u2764", "bob"), (REACTIONS[0], "alice")}
        await two.alice.until(lambda service: len(one(service, ours).reactions) == 2)
        await two.bob.until(lambda service: len(one(service, theirs).reactions) == 2)
        author = {Direction.SENT: "alice", Direction.RECEIVED: "bob"}
        assert {(r.emoji, author[r.direction]) for r in one(two.alice.service, ours).reactions} == both
        two.bob.service.react(theirs, "\u2764", add=False)
        await two.alice.until(lambda service: len(one(service, ours).reactions) == 1)
        assert one(two.alice.service, ours).reactions == (Reaction(REACTIONS[0], Direction.SENT),)

    run(tmp_path, scenario)


def test_a_reply_names_what_it_answers_on_both_sides(tmp_path: Path) -> None:
    async def scenario(two: Two) -> None:
        ours, theirs = await two.said("a or b?")
        two.bob.service.send("alice", "b", reply_to=theirs)
        await two.alice.until(lambda service: len(service.history("bob")) == 2)
        assert two.alice.service.history("bob")[-1].reply_to == Quoted(ours, Direction.SENT, "a or b?")
        assert two.bob.service.history("alice")[-1].reply_to == Quoted(theirs, Direction.RECEIVED, "a or b?")

    run(tmp_path, scenario)


def test_changes_wait_behind_the_message_they_change(tmp_path: Path) -> None:
    async def scenario(two: Two) -> None:
        await two.relays["bob"].stop()
        sent = two.alice.service.send("bob", "helo")
        two.alice.service.edit(sent.id, "hello")
        await asyncio.sleep(5)
        assert one(two.alice.service, sent.id).status is MessageStatus.PENDING
        two.relays["bob"].start()
        await two.bob.until(lambda service: [m.text for m in service.history("alice")] == ["hello"])

    run(tmp_path, scenario)


def test_what_cannot_be_done_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    async def scenario(two: Two) -> None:
        ours, theirs = await two.said("hello")
        alice, bob = two.alice.service, two.bob.service
        with pytest.raises(InputError, match="not yours"):
            bob.edit(theirs, "bye")
        with pytest.raises(InputError, match="not yours"):
            bob.retract(theirs)
        with pytest.raises(InputError, match="empty"):
            alice.edit(ours, "")
        with pytest.raises(TextTooLong):
            alice.edit(ours, "a" * 15_602)
        with pytest.raises(InputError, match="do not accept") as refused:
            alice.react(ours, "\U0001f44d\U0001f3fd")
        assert all(emoji in refused.value.hint for emoji in REACTIONS)
        with pytest.raises(InputError, match=r"has no .* from you"):
            alice.react(ours, REACTIONS[0], add=False)
        alice.react(ours, REACTIONS[0])
        with pytest.raises(InputError, match="already has"):
            alice.react(ours, REACTIONS[0])
        for call in (alice.retract, lambda number: alice.send("bob", "a", reply_to=number)):
            with pytest.raises(UnknownMessage):
                call(99)
        assert one(alice, ours).text == "hello" and len(alice.history("bob")) == 1

    run(tmp_path, scenario)


def test_a_message_of_another_conversation_is_no_answer_here(tmp_path: Path) -> None:
    service = ChatService(tmp_path, "alice", now=lambda: START)
    with service.database.transaction() as tx:
        for number, alias in ((7, "bob"), (8, "carol")):
            records.insert_contact(tx, number, alias)
        contact = records.contact(tx, "carol")
        message = records.insert_message(tx, contact.id, Direction.RECEIVED, "hello", START, "b25l")
    with pytest.raises(InputError, match="another conversation"):
        service.send("bob", "yes", reply_to=message)
    service.close()


class TestRoom:
    def scenario(self, monkeypatch: pytest.MonkeyPatch, text: str) -> Callable[[Two], Coroutine[Any, Any, None]]:
        async def scenario(two: Two) -> None:
            monkeypatch.setattr(sending, "max_body", lambda tx, connection_id: 13_573)
            _, theirs = await two.said(text)
            assert one(two.bob.service, theirs).text == text
            with pytest.raises(TextTooLong, match="one message can hold about 15,4"):
                two.alice.service.send("bob", "".join(chr(33 + i * 7919 % 9000) for i in range(7000)))

        return scenario

    @pytest.mark.parametrize("text", ["a" * 13_000, "ha " * 5_000], ids=["plain", "compressed"])
    def test_long_texts_with_post_quantum_encryption(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
    ) -> None:
        run(tmp_path, self.scenario(monkeypatch, text))

    def test_where_it_compresses_only_the_length_on_the_wire_counts(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def scenario(two: Two) -> None:
            monkeypatch.setattr(sending, "max_body", lambda tx, connection_id: 13_573)
            sentence = r"^The text is 4 bytes too long: one message can hold about 15,496 bytes.$"
            with pytest.raises(TextTooLong, match=sentence):
                two.alice.service.send("bob", "a" * 15_500)
            _, theirs = await two.said("a" * 15_496)
            assert len(one(two.bob.service, theirs).text) == 15_496

        run(tmp_path, scenario)

    def test_without_it_a_text_may_fill_the_message(self, tmp_path: Path) -> None:
        async def scenario(two: Two) -> None:
            with pytest.raises(TextTooLong, match=r"^The text is 1 byte too long: one message can hold about 15,496"):
                two.alice.service.send("bob", "a" * 15_497)
            _, theirs = await two.said("a" * 15_496)
            assert len(one(two.bob.service, theirs).text) == 15_496

        run(tmp_path, scenario)


class TestFarewell:
    def test_the_contact_is_told_and_marked_and_the_queue_goes_after_that(self, tmp_path: Path) -> None:
        async def scenario(two: Two) -> None:
            await two.said("hello")
            two.relays["alice"].commands.clear()
            two.relays["bob"].commands.clear()
            connection = two.alice.service.delete("bob")
            await two.bob.until(lambda service: service.contact("alice").contact.gone)
            await two.alice.until(lambda service: service.is_forgotten(connection))
            assert any(isinstance(command, Send) for command in two.relays["bob"].commands)
            assert any(isinstance(command, Del) for command in two.relays["alice"].commands)
            bob = two.bob.service
            [message] = bob.history("alice")
            for call in (
                lambda: bob.send("alice", "are you there?"),
                lambda: bob.react(message.id, REACTIONS[0]),
            ):
                with pytest.raises(ContactGone, match="removed you"):
                    call()
            assert bob.history("alice") == [message]
            connection = bob.delete("alice")
            await two.bob.until(lambda service: service.is_forgotten(connection))

        run(tmp_path, scenario)

    def test_the_queue_stays_while_the_contact_cannot_be_told(self, tmp_path: Path) -> None:
        async def scenario(two: Two) -> None:
            await two.relays["bob"].stop()
            connection = two.alice.service.delete("bob")
            await asyncio.sleep(60)
            assert not two.alice.service.is_forgotten(connection)
            assert not any(isinstance(command, Del) for command in two.relays["alice"].commands)
            two.relays["bob"].start()
            await two.bob.until(lambda service: service.contact("alice").contact.gone)
            await two.alice.until(lambda service: service.is_forgotten(connection))

        run(tmp_path, scenario)

    def test_it_is_given_up_after_a_while(self, tmp_path: Path) -> None:
        async def main() -> None:
            two = Two(tmp_path)
            async with two.connected():
                pass
            await two.relays["bob"].stop()
            connection = two.alice.service.delete("bob")
            await asyncio.sleep(FAREWELL_PATIENCE)
            async with two.alice.online():
                await two.alice.until(lambda service: service.is_forgotten(connection))
            await two.close()

        run_jumping(main)

    @pytest.mark.parametrize("noted", [True, False], ids=["seen", "not seen yet"])
    def test_a_clock_that_leaps_does_not_give_it_up(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, noted: bool
    ) -> None:
        async def main() -> None:
            two = Two(tmp_path)
            async with two.connected():
                pass
            await two.relays["bob"].stop()
            service = two.alice.service
            service.note_clock()
            connection = service.delete("bob")
            async with two.alice.online():
                await asyncio.sleep(60)
                monkeypatch.setattr(people, "START", people.START + 365 * 86_400)
                if noted:
                    service.note_clock()
                service.invite()  # something that has the lanes looked at
                await asyncio.sleep(600)
                assert not service.is_forgotten(connection), "bob can still be told"
                two.relays["bob"].start()
                async with two.bob.online():
                    await two.bob.until(lambda service: service.contact("alice").contact.gone)
                await two.alice.until(lambda service: service.is_forgotten(connection))
            await two.close()

        run_jumping(main)

    def test_it_does_not_wait_for_a_full_queue_of_texts(self, tmp_path: Path) -> None:
        async def main() -> None:
            two = Two(tmp_path)
            async with two.connected():
                pass
            for number in range(5):
                two.alice.service.send("bob", f"text {number}")
            connection = two.alice.service.delete("bob")
            async with two.alice.online(), two.bob.online():
                await two.alice.until(lambda service: service.is_forgotten(connection))
                await two.bob.until(lambda service: service.contact("alice").contact.gone)
            assert two.bob.service.history("alice") == []
            await two.close()

        run_jumping(main)

    def test_a_link_of_a_contact_that_is_being_deleted_is_used_up(self, tmp_path: Path) -> None:
        async def scenario(two: Two) -> None:
            await two.relays["alice"].stop()
            two.bob.service.delete("alice")
            with pytest.raises(LinkJoinedError, match="a contact that you deleted"):
                two.bob.service.connect(two.link, "alice")

        run(tmp_path, scenario)
