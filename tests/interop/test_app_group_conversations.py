"""Groups of real apps as a person with smpchat has them: an invitation, a link, all that is said and done, the end."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from smpchat.chat.online.presence import online
from smpchat.chat.service.connecting import ChatService
from smpchat.chat.service.views import GroupView
from smpchat.chat.store.records import Message, MessageStatus
from smpchat.home import Home
from smpchat.protocol.address import parse_file_server
from tests.interop.peers import App, real_app
from tests.interop.people import relay, run, until
from tests.interop.test_app_files import came, content_of, fetched, file_relay, written


@asynccontextmanager
async def person(folder: Path, name: str, server: str) -> AsyncIterator[ChatService]:
    home = Home(folder / f"home of {name}")
    service = home.open(name)
    try:
        service.use_servers([server])
        async with online(service, home.relay()):
            yield service
    finally:
        service.close()


async def contact_of(app: App, service: ChatService, alias: str) -> None:
    """The app and we know each other as two people."""
    made = await app.do("/connect")
    service.connect(made["connLinkInvitation"]["connFullLink"], alias)
    await until(lambda: service.contact(alias).state.state == "connected", f"{alias} is connected")


async def joined(service: ChatService, alias: str = "team") -> GroupView:
    return await until(lambda: _in(service, alias), "we are in")


def _in(service: ChatService, alias: str) -> GroupView | None:
    return next((g for g in service.groups() if g.alias == alias and g.standing == "current"), None)


def members(service: ChatService) -> dict[str, str]:
    return {m.name: m.role for m in service.group("team").members if m.connected and m.current}


async def shows(service: ChatService, text: str) -> Message:
    def look() -> Message | None:
        return next((m for m in service.history("team", 200) if text in m.text), None)

    return await until(look, f"{text!r} is shown")


@pytest.mark.parametrize("size", [12, 300_000])
def test_files_in_a_group(size: int, tmp_path: Path) -> None:
    async def scenario(folder: Path) -> None:
        async with (
            relay("official", folder) as server,
            file_relay("official", folder) as (files_at, kept),
            person(folder, "sam", server) as sam,
            real_app(folder / "ann", "ann", server, files_at=files_at) as ann,
            real_app(folder / "ben", "ben", server, files_at=files_at) as ben,
        ):
            sam.use_file_servers([parse_file_server(files_at)])
            await ann.do("/group team")
            link = (await ann.do("/create link #team"))["groupLink"]["connLinkContact"]
            await ben.do(f"/connect {link['connFullLink']}")
            await ben.wait("userJoinedGroup")
            sam.connect(link["connShortLink"], None)
            await joined(sam)
            await until(lambda: set(members(sam)) == {"ann", "ben"}, "sam is with both")

            content = os.urandom(size)
            path = written(folder, "mine.bin", content)
            mine = sam.send_file("team", path, "look")
            for number, app in enumerate((ann, ben)):
                item = await came(app)
                assert await fetched(app, item, folder / f"fetched {number}") == content
            await until(lambda: sam.message(mine.id).status is MessageStatus.DELIVERED, "receipts")  # type: ignore[union-attr]

            await ben.do(f"/file #team {written(folder, 'theirs.bin', content[::-1])}")
            theirs = await until(
                lambda: next((m for m in sam.history("team", 200) if m.file and m.sender == "ben"), None), "an offer"
            )
            got = folder / "got.bin"
            sam.receive_file(theirs.id, got, approved=True)
            await until(lambda: got.exists() and content_of(got) == content[::-1], "the file")

            assert kept.count() > 0
            sam.cancel_file(mine.id)
            await until(lambda: sam.is_idle(), "nothing is left to be told")

    run(scenario, tmp_path)


def test_a_business(tmp_path: Path) -> None:
    async def scenario(folder: Path) -> None:
        async with (
            relay("official", folder) as server,
            person(folder, "sam", server) as sam,
            real_app(folder / "shop", "shop", server) as shop,
            real_app(folder / "ben", "ben", server) as ben,
        ):
            made = await shop.do("/connect")
            await ben.do("/connect " + made["connLinkInvitation"]["connFullLink"])
            await shop.connected("ben")
            link = (await shop.do("/address"))["connLinkContact"]["connFullLink"]
            await shop.do("/auto_accept on business")
            sam.connect(link, "shop", ["is it open?"])
            await until(lambda: _in(sam, "shop"), "we are a customer")
            await shop.wait("joinedGroupMember")
            assert sam.contact("shop").contact.business
            await shop.shows("is it open?")
            await shop.says("#sam", "from nine on")
            await until(lambda: "from nine on" in [m.text for m in sam.history("shop")], "an answer")

            await shop.do("/add #sam ben admin")
            invited = await ben.wait("receivedGroupInvitation")
            await ben.do(f"/join #{invited['groupInfo']['localDisplayName']}")
            await until(lambda: "ben" in [m.name for m in sam.group("shop").members if m.connected], "ben is there")
            sam.send("shop", "thanks to both")
            for app in (shop, ben):
                await app.shows("thanks to both")
            sam.delete("shop")
            await shop.wait("leftMember")

    run(scenario, tmp_path)


def test_a_day_in_a_group_of_an_app(tmp_path: Path) -> None:
    async def scenario(folder: Path) -> None:
        async with (
            relay("official", folder) as server,
            person(folder, "sam", server) as sam,
            real_app(folder / "ann", "ann", server) as ann,
            real_app(folder / "ben", "ben", server) as ben,
        ):
            await ann.do("/group team")
            link = (await ann.do("/create link #team"))["groupLink"]["connLinkContact"]
            await ben.do(f"/connect {link['connFullLink']}")
            await ben.wait("userJoinedGroup")
            await contact_of(ann, sam, "ann")
            await ann.says("#team", "before sam")
            await ben.shows("before sam")

            await ann.do("/add team sam")
            invited = await until(lambda: next(iter(sam.groups()), None), "the invitation")
            assert (invited.alias, invited.name, invited.inviter, invited.standing) == (None, "team", "ann", "invited")
            assert "invites you to the group 'team'" in sam.history("ann")[-1].text
            sam.join_group("team")
            await joined(sam)
            await until(lambda: members(sam) == {"ann": "owner", "ben": "member"}, "sam is with both")
            assert (await shows(sam, "before sam")).sender == "ann"

            mine = sam.send("team", "hello of sam")
            for app in (ann, ben):
                await app.shows("hello of sam")
            await until(lambda: sam.message(mine.id).status is MessageStatus.DELIVERED, "receipts")  # type: ignore[union-attr]
            await ben.says("#team", "hello of ben")
            theirs = await shows(sam, "hello of ben")
            assert (theirs.sender, theirs.contact, theirs.group) == ("ben", "team", True)

            sam.send("team", "an answer", reply_to=theirs.id)
            for app in (ann, ben):
                await app.shows("an answer")
            sam.react(theirs.id, "👍")
            sam.edit(mine.id, "hello again of sam")
            await ben.wait("chatItemUpdated")
            sam.retract(mine.id)
            await ben.wait("chatItemsDeleted")

            await ann.do("/member role #team sam admin")
            await until(lambda: sam.group("team").role == "admin", "sam is admin")
            await shows(sam, "ann gave you the role admin")
            await ann.do("/remove team ben")
            await shows(sam, "ann removed ben")
            assert members(sam) == {"ann": "owner"}

            sam.leave_group("team")
            await ann.wait("leftMember")
            assert sam.group("team").standing == "left"

    run(scenario, tmp_path)


def test_by_the_short_link_of_a_group(tmp_path: Path) -> None:
    async def scenario(folder: Path) -> None:
        async with (
            relay("official", folder) as server,
            person(folder, "sam", server) as sam,
            real_app(folder / "ann", "ann", server) as ann,
        ):
            await ann.do("/group team")
            link = (await ann.do("/create link #team"))["groupLink"]["connLinkContact"]
            sam.connect(link["connShortLink"], None)
            await joined(sam)
            await ann.says("#team", "welcome")
            await shows(sam, "welcome")
            sam.send("team", "thanks")
            await ann.shows("thanks")
            await ann.do("/delete #team")
            await until(lambda: sam.group("team").standing == "deleted", "the end")

    run(scenario, tmp_path)
