"""Short links as a person meets them: both links of an invitation, the name in a link, and a join that waits for it."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from smpchat.agent.errors import AgentError, LinkError, LinkJoinedError, OwnLinkError, UnknownRelay
from smpchat.agent.machines.handshake_states import Failure, Variant
from smpchat.agent.wire.short_links import ShortContact, ShortInvitation
from smpchat.agent.wire.user_data import write_user_json
from smpchat.chat.errors import AliasInUse, InputError, UnknownContact
from smpchat.chat.service.given_links import check_link
from smpchat.chat.service.views import Invitation
from smpchat.chat.store import events
from smpchat.chat.transactions.incoming import ChatApplication
from smpchat.chat.wire.message import LinkInfo, decode_link_info, encode_link_info
from smpchat.chat.wire.profile import Profile
from smpchat.protocol.address import SMPServer
from smpchat.protocol.commands import Del, LKey, New, Send
from smpchat.protocol.version import VersionRange
from smpchat.testing.entropy import SeededEntropy
from smpchat.testing.loop import run_jumping
from smpchat.testing.relay import MemoryRelay
from tests.faults.people import START, Person


class Meeting:
    """Alice has made an invitation; she and Bob have one relay."""

    def __init__(self, folder: Path, versions: VersionRange | None = None) -> None:
        options = {} if versions is None else {"versions": versions}
        self.relay = MemoryRelay(SeededEntropy("relay"), lambda: START, **options)  # type: ignore[arg-type]
        self.alice = Person("alice", folder / "alice", [self.relay], home=self.relay)
        self.bob = Person("bob", folder / "bob", [self.relay], home=self.relay)

    async def invited(self, variant: Variant = Variant.INSTANT) -> Invitation:
        number = self.alice.service.invite(variant=variant)
        async with self.alice.online():
            await self.alice.until(lambda s: (i := s.invitation(number)) is not None and i.link is not None)
        invitation = self.alice.service.invitation(number)
        assert invitation is not None
        return invitation

    async def short(self) -> str:
        invitation = await self.invited()
        assert invitation.short_link is not None
        return invitation.short_link

    def sent(self) -> int:
        return sum(isinstance(command, Send) for command in self.relay.commands)


def run(
    folder: Path, scenario: Callable[[Meeting], Coroutine[Any, Any, None]], versions: VersionRange | None = None
) -> None:
    async def main() -> None:
        meeting = Meeting(folder, versions)
        await scenario(meeting)
        await meeting.relay.stop()
        for person in (meeting.alice, meeting.bob):
            person.service.close()

    run_jumping(main)


def of(person: Person) -> list[str]:
    return [view.alias for view in person.service.contacts()]


class TestInvitations:
    def test_both_links_are_shown_and_either_cancels_it(self, tmp_path: Path) -> None:
        async def scenario(meeting: Meeting) -> None:
            for _ in range(2):
                await meeting.invited()
            for invitation in meeting.alice.service.invitations():
                assert invitation.link is not None and invitation.short_link is not None
                assert len(invitation.short_link) < 170 < len(invitation.link)
            first, second = meeting.alice.service.invitations()
            meeting.alice.service.delete(first.short_link or "")
            meeting.alice.service.delete(second.link or "")
            assert meeting.alice.service.invitations() == []

        run(tmp_path, scenario)

    def test_where_there_is_none_there_is_the_full_one(self, tmp_path: Path) -> None:
        async def scenario(meeting: Meeting) -> None:
            for variant in (Variant.THREE_STEP, Variant.STANDARD):
                assert (await meeting.invited(variant)).short_link is None

        run(tmp_path, scenario)

        async def older(meeting: Meeting) -> None:
            invitation = await meeting.invited()
            assert invitation.link is not None and invitation.short_link is None

        run(tmp_path / "older", older, VersionRange(6, 14))

    def test_the_full_link_still_serves(self, tmp_path: Path) -> None:
        async def scenario(meeting: Meeting) -> None:
            meeting.bob.service.connect((await meeting.invited()).link or "", "alice")
            async with meeting.bob.online(), meeting.alice.online():
                await meeting.bob.until(lambda s: s.contact("alice").state.state == "connected")
            assert not any(isinstance(command, LKey) for command in meeting.relay.commands)

        run(tmp_path, scenario)


class TestNames:
    def test_without_an_alias_it_comes_from_the_link(self, tmp_path: Path) -> None:
        async def scenario(meeting: Meeting) -> None:
            meeting.alice.service.set_profile("Alice B.")
            link = await meeting.short()
            joined = meeting.bob.service.connect(link, None, ["hi"])
            assert joined.alias == "contact" and joined.provisional
            async with meeting.bob.online():
                await meeting.bob.until(lambda s: s.state(joined.connection_id).state == "ready")
            [view] = meeting.bob.service.contacts()
            assert (view.alias, view.contact.link_name, view.contact.provisional) == ("Alice_B.", "Alice B.", False)
            assert view.contact.profile is None, "a name in a link is not yet a profile that was sent"
            changes = [event for _, event in meeting.bob.service.events_after(0)]
            assert events.ContactChanged("Alice_B.") in changes

        run(tmp_path, scenario)

    def test_an_alias_that_was_chosen_stays(self, tmp_path: Path) -> None:
        async def scenario(meeting: Meeting) -> None:
            joined = meeting.bob.service.connect(await meeting.short(), None)
            meeting.bob.service.rename("contact", "friend")
            async with meeting.bob.online():
                await meeting.bob.until(lambda s: s.state(joined.connection_id).state == "ready")
            assert of(meeting.bob) == ["friend"]

        run(tmp_path, scenario)

    def test_a_name_in_use_gets_a_number_but_not_because_of_itself(self, tmp_path: Path) -> None:
        async def scenario(meeting: Meeting) -> None:
            meeting.alice.service.set_profile("contact")
            for _ in range(2):
                joined = meeting.bob.service.connect(await meeting.short(), None)
                async with meeting.bob.online():
                    await meeting.bob.until(lambda s, j=joined: s.state(j.connection_id).state == "ready")  # type: ignore[misc]
            assert of(meeting.bob) == ["contact", "contact_2"]

        run(tmp_path, scenario)


class TestHolding:
    async def held(self, meeting: Meeting, texts: tuple[str, ...] = ("one",)) -> int:
        """Bob's connection, its link read, waiting for a name."""
        self.link = await meeting.short()
        number = meeting.bob.service.connect(self.link, None, texts, hold=True).connection_id
        assert not meeting.bob.service.is_link_read(number)
        async with meeting.bob.online():
            await meeting.bob.until(lambda s: s.is_link_read(number) and s.is_idle())
        assert meeting.bob.service.is_held(number) and meeting.sent() == 0
        return number

    def test_nothing_of_ours_goes_out_before_the_answer(self, tmp_path: Path) -> None:
        async def scenario(meeting: Meeting) -> None:
            number = await self.held(meeting)
            assert of(meeting.bob) == ["alice"], "what is offered"
            assert meeting.bob.service.name_contact(number, "my friend").alias == "my_friend"
            async with meeting.bob.online(), meeting.alice.online():
                await meeting.alice.until(lambda s: bool(s.contacts()) and s.contacts()[0].contact.unread == 1)

        run(tmp_path, scenario)

    @pytest.mark.parametrize("while_reading", [True, False])
    def test_the_same_command_goes_on_after_the_process_died(self, tmp_path: Path, while_reading: bool) -> None:
        async def scenario(meeting: Meeting) -> None:
            if while_reading:
                self.link = await meeting.short()
                number = meeting.bob.service.connect(self.link, None, ["one"], hold=True).connection_id
            else:
                number = await self.held(meeting)
            meeting.bob.restart()
            again = meeting.bob.service.connect(self.link, None, ["one", "two"], hold=True)
            assert again.connection_id == number and meeting.bob.service.is_held(number)
            meeting.bob.service.name_contact(number, "friend")
            async with meeting.bob.online(), meeting.alice.online():
                await meeting.alice.until(lambda s: bool(s.contacts()) and s.contacts()[0].contact.unread == 2)
            assert [message.text for message in meeting.bob.service.history("friend")] == ["one", "two"]

        run(tmp_path, scenario)

    @pytest.mark.parametrize(("alias", "name"), [(None, "alice"), ("friend", "friend")])
    def test_a_script_that_takes_it_up_asks_nobody(self, tmp_path: Path, alias: str | None, name: str) -> None:
        async def scenario(meeting: Meeting) -> None:
            number = await self.held(meeting)
            assert meeting.bob.service.connect(self.link, alias).alias == name
            assert not meeting.bob.service.is_held(number)
            with pytest.raises(LinkJoinedError, match=name):
                meeting.bob.service.connect(self.link, None, hold=True)

        run(tmp_path, scenario)

    def test_rename_is_an_answer_too(self, tmp_path: Path) -> None:
        async def scenario(meeting: Meeting) -> None:
            number = await self.held(meeting)
            meeting.bob.service.rename("alice", "friend")
            assert not meeting.bob.service.is_held(number)

        run(tmp_path, scenario)

    def test_an_answer_that_cannot_be_used_leaves_the_question_open(self, tmp_path: Path) -> None:
        async def scenario(meeting: Meeting) -> None:
            number = await self.held(meeting)
            meeting.bob.service.connect(await meeting.short(), "carol")
            for answer, error in (("-x", InputError), ("carol", AliasInUse), ("Carol", AliasInUse)):
                with pytest.raises(error):
                    meeting.bob.service.name_contact(number, answer)
            assert meeting.bob.service.is_held(number)
            meeting.bob.service.delete("alice")
            with pytest.raises(UnknownContact):
                meeting.bob.service.name_contact(number, "friend")

        run(tmp_path, scenario)

    def test_an_alias_or_a_full_link_holds_nothing(self, tmp_path: Path) -> None:
        async def scenario(meeting: Meeting) -> None:
            named = meeting.bob.service.connect(await meeting.short(), "alice", hold=True)
            full = meeting.bob.service.connect((await meeting.invited()).link or "", None, hold=True)
            assert not any(meeting.bob.service.is_held(contact.connection_id) for contact in (named, full))

        run(tmp_path, scenario)


