"""Where the app does more than we do: everything that a person would miss is seen, and nothing goes to strangers."""

from __future__ import annotations

import json
import random
import re
import string
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

import pytest

from smpchat.chat.errors import ConnectionFailed, DeliveryFailed, InputError
from smpchat.chat.store.records import MessageStatus
from smpchat.chat.wire.preferences import Allow, Feature
from smpchat.protocol.version import VersionRange
from tests.interop.peers import App, Object, nowhere, real_app
from tests.interop.people import Person, delivered, our_relay, ours, relay, run, texts, until


@asynccontextmanager
async def friends(folder: Path) -> AsyncIterator[tuple[Person, App, str]]:
    """We and the app, connected, on the official relay; the app's chat with us. A bystander's relay is dead."""
    async with relay("official", folder) as server, ours(folder, server) as sam:
        sam.service.invite("a bystander", server=nowhere("smp"))
        async with real_app(folder / "app", "ann", server) as app:
            made = await app.do("/connect")
            await sam.connect(made["connLinkInvitation"]["connFullLink"], "ann")
            await app.connected("sam")
            await sam.wait_connected("ann", 30)
            yield sam, app, f"@{await app.number_of('sam')}"


# -- messages of other kinds ------------------------------------------------------------------------------------------


def test_a_live_message_is_handed_over_once_when_it_is_finished(tmp_path: Path) -> None:
    async def scenario(folder: Path) -> None:
        async with friends(folder) as (sam, app, chat):
            item = await app.compose(chat, {"msgContent": {"type": "text", "text": "what is 2"}}, " live=on")
            number = item["meta"]["itemId"]
            await until(lambda: texts(sam.service.being_written("ann")) == ["what is 2"], "the beginning")
            for text, live in (("what is 2+2", "on"), ("what is 2+2?", "off")):
                content = json.dumps({"msgContent": {"type": "text", "text": text}, "mentions": {}})
                await app.do(f"/_update item {chat} {number} live={live} json {content}")
            await app.says("@sam", "next")
            assert texts(await sam.heard(2)) == ["what is 2+2?", "next"]
            assert not sam.service.being_written("ann")

    run(scenario, tmp_path)


def test_messages_disappear_on_both_sides(tmp_path: Path) -> None:
    async def scenario(folder: Path) -> None:
        async with friends(folder) as (sam, app, chat):
            sam.disappear_after("ann", 3)
            await app.do(f"/_set prefs {chat} {json.dumps({'timedMessages': {'allow': 'yes', 'ttl': 3}})}")
            await until(lambda: sam.details("ann").agreement.ttl == 3, "the agreement")
            await app.wait("contactUpdated", _disappears)

            item = await app.says("@sam", "theirs will go")
            assert item["meta"]["itemTimed"]["ttl"] == 3
            [theirs] = await sam.heard()
            assert theirs.ttl == 3
            own = await sam.send("ann", "ours will go")
            assert own.ttl == 3
            assert (await app.shows("ours will go"))["meta"]["itemTimed"]["ttl"] == 3

            await app.do(f"/_read chat {chat}")
            kept = {"theirs will go", "ours will go"}
            await until(lambda: not kept & set(texts(sam.history("ann"))), "both are gone here")

    run(scenario, tmp_path)


def _disappears(event: Object) -> bool:
    said = event["toContact"]["mergedPreferences"]["timedMessages"]["enabled"]
    return bool(said["forUser"] and said["forContact"])


def test_a_call_and_an_invitation_to_a_group_are_lines(tmp_path: Path) -> None:
    async def scenario(folder: Path) -> None:
        async with friends(folder) as (sam, app, chat):
            sam.service.set_contact_allowed("ann", Feature.CALLS, Allow.YES)
            await app.wait("contactUpdated")
            await app.do(f"/_call invite {chat} {json.dumps({'media': 'audio', 'capabilities': {'encryption': True}})}")
            [call] = await sam.heard()
            assert call.content == "call"
            await app.do("/group team")
            await app.do("/add team sam member")
            [invitation] = await sam.heard()
            assert invitation.content == "group-invitation" and "team" in invitation.text
            await app.says("@sam", "afterwards")
            assert texts(await sam.heard()) == ["afterwards"]

    run(scenario, tmp_path)


