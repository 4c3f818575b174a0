"""Edits, reactions and the farewell with a crash at every commit of either side: done once, and nothing left undone."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from smpchat.chat.service.connecting import ChatService
from smpchat.chat.store.records import Direction, Message, MessageStatus, Reaction
from smpchat.chat.wire.message import REACTIONS
from smpchat.protocol.commands import Del
from smpchat.testing.entropy import SeededEntropy
from smpchat.testing.loop import run_jumping
from smpchat.testing.relay import MemoryRelay
from tests.faults.people import START, CrashPlan, Person


def converse(folder: Path, plans: dict[str, CrashPlan]) -> dict[str, int]:
    """Alice writes, edits and is answered with a reaction; then she deletes Bob. Commits of each."""

    async def main() -> dict[str, int]:
        relay = MemoryRelay(SeededEntropy("relay"), lambda: START)
        alice, bob = (
            Person(name, folder / name, [relay], home=relay, plan=plans.get(name, CrashPlan()))
            for name in ("alice", "bob")
        )
        while not alice.service.invitations():
            await alice.do(lambda service: service.invite("bob"))
        async with alice.online(), bob.online():
            await alice.until(lambda service: service.invitations()[0].link is not None)
            link = alice.service.invitations()[0].link
            assert link is not None
            while not bob.service.contacts():
                await bob.do(lambda service: service.connect(link, "alice"))
            await alice.until(lambda service: bool(service.contacts()))
            await again_until(alice, lambda service: bool(service.history("bob")), lambda s: s.send("bob", "helo"))
            sent = alice.service.history("bob")[0].id
            await again_until(alice, lambda s: message(s, "bob").edited, lambda s: s.edit(sent, "hello"))
            await bob.until(lambda service: [m.text for m in service.history("alice")] == ["hello"])
            received = message(bob.service, "alice").id
            await again_until(
                bob, lambda s: bool(message(s, "alice").reactions), lambda s: s.react(received, REACTIONS[0])
            )
            await alice.until(lambda s: message(s, "bob").reactions == (Reaction(REACTIONS[0], Direction.RECEIVED),))
            await alice.until(lambda s: message(s, "bob").status is MessageStatus.DELIVERED)
            connection = alice.service.contact("bob").contact.connection_id
            await again_until(alice, lambda service: not service.contacts(), lambda service: service.delete("bob"))
            await bob.until(lambda service: service.contact("alice").contact.gone)
            await alice.until(lambda service: service.is_forgotten(connection))
        assert any(isinstance(command, Del) for command in relay.commands)
        [kept] = bob.service.history("alice")
        assert (kept.text, kept.edited, kept.deleted) == ("hello", True, False)
        await relay.stop()
        for person in (alice, bob):
            person.service.close()
        return {person.name: person.plan.commits for person in (alice, bob)}

    return run_jumping(main)


async def again_until(
    person: Person, done: Callable[[ChatService], bool], action: Callable[[ChatService], object]
) -> None:
    """The person gives a command again if its process died before it was stored."""
    while not done(person.service):
        await person.do(action)


def message(service: ChatService, who: str) -> Message:
    [only] = service.history(who)
    return only


@pytest.mark.parametrize("after", [False, True], ids=["before-commit", "after-commit"])
@pytest.mark.parametrize("name", ["alice", "bob"])
def test_a_crash_at_each_commit(tmp_path: Path, name: str, after: bool) -> None:
    for at in itertools.count(1):
        commits = converse(tmp_path / str(at), {name: CrashPlan((at, after))})
        if commits[name] < at:
            break
    assert at > 10
