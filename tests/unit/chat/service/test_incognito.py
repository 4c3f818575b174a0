"""A contact that knows us by a made-up name never learns anything else of our profile, however the two met."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from smpchat.chat.service.connecting import ChatService
from smpchat.chat.store import profiles
from smpchat.chat.wire.made_up import ADJECTIVES, NOUNS, made_up_name
from smpchat.chat.wire.preferences import Allow, Feature
from smpchat.chat.wire.profile import Profile
from smpchat.crypto.entropy import SystemEntropy
from smpchat.protocol.commands import Send
from smpchat.testing.entropy import SeededEntropy
from smpchat.testing.loop import run_jumping
from smpchat.testing.relay import MemoryRelay
from tests.faults.people import START, Person

JPEG = b"\xff\xd8\xff\xe0picture"
SECRETS = ("Rosalind", "crystals", "data:image")


class TestNames:
    def test_every_name_is_as_likely_as_any_other(self) -> None:
        assert len(set(ADJECTIVES)) == len(ADJECTIVES) == 64 and len(set(NOUNS)) == len(NOUNS) == 64
        names = {made_up_name(lambda _, a=a, b=b: bytes((a, b))) for a in range(64) for b in range(64)}  # type: ignore[misc]
        assert len(names) == 4096
        assert made_up_name(lambda _: bytes((255, 255))) == made_up_name(lambda _: bytes((63, 63)))

    def test_each_can_be_a_profile_and_an_alias(self) -> None:
        for word in (*ADJECTIVES, *NOUNS):
            assert word.isalpha() and word.isascii() and word[0].isupper()
        assert Profile.own(made_up_name(SystemEntropy().random)).display_name


class Pair:
    """Rosalind, who has much in her profile, and Bob; and Carol, who knows Rosalind by her name."""

    def __init__(self, folder: Path) -> None:
        self.relay = MemoryRelay(SeededEntropy("relay"), lambda: START)
        make: Callable[[str], Person] = lambda name: Person(name, folder / name, [self.relay], home=self.relay)  # noqa: E731
        self.alice, self.bob, self.carol = map(make, ("alice", "bob", "carol"))

    def make_profile(self) -> None:
        self.alice.service.set_profile("Rosalind", description="crystals", picture=JPEG)

    @property
    def made_up(self) -> str:
        name = self.alice.service.contact("bob").incognito
        assert name is not None
        return name

    async def connected(self) -> None:
        for person, other in ((self.alice, "bob"), (self.bob, "alice")):
            await person.until(
                lambda s, other=other: any(  # type: ignore[misc]
                    v.alias == other and v.state.state == "connected" and v.contact.profile for v in s.contacts()
                )
            )

    def sends(self) -> int:
        return sum(isinstance(command, Send) for command in self.relay.commands)

    def told(self) -> Profile:
        profile = self.bob.service.contact("alice").contact.profile
        assert profile is not None
        return profile


async def _link(person: Person, *, short: bool) -> str:
    await person.until(lambda s: s.invitations()[0].link is not None)
    invitation = person.service.invitations()[0]
    return (invitation.short_link if short else invitation.link) or ""


async def by_invitation(pair: Pair, *, short: bool = False) -> None:
    number = pair.alice.service.invite("bob", incognito=True)
    link = await _link(pair.alice, short=short)
    invitation = pair.alice.service.invitation(number)
    assert invitation is not None and invitation.incognito is not None
    pair.bob.service.connect(link, "alice")


async def by_short_invitation(pair: Pair) -> None:
    await by_invitation(pair, short=True)


async def by_link(pair: Pair, *, short: bool = False) -> None:
    pair.bob.service.invite("alice")
    pair.alice.service.connect(await _link(pair.bob, short=short), "bob", ["hello"], incognito=True)


async def by_short_link(pair: Pair) -> None:
    await by_link(pair, short=True)


async def by_held_link(pair: Pair) -> None:
    """Asked for a name first, and only then told to stay unknown."""
    pair.bob.service.invite("alice")
    link = await _link(pair.bob, short=True)
    contact = pair.alice.service.connect(link, None, hold=True)
    await pair.alice.until(lambda s: s.is_link_read(contact.connection_id))
    pair.alice.service.connect(link, "bob", incognito=True)


async def by_their_address(pair: Pair) -> None:
    pair.bob.service.create_address()
    await pair.bob.until(lambda s: (a := s.address()) is not None and a.link is not None)
    address = pair.bob.service.address()
    assert address is not None and address.short_link is not None
    pair.alice.service.connect(address.short_link, "bob", ["hello"], incognito=True)
    await pair.bob.until(lambda s: bool(s.requests()))
    assert pair.bob.service.requests()[0].name == pair.made_up
    pair.bob.service.accept("1", "alice")


async def by_our_address(pair: Pair) -> None:
    pair.alice.service.create_address()
    await pair.alice.until(lambda s: (a := s.address()) is not None and a.link is not None)
    address = pair.alice.service.address()
    assert address is not None and address.link is not None
    pair.bob.service.connect(address.link, "alice", ["hello"])
    await pair.alice.until(lambda s: bool(s.requests()))
    pair.alice.service.accept("1", "bob", incognito=True)


WAYS = [by_invitation, by_short_invitation, by_link, by_short_link, by_held_link, by_their_address, by_our_address]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_nothing_of_the_profile_ever_reaches_them(
    tmp_path: Path, way: Callable[[Pair], Coroutine[Any, Any, None]]
) -> None:
    async def main() -> None:
        pair = Pair(tmp_path)
        pair.make_profile()
        async with pair.alice.online(), pair.bob.online(), pair.carol.online():
            pair.carol.service.invite("ros")
            pair.alice.service.connect(await _link(pair.carol, short=True), "carol")
            await pair.carol.until(lambda s: bool(s.contacts()) and s.contacts()[0].contact.profile is not None)
            await way(pair)
            await pair.connected()
            told = pair.told()
            assert (told.display_name, told.full_name, told.description) == (pair.made_up, "", "")
            assert (
                profiles.picture(pair.bob.service.database.connection, pair.bob.service.contact("alice").contact.id)
                is None
            )
            await asyncio.sleep(60)
            before = pair.sends()
            pair.alice.service.set_profile("Rosalind II", description="more crystals")
            await pair.carol.until(lambda s: _named(s, "Rosalind II"))
            await asyncio.sleep(60)
            assert pair.sends() == before + 1, "Carol is told, Bob is not"
            pair.alice.service.set_contact_allowed("bob", Feature.REACTIONS, Allow.NO)
            await pair.bob.until(
                lambda _: (
                    pair.told().preferences.get(Feature.REACTIONS) is not None
                    and pair.told().preferences[Feature.REACTIONS].allow is Allow.NO
                )
            )
            assert pair.told().display_name == pair.made_up
            assert pair.alice.service.contact("carol").incognito is None
        await pair.relay.stop()
        for person in (pair.alice, pair.bob, pair.carol):
            person.service.close()
        stored = b"".join(path.read_bytes() for path in (tmp_path / "bob").iterdir())
        assert not [secret for secret in SECRETS if secret.encode() in stored]

    run_jumping(main)


def _named(service: ChatService, name: str) -> bool:
    profile = service.contacts()[0].contact.profile
    return profile is not None and profile.display_name == name


def test_a_deleted_invitation_takes_its_name_with_it(tmp_path: Path) -> None:
    async def main() -> None:
        pair = Pair(tmp_path)
        async with pair.alice.online():
            number = pair.alice.service.invite("bob", incognito=True)
            await _link(pair.alice, short=False)
            pair.alice.service.delete("bob")
            await pair.alice.until(lambda s: s.is_forgotten(number))
            rows = pair.alice.service.database.connection.execute("SELECT count(*) FROM incognito").fetchone()
            assert rows[0] == 0
        await pair.relay.stop()
        for person in (pair.alice, pair.bob, pair.carol):
            person.service.close()

    run_jumping(main)
