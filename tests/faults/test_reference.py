"""A peer that behaves as the reference: post-quantum proposals, moved queues, new ratchets; crashes at each commit."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from smpchat.agent.errors import MessageTooLarge
from smpchat.agent.machines import resync_states
from smpchat.agent.store import ratchets, resyncs, rotations
from smpchat.agent.transactions import connection as agent
from smpchat.agent.transactions.sending import max_body
from smpchat.agent.wire.envelope import Hello, QueueAdd, QueueContinue, QueueKey, QueueUse, RatchetReady, UserMessage
from smpchat.agent.wire.queue import QueueAddress, QueueURI
from smpchat.chat.service.connecting import ChatService
from smpchat.chat.store import events
from smpchat.chat.transactions.incoming import ChatApplication
from smpchat.crypto.kem import KEMProvider
from smpchat.crypto.keys import X25519PrivateKey
from smpchat.encoding.record import replace
from smpchat.protocol.commands import Send
from smpchat.protocol.errors import SMPError
from smpchat.protocol.queue_mode import QueueMode
from smpchat.protocol.version import SMP_VERSIONS, VersionRange
from smpchat.relay.limits import QUOTA
from smpchat.testing.entropy import SeededEntropy
from smpchat.testing.kem import HashKEM
from smpchat.testing.loop import run_jumping
from smpchat.testing.relay import Fault, FaultKind, MemoryRelay
from tests.faults.people import START, CrashPlan, Person
from tests.faults.reference import ReferencePeer

INFO = b'{"v":"1-7","event":"x.info","params":{"profile":{"displayName":"ref","fullName":""}}}'


@dataclass
class Meeting:
    """Alice, who may crash, and a peer that does not."""

    alice: Person
    peer: ReferencePeer
    home: MemoryRelay
    other: MemoryRelay

    async def alice_says(self, text: str) -> None:
        """Once, however often her process dies over it."""
        while not any(message.text == text for message in self.alice.service.history("ref")):
            await self.alice.do(lambda service: service.send("ref", text))

    async def alice_read(self, text: str) -> None:
        await self.alice.until(lambda s: any(m.text == text for m in s.history("ref") if m.direction == "received"))

    async def peer_read(self, text: str) -> None:
        await self.peer.until(lambda: text in said_to(self.peer))

    async def alice_idle(self) -> None:
        await self.alice.until(lambda service: service.is_idle())

    @property
    def connection_id(self) -> int:
        return self.alice.service.contact("ref").contact.connection_id

    def renegotiate(self, service: ChatService) -> None:
        """What a command of Alice's would do."""
        with service.database.transaction() as tx:
            agent.resync(tx, service.context, self.connection_id)

    async def accept_keys(self) -> None:
        """The peer has asked for new keys: Alice is asked, and agrees."""
        await self.alice.until(lambda service: not isinstance(self.resync_state(service), resync_states.InSync))
        while isinstance(self.resync_state(self.alice.service), resync_states.Asked):
            await self.alice.do(self.renegotiate)

    def code(self, service: ChatService) -> bytes:
        return ratchets.load(service.database.connection, self.connection_id).associated_data

    def resync_state(self, service: ChatService) -> resync_states.State:
        return resyncs.load(service.database.connection, self.connection_id)

    def codes_told(self) -> int:
        """How often Alice was told that the security code has changed."""
        return sum("security code has changed" in sentence for sentence in self.notices())

    def notices(self) -> list[str]:
        every = self.alice.service.events_after(0)
        return [event.sentence for _, event in every if isinstance(event, events.Notice)]


def said_to(peer: ReferencePeer) -> list[str]:
    """Texts that the peer read, in order."""
    return [re.findall(r'"text":"(\w+)"', message.body.decode())[-1] for message in peer.of(UserMessage)]


def heard(alice: Person) -> list[str]:
    """Texts that Alice read, in order."""
    return [m.text for m in alice.service.history("ref") if m.direction == "received"]


