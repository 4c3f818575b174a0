"""Two people who are connected: a changed name, picture or permission reaches the other, and what follows."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from smpchat.chat.errors import InputError, UnknownContact
from smpchat.chat.service.connecting import ChatService
from smpchat.chat.store.records import Message, MessageStatus
from smpchat.chat.wire.message import REACTIONS
from smpchat.chat.wire.picture import MAX_FILE
from smpchat.chat.wire.preferences import OWN_DEFAULTS, Allow, Feature, Preference
from smpchat.chat.wire.profile import Profile
from smpchat.protocol.commands import LSet, Send
from smpchat.testing.entropy import SeededEntropy
from smpchat.testing.loop import run_jumping
from smpchat.testing.relay import MemoryRelay
from tests.faults.people import START, Person

JPEG = b"\xff\xd8\xff\xe0"
Scenario = Callable[["Pair"], Coroutine[Any, Any, None]]


class Pair:
    """Alice and Bob. Bystander: Alice has asked to join a link of Carol's, whose relay never answers."""

    def __init__(self, folder: Path) -> None:
        self.relay = MemoryRelay(SeededEntropy("relay"), lambda: START)
        self.dead = MemoryRelay(SeededEntropy("dead"), lambda: START)
        self.alice = Person("alice", folder / "alice", [self.relay, self.dead], home=self.relay)
        self.bob = Person("bob", folder / "bob", [self.relay], home=self.relay)
        self.carol = Person("carol", folder / "carol", [self.dead], home=self.dead)

    async def connected(self) -> None:
        """The two are online and connected; the bystander is stored."""
        self.carol.service.invite("alice")
        async with self.carol.online():
            await self.carol.until(lambda s: s.invitations()[0].link is not None)
        await self.dead.stop()
        self.alice.service.connect(self.carol.service.invitations()[0].link or "", "carol")
        self.alice.service.invite("bob")
        await self.alice.until(lambda s: s.invitations()[0].link is not None)
        self.bob.service.connect(self.alice.service.invitations()[0].link or "", "alice")
        for person, other in ((self.alice, "bob"), (self.bob, "alice")):
            await person.until(partial(is_connected, alias=other))

    def sends(self) -> int:
        return sum(isinstance(command, Send) for command in self.relay.commands)


def is_connected(service: ChatService, alias: str) -> bool:
    return any(view.alias == alias and view.state.state == "connected" for view in service.contacts())


def has_messages(service: ChatService, count: int, alias: str) -> bool:
    return len(said(service, alias)) == count


def said(service: ChatService, alias: str) -> list[Message]:
    """The messages of a conversation, without the lines about changed profiles."""
    return [message for message in service.history(alias) if not message.text.startswith("[")]


def queued(person: Person, alias: str) -> int:
    """How much is on its way to a contact."""
    connection = person.service.contact(alias).contact.connection_id
    return len(person.service.database.read("SELECT 1 FROM outbox WHERE connection_id = ?", (connection,)))


def run(folder: Path, scenario: Scenario, *, connected: bool = True) -> None:
    async def main() -> None:
        pair = Pair(folder)
        async with pair.alice.online(), pair.bob.online():
            if connected:
                await pair.connected()
            await scenario(pair)
        await pair.relay.stop()
        for person in (pair.alice, pair.bob, pair.carol):
            person.service.close()

    run_jumping(main)


def profile_of(service: ChatService, who: str) -> Profile:
    profile = service.contact(who).contact.profile
    assert profile is not None
    return profile


