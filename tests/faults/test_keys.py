"""Keys go when they are spent: every table is looked into after every commit, and the files' raw bytes at each stage.

`docs/keys.md` says what each key column is for; the tables there are compared with the schema.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from smpchat.agent.machines.handshake_states import Variant
from smpchat.agent.store.database import Database
from smpchat.agent.store.schema import AGENT_MIGRATIONS
from smpchat.chat.store.schema import CHAT_MIGRATIONS
from smpchat.encoding.record import replace
from smpchat.protocol.commands import BrokerMessage, Lnk
from smpchat.protocol.version import SMP_VERSIONS, VersionRange
from smpchat.testing.entropy import SeededEntropy
from smpchat.testing.loop import run_jumping
from smpchat.testing.relay import Fault, FaultKind, MemoryRelay
from tests.faults import key_walk
from tests.faults.key_walk import Made, NotedKEM
from tests.faults.people import START, Person

PAGE = Path(__file__).parents[2] / "docs" / "keys.md"


def documented() -> tuple[set[str], set[str]]:
    """Columns that may hold keys, and all others that hold bytes."""
    first, second = PAGE.read_text(encoding="utf-8").split("## Everything else")
    return tuple(set(re.findall(r"^\| `(\w+\.\w+)` \|", part, re.MULTILINE)) for part in (first, second))  # type: ignore[return-value]


def test_the_page_names_every_column_that_holds_bytes(tmp_path: Path) -> None:
    database = Database(tmp_path / "x.db", {"agent": AGENT_MIGRATIONS, "chat": CHAT_MIGRATIONS})
    may_hold_keys, others = documented()
    assert not may_hold_keys & others
    assert key_walk.columns(database) == (may_hold_keys | others) - {"short_links.link", "message_files.description"}, (
        PAGE.name
    )
    database.close()


class Scene:
    """Two people, their relays, and what was noted. After every commit each table is looked into."""

    def __init__(self, folder: Path, made: Made, relays: list[MemoryRelay], *, kem: bool) -> None:
        self.made, self.relays = made, relays
        self.left_over: list[str] = []
        self.alice, self.bob = (
            Person(name, folder / name, relays, home=relays[0], kem=NotedKEM(made, name) if kem else None)
            for name in ("alice", "bob")
        )
        for person in (self.alice, self.bob):
            person.plan.on_commit = self._looking(person, person.plan.on_commit)

    def _looking(self, person: Person, committed: Callable[[], object]) -> Callable[[], object]:
        def look() -> None:
            self.left_over += key_walk.left_over(person.service.database)
            committed()

        return look

    def check(self) -> None:
        assert not self.left_over
        for person in (self.alice, self.bob):
            key_walk.check(person.service.database, self.made, documented()[0])

    async def meet(self) -> None:
        """Until both are connected."""
        for person, other in ((self.alice, "bob"), (self.bob, "alice")):
            await person.until(lambda s, other=other: any(v.state.state == "connected" for v in s.contacts()))  # type: ignore[misc]
            await person.until(lambda s: s.is_idle())
        self.check()

    async def turn(self, text: str) -> None:
        """A text there, a text back: each side's ratchet turns."""
        for person, other in ((self.alice, self.bob), (self.bob, self.alice)):
            person.service.send(person.service.contacts()[0].alias, text)
            await other.until(lambda s: any(m.text == text for m in s.history(s.contacts()[0].alias)))


@asynccontextmanager
async def scene(
    folder: Path, made: Made, *, kem: bool, versions: VersionRange = SMP_VERSIONS, extensions: bool = True
) -> AsyncIterator[Scene]:
    relays = [
        MemoryRelay(SeededEntropy(host), lambda: START, host=host, versions=versions, extensions=extensions)
        for host in ("old.test", "new.test")
    ]
    found = Scene(folder, made, relays, kem=kem)
    async with found.alice.online(), found.bob.online():
        yield found
    assert not found.left_over
    for relay in relays:
        await relay.stop()
    for person in (found.alice, found.bob):
        person.service.close()


