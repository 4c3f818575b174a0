"""Ordinary talk between us and the app: links of every kind, texts, changes, receipts."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from smpchat import Message, RequestReceived
from smpchat.agent.machines.handshake_states import Variant
from tests.interop.peers import PATIENCE, App, real_app
from tests.interop.people import Person, delivered, ours, relay, run, texts, until

RELAYS = ["official", "ours"]


async def talk(sam: Person, app: App, contact: str = "ann") -> None:
    """Texts both ways, with our receipts."""
    await app.says("@sam", "hello sam")
    assert texts(await sam.heard()) == ["hello sam"]
    await sam.send(contact, "hello ann")
    await app.shows("hello ann")
    await delivered(sam, contact, "hello ann")


async def join_app(sam: Person, app: App, alias: str = "ann", *said: str) -> None:
    """We use an invitation of the app, with texts at once."""
    made = await app.do("/connect")
    await sam.connect(made["connLinkInvitation"]["connFullLink"], alias, said)
    await app.connected("sam")
    await sam.wait_connected(alias, 30)


@pytest.mark.parametrize("where", RELAYS)
@pytest.mark.parametrize("form", ["connFullLink", "connShortLink"])
def test_we_use_their_invitation_and_write_at_once(form: str, where: str, tmp_path: Path) -> None:
    async def scenario(folder: Path) -> None:
        async with relay(where, folder) as server, ours(folder, server) as sam:
            async with real_app(folder / "app", "ann", server) as app:
                made = await app.do("/connect")
                await sam.connect(made["connLinkInvitation"][form], "ann", ["one", "two"])
                await app.connected("sam")
                await app.shows("one")
                await app.shows("two")
                await sam.wait_connected("ann", 30)
                profile = sam.contact("ann").contact.profile
                assert profile is not None and profile.display_name == "ann"
                await talk(sam, app)

    run(scenario, tmp_path)


@pytest.mark.parametrize("where", RELAYS)
@pytest.mark.parametrize("variant", [Variant.INSTANT, Variant.THREE_STEP, Variant.STANDARD])
def test_they_use_our_invitation(variant: Variant, where: str, tmp_path: Path) -> None:
    async def scenario(folder: Path) -> None:
        async with relay(where, folder) as server, ours(folder, server) as sam:
            async with real_app(folder / "app", "ann", server) as app:
                invitation = await sam.invite("ann", variant=variant)
                await app.do(f"/connect {invitation.link}")
                await app.connected("sam")
                await sam.wait_connected("ann", 30)
                await talk(sam, app)

    run(scenario, tmp_path)


@pytest.mark.parametrize("where", RELAYS)
@pytest.mark.parametrize("form", ["connFullLink", "connShortLink"])
def test_we_ask_through_their_address(form: str, where: str, tmp_path: Path) -> None:
    async def scenario(folder: Path) -> None:
        async with relay(where, folder) as server, ours(folder, server) as sam:
            async with real_app(folder / "app", "ann", server) as app:
                made = await app.do("/address")
                await sam.connect(made["connLinkContact"][form], "ann", ["please"])
                await app.wait("receivedContactRequest")
                await app.do("/accept sam")
                await app.connected("sam")
                await sam.wait_connected("ann", 30)
                shown = await app.history(f"@{await app.number_of('sam')}")
                assert [i["meta"]["itemText"] for i in shown if i["meta"]["itemText"] == "please"] == ["please"]
                await delivered(sam, "ann", "please")
                await talk(sam, app)

    run(scenario, tmp_path)


@pytest.mark.parametrize("form", ["link", "short_link"])
def test_they_ask_through_our_address(form: str, tmp_path: Path) -> None:
    async def scenario(folder: Path) -> None:
        async with relay("official", folder) as server, ours(folder, server) as sam:
            async with real_app(folder / "app", "ann", server) as app:
                address = await sam.create_address()
                await app.do(f"/connect {getattr(address, form)}")
                async for event in sam.events():
                    if isinstance(event, RequestReceived):
                        assert event.request.name == "ann"
                        await sam.accept(event.request.id, "ann")
                        break
                await app.connected("sam")
                await sam.wait_connected("ann", 30)
                await talk(sam, app)

    run(scenario, tmp_path)


def test_replies_edits_deletions_and_reactions_of_theirs(tmp_path: Path) -> None:
    async def scenario(folder: Path) -> None:
        async with relay("official", folder) as server, ours(folder, server) as sam:
            async with real_app(folder / "app", "ann", server) as app:
                await join_app(sam, app)
                chat = f"@{await app.number_of('sam')}"
                await sam.send("ann", "from us")
                own = await app.shows("from us")
                content = {"type": "text", "text": "an answer"}
                answer = await app.compose(chat, {"msgContent": content, "quotedItemId": own["meta"]["itemId"]})
                [said] = await sam.heard()
                assert said.text == "an answer"
                assert said.reply_to is not None and said.reply_to.text == "from us"

                edited = '{"msgContent": {"type": "text", "text": "a better answer"}, "mentions": {}}'
                await app.do(f"/_update item {chat} {answer['meta']['itemId']} live=off json {edited}")
                await until(lambda: sam.history("ann")[-1].text == "a better answer", "the edit")
                await app.do(f'/_reaction {chat} {own["meta"]["itemId"]} on {{"type": "emoji", "emoji": "👍"}}')
                await until(lambda: _own(sam, "from us").reactions, "the reaction")
                await app.do(f'/_reaction {chat} {own["meta"]["itemId"]} off {{"type": "emoji", "emoji": "👍"}}')
                await until(lambda: not _own(sam, "from us").reactions, "its removal")
                await app.do(f"/_delete item {chat} {answer['meta']['itemId']} broadcast")
                await until(lambda: sam.history("ann")[-1].deleted, "the deletion")

    run(scenario, tmp_path)


def _own(sam: Person, text: str) -> Message:
    return next(message for message in sam.history("ann") if message.text == text)


def test_replies_edits_deletions_and_reactions_of_ours(tmp_path: Path) -> None:
    async def scenario(folder: Path) -> None:
        async with relay("official", folder) as server, ours(folder, server) as sam:
            async with real_app(folder / "app", "ann", server) as app:
                await join_app(sam, app)
                await app.says("@sam", "from the app")
                [theirs] = await sam.heard()
                ours_ = await sam.send("ann", "an answer", reply_to=theirs.id)
                shown = await app.shows("an answer")
                assert shown["quotedItem"]["content"]["text"] == "from the app"

                await sam.edit(ours_.id, "a better answer")
                changed = await app.wait("chatItemUpdated")
                assert changed["chatItem"]["chatItem"]["content"]["msgContent"]["text"] == "a better answer"
                await sam.react(theirs.id, "👍")
                reaction = await app.wait("chatItemReaction")
                assert reaction["added"] and reaction["reaction"]["chatReaction"]["reaction"]["emoji"] == "👍"
                await sam.react(theirs.id, "👍", add=False)
                assert not (await app.wait("chatItemReaction"))["added"]
                await sam.retract(ours_.id)
                await app.wait("chatItemsDeleted")

    run(scenario, tmp_path)


async def _without_receipt(app: App, chat: str) -> list[str]:
    """Texts of the app that it shows as not delivered yet."""
    items = await app.history(chat, 200)
    return [
        item["meta"]["itemText"]
        for item in items
        if item["chatDir"]["type"] == "directSnd" and item["meta"]["itemStatus"]["type"] == "sndSent"
    ]


def test_fifty_texts_each_way_while_the_other_is_away(tmp_path: Path) -> None:
    async def scenario(folder: Path) -> None:
        theirs, own = [f"theirs {n}" for n in range(50)], [f"ours {n}" for n in range(50)]
        async with relay("official", folder) as server:
            async with real_app(folder / "app", "ann", server) as app:
                async with ours(folder, server) as sam:
                    await join_app(sam, app)
                    chat = f"@{await app.number_of('sam')}"
                for text in theirs:
                    await app.says("@sam", text)
                async with ours(folder, server) as sam:
                    assert texts(await sam.heard(50)) == theirs
                    async with asyncio.timeout(PATIENCE):
                        while await _without_receipt(app, chat):
                            await app.wait("chatItemsStatusesUpdated")
            async with ours(folder, server) as sam:
                for text in own:
                    await sam.send("ann", text, wait="none")
                await until(lambda: not sam.contact("ann").pending, "nothing pending")
            async with real_app(folder / "app", "ann", server) as app, ours(folder, server) as sam:
                for text in own:
                    await app.shows(text)
                await delivered(sam, "ann", *own)

    run(scenario, tmp_path)


def test_forwards_both_ways(tmp_path: Path) -> None:
    async def scenario(folder: Path) -> None:
        async with relay("official", folder) as server, ours(folder, server) as sam:
            async with real_app(folder / "app", "ann", server) as app:
                await join_app(sam, app)
                chat = f"@{await app.number_of('sam')}"
                item = await app.says("@sam", "pass me on")
                [first] = await sam.heard()
                assert not first.forwarded
                await app.do(f"/_forward {chat} {chat} {item['meta']['itemId']}")
                [again] = await sam.heard()
                assert again.text == "pass me on" and again.forwarded

                await asyncio.gather(sam.forward(first.id, "ann"), app.wait("newChatItems", _forwarded))

    run(scenario, tmp_path)


def _forwarded(event: dict[str, list[dict[str, dict[str, dict[str, object]]]]]) -> bool:
    meta = event["chatItems"][0]["chatItem"]["meta"]
    return meta["itemText"] == "pass me on" and "itemForwarded" in meta
