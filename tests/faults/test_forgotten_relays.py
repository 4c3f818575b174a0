"""A relay that nobody needs any more is not tried again, and its trouble is nobody's."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from smpchat.agent.online import relays
from smpchat.chat.errors import InputError
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
            number = bob.service.contact("alice").contact.connection_id
            await bob.until(lambda s: s.obstacle(number) is not None, 60)
            await asyncio.sleep(30)
            assert bob.service.obstacle(number), "whoever waits for it is told"
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


@pytest.mark.parametrize("at_once", [True, False], ids=["by-hand", "in-time"])
def test_a_queue_is_left_to_a_relay_that_never_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: bool
) -> None:
    """Only the deletion is given up: another contact whose queue is there keeps it, and goes on when it comes back."""

    monkeypatch.setattr(relays, "DELETION_PATIENCE", 300.0)  # three days are too long even for a jumping clock

    async def main() -> None:
        away = MemoryRelay(SeededEntropy("away"), lambda: START, host="away.test")
        alice = Person("alice", tmp_path / "alice", [away], home=away)
        numbers = [alice.service.invite(note) for note in ("gone", "kept")]
        async with alice.online():
            await alice.until(lambda s: all(invitation.link for invitation in s.invitations()))
            await away.stop()
            alice.service.delete("gone")
            await alice.until(lambda s: bool(s.troubles()))
            if at_once:
                with pytest.raises(InputError, match="still uses this relay"):
                    alice.service.forget_server(str(away.server))
                alice.service.delete("kept")
                assert alice.service.forget_server(str(away.server)) == 2
                assert alice.service.troubles() == {}
            else:
                began = alice.service.now()
                await alice.until(lambda s: s.is_forgotten(numbers[0]), 1000)
                assert 300 <= alice.service.now() - began and alice.service.troubles()
                assert not alice.service.is_forgotten(numbers[1])
            assert alice.service.is_forgotten(numbers[0])
        alice.service.close()

    run_jumping(main)
