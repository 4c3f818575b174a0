"""What a contact's messages change in the store: each test says what arrives and looks at what people would see."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from smpchat.agent.machines.delivery import Integrity
from smpchat.agent.machines.notices import NoticeKind
from smpchat.chat.service.connecting import ChatService
from smpchat.chat.store import events, lines, notices, records, untold
from smpchat.chat.store.records import Contact, Direction, Message, MessageStatus, Quoted, Reaction
from smpchat.chat.transactions import changes
from smpchat.chat.transactions.incoming import MAX_TOLD, ChatApplication
from smpchat.chat.transactions.news import TOO_MUCH
from smpchat.chat.wire.bodies import MAX_MESSAGES, compress_body
from smpchat.chat.wire.content import DELETABLE
from smpchat.chat.wire.message import (
    REACTIONS,
    MessageDeletion,
    MessageUpdate,
    Quote,
    ReactionChange,
    encode_contact_deleted,
    encode_deletion,
    encode_profile,
    encode_reaction,
    encode_text,
    encode_update,
    quotation,
)
from smpchat.chat.wire.profile import Profile

BOB, CAROL = 7, 8
ONE, TWO, OWN = "b25l", "dHdv", "b3du"
NOW = 1_700_000_000
IMAGE: dict[str, Any] = {
    "content": {"type": "image", "text": "on the beach", "image": ""},
    "file": {"fileName": "pic.jpg", "fileSize": 5000},
}
CALL: dict[str, Any] = {"callId": "Y2FsbA", "invitation": {"callType": {"media": "video"}}}


class Alice:
    """A profile with two contacts that exist in the chat layer only."""

    def __init__(self, folder: Path) -> None:
        self.now = float(NOW)
        self.service = ChatService(folder, "alice", now=lambda: self.now)
        self.application = self.service.context.application
        assert isinstance(self.application, ChatApplication)
        with self.service.database.transaction() as tx:
            records.insert_contact(tx, BOB, "bob")
            records.insert_contact(tx, CAROL, "carol")
        self.seen = self.service.last_event()

    def receive(self, body: bytes, *, of: int = BOB, at: int = NOW) -> bool:
        """One body arrives; whether a receipt is sent."""
        with self.service.database.transaction() as tx:
            return self.application.message_received(tx, of, body, at, Integrity.OK)

    def sent(self, text: str, shared_id: str) -> int:
        """A message of ours to Bob."""
        with self.service.database.transaction() as tx:
            contact = records.contact(tx, "bob")
            return records.insert_message(tx, contact.id, Direction.SENT, text, NOW, shared_id)

    def contact(self, who: str = "bob") -> Contact:
        return records.contact(self.service.database.connection, who)

    def message(self, who: str = "bob") -> Message:
        """The only message of a conversation."""
        [message] = self.service.history(who)
        return message

    def news(self) -> list[events.ChatEvent]:
        """Events of the feed since the last look."""
        numbered = self.service.events_after(self.seen)
        self.seen = numbered[-1][0] if numbered else self.seen
        return [event for _, event in numbered]


@pytest.fixture
def alice(tmp_path: Path) -> Iterator[Alice]:
    person = Alice(tmp_path)
    yield person
    person.service.close()


def reaction(shared_id: str, emoji: str = REACTIONS[0], *, add: bool = True) -> bytes:
    return encode_reaction(ReactionChange(shared_id, emoji, add), "cmVhY3Q=")


def update(shared_id: str, text: str, *, live: bool = False) -> bytes:
    return encode_update(MessageUpdate(shared_id, text, live), "dXBkYXRl")


def deletion(shared_id: str) -> bytes:
    return encode_deletion(MessageDeletion(shared_id), "ZGVsZXRl")


class TestTexts:
    def test_only_texts_ask_for_a_receipt(self, alice: Alice) -> None:
        assert alice.receive(encode_text("hello", ONE)) is True
        others = [update(ONE, "bye"), reaction(ONE), deletion(ONE), encode_profile(Profile("Bob"))]
        assert [alice.receive(body) for body in others] == [False] * 4

    def test_an_array_is_one_message_after_the_other(self, alice: Alice) -> None:
        body = b"[" + b",".join([encode_text("one", ONE), b"3", update(ONE, "one!"), encode_text("two", TWO)]) + b"]"
        assert alice.receive(compress_body(body)) is True
        assert [message.text for message in alice.service.history("bob")] == ["one!", "two"]

    def test_what_stands_behind_too_many_messages_of_one_body_is_left_out_and_told(self, alice: Alice) -> None:
        body = b"[" + b",".join([b'{"event":"x.msg.new","params":{"content":{"type":"text","text":""}}}'] * 900) + b"]"
        assert len(compress_body(body)) < 100
        for _ in range(MAX_TOLD + 5):
            alice.receive(compress_body(body))
        count = (MAX_TOLD + 5) * MAX_MESSAGES
        assert len(alice.service.history("bob", 2 * count)) == count
        assert [notice.text for notice in alice.service.notices("bob")] == [
            "bob sent more than 200 messages at once; the rest were left out."
        ] * MAX_TOLD

    @pytest.mark.parametrize("body", [b"", b"nonsense", b"X\x01", b'{"event":"x.ok"}', b"[" * 9999])
    def test_what_cannot_be_read_changes_nothing(self, alice: Alice, body: bytes) -> None:
        assert alice.receive(body) is False
        assert alice.news() == []

    def test_an_unknown_event_leaves_a_harmless_line_in_the_log(
        self, alice: Alice, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        alice.receive(b'{"event":"x.\\u001b[2J\\nerror: all is lost","params":{}}')
        [line] = caplog.text.splitlines()
        assert "error: all is lost" in line and "\x1b" not in line
        assert alice.news() == []

    def test_content_stays_out_of_the_log(self, alice: Alice, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        alice.receive(encode_text("my secret", ONE))
        alice.receive(update(ONE, "another secret"))
        alice.receive(deletion(ONE), at=NOW + DELETABLE + 1)
        assert "secret" not in caplog.text
        assert "secret" not in repr(alice.message())


class TestProfiles:
    def test_so_many_changes_are_told_in_an_hour(self, alice: Alice) -> None:
        for number in range(50):
            alice.receive(encode_profile(Profile(f"Bob {number}")))
        told = [f"[is now called Bob {number}]" for number in range(1, MAX_TOLD + 1)]
        assert [message.text for message in alice.service.history("bob")] == [*told, TOO_MUCH.text]
        profile = alice.contact().profile
        assert profile is not None and profile.display_name == "Bob 49"
        alice.now += 3_601
        alice.receive(encode_profile(Profile("Robert")))
        assert alice.service.history("bob")[-1].text == "[is now called Robert]"

    def test_in_a_steady_flow_of_changes_each_hour_shows_some(self, alice: Alice) -> None:
        """One change in three minutes: 10 in the first half hour are told, then none for an hour, then 10 again."""
        for number in range(90):
            alice.receive(encode_profile(Profile(f"Bob {number}")))
            alice.now += 180
        texts = [message.text for message in alice.service.history("bob", limit=100)]
        assert [texts.count(TOO_MUCH.text), len(texts)] == [3, 33]

    def test_that_a_contact_is_gone_is_told_once(self, alice: Alice) -> None:
        body = b"[" + b",".join([encode_contact_deleted(ONE)] * 5) + b"]"
        for _ in range(3):
            alice.receive(body)
        assert len(alice.service.notices("bob")) == 1

    def test_no_kind_of_notice_pushes_others_out(self, alice: Alice, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(notices, "KEPT", 3)
        assert isinstance(alice.application, ChatApplication)
        with alice.service.database.transaction() as tx:
            alice.application.notice(tx, BOB, "The first.")
            for number in range(5):
                alice.application.notice(tx, BOB, f"{number}", NoticeKind.MOVED)
        assert [notice.text for notice in alice.service.notices("bob")] == ["The first.", "2", "3", "4"]


class TestEdits:
    def test_a_contact_edits_its_message(self, alice: Alice) -> None:
        alice.receive(encode_text("helo", ONE))
        number = alice.message().id
        alice.news()
        alice.receive(update(ONE, "hello"))
        assert (alice.message().text, alice.message().edited) == ("hello", True)
        assert alice.news() == [events.MessageChanged(number, "bob", "edited", "received")]

    def test_the_same_text_again_is_no_change(self, alice: Alice) -> None:
        alice.receive(encode_text("hello", ONE))
        alice.news()
        alice.receive(update(ONE, "hello"))
        assert not alice.message().edited
        assert alice.news() == []

    def test_an_edit_of_a_message_that_never_came_begins_with_it(self, alice: Alice) -> None:
        assert alice.receive(update(ONE, "hello")) is False
        message = alice.message()
        assert (message.text, message.shared_id, message.edited, message.shown) == ("hello", ONE, True, False)
        assert alice.news() == [events.MessageAdded(message.id)]
        alice.receive(update(ONE, "hello again"))
        assert alice.message().text == "hello again"

    def test_a_contact_cannot_edit_our_message(self, alice: Alice) -> None:
        ours = alice.sent("I owe you 1", OWN)
        alice.receive(update(OWN, "I owe you 1000"))
        found = alice.service.message(ours)
        assert found is not None and (found.text, found.edited) == ("I owe you 1", False)
        assert alice.service.history("bob")[-1].direction is Direction.RECEIVED

    def test_a_contact_cannot_edit_the_message_of_another(self, alice: Alice) -> None:
        alice.receive(encode_text("hello", ONE), of=CAROL)
        alice.receive(update(ONE, "boo"), of=BOB)
        assert (alice.message("carol").text, alice.message("carol").edited) == ("hello", False)

    def test_a_live_message_is_not_edited_while_it_is_written(self, alice: Alice) -> None:
        params = {"content": {"type": "text", "text": "h"}, "live": True}
        alice.receive(json.dumps({"msgId": ONE, "event": "x.msg.new", "params": params}).encode())
        assert alice.message().live
        alice.receive(update(ONE, "he", live=True))
        alice.receive(update(ONE, "hey"))
        assert (alice.message().text, alice.message().live, alice.message().edited) == ("hey", False, False)
        alice.receive(update(ONE, "hey!"))
        assert alice.message().edited


def message(text: str, shared_id: str = ONE, **params: Any) -> bytes:
    content = {"content": {"type": "text", "text": text}}
    return json.dumps({"msgId": shared_id, "event": "x.msg.new", "params": content | params}).encode()


def said(name: str, shared_id: str = ONE, **params: Any) -> bytes:
    return json.dumps({"msgId": shared_id, "event": name, "params": params}).encode()


class TestLive:
    def unshown(self, alice: Alice) -> list[str]:
        return [message.text for message in alice.service.unshown_messages()]

    def test_it_is_a_message_once_it_is_finished(self, alice: Alice) -> None:
        alice.receive(message("what", live=True))
        alice.receive(update(ONE, "what is", live=True))
        alice.receive(encode_text("hello", ONE), of=CAROL)
        assert (self.unshown(alice), alice.contact().unread) == (["hello"], 0)
        [begun] = alice.service.being_written("bob")
        assert (begun.text, begun.live, begun.held) == ("what is", True, True)
        assert alice.service.being_written("carol") == []
        alice.receive(update(ONE, "what is 2+2?"))
        assert (self.unshown(alice), alice.contact().unread) == (["what is 2+2?", "hello"], 1)
        assert alice.service.being_written("bob") == [] == alice.service.unshown_changes()

    def test_what_is_written_later_is_shown_first(self, alice: Alice) -> None:
        alice.receive(message("slow", live=True))
        alice.receive(message("quick", TWO))
        assert self.unshown(alice) == ["quick"]

    def test_after_silence_it_counts_as_it_is(self, alice: Alice) -> None:
        alice.receive(message("what", live=True))
        alice.now += 20
        alice.receive(update(ONE, "what is", live=True))
        alice.now += 29
        assert self.unshown(alice) == []
        alice.news()
        alice.now += 1.5
        [number] = [event.id for event in alice.news() if isinstance(event, events.MessageAdded)]
        [given_up] = alice.service.unshown_messages()
        assert (given_up.id, given_up.text, given_up.live) == (number, "what is", True)
        assert alice.contact().unread == 1

    def test_what_is_written_after_the_silence_is_one_change(self, alice: Alice) -> None:
        alice.receive(message("what", live=True))
        alice.now += 31
        [given_up] = alice.service.unshown_messages()
        alice.service.mark_shown(given_up.id, given_up.changes)
        alice.receive(update(ONE, "what is", live=True))
        assert (self.unshown(alice), alice.service.unshown_changes()) == ([], [])
        alice.receive(update(ONE, "what is 2+2?"))
        [changed] = alice.service.unshown_changes()
        assert (changed.text, changed.live, changed.edited) == ("what is 2+2?", False, False)

    def test_a_clock_that_was_set_back_holds_nothing(self, alice: Alice) -> None:
        alice.receive(message("what", live=True))
        alice.now -= 3600
        assert self.unshown(alice) == ["what"]

    def test_one_that_begins_with_a_later_version(self, alice: Alice) -> None:
        alice.receive(update(ONE, "what is", live=True))
        assert self.unshown(alice) == []
        alice.receive(update(ONE, "what is it?"))
        [finished] = alice.service.unshown_messages()
        assert (finished.text, finished.edited) == ("what is it?", False)

    def test_one_that_is_taken_back_is_not_being_written(self, alice: Alice) -> None:
        alice.receive(message("what", live=True))
        alice.receive(deletion(ONE))
        assert alice.service.being_written("bob") == []
        assert alice.message().deleted and not alice.message().live


class TestContent:
    def test_a_typed_note_is_not_a_real_one(self, alice: Alice) -> None:
        alice.receive(said("x.msg.new", **IMAGE))
        alice.receive(message("[image pic.jpg, 4.88 KiB] on the beach", TWO))
        real, typed = alice.service.history("bob")
        assert real.text == typed.text
        assert (real.content, real.note, typed.content, typed.note) == (
            "image",
            "[image pic.jpg, 4.88 KiB]",
            "text",
            "",
        )

    def test_an_edit_of_the_caption_leaves_the_note(self, alice: Alice) -> None:
        alice.receive(said("x.msg.new", **IMAGE))
        alice.receive(said("x.msg.update", "dXA=", msgId=ONE, content={"type": "image", "text": "at sea", "image": ""}))
        edited = alice.message()
        assert (edited.text, edited.note) == ("[image pic.jpg, 4.88 KiB] at sea", "[image pic.jpg, 4.88 KiB]")
        assert edited.edited

    def test_a_file_that_is_withdrawn_says_so_once(self, alice: Alice) -> None:
        alice.receive(said("x.msg.new", **IMAGE))
        alice.news()
        for _ in range(2):
            alice.receive(said("x.file.cancel", msgId=ONE))
        withdrawn = alice.message()
        assert withdrawn.text == "[image pic.jpg, 4.88 KiB] [withdrawn] on the beach"
        assert withdrawn.note == "[image pic.jpg, 4.88 KiB] [withdrawn]"
        assert alice.news() == [events.MessageChanged(withdrawn.id, "bob", "cancelled", "received")]

    def test_only_a_file_of_the_contacts_own_is_withdrawn(self, alice: Alice) -> None:
        alice.sent("hello", OWN)
        alice.receive(message("hi"))
        alice.receive(said("x.msg.new", TWO, **IMAGE), of=CAROL)
        for shared_id in (OWN, ONE, TWO):
            alice.receive(said("x.file.cancel", msgId=shared_id))
        assert [message.text for message in alice.service.history("bob")] == ["hello", "hi"]
        assert "withdrawn" not in alice.message("carol").text

    def test_a_deletion_leaves_nothing_of_preview_and_note(self, alice: Alice) -> None:
        preview = {"uri": "https://xyzzy.example", "title": "plugh", "description": ""}
        alice.receive(said("x.msg.new", content={"type": "link", "text": "see", "preview": preview}))
        assert alice.message().preview is not None
        alice.receive(deletion(ONE))
        assert (alice.message().preview, alice.message().note, alice.message().content) == (None, "", "link")

    def test_forwarded(self, alice: Alice) -> None:
        alice.receive(message("hi", forward=True))
        alice.receive(update(ONE, "hi!"))
        assert alice.message().forwarded


class TestHappenings:
    def test_a_call_is_one_unread_line_with_a_receipt(self, alice: Alice) -> None:
        assert alice.receive(said("x.call.inv", **CALL)) is True
        assert alice.receive(said("x.call.inv", TWO, **CALL)) is True
        assert alice.receive(said("x.call.end", "ZW5k", callId="Y2FsbA")) is False
        line = alice.message()
        assert (line.content, line.text, line.note) == ("call", line.note, "[called you (video call: not supported)]")
        assert (alice.contact().unread, alice.contact("carol").unread) == (1, 0)
        assert alice.service.unshown_messages() == [line]
        alice.receive(said("x.call.inv", TWO, **CALL | {"callId": "b3RoZXI="}))
        assert alice.contact().unread == 2

    def test_lines_of_the_same_occasion_in_two_conversations_are_two(self, alice: Alice) -> None:
        for contact in (BOB, CAROL):
            alice.receive(said("x.call.inv", **CALL), of=contact)
        assert alice.message("bob").content == alice.message("carol").content == "call"

    def test_an_old_file_needs_no_receipt(self, alice: Alice) -> None:
        assert alice.receive(said("x.file", file={"fileName": "report.pdf", "fileSize": 12345})) is False
        assert alice.message().text.startswith("[file report.pdf, 12.1 KiB] ")

    def test_what_is_ignored_is_named_in_the_log(self, alice: Alice, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO)
        for name in ("x.info.probe", "x.grp.mem.fwd", "x.new.thing"):
            alice.receive(said(name))
            assert repr(name) in caplog.text
        alice.receive(b"F\x00\x05abcde\x01data")
        assert "chunks" in caplog.text
        assert alice.service.history("bob") == []


class TestRelayed:
    def relay(self, name: str, shared_id: str = TWO, by: str = "carol", **params: Any) -> bytes:
        inner = json.loads(said(name, shared_id, **params))
        return said("x.grp.msg.forward", "Zndk", memberName=by, msg=inner, msgTs="2023-11-14T22:13:00Z")

    def hello(self, alice: Alice, by: str = "carol") -> None:
        content = {"type": "text", "text": "hello"}
        assert alice.receive(self.relay("x.msg.new", by=by, content=content)) is False

    def test_it_is_shown_as_the_members(self, alice: Alice) -> None:
        self.hello(alice)
        message = alice.message()
        assert (message.sender, message.text, message.sent_at) == ("carol", "hello", NOW - 20)
        assert alice.contact().unread == 1

    def test_whom_the_host_only_introduced_is_named(self, alice: Alice) -> None:
        """Apps before 6.5 do not repeat a member's name with what it says."""
        alice.receive(said("x.grp.mem.new", TWO, memberInfo={"memberId": "YmVu", "profile": {"displayName": "ben"}}))
        for member, name in (("YmVu", "ben"), ("bm9ib2R5", "bm9ib2R")):
            inner = json.loads(said("x.msg.new", member, content={"type": "text", "text": "hello"}))
            assert alice.receive(said("x.grp.msg.forward", "Zndk", memberId=member, msg=inner)) is False
            assert alice.service.history("bob")[-1].sender == name

    def test_names_of_members_are_bounded_and_only_the_host_gives_them(
        self, alice: Alice, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(lines, "MAX_MEMBERS", 1)
        forged = {"memberId": "YmVu", "profile": {"displayName": "the boss"}}
        alice.receive(self.relay("x.grp.mem.new", TWO, memberInfo=forged))
        with alice.service.database.transaction() as tx:
            assert lines.member_name(tx, 1, "YmVu") is None
            for member in ("YmVu", "Y2Fy"):
                lines.save_member_name(tx, 1, member, member)
            lines.save_member_name(tx, 1, "YmVu", "ben")
            assert (lines.member_name(tx, 1, "YmVu"), lines.member_name(tx, 1, "Y2Fy")) == ("ben", None)

    def test_a_time_in_the_future_is_not_believed(self, alice: Alice) -> None:
        body = self.relay("x.msg.new", content={"type": "text", "text": "hello"}).replace(b"2023-", b"2099-")
        alice.receive(body)
        assert alice.message().sent_at == NOW

    def test_a_copy_is_not_shown_again(self, alice: Alice) -> None:
        self.hello(alice)
        self.hello(alice)
        assert alice.message().text == "hello"

    def test_each_changes_its_own_only(self, alice: Alice) -> None:
        self.hello(alice)
        content = {"type": "text", "text": "I owe you 1000"}
        for body in (
            update(TWO, "I owe you 1000"),
            deletion(TWO),
            self.relay("x.msg.update", "dQ==", "dave", msgId=TWO, content=content),
            self.relay("x.msg.del", "dg==", "dave", msgId=TWO),
        ):
            alice.receive(body)
        assert alice.service.history("bob")[0].text == "hello"
        alice.receive(self.relay("x.msg.update", "dw==", msgId=TWO, content=content))
        first = alice.service.history("bob")[0]
        assert (first.text, first.sender, first.edited) == ("I owe you 1000", "carol", True)
        alice.receive(self.relay("x.msg.del", "eA==", msgId=TWO))
        assert alice.service.history("bob")[0].deleted

    def test_a_member_cannot_end_the_contact_or_name_it(self, alice: Alice) -> None:
        alice.receive(self.relay("x.direct.del"))
        alice.receive(self.relay("x.info", profile={"displayName": "Eve"}))
        assert (alice.contact().gone, alice.contact().profile) == (False, None)

    def test_what_a_member_does_is_a_line_of_its_own(self, alice: Alice) -> None:
        alice.receive(self.relay("x.grp.leave"))
        assert (alice.message().sender, alice.message().text) == ("carol", "[left the group]")


class TestBursts:
    """Who changes messages without end is heard once in a while, with the last."""

    def test_so_many_changes_are_told_in_a_minute_and_then_the_last(self, alice: Alice) -> None:
        """Bystander: Carol, whose edit is told at once."""
        for who, shared_id in ((BOB, ONE), (CAROL, TWO)):
            alice.receive(encode_text("hello", shared_id), of=who)
        for message in alice.service.unshown_messages():
            alice.service.mark_shown(message.id)
        alice.news()
        for number in range(5 * untold.MOST):
            alice.receive(update(ONE, f"version {number}") if number % 2 else reaction(ONE, add=number % 4 == 0))
            if number == 4 * untold.MOST:
                alice.receive(update(TWO, "hello!"), of=CAROL)
        told = [event for event in alice.news() if isinstance(event, events.MessageChanged)]
        assert [event.contact for event in told].count("bob") == untold.MOST
        assert told[-1].contact == "carol"
        last = f"version {5 * untold.MOST - 1}"
        assert alice.message().text == last, "it is what is stored, all the same"
        for message in alice.service.unshown_changes():
            alice.service.mark_shown(message.id, message.changes)
        assert alice.service.next_expiry() == NOW + untold.WINDOW
        alice.now += untold.WINDOW - 1
        assert alice.news() == [] == alice.service.unshown_changes()
        alice.now += 2
        assert [event.contact for event in alice.news() if isinstance(event, events.MessageChanged)] == ["bob"]
        [message] = alice.service.unshown_changes()
        assert (message.contact, message.text) == ("bob", last)
        assert alice.service.next_expiry() is None
        alice.receive(reaction(ONE, REACTIONS[1]))
        assert len(alice.news()) == 1, "and a new minute begins"

    def test_a_clock_that_is_set_back_tells_it_too(self, alice: Alice) -> None:
        alice.receive(encode_text("hello", ONE))
        for number in range(untold.MOST + 2):
            alice.receive(update(ONE, f"version {number}"))
        alice.news()
        alice.now -= 3_600
        assert len(alice.news()) == 1

    def test_what_is_being_written_is_drawn_so_often_too(self, alice: Alice) -> None:
        alice.receive(message("h", live=True))
        for number in range(3 * untold.MOST):
            alice.receive(update(ONE, f"h{number}", live=True))
        assert len(alice.news()) == 1 + untold.MOST
        alice.receive(update(ONE, "hello"))
        assert [m.text for m in alice.service.unshown_messages()] == ["hello"], "who looks finds it finished"
        alice.now += untold.WINDOW + 1
        [told] = alice.news()
        assert isinstance(told, events.MessageChanged) and alice.service.unshown_changes() == []

    def test_a_deletion_is_told_at_once_and_nothing_after_it(self, alice: Alice) -> None:
        alice.receive(encode_text("hello", ONE))
        for message_ in alice.service.unshown_messages():
            alice.service.mark_shown(message_.id)
        for number in range(untold.MOST + 2):
            alice.receive(update(ONE, f"version {number}"))
        alice.news()
        alice.receive(deletion(ONE))
        assert [getattr(event, "change", None) for event in alice.news()] == [events.Change.DELETED]
        alice.now += untold.WINDOW + 1
        assert alice.news() == []

    def test_of_the_versions_in_one_body_the_last_is_written(self, alice: Alice) -> None:
        alice.receive(encode_text("hello", ONE))
        alice.receive(encode_text("other", TWO))
        alice.news()
        versions = [update(ONE, f"version {number}") for number in range(100)]
        alice.receive(compress_body(b"[" + b",".join([*versions[:50], update(TWO, "other!"), *versions[50:]]) + b"]"))
        assert sorted(m.text for m in alice.service.history("bob")) == ["other!", "version 99"]
        assert len(alice.news()) == 2


class TestDeletions:
    def test_a_contact_takes_its_message_back(self, alice: Alice) -> None:
        alice.receive(encode_text("xyzzy plugh", ONE))
        alice.receive(reaction(ONE))
        number = alice.message().id
        alice.news()
        alice.receive(deletion(ONE), at=NOW + DELETABLE)
        message = alice.message()
        assert (message.deleted, message.text, message.reactions) == (True, "", ())
        assert alice.news() == [events.MessageChanged(number, "bob", "deleted", "received")]
        alice.service.database.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        assert not any(b"xyzzy" in path.read_bytes() for path in alice.service.folder.iterdir())

    def test_after_78_hours_it_is_too_late(self, alice: Alice) -> None:
        alice.receive(encode_text("hello", ONE))
        alice.receive(deletion(ONE), at=NOW + DELETABLE + 1)
        assert (alice.message().text, alice.message().deleted) == ("hello", False)

    def test_a_deleted_message_stays_deleted(self, alice: Alice) -> None:
        alice.receive(encode_text("hello", ONE))
        alice.receive(deletion(ONE))
        alice.news()
        for body in (update(ONE, "back"), reaction(ONE), deletion(ONE)):
            alice.receive(body)
        assert (alice.message().text, alice.message().reactions) == ("", ())
        assert alice.news() == []

    def test_of_a_message_that_never_came_nothing_is_kept(self, alice: Alice) -> None:
        alice.receive(deletion(ONE))
        assert alice.service.history("bob") == []

    def test_a_contact_cannot_delete_our_message_or_that_of_another(self, alice: Alice) -> None:
        alice.sent("I was there", OWN)
        alice.receive(encode_text("hello", ONE), of=CAROL)
        alice.receive(deletion(OWN))
        alice.receive(deletion(ONE))
        assert alice.message("bob").text == "I was there"
        assert alice.message("carol").text == "hello"


class TestReactions:
    def test_to_both_sides_messages(self, alice: Alice) -> None:
        ours = alice.sent("hello", OWN)
        alice.receive(encode_text("hi", ONE))
        alice.receive(reaction(OWN, REACTIONS[0]))
        alice.receive(reaction(ONE, REACTIONS[1]))
        first, second = alice.service.history("bob")
        assert first.reactions == (Reaction(REACTIONS[0], Direction.RECEIVED),)
        assert second.reactions == (Reaction(REACTIONS[1], Direction.RECEIVED),)
        assert events.MessageChanged(ours, "bob", "reaction", "received") in alice.news()

    def test_twice_is_once_and_taking_it_away_leaves_the_others(self, alice: Alice) -> None:
        ours = alice.sent("hello", OWN)
        with alice.service.database.transaction() as tx:
            changes.react(tx, ours, Direction.SENT, REACTIONS[0], add=True)
        for body in [reaction(OWN), reaction(OWN), reaction(OWN, REACTIONS[1])]:
            alice.receive(body)
        assert len(alice.news()) == 2
        alice.receive(reaction(OWN, add=False))
        alice.receive(reaction(OWN, add=False))
        assert alice.message().reactions == (
            Reaction(REACTIONS[1], Direction.RECEIVED),
            Reaction(REACTIONS[0], Direction.SENT),
        )
        assert len(alice.news()) == 1

    def test_only_within_the_conversation(self, alice: Alice) -> None:
        alice.sent("hello", OWN)
        alice.receive(reaction(OWN), of=CAROL)
        assert alice.message("bob").reactions == ()


class TestReplies:
    def reply(self, quote: Quote) -> bytes:
        return encode_text("yes", TWO, quotation(quote, NOW))

    def test_our_copy_of_the_original_is_shown_and_not_the_reply_s(self, alice: Alice) -> None:
        ours = alice.sent("do you like it?", OWN)
        alice.receive(self.reply(Quote(OWN, by_sender=False, text="do you owe me 1000?")))
        [_, answer] = alice.service.history("bob")
        assert answer.reply_to == Quoted(ours, Direction.SENT, "do you like it?")

    def test_it_follows_an_edit_and_a_deletion_of_the_original(self, alice: Alice) -> None:
        alice.receive(encode_text("one", ONE))
        alice.receive(self.reply(Quote(ONE, by_sender=True, text="one")))
        alice.receive(update(ONE, "one!"))
        original, answer = alice.service.history("bob")
        assert answer.reply_to == Quoted(original.id, Direction.RECEIVED, "one!")
        alice.receive(deletion(ONE))
        assert alice.service.history("bob")[1].reply_to == Quoted(original.id, Direction.RECEIVED, "", deleted=True)

    def test_of_an_unknown_original_its_words_are_kept(self, alice: Alice) -> None:
        alice.receive(self.reply(Quote(ONE, by_sender=True, text="long ago")))
        assert alice.message().reply_to == Quoted(None, Direction.RECEIVED, "long ago")

    def test_a_contact_cannot_reach_another_conversation_with_a_quote(self, alice: Alice) -> None:
        alice.receive(encode_text("carol's secret", ONE), of=CAROL)
        alice.receive(self.reply(Quote(ONE, by_sender=True, text="?")))
        assert alice.message("bob").reply_to == Quoted(None, Direction.RECEIVED, "?")


class TestVersions:
    def receive(self, alice: Alice, versions: str | None) -> int | None:
        value: dict[str, Any] = {"event": "x.ok", "params": {}}
        if versions is not None:
            value["v"] = versions
        alice.receive(json.dumps(value).encode())
        return alice.contact().chat_version

    def test_the_lower_maximum_counts_and_it_is_never_lowered(self, alice: Alice) -> None:
        assert alice.contact().chat_version is None
        assert self.receive(alice, None) == 1
        assert self.receive(alice, "1-7") == 7
        assert self.receive(alice, "1-18") == 16
        assert self.receive(alice, "1-9") == 16
        assert self.receive(alice, "17-18") == 16

    def test_versions_with_nothing_in_common_say_nothing(self, alice: Alice) -> None:
        assert self.receive(alice, "17-18") is None


class TestShowing:
    def test_a_change_is_to_be_shown_once_after_the_message(self, alice: Alice) -> None:
        alice.receive(encode_text("one", ONE))
        alice.receive(update(ONE, "one!"))
        [message] = alice.service.unshown_messages()
        assert (message.text, alice.service.unshown_changes()) == ("one!", [])
        alice.service.mark_shown(message.id, message.changes)
        assert (alice.service.unshown_messages(), alice.service.unshown_changes()) == ([], [])
        alice.receive(reaction(ONE))
        [changed] = alice.service.unshown_changes()
        alice.service.mark_shown(changed.id, changed.changes)
        assert alice.service.unshown_changes() == []

    def test_a_change_between_printing_and_noting_is_not_lost(self, alice: Alice) -> None:
        alice.receive(encode_text("one", ONE))
        [message] = alice.service.unshown_messages()
        alice.receive(update(ONE, "one!"))
        alice.service.mark_shown(message.id, message.changes)
        assert [changed.text for changed in alice.service.unshown_changes()] == ["one!"]
        alice.service.mark_shown(message.id)
        assert alice.service.unshown_changes() == []


def test_a_contact_that_deleted_us_is_marked(alice: Alice) -> None:
    alice.receive(encode_contact_deleted("ZGVs"))
    assert alice.contact().gone
    assert not alice.contact("carol").gone
    assert alice.news() == [
        events.Notice("bob", "bob removed you.", number=1),
        events.ContactChanged("bob"),
    ]


class TestProgress:
    def change(self, alice: Alice) -> changes.SentChange:
        ours = alice.sent("hello", OWN)
        with alice.service.database.transaction() as tx:
            change = changes.insert_sent(tx, ours, records.contact(tx, "bob").id)
        alice.news()
        return change

    def status(self, alice: Alice, change: changes.SentChange) -> tuple[MessageStatus, MessageStatus]:
        found = alice.service.change(change.id)
        assert found is not None
        return found.status, alice.message().status

    def test_of_an_old_change_is_kept_until_it_has_one(self, alice: Alice, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(changes, "KEPT", 3)
        first, second, *others = [self.change(alice) for _ in range(4)]
        with alice.service.database.transaction() as tx:
            for change in (second, *others):
                alice.application.message_sent(tx, change.reference)
        self.change(alice)
        found = [alice.service.change(change.id) for change in (first, second, *others)]
        assert [change and change.status for change in found] == ["pending", None, "sent", "sent"]

    def test_of_a_change_is_not_that_of_its_message(self, alice: Alice) -> None:
        change = self.change(alice)
        with alice.service.database.transaction() as tx:
            alice.application.message_sent(tx, change.reference)
        assert self.status(alice, change) == (MessageStatus.SENT, MessageStatus.PENDING)
        assert alice.news() == []

    def test_a_change_that_fails_is_told(self, alice: Alice) -> None:
        change = self.change(alice)
        with alice.service.database.transaction() as tx:
            alice.application.message_failed(tx, change.reference, "Gone.")
        assert self.status(alice, change) == (MessageStatus.FAILED, MessageStatus.PENDING)
        assert alice.news() == [
            events.Notice("bob", f"Your change to message {change.message_id} did not reach bob: Gone.", number=1)
        ]

    def test_of_what_was_deleted_meanwhile_is_nobodys_business(self, alice: Alice) -> None:
        with alice.service.database.transaction() as tx:
            for reference in (99, -99):
                alice.application.message_sent(tx, reference)
                alice.application.message_delivered(tx, reference)
                alice.application.message_failed(tx, reference, "Gone.")
        assert alice.news() == []

    def test_a_receipt_may_come_before_the_relays_answer(self, alice: Alice) -> None:
        ours = alice.sent("hello", OWN)
        with alice.service.database.transaction() as tx:
            alice.application.message_delivered(tx, ours)
            alice.application.message_sent(tx, ours)
        assert alice.message().status is MessageStatus.DELIVERED
