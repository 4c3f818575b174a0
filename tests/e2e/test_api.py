"""`smpchat.Client`: programs that chat, with a real relay on a port of this machine and real time."""

from __future__ import annotations

import asyncio
import itertools
import math
import textwrap
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import smpchat
from smpchat import (
    ChatError,
    Client,
    ContactChanged,
    Event,
    Message,
    MessageChanged,
    MessageReceived,
    Notice,
    RequestReceived,
    RequestView,
    StateChanged,
    StatusChanged,
    api,
)
from smpchat.agent.wire.links import ContactLink, InvitationLink, parse_link
from smpchat.chat.errors import (
    AliasInUse,
    ConnectionFailed,
    ContactGone,
    InputError,
    NoAddress,
    RelayUnavailable,
    UnknownContact,
    UnknownRequest,
)
from smpchat.protocol.address import parse_server
from smpchat.relay.daemon import run_relay
from smpchat.relay.folder import status

Scenario = Callable[[Path], Coroutine[Any, Any, None]]


@asynccontextmanager
async def relay(home: Path) -> AsyncIterator[None]:
    """The embedded relay of a home, in this process."""
    stop, ready = asyncio.Event(), asyncio.Event()
    running = asyncio.create_task(run_relay(home / "relay", stop=stop, ready=lambda *_: ready.set()))
    try:
        await asyncio.wait([running, asyncio.create_task(ready.wait())], return_when=asyncio.FIRST_COMPLETED)
        yield
    finally:
        stop.set()
        await running


@asynccontextmanager
async def two(home: Path) -> AsyncIterator[tuple[Client, Client]]:
    """Alice and Bob, connected."""
    async with relay(home), Client("alice", home) as alice, Client("bob", home) as bob:
        invitation = await alice.invite("bob")
        assert invitation.link is not None
        await bob.connect(invitation.link, "alice")
        await asyncio.gather(alice.wait_connected("bob", 20), bob.wait_connected("alice", 20))
        yield alice, bob


async def next_request(events: AsyncIterator[Event]) -> RequestView:
    async for event in events:
        if isinstance(event, RequestReceived):
            return event.request
    raise AssertionError("the events end")


def run(scenario: Scenario, home: Path) -> None:
    asyncio.run(scenario(home))


def test_the_bot_of_the_documentation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert api.__doc__ is not None
    example = api.__doc__.split("::\n", 1)[1].splitlines(keepends=True)
    source = textwrap.dedent("".join(itertools.takewhile(lambda line: line.startswith((" ", "\n")), example)))
    assert len(source.strip().splitlines()) <= 20
    printed: list[str] = []
    said = asyncio.Event()

    def show(text: str, *, flush: bool) -> None:
        printed.append(text)
        said.set()

    namespace: dict[str, Any] = {"__name__": "bot", "print": show}
    exec(compile(source, "bot.py", "exec"), namespace)
    monkeypatch.setenv("SMPCHAT_HOME", str(tmp_path))

    async def scenario(home: Path) -> None:
        async with relay(home), Client("alice", home) as alice, asyncio.timeout(20):
            bot = asyncio.create_task(namespace["main"]())
            await said.wait()
            await alice.connect(printed[0], "echo", ["one", "two"])
            answers = []
            async for message in alice.messages():
                answers.append(message)
                if len(answers) == 2:
                    break
            assert [(answer.contact, answer.text) for answer in answers] == [("echo", "one"), ("echo", "two")]
            assert [a.reply_to and a.reply_to.text for a in answers] == ["one", "two"]
            bot.cancel()
            await asyncio.gather(bot, return_exceptions=True)

    run(scenario, tmp_path)