class TestRefused:
    def test_a_used_link_fails_and_its_reply_queue_goes(self, tmp_path: Path) -> None:
        async def scenario(meeting: Meeting) -> None:
            carol = Person("carol", tmp_path / "carol", [meeting.relay], home=meeting.relay)
            link = await meeting.short()
            for person, end in ((meeting.bob, "ready"), (carol, "failed")):
                person.service.connect(link, "alice", ["hi"])
                async with person.online():
                    await person.until(lambda s, end=end: s.contact("alice").state.state == end and s.is_idle())  # type: ignore[misc]
            state = carol.service.contact("alice").state
            assert (state.failure, state.variant) == (Failure.LINK_USED, None)
            assert "already used" in (state.reason or "")
            assert [message.status for message in carol.service.history("alice")] == ["failed"]
            news = [type(command) for command in meeting.relay.commands]
            assert news.count(Del) == 1 and news.count(New) == 3
            carol.service.close()

        run(tmp_path, scenario)

    def test_a_relay_that_was_too_old_all_along(self, tmp_path: Path) -> None:
        async def scenario(meeting: Meeting) -> None:
            server = meeting.relay.server
            link = f"simplex:/i#{'A' * 32}/{'A' * 43}?h={server.hosts[0]}&c={_unpadded(server.key_hash)}"
            meeting.bob.service.connect(link, "alice")
            async with meeting.bob.online():
                await meeting.bob.until(lambda s: s.contact("alice").state.state == "failed" and s.is_idle())
            state = meeting.bob.service.contact("alice").state
            assert state.failure == Failure.NO_SHORT_LINKS and "for the full link" in (state.reason or "")
            with pytest.raises(AgentError, match="too old for short links"):
                meeting.bob.service.send("alice", "hi")

        run(tmp_path, scenario, VersionRange(6, 14))

    def test_own_links_and_addresses(self, tmp_path: Path) -> None:
        async def scenario(meeting: Meeting) -> None:
            invitation = await meeting.invited()
            for link in (invitation.link, invitation.short_link):
                with pytest.raises(OwnLinkError):
                    meeting.alice.service.connect(link or "", "myself_too")
            assert meeting.alice.service.contacts() == []

        run(tmp_path, scenario)

    def test_joined_links_name_the_contact_in_either_form(self, tmp_path: Path) -> None:
        async def scenario(meeting: Meeting) -> None:
            invitation = await meeting.invited()
            meeting.bob.service.connect(invitation.short_link or "", "alice")
            async with meeting.bob.online():
                await meeting.bob.until(lambda s: s.contact("alice").state.state == "ready")
            for link in (invitation.link, invitation.short_link):
                with pytest.raises(LinkJoinedError, match="'alice'"):
                    meeting.bob.service.connect(link or "", "again")

        run(tmp_path, scenario)

    def test_damaged_links_store_nothing(self, tmp_path: Path) -> None:
        async def scenario(meeting: Meeting) -> None:
            link = await meeting.short()
            for damaged in (link[:60], link.replace("?h=", "?x="), link.replace("/", " ", 2)):
                with pytest.raises(LinkError):
                    meeting.bob.service.connect(damaged, "alice")
            assert meeting.bob.service.contacts() == []

        run(tmp_path, scenario)


