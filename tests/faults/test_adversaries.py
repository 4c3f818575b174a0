"""Peers that lie, and links changed on their way (handshake.md 6 and 7): one connection fails, no other does."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from smpchat.agent.machines.failures import FAILURE_SENTENCES
from smpchat.agent.machines.handshake_states import ConnectionState, Failure, Terms, Variant
from smpchat.agent.store import connections
from smpchat.agent.transactions import connection as agent
from smpchat.agent.transactions.first_messages import SECOND_PERSON
from smpchat.agent.wire.envelope import AgentMessage, ConnInfoReply, ConnInfoSecured
from smpchat.agent.wire.links import InvitationLink, parse_link
from smpchat.agent.wire.queue import QueueInfo
from smpchat.chat.store import events, invitations
from smpchat.client.connect import open_session
from smpchat.client.trouble import Trouble
from smpchat.crypto.keys import Ed25519PrivateKey, Ed25519PublicKey
from smpchat.encoding.record import replace
from smpchat.encoding.text import to_base64url
from smpchat.protocol.address import SMPServer
from smpchat.protocol.commands import BrokerMessage, Ids, Key, Send, SKey
from smpchat.protocol.errors import SMPError
from smpchat.protocol.queue_mode import QueueMode
from smpchat.testing.entropy import SeededEntropy
from smpchat.testing.loop import run_jumping
from smpchat.testing.relay import MemoryRelay
from tests.faults.people import START, Person
from tests.faults.reference import OwnQueue, ReferencePeer

INFO = b'{"v":"1-7","event":"x.info","params":{"profile":{"displayName":"mallory","fullName":""}}}'
STRANGER = Ed25519PrivateKey.generate(SeededEntropy("stranger"))


class Adversary(ReferencePeer):
    """A joiner whose confirmation says what it likes.

    Attributes:
        reply_key: Named in an ``S`` message; None sends ``D``.
        secures: Whether its reply queue really holds that key.
        mode: What it says of its reply queue.
        reply_server: Where it says its reply queue is, in place of where that is.
    """

    reply_key: Ed25519PublicKey | None = None
    secures = False
    mode: QueueMode | None = QueueMode.MESSAGING
    reply_server: SMPServer | None = None

    async def make_queue(self, server: SMPServer) -> OwnQueue:
        queue = await super().make_queue(server)
        if self.secures:
            assert self.reply_key is not None
            session = await self._session(server)
            await session.request(Key(self.reply_key), queue.ids.rcv_id, queue.auth_key)
        return queue

    def _answer(self, queue: QueueInfo, info: bytes) -> AgentMessage:
        server = self.reply_server or queue.server
        queue = QueueInfo(queue.version, server, queue.sender_id, queue.dh_key, self.mode)
        if self.reply_key is None:
            return ConnInfoReply((queue,), info)
        return ConnInfoSecured(self.reply_key, (queue,), info)


@dataclass
class Town:
    """Alice, whose other contact is honest, and who makes invitations for adversaries."""

    alice: Person
    bob: Person
    relay: MemoryRelay
    adversaries: list[Adversary] = field(default_factory=list)

    async def invite(self, variant: Variant = Variant.INSTANT) -> str:
        """A new link of Alice's."""
        return await self.link_of(self.alice.service.invite(variant=variant))

    async def link_of(self, number: int) -> str:
        """An invitation's link, once it is made."""
        await self.alice.until(lambda service: (i := service.invitation(number)) is not None and i.link is not None)
        invitation = self.alice.service.invitation(number)
        assert invitation is not None and invitation.link is not None
        return invitation.link

    def adversary(self, name: str = "mallory") -> Adversary:
        """One who has not done anything yet."""
        self.adversaries.append(Adversary(name, [self.relay]))
        return self.adversaries[-1]

    def notices(self) -> list[str]:
        """What Alice was told."""
        return [e.sentence for _, e in self.alice.service.events_after(0) if isinstance(e, events.Notice)]

    async def everybody_else_is_well(self) -> None:
        """Alice and Bob write to each other as if nothing had happened."""
        self.alice.service.send("bob", "still here?")
        self.bob.service.send("alice", "of course")
        for person, text in ((self.alice, "of course"), (self.bob, "still here?")):
            who = "bob" if person is self.alice else "alice"
            await person.until(lambda s, who=who, text=text: any(m.text == text for m in s.history(who)))  # type: ignore[misc]


@asynccontextmanager
async def town(folder: Path) -> AsyncIterator[Town]:
    relay = MemoryRelay(SeededEntropy("relay"), lambda: START)
    alice, bob = (Person(name, folder / name, [relay], home=relay) for name in ("alice", "bob"))
    async with alice.online(), bob.online():
        place = Town(alice, bob, relay)
        bob.service.connect(await place.invite(), "alice")
        await bob.until(lambda service: service.contact("alice").state.state == ConnectionState.CONNECTED)
        yield place
        await place.everybody_else_is_well()
        for adversary in place.adversaries:
            await adversary.close()
    await relay.stop()
    for person in (alice, bob):
        person.service.close()