def test_title_and_description_of_a_link_are_shown(tmp_path: Path) -> None:
    async def scenario(folder: Path) -> None:
        async with friends(folder) as (sam, app, chat):
            picture = "data:image/png;base64,iVBORw0KGgo="
            shown = {"uri": "https://example.org", "title": "A title", "description": "What it is", "image": picture}
            await app.compose(chat, {"msgContent": {"type": "link", "text": "https://example.org", "preview": shown}})
            [message] = await sam.heard()
            assert message.content == "link" and message.preview is not None
            assert (message.preview.title, message.preview.description) == ("A title", "What it is")

    run(scenario, tmp_path)


def test_long_texts_of_ours_arrive_whole(tmp_path: Path) -> None:
    async def scenario(folder: Path) -> None:
        async with friends(folder) as (sam, app, _):
            letters = "".join(random.Random(1).choices(string.ascii_letters, k=12_500))
            for text in ("a" * 15_480, letters):
                await sam.send("ann", text)
                await app.shows(text)
                await delivered(sam, "ann", text)

    run(scenario, tmp_path)


# -- profiles and preferences -----------------------------------------------------------------------------------------


def test_changed_names_reach_the_other_side(tmp_path: Path) -> None:
    async def scenario(folder: Path) -> None:
        async with friends(folder) as (sam, app, _):
            sam.set_profile("samuel")
            await app.wait("contactUpdated", lambda e: e["toContact"]["profile"]["displayName"] == "samuel")
            await app.do("/p anna")

            def name() -> bool:
                profile = sam.contact("ann").contact.profile
                return profile is not None and profile.display_name == "anna"

            await until(name, "the new name")

    run(scenario, tmp_path)


def test_reactions_that_the_contact_forbids_are_refused_here(tmp_path: Path) -> None:
    async def scenario(folder: Path) -> None:
        async with friends(folder) as (sam, app, chat):
            await app.says("@sam", "no emoji, please")
            [message] = await sam.heard()
            await app.do(f"/_set prefs {chat} {json.dumps({'reactions': {'allow': 'no'}})}")
            await app.says("@sam", "they are off now")
            await sam.heard(1)
            with pytest.raises(InputError):
                await sam.react(message.id, "👍")

    run(scenario, tmp_path)


def test_the_codes_to_compare_are_the_same(tmp_path: Path) -> None:
    async def scenario(folder: Path) -> None:
        async with friends(folder) as (sam, app, _):
            code = (await app.do("/code @sam"))["connectionCode"]
            assert sam.service.verify("ann", code).verified
            assert sam.contact("ann").verified

    run(scenario, tmp_path)


def test_the_welcome_text_of_an_address_comes_once(tmp_path: Path) -> None:
    async def scenario(folder: Path) -> None:
        async with relay("official", folder) as server, ours(folder, server) as sam:
            async with real_app(folder / "app", "ann", server) as app:
                made = await app.do("/address")
                await app.do("/auto_accept on text welcome to you")
                await sam.connect(made["connLinkContact"]["connShortLink"], "ann")
                await app.connected("sam")
                await app.says("@sam", "and hello")
                assert texts(await sam.heard(2)) == ["welcome to you", "and hello"]

    run(scenario, tmp_path)


# -- groups and businesses --------------------------------------------------------------------------------------------


def test_the_link_of_a_group_is_never_taken_for_a_person(tmp_path: Path) -> None:
    async def scenario(folder: Path) -> None:
        async with relay("official", folder) as server, ours(folder, server) as sam:
            async with real_app(folder / "app", "ann", server) as app:
                await app.do("/group team")
                link = (await app.do("/create link #team"))["groupLink"]["connLinkContact"]
                for given in link["connFullLink"], link["connShortLink"]:
                    with pytest.raises(InputError, match="group"):
                        await sam.connect(given, "team", ["secret"])
                assert not sam.contacts()
                members = (await app.do("/members team"))["group"]["members"]
                assert not members, "we joined a group that we do not know"

    run(scenario, tmp_path)