def _unpadded(data: bytes) -> str:
    from smpchat.encoding.text import to_base64url

    return to_base64url(data, padding=False)


class TestLinkInfo:
    def test_it_is_what_apps_write(self) -> None:
        value = json.loads(encode_link_info(Profile("Alice")))
        assert value["profile"]["displayName"] == "Alice" and value["business"] is False
        assert decode_link_info(encode_link_info(Profile("Alice"))) == LinkInfo(Profile("Alice"))

    def test_a_business_says_so(self) -> None:
        info = write_user_json({"profile": {"displayName": "shop"}, "business": True})
        assert decode_link_info(info) == LinkInfo(Profile("shop"), business=True)

    @pytest.mark.parametrize(
        "info",
        [b"", b"{", b"[]", b"Xnothing", b'{"profile":{}}', write_user_json({"groupProfile": {"displayName": "x"}})],
    )
    def test_anything_else_says_nothing(self, info: bytes) -> None:
        assert decode_link_info(info) is None

    def test_nobody_to_name_is_no_error(self, tmp_path: Path) -> None:
        async def scenario(meeting: Meeting) -> None:
            application = meeting.bob.service.context.application
            assert isinstance(application, ChatApplication)
            with meeting.bob.service.database.transaction() as tx:
                application.link_info_received(tx, 99, encode_link_info(Profile("Alice")))

        run(tmp_path, scenario)


