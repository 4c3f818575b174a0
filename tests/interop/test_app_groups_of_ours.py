"""Groups of ours with members who use real apps: invited as contacts and by our link, introduced to each other.

What people see of the group is kept in lists here; contacts are the program's own.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from smpchat.agent.context import Context
from smpchat.agent.machines.delivery import Integrity
from smpchat.agent.store import connections, ratchets
from smpchat.agent.store.addresses import ReceivedRequest
from smpchat.agent.store.connections import Connection
from smpchat.chat.machines.group_effects import Effect, News, SaveProfile, Show, Tell
from smpchat.chat.machines.group_states import Group, Link, Standing
from smpchat.chat.online.presence import online
from smpchat.chat.service.connecting import ChatService
from smpchat.chat.store import groups, records
from smpchat.chat.store.records import Direction
from smpchat.chat.transactions.group_conversation import groups_of
from smpchat.chat.transactions.group_owning import GroupLinkText, GroupOwner, new_group_profile
from smpchat.chat.transactions.groups import GroupTransactions
from smpchat.chat.transactions.incoming import ChatApplication
from smpchat.chat.wire.group_values import MemberId, Role
from smpchat.chat.wire.profile import Profile
from smpchat.home import Home
from tests.interop.peers import PATIENCE, App, Object, real_app
from tests.interop.people import relay, run, until
from tests.interop.test_app_group_conversations import contact_of, joined, members, person, shows
from tests.unit.chat.machines.team import text


class Both(ChatApplication):
    """Contacts as the program has them, and one group, whose conversation hangs on a contact's."""

    def __init__(self, service: ChatService) -> None:
        super().__init__(service.own_profile, service.now, service.entropy.random)
        self.said: GroupTransactions | None = None
        self.shown: list[str] = []
        self.news: list[Tell] = []

    @property
    def groups(self) -> GroupTransactions:
        assert self.said is not None
        return self.said

    def profile(self, tx: sqlite3.Connection, group_id: int | None) -> Profile:
        return Profile("sam")

    def begun(self, tx: sqlite3.Connection, group_id: int, connection_id: int) -> None:
        raise AssertionError("nobody lets us in here")

    def perform(self, tx: sqlite3.Connection, group_id: int, effect: Effect) -> None:
        match effect:
            case Show(author, shared_id, post, said_at) if shared_id is not None:
                self.keep(tx, author, shared_id, post.text, said_at)
                self.shown.append(f"{author.decode()}: {post.text}")
            case SaveProfile(member, profile):
                groups.save_profile(tx, group_id, member, profile)
            case Tell():
                self.news.append(effect)

    def keep(self, tx: sqlite3.Connection, author: MemberId, shared_id: str, words: str, at: float) -> None:
        """In the conversation of the first contact, where there is one: newcomers get it as history."""
        row = tx.execute("SELECT id FROM contacts ORDER BY id").fetchone()
        if row is not None:
            number = records.insert_message(tx, row["id"], Direction.RECEIVED, words, at, shared_id)
            groups.add_message(tx, 1, number, author, shared_id)

    def connection_info(self, tx: sqlite3.Connection, connection_id: int) -> bytes:
        info = self.groups.connection_info(tx, connection_id)
        return super().connection_info(tx, connection_id) if info is None else info

    def state_changed(self, tx: sqlite3.Connection, connection: Connection) -> None:
        if not self.groups.state_changed(tx, connection):
            super().state_changed(tx, connection)

    def peer_info_received(self, tx: sqlite3.Connection, connection_id: int, info: bytes) -> str | None:
        connection = connections.load(tx, connection_id)
        if connection.plain:
            return self.groups.peer_info(tx, connection, info)
        return super().peer_info_received(tx, connection_id, info)

    def message_received(
        self, tx: sqlite3.Connection, connection_id: int, body: bytes, sent_at: int, integrity: Integrity
    ) -> bool:
        wanted = self.groups.message(tx, connection_id, body, sent_at)
        return super().message_received(tx, connection_id, body, sent_at, integrity) if wanted is None else wanted

    def request_accepted(
        self, tx: sqlite3.Connection, context: Context, connection_id: int, request: ReceivedRequest
    ) -> None:
        assert GroupOwner(self.groups).joined(tx, connection_id, request)


