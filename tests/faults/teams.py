"""A group with all its members inside one jumping loop, each at a relay of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from itertools import cycle
from pathlib import Path

from smpchat.chat.service.connecting import ChatService
from smpchat.chat.store.records import Direction
from smpchat.testing.entropy import SeededEntropy
from smpchat.testing.relay import MemoryRelay
from tests.faults.people import START, CrashPlan, Person


class Team:
    """The first one, who owns the group, and the others.

    Args:
        plans: Where processes die.
        relays: How many there are; one for each person if None.
    """

    def __init__(
        self,
        folder: Path,
        names: Sequence[str],
        plans: Mapping[str, CrashPlan] | None = None,
        relays: int | None = None,
    ) -> None:
        self.names = tuple(names)
        hosts = self.names[:relays]
        self.relays = [
            MemoryRelay(SeededEntropy(f"relay {name}"), lambda: START, host=f"{name}.test") for name in hosts
        ]
        self.people = {
            name: Person(name, folder / name, self.relays, home=home, plan=(plans or {}).get(name))
            for name, home in zip(names, cycle(self.relays), strict=False)
        }

    @property
    def owner(self) -> Person:
        """Who made the group."""
        return self.people[self.names[0]]

    def __getitem__(self, name: str) -> Person:
        return self.people[name]

    async def start(self, stack: AsyncExitStack) -> None:
        for relay in self.relays:
            stack.push_async_callback(relay.stop)
        for person in self.people.values():
            stack.callback(_close, person)
        for person in self.people.values():
            await stack.enter_async_context(person.online())

    async def meet(self, name: str) -> None:
        """The owner and somebody become contacts."""
        alice, other = self.owner, self[name]
        while not (alice.service.invitations() or alice.service.find_contact(name)):
            await alice.do(lambda service: service.invite(name))
        await alice.until(lambda s: s.find_contact(name) is not None or bool(s.invitations()[0].link))
        link = next((i.link for i in alice.service.invitations()), None)
        while link is not None and other.service.find_contact("alice") is None:
            await other.do(lambda service: service.connect(str(link), "alice"))
        for person, whom in ((alice, name), (other, "alice")):
            await person.until(partial(is_connected, alias=whom))

    async def form(self) -> None:
        """Everybody is in the group, and connected to everybody."""
        alice = self.owner
        while not alice.service.groups():
            await alice.do(lambda service: service.create_group("team"))
        for name in self.names[1:]:
            await self.meet(name)
            while not any(m.name == name for m in alice.service.group("team").members):
                await alice.do(partial(ChatService.invite_to_group, group="team", who=name))
            other = self[name]
            await other.until(lambda s: bool(s.groups()))
            while other.service.groups()[0].standing == "invited":
                await other.do(lambda service: service.join_group("team"))
        for person in self.people.values():
            await person.until(lambda s: len(connected(s)) == len(self.names) - 1)

    async def form_by_link(self) -> None:
        """The same, by a link of the owner's."""
        owner = self.owner
        while not owner.service.groups():
            await owner.do(lambda service: service.create_group("team"))
        while owner.service.group_link("team") is None:
            await owner.do(lambda service: service.make_group_link("team"))
        await owner.until(lambda s: bool((link := s.group_link("team")) and link.full))
        found = owner.service.group_link("team")
        assert found is not None
        for name in self.names[1:]:
            while not self[name].service.contacts():
                await self[name].do(lambda service: service.connect(found.short or found.full or "", None))
        for person in self.people.values():
            await person.until(lambda s: bool(s.groups()) and len(connected(s)) == len(self.names) - 1)

    async def say(self, name: str, text: str) -> None:
        while not wrote(self[name].service, text):
            await self[name].do(lambda service: service.send("team", text))

    async def heard(self, *expected: str) -> None:
        for person in self.people.values():
            await person.until(lambda s: all(any(text == t for _, t in texts(s)) for text in expected))


def _close(person: Person) -> None:
    person.service.close()  # of its last life


def is_connected(service: ChatService, alias: str) -> bool:
    return service.find_contact(alias) is not None and service.contact(alias).state.state == "connected"


def connected(service: ChatService) -> list[str]:
    [group] = [g for g in service.groups() if g.alias]
    return [m.name for m in group.current if m.connected]


def texts(service: ChatService) -> list[tuple[str, str]]:
    """Author and text of what is in the conversation; lines about the group are nobody's."""
    return [
        ("me" if m.direction is Direction.SENT else str(m.sender), m.text)
        for m in service.history("team", 100_000)
        if m.content == "text"
    ]


def wrote(service: ChatService, text: str) -> bool:
    """Whether we have said this; asked of the store, as texts may be thousands."""
    query = "SELECT 1 FROM messages WHERE text = ? AND direction = ?"
    return service.database.connection.execute(query, (text, Direction.SENT)).fetchone() is not None


def count(service: ChatService) -> int:
    """How many texts there are."""
    [found] = service.database.connection.execute("SELECT count(*) FROM messages WHERE content = 'text'").fetchone()
    return int(found)