class TestCheckLink:
    """What is checked of a link before anything is stored."""

    def test_a_full_link_whose_relay_has_a_short_fingerprint(self) -> None:
        """Read as software reads it; joined, it would wait for ever."""
        link = (
            "simplex:/contact#/?v=2-7&smp=smp%3A%2F%2F1234-w%3D%3D%40smp.simplex.im%3A5223%2F3456-w%3D%3D%23%2F%3Fv%3D1-4"
            "%26dh%3DMCowBQYDK2VuAyEAjiswwI3O_NlS8Fk3HJUW870EY2bAwmttMBsvRB9eV3o%253D"
        )
        with pytest.raises(LinkError, match="the fingerprint of its relay is invalid"):
            check_link(link)

    def test_a_short_link_of_a_known_relay_has_its_whole_address(self) -> None:
        relay = SMPServer(("smp.example.org", "a" * 56 + ".onion"), "443", bytes(32))
        for letter in "ia":
            keys = f"{'A' * 32}/{'A' * 43}" if letter == "i" else "A" * 43
            link = f"https://SMP.example.org/{letter}#{keys}"
            with pytest.raises(UnknownRelay, match=r"smp\.example\.org without its fingerprint"):
                check_link(link)
            checked = check_link(link, [relay])
            assert isinstance(checked, ShortInvitation | ShortContact) and checked.server == relay
            with pytest.raises(UnknownRelay, match="cut off after h="):
                check_link(f"simplex:/{letter}#{keys}?h=smp.example.org")

    @pytest.mark.parametrize("text", ["\ud800", "simplex:/a#\udcff", f"https://smp8.simplex.im/a#{'A' * 42}\ud800"])
    def test_text_that_cannot_be_written_is_refused_as_any_other(self, text: str) -> None:
        with pytest.raises(LinkError):
            check_link(text)
