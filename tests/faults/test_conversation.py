"""Every handshake, with a crash at every commit of either side and a fault at every command: the same transcript.

No point is skipped: a run without faults counts the commits and commands, and each is then hit in turn.
"""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from smpchat.agent.machines.handshake_states import ConnectionState, Variant
from smpchat.chat.store.records import MessageStatus
from smpchat.crypto.kem import KEMProvider
from smpchat.crypto.ratchet_kem import SNTRUP761
from smpchat.protocol.version import SMP_VERSIONS, VersionRange
from smpchat.testing.entropy import SeededEntropy
from smpchat.testing.kem import HashKEM
from smpchat.testing.loop import run_jumping
from smpchat.testing.relay import Fault, FaultKind, MemoryRelay
from tests.faults.people import START, CrashPlan, Person


@dataclass(frozen=True)
class Setting:
    """How two people meet."""

    name: str
    variant: Variant
    strip_reply_key: bool = False
    versions: VersionRange = SMP_VERSIONS
    extensions: bool = True
    pq: bool = False
    short_link: bool = False


SETTINGS = [
    Setting("short-link", Variant.INSTANT, pq=True, short_link=True),
    Setting("instant-keyed-new", Variant.INSTANT, pq=True),
    Setting("instant-plain-relay", Variant.INSTANT, extensions=False),
    Setting("instant-at-version-9", Variant.INSTANT, versions=VersionRange(6, 9)),
    Setting("instant-becomes-three-step-at-version-8", Variant.INSTANT, versions=VersionRange(6, 8), extensions=False),
    Setting("three-step", Variant.THREE_STEP),
    Setting("three-step-plain-relay", Variant.THREE_STEP, extensions=False),
    Setting("sender-secured", Variant.INSTANT, strip_reply_key=True, pq=True),
    Setting("standard", Variant.STANDARD, versions=VersionRange(6, 8)),
    Setting("standard-at-new-relays", Variant.STANDARD),
]

SAME_STEPS = {
    "instant-at-version-9": "instant-keyed-new",
    "instant-becomes-three-step-at-version-8": "three-step-plain-relay",
}
"""Settings with the commands and commits of another, one for one: each is hit with that one."""
DISTINCT = [setting for setting in SETTINGS if setting.name not in SAME_STEPS]

TRANSCRIPT = {
    "alice": [
        ("bob", "received", "one", "received"),
        ("bob", "received", "two", "received"),
        ("bob", "sent", "three", "delivered"),
    ],
    "bob": [
        ("alice", "sent", "one", "delivered"),
        ("alice", "sent", "two", "delivered"),
        ("alice", "received", "three", "received"),
    ],
}


@dataclass
class Outcome:
    """What a run left behind."""

    transcripts: dict[str, list[tuple[str, str, str, str]]]
    states: tuple[str, str]
    names: tuple[str, str]
    pq: tuple[bool, bool]
    commits: dict[str, int]
    commands: list[str]
    points: dict[FaultKind, Sequence[int]]