@asynccontextmanager
async def meeting(
    folder: Path,
    plan: CrashPlan,
    *,
    kem: KEMProvider | None = None,
    peer_kem: KEMProvider | None = None,
    peer_joins: bool = True,
    kem_in_link: bool = False,
    quota: int = QUOTA,
) -> AsyncIterator[Meeting]:
    """Alice and the peer, connected; both have written once. Alice is online while the block runs."""
    home, other = (
        MemoryRelay(SeededEntropy(host), lambda: START, host=host, quota=quota) for host in ("home.test", "other.test")
    )
    relays = [home, other]
    alice = Person("alice", folder / "alice", relays, home=home, plan=plan, kem=kem)
    peer = ReferencePeer("ref", relays, peer_kem)
    async with asyncio.TaskGroup() as group:
        serving = group.create_task(peer.serve())
        async with alice.online():
            if peer_joins:
                while not alice.service.invitations():
                    await alice.do(lambda service: service.invite("ref"))
                await alice.until(lambda service: service.invitations()[0].link is not None)
                link = alice.service.invitations()[0].link
                assert link is not None
                await peer.join(link, INFO, reply_at=home.server)
                await peer.until(lambda: peer.info is not None)
            else:
                link = await peer.invite(home.server, with_kem=kem_in_link)
                while not alice.service.contacts():
                    await alice.do(lambda service: service.connect(link, "ref"))
                await peer.until(lambda: peer.info is not None)
                await peer.answer(INFO)
            met = Meeting(alice, peer, home, other)
            await alice.until(lambda service: service.contact("ref").state.state == "connected")
            await peer.say("hello")
            await met.alice_read("hello")
            await met.alice_says("welcome")
            await met.peer_read("welcome")
            yield met
            await met.alice_idle()
        serving.cancel()
    await peer.close()
    for relay in relays:
        await relay.stop()
    alice.service.close()


Scenario = Callable[[Path, CrashPlan], Awaitable[None]]


async def moving(folder: Path, plan: CrashPlan) -> None:
    """The peer moves its queue while Alice writes."""
    async with meeting(folder, plan) as met:
        moved = asyncio.get_running_loop().create_task(met.peer.move(met.other.server))
        for text in ("one", "two", "three"):
            await met.alice_says(text)
        await moved
        await met.peer.say("moved")
        await met.alice_read("moved")
        await met.alice_says("four")
        await met.peer_read("four")
        await met.alice_idle()
        assert said_to(met.peer) == ["welcome", "one", "two", "three", "four"]
        assert heard(met.alice) == ["hello", "moved"]
        last = met.peer.arrived[-1]
        assert last.queue == met.peer.queues[0].ids.rcv_id and met.peer.queues[0].server == met.other.server
        assert met.peer.tested()
        assert rotations.load(met.alice.service.database.connection, met.connection_id) is None
        assert sum("now receives at the relay other.test" in sentence for sentence in met.notices()) == 1


async def _renegotiated(met: Meeting, old_code: bytes, *, lost: int = 0) -> None:
    """Both ends use a new ratchet, and texts go both ways; Alice was told of ``lost`` gaps."""
    await met.peer.until(lambda: bool(met.peer.of(RatchetReady)))
    await met.alice.until(lambda service: isinstance(met.resync_state(service), resync_states.InSync))
    await met.peer.say("again")
    await met.alice_read("again")
    await met.alice_says("last")
    await met.peer_read("last")
    assert met.peer.ratchet is not None
    assert met.code(met.alice.service) == met.peer.ratchet.associated_data != old_code
    assert met.codes_told()
    assert sum("were lost" in sentence for sentence in met.notices()) == lost


async def peer_renegotiates(folder: Path, plan: CrashPlan) -> None:
    """The peer lost its ratchet and begins; Alice answers and writes meanwhile."""
    async with meeting(folder, plan) as met:
        old_code = met.code(met.alice.service)
        met.peer.break_ratchet()
        await met.peer.start_resync()
        await met.alice.until(lambda service: isinstance(met.resync_state(service), resync_states.Asked))
        await met.alice_says("meanwhile")
        await met.alice_idle()
        assert met.alice.service.contact("ref").pending == 1 and met.code(met.alice.service) == old_code
        await met.accept_keys()
        await _renegotiated(met, old_code)
        assert met.codes_told() == 1
        assert said_to(met.peer) == ["welcome", "meanwhile", "last"]
        assert heard(met.alice) == ["hello", "again"]