def in_town(folder: Path, story: Callable[[Town], Awaitable[None]]) -> None:
    """Tell a story; in the end everybody else is well."""

    async def main() -> None:
        async with town(folder) as place:
            await story(place)

    run_jumping(main)


def reply_key_of(link: str) -> Ed25519PublicKey:
    parsed = parse_link(link)
    assert isinstance(parsed, InvitationLink) and parsed.reply_key is not None
    return parsed.reply_key


async def until_mallory_is(place: Town, state: ConnectionState) -> events.StateChanged:
    """Wait for the state of Alice's connection with Mallory."""

    def now() -> events.StateChanged | None:
        return next((v.state for v in place.alice.service.contacts() if v.alias == "mallory"), None)

    await place.alice.until(lambda _: (found := now()) is not None and found.state == state)
    found = now()
    assert found is not None
    return found


@pytest.mark.parametrize(("version", "who"), [(8, "you must upgrade"), (1, "they must upgrade")])
def test_a_confirmation_with_a_wrong_version_is_refused_in_words(tmp_path: Path, version: int, who: str) -> None:
    async def story(place: Town) -> None:
        mallory = place.adversary()
        mallory.agent_version = version
        await mallory.join(await place.invite(), INFO, reply_at=place.relay.server)
        await place.alice.until(lambda _: bool(place.notices()))
        [notice] = place.notices()
        assert f"agent protocol version {version}, and this smpchat supports 2-7" in notice and who in notice
        assert len(place.alice.service.invitations()) == 1  # nobody has answered it

    in_town(tmp_path, story)


def test_an_s_answer_to_a_link_without_reply_key_is_refused(tmp_path: Path) -> None:
    async def story(place: Town) -> None:
        mallory = place.adversary()
        mallory.reply_key = STRANGER.public()
        service = place.alice.service
        with service.database.transaction() as tx:  # as no command of ours makes it any more
            number = agent.invite(tx, service.context, Terms(sender_securable=True, reply_key=False))
            invitations.insert(tx, number, None)
        await mallory.join(await place.link_of(number), INFO, reply_at=place.relay.server)
        await asyncio.sleep(60)
        assert len(place.alice.service.invitations()) == 1
        assert [view.alias for view in place.alice.service.contacts()] == ["bob"]

    in_town(tmp_path, story)


def test_a_swapped_reply_key_is_a_tampered_link(tmp_path: Path) -> None:
    async def story(place: Town) -> None:
        mallory = place.adversary()
        mallory.reply_key = STRANGER.public()
        sends = sum(isinstance(command, Send) for command in place.relay.commands)
        await mallory.join(await place.invite(), INFO, reply_at=place.relay.server)
        failed = await until_mallory_is(place, ConnectionState.FAILED)
        assert failed.reason == FAILURE_SENTENCES[Failure.REPLY_REFUSED]
        assert sum(isinstance(command, Send) for command in place.relay.commands) == sends + 1  # Alice sent nothing

    in_town(tmp_path, story)


def test_a_reply_key_stripped_from_the_link_is_only_slower(tmp_path: Path) -> None:
    async def story(place: Town) -> None:
        link = re.sub("&rk=.*", "", await place.invite())
        place.bob.service.connect(link, "alice2", ["hello"])
        await place.bob.until(lambda service: service.contact("alice2").state.state == ConnectionState.CONNECTED)
        assert place.bob.service.contact("alice2").state.variant == Variant.SENDER_SECURED

    in_town(tmp_path, story)


def test_a_reply_key_swapped_in_the_link_leaves_the_joiner_waiting_and_the_initiator_warned(tmp_path: Path) -> None:
    async def story(place: Town) -> None:
        swapped = to_base64url(STRANGER.public().der, padding=False)
        link = re.sub("&rk=.*", f"&rk={swapped}", await place.invite())
        place.bob.service.connect(link, "alice2", ["hello"])
        await place.alice.until(
            lambda service: any(view.state.state == ConnectionState.FAILED for view in service.contacts())
        )
        assert place.bob.service.contact("alice2").state.state == ConnectionState.READY

    in_town(tmp_path, story)


@pytest.mark.parametrize("mode", [QueueMode.MESSAGING, None], ids=["securable", "not-securable"])
def test_a_joiner_that_lies_about_its_reply_queue_harms_itself(tmp_path: Path, mode: QueueMode | None) -> None:
    async def story(place: Town) -> None:
        link, mallory = await place.invite(), place.adversary()
        mallory.reply_key, mallory.mode = reply_key_of(link), mode
        await mallory.join(link, INFO, reply_at=place.relay.server)
        # a messaging queue can be repaired: the initiator secures it itself, as after an overtaken KEY
        outcome = ConnectionState.CONNECTED if mode else ConnectionState.FAILED
        await until_mallory_is(place, outcome)

    in_town(tmp_path, story)


