"""What two sides allow, as it decides what arrives and what is sent; messages that disappear, in the store."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from smpchat.agent.machines.delivery import Integrity
from smpchat.chat.service.connecting import ChatService
from smpchat.chat.service.reading import DATABASE_NAME
from smpchat.chat.store import contact_settings, events, expiry, records
from smpchat.chat.store.records import Contact, Direction, Message, MessageStatus
from smpchat.chat.transactions import preferences
from smpchat.chat.transactions.incoming import ChatApplication
from smpchat.chat.wire.message import (
    REACTIONS,
    MessageDeletion,
    MessageUpdate,
    Quote,
    ReactionChange,
    encode_deletion,
    encode_profile,
    encode_reaction,
    encode_text,
    encode_update,
    quotation,
)
from smpchat.chat.wire.preferences import Allow, Feature, Preference
from smpchat.chat.wire.profile import Profile

BOB = 7
ONE, TWO, OWN = "b25l", "dHdv", "b3du"
NOW = 1_700_000_000
DAY = 86_400


class Alice:
    """A profile with one contact that exists in the chat layer only, and a clock."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.clock = folder, float(NOW)
        self.open()
        with self.service.database.transaction() as tx:
            records.insert_contact(tx, BOB, "bob")

    def open(self) -> None:
        self.service = ChatService(self.folder, "alice", now=lambda: self.clock)
        application = self.service.context.application
        assert isinstance(application, ChatApplication)
        self.application = application

    def restart(self) -> None:
        self.service.close()
        self.open()

    def receive(self, body: bytes, at: int | None = None) -> bool:
        with self.service.database.transaction() as tx:
            sent_at = int(self.clock) if at is None else at
            return self.application.message_received(tx, BOB, body, sent_at, Integrity.OK)

    def sent(self, text: str, ttl: int | None = None, shared_id: str = OWN) -> int:
        with self.service.database.transaction() as tx:
            contact = records.contact(tx, "bob")
            return records.insert_message(tx, contact.id, Direction.SENT, text, self.clock, shared_id, ttl=ttl)

    def left(self, message_id: int) -> None:
        with self.service.database.transaction() as tx:
            self.application.message_sent(tx, message_id)

    def contact(self) -> Contact:
        return records.contact(self.service.database.connection, "bob")

    def message(self) -> Message:
        [message] = self.service.history("bob")
        return message

    def texts(self) -> list[str]:
        return [message.text for message in self.service.history("bob")]

    def says(self, **allowed: Allow) -> None:
        """Bob's profile arrives; features by their names in Python."""
        said = {Feature[name]: Preference(allow) for name, allow in allowed.items()}
        self.receive(encode_profile(Profile("Bob", preferences=said)))

    def allow(self, feature: Feature, allow: Allow) -> None:
        """We allow Bob something."""
        with self.service.database.transaction() as tx:
            contact_settings.save(tx, self.contact().id, feature, allow)

    def agreement(self) -> preferences.Agreement:
        return preferences.agreement(self.service.database.connection, self.contact())


@pytest.fixture
def alice(tmp_path: Path) -> Iterator[Alice]:
    person = Alice(tmp_path)
    yield person
    person.service.close()


def timed(ttl: int, text: str = "soon gone", shared_id: str = ONE) -> bytes:
    return encode_text(text, shared_id, ttl=ttl)