def test_an_answer_of_a_group_ends_a_join_whatever_the_link_said(tmp_path: Path) -> None:
    async def scenario(folder: Path) -> None:
        async with relay("official", folder) as server, ours(folder, server) as sam:
            async with real_app(folder / "app", "ann", server) as app:
                await app.do("/group team")
                link = (await app.do("/create link #team"))["groupLink"]["connLinkContact"]["connFullLink"]
                mute = re.sub(r"[?&]data=[^&]*", "", link)
                assert mute != link, quote(link)
                sam.service.connect(mute, "team", [])
                with pytest.raises(ConnectionFailed, match="the group 'team'"):
                    await sam.wait_connected("team", 30)

    run(scenario, tmp_path)


def test_two_people_of_a_business_answer_and_nothing_is_lost(tmp_path: Path) -> None:
    async def scenario(folder: Path) -> None:
        async with relay("official", folder) as server, ours(folder, server) as sam:
            async with real_app(folder / "ann", "ann", server) as ann, real_app(folder / "bob", "bob", server) as bob:
                made = await ann.do("/connect")
                await bob.do("/connect " + made["connLinkInvitation"]["connFullLink"])
                await ann.connected("bob")
                await bob.connected("ann")
                link = (await ann.do("/address"))["connLinkContact"]["connFullLink"]
                await ann.do("/auto_accept on business")
                await sam.connect(link, "shop")
                await sam.wait_connected("shop", 30)
                await ann.wait("joinedGroupMember")
                assert sam.contact("shop").contact.business

                await ann.says("#sam", "ann speaking")
                assert (await sam.heard_text("ann speaking")).sender == "ann"
                await ann.do("/add #sam bob admin")
                invited = await bob.wait("receivedGroupInvitation")
                group = invited["groupInfo"]["localDisplayName"]
                await bob.do(f"/join #{group}")
                await bob.wait("userJoinedGroup")
                await bob.says(f"#{group}", "bob speaking")
                await ann.shows("bob speaking")
                heard = await sam.heard_text("bob speaking")
                assert heard.sender == "bob"

                await sam.send("shop", "to both of you")
                await ann.shows("to both of you")
                await bob.shows("to both of you")

    run(scenario, tmp_path)


# -- what must not be lost --------------------------------------------------------------------------------------------


def test_texts_at_once_with_our_own_queue_on_an_old_relay(tmp_path: Path) -> None:
    async def scenario(folder: Path) -> None:
        async with relay("official", folder) as server, our_relay(folder / "old", VersionRange(6, 8)) as old:
            async with ours(folder, old) as sam, real_app(folder / "app", "ann", server) as app:
                made = await app.do("/connect")
                await sam.connect(made["connLinkInvitation"]["connFullLink"], "ann", ["one", "two"])
                await app.connected("sam")
                await app.shows("one")
                await app.shows("two")
                await sam.wait_connected("ann", 30)
                await delivered(sam, "ann", "one", "two")
                await app.says("@sam", "hello")
                assert texts(await sam.heard()) == ["hello"]

    run(scenario, tmp_path)


@pytest.mark.parametrize("notified", ["on", "off"])
def test_a_contact_who_deletes_us(notified: str, tmp_path: Path) -> None:
    async def scenario(folder: Path) -> None:
        async with friends(folder) as (sam, app, chat):
            await sam.send("ann", "before")
            await delivered(sam, "ann", "before")
            await app.do(f"/_delete {chat} full notify={notified}")
            if notified == "on":
                await until(lambda: sam.contact("ann").contact.gone, "the mark")
                with pytest.raises(InputError):
                    await sam.send("ann", "are you there?")
            else:
                with pytest.raises(DeliveryFailed, match="queue is gone"):
                    await sam.send("ann", "are you there?")
                failed = sam.history("ann")[-1]
                assert (failed.text, failed.status) == ("are you there?", MessageStatus.FAILED)
                assert [standing.kind for standing in sam.service.conditions("ann")] == ["peer-queue-gone"]

    run(scenario, tmp_path)