class TestProfiles:
    def test_what_we_are_called_now_reaches_who_knows_us(self, tmp_path: Path) -> None:
        async def scenario(pair: Pair) -> None:
            assert profile_of(pair.bob.service, "alice") == Profile("alice", preferences=OWN_DEFAULTS)
            pair.alice.service.set_profile("Alice L.", description="down the hole", picture=JPEG)
            await pair.bob.until(lambda s: profile_of(s, "alice").display_name == "Alice L.")
            view = pair.bob.service.contact("alice")
            assert view.alias == "alice" and view.contact.picture
            assert [message.text for message in pair.bob.service.history("alice")] == ["[is now called Alice L.]"]
            assert profile_of(pair.bob.service, "alice").description == "down the hole"
            assert pair.bob.service.picture("alice").data == JPEG
            pair.alice.service.set_profile(remove_picture=True, description="")
            await pair.bob.until(lambda s: not s.contact("alice").contact.picture)
            assert profile_of(pair.bob.service, "alice") == Profile("Alice L.", preferences=OWN_DEFAULTS)

        run(tmp_path, scenario)

    def test_nobody_is_told_the_same_twice(self, tmp_path: Path) -> None:
        async def scenario(pair: Pair) -> None:
            pair.alice.service.set_profile("Alice")
            await pair.bob.until(lambda s: profile_of(s, "alice").display_name == "Alice")
            before = pair.sends()
            pair.alice.service.set_profile("Alice")
            pair.alice.service.set_allowed(Feature.REACTIONS, Allow.YES)
            pair.alice.service.set_contact_allowed("bob", Feature.REACTIONS, None)
            assert queued(pair.alice, "bob") == 0 and pair.sends() == before

        run(tmp_path, scenario)

    def test_who_is_not_connected_yet_is_told_by_the_handshake(self, tmp_path: Path) -> None:
        async def scenario(pair: Pair) -> None:
            pair.alice.service.invite("bob")
            await pair.alice.until(lambda s: s.invitations()[0].link is not None)
            async with pair.alice.away():
                pair.bob.service.connect(pair.alice.service.invitations()[0].link or "", "alice")
                await pair.bob.until(lambda s: s.contact("alice").state.state == "ready")
                pair.bob.service.set_profile("Robert")  # his confirmation is at the relay already
                pair.alice.service.set_profile("Alice")
            await pair.bob.until(lambda s: is_connected(s, "alice"))
            await pair.alice.until(lambda s: profile_of(s, "bob").display_name == "Robert")
            assert profile_of(pair.bob.service, "alice").display_name == "Alice"

        run(tmp_path, scenario, connected=False)

    def test_a_request_that_has_not_left_says_the_new_name(self, tmp_path: Path) -> None:
        async def scenario(pair: Pair) -> None:
            pair.alice.service.create_address()
            await pair.alice.until(lambda s: (a := s.address()) is not None and a.link is not None)
            address = pair.alice.service.address()
            assert address is not None
            async with pair.bob.away():
                pair.bob.service.connect(address.short_link or "", "alice", ["hi"])
                pair.bob.service.set_profile("Robert", picture=JPEG.ljust(MAX_FILE, b"\xa7"))
            await pair.alice.until(lambda s: bool(s.requests()))
            [request] = pair.alice.service.requests()
            assert (request.name, request.text) == ("Robert", "hi")
            pair.alice.service.accept("Robert", "bob")
            await pair.alice.until(lambda s: is_connected(s, "bob"))
            assert pair.alice.service.contact("bob").contact.picture

        run(tmp_path, scenario, connected=False)

    def test_the_largest_picture_reaches_everybody(self, tmp_path: Path) -> None:
        """Random bytes do not compress below their base64 form's entropy: the worst case."""
        picture = JPEG + SeededEntropy("picture").random(MAX_FILE - len(JPEG))

        async def scenario(pair: Pair) -> None:
            pair.alice.service.set_profile(picture=picture)
            await pair.connected()
            assert pair.bob.service.picture("alice").data == picture  # by the handshake
            pair.bob.service.set_profile(picture=picture)
            await pair.alice.until(lambda s: s.contact("bob").contact.picture)  # by a message
            pair.alice.service.create_address()
            await pair.alice.until(lambda s: (a := s.address()) is not None and a.short_link is not None)

        run(tmp_path, scenario, connected=False)

    def test_whoever_deleted_us_is_told_nothing(self, tmp_path: Path) -> None:
        async def scenario(pair: Pair) -> None:
            pair.bob.service.delete("alice")
            await pair.alice.until(lambda s: s.contact("bob").contact.gone)
            before = pair.sends()
            pair.alice.service.set_profile("Alice")
            assert queued(pair.alice, "bob") == 0 and pair.sends() == before

        run(tmp_path, scenario)

    def test_what_cannot_be_shown_changes_nothing(self, tmp_path: Path) -> None:
        async def scenario(pair: Pair) -> None:
            service = pair.alice.service
            for change in (
                lambda: service.set_profile(" "),
                lambda: service.set_profile("Alice", description="a" * 161),
                lambda: service.set_profile("Alice", picture=b"GIF89a"),
                lambda: service.set_disappearing("bob", 0),
            ):
                with pytest.raises(InputError):
                    change()
            with pytest.raises(UnknownContact):
                service.set_disappearing("dave", 60)
            with pytest.raises(InputError, match="profile has no picture"):
                service.picture("bob")
            assert service.own_profile() == Profile("alice", preferences=OWN_DEFAULTS)

        run(tmp_path, scenario)