class TestProfilesOfContacts:
    def test_preferences_are_kept(self, alice: Alice) -> None:
        alice.says(REACTIONS=Allow.NO, FULL_DELETE=Allow.ALWAYS)
        assert alice.contact().profile == Profile(
            "Bob", preferences={Feature.REACTIONS: Preference(Allow.NO), Feature.FULL_DELETE: Preference(Allow.ALWAYS)}
        )
        assert alice.agreement().on(Feature.REACTIONS).by_us is False

    def test_a_picture_is_kept_apart_and_goes_with_the_profile(self, alice: Alice) -> None:
        uri = "data:image/jpg;base64,/9j/4AAQ"
        alice.receive(encode_profile(Profile("Bob", "", "climbs", uri)))
        contact = alice.contact()
        assert contact.profile == Profile("Bob", "", "climbs") and contact.picture
        assert alice.service.picture("bob").data == b"\xff\xd8\xff\xe0\x00\x10"
        alice.receive(encode_profile(Profile("Bob")))
        assert not alice.contact().picture

    def test_the_same_profile_again_is_no_news(self, alice: Alice) -> None:
        profile = encode_profile(Profile("Bob", picture="data:image/jpg;base64,/9j/4AAQ"))
        alice.receive(profile)
        seen = alice.service.last_event()
        alice.receive(profile)
        assert alice.service.events_after(seen) == []

    def test_the_time_of_either_side_holds_for_both(self, alice: Alice) -> None:
        """As in apps: what one side sets is what the other side sends too."""
        alice.receive(encode_profile(Profile("Bob", preferences={Feature.TIMED_MESSAGES: Preference(Allow.YES, DAY)})))
        assert alice.agreement().ttl == DAY
        assert alice.agreement().ours[Feature.TIMED_MESSAGES] == Preference(Allow.YES, DAY)
        alice.says(TIMED_MESSAGES=Allow.YES)
        assert alice.agreement().ttl is None

    def test_the_first_profile_does_not_take_back_what_we_ask_for(self, alice: Alice) -> None:
        with alice.service.database.transaction() as tx:
            preferences.save_ttl(tx, alice.contact().id, 60)
        alice.says()
        assert alice.agreement().ttl == 60


class TestLines:
    """What a contact changes about itself is a line of the conversation, and never one of its own words."""

    def lines(self, alice: Alice) -> list[str]:
        return [message.text for message in alice.service.unshown_messages()]

    def test_the_first_profile_is_none(self, alice: Alice) -> None:
        alice.says(REACTIONS=Allow.NO, TIMED_MESSAGES=Allow.NO, FULL_DELETE=Allow.ALWAYS)
        assert self.lines(alice) == []

    def test_another_name(self, alice: Alice) -> None:
        for name in ("Bob", "Bob", "Rob\nert\x1b[2J" + "t" * 200):
            alice.receive(encode_profile(Profile(name)))
        [line] = self.lines(alice)
        assert line.startswith("[is now called Rob ert (2Jttt") and len(line) < 125
        assert alice.contact().alias == "bob"

    def test_a_picture_or_description_is_none(self, alice: Alice) -> None:
        alice.receive(encode_profile(Profile("Bob")))
        alice.receive(encode_profile(Profile("Bob", "B", "climbs", "data:image/jpg;base64,/9j/4AAQ")))
        assert self.lines(alice) == []

    def test_the_time(self, alice: Alice) -> None:
        says = [(Allow.YES, None), (Allow.YES, DAY), (Allow.YES, DAY), (Allow.YES, 90), (Allow.YES, None)]
        says += [(Allow.YES, 60), (Allow.NO, 60), (Allow.NO, 30), (Allow.YES, None), (Allow.ALWAYS, None)]
        for allow, ttl in says:
            alice.receive(encode_profile(Profile("Bob", preferences={Feature.TIMED_MESSAGES: Preference(allow, ttl)})))
        assert self.lines(alice) == [
            "[set messages to disappear after 1 day]",
            "[set messages to disappear after 1 minute 30 seconds]",
            "[turned disappearing messages off]",
            "[set messages to disappear after 1 minute]",
            "[no longer allows disappearing messages]",
            "[allows disappearing messages]",
        ]

    def test_not_where_we_do_not_allow_it_anyway(self, alice: Alice) -> None:
        for feature in (Feature.TIMED_MESSAGES, Feature.REACTIONS):
            alice.allow(feature, Allow.NO)
        alice.says()
        alice.says(TIMED_MESSAGES=Allow.NO, REACTIONS=Allow.NO, FULL_DELETE=Allow.YES)
        assert self.lines(alice) == []

    def test_deletion_and_reactions(self, alice: Alice) -> None:
        alice.says()
        alice.says(REACTIONS=Allow.NO, FULL_DELETE=Allow.ALWAYS)
        alice.says()
        assert self.lines(alice) == [
            "[lets you delete messages without a trace]",
            "[no longer allows reactions]",
            "[keeps a mark for messages that you delete]",
            "[allows reactions]",
        ]