async def alice_renegotiates(folder: Path, plan: CrashPlan) -> None:
    """What the peer sends no longer opens; Alice asks for new keys, and what she wrote meanwhile has waited."""
    async with meeting(folder, plan) as met:
        old_code = met.code(met.alice.service)
        met.peer.break_ratchet()
        await met.peer.say("lost")
        await met.alice.until(lambda service: isinstance(met.resync_state(service), resync_states.Required))
        await met.alice_says("waits")
        await met.alice_idle()
        assert met.alice.service.contact("ref").pending == 1
        while isinstance(met.resync_state(met.alice.service), resync_states.Required):
            await met.alice.do(met.renegotiate)
        await _renegotiated(met, old_code, lost=1)
        assert met.codes_told() == 1
        assert said_to(met.peer) == ["welcome", "waits", "last"]
        assert heard(met.alice) == ["hello", "again"]
        assert sum("can no longer be decrypted" in sentence for sentence in met.notices()) == 1


async def a_verified_contact_renegotiates(folder: Path, plan: CrashPlan) -> None:
    """Alice has compared the peer's code: what she writes under the new one waits until she has compared that."""
    async with meeting(folder, plan) as met:

        async def verify() -> None:
            while not met.alice.service.contact("ref").verified:
                await met.alice.do(lambda service: service.verify("ref", None))

        await verify()
        met.peer.break_ratchet()
        await met.peer.start_resync()
        await met.accept_keys()
        await met.peer.until(lambda: bool(met.peer.of(RatchetReady)))
        await met.peer.say("again")
        await met.alice_read("again")
        await met.alice_says("held")
        await met.alice_idle()
        view = met.alice.service.contact("ref")
        assert (view.pending, view.verified) == (1, False)
        assert [condition.kind for condition in view.conditions] == ["code-changed"]
        await verify()
        await met.peer_read("held")
        assert said_to(met.peer) == ["welcome", "held"]
        assert not met.alice.service.contact("ref").conditions


async def both_renegotiate(folder: Path, plan: CrashPlan) -> None:
    """Both ask at the same moment."""
    async with meeting(folder, plan) as met:
        old_code = met.code(met.alice.service)
        met.peer.break_ratchet()
        asked = asyncio.get_running_loop().create_task(met.peer.start_resync())
        while isinstance(met.resync_state(met.alice.service), resync_states.InSync):
            await met.alice.do(met.renegotiate)
        await met.alice_says("waits")
        await asked
        await _renegotiated(met, old_code)
        assert said_to(met.peer) == ["welcome", "waits", "last"]


async def with_post_quantum_keys(folder: Path, plan: CrashPlan) -> None:
    """Both take part in the KEM from the first turns on, and go on with it through new keys."""
    kem = HashKEM()
    async with meeting(folder, plan, kem=kem, peer_kem=kem) as met:
        old_code = met.code(met.alice.service)
        await _take_turns(met)
        assert met.alice.service.contact("ref").pq
        assert met.peer.ratchet is not None and met.peer.ratchet.kem_sending and met.peer.ratchet.kem_receiving
        met.peer.break_ratchet()
        await met.peer.start_resync()
        await met.accept_keys()
        await _renegotiated(met, old_code)
        await _take_turns(met)
        assert met.alice.service.contact("ref").pq
        _check_sizes(met)


async def _take_turns(met: Meeting, turns: int = 3) -> None:
    for _ in range(turns):
        number = len(met.peer.arrived)
        await met.peer.say(f"from{number}")
        await met.alice_read(f"from{number}")
        await met.alice_says(f"to{number}")
        await met.peer_read(f"to{number}")


def _check_sizes(met: Meeting) -> None:
    """Nothing that anybody sent shows what it holds."""
    sent = [command for relay in (met.home, met.other) for command in relay.commands if isinstance(command, Send)]
    assert {len(command.body) for command in sent} == {15992, 16043}


SCENARIOS = [
    with_post_quantum_keys,
    moving,
    peer_renegotiates,
    alice_renegotiates,
    a_verified_contact_renegotiates,
    both_renegotiate,
]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_without_faults(tmp_path: Path, scenario: Scenario) -> None:
    run_jumping(lambda: _run(scenario, tmp_path, CrashPlan()))


@pytest.mark.parametrize("after", [False, True], ids=["before-commit", "after-commit"])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_a_crash_at_each_commit(tmp_path: Path, scenario: Scenario, after: bool) -> None:
    for at in itertools.count(FIRST_COMMIT):
        plan = CrashPlan((at, after))
        run_jumping(lambda at=at, plan=plan: _run(scenario, tmp_path / str(at), plan))  # type: ignore[misc]
        if plan.commits < at:
            break