class TestPreferences:
    def test_what_one_contact_may_not_do_is_told_to_that_contact(self, tmp_path: Path) -> None:
        async def scenario(pair: Pair) -> None:
            alice, bob = pair.alice, pair.bob
            details = alice.service.set_contact_allowed("bob", Feature.REACTIONS, Allow.NO)
            assert details.agreement.on(Feature.REACTIONS).by_them is False
            await bob.until(lambda s: not s.details("alice").agreement.on(Feature.REACTIONS).by_us)
            alice.service.send("bob", "hello")
            await bob.until(lambda s: bool(said(s, "alice")))
            number = said(bob.service, "alice")[0].id
            with pytest.raises(InputError, match="alice does not allow reactions"):
                bob.service.react(number, REACTIONS[0])
            with pytest.raises(InputError, match="you do not allow reactions with bob"):
                alice.service.react(said(alice.service, "bob")[0].id, REACTIONS[0])
            alice.service.set_contact_allowed("bob", Feature.REACTIONS, None)
            await bob.until(lambda s: s.details("alice").agreement.on(Feature.REACTIONS).by_us)
            bob.service.react(number, REACTIONS[0])
            await alice.until(lambda s: bool(said(s, "bob")[0].reactions))

        run(tmp_path, scenario)

    def test_what_is_set_for_all_is_told_to_all_but_those_for_whom_something_else_is(self, tmp_path: Path) -> None:
        async def scenario(pair: Pair) -> None:
            pair.alice.service.set_contact_allowed("carol", Feature.REACTIONS, Allow.YES)
            pair.alice.service.set_allowed(Feature.REACTIONS, Allow.NO)
            await pair.bob.until(lambda s: not s.details("alice").agreement.on(Feature.REACTIONS).by_us)
            said = {who: pair.alice.service.details(who).agreement.ours[Feature.REACTIONS] for who in ("bob", "carol")}
            assert said == {"bob": Preference(Allow.NO), "carol": Preference(Allow.YES)}
            assert pair.alice.service.set_profile("Alice").preferences[Feature.REACTIONS] == Preference(Allow.NO)
            pair.alice.service.set_allowed(Feature.REACTIONS, None)
            await pair.bob.until(lambda s: s.details("alice").agreement.on(Feature.REACTIONS).by_us)

        run(tmp_path, scenario)

    def test_messages_disappear_on_both_sides(self, tmp_path: Path) -> None:
        async def scenario(pair: Pair) -> None:
            alice, bob = pair.alice, pair.bob
            alice.service.set_disappearing("bob", 3600)
            await bob.until(lambda s: s.details("alice").agreement.ttl == 3600)
            alice.service.send("bob", "from alice")
            bob.service.send("alice", "from bob")
            for person, other in ((alice, "bob"), (bob, "alice")):
                await person.until(partial(has_messages, count=2, alias=other))
                for message in person.service.unshown_messages():
                    person.service.mark_shown(message.id)
            await alice.until(lambda s: all(m.status != MessageStatus.PENDING for m in said(s, "bob")))
            assert {m.ttl for m in said(alice.service, "bob") + said(bob.service, "alice")} == {3600}
            for person, other in ((alice, "bob"), (bob, "alice")):
                await person.until(partial(has_messages, count=0, alias=other), seconds=3700)
            alice.service.set_disappearing("bob", None)
            await bob.until(lambda s: s.details("alice").agreement.ttl is None)
            bob.service.send("alice", "stays")
            await alice.until(lambda s: [m.ttl for m in said(s, "bob")] == [None])

        run(tmp_path, scenario)

    def test_an_edit_disappears_with_its_message(self, tmp_path: Path) -> None:
        async def scenario(pair: Pair) -> None:
            pair.alice.service.set_disappearing("bob", 60)
            await pair.bob.until(lambda s: s.details("alice").agreement.ttl == 60)
            number = pair.alice.service.send("bob", "helo").id
            pair.alice.service.edit(number, "hello")
            await pair.bob.until(lambda s: [(m.text, m.ttl) for m in said(s, "alice")] == [("hello", 60)])

        run(tmp_path, scenario)

    def test_nothing_stays_of_a_message_that_both_allow_to_delete(self, tmp_path: Path) -> None:
        async def scenario(pair: Pair) -> None:
            alice, bob = pair.alice, pair.bob
            number = alice.service.send("bob", "oops").id
            await bob.until(lambda s: bool(said(s, "alice")))
            for person, other in ((alice, "bob"), (bob, "alice")):
                person.service.set_contact_allowed(other, Feature.FULL_DELETE, Allow.YES)
            await alice.until(lambda s: s.details("bob").agreement.on(Feature.FULL_DELETE).by_us)
            await bob.until(lambda s: s.details("alice").agreement.on(Feature.FULL_DELETE).by_them)
            change = alice.service.retract(number)
            assert change.message is not None and (change.message.text, change.message.deleted) == ("", True)
            assert said(alice.service, "bob") == [] and alice.service.message(number) is None
            await bob.until(lambda s: said(s, "alice") == [])
            await alice.until(lambda s: (c := s.change(change.id)) is not None and c.status is MessageStatus.SENT)

        run(tmp_path, scenario)


