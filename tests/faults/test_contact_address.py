"""Meeting through a contact address, with a crash at every commit of either side and a fault at every command.

The owner is away when the request is sent, and the requester is away when it is accepted; in the end there is one
contact on each side, and the same transcript.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from smpchat.agent.machines.handshake_states import ConnectionState, Variant
from smpchat.chat.service.connecting import ChatService
from smpchat.chat.store.records import MessageStatus
from smpchat.protocol.commands import Send
from smpchat.protocol.version import SMP_VERSIONS, VersionRange
from smpchat.testing.entropy import SeededEntropy
from smpchat.testing.kem import HashKEM
from smpchat.testing.loop import run_jumping
from smpchat.testing.relay import Fault, FaultKind, MemoryRelay
from tests.faults.people import START, CrashPlan, Person, connecting


@dataclass(frozen=True)
class Setting:
    """How two people meet through an address."""

    name: str
    auto_accept: bool
    short: bool
    variant: Variant = Variant.INSTANT
    versions: VersionRange = SMP_VERSIONS
    extensions: bool = True
    pq: bool = False


SETTINGS = [
    Setting("accepted-by-the-owner", auto_accept=False, short=True, pq=True),
    Setting("accepted-at-once", auto_accept=True, short=True),
    Setting("full-link", auto_accept=False, short=False, extensions=False),
    Setting("before-short-links", auto_accept=True, short=False, versions=VersionRange(6, 14)),
    Setting(
        "before-queue-modes", auto_accept=False, short=False, variant=Variant.THREE_STEP, versions=VersionRange(6, 8)
    ),
]

SAME_COMMANDS = {"accepted-at-once": "accepted-by-the-owner"}
"""Settings whose commands are one for one those of another: faults at each are tried with that one."""

FULL_LINKS = ("full-link", "before-short-links")
"""Settings that are those before them without LGET, and what follows the request is joining an invitation: every crash
and fault there is tried in `tests.faults.test_conversation`, with and without the KEY that is the other difference."""
DISTINCT = [setting for setting in SETTINGS if setting.name not in FULL_LINKS]

TRANSCRIPT = {
    "alice": [
        ("bob", "received", "one", "received"),
        ("bob", "received", "two", "received"),
        ("bob", "sent", "three", "delivered"),
    ],
    "bob": [
        ("alice", "sent", "one", "delivered"),  # with the request: no receipt comes for it, but an answer
        ("alice", "sent", "two", "delivered"),
        ("alice", "received", "three", "received"),
    ],
}


@dataclass
class Outcome:
    """What a run left behind."""

    transcripts: dict[str, list[tuple[str, str, str, str]]]
    states: tuple[str, str]
    variants: tuple[str | None, str | None]
    pq: tuple[bool, bool]
    waiting: int
    commits: dict[str, int]
    commands: list[str]
    points: dict[FaultKind, Sequence[int]]


def converse(
    folder: Path, setting: Setting, *, plans: dict[str, CrashPlan] | None = None, faults: Sequence[Fault] = ()
) -> Outcome:
    """Alice has an address; Bob asks and writes; Alice accepts and answers: each while the other is away."""
    plans = plans or {}

    async def main() -> Outcome:
        relay = MemoryRelay(
            SeededEntropy("relay"), lambda: START, versions=setting.versions, extensions=setting.extensions
        )
        relay.faults = list(faults)
        kem = HashKEM() if setting.pq else None
        alice, bob = (
            Person(name, folder / name, [relay], home=relay, plan=plans.get(name, CrashPlan()), kem=kem)
            for name in ("alice", "bob")
        )
        while alice.service.address() is None:
            await alice.do(lambda service: service.create_address(auto_accept=setting.auto_accept))
        async with alice.online():
            await alice.until(lambda service: link_of(service, short=setting.short) is not None)
            await alice.until(lambda service: service.is_idle())
        link = link_of(alice.service, short=setting.short)
        assert link is not None
        while not bob.service.contacts():
            await bob.do(lambda service: service.connect(link, "alice", ["one", "two"]))
        async with bob.online():
            await bob.until(lambda service: service.contact("alice").state.state == ConnectionState.READY)
            assert (bob.state_of("alice").step, bob.state_of("alice").variant) == (2, None)
            await bob.until(lambda service: service.is_idle())
        async with alice.online():
            if not setting.auto_accept:
                await alice.until(lambda service: bool(service.requests()))
            while not alice.service.contacts():
                if setting.auto_accept:
                    await alice.until(lambda service: bool(service.contacts()))
                else:
                    await alice.do(lambda service: service.accept("bob"))
            while not any(message.text == "three" for message in alice.service.history("bob")):
                await alice.do(lambda service: service.send("bob", "three"))
            await alice.until(lambda service: service.contact("bob").state.state != ConnectionState.JOINING)
            await alice.until(lambda service: service.is_idle())
        async with bob.online():
            await bob.until(lambda service: service.contact("alice").contact.profile is not None)
            await bob.until(lambda service: service.is_idle())
            async with alice.online():
                await bob.until(lambda service: service.contact("alice").contact.unread == 1)
                await alice.until(lambda service: service.contact("bob").contact.unread == 2)
                await alice.until(everything_arrived)
                await bob.until(everything_arrived)
                for person in (alice, bob):
                    await person.until(lambda service: service.contacts()[0].state.state == ConnectionState.CONNECTED)
                    await person.until(lambda service: service.is_idle())
        await relay.stop()
        outcome = Outcome(
            transcripts={p.name: sorted(p.transcript(), key=_order) for p in (alice, bob)},
            states=(alice.state_of("bob").state, bob.state_of("alice").state),
            variants=(alice.state_of("bob").variant, bob.state_of("alice").variant),
            pq=(alice.service.contact("bob").pq, bob.service.contact("alice").pq),
            waiting=len(alice.service.requests()),
            commits={p.name: p.plan.commits for p in (alice, bob)},
            commands=[type(command).__name__ for command in relay.commands],
            points={kind: relay.points(kind) for kind in FaultKind},
        )
        for person in (alice, bob):
            person.service.close()
        return outcome

    return run_jumping(main)


def link_of(service: ChatService, *, short: bool) -> str | None:
    address = service.address()
    return None if address is None else address.short_link if short else address.link


def everything_arrived(service: ChatService) -> bool:
    return all(
        message.status not in (MessageStatus.PENDING, MessageStatus.SENT)
        for view in service.contacts()
        for message in service.history(view.alias)
    )


def _order(line: tuple[str, str, str, str]) -> int:
    """Two directions may interleave either way."""
    return 0 if line[2] in ("one", "two") else 1


def check(outcome: Outcome, setting: Setting) -> None:
    assert outcome.transcripts == TRANSCRIPT
    assert outcome.states == (ConnectionState.CONNECTED, ConnectionState.CONNECTED)
    assert outcome.variants == (setting.variant, setting.variant)
    assert outcome.pq == (setting.pq, setting.pq)
    assert outcome.waiting == 0


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_without_faults(tmp_path: Path, setting: Setting) -> None:
    check(converse(tmp_path, setting), setting)


@pytest.mark.parametrize("after", [False, True], ids=["before-commit", "after-commit"])
@pytest.mark.parametrize("name", ["alice", "bob"])
@pytest.mark.parametrize("setting", DISTINCT, ids=lambda setting: setting.name)
def test_a_crash_at_each_commit(tmp_path: Path, setting: Setting, name: str, after: bool) -> None:
    for at in itertools.count(1):
        outcome = converse(tmp_path / str(at), setting, plans={name: CrashPlan((at, after))})
        check(outcome, setting)
        if outcome.commits[name] < at:
            break


def test_full_links_leave_out_the_reading_of_the_link(tmp_path: Path) -> None:
    commands = {setting.name: converse(tmp_path / setting.name, setting).commands for setting in SETTINGS}
    short = [name for name in commands["accepted-at-once"] if name != "LGet"]
    assert commands["before-short-links"] == short
    assert [name for name in commands["full-link"] if name != "Key"] == short


@pytest.mark.parametrize(("one", "other"), SAME_COMMANDS.items())
def test_settings_that_exchange_the_same_commands(tmp_path: Path, one: str, other: str) -> None:
    named = {setting.name: setting for setting in SETTINGS}
    assert converse(tmp_path / "one", named[one]).commands == converse(tmp_path / "other", named[other]).commands


@pytest.mark.parametrize("kind", FaultKind, ids=lambda kind: kind.name.lower().replace("_", "-"))
@pytest.mark.parametrize("setting", [s for s in DISTINCT if s.name not in SAME_COMMANDS], ids=lambda s: s.name)
def test_a_fault_at_each_command(tmp_path: Path, setting: Setting, kind: FaultKind) -> None:
    for at in converse(tmp_path / "none", setting).points[kind]:
        check(converse(tmp_path / str(at), setting, faults=[Fault(at, kind)]), setting)


# -- a request that waits for a name ----------------------------------------------------------------------------------


def ask_with_a_question(folder: Path, plan: CrashPlan) -> tuple[str, list[tuple[str, str | None]], list[str], int]:
    """Bob runs `connect` until somebody has answered its question.

    Returns:
        What Alice is called, what she is asked, Bob's texts, and his commits.
    """

    async def main() -> tuple[str, list[tuple[str, str | None]], list[str], int]:
        relay = MemoryRelay(SeededEntropy("relay"), lambda: START)
        alice = Person("alice", folder / "alice", [relay], home=relay)
        bob = Person("bob", folder / "bob", [relay], home=relay, plan=plan)
        alice.service.create_address()
        async with alice.online():
            await alice.until(lambda service: link_of(service, short=True) is not None)
        link = link_of(alice.service, short=True) or ""

        while not bob.service.contacts():
            await bob.do(connecting(link, answer=False))
        number = bob.service.contacts()[0].contact.connection_id
        async with bob.online():
            await bob.until(lambda service: service.is_link_read(number) and service.is_idle())
            assert not any(isinstance(sent, Send) for sent in relay.commands), "nobody has answered yet"
            while bob.service.is_held(number):
                await bob.do(connecting(link, answer=True))
            await bob.until(lambda service: service.is_idle() and service.state(number).state == "ready")
        async with alice.online():
            await alice.until(lambda service: bool(service.requests()))
        await relay.stop()
        asked = [(request.name, request.text) for request in alice.service.requests()]
        [view] = bob.service.contacts()
        texts = [message.text for message in bob.service.history(view.alias)]
        for person in (alice, bob):
            person.service.close()
        return view.alias, asked, texts, bob.plan.commits

    return run_jumping(main)


@pytest.mark.parametrize("after", [False, True], ids=["before-commit", "after-commit"])
def test_a_question_survives_a_crash_at_each_commit(tmp_path: Path, after: bool) -> None:
    for at in itertools.count(1):
        alias, asked, texts, commits = ask_with_a_question(tmp_path / str(at), CrashPlan((at, after)))
        assert (alias, asked, texts) == ("friend", [("bob", "one")], ["one", "two"])
        if commits < at:
            break
