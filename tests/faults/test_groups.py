"""A group of ours with a crash at commits of every member, and with members that are offline: each has all once."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from random import Random

import pytest

from smpchat.chat.service.connecting import ChatService
from smpchat.chat.store.records import Direction
from smpchat.testing.entropy import SeededEntropy
from smpchat.testing.loop import run_jumping
from smpchat.testing.relay import MemoryRelay
from tests.faults.people import START, CrashPlan, Person

NAMES = ("alice", "bob", "carol", "dave")
SAMPLED = 12
"""Crashes of each member that are tried, drawn by chance; there are some 200 commits of each."""


class Team:
    """Alice, who owns the group, and whom she invites; each at a relay of its own."""

    def __init__(self, folder: Path, plans: dict[str, CrashPlan] | None = None) -> None:
        self.relays = [
            MemoryRelay(SeededEntropy(f"relay {name}"), lambda: START, host=f"{name}.test") for name in NAMES
        ]
        self.people = {
            name: Person(name, folder / name, self.relays, home=home, plan=(plans or {}).get(name))
            for name, home in zip(NAMES, self.relays, strict=True)
        }

    def __getitem__(self, name: str) -> Person:
        return self.people[name]

    async def start(self, stack: AsyncExitStack) -> None:
        for relay in self.relays:
            stack.push_async_callback(relay.stop)
        for person in self.people.values():
            stack.callback(lambda person=person: person.service.close())
        for person in self.people.values():
            await stack.enter_async_context(person.online())

    async def meet(self, name: str) -> None:
        """Alice and somebody become contacts."""
        alice, other = self["alice"], self[name]
        while not (alice.service.invitations() or alice.service.find_contact(name)):
            await alice.do(lambda service: service.invite(name))
        await alice.until(lambda s: s.find_contact(name) is not None or bool(s.invitations()[0].link))
        link = next((i.link for i in alice.service.invitations()), None)
        while link is not None and other.service.find_contact("alice") is None:
            await other.do(lambda service: service.connect(str(link), "alice"))
        for person, whom in ((alice, name), (other, "alice")):
            await person.until(lambda s, whom=whom: is_connected(s, whom))

    async def form(self) -> None:
        """Everybody is in the group, and connected to everybody."""
        alice = self["alice"]
        while not alice.service.groups():
            await alice.do(lambda service: service.create_group("team"))
        for name in NAMES[1:]:
            await self.meet(name)
            while not any(m.name == name for m in alice.service.group("team").members):
                await alice.do(lambda service, name=name: service.invite_to_group("team", name))
            other = self[name]
            await other.until(lambda s: bool(s.groups()))
            while other.service.groups()[0].standing == "invited":
                await other.do(lambda service: service.join_group("team"))
        for person in self.people.values():
            await person.until(lambda s: len(connected(s)) == len(NAMES) - 1)

    async def say(self, name: str, text: str) -> None:
        while text not in said(self[name]):
            await self[name].do(lambda service: service.send("team", text))

    async def heard(self, *texts: str) -> None:
        for person in self.people.values():
            await person.until(lambda s: all(any(text == t for _, t in _said(s)) for text in texts))


def is_connected(service: ChatService, alias: str) -> bool:
    return service.find_contact(alias) is not None and service.contact(alias).state.state == "connected"


def connected(service: ChatService) -> list[str]:
    [group] = [g for g in service.groups() if g.alias]
    return [m.name for m in group.current if m.connected]


def _said(service: ChatService) -> list[tuple[str, str]]:
    """Author and text of what is in the conversation; lines about the group are nobody's."""
    return [
        ("me" if m.direction is Direction.SENT else str(m.sender), m.text)
        for m in service.history("team", 1000)
        if m.content == "text"
    ]


def said(person: Person) -> list[str]:
    return [text for _, text in _said(person.service)]


def play(folder: Path, plans: dict[str, CrashPlan] | None = None) -> None:
    async def main() -> None:
        team = Team(folder, plans)
        async with AsyncExitStack() as stack:
            await team.start(stack)
            await team.form()
            for name in NAMES:
                await team.say(name, f"one of {name}")
                await team.say(name, f"two of {name}")
            texts = [f"{which} of {name}" for name in NAMES for which in ("one", "two")]
            await team.heard(*texts)
            for person in team.people.values():
                found = _said(person.service)
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
        team = Team(tmp_path)
        async with AsyncExitStack() as stack:
            await team.start(stack)
            await team.form()
            async with team["alice"].away(), team["bob"].away():
                for name in ("carol", "dave"):
                    await team.say(name, f"{name} alone")
                await team["carol"].until(lambda s: "dave alone" in [t for _, t in _said(s)])
            await team.heard("carol alone", "dave alone")

    run_jumping(main)


def test_the_end_of_a_group(tmp_path: Path) -> None:
    async def main() -> None:
        team = Team(tmp_path)
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
        team = Team(tmp_path)
        async with AsyncExitStack() as stack:
            await team.start(stack)
            alice = team["alice"]
            await alice.do(lambda service: service.create_group("team", welcome="be kind"))
            await alice.do(lambda service: service.make_group_link("team"))
            await alice.until(lambda s: bool((found := s.group_link("team")) and found.full))
            link = alice.service.group_link("team")
            assert link is not None
            for name in NAMES[1:]:
                await team[name].do(lambda service: service.connect(link.short or link.full or "", None))
            for person in team.people.values():
                await person.until(lambda s: bool(s.groups()) and len(connected(s)) == len(NAMES) - 1)
            await team.say("dave", "hello")
            await team.heard("hello")
            assert {person.service.groups()[0].alias for person in team.people.values()} == {"team"}

    run_jumping(main)