FIRST_COMMIT = 9
"""The handshake before has its own tests, in `test_conversation`."""


async def _run(scenario: Scenario, folder: Path, plan: CrashPlan) -> None:
    await scenario(folder, plan)


# -- post-quantum keys: who wants them, and who does not --------------------------------------------------------------


@pytest.mark.parametrize("peer_joins", [True, False], ids=["peer-joins", "alice-joins"])
@pytest.mark.parametrize(("ours", "theirs"), [(True, True), (True, False), (False, True), (False, False)])
def test_post_quantum_keys_need_both_sides(tmp_path: Path, peer_joins: bool, ours: bool, theirs: bool) -> None:
    async def main() -> None:
        kem = HashKEM()
        own, other = kem if ours else None, kem if theirs else None
        async with meeting(tmp_path, CrashPlan(), peer_joins=peer_joins, kem=own, peer_kem=other) as met:
            await _take_turns(met)
            assert met.alice.service.contact("ref").pq is (ours and theirs)
            database = met.alice.service.database.connection
            # a joiner cannot know the initiator's wish and leaves room; an initiator has seen the joiner's
            makes_room = ours and (theirs or not peer_joins)
            assert max_body(database, met.connection_id) == (13_380 if makes_room else 15_602)
            with pytest.raises(MessageTooLarge) as refused, met.alice.service.database.transaction() as tx:
                agent.submit(tx, met.alice.service.context, met.connection_id, UserMessage(bytes(15_796)))
            limit = refused.value.limit
            assert limit == (13_573 if makes_room else 15_795)
            with met.alice.service.database.transaction() as tx:
                agent.submit(tx, met.alice.service.context, met.connection_id, UserMessage(bytes(limit)))
            await met.peer.until(lambda: UserMessage(bytes(limit)) in met.peer.of(UserMessage))
            _check_sizes(met)

    run_jumping(main)


def test_a_kem_key_in_the_link_is_answered(tmp_path: Path) -> None:
    async def main() -> None:
        kem = HashKEM()
        async with meeting(tmp_path, CrashPlan(), kem=kem, peer_kem=kem, peer_joins=False, kem_in_link=True) as met:
            assert met.peer.ratchet is not None
            assert met.peer.ratchet.kem_sending and met.peer.ratchet.kem_receiving, "from the first message on"
            await _take_turns(met)
            assert met.alice.service.contact("ref").pq

    run_jumping(main)


def test_room_for_a_kem_is_made_once_the_peer_makes_it(tmp_path: Path) -> None:
    """Connections from before post-quantum support take it up; bodies shrink then, not before."""

    async def main() -> None:
        kem = HashKEM()
        async with meeting(tmp_path, CrashPlan(), kem=kem) as met:
            database = met.alice.service.database.connection
            assert max_body(database, met.connection_id) == 15_602
            met.peer.turn_on(kem)
            await _take_turns(met, 5)
            assert max_body(database, met.connection_id) == 13_380
            assert met.alice.service.contact("ref").pq

    run_jumping(main)


