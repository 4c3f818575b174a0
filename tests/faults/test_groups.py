"""A group of ours with a crash at commits of every member, and with members that are offline: each has all once."""

from __future__ import annotations

import asyncio
import base64
import json
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random

import pytest

from smpchat.agent.machines.delivery import Integrity
from smpchat.chat.errors import InputError
from smpchat.chat.machines.group_states import LINKS_PER_MINUTE, MAX_MEMBERS
from smpchat.chat.service.connecting import ChatService
from smpchat.chat.store import expiry, groups
from smpchat.chat.transactions.group_talk import GroupTalk
from smpchat.testing.loop import run_jumping
from tests.faults.people import START, CrashPlan
from tests.faults.teams import Team, connected, is_connected
from tests.faults.teams import texts as texts_of

NAMES = ("alice", "bob", "carol", "dave")
SAMPLED = 12
"""Crashes of each member that are tried, drawn by chance; there are some 200 commits of each."""


def play(folder: Path, plans: dict[str, CrashPlan] | None = None) -> None:
    async def main() -> None:
        team = Team(folder, NAMES, plans)
        async with AsyncExitStack() as stack:
            await team.start(stack)
            await team.form()
            for name in NAMES:
                await team.say(name, f"one of {name}")
                await team.say(name, f"two of {name}")
            texts = [f"{which} of {name}" for name in NAMES for which in ("one", "two")]
            await team.heard(*texts)
            for person in team.people.values():
                found = texts_of(person.service)
                assert sorted(text for _, text in found) == sorted(texts), person.name
                for name in NAMES:
                    own = "me" if name == person.name else name
                    assert [t for by, t in found if by == own] == [f"one of {name}", f"two of {name}"]

    run_jumping(main)


