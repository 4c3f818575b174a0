"""Joins by short links that must fail, and joins that wait for a name: a crash at each commit, a fault at each command.

Whatever happens on the way, the end is the same: the sentence, the texts marked failed, no queue and no work left over.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from smpchat.agent.machines.handshake_states import ConnectionState, Failure
from smpchat.agent.store import connections
from smpchat.encoding.record import replace
from smpchat.protocol.commands import BrokerMessage, Lnk
from smpchat.testing.entropy import SeededEntropy
from smpchat.testing.loop import run_jumping
from smpchat.testing.relay import Fault, FaultKind, MemoryRelay
from tests.faults.people import START, CrashPlan, Person, connecting


@dataclass
class End:
    """What is left at Bob's."""

    state: str
    failure: str | None
    reason: str
    texts: list[tuple[str, str]]
    has_queue: bool
    commits: int
    commands: int


def _changed(message: BrokerMessage) -> BrokerMessage:
    """What a relay says that has put something of its own behind the link."""
    return replace(message, fixed=message.fixed[::-1]) if isinstance(message, Lnk) else message


def fail_to_join(folder: Path, *, tampered: bool, plan: CrashPlan | None = None, faults: Sequence[Fault] = ()) -> End:
    """Bob joins by a link whose data was changed, or that Carol has used before."""

    async def main() -> End:
        relay = MemoryRelay(SeededEntropy("relay"), lambda: START)
        alice, carol = (Person(name, folder / name, [relay], home=relay) for name in ("alice", "carol"))
        link = await invitation(alice)
        if tampered:
            relay.rewrite = _changed
        else:
            carol.service.connect(link, "alice")
            async with carol.online():
                await carol.until(lambda service: service.contact("alice").state.state == ConnectionState.READY)
        before = len(relay.commands)
        relay.faults = [replace(fault, at=fault.at + before) for fault in faults]
        bob = Person("bob", folder / "bob", [relay], home=relay, plan=plan)
        while not bob.service.contacts():
            await bob.do(lambda service: service.connect(link, "alice", ["one", "two"]))
        async with bob.online():
            await bob.until(lambda s: s.contact("alice").state.state == ConnectionState.FAILED and s.is_idle())
            await asyncio.sleep(1)  # of fake time: a queue whose NEW is under way is deleted after its answer
            await bob.until(lambda s: s.is_idle())
        await relay.stop()
        state = bob.service.contact("alice").state
        end = End(
            state.state,
            state.failure,
            state.reason or "",
            [(message.text, message.status) for message in bob.service.history("alice")],
            connections.receive_queue(bob.service.database.connection, state.connection) is not None,
            bob.plan.commits,
            len(relay.commands) - before,
        )
        for person in (alice, carol, bob):
            person.service.close()
        return end

    return run_jumping(main)


async def invitation(alice: Person) -> str:
    """A short link of Alice's."""
    alice.service.invite()
    async with alice.online():
        await alice.until(lambda service: service.invitations()[0].short_link is not None)
    return alice.service.invitations()[0].short_link or ""


def check(end: End, *, tampered: bool) -> None:
    assert end.state == ConnectionState.FAILED
    assert end.failure == (Failure.LINK_DATA if tampered else Failure.LINK_USED)
    assert ("does not decrypt" if tampered else "was already used") in end.reason
    assert end.texts == [("one", "failed"), ("two", "failed")]
    assert not end.has_queue


@pytest.mark.parametrize("tampered", [True, False], ids=["tampered", "used"])
@pytest.mark.parametrize("after", [False, True], ids=["before-commit", "after-commit"])
def test_a_crash_at_each_commit(tmp_path: Path, tampered: bool, after: bool) -> None:
    for at in itertools.count(1):
        end = fail_to_join(tmp_path / str(at), tampered=tampered, plan=CrashPlan((at, after)))
        check(end, tampered=tampered)
        if end.commits < at:
            break


@pytest.mark.parametrize("tampered", [True, False], ids=["tampered", "used"])
@pytest.mark.parametrize("kind", FaultKind, ids=lambda kind: kind.name.lower().replace("_", "-"))
def test_a_fault_at_each_command(tmp_path: Path, tampered: bool, kind: FaultKind) -> None:
    for at in itertools.count(1):
        end = fail_to_join(tmp_path / str(at), tampered=tampered, faults=[Fault(at, kind)])
        check(end, tampered=tampered)
        if end.commands < at:
            break


# -- a join that waits for a name -------------------------------------------------------------------------------------


def join_asking(folder: Path, plan: CrashPlan | None = None) -> tuple[str, list[tuple[str, str]], int]:
    """Bob runs `connect` until somebody has answered its question; what he is called by, both texts, his commits."""

    async def main() -> tuple[str, list[tuple[str, str]], int]:
        relay = MemoryRelay(SeededEntropy("relay"), lambda: START)
        alice = Person("alice", folder / "alice", [relay], home=relay)
        bob = Person("bob", folder / "bob", [relay], home=relay, plan=plan)
        link = await invitation(alice)

        while not bob.service.contacts():
            await bob.do(connecting(link, answer=False))
        async with bob.online():
            await bob.until(lambda service: service.is_link_read(service.contacts()[0].contact.connection_id))
            while bob.service.is_held(bob.service.contacts()[0].contact.connection_id):
                await bob.do(connecting(link, answer=True))
            await bob.until(lambda service: service.is_idle() and service.contacts()[0].state.state == "ready")
        async with alice.online():
            await alice.until(lambda service: bool(service.contacts()) and service.contacts()[0].contact.unread == 2)
            await alice.until(lambda service: service.is_idle())
        await relay.stop()
        texts = [(message.contact, message.text) for message in alice.service.history("bob")]
        [view] = bob.service.contacts()
        for person in (alice, bob):
            person.service.close()
        return view.alias, texts, bob.plan.commits

    return run_jumping(main)


@pytest.mark.parametrize("after", [False, True], ids=["before-commit", "after-commit"])
def test_a_question_survives_a_crash_at_each_commit(tmp_path: Path, after: bool) -> None:
    for at in itertools.count(1):
        alias, texts, commits = join_asking(tmp_path / str(at), CrashPlan((at, after)))
        assert (alias, texts) == ("friend", [("bob", "one"), ("bob", "two")])
        if commits < at:
            break
