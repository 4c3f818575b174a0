"""Contact addresses as people use them: two profiles and their relays, from the address to the first answer."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from smpchat.agent.errors import LinkError, LinkJoinedError, OwnLinkError
from smpchat.agent.store import connections, sent_requests
from smpchat.agent.wire.link_data import contact_keys, open_link
from smpchat.agent.wire.links import ContactLink, parse_link
from smpchat.agent.wire.short_links import ShortContact
from smpchat.agent.wire.user_data import read_user_json
from smpchat.chat.errors import AliasInUse, InputError, NoAddress, UnknownRequest
from smpchat.chat.service.connecting import ChatService
from smpchat.chat.store import events
from smpchat.chat.store.records import Direction, MessageStatus
from smpchat.chat.wire.message import REACTIONS
from smpchat.client.connect import open_session
from smpchat.protocol.commands import Del, LGet, Lnk, LSet, Ok, Send
from smpchat.testing.entropy import SeededEntropy
from smpchat.testing.loop import run_jumping
from smpchat.testing.relay import MemoryRelay
from tests.faults.people import START, Person


class Owner:
    """Alice, who has an address, and others; each has a relay of their own."""

    def __init__(self, folder: Path, *names: str) -> None:
        self.relays = {
            name: MemoryRelay(SeededEntropy(f"{name}'s relay"), lambda: START, host=f"{name}.test")
            for name in ("alice", *names)
        }
        everywhere = list(self.relays.values())
        self.people = {name: Person(name, folder / name, everywhere, home=relay) for name, relay in self.relays.items()}
        self.alice = self.people["alice"]

    def __getitem__(self, name: str) -> Person:
        return self.people[name]

    @asynccontextmanager
    async def online(self, *, auto_accept: bool = False) -> AsyncIterator[str]:
        """Everybody is online; Alice's short link."""
        async with self.alice.online():
            self.alice.service.create_address(auto_accept=auto_accept)
            await self.alice.until(lambda service: link_of(service) is not None)
            async with self._others(list(self.people.values())[1:]):
                yield link_of(self.alice.service) or ""

    @asynccontextmanager
    async def _others(self, people: list[Person]) -> AsyncIterator[None]:
        if not people:
            yield
            return
        async with people[0].online(), self._others(people[1:]):
            yield

    async def close(self) -> None:
        for relay in self.relays.values():
            await relay.stop()
        for person in self.people.values():
            person.service.close()


def link_of(service: ChatService) -> str | None:
    address = service.address()
    return address.short_link if address else None


def run(scenario: Callable[[Owner, str], Coroutine[Any, Any, None]], owner: Owner, *, auto: bool = False) -> None:
    async def main() -> None:
        async with owner.online(auto_accept=auto) as link:
            await scenario(owner, link)
        await owner.close()

    run_jumping(main)


def test_a_request_is_accepted_and_both_talk(tmp_path: Path) -> None:
    async def scenario(owner: Owner, link: str) -> None:
        alice, bob = owner.alice, owner["bob"]
        bob.service.connect(link, "al", ["hello", "more"])
        await alice.until(lambda service: bool(service.requests()))
        [request] = alice.service.unshown_requests()
        assert (request.id, request.name, request.text) == (1, "bob", "hello")
        alice.service.mark_requests_shown(request.id)
        assert (alice.service.unshown_requests(), alice.service.requests()) == ([], [request])
        await bob.until(lambda service: service.history("al")[0].status is MessageStatus.SENT)
        assert [message.status for message in bob.service.history("al")] == ["sent", "pending"]
        contact = alice.service.accept("1", "robert")
        assert (contact.alias, contact.profile and contact.profile.display_name) == ("robert", "bob")
        assert [message.text for message in alice.service.history("robert")] == ["hello"]
        await alice.until(lambda service: len(service.history("robert")) == 2)
        await bob.until(lambda service: service.contact("al").state.state == "connected")
        await bob.until(lambda service: service.history("al")[1].status is MessageStatus.DELIVERED)
        first = alice.service.history("robert")[0]
        alice.service.react(first.id, REACTIONS[0])  # the text in the request is a message like any other
        await bob.until(lambda service: bool(service.history("al")[0].reactions))
        assert alice.service.requests() == []

    run(scenario, Owner(tmp_path, "bob"))