class TestAddresses:
    async def made(self, pair: Pair, **options: Any) -> str:
        pair.alice.service.create_address(**options)
        await pair.alice.until(lambda s: (a := s.address()) is not None and a.short_link is not None)
        address = pair.alice.service.address()
        assert address is not None and address.short_link is not None
        return address.short_link

    @pytest.mark.parametrize("auto_accept", [False, True])
    def test_a_welcome_is_read_once_and_a_reply_follows_the_acceptance(self, tmp_path: Path, auto_accept: bool) -> None:
        async def scenario(pair: Pair) -> None:
            link = await self.made(
                pair, welcome="Welcome, *dear* guest", auto_reply="Back soon.", auto_accept=auto_accept
            )
            pair.bob.service.connect(link, "alice", ["hi"])
            await pair.bob.until(lambda s: bool(s.unshown_messages()))
            assert pair.bob.service.unshown_messages()[0].text == "Welcome, *dear* guest"
            if not auto_accept:
                await pair.alice.until(lambda s: bool(s.requests()))
                pair.alice.service.accept("bob")
            await pair.bob.until(lambda s: len(s.history("alice")) == 3)
            await pair.bob.until(lambda s: is_connected(s, "alice"))
            said = [(m.direction, m.text) for m in pair.bob.service.history("alice")]
            assert said == [("sent", "hi"), ("received", "Welcome, *dear* guest"), ("received", "Back soon.")]
            there = [(m.direction, m.text) for m in pair.alice.service.history("bob")]
            assert there == [("received", "hi"), ("sent", "Welcome, *dear* guest"), ("sent", "Back soon.")]

        run(tmp_path, scenario, connected=False)

    def test_who_came_by_the_full_link_gets_the_welcome_as_a_message(self, tmp_path: Path) -> None:
        async def scenario(pair: Pair) -> None:
            await self.made(pair, welcome="Welcome", auto_accept=True)
            address = pair.alice.service.address()
            assert address is not None
            pair.bob.service.connect(address.link or "", "alice")
            await pair.bob.until(lambda s: [m.text for m in s.history("alice")] == ["Welcome"])

        run(tmp_path, scenario, connected=False)

    def test_texts_change_behind_the_link(self, tmp_path: Path) -> None:
        async def scenario(pair: Pair) -> None:
            link = await self.made(pair)
            pair.alice.service.set_address(welcome="Hello", auto_accept=True)
            await pair.alice.until(lambda s: any(isinstance(command, LSet) for command in pair.relay.commands))
            address = pair.alice.service.address()
            assert address is not None and (address.texts.welcome, address.auto_accept) == ("Hello", True)
            await pair.alice.until(lambda s: s.is_idle())
            pair.bob.service.connect(link, "alice")
            await pair.bob.until(lambda s: [m.text for m in s.history("alice")][:1] == ["Hello"])
            pair.alice.service.set_profile("Alice")  # keeps the welcome
            pair.alice.service.delete_address()
            pair.alice.service.create_address()
            made = pair.alice.service.address()
            assert made is not None and made.texts.welcome == ""

        run(tmp_path, scenario, connected=False)

    def test_a_text_that_is_too_long_changes_nothing(self, tmp_path: Path) -> None:
        async def scenario(pair: Pair) -> None:
            await self.made(pair, welcome="Hello")
            for texts in ({"welcome": "a" * 5_001}, {"auto_reply": "a" * 5_001}):
                with pytest.raises(InputError):
                    pair.alice.service.set_address(**texts)  # type: ignore[arg-type]
            address = pair.alice.service.address()
            assert address is not None and (address.texts.welcome, address.texts.auto_reply) == ("Hello", "")

        run(tmp_path, scenario, connected=False)