def test_a_group(tmp_path: Path) -> None:
    """Alice's group: Bob is invited, Carol comes by its link; what they write says who did; Bob is removed."""

    async def scenario(home: Path) -> None:
        async with two(home) as (alice, bob), Client("carol", home) as carol, asyncio.timeout(60):
            made = alice.create_group("team", welcome="be kind")
            assert (made.alias, made.role, made.members) == ("team", "owner", ())
            heard = {client: client.messages() for client in (alice, bob, carol)}

            async def hears(client: Client, text: str) -> Message:
                async for message in heard[client]:
                    if message.text == text:
                        return message
                raise AssertionError("the messages end")

            assert alice.invite_to_group("team", "bob").standing == "invited"
            while not (waiting := bob.groups()):
                await anext(heard[bob])
            assert (waiting[0].alias, waiting[0].name, waiting[0].inviter) == (None, "team", "alice")
            with pytest.raises(InputError):
                await bob.join_group("crew")
            assert (await bob.join_group("team", "crew", timeout=20)).standing == "current"
            await hears(alice, "[bob joined]")
            link = await alice.make_group_link("team", "member")
            assert link.short and link == await alice.make_group_link("team")
            await carol.connect(link.short, "team")
            await hears(bob, "[carol joined]")
            assert sorted((m.name, m.role) for m in alice.members("team")) == [("bob", "member"), ("carol", "member")]

            await alice.send("team", "hello all")
            for client, alias in ((bob, "crew"), (carol, "team")):
                message = await hears(client, "hello all")
                assert (message.contact, message.sender, message.group) == (alias, "alice", True)
            assert alice.set_member_role("team", "bob", "admin").role == "admin"
            await hears(carol, "[alice gave bob the role admin]")
            assert alice.remove_member("team", "bob").standing == "removed"
            await hears(bob, "[alice removed you from the group]")
            assert bob.group("crew").standing == "removed"
            carol.leave_group("team")
            await hears(alice, "[carol left]")
            assert alice.members("team") == [] and alice.delete_group("team").standing == "deleted"

    run(scenario, tmp_path)


def test_receipts_are_given_or_not(tmp_path: Path) -> None:
    """For one contact, for all, and with an exception; what was not confirmed then is not later."""

    async def scenario(home: Path) -> None:
        async with two(home) as (alice, bob), asyncio.timeout(60):
            heard = alice.messages()

            async def confirmed(text: str) -> bool:
                sent = await bob.send("alice", text)
                assert (await anext(heard)).text == text
                alice.give_receipts(True, "bob")
                await bob.send("alice", "now", wait="delivered")
                assert (await anext(heard)).text == "now"
                [status] = [m.status for m in bob.history("alice") if m.id == sent.id]
                return status == "delivered"

            for number, (choices, expected) in enumerate(
                {
                    ((None, "bob"),): True,
                    ((False, "bob"),): False,
                    ((False, None), (None, "bob")): False,
                    ((True, "bob"),): True,
                    ((None, None), (None, "bob")): True,
                }.items()
            ):
                for on, alias in choices:
                    alice.give_receipts(on, alias)
                assert alice.contact("bob").receipts is expected
                assert await confirmed(f"text {number}") is expected, choices
            with pytest.raises(UnknownContact):
                alice.give_receipts(False, "nobody")

    run(scenario, tmp_path)


def test_a_contact_is_muted_for_a_time_or_for_good(tmp_path: Path) -> None:
    async def scenario(home: Path) -> None:
        async with two(home) as (alice, _bob):
            assert alice.mute("bob").view.muted_until == math.inf
            assert alice.contact("bob").muted_until == math.inf
            until = alice.mute("@bob", 3600).view.muted_until
            assert until is not None and 3500 < until - time.time() < 3700
            assert alice.mute("bob", 1e12).view.muted_until == math.inf, "no calendar has room for it"
            assert alice.mute("bob", None).view.muted_until is None
            for wrong in (0.0, -1.0, math.nan):
                with pytest.raises(ValueError):
                    alice.mute("bob", wrong)
            with pytest.raises(UnknownContact):
                alice.mute("nobody")
            assert alice.contact("bob").muted_until is None

    run(scenario, tmp_path)


def test_a_short_link_names_the_contact_and_can_be_used_like_a_full_one(tmp_path: Path) -> None:
    async def scenario(home: Path) -> None:
        async with relay(home), Client("alice", home) as alice, Client("bob", home) as bob, asyncio.timeout(30):
            invitation = await alice.invite()
            assert invitation.short_link is not None
            view = await bob.connect(invitation.short_link, texts=["hi"])
            assert view.alias == "alice"
            await asyncio.gather(alice.wait_connected("bob", 20), bob.wait_connected("alice", 20))
            assert [message.text for message in alice.history("bob")] == ["hi"]

    run(scenario, tmp_path)


def test_two_programs_talk_and_change_what_they_said(tmp_path: Path) -> None:
    async def scenario(home: Path) -> None:
        async with two(home) as (alice, bob), asyncio.timeout(30):
            sent = await alice.send("bob", "helo", wait="delivered")
            assert sent.status == "delivered"
            events = bob.events()

            async def next_of(kind: type[Any]) -> Any:
                async for event in events:
                    if isinstance(event, kind):
                        return event
                raise AssertionError("the events end")

            first = await next_of(MessageReceived)
            assert first.message.text == "helo"
            edited = await alice.edit(sent.id, "hello")
            assert edited.edited
            assert (await next_of(MessageChanged)).message.text == "hello"
            await bob.react(first.message.id, "👍")
            async for event in alice.events():
                if isinstance(event, MessageChanged):
                    assert [r.emoji for r in event.message.reactions] == ["👍"]
                    break
            await alice.retract(sent.id)
            assert (await next_of(MessageChanged)).message.deleted
            assert [m.deleted for m in bob.history("alice")] == [True]
            with pytest.raises(InputError, match="was deleted"):
                await alice.edit(sent.id, "again")

    run(scenario, tmp_path)


