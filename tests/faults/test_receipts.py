"""A receipt that waits for a relay that is down, and the user who turns receipts off meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from smpchat.chat.service.connecting import ChatService
from smpchat.chat.store import settings
from smpchat.chat.store.contact_settings import Setting
from smpchat.chat.store.records import MessageStatus
from smpchat.testing.entropy import SeededEntropy
from smpchat.testing.loop import run_jumping
from smpchat.testing.relay import MemoryRelay
from tests.faults.people import START, Person


def by_config(service: ChatService) -> None:
    with service.database.transaction() as tx:
        settings.save_defaults(tx, {Setting.RECEIPTS: "off"})


def is_connected(service: ChatService, alias: str) -> bool:
    return any(view.alias == alias and view.state.state == "connected" for view in service.contacts())


@pytest.mark.parametrize(
    "turn_off",
    [lambda s: s.set_receipts(False), lambda s: s.set_contact_receipts("bob", False), by_config],
    ids=["for all", "for one", "in the file"],
)
def test_it_does_not_leave_when_the_relay_is_back(tmp_path: Path, turn_off: Callable[[ChatService], object]) -> None:
    """Bystander: Carol, whose receipt waits at the same relay, and leaves where receipts are off for Bob alone."""
    relays = [MemoryRelay(SeededEntropy(host), lambda: START, host=f"{host}.test") for host in ("good", "theirs")]
    good, theirs = relays
    alice = Person("alice", tmp_path / "alice", relays, home=good)
    others = [Person(name, tmp_path / name, relays, home=theirs) for name in ("bob", "carol")]

    async def main() -> None:
        for other in others:
            alice.service.invite(other.name)
            async with alice.online(), other.online():
                await alice.until(lambda s: s.invitations()[0].link is not None)
                other.service.connect(alice.service.invitations()[0].link or "", "alice")
                await alice.until(partial(is_connected, alias=other.name))
                await other.until(lambda s: s.is_idle() and is_connected(s, "alice"))
                await alice.until(lambda s: s.is_idle())
        await theirs.stop()
        texts = {}
        async with alice.online():
            for other in others:
                texts[other.name] = other.service.send("alice", "are you there?").id
                async with other.online():
                    await alice.until(lambda s, who=other.name: s.contact(who).contact.unread == 1)  # type: ignore[misc]
            turn_off(alice.service)
            alice.service.send("bob", "I am")
            theirs.start()
            await alice.until(lambda s: s.is_idle())
            bob, carol = others
            async with bob.online(), carol.online():
                await bob.until(lambda s: s.contact("alice").contact.unread == 1)
                if alice.service.receipts():
                    await carol.until(lambda s: s.required_message(texts["carol"]).status is MessageStatus.DELIVERED)
        assert bob.service.required_message(texts["bob"]).status is MessageStatus.SENT
        if not alice.service.receipts():
            assert carol.service.required_message(texts["carol"]).status is MessageStatus.SENT
        assert bob.service.notices("alice") == [], "nothing seems lost"
        for person in (alice, *others):
            person.service.close()

    run_jumping(main)