def test_a_short_link_names_the_contact_before_the_owner_answers(tmp_path: Path) -> None:
    async def scenario(owner: Owner, link: str) -> None:
        bob = owner["bob"]
        number = bob.service.connect(link, None, ["hello"]).connection_id
        await bob.until(lambda service: service.state(number).state == "ready")
        [view] = bob.service.contacts()
        assert (view.alias, view.contact.link_name) == ("alice", "alice")
        carol = owner["carol"].service.connect(link, "al").connection_id
        await owner["carol"].until(lambda service: service.state(carol).state == "ready")
        [view] = owner["carol"].service.contacts()
        assert (view.alias, view.contact.link_name) == ("al", "alice")

    run(scenario, Owner(tmp_path, "bob", "carol"))


class TestHolding:
    async def held(self, bob: Person, link: str) -> int:
        """Bob's connection: the link is read, the request waits for a name."""
        number = bob.service.connect(link, None, ["hello"], hold=True).connection_id
        assert not bob.service.is_link_read(number)
        await bob.until(lambda service: service.is_link_read(number) and service.is_idle())
        assert bob.service.is_held(number) and [view.alias for view in bob.service.contacts()] == ["alice"]
        return number

    def test_the_request_goes_out_with_the_answer(self, tmp_path: Path) -> None:
        async def scenario(owner: Owner, link: str) -> None:
            bob = owner["bob"]
            number = await self.held(bob, link)
            assert not any(isinstance(command, Send) for command in owner.relays["alice"].commands)
            assert bob.service.name_contact(number, "my friend").alias == "my_friend"
            await owner.alice.until(lambda service: [request.text for request in service.requests()] == ["hello"])

        run(scenario, Owner(tmp_path, "bob"))

    @pytest.mark.parametrize(("alias", "name"), [(None, "alice"), ("friend", "friend")])
    def test_the_same_link_takes_it_up(self, tmp_path: Path, alias: str | None, name: str) -> None:
        async def scenario(owner: Owner, link: str) -> None:
            bob = owner["bob"]
            number = await self.held(bob, link)
            again = bob.service.connect(link, None, ["hello", "more"], hold=True)
            assert again.connection_id == number and bob.service.is_held(number)
            assert bob.service.connect(link, alias, ["hello", "more"]).alias == name
            assert [message.text for message in bob.service.history(name)] == ["hello", "more"]
            await owner.alice.until(lambda service: [request.text for request in service.requests()] == ["hello"])
            with pytest.raises(LinkJoinedError, match=name):
                bob.service.connect(link, None, hold=True)

        run(scenario, Owner(tmp_path, "bob"))

    def test_an_address_deleted_meanwhile_ends_it(self, tmp_path: Path) -> None:
        async def scenario(owner: Owner, link: str) -> None:
            bob = owner["bob"]
            number = await self.held(bob, link)
            deleted = owner.alice.service.delete_address()
            await owner.alice.until(lambda service: service.is_forgotten(deleted))
            bob.service.rename("alice", "friend")
            await bob.until(lambda service: service.state(number).state == "failed")
            assert [message.status for message in bob.service.history("friend")] == ["failed"]

        run(scenario, Owner(tmp_path, "bob"))

    def test_an_alias_or_a_full_link_holds_nothing(self, tmp_path: Path) -> None:
        async def scenario(owner: Owner, link: str) -> None:
            address = owner.alice.service.address()
            assert address is not None and address.link is not None
            full = owner["bob"].service.connect(address.link, None, hold=True)
            named = owner["carol"].service.connect(link, "alice", hold=True)
            assert not owner["bob"].service.is_held(full.connection_id)
            assert not owner["carol"].service.is_held(named.connection_id)

        run(scenario, Owner(tmp_path, "bob", "carol"))


def test_each_request_is_accepted_at_once_where_the_owner_wants_that(tmp_path: Path) -> None:
    async def scenario(owner: Owner, link: str) -> None:
        for name in ("bob", "carol"):
            owner[name].service.connect(link, "alice", [f"from {name}"])
        for name in ("bob", "carol"):
            await owner[name].until(lambda service: service.contact("alice").state.state == "connected")
        await owner.alice.until(lambda service: len(service.contacts()) == 2)
        said = {view.alias: service_text(owner.alice.service, view.alias) for view in owner.alice.service.contacts()}
        assert said == {"bob": "from bob", "carol": "from carol"}
        assert owner.alice.service.requests() == []

    run(scenario, Owner(tmp_path, "bob", "carol"), auto=True)


def service_text(service: ChatService, who: str) -> str:
    [message] = [message for message in service.history(who) if message.direction is Direction.RECEIVED]
    return message.text