def test_without_faults(tmp_path: Path) -> None:
    play(tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_crashes(tmp_path: Path, name: str) -> None:
    """At commits drawn by chance, the same ones each time."""
    plan = CrashPlan()
    play(tmp_path / "without", {name: plan})
    random = Random(name)
    for number, at in enumerate(sorted(random.sample(range(1, plan.commits), SAMPLED))):
        play(tmp_path / str(number), {name: CrashPlan((at, bool(number % 2)))})


def test_somebody_is_away_while_others_come_and_talk(tmp_path: Path) -> None:
    async def main() -> None:
        team = Team(tmp_path, NAMES)
        async with AsyncExitStack() as stack:
            await team.start(stack)
            await team.form()
            async with team["alice"].away(), team["bob"].away():
                for name in ("carol", "dave"):
                    await team.say(name, f"{name} alone")
                await team["carol"].until(lambda s: "dave alone" in [t for _, t in texts_of(s)])
            await team.heard("carol alone", "dave alone")

    run_jumping(main)


def test_the_end_of_a_group(tmp_path: Path) -> None:
    async def main() -> None:
        team = Team(tmp_path, NAMES)
        async with AsyncExitStack() as stack:
            await team.start(stack)
            await team.form()
            await team["dave"].do(lambda service: service.leave_group("team"))
            for name in ("alice", "bob", "carol"):
                await team[name].until(lambda s: "dave" not in [m.name for m in s.group("team").current])
            await team["alice"].do(lambda service: service.remove_member("team", "carol"))
            await team["carol"].until(lambda s: s.group("team").standing == "removed")
            await team["bob"].until(lambda s: connected(s) == ["alice"])
            await team["alice"].do(lambda service: service.delete_group("team"))
            await team["bob"].until(lambda s: s.group("team").standing == "deleted")
            for person in team.people.values():
                await person.until(lambda s: s.is_idle())
                await person.do(lambda service: service.delete("team"))
                assert "team" not in [view.alias for view in person.service.contacts()]

    run_jumping(main)


def test_a_link_to_a_group_of_ours(tmp_path: Path) -> None:
    async def main() -> None:
        team = Team(tmp_path, NAMES)
        async with AsyncExitStack() as stack:
            await team.start(stack)
            await team.form_by_link()
            await team.say("dave", "hello")
            await team.heard("hello")
            assert {person.service.groups()[0].alias for person in team.people.values()} == {"team"}

    run_jumping(main)


def introductions(count: int) -> list[bytes]:
    """Bodies of a host that introduces so many members whom nobody ever meets."""
    bodies = []
    for start in range(0, count, 50):
        events = []
        for number in range(start, min(start + 50, count)):
            id = base64.urlsafe_b64encode(base64.b64encode(b"%012d" % number)).decode()
            profile = {"displayName": f"m{number}", "fullName": ""}
            info = {"memberId": id, "memberRole": "member", "v": "1-16", "profile": profile}
            event_id = base64.urlsafe_b64encode(b"introduced %06d" % number).decode()
            params = {"memberInfo": info}
            events.append({"v": "1-16", "msgId": event_id, "event": "x.grp.mem.intro", "params": params})
        bodies.append(json.dumps(events).encode())
    return bodies


def test_what_a_host_can_cause_is_bounded_and_told(tmp_path: Path) -> None:
    """A host makes up members: each is to cost a connection, a queue and a row."""

    async def main() -> None:
        team = Team(tmp_path, NAMES[:2])
        async with AsyncExitStack() as stack:
            await team.start(stack)
            await team.form_by_link()
            bob = team["bob"].service
            tx, before = bob.database.connection, count_connections(bob)
            place = groups.load(tx, 1)
            assert place is not None
            to_host = groups.connection_of(tx, 1, place.host)
            assert to_host is not None
            for body in introductions(MAX_MEMBERS + 100):
                with bob.database.transaction() as inside:
                    bob.context.application.message_received(inside, to_host, body, int(START), Integrity.OK)
            assert len(bob.group("team").members) == MAX_MEMBERS
            assert count_connections(bob) == before + LINKS_PER_MINUTE
            assert "more members than smpchat can keep" in bob.history("team")[-1].text
            assert bob.tend_groups() is not None
            await asyncio.sleep(61)
            bob.tend_groups()
            assert count_connections(bob) == before + 2 * LINKS_PER_MINUTE
            await team.say("alice", "and yet")
            await team.heard("and yet")

    run_jumping(main)


def count_connections(service: ChatService) -> int:
    [found] = service.database.connection.execute("SELECT count(*) FROM connections").fetchone()
    return int(found)


def test_a_made_up_name_stays_the_only_one(tmp_path: Path) -> None:
    """Who came by a link under a made-up name, and who was invited by a contact that knows such a name."""

    async def main() -> None:
        team = Team(tmp_path, NAMES[:3])
        alice, bob, carol = (team[name].service for name in NAMES[:3])
        for name in NAMES[1:3]:
            team[name].service.set_profile(f"Secret {name}")
        async with AsyncExitStack() as stack:
            await team.start(stack)
            alice.create_group("team")
            alice.make_group_link("team")
            await team["alice"].until(lambda s: bool((link := s.group_link("team")) and link.full))
            link = alice.group_link("team")
            assert link is not None
            bob.connect(link.short or link.full or "", None, incognito=True)
            await team["bob"].until(lambda s: bool(s.groups()) and len(connected(s)) == 1)

            number = alice.invite("carol")
            await team["alice"].until(lambda s: bool((made := s.invitation(number)) and made.link))
            made = alice.invitation(number)
            assert made is not None
            carol.connect(made.link or "", "alice", incognito=True)
            await team["alice"].until(lambda s: is_connected(s, "carol"))
            await team["alice"].do(lambda s: s.invite_to_group("team", "carol"))
            await team["carol"].until(lambda s: bool(s.groups()))
            carol.join_group("team")
            for person in team.people.values():
                await person.until(lambda s: len(connected(s)) == 2)
            bob.set_profile("Secret and new")
            await team.say("bob", "hello")
            await team.heard("hello")

            known = {bob.contact("team").incognito, carol.contact("team").incognito}
            assert None not in known and len(known) == 2
            assert {m.name for m in alice.group("team").members} == known
            assert carol.contact("team").incognito == carol.contact("alice").incognito
            for service in (alice, bob, carol):
                told = "".join(
                    row[0] or ""
                    for row in service.database.connection.execute(
                        "SELECT profile FROM group_members UNION ALL SELECT name FROM group_members"
                        " UNION ALL SELECT profile FROM contacts"
                    )
                )
                assert "Secret" not in told

    run_jumping(main)


def test_who_needs_a_relay_is_the_group(tmp_path: Path) -> None:
    async def main() -> None:
        team = Team(tmp_path, NAMES[:3])
        async with AsyncExitStack() as stack:
            await team.start(stack)
            await team.form_by_link()
            carol, alices = team["carol"].service, team.relays[0]
            await alices.stop()
            with pytest.raises(InputError, match="The group 'team' still uses this relay"):
                carol.forget_server(str(alices.server))
            assert [view.alias for view in carol.contacts()] == ["team"]
            await team.say("carol", "alice is away")  # and bob has it all the same
            await team["bob"].until(lambda s: "alice is away" in [text for _, text in texts_of(s)])
            assert {condition.server for condition in carol.conditions("team")} <= {str(alices.server), None}
            alices.start()
            await team.heard("alice is away")

    run_jumping(main)


def test_what_is_passed_on_says_by_whom_until_it_is_proven(tmp_path: Path) -> None:
    """History, and what two members say before they are connected, is the host's word."""

    async def main() -> None:
        team = Team(tmp_path, NAMES[:3])
        alice, bob, carol = (team[name] for name in NAMES[:3])
        async with AsyncExitStack() as stack:
            await team.start(stack)
            alice.service.create_group("team")
            alice.service.make_group_link("team")
            await alice.until(lambda s: bool((link := s.group_link("team")) and link.full))
            found = alice.service.group_link("team")
            assert found is not None
            await bob.do(lambda s: s.connect(found.full or "", None))
            await bob.until(lambda s: bool(s.groups()) and len(connected(s)) == 1)
            await team.say("bob", "before carol")
            await alice.until(lambda s: ("bob", "before carol") in texts_of(s))
            async with bob.away():
                await carol.do(lambda s: s.connect(found.full or "", None))
                await carol.until(lambda s: bool(s.groups()) and ("bob", "before carol") in texts_of(s))
                await team.say("carol", "hello")
                await alice.until(lambda s: ("carol", "hello") in texts_of(s))
            past = next(m for m in carol.service.history("team") if m.text == "before carol")
            assert (past.sender, past.via) == ("bob", "alice")
            await bob.until(lambda s: ("carol", "hello") in texts_of(s) and len(connected(s)) == 2)
            await bob.until(lambda s: [m.via for m in s.history("team") if m.text == "hello"] == [None])
            await team.say("bob", "straight")
            await carol.until(lambda s: ("bob", "straight") in texts_of(s))
            assert [m.via for m in carol.service.history("team") if m.text == "straight"] == [None]

    run_jumping(main)


@pytest.mark.parametrize("how", ["deleted", "disappeared"])
def test_what_is_gone_for_good_is_not_brought_back_by_an_edit(tmp_path: Path, how: str) -> None:
    async def main() -> None:
        team = Team(tmp_path, NAMES[:2])
        async with AsyncExitStack() as stack:
            await team.start(stack)
            await team.form_by_link()
            alice, bob = team["alice"].service, team["bob"].service
            alice.change_group("team", allow={"fulldelete": True})
            await team["bob"].until(lambda s: "fulldelete" in s.group("team").allows)
            mine = alice.send("team", "for a while")
            await team["bob"].until(lambda s: ("alice", "for a while") in texts_of(s))
            theirs = next(m for m in bob.history("team") if m.text == "for a while")
            if how == "deleted":
                alice.retract(mine.id)
                await team["bob"].until(lambda s: ("alice", "for a while") not in texts_of(s))
            else:
                with bob.database.transaction() as tx:
                    expiry.remove(tx, theirs.id)
            place = groups.load(bob.database.connection, 1)
            assert place is not None
            to_host = groups.connection_of(bob.database.connection, 1, place.host)
            assert to_host is not None
            params = {"msgId": theirs.shared_id, "content": {"type": "text", "text": "back again"}}
            late = {"v": "1-16", "msgId": "bGF0ZWVkaXQ=", "event": "x.msg.update", "params": params}
            with bob.database.transaction() as tx:
                body = json.dumps(late).encode()
                bob.context.application.message_received(tx, to_host, body, int(START), Integrity.OK)
            assert texts_of(bob) == []

    run_jumping(main)


def test_mentions_end_where_the_name_does(tmp_path: Path) -> None:
    async def main() -> None:
        team = Team(tmp_path, NAMES[:2])
        async with AsyncExitStack() as stack:
            await team.start(stack)
            await team.form_by_link()
            bobs = next(iter(groups.load(team["alice"].service.database.connection, 1).members))  # type: ignore[union-attr]
            service = team["alice"].service
            with service.database.transaction() as tx:
                talk = GroupTalk(tx, service.context, service.contact("team").contact)
                for text in ("hi @bob", "hi @Bob.", "@bob, look", "ask @bob-", "(@bob)"):
                    assert [m.member for m in talk._mentions(text)] == [bobs], text
                assert talk._mentions("a@bob and @nobody.") == ()

    run_jumping(main)


def test_a_file_for_nobody_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        team = Team(tmp_path, NAMES[:1])
        async with AsyncExitStack() as stack:
            await team.start(stack)
            (tmp_path / "a.txt").write_text("a")
            team["alice"].service.create_group("team")
            with pytest.raises(InputError, match="nobody else is in this group"):
                team["alice"].service.look_at_file("team", tmp_path / "a.txt")

    run_jumping(main)