class TestReactions:
    def reacts(self, alice: Alice) -> bool:
        alice.receive(encode_reaction(ReactionChange(OWN, REACTIONS[0], True), "cg=="))
        return bool(alice.message().reactions)

    def test_they_are_taken_where_both_allow_them(self, alice: Alice) -> None:
        alice.sent("hello")
        assert self.reacts(alice)

    @pytest.mark.parametrize(
        ("we", "they", "taken"),
        [(Allow.NO, Allow.YES, False), (Allow.YES, Allow.NO, False), (Allow.ALWAYS, Allow.NO, True)],
    )
    def test_what_one_side_forbids(self, alice: Alice, we: Allow, they: Allow, taken: bool) -> None:
        alice.says(REACTIONS=they)
        alice.allow(Feature.REACTIONS, we)
        alice.sent("hello")
        assert self.reacts(alice) is taken


class TestFullDeletion:
    def deleted(self, alice: Alice) -> None:
        alice.receive(encode_deletion(MessageDeletion(ONE), "ZA=="))

    def test_a_mark_stays_where_one_side_does_not_allow_it(self, alice: Alice) -> None:
        alice.says(FULL_DELETE=Allow.YES)
        alice.receive(encode_text("oops", ONE))
        self.deleted(alice)
        assert alice.message().deleted

    def test_nothing_stays_of_what_nobody_was_shown(self, alice: Alice) -> None:
        alice.allow(Feature.FULL_DELETE, Allow.YES)
        alice.says(FULL_DELETE=Allow.YES)
        alice.receive(encode_text("oops", ONE))
        self.deleted(alice)
        assert alice.service.unshown_messages() == alice.service.unshown_changes() == alice.service.history("bob") == []

    def test_what_was_shown_is_told_of_once_more(self, alice: Alice) -> None:
        alice.allow(Feature.FULL_DELETE, Allow.ALWAYS)  # theirs is no: they may, we may not
        alice.receive(encode_text("oops", ONE))
        [message] = alice.service.unshown_messages()
        alice.service.mark_shown(message.id, message.changes)
        alice.receive(encode_text("about that", TWO, quotation(Quote(ONE, by_sender=True, text="oops"), NOW)))
        self.deleted(alice)
        assert [m.text for m in alice.service.history("bob")] == ["about that"]
        [changed] = alice.service.unshown_changes()
        assert (changed.id, changed.text, changed.deleted) == (message.id, "", True)
        [reply] = alice.service.history("bob")
        assert reply.reply_to is not None and (reply.reply_to.text, reply.reply_to.deleted) == ("", True)
        alice.service.mark_shown(changed.id, changed.changes)
        assert alice.service.message(message.id) is None and alice.service.unshown_changes() == []