def test_people_of_the_same_name_are_told_apart_by_number(tmp_path: Path) -> None:
    async def scenario(owner: Owner, link: str) -> None:
        for name in ("bob", "carol"):
            owner[name].service.set_profile("Sam")
            owner[name].service.connect(link, "alice")
            await owner[name].until(lambda service: service.contact("alice").state.state == "ready")
        alice = owner.alice.service
        await owner.alice.until(lambda service: len(service.requests()) == 2)
        for who in ("Sam", "sam", "3", ""):
            with pytest.raises(UnknownRequest):
                alice.accept(who)
        with pytest.raises(AliasInUse):
            alice.accept("1", alice.accept("2").alias)
        assert [request.id for request in alice.requests()] == [1]
        assert alice.accept("Sam").alias == "Sam_2"

    run(scenario, Owner(tmp_path, "bob", "carol"))


def test_a_rejected_request_is_forgotten_and_nothing_is_sent(tmp_path: Path) -> None:
    async def scenario(owner: Owner, link: str) -> None:
        owner["bob"].service.connect(link, "alice", ["hello"])
        await owner.alice.until(lambda service: bool(service.requests()))
        assert owner.alice.service.reject("bob").name == "bob"
        assert (owner.alice.service.requests(), owner.alice.service.contacts()) == ([], [])
        assert owner.alice.service.is_idle()
        sends = [command for relay in owner.relays.values() for command in relay.commands if isinstance(command, Send)]
        assert len(sends) == 1
        assert owner["bob"].state_of("alice").state == "ready"

    run(scenario, Owner(tmp_path, "bob"))


def test_a_deleted_address_takes_no_requests_and_its_contacts_stay(tmp_path: Path) -> None:
    async def scenario(owner: Owner, link: str) -> None:
        alice = owner.alice.service
        owner["bob"].service.connect(link, "alice")
        await owner["bob"].until(lambda service: service.contact("alice").state.state == "connected")
        full = alice.address()
        assert full is not None and full.link is not None
        connection = alice.delete_address()
        await owner.alice.until(lambda service: service.is_forgotten(connection))
        assert any(isinstance(command, Del) for command in owner.relays["alice"].commands)
        for alias, text in (("short", link), ("full", full.link)):
            owner["carol"].service.connect(text, alias, ["hello"])
            await owner["carol"].until(lambda service, who=alias: service.contact(who).state.state == "failed")  # type: ignore[misc]
            state = owner["carol"].state_of(alias)
            assert state.reason is not None and state.reason.startswith("This address does not exist")
            [message] = owner["carol"].service.history(alias)
            assert (message.status, message.reason) == (MessageStatus.FAILED, state.reason)
        await owner["carol"].until(lambda service: service.is_idle())
        assert alice.send("bob", "still here").status is MessageStatus.PENDING
        await owner["bob"].until(lambda service: len(service.history("alice")) == 1)
        assert alice.address() is None
        alice.create_address()

    run(scenario, Owner(tmp_path, "bob", "carol"), auto=True)


def test_one_address_at_a_time_and_none_to_begin_with(tmp_path: Path) -> None:
    service = ChatService(tmp_path, "alice")
    assert (service.address(), service.requests(), service.status().address) == (None, [], None)
    for call in (service.delete_address, lambda: service.accept_automatically(True)):
        with pytest.raises(NoAddress):
            call()
    service.create_address()
    with pytest.raises(InputError, match="already"):
        service.create_address()
    service.accept_automatically(True)
    address = service.address()
    assert address is not None and address.auto_accept and address.link is None
    assert service.status().connections == []
    assert service.events_after(0) == []
    service.close()


def test_links_that_cannot_be_used(tmp_path: Path) -> None:
    async def scenario(owner: Owner, link: str) -> None:
        bob, address = owner["bob"].service, owner.alice.service.address()
        assert address is not None and address.link is not None
        for own in (link, address.link, address.link.replace("simplex:", "https://simplex.chat")):
            with pytest.raises(OwnLinkError):
                owner.alice.service.connect(own, "myself_too")
        for kind in "crCR":
            with pytest.raises(LinkError, match="channel"):
                bob.connect(link.replace("/a#", f"/{kind}#"), "alice")
        with pytest.raises(InputError, match="leads to a group"):
            bob.connect(address.link + "&data=%7B%22type%22%3A%22group%22%7D", "alice", ["hello"])
        assert bob.contacts() == []
        bob.connect(link, "alice")
        await owner["bob"].until(lambda service: service.contact("alice").state.state == "ready")
        for again in (link, link.replace("/a#", "/A#"), address.link):
            with pytest.raises(LinkJoinedError, match="'alice'"):
                bob.connect(again, "other")
        assert [view.alias for view in bob.contacts()] == ["alice"]

    run(scenario, Owner(tmp_path, "bob"))


