"""A relay that nobody needs any more is not tried again, and its trouble is nobody's."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from smpchat.chat.online.waiting import trouble_now
from smpchat.testing.entropy import SeededEntropy
from smpchat.testing.loop import run_jumping
from smpchat.testing.relay import MemoryRelay
from tests.faults.people import START, Person


@pytest.mark.parametrize("short", [False, True])
def test_the_relay_of_a_link_that_was_given_up(tmp_path: Path, short: bool) -> None:
    async def main() -> None:
        home, away = (MemoryRelay(SeededEntropy(host), lambda: START, host=host) for host in ("home.test", "away.test"))
        alice = Person("alice", tmp_path / "alice", [away], home=away)
        bob = Person("bob", tmp_path / "bob", [home, away], home=home)
        alice.service.invite()
        async with alice.online():
            await alice.until(lambda s: s.invitations()[0].link is not None)
        [invitation] = alice.service.invitations()
        await away.stop()
        link = invitation.short_link if short else invitation.link
        bob.service.connect(link or "", "alice")
        async with bob.online():
            await bob.until(lambda s: trouble_now(s) is not None, 60)
            await asyncio.sleep(30)
            assert trouble_now(bob.service), "whoever waits for it is told"
            bob.service.delete("alice")
            await asyncio.sleep(60)
            assert bob.service.troubles() == {}
            tried = away.refused
            await asyncio.sleep(200)
            assert away.refused == tried
        await home.stop()
        for person in (alice, bob):
            person.service.close()

    run_jumping(main)


def test_what_an_earlier_process_left_behind(tmp_path: Path) -> None:
    async def main() -> None:
        away = MemoryRelay(SeededEntropy("away"), lambda: START, host="away.test")
        bob = Person("bob", tmp_path / "bob", [away], home=away)
        number = bob.service.invite()
        await away.stop()
        async with bob.online():
            await bob.until(lambda s: bool(s.troubles()))
        bob.service.delete(str(number))
        async with bob.online():
            await bob.until(lambda s: s.troubles() == {}, 60)
        bob.service.close()

    run_jumping(main)