def test_events_tell_the_handshake_and_the_status(tmp_path: Path) -> None:
    async def scenario(home: Path) -> None:
        async with relay(home), Client("alice", home) as alice, Client("bob", home) as bob, asyncio.timeout(20):
            invitation = await alice.invite("bob")
            await bob.connect(invitation.link or "", "alice", ["hello"])
            seen: list[Event] = []
            async for event in alice.events():
                seen.append(event)
                if isinstance(event, MessageReceived):
                    await alice.send("bob", "hello back", wait="none")
                if isinstance(event, StatusChanged) and event.status == "delivered":
                    break
            states = [event.state for event in seen if isinstance(event, StateChanged)]
            assert states[0] == "invited" and states[-1] == "connected"
            assert ContactChanged("bob") in seen
            assert [event.message.text for event in seen if isinstance(event, MessageReceived)] == ["hello"]

    run(scenario, tmp_path)


def test_a_message_counts_as_shown_only_when_the_next_is_asked_for(tmp_path: Path) -> None:
    async def scenario(home: Path) -> None:
        async with two(home) as (alice, bob), asyncio.timeout(20):
            for text in ("one", "two"):
                await alice.send("bob", text, wait="delivered")

            class Crash(Exception):
                pass

            with pytest.raises(Crash):
                async for message in bob.messages():
                    assert message.text == "one"
                    raise Crash
            again = []
            async for message in bob.messages():
                again.append(message.text)
                if len(again) == 2:
                    break
            assert again == ["one", "two"]
            assert [view.contact.unread for view in bob.contacts()] == [1]

    run(scenario, tmp_path)


def test_a_deleted_contact_is_told(tmp_path: Path) -> None:
    async def scenario(home: Path) -> None:
        async with two(home) as (alice, bob), asyncio.timeout(30):
            assert await alice.delete("bob", timeout=20)
            async for event in bob.events():
                if isinstance(event, Notice):
                    assert event.sentence == "alice removed you."
                    break
            with pytest.raises(ContactGone):
                await bob.send("alice", "are you there?")
            with pytest.raises(UnknownContact):
                await alice.send("bob", "are you there?")

    run(scenario, tmp_path)


def test_a_link_works_once(tmp_path: Path) -> None:
    async def scenario(home: Path) -> None:
        async with two(home) as (alice, bob), Client("carol", home) as carol, asyncio.timeout(30):
            invitation = await alice.invite("dave")
            await bob.connect(invitation.link or "", "alice2")
            with pytest.raises(ConnectionFailed, match="already used"):
                await carol.connect(invitation.link or "", "alice")
            with pytest.raises(ConnectionFailed):
                await carol.wait_connected("alice", 5)
            with pytest.raises(AliasInUse):
                await alice.invite("bob")

    run(scenario, tmp_path)


def test_people_ask_through_an_address_and_are_accepted_or_not(tmp_path: Path) -> None:
    async def scenario(home: Path) -> None:
        async with relay(home), Client("alice", home) as alice, Client("bob", home) as bob, asyncio.timeout(30):
            assert alice.address() is None
            address = await alice.create_address()
            assert address.short_link is not None and alice.address() == address
            with pytest.raises(InputError, match="already"):
                await alice.create_address()
            asked = await bob.connect(address.short_link, texts=["hello", "more"])
            assert (asked.alias, asked.state.state) == ("alice", "ready")
            async with Client("carol", home) as carol:
                await carol.connect(address.link or "", "alice")
            events = alice.events()
            first, second = await next_request(events), await next_request(events)
            assert [(asking.name, asking.text) for asking in (first, second)] == [("bob", "hello"), ("carol", None)]
            assert alice.requests() == [first, second]
            assert alice.reject("carol") == second
            view = await alice.accept(first.id, "robert")
            assert (view.alias, view.state.state) == ("robert", "ready")
            await asyncio.gather(alice.wait_connected("robert", 20), bob.wait_connected("alice", 20))
            assert alice.requests() == []
            async for message in alice.messages():
                if message.text == "more":
                    break
            assert [message.text for message in alice.history("robert")] == ["hello", "more"]
            with pytest.raises(UnknownRequest):
                await alice.accept("carol")
            assert await alice.delete_address(timeout=20) and alice.address() is None
            with pytest.raises(NoAddress):
                await alice.delete_address()
            with pytest.raises(NoAddress):
                alice.accept_automatically()
            assert [contact.alias for contact in alice.contacts()] == ["robert"]

    run(scenario, tmp_path)