def test_a_first_text_that_is_too_long_for_a_request_waits(tmp_path: Path) -> None:
    async def scenario(owner: Owner, link: str) -> None:
        text = "x" * sent_requests.MAX_INFO
        owner["bob"].service.connect(link, "alice", [text])
        await owner.alice.until(lambda service: bool(service.requests()))
        assert owner.alice.service.requests()[0].text is None
        assert [m.status for m in owner["bob"].service.history("alice")] == [MessageStatus.PENDING]
        owner.alice.service.accept("bob")
        await owner.alice.until(lambda service: bool(service.history("bob")))
        assert owner.alice.service.history("bob")[0].text == text

    run(scenario, Owner(tmp_path, "bob"))


def test_an_empty_first_text_is_refused_like_any_other(tmp_path: Path) -> None:
    async def scenario(owner: Owner, link: str) -> None:
        with pytest.raises(InputError, match="empty"):
            owner["bob"].service.connect(link, "alice", [""])
        assert owner["bob"].service.contacts() == []

    run(scenario, Owner(tmp_path, "bob"))


def test_the_short_link_shows_the_owners_name_as_it_is_now(tmp_path: Path) -> None:
    async def scenario(owner: Owner, link: str) -> None:
        assert await name_behind(owner, link) == "alice"
        owner.alice.service.set_profile("Alice Liddell")
        await owner.alice.until(lambda service: service.is_idle())
        assert any(isinstance(command, LSet) for command in owner.relays["alice"].commands)
        assert await name_behind(owner, link) == "Alice Liddell"

    run(scenario, Owner(tmp_path))


async def name_behind(owner: Owner, text: str) -> str:
    link = parse_link(text)
    assert isinstance(link, ShortContact)
    relay = owner.relays["alice"]
    session = await open_session(
        relay.connect(), relay.server, entropy=SeededEntropy("reader"), on_event=lambda *_: None
    )
    answer = await session.request(LGet(), contact_keys(link.link_key)[0])
    await session.close()
    assert isinstance(answer, Lnk)
    data = read_user_json(open_link(link, answer).user_data)
    assert data is not None
    return str(data["profile"]["displayName"])


def test_what_strangers_send_to_the_address_keeps_nobody_out(tmp_path: Path) -> None:
    async def scenario(owner: Owner, link: str) -> None:
        relay, address = owner.relays["alice"], owner.alice.service.address()
        assert address is not None
        full = parse_link(address.link or "")
        assert isinstance(full, ContactLink)
        session = await open_session(
            relay.connect(), relay.server, entropy=SeededEntropy("stranger"), on_event=lambda *_: None
        )
        for body in (b"", b"hello", bytes(15_992), bytes(range(250)) * 60):
            assert await session.request(Send(True, body), full.queues[0].sender_id) == Ok()
        await session.close()
        owner["bob"].service.connect(link, "alice")
        await owner.alice.until(lambda service: [request.name for request in service.requests()] == ["bob"])

    run(scenario, Owner(tmp_path, "bob"))


def test_a_relay_that_lost_the_address_is_told_of(tmp_path: Path) -> None:
    async def scenario(owner: Owner, link: str) -> None:
        relay, alice = owner.relays["alice"], owner.alice
        [queue] = connections.receive_queues(alice.service.database.connection)
        session = await open_session(
            relay.connect(), relay.server, entropy=SeededEntropy("operator"), on_event=lambda *_: None
        )
        await session.request(Del(), queue.rcv_id, queue.auth_key)
        await session.close()
        seen = alice.service.last_event()
        alice.come_back()
        await alice.until(lambda service: bool(service.events_after(seen)))
        [(_, notice)] = alice.service.events_after(seen)
        assert isinstance(notice, events.Notice)
        assert notice.sentence.startswith("The relay alice.test no longer has the queue of your address")

    run(scenario, Owner(tmp_path))


def test_a_request_says_the_same_id_in_each_copy(tmp_path: Path) -> None:
    service = ChatService(tmp_path, "bob")
    link = "https://relay.test/a#" + "A" * 43 + "?c=" + "A" * 43
    service.connect(link, "alice", ["hello"])
    row = service.database.read("SELECT info FROM sent_requests")[0]
    params = json.loads(row["info"])["params"]
    [message] = service.history("alice")
    assert (params["content"], params["msgId"]) == ({"type": "text", "text": "hello"}, message.shared_id)
    assert len(params["contactReqId"]) == 24
    service.close()