def test_an_honest_s_answer_from_other_software_connects(tmp_path: Path) -> None:
    async def story(place: Town) -> None:
        link, mallory = await place.invite(), place.adversary()
        mallory.reply_key, mallory.secures = reply_key_of(link), True
        await mallory.join(link, INFO, reply_at=place.relay.server)
        await until_mallory_is(place, ConnectionState.CONNECTED)

    in_town(tmp_path, story)


def test_a_reply_queue_on_an_unreachable_relay_waits_and_harms_nobody(tmp_path: Path) -> None:
    async def story(place: Town) -> None:
        link, mallory = await place.invite(), place.adversary()
        mallory.reply_server = SMPServer(("nowhere.test",), "", bytes(32))
        await mallory.join(link, INFO, reply_at=place.relay.server)
        await place.alice.until(lambda service: bool(service.status().troubles))
        await until_mallory_is(place, ConnectionState.READY)
        place.alice.service.send("mallory", "this waits")
        await asyncio.sleep(600)
        [message] = [m for m in place.alice.service.history("mallory") if m.text == "this waits"]
        assert message.status == "pending"
        [trouble] = place.alice.service.status().troubles.values()
        assert "nowhere.test" in trouble.server

    in_town(tmp_path, story)


def test_rubbish_in_the_queue_of_an_invitation_is_forgotten(tmp_path: Path) -> None:
    async def story(place: Town) -> None:
        link = await place.invite()
        parsed = parse_link(link)
        assert isinstance(parsed, InvitationLink)
        queue, entropy = parsed.queues[0], SeededEntropy("rubbish")
        session = await open_session(
            place.relay.connect(), place.relay.server, entropy=entropy, on_event=lambda *_: None
        )
        for size in (0, 1, 100, 15_992, 16_043):
            await session.request(Send(True, entropy.random(size)), queue.sender_id)
        await session.close()
        place.bob.service.connect(link, "alice2", ["through all of it"])
        await place.bob.until(lambda service: service.contact("alice2").state.state == ConnectionState.CONNECTED)

    in_town(tmp_path, story)


def test_of_two_people_in_the_three_step_handshake_one_is_told_and_the_other_refused(tmp_path: Path) -> None:
    async def main() -> None:
        relay = MemoryRelay(SeededEntropy("relay"), lambda: START)
        alice, bob, carol = (Person(name, tmp_path / name, [relay], home=relay) for name in ("alice", "bob", "carol"))
        place = Town(alice, bob, relay)
        async with alice.online():
            link = await place.invite(Variant.THREE_STEP)
        for person in (bob, carol):  # both while Alice is away: she decides, not who came first at the relay
            person.service.connect(link, "alice")
            async with person.online():
                await person.until(lambda service: service.contact("alice").state.state == ConnectionState.READY)
        async with alice.online(), bob.online(), carol.online():
            await bob.until(lambda service: service.contact("alice").state.state == ConnectionState.CONNECTED)
            await alice.until(lambda _: bool(place.notices()))
            assert place.notices() == [SECOND_PERSON.format(alias="bob", who="bob")]
            # her relay has had her confirmation, so she finds out when she repeats it
            await carol.until(lambda service: service.contact("alice").state.state == ConnectionState.FAILED)
            assert carol.service.contact("alice").state.reason == FAILURE_SENTENCES[Failure.LINK_USED]
        await relay.stop()
        for person in (alice, bob, carol):
            person.service.close()

    run_jumping(main)


def test_the_second_to_use_an_instant_link_is_refused_by_the_relay(tmp_path: Path) -> None:
    async def story(place: Town) -> None:
        link = await place.invite()
        await place.adversary("first").join(link, INFO, reply_at=place.relay.server)
        with pytest.raises(SMPError, match="AUTH"):
            await place.adversary("second").join(link, INFO, reply_at=place.relay.server)
        assert sum(isinstance(command, SKey) for command in place.relay.commands) >= 2

    in_town(tmp_path, story)


@pytest.mark.parametrize("which", ["rcv_id", "snd_id"])
def test_a_relay_that_gives_two_queues_one_id_makes_no_queue_and_takes_none(tmp_path: Path, which: str) -> None:
    """It would have taken Bob's queue from Alice, and given what he writes to whoever uses her new link."""

    async def main() -> None:
        async with town(tmp_path) as here:
            queue = connections.receive_queue(here.alice.service.database.connection, 1)
            assert queue is not None

            def changed(message: BrokerMessage) -> BrokerMessage:
                return replace(message, **{which: getattr(queue, which)}) if isinstance(message, Ids) else message

            here.relay.rewrite = changed
            number = here.alice.service.invite()
            await here.alice.until(lambda service: bool(service.troubles()))
            [trouble] = here.alice.service.troubles().values()
            assert trouble.kind is Trouble.FAULTY and "the id of another one" in trouble.error
            invitation = here.alice.service.invitation(number)
            assert invitation is not None and invitation.link is None
            assert connections.receive_queue(here.alice.service.database.connection, 1) == queue
            await here.everybody_else_is_well()
            here.relay.rewrite = lambda message: message
            await here.link_of(number)
            await here.alice.until(lambda service: not service.troubles())

    run_jumping(main)