def test_a_request_counts_as_shown_only_when_more_is_asked_for(tmp_path: Path) -> None:
    async def scenario(home: Path) -> None:
        async with relay(home), Client("alice", home) as alice, Client("bob", home) as bob, asyncio.timeout(30):
            address = await alice.create_address()
            await bob.connect(address.short_link or "", "alice")
            shown = [await next_request(alice.events()) for _ in range(2)]
            assert [request.name for request in shown] == ["bob", "bob"]

    run(scenario, tmp_path)


def test_an_address_can_accept_at_once(tmp_path: Path) -> None:
    async def scenario(home: Path) -> None:
        async with relay(home), Client("alice", home) as alice, Client("bob", home) as bob, asyncio.timeout(30):
            address = await alice.create_address()
            alice.accept_automatically()
            await bob.connect(address.short_link or "", "alice")
            await bob.wait_connected("alice", 20)
            assert [contact.alias for contact in alice.contacts()] == ["bob"]

    run(scenario, tmp_path)


def test_an_acceptance_that_comes_too_late_says_so(tmp_path: Path) -> None:
    async def scenario(home: Path) -> None:
        async with relay(home), Client("alice", home) as alice, asyncio.timeout(30):
            address = await alice.create_address()
            async with Client("bob", home) as bob:
                await bob.connect(address.short_link or "", "alice")
                await next_request(alice.events())
                assert await bob.delete("alice", timeout=20)
            with pytest.raises(ConnectionFailed, match="The person who sent this request can no longer be reached"):
                await alice.accept("bob")

    run(scenario, tmp_path)


def test_a_link_and_an_address_can_have_a_relay_of_their_own(tmp_path: Path) -> None:
    async def scenario(home: Path) -> None:
        async with relay(home / "elsewhere"), Client("alice", home) as alice, asyncio.timeout(30):
            (home / "relay").mkdir()
            (home / "relay" / "stopped").touch()
            server = status(home / "elsewhere" / "relay").address
            invitation, address = await alice.invite(server=server), await alice.create_address(server=server)
            for made in (invitation, address):
                link = parse_link(made.link or "")
                assert isinstance(link, InvitationLink | ContactLink)
                assert link.queues[0].server == parse_server(server or "").server
            with pytest.raises(InputError, match="address of a relay"):
                await alice.invite(server="nowhere")
            with pytest.raises(RelayUnavailable):
                await alice.invite()

    run(scenario, tmp_path)


def test_waiting_ends_with_a_timeout(tmp_path: Path) -> None:
    async def scenario(home: Path) -> None:
        async with relay(home), Client("alice", home) as alice:
            await alice.invite("bob")
            with pytest.raises(TimeoutError):
                await alice.wait_connected("bob", 0.1)
            with pytest.raises(UnknownContact):
                await alice.wait_connected("carol", 0.1)

    run(scenario, tmp_path)


def test_without_a_relay_everything_is_kept(tmp_path: Path) -> None:
    async def scenario(home: Path) -> None:
        async with two(home) as (alice, _):
            pass
        (home / "relay" / "stopped").touch()
        async with Client("alice", home) as alice:
            with pytest.raises(RelayUnavailable, match="was stopped"):
                await alice.send("bob", "hello", timeout=0.5)
            assert [(m.text, m.status) for m in alice.history("bob")] == [("hello", "pending")]
            with pytest.raises(RelayUnavailable):
                await alice.invite()
            assert [view.alias for view in alice.contacts()] == ["bob"]

    run(scenario, tmp_path)


def test_errors_in_the_body_come_out_as_they_are(tmp_path: Path) -> None:
    async def scenario(home: Path) -> None:
        with pytest.raises(ZeroDivisionError):
            async with Client("alice", home):
                _ = 1 / 0
        with pytest.raises(InputError, match="name of a profile"):
            async with Client("../alice", home):
                pass
        client = Client("alice", home)
        async with client:
            assert client.contacts() == []
        with pytest.raises(RuntimeError, match="async with"):
            client.contacts()

    run(scenario, tmp_path)


def test_the_package_offers_the_library_when_it_is_asked_for() -> None:
    assert smpchat.Client is Client and issubclass(InputError, ChatError)
    assert all(getattr(smpchat, name) is not None for name in smpchat.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Server'"):
        _ = smpchat.Server  # type: ignore[attr-defined]
