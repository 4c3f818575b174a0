"""Messages that disappear, a changed name and a full deletion, with a crash at every commit of either side.

Whatever dies when: at the end both have told each other what they set, every message was there once and is gone from
both files.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from smpchat.chat.service.connecting import ChatService
from smpchat.chat.store.records import Message, MessageStatus
from smpchat.chat.wire.preferences import Allow, Feature
from smpchat.testing.entropy import SeededEntropy
from smpchat.testing.loop import run_jumping
from smpchat.testing.relay import MemoryRelay
from tests.faults.people import START, CrashPlan, Person

TTL = 60


def live(folder: Path, plans: dict[str, CrashPlan]) -> dict[str, int]:
    """Alice is renamed and lets messages disappear; both write, read and wait; Bob deletes one. Commits of each."""

    async def main() -> dict[str, int]:
        relay = MemoryRelay(SeededEntropy("relay"), lambda: START)
        alice, bob = (
            Person(name, folder / name, [relay], home=relay, plan=plans.get(name, CrashPlan()))
            for name in ("alice", "bob")
        )
        await again_until(alice, lambda s: bool(s.invitations()), lambda s: s.invite("bob"))
        async with alice.online(), bob.online():
            await alice.until(lambda s: s.invitations()[0].link is not None)
            link = alice.service.invitations()[0].link or ""
            await again_until(bob, lambda s: bool(s.contacts()), lambda s: s.connect(link, "alice"))
            await bob.until(lambda s: s.contact("alice").state.state == "connected")
            await again_until(
                alice, lambda s: s.own_profile().display_name == "Alice", lambda s: s.set_profile("Alice")
            )
            await again_until(
                alice, lambda s: s.details("bob").agreement.ttl == TTL, lambda s: s.set_disappearing("bob", TTL)
            )
            await bob.until(lambda s: name_of(s, "alice") == "Alice" and s.details("alice").agreement.ttl == TTL)
            await again_until(alice, lambda s: len(said(s, "bob")) == 1, lambda s: s.send("bob", "one secret"))
            await bob.until(lambda s: len(said(s, "alice")) == 1)
            await again_until(bob, lambda s: len(said(s, "alice")) == 2, lambda s: s.send("alice", "two secret"))
            await alice.until(lambda s: len(said(s, "bob")) == 2)
            for person, other in ((alice, "bob"), (bob, "alice")):
                await again_until(person, lambda s: not s.unshown_messages(), show_all)
                await person.until(partial(all_left, alias=other))
            for person, other in ((alice, "bob"), (bob, "alice")):
                await again_until(person, partial(is_empty, alias=other), lambda s: s.expire(), wait=True)
            await again_until(bob, full_deletion_allowed, allow_full_deletion)
            await alice.until(lambda s: s.details("bob").agreement.on(Feature.FULL_DELETE).by_us)
            await again_until(alice, lambda s: len(said(s, "bob")) == 1, lambda s: s.send("bob", "oops secret"))
            await bob.until(lambda s: len(said(s, "alice")) == 1)
            number = said(alice.service, "bob")[0].id
            await again_until(alice, lambda s: said(s, "bob") == [], lambda s: s.retract(number))
            await bob.until(lambda s: said(s, "alice") == [])
            await alice.until(lambda s: s.is_idle())
        await relay.stop()
        for person in (alice, bob):
            person.service.database.clear_log()
            person.service.close()
            assert b" secret" not in b"".join(path.read_bytes() for path in (folder / person.name).glob("smpchat.db*"))
        return {person.name: person.plan.commits for person in (alice, bob)}

    return run_jumping(main)


def said(service: ChatService, alias: str) -> list[Message]:
    """The messages of a conversation, without the lines about changed profiles."""
    return [message for message in service.history(alias) if not message.text.startswith("[")]


def all_left(service: ChatService, alias: str) -> bool:
    return all(message.status is not MessageStatus.PENDING for message in said(service, alias))


def is_empty(service: ChatService, alias: str) -> bool:
    return said(service, alias) == []


def name_of(service: ChatService, alias: str) -> str | None:
    profile = service.contact(alias).contact.profile
    return profile.display_name if profile else None


def show_all(service: ChatService) -> None:
    for message in service.unshown_messages():
        service.mark_shown(message.id, message.changes)


def full_deletion_allowed(service: ChatService) -> bool:
    return service.details("alice").agreement.ours[Feature.FULL_DELETE].allow is Allow.ALWAYS


def allow_full_deletion(service: ChatService) -> None:
    service.set_contact_allowed("alice", Feature.FULL_DELETE, Allow.ALWAYS)


async def again_until(
    person: Person,
    done: Callable[[ChatService], bool],
    action: Callable[[ChatService], object],
    *,
    wait: bool = False,
) -> None:
    """The person gives a command again if its process died before it was stored; with ``wait``, now and then."""
    while True:
        finished = False

        def look(service: ChatService) -> None:
            nonlocal finished
            finished = done(service)

        await person.do(look)
        if finished:
            return
        await person.do(action)
        if wait:
            await asyncio.sleep(TTL / 4)


@pytest.mark.parametrize("after", [False, True], ids=["before-commit", "after-commit"])
@pytest.mark.parametrize("name", ["alice", "bob"])
def test_a_crash_at_each_commit(tmp_path: Path, name: str, after: bool) -> None:
    for at in itertools.count(1):
        plan = CrashPlan((at, after))
        commits = live(tmp_path / str(at), {name: plan})
        if commits[name] < at:
            break
    assert at > 20
