"""Groups of real apps with a member of ours: joined by link, introduced both ways, messages, leaving, removal.

Our member is the machine with its transactions over a real agent; what people see of it is kept in lists.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from smpchat.agent.context import Context
from smpchat.agent.store import ratchets
from smpchat.agent.wire.links import ContactLink, parse_link
from smpchat.agent.wire.short_links import ShortContact
from smpchat.chat.machines.group_effects import News
from smpchat.chat.machines.group_states import Group, Link, Standing
from smpchat.chat.online.presence import online
from smpchat.chat.service.connecting import ChatService
from smpchat.chat.store import groups
from smpchat.chat.transactions.groups import GroupTransactions
from smpchat.home import Home
from tests.interop.peers import App, Object, real_app
from tests.interop.people import relay, run, until
from tests.unit.chat.machines.team import text
from tests.unit.chat.transactions.test_groups import MemberApplication


class Sam:
    """One of us, whose connections are all of groups."""

    def __init__(self, service: ChatService) -> None:
        self.service = service
        self.seen = MemberApplication()
        kept = service.context
        service.context = Context(self.seen, kept.entropy, kept.now, kept.kem)
        self.groups = self.seen.said = GroupTransactions(service.context, self.seen)

    def join(self, link_text: str) -> None:
        link = parse_link(link_text)
        assert isinstance(link, ContactLink | ShortContact)
        with self.service.database.transaction() as tx:
            self.groups.request(tx, link)

    def say(self, words: str) -> None:
        with self.service.database.transaction() as tx:
            self.groups.say(tx, 1, text(words))

    def leave(self) -> None:
        with self.service.database.transaction() as tx:
            self.groups.leave(tx, 1)

    @property
    def group(self) -> Group | None:
        return groups.load(self.service.database.connection, 1)

    def connected(self) -> dict[str, str]:
        """Everybody to whom there is a connection, with the role."""
        group = self.group
        members = group.members.values() if group else ()
        return {member.name: member.role.word for member in members if member.link is Link.CONNECTED}

    async def shown(self, author: str, words: str) -> None:
        group = self.group
        assert group is not None
        id = next(member.id for member in group.members.values() if member.name == author)
        await until(lambda: f"{id.decode()}: {words}" in self.seen.shown, f"{words!r} of {author}")


@asynccontextmanager
async def sam_at(folder: Path, server: str) -> AsyncIterator[Sam]:
    home = Home(folder / "home")
    service = home.open("sam")
    try:
        service.use_servers([server])
        sam = Sam(service)
        async with online(service, home.relay()):
            yield sam
    finally:
        service.close()


async def group_link(app: App) -> Object:
    await app.do("/group team")
    link: Object = (await app.do("/create link #team"))["groupLink"]["connLinkContact"]
    return link


def test_we_join_by_links_and_are_introduced_in_both_directions(tmp_path: Path) -> None:
    async def scenario(folder: Path) -> None:
        async with (
            relay("official", folder) as server,
            sam_at(folder, server) as sam,
            real_app(folder / "ann", "ann", server) as ann,
            real_app(folder / "ben", "ben", server) as ben,
            real_app(folder / "cat", "cat", server) as cat,
        ):
            link = await group_link(ann)
            await ben.do(f"/connect {link['connFullLink']}")
            await ben.wait("userJoinedGroup")
            await ann.says("#team", "before sam")
            await ben.shows("before sam")

            sam.join(link["connShortLink"])
            await until(lambda: sam.connected() == {"ann": "owner", "ben": "member"}, "sam is with both")
            assert sam.group is not None
            assert sam.group.own.standing is Standing.CURRENT
            await sam.shown("ann", "before sam")  # history

            await cat.do(f"/connect {link['connFullLink']}")
            await until(lambda: "cat" in sam.connected(), "sam has joined cat's link")

            sam.say("hello of sam")
            for app in (ann, ben, cat):
                await app.shows("hello of sam")
            await ben.says("#team", "hello of ben")
            await cat.says("#team", "hello of cat")
            await sam.shown("ben", "hello of ben")
            await sam.shown("cat", "hello of cat")
            assert len(sam.seen.shown) == len(set(sam.seen.shown))

            tx = sam.service.database.connection
            for member in sam.group.members:
                connection_id = groups.connection_of(tx, 1, member)
                assert connection_id is not None
                assert not ratchets.pq_active(tx, connection_id)

            sam.leave()
            for app in (ann, ben, cat):
                await app.wait("leftMember")

    run(scenario, tmp_path)


def test_a_member_is_offline_while_we_come_and_write(tmp_path: Path) -> None:
    async def scenario(folder: Path) -> None:
        async with (
            relay("official", folder) as server,
            sam_at(folder, server) as sam,
            real_app(folder / "ann", "ann", server) as ann,
        ):
            link = await group_link(ann)
            async with real_app(folder / "ben", "ben", server) as ben:
                await ben.do(f"/connect {link['connFullLink']}")
                await ben.wait("userJoinedGroup")
            sam.join(link["connFullLink"])
            await until(lambda: sam.connected() == {"ann": "owner"}, "sam is with ann")
            await until(lambda: sam.group is not None and len(sam.group.members) == 2, "ben is introduced")
            sam.say("ben sleeps")
            await ann.shows("ben sleeps")
            async with real_app(folder / "ben", "ben", server) as ben:
                await ben.shows("ben sleeps")
                await until(lambda: "ben" in sam.connected(), "sam is with ben")
                await ben.says("#team", "awake")
                await sam.shown("ben", "awake")
                await ann.do("/remove #team somebody")
                await until(lambda: News.REMOVED in sam.seen.news, "sam is out")
                assert sam.connected() == {}

    run(scenario, tmp_path)