def test_a_profile_moved_to_where_there_is_no_kem(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A message that needs the KEM stays at the relay and is read later; other contacts go on."""

    async def main() -> None:
        kem = HashKEM()
        async with meeting(tmp_path, CrashPlan(), kem=kem, peer_kem=kem) as met:
            await _take_turns(met)
            service = met.alice.service
            service.context = replace(service.context, kem=None)
            met.alice.come_back()
            await met.peer.say("sealed")
            await met.alice.until(lambda _: any("Install the Python package" in notice for notice in met.notices()))
            assert "sealed" not in heard(met.alice)
            service.context = replace(service.context, kem=kem)
            met.alice.come_back()
            await met.alice_read("sealed")

    run_jumping(main)


# -- moved queues that cannot be used ---------------------------------------------------------------------------------


def test_a_move_waits_until_the_new_relay_can_be_reached(tmp_path: Path) -> None:
    async def main() -> None:
        async with meeting(tmp_path, CrashPlan()) as met:
            await met.peer.make_session(met.other.server)
            met.other.running = False
            moved = asyncio.get_running_loop().create_task(met.peer.move(met.other.server))
            await met.alice_says("before")
            await met.peer_read("before")
            assert not met.peer.of(QueueKey)
            assert sum("cannot be reached yet" in notice for notice in met.notices()) == 1
            met.other.start()
            await moved
            await met.alice_says("after")
            await met.peer_read("after")
            assert all(arrived.in_order for arrived in met.peer.arrived)

    run_jumping(main)


def test_a_new_queue_that_refuses_gives_way_to_the_old_one(tmp_path: Path) -> None:
    async def main() -> None:
        async with meeting(tmp_path, CrashPlan()) as met:
            new = await met.peer.offer_queue(met.other.server)
            await met.peer.until(lambda: bool(met.peer.of(QueueKey)))
            await met.peer.send(QueueUse(((new.address, True),)))  # without KEY
            await met.alice_says("one")
            await met.peer_read("one")
            await met.alice_says("two")
            await met.peer_read("two")
            assert {arrived.queue for arrived in met.peer.arrived} == {met.peer.queues[0].ids.rcv_id}
            assert all(arrived.in_order for arrived in met.peer.arrived)
            assert any("other.test does not accept our messages" in notice for notice in met.notices())

    run_jumping(main)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda uri, old: (uri, QueueAddress(old.server, b"another")), "names an old queue"),
        (lambda uri, old: (uri, QueueAddress(replace(old.server, port="5223"), old.sender_id)), "names an old queue"),
        (lambda uri, old: (uri, None), "names an old queue"),
        (lambda uri, old: (replace(uri, versions=VersionRange(5, 9)), old), "needs versions 5-9"),
        (
            lambda uri, old: (replace(uri, server=old.server, sender_id=old.sender_id), old),
            "is the same as the old one",
        ),
    ],
    ids=["unknown-id", "other-port", "none", "versions", "same"],
)
def test_a_move_that_cannot_be_followed_is_told(
    tmp_path: Path, change: Callable[[QueueURI, QueueAddress], tuple[QueueURI, QueueAddress | None]], why: str
) -> None:
    async def main() -> None:
        async with meeting(tmp_path, CrashPlan()) as met:
            old = met.peer.queues[0].address
            key = X25519PrivateKey.generate(met.peer.entropy).public()
            uri = QueueURI(VersionRange(1, 4), met.other.server, b"new", key, QueueMode.MESSAGING)
            await met.peer.send(QueueAdd((change(uri, old),)))
            await met.alice.until(lambda _: any(why in notice for notice in met.notices()))
            await met.peer.send(QueueUse(((QueueAddress(met.other.server, b"new"), True),)))
            await met.alice.until(lambda _: any("not agreed on" in notice for notice in met.notices()))
            await met.alice_says("still")
            await met.peer_read("still")
            assert not met.peer.of(QueueKey) and not met.peer.tested()

    run_jumping(main)


# -- full queues ------------------------------------------------------------------------------------------------------


def test_a_full_queue_is_filled_again_as_soon_as_the_peer_reads(tmp_path: Path) -> None:
    async def main() -> None:
        async with meeting(tmp_path, CrashPlan(), quota=4) as met:
            texts = [f"text{number}" for number in range(9)]
            met.peer.reading.clear()
            for text in texts:
                await met.alice_says(text)
            await met.alice.until(lambda service: service.contact("ref").pending < len(texts))
            await asyncio.sleep(1)
            assert met.alice.service.contact("ref").pending == 5, "four fill the queue"
            read_at = asyncio.get_running_loop().time()
            met.peer.reading.set()
            await met.peer_read(texts[-1])
            assert asyncio.get_running_loop().time() - read_at < 5, "QCONT ends the pause, not the timer"
            assert said_to(met.peer) == ["welcome", *texts]

    run_jumping(main)


def test_the_peer_is_told_when_our_own_queue_has_room_again(tmp_path: Path) -> None:
    async def main() -> None:
        async with meeting(tmp_path, CrashPlan(), quota=4) as met:
            async with met.alice.away():
                for number in range(4):
                    await met.peer.say(f"text{number}")
                with pytest.raises(SMPError, match="QUOTA"):
                    await met.peer.say("too much")
            await met.peer.until(lambda: bool(met.peer.of(QueueContinue)))
            assert met.peer.of(QueueContinue)[0].address.sender_id == met.peer.send_to.sender_id  # type: ignore[union-attr]
            assert heard(met.alice) == ["hello", *(f"text{number}" for number in range(4))]

    run_jumping(main)


# -- other people's faults --------------------------------------------------------------------------------------------


def test_a_fault_with_one_message_stops_nobody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message is not acknowledged, so that a repaired program still gets it."""

    async def main() -> None:
        async with meeting(tmp_path, CrashPlan()) as met:
            broken = ChatApplication.message_received

            def fail(*_: object) -> bool:
                raise ZeroDivisionError

            monkeypatch.setattr(ChatApplication, "message_received", fail)
            await met.peer.say("poison")
            await met.alice.until(lambda _: any("bug in smpchat" in notice for notice in met.notices()))
            await met.alice_says("alive")
            await met.peer_read("alive")
            monkeypatch.setattr(ChatApplication, "message_received", broken)
            met.alice.come_back()
            await met.alice_read("poison")
            assert heard(met.alice) == ["hello", "poison"]

    run_jumping(main)


def test_a_hello_that_comes_before_the_answer_to_our_confirmation(tmp_path: Path) -> None:
    """The confirmation that is still in the outbox then need not be sent again, and holds nothing up."""

    async def main() -> None:
        home, other = (MemoryRelay(SeededEntropy(host), lambda: START, host=host) for host in ("a.test", "b.test"))
        alice = Person("alice", tmp_path / "alice", [home, other], home=home)
        peer = ReferencePeer("ref", [home, other])
        async with asyncio.TaskGroup() as group:
            serving = group.create_task(peer.serve())
            link = await peer.invite(other.server)
            other.faults = [Fault(3, FaultKind.ANSWER_LOST)]  # NEW, SKEY, SEND
            alice.service.connect(link, "ref", ["text"])
            async with alice.online():
                await peer.until(lambda: peer.info is not None)
                other.running = False
                await peer.answer(INFO)
                await alice.until(lambda service: service.contact("ref").state.state == "connected")
                other.start()
                await peer.until(lambda: said_to(peer) == ["text"])
            serving.cancel()
        await peer.close()
        alice.service.close()
        assert sum(isinstance(command, Send) for command in other.commands) == 2, "the confirmation went once"

    run_jumping(main)


OLD_RELAY, OLD_CLIENT = "relay without SKEY", "client below 3"


@pytest.mark.parametrize("old", [OLD_RELAY, OLD_CLIENT])
def test_texts_wait_for_a_peer_that_must_read_our_hello_first(tmp_path: Path, old: str) -> None:
    """Behind a text it would refuse the HELLO and never connect; a contact on a dead relay changes nothing."""

    async def main() -> None:
        versions = VersionRange(6, 8) if old == OLD_RELAY else SMP_VERSIONS
        own = MemoryRelay(SeededEntropy("a.test"), lambda: START, host="a.test", versions=versions)
        other, dead = (MemoryRelay(SeededEntropy(host), lambda: START, host=host) for host in ("b.test", "c.test"))
        alice = Person("alice", tmp_path / "alice", [own, other, dead], home=own)
        peer, bystander = ReferencePeer("ref", [own, other]), ReferencePeer("pal", [dead])
        if old == OLD_CLIENT:
            peer.client_versions = VersionRange(1, 2)
        async with asyncio.TaskGroup() as group:
            serving = group.create_task(peer.serve())
            alice.service.connect(await bystander.invite(dead.server), "pal", ["lost for now"])
            dead.running = False
            alice.service.connect(await peer.invite(other.server), "ref", ["one", "two"])
            async with alice.online():
                await peer.until(lambda: peer.info is not None)
                await alice.until(lambda service: service.contact("ref").state.state == "ready")
                assert alice.service.contact("ref").state.holds_texts
                await alice.do(lambda service: service.send("ref", "three"))
                await peer.answer_unsecured(INFO)
                await peer.until(lambda: said_to(peer) == ["one", "two", "three"])
                await alice.until(lambda service: service.contact("ref").state.state == "connected")
                await peer.say("hello")
                await alice.until(lambda service: heard(alice) == ["hello"])
            serving.cancel()
        await peer.close()
        await bystander.close()
        alice.service.close()
        assert not peer.hello_refused and isinstance(peer.arrived[0].message, Hello)

    run_jumping(main)