OLD = {"extensions": False, "versions": VersionRange(6, 8)}
PLAIN = {"extensions": False}
WAYS = {
    "instant": (Variant.INSTANT, {}),
    "instant-plain": (Variant.INSTANT, PLAIN),
    "short": (Variant.INSTANT, {}),
    "sender-secured": (Variant.INSTANT, {}),
    "three-step": (Variant.THREE_STEP, {}),
    "three-step-old": (Variant.THREE_STEP, OLD),
    "standard": (Variant.STANDARD, OLD),
    "address": (Variant.INSTANT, {}),
    "address-short": (Variant.INSTANT, {}),
    "address-old": (Variant.THREE_STEP, OLD),
}


async def connect(here: Scene, way: str, variant: Variant) -> None:
    alice, bob = here.alice, here.bob
    if way.startswith("address"):
        alice.service.create_address()
        await alice.until(lambda s: getattr(s.address(), "link", None) is not None)
        address = alice.service.address()
        assert address is not None
        link = address.short_link if way == "address-short" else address.link
        assert link is not None
        bob.service.connect(link, "alice")
        await alice.until(lambda s: bool(s.requests()))
        here.check()
        alice.service.accept("bob")
    else:
        alice.service.invite(variant=variant)
        await alice.until(lambda s: s.invitations()[0].link is not None)
        here.check()
        invitation = alice.service.invitations()[0]
        if invitation.short_link is not None:
            here.made.link(invitation.short_link)
        link = invitation.short_link if way == "short" else invitation.link
        assert link is not None
        bob.service.connect(re.sub("&rk=.*", "", link) if way == "sender-secured" else link, "alice")
    await here.meet()


def run(made: Made, folder: Path, way: str, kem: bool, check: Callable[[Scene], Awaitable[None]]) -> None:
    variant, options = WAYS[way]

    async def main() -> None:
        async with scene(folder, made, kem=kem, **options) as here:  # type: ignore[arg-type]
            await connect(here, way, variant)
            await check(here)

    run_jumping(main)


@pytest.mark.parametrize("kem", [False, True], ids=["", "pq"])
@pytest.mark.parametrize("way", WAYS)
def test_after_a_handshake_only_keys_are_left_that_something_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str, kem: bool
) -> None:
    async def check(here: Scene) -> None:
        for number in range(3):
            await here.turn(f"text {number}")
        here.check()

    made = Made(monkeypatch)
    run(made, tmp_path, way, kem, check)
    assert len(made.secrets) > 30


def test_after_forty_turns_nothing_of_the_earlier_ones_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def check(here: Scene) -> None:
        for number in range(40):
            await here.turn(f"text {number}")
        here.check()

    made = Made(monkeypatch)
    run(made, tmp_path, "short", True, check)
    assert len(made.secrets) > 500


@pytest.mark.parametrize("kem", [False, True], ids=["", "pq"])
def test_after_a_renegotiation_the_old_ratchet_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kem: bool
) -> None:
    async def check(here: Scene) -> None:
        await here.turn("before")
        async with here.bob.away():
            here.alice.service.resync("bob")
            await here.alice.until(lambda s: s.is_idle())
            here.check()  # our keys wait for his
        before = key_walk.ratchet_of(here.bob.service.database)
        await here.bob.until(lambda s: bool(s.conditions("alice")))
        here.check()  # and hers for his answer
        here.bob.service.resync("alice")
        await here.bob.until(lambda s: key_walk.ratchet_of(s.database) != before)
        await here.turn("after")
        here.check()

    run(Made(monkeypatch), tmp_path, "instant", kem, check)


def test_after_a_move_the_keys_of_the_queue_that_was_left_are_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check(here: Scene) -> None:
        alice, bob = here.alice, here.bob
        await here.turn("before")
        async with bob.away():
            alice.service.rotate("bob", str(here.relays[1].server))
            await alice.until(lambda s: s.is_idle())
            here.check()  # the new queue's key for the box waits for his
        await alice.until(lambda s: s.contact("bob").move is None)
        here.check()
        await alice.until(lambda s: not s.database.read("SELECT 1 FROM other_receive_queues"))
        await here.turn("after")
        here.check()
        alice.service.rotate("bob", str(here.relays[0].server))
        async with bob.away():
            await asyncio.sleep(30)
            alice.service.stay("bob")
            here.check()
        await here.turn("stayed")
        here.check()

    run(Made(monkeypatch), tmp_path, "instant", False, check)