class TestDisappearing:
    def test_the_time_begins_when_it_is_shown(self, alice: Alice) -> None:
        alice.receive(timed(60))
        alice.clock += DAY
        message = alice.message()
        assert (message.ttl, message.expires_at) == (60, None)
        alice.service.mark_shown(message.id)
        assert alice.message().expires_at == alice.clock + 60
        alice.clock += 59
        assert alice.texts() == ["soon gone"]
        alice.clock += 1
        assert alice.texts() == []

    def test_showing_it_again_does_not_lengthen_its_time(self, alice: Alice) -> None:
        alice.receive(timed(60))
        alice.service.mark_shown(alice.message().id)
        alice.clock += 30
        alice.service.mark_shown(alice.message().id)
        alice.service.were_read(alice.service.history("bob"))
        assert alice.message().expires_at == NOW + 60

    def test_a_look_into_the_history_counts(self, alice: Alice) -> None:
        alice.receive(timed(60))
        alice.service.were_read(alice.service.history("bob"))
        assert alice.message().expires_at == NOW + 60 and not alice.message().shown
        alice.clock += 60
        assert alice.service.unshown_messages() == []

    @pytest.mark.parametrize(("we", "they"), [(Allow.NO, Allow.YES), (Allow.YES, Allow.NO), (Allow.ALWAYS, Allow.NO)])
    def test_it_stays_where_one_side_does_not_allow_it(self, alice: Alice, we: Allow, they: Allow) -> None:
        alice.says(TIMED_MESSAGES=they)
        alice.allow(Feature.TIMED_MESSAGES, we)
        alice.receive(timed(60))
        assert alice.message().ttl is None

    def test_ours_goes_after_it_has_left(self, alice: Alice) -> None:
        number = alice.sent("our words", 60)
        alice.clock += DAY  # held back: nobody has it yet
        assert alice.texts() == ["our words"]
        alice.left(number)
        alice.clock += 60
        assert alice.texts() == []
        assert alice.service.message(number) is None

    def test_what_failed_goes_too(self, alice: Alice) -> None:
        number = alice.sent("our words", 60)
        with alice.service.database.transaction() as tx:
            alice.application.message_failed(tx, number, "no")
        alice.clock += 61
        assert alice.texts() == []

    def test_a_late_receipt_is_nobodys_business(self, alice: Alice) -> None:
        number = alice.sent("our words", 60)
        message = alice.service.message(number)
        assert message is not None
        alice.left(number)
        alice.clock += 60
        alice.service.expire()
        seen = alice.service.last_event()
        with alice.service.database.transaction() as tx:
            alice.application.message_delivered(tx, number)
        assert alice.service.events_after(seen) == []
        assert alice.service.fate(message) == (MessageStatus.SENT, None)

    def test_it_is_gone_before_anything_is_shown_after_a_restart(self, alice: Alice) -> None:
        alice.receive(timed(60))
        alice.service.mark_shown(alice.message().id)
        alice.service.close()
        alice.clock += 10 * DAY
        alice.open()
        rows = alice.service.database.read("SELECT * FROM messages")
        assert rows == [] and alice.contact().unread == 0

    def test_replies_forget_what_they_quote(self, alice: Alice) -> None:
        alice.receive(timed(60))
        alice.receive(encode_text("so what", TWO, quotation(Quote(ONE, by_sender=True, text="soon gone"), NOW)))
        alice.service.mark_shown(1)
        alice.clock += 60
        quoted = alice.message().reply_to
        assert quoted is not None and (quoted.id, quoted.text, quoted.deleted) == (None, "", True)

    def test_a_later_reply_does_not_bring_its_words_back(self, alice: Alice) -> None:
        alice.left(alice.sent("our words", 60))
        alice.clock += 60
        alice.service.expire()
        alice.receive(encode_text("what?", TWO, quotation(Quote(OWN, by_sender=False, text="our words"), NOW)))
        quoted = alice.message().reply_to
        assert quoted is not None and (quoted.text, quoted.deleted) == ("", True)
        assert not any("our words" in str(tuple(row)) for row in alice.service.database.read("SELECT * FROM messages"))

    def test_the_ids_of_what_is_gone_are_bounded(self, alice: Alice, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(expiry, "KEPT_IDS", 3)
        for number in range(5):
            alice.receive(timed(0, shared_id=f"aWQ{number}"))
        for message in alice.service.unshown_messages():
            alice.service.mark_shown(message.id)
        alice.service.expire()
        kept = [row["shared_id"] for row in alice.service.database.read("SELECT * FROM gone_messages ORDER BY id")]
        assert kept == ["aWQ2", "aWQ3", "aWQ4"]

    def test_whoever_follows_is_told(self, alice: Alice) -> None:
        alice.receive(timed(0))
        seen = alice.service.last_event()
        alice.service.mark_shown(1)
        alice.service.expire()
        assert [event for _, event in alice.service.events_after(seen)] == [events.MessageExpired(1, "bob")]

    def test_the_next_time_is_known(self, alice: Alice) -> None:
        assert alice.service.next_expiry() is None
        for ttl, shared_id in ((60, ONE), (30, TWO)):
            alice.receive(timed(ttl, shared_id=shared_id))
        for message in alice.service.unshown_messages():
            alice.service.mark_shown(message.id)
        assert alice.service.next_expiry() == NOW + 30


class TestEdits:
    def edit(self, alice: Alice, ttl: int | None, text: str = "other words") -> None:
        alice.receive(encode_update(MessageUpdate(ONE, text, ttl=ttl), "dQ=="))

    def test_an_edit_of_what_we_do_not_have_disappears_too(self, alice: Alice) -> None:
        self.edit(alice, 60)
        alice.service.mark_shown(alice.message().id)
        assert alice.message().expires_at == NOW + 60

    @pytest.mark.parametrize(
        ("before", "in_edit", "after"), [(None, 60, 60), (60, 30, 30), (30, 60, 30), (60, None, 60)]
    )
    def test_it_may_begin_or_shorten_the_time(
        self, alice: Alice, before: int | None, in_edit: int | None, after: int
    ) -> None:
        alice.receive(encode_text("soon gone", ONE, ttl=before))
        self.edit(alice, in_edit)
        assert (alice.message().ttl, alice.message().expires_at, alice.message().text) == (after, None, "other words")

    def test_of_what_was_shown_it_runs_at_once(self, alice: Alice) -> None:
        alice.receive(encode_text("for ever", ONE))
        alice.service.mark_shown(alice.message().id)
        self.edit(alice, 60)
        assert alice.message().expires_at == NOW + 60

    def test_not_where_one_side_does_not_allow_it(self, alice: Alice) -> None:
        alice.says(TIMED_MESSAGES=Allow.NO)
        alice.receive(encode_text("for ever", ONE))
        self.edit(alice, 60)
        assert alice.message().ttl is None


class TestTheFile:
    """Nothing of a message that disappeared can be read in the files any more."""

    def content(self, folder: Path) -> bytes:
        return b"".join(path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file())

    @pytest.mark.parametrize("text", ["a short secret", "a long secret " * 900])
    def test_neither_database_nor_log_holds_the_text(self, alice: Alice, tmp_path: Path, text: str) -> None:
        secret = b"a short secret" if "short" in text else b"a long secret"
        alice.receive(encode_text("before", TWO))
        alice.receive(timed(60, text))
        alice.receive(encode_text("so what", "dGhyZWU=", quotation(Quote(ONE, by_sender=True, text=text), NOW)))
        self_written = alice.sent(text, 60)
        alice.left(self_written)
        for message in alice.service.unshown_messages():
            alice.service.mark_shown(message.id)
        assert secret in self.content(tmp_path)
        alice.clock += 60
        alice.service.expire()
        assert secret not in self.content(tmp_path)
        assert alice.texts() == ["before", "so what"]

    def test_a_reader_beside_it_only_delays_that(self, alice: Alice, tmp_path: Path) -> None:
        alice.receive(timed(60, "a short secret"))
        alice.service.mark_shown(1)
        other = sqlite3.connect(tmp_path / DATABASE_NAME, isolation_level=None)
        other.execute("BEGIN")
        other.execute("SELECT * FROM messages").fetchall()
        alice.clock += 60
        alice.service.expire()
        other.execute("COMMIT")
        other.close()
        alice.service.database.clear_log()
        assert b"a short secret" not in self.content(tmp_path)

    def test_a_deleted_text_is_gone_as_well(self, alice: Alice, tmp_path: Path) -> None:
        alice.allow(Feature.FULL_DELETE, Allow.ALWAYS)
        alice.receive(encode_text("a short secret", ONE))
        alice.receive(encode_deletion(MessageDeletion(ONE), "ZA=="))
        alice.service.database.clear_log()
        assert b"a short secret" not in self.content(tmp_path)