class Sam:
    """One of us, who owns a group."""

    def __init__(self, service: ChatService) -> None:
        self.service = service
        self.seen = Both(service)
        kept = service.context
        service.context = Context(self.seen, kept.entropy, kept.now, kept.kem)
        self.groups = self.seen.said = GroupTransactions(service.context, self.seen)
        self.owner = GroupOwner(self.groups)

    def found(self, welcome: str = "") -> None:
        with self.service.database.transaction() as tx:
            assert self.owner.create(tx, new_group_profile("team", welcome=welcome)) == 1

    async def befriend(self, app: App, name: str) -> None:
        link = (await app.do("/connect"))["connLinkInvitation"]["connFullLink"]
        self.service.connect(link, name)
        await app.connected("sam")

    def invite(self, name: str, role: Role = Role.MEMBER) -> None:
        with self.service.database.transaction() as tx:
            self.owner.invite(tx, 1, records.contact(tx, name).connection_id, role)

    async def link(self, role: Role = Role.MEMBER) -> GroupLinkText:
        with self.service.database.transaction() as tx:
            self.owner.make_link(tx, 1, role)

        def look() -> GroupLinkText | None:
            found = self.owner.link_text(self.service.database.connection, 1)
            return found if found is not None and found.short is not None else None

        return await until(look, "the link")

    def say(self, words: str) -> None:
        with self.service.database.transaction() as tx:
            shared_id = self.groups.say(tx, 1, text(words))
            self.seen.keep(tx, self.group.own.id, shared_id, words, self.service.now())

    @property
    def group(self) -> Group:
        group = groups.load(self.service.database.connection, 1)
        assert group is not None
        return group

    def id_of(self, name: str) -> MemberId:
        return next(member.id for member in self.group.members.values() if member.name == name and not member.gone)

    def connected(self) -> dict[str, str]:
        """Everybody who is in, with the role."""
        members = self.group.members.values()
        return {one.name: one.role.word for one in members if one.link is Link.CONNECTED}

    async def shown(self, author: str, words: str) -> None:
        id = self.id_of(author)
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


async def members_of(app: App) -> dict[str, Object]:
    """The members of the group as an app has them, itself left out."""
    group = (await app.do("/members #team"))["group"]
    return {member["localDisplayName"]: member for member in group["members"]}


async def sees(app: App, name: str, **fields: str) -> None:
    """Once an app has that member so; it does not tell of every change."""
    found: Object = {}
    try:
        async with asyncio.timeout(PATIENCE):
            while True:
                found = (await members_of(app)).get(name, {})
                if all(found.get(key) == value for key, value in fields.items()):
                    return
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(f"{name} is not {fields}: {found}") from None


def test_contacts_are_invited_introduced_and_removed(tmp_path: Path) -> None:
    async def scenario(folder: Path) -> None:
        async with (
            relay("official", folder) as server,
            sam_at(folder, server) as sam,
            real_app(folder / "ann", "ann", server) as ann,
            real_app(folder / "ben", "ben", server) as ben,
        ):
            sam.found(welcome="be kind")
            for app, name in ((ann, "ann"), (ben, "ben")):
                await sam.befriend(app, name)
                if name == "ann":
                    sam.invite(name, Role.ADMIN)
                else:
                    sam.say("before ben")
                    await ann.shows("before ben")
                    sam.invite(name)
                await app.wait("receivedGroupInvitation")
                await app.do("/join #team")
                await app.wait("userJoinedGroup")
                await until(lambda n=name: n in sam.connected(), f"{name} is in")  # type: ignore[misc]
                await app.shows("be kind")
            await ben.shows("before ben")
            assert sam.connected() == {"ann": "admin", "ben": "member"}

            await ann.says("#team", "hello of ann")
            await ben.says("#team", "hello of ben")
            sam.say("hello of sam")
            for app, others in ((ann, ("ben", "sam")), (ben, ("ann", "sam"))):
                for other in others:
                    await app.shows(f"hello of {other}")
            await sam.shown("ann", "hello of ann")
            await sam.shown("ben", "hello of ben")
            await sees(ann, "ben", memberStatus="connected")
            await sees(ben, "ann", memberStatus="connected", memberRole="admin")
            await until(lambda: not sam.service.database.read("SELECT * FROM group_introductions"), "both say it works")
            for member in sam.group.members:
                connection_id = groups.connection_of(sam.service.database.connection, 1, member)
                assert connection_id is not None
                assert not ratchets.pq_active(sam.service.database.connection, connection_id)

            with sam.service.database.transaction() as tx:
                sam.owner.set_role(tx, 1, sam.id_of("ben"), Role.OBSERVER)
                sam.owner.change_profile(tx, 1, {"shortDescr": "hikers"})
            for app in (ann, ben):
                await app.wait("memberRole")
                updated = await app.wait("groupUpdated")
                assert updated["toGroup"]["groupProfile"]["shortDescr"] == "hikers"
            with sam.service.database.transaction() as tx:
                sam.owner.block(tx, 1, sam.id_of("ben"))
            await sees(ann, "ben", memberStatus="connected", memberRole="observer")
            await ann.wait("memberBlockedForAll")
            with sam.service.database.transaction() as tx:
                sam.owner.remove_member(tx, 1, sam.id_of("ben"))
            await ben.wait("deletedMemberUser")
            await ann.wait("deletedMember")
            with sam.service.database.transaction() as tx:
                sam.owner.delete(tx, 1)
            await ann.wait("groupDeleted")
            assert sam.group.own.standing is Standing.DELETED

    run(scenario, tmp_path)