def converse(
    folder: Path,
    setting: Setting,
    *,
    plans: dict[str, CrashPlan] | None = None,
    faults: Sequence[Fault] = (),
    outages: Sequence[tuple[float, float]] = (),
    kem: KEMProvider | None = None,
) -> Outcome:
    """Alice invites and leaves; Bob joins, writes twice and leaves; Alice answers; Bob reads.

    Args:
        plans: Where processes die, by name.
        faults: What goes wrong between clients and relay.
        outages: Seconds that the relay runs, and is away, in turn.
        kem: Makes post-quantum keys; a cheap one if None, where the setting has them.
    """
    plans = plans or {}
    if kem is None and setting.pq:
        kem = HashKEM()

    async def main() -> Outcome:
        relay = MemoryRelay(
            SeededEntropy("relay"), lambda: START, versions=setting.versions, extensions=setting.extensions
        )
        relay.faults = list(faults)
        restarting = asyncio.get_running_loop().create_task(_restart(relay, outages))
        alice, bob = (
            Person(name, folder / name, [relay], home=relay, plan=plans.get(name, CrashPlan()), kem=kem)
            for name in ("alice", "bob")
        )
        while not alice.service.invitations():
            await alice.do(lambda service: service.invite(variant=setting.variant))
        async with alice.online():
            await alice.until(lambda service: service.invitations()[0].link is not None)
        invitation = alice.service.invitations()[0]
        link = invitation.short_link if setting.short_link else invitation.link
        assert link is not None
        if setting.strip_reply_key:
            link = re.sub("&rk=.*", "", link)
        while not bob.service.contacts():
            await bob.do(lambda service: service.connect(link, "alice", ["one", "two"]))
        async with bob.online():
            await bob.until(lambda service: service.contact("alice").state.state != ConnectionState.JOINING)
            await bob.until(lambda service: service.is_idle())
        async with alice.online():
            await alice.until(lambda service: bool(service.contacts()) and service.is_idle())
            if not setting.strip_reply_key and setting.variant is Variant.INSTANT and setting.versions.maximum >= 9:
                await alice.until(lambda service: service.contact("bob").contact.unread == 2)
            while not any(message.text == "three" for message in alice.service.history("bob")):
                await alice.do(lambda service: service.send("bob", "three"))
            await alice.until(lambda service: service.is_idle())
            async with bob.online():
                await bob.until(lambda service: service.contact("alice").contact.unread == 1)
                await alice.until(lambda service: service.contact("bob").contact.unread == 2)
                for person in (alice, bob):
                    await person.until(_everything_delivered)
                    await person.until(lambda service: service.is_idle())
        restarting.cancel()
        await relay.stop()
        outcome = Outcome(
            transcripts={p.name: sorted(p.transcript(), key=_order) for p in (alice, bob)},
            states=(alice.state_of("bob").state, bob.state_of("alice").state),
            names=tuple(str(p.service.contacts()[0].contact.profile) for p in (alice, bob)),  # type: ignore[arg-type]
            pq=(alice.service.contact("bob").pq, bob.service.contact("alice").pq),
            commits={p.name: p.plan.commits for p in (alice, bob)},
            commands=[type(command).__name__ for command in relay.commands],
            points={kind: relay.points(kind) for kind in FaultKind},
        )
        for person in (alice, bob):
            person.service.close()
        return outcome

    return run_jumping(main)


async def _restart(relay: MemoryRelay, outages: Sequence[tuple[float, float]]) -> None:
    for runs, away in outages:
        await asyncio.sleep(runs)
        await relay.stop()
        await asyncio.sleep(away)
        relay.start()


def _order(line: tuple[str, str, str, str]) -> int:
    """The order that one person sees is checked per direction: two directions may interleave either way."""
    return 0 if line[2] in ("one", "two") else 1


def _everything_delivered(service: object) -> bool:
    from smpchat.chat.service.connecting import ChatService

    assert isinstance(service, ChatService)
    return all(
        message.status in (MessageStatus.DELIVERED, MessageStatus.RECEIVED)
        for view in service.contacts()
        for message in service.history(view.alias)
    )


def check(outcome: Outcome, setting: Setting) -> None:
    assert outcome.pq == (setting.pq, setting.pq)
    assert outcome.transcripts == TRANSCRIPT
    assert outcome.states == (ConnectionState.CONNECTED, ConnectionState.CONNECTED)
    assert "bob" in outcome.names[0] and "alice" in outcome.names[1]


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_without_faults(tmp_path: Path, setting: Setting) -> None:
    check(converse(tmp_path, setting), setting)


def test_with_the_true_kem(tmp_path: Path) -> None:
    setting = SETTINGS[0]
    check(converse(tmp_path, setting, kem=SNTRUP761), setting)


@pytest.mark.parametrize("after", [False, True], ids=["before-commit", "after-commit"])
@pytest.mark.parametrize("name", ["alice", "bob"])
@pytest.mark.parametrize("setting", DISTINCT, ids=lambda setting: setting.name)
def test_a_crash_at_each_commit(tmp_path: Path, setting: Setting, name: str, after: bool) -> None:
    for at in itertools.count(1):
        outcome = converse(tmp_path / str(at), setting, plans={name: CrashPlan((at, after))})
        check(outcome, setting)
        if outcome.commits[name] < at:
            break


@pytest.mark.parametrize(("one", "other"), SAME_STEPS.items())
def test_settings_that_take_the_same_steps(tmp_path: Path, one: str, other: str) -> None:
    named = {setting.name: setting for setting in SETTINGS}
    outcome, another = converse(tmp_path / "one", named[one]), converse(tmp_path / "other", named[other])
    assert outcome.commands == another.commands
    assert outcome.commits == another.commits


@pytest.mark.parametrize("kind", FaultKind, ids=lambda kind: kind.name.lower().replace("_", "-"))
@pytest.mark.parametrize("setting", DISTINCT, ids=lambda setting: setting.name)
def test_a_fault_at_each_command(tmp_path: Path, setting: Setting, kind: FaultKind) -> None:
    for at in converse(tmp_path / "none", setting).points[kind]:
        check(converse(tmp_path / str(at), setting, faults=[Fault(at, kind)]), setting)