@pytest.mark.parametrize("reachable", [True, False])
def test_of_a_deleted_contact_no_key_and_no_text_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reachable: bool
) -> None:
    """While its relay is away, only what deletes the queue is kept."""

    async def check(here: Scene) -> None:
        alice = here.alice
        await here.turn("the word is swordfish")
        if not reachable:
            await here.relays[0].stop()
        number = alice.service.delete("bob")
        assert b"swordfish" not in key_walk.files(alice.service.database.path)
        here.check()
        if not reachable:
            held = key_walk.cells(alice.service.database)
            kept = {column for column, values in held.items() for value in values if here.made.in_(value)}
            assert kept <= {"receive_queues.auth_key", "send_queues.auth_key", "send_queues.e2e_secret", *SPARES}
            here.relays[0].start()
        await alice.until(lambda s: s.is_forgotten(number), seconds=10 * 86_400)
        here.check()
        assert not here.made.in_(key_walk.files(alice.service.database.path)) - spares(alice)

    run(Made(monkeypatch), tmp_path, "instant", True, check)


SPARES = ("kem_spares.private",)


def spares(person: Person) -> set[bytes]:
    return {row["private"] for row in person.service.database.read("SELECT private FROM kem_spares")}


def test_of_an_address_that_is_deleted_no_key_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def check(here: Scene) -> None:
        await here.relays[0].stop()
        here.alice.service.delete_address()
        here.check()
        here.relays[0].start()
        await here.alice.until(lambda s: not s.database.read("SELECT 1 FROM addresses"))
        here.check()
        await here.turn("contacts stay")

    run(Made(monkeypatch), tmp_path, "address-short", False, check)


@pytest.mark.parametrize("short", [True, False])
def test_of_a_connection_that_failed_no_key_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, short: bool
) -> None:
    """Somebody else has used the link; or its relay gives something else."""

    def changed(message: BrokerMessage) -> BrokerMessage:
        return replace(message, fixed=message.fixed[::-1]) if isinstance(message, Lnk) else message

    async def main() -> None:
        made = Made(monkeypatch)
        async with scene(tmp_path, made, kem=True) as here:
            alice, bob = here.alice, here.bob
            alice.service.invite()
            await alice.until(lambda s: s.invitations()[0].link is not None)
            invitation = alice.service.invitations()[0]
            link = invitation.short_link if short else invitation.link
            assert link is not None
            if short:
                made.link(link)
                here.relays[0].rewrite = changed
            else:
                carol = Person("carol", tmp_path / "carol", here.relays, home=here.relays[0])
                carol.service.connect(link, "alice")
                async with carol.online():
                    await carol.until(lambda s: s.contact("alice").state.state == "connected")
                carol.service.close()
            bob.service.connect(link, "alice", ["never read"])
            await bob.until(lambda s: s.contact("alice").state.state == "failed")
            await bob.until(lambda s: s.is_idle())
            here.check()
            assert not made.in_(key_walk.files(bob.service.database.path)) - spares(bob)

    run_jumping(main)


@pytest.mark.parametrize("way", ["instant", "short", "standard"])
def test_a_copy_of_the_first_message_is_known_although_its_keys_are_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """The relay loses that it was acknowledged: it brings the message again, more than once."""

    async def check(here: Scene) -> None:
        await here.turn("before")
        here.check()
        assert [c.alias for c in here.alice.service.contacts()] == ["bob"]
        assert not here.alice.service.contact("bob").conditions

    made, (variant, options) = Made(monkeypatch), WAYS[way]

    async def main() -> None:
        async with scene(tmp_path, made, kem=True, **options) as here:  # type: ignore[arg-type]
            for relay in here.relays:
                relay.faults = [Fault(at, FaultKind.REPEATED) for at in range(1, 40)]
            await connect(here, way, variant)
            await check(here)

    run_jumping(main)