def test_apps_join_by_our_link_and_one_of_them_is_offline_meanwhile(tmp_path: Path) -> None:
    async def scenario(folder: Path) -> None:
        async with (
            relay("official", folder) as server,
            sam_at(folder, server) as sam,
            real_app(folder / "ann", "ann", server) as ann,
        ):
            sam.found(welcome="be kind")
            await sam.befriend(ann, "ann")  # her conversation holds what the group says
            link = await sam.link()
            assert link.short is not None and link.full is not None
            plan = await ann.do(f"/_connect plan 1 {link.short}")
            assert plan["connectionPlan"]["type"] == "groupLink", plan
            async with real_app(folder / "ben", "ben", server) as ben:
                await ben.do(f"/connect {link.full}")
                await ben.wait("userJoinedGroup")
                await ben.says("#team", "hello of ben")
                await sam.shown("ben", "hello of ben")
            await ann.do(f"/connect {link.short}")
            await ann.wait("userJoinedGroup")
            await ann.shows("hello of ben")
            await ann.shows("be kind")
            await ann.says("#team", "ben sleeps")
            await sam.shown("ann", "ben sleeps")
            async with real_app(folder / "ben", "ben", server) as ben:
                await ben.shows("ben sleeps")
                await sees(ann, "ben", memberStatus="connected")
                await ben.says("#team", "awake")
                await ann.shows("awake")
                await until(
                    lambda: not sam.service.database.read("SELECT * FROM group_introductions"), "both say it works"
                )
                await ben.do("/leave #team")
                await ann.wait("leftMember")
                await until(lambda: sam.connected() == {"ann": "member"}, "ben is out")
                assert News.MEMBER_LEFT in [told.news for told in sam.seen.news]
                with sam.service.database.transaction() as tx:
                    sam.groups.leave(tx, 1)
                await ann.wait("leftMember")

    run(scenario, tmp_path)


def test_an_app_that_moderators_are_to_look_at(tmp_path: Path) -> None:
    async def scenario(folder: Path) -> None:
        async with (
            relay("official", folder) as server,
            sam_at(folder, server) as sam,
            real_app(folder / "ann", "ann", server) as ann,
            real_app(folder / "ben", "ben", server) as ben,
        ):
            sam.found()
            await sam.befriend(ann, "ann")
            sam.invite("ann")
            await ann.wait("receivedGroupInvitation")
            await ann.do("/join #team")
            await until(lambda: "ann" in sam.connected(), "ann is in")
            with sam.service.database.transaction() as tx:
                sam.owner.change_profile(tx, 1, {"memberAdmission": {"review": "all"}})
            link = await sam.link()
            assert link.short is not None
            await ben.do(f"/connect {link.short}")
            await until(lambda: any(one.standing is Standing.REVIEW for one in sam.group.members.values()), "ben waits")
            sam.say("not for ben yet")
            await ann.shows("not for ben yet")
            with sam.service.database.transaction() as tx:
                sam.owner.admit(tx, 1, sam.id_of("ben"))
            await sees(ann, "ben", memberStatus="connected")
            await ben.says("#team", "hello of ben")
            await ann.shows("hello of ben")
            await sam.shown("ben", "hello of ben")

    run(scenario, tmp_path)


def test_we_are_an_admin_in_the_group_of_an_app_and_host_whom_we_invite(tmp_path: Path) -> None:
    async def scenario(folder: Path) -> None:
        async with (
            relay("official", folder) as server,
            person(folder, "sam", server) as sam,
            real_app(folder / "ann", "ann", server) as ann,
            real_app(folder / "cat", "cat", server) as cat,
        ):
            await ann.do("/group team")
            link = (await ann.do("/create link #team"))["groupLink"]["connLinkContact"]
            async with real_app(folder / "ben", "ben", server) as ben:
                await ben.do(f"/connect {link['connFullLink']}")
                await ben.wait("userJoinedGroup")
                sam.connect(link["connShortLink"], None)
                await joined(sam)
                await until(lambda: members(sam) == {"ann": "owner", "ben": "member"}, "sam is with both")
                # an app that ends in between drops what it was reading, and never comes to this connection again
                await sees(ben, "sam", memberStatus="connected")
            await ann.do("/member role #team sam admin")
            await until(lambda: sam.group("team").role == "admin", "sam is admin")
            await contact_of(cat, sam, "cat")
            with sam.database.transaction() as tx:
                contact = records.contact(tx, "cat")
                GroupOwner(groups_of(sam.context)).invite(tx, 1, contact.connection_id)
            await cat.wait("receivedGroupInvitation")
            await cat.do("/join #team")
            await until(lambda: members(sam).get("cat") == "member", "cat is in")
            await sees(ann, "cat", memberStatus="connected")
            await cat.says("#team", "ben sleeps")
            await ann.shows("ben sleeps")
            await shows(sam, "ben sleeps")
            async with real_app(folder / "ben", "ben", server) as ben:
                await ben.shows("ben sleeps")
                await sees(cat, "ben", memberStatus="connected")
                await ben.says("#team", "awake")
                await cat.shows("awake")

    run(scenario, tmp_path)
