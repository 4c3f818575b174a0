"""The re-synchronisation machine as whole effect lists, and its state in the store."""

from __future__ import annotations

from pathlib import Path

import pytest

from smpchat.agent.errors import AgentError, EnvelopeRefused, UnexpectedEvent
from smpchat.agent.machines import resync, resync_states
from smpchat.agent.machines.delivery import Integrity
from smpchat.agent.machines.notices import NoticeKind
from smpchat.agent.machines.resync import Notice, Tell, step
from smpchat.agent.machines.resync_states import Agreed, Allowed, Asked, InSync, Required, Started
from smpchat.agent.store import ratchets, resyncs
from smpchat.agent.store.resyncs import OwnKeys
from smpchat.agent.transactions import connection
from smpchat.agent.transactions.receiving import BROKEN_CHAIN
from smpchat.agent.transactions.renegotiation import NOTICES, TOO_MANY, at
from smpchat.agent.transactions.sealing import seal_envelope
from smpchat.agent.transactions.sending import required_send_queue
from smpchat.agent.wire.envelope import MessageEnvelope, RatchetKeyEnvelope, UserMessage, agent_envelope
from smpchat.crypto.agreement import E2EParams, X3DHKeys, agree_joiner
from smpchat.crypto.kem import KEMAccepted, KEMCiphertext
from smpchat.crypto.keys import X448PrivateKey, X448PublicKey
from smpchat.crypto.ratchet import KEMState, Ratchet
from smpchat.protocol.envelope import client_msg_envelope, open_client_message
from smpchat.testing.entropy import SeededEntropy
from smpchat.testing.kem import HashKEM
from tests.unit.agent.agents import NOW, Agent, connected, exchange

SMALL, LARGE = b"\x01" * 32, b"\x02" * 32
CODE = Tell(Notice.NEW_CODE)
AT = int(NOW)
STANDING: tuple[resync_states.Standing, ...] = (InSync(), Allowed(), Required(), Agreed())
LOST = (Tell(Notice.LOST),)


class TestMachine:
    @pytest.mark.parametrize(
        ("state", "required", "after", "effects"),
        [
            (InSync(), True, Required(), (Tell(Notice.REQUIRED),)),
            (InSync(), False, Allowed(), (Tell(Notice.ALLOWED),)),
            (Allowed(), True, Required(), (Tell(Notice.REQUIRED),)),
            (Allowed(), False, Allowed(), (Tell(Notice.ALLOWED),)),
            (Required(), True, Required(), LOST),
            (Started(SMALL), True, Started(SMALL), LOST),
            (Agreed(), True, Agreed(), LOST),
            (Asked(SMALL, AT, InSync()), True, Asked(SMALL, AT, Required()), (Tell(Notice.REQUIRED),)),
            (Asked(SMALL, AT, Required()), True, Asked(SMALL, AT, Required()), LOST),
        ],
    )
    def test_of_each_message_that_is_lost_the_user_is_told(
        self, state: resync_states.State, required: bool, after: resync_states.State, effects: tuple[resync.Effect, ...]
    ) -> None:
        assert step(state, resync.MessageFailed(required)) == (after, effects)

    @pytest.mark.parametrize("state", [Allowed(), Required(), Agreed()])
    def test_a_message_that_opens_ends_it(self, state: resync_states.State) -> None:
        assert step(state, resync.MessageOpened()) == (InSync(), (resync.Release(),))

    @pytest.mark.parametrize("state", [InSync(), Started(SMALL)])
    def test_a_message_that_opens_changes_nothing_else(self, state: resync_states.State) -> None:
        assert step(state, resync.MessageOpened()) == (state, ())

    @pytest.mark.parametrize("state", STANDING)
    def test_the_user_may_ask(self, state: resync_states.State) -> None:
        assert step(state, resync.Requested(SMALL)) == (Started(SMALL), (resync.SendKeys(),))

    def test_the_user_may_not_ask_twice(self) -> None:
        with pytest.raises(UnexpectedEvent):
            step(Started(SMALL), resync.Requested(LARGE))

    def test_but_take_it_back(self) -> None:
        assert step(Started(SMALL), resync.Refused()) == (InSync(), (resync.Release(),))

    def test_the_smaller_hash_receives_first(self) -> None:
        assert step(Started(SMALL), resync.KeysReceived(LARGE, AT)) == (Agreed(), (resync.StartReceiving(), CODE))
        effects = (resync.StartSending(), resync.SendReady(), CODE)
        assert step(Started(LARGE), resync.KeysReceived(SMALL, AT)) == (Agreed(), effects)

    @pytest.mark.parametrize("state", STANDING)
    def test_keys_that_nobody_asked_for_wait_for_the_user(self, state: resync_states.Standing) -> None:
        """In every state: a message that does not open is sent before them by whoever has stolen the queue's keys."""
        asked = Asked(SMALL, AT, state)
        assert step(state, resync.KeysReceived(SMALL, AT)) == (asked, (Tell(Notice.ASKED),))
        effects = (resync.SendKeys(), resync.StartSending(), resync.SendReady(), CODE)
        assert step(asked, resync.Requested(LARGE)) == (Agreed(), effects)
        answered = step(Asked(LARGE, AT, state), resync.Requested(SMALL))[1]
        assert answered == (resync.SendKeys(), resync.StartReceiving(), CODE)

    def test_the_last_keys_count(self) -> None:
        known = Asked(SMALL, AT, Allowed(), proven=True)
        assert step(known, resync.KeysReceived(LARGE, AT + 1))[0] == Asked(LARGE, AT + 1, Allowed())

    @pytest.mark.parametrize("state", STANDING)
    def test_the_user_may_refuse_them(self, state: resync_states.Standing) -> None:
        released = () if resync_states.holds_all(state) else (resync.Release(),)
        assert step(Asked(SMALL, AT, state), resync.Refused()) == (state, released)
        with pytest.raises(UnexpectedEvent):
            step(state, resync.Refused())

    @pytest.mark.parametrize(
        ("sent_at", "late", "proves"),
        [(AT, False, True), (AT + 5, False, True), (AT - 1, False, False), (AT, True, False)],
    )
    @pytest.mark.parametrize("state", STANDING)
    def test_what_is_newer_than_the_keys_shows_that_the_old_ratchet_works(
        self, state: resync_states.Standing, sent_at: int, late: bool, proves: bool
    ) -> None:
        after, effects = step(Asked(SMALL, AT, state), resync.MessageOpened(sent_at, late))
        assert after == Asked(SMALL, AT, InSync(), proven=proves)
        if proves:
            assert effects == (Tell(Notice.STILL_WORKS), resync.Release())
            assert step(after, resync.MessageOpened(sent_at)) == (after, ()), "told once"

    def test_our_own_keys_mirrored_are_refused(self) -> None:
        with pytest.raises(UnexpectedEvent):
            step(Started(SMALL), resync.KeysReceived(SMALL, AT))

    def test_ready_is_answered_by_who_could_only_receive(self) -> None:
        assert step(InSync(), resync.ReadyReceived(True)) == (InSync(), (resync.SendReady(),))
        assert step(InSync(), resync.ReadyReceived(False)) == (InSync(), ())

    @pytest.mark.parametrize(
        ("state", "texts", "everything"),
        [
            (InSync(), False, False),
            (Allowed(), False, False),
            (Required(), True, True),
            (Started(b""), True, True),
            (Agreed(), True, True),
            (Asked(SMALL, AT, InSync()), True, False),
            (Asked(SMALL, AT, InSync(), proven=True), False, False),
            (Asked(SMALL, AT, Required()), True, True),
            (Asked(SMALL, AT, Agreed()), True, True),
        ],
    )
    def test_what_waits(self, state: resync_states.State, texts: bool, everything: bool) -> None:
        assert (resync_states.holds_texts(state), resync_states.holds_all(state)) == (texts, everything)


class TestStore:
    @pytest.mark.parametrize("state", [*STANDING, Started(SMALL), *(Asked(SMALL, AT, state) for state in STANDING)])
    def test_states_survive(self, tmp_path: Path, state: resync_states.State) -> None:
        alice, _ = connected(tmp_path)
        keys = OwnKeys(X3DHKeys.generate(SeededEntropy("keys")), KEMState.propose(HashKEM()))
        alice.do(lambda tx, _: resyncs.save(tx, alice.id, state, keys))
        assert resyncs.load(alice.tx, alice.id) == state
        kept = resyncs.own_keys(alice.tx, alice.id)
        assert (kept == keys) if isinstance(state, Started) else (kept is None), "keys go when they are not needed"

    def test_keys_of_the_peer_go_with_the_question(self, tmp_path: Path) -> None:
        alice, _ = connected(tmp_path)
        theirs = X3DHKeys.generate(SeededEntropy("theirs")).params(3)
        alice.do(lambda tx, _: resyncs.save(tx, alice.id, Asked(SMALL, AT, InSync()), None))
        alice.do(lambda tx, _: resyncs.save_asked(tx, alice.id, theirs))
        alice.do(lambda tx, _: resyncs.save(tx, alice.id, Asked(SMALL, AT, InSync(), proven=True), None))
        assert resyncs.asked(alice.tx, alice.id) == theirs
        alice.do(lambda tx, _: resyncs.save(tx, alice.id, InSync(), None))
        assert resyncs.asked(alice.tx, alice.id) is None

    def test_as_many_keys_are_known_as_are_kept(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(resyncs, "KEPT_SEEN", 3)
        alice, _ = connected(tmp_path)
        hashes = [bytes([number]) * 32 for number in range(5)]
        for number, hashed in enumerate(hashes):
            alice.do(lambda tx, _, n=number, h=hashed: resyncs.mark_seen(tx, alice.id, h, NOW + n))  # type: ignore[misc]
        assert [resyncs.seen(alice.tx, alice.id, hashed) for hashed in hashes] == [False, False, True, True, True]


def break_ratchet(agent: Agent) -> None:
    """Put somebody else's ratchet in place of the true one."""
    keys = X3DHKeys.generate(SeededEntropy("strange"))
    other = X3DHKeys.generate(SeededEntropy("other"))
    secret = agree_joiner(keys, other.key1.public(), other.key2.public())
    first = X448PrivateKey.generate(SeededEntropy("first"))
    agent.do(lambda tx, _: ratchets.replace(tx, agent.id, Ratchet.joiner(secret, other.key2.public(), first, 3)))


def told(*notices: Notice) -> list[str]:
    """What people read."""
    return [at(NOTICES[notice][1], AT) for notice in notices]


def agree(agent: Agent) -> None:
    """The user asks for new keys, or agrees to those that came."""
    agent.do(lambda tx, context: connection.resync(tx, context, agent.id))


def refuse(agent: Agent) -> None:
    agent.do(lambda tx, context: connection.refuse_keys(tx, context, agent.id))


def write(agent: Agent, text: bytes, reference: int | None = None) -> None:
    agent.do(lambda tx, context: connection.submit(tx, context, agent.id, UserMessage(text), reference=reference))


def pass_on(sender: Agent, reader: Agent, *, later: float = 0) -> int:
    """Deliver what one side has to send, once; how much it was."""
    sent = sender.carry_out()
    for body in sent:
        reader.receive(body, at=NOW + later)
    return len(sent)


def codes(*agents: Agent) -> list[bytes]:
    return [ratchets.load(agent.tx, agent.id).associated_data for agent in agents]


def state(agent: Agent) -> resync_states.State:
    return resyncs.load(agent.tx, agent.id)


class TestRenegotiation:
    @pytest.mark.parametrize("kem", [None, HashKEM()], ids=["plain", "pq"])
    def test_two_of_ours(self, tmp_path: Path, kem: HashKEM | None) -> None:
        alice, bob = connected(tmp_path, kem=kem)
        before = codes(bob)
        break_ratchet(bob)
        write(bob, b"lost", 1)
        exchange(alice, bob)
        assert alice.messages == []
        assert alice.notices == told(Notice.REQUIRED)
        write(alice, b"waits", 2)
        assert alice.carry_out() == [], "it would not open"
        agree(alice)
        exchange(alice, bob)
        assert bob.notices == told(Notice.ASKED) and codes(alice) == before
        agree(bob)
        exchange(alice, bob)
        assert bob.messages == [(b"waits", Integrity.OK)]
        assert ("delivered", 2) in alice.application.told
        assert alice.notices[1:] == [*told(Notice.NEW_CODE), BROKEN_CHAIN], "the message before the keys is lost"
        assert bob.notices[1:] == told(Notice.NEW_CODE)
        assert codes(alice) == codes(bob) != before
        assert [state(agent) for agent in (alice, bob)] == [InSync(), InSync()]
        write(bob, b"heard", 3)
        exchange(alice, bob)
        assert alice.messages == [(b"heard", Integrity.OK)]

    def test_skipped_keys_of_the_old_ratchet_go(self, tmp_path: Path) -> None:
        alice, bob = connected(tmp_path)
        for text in (b"one", b"two"):
            write(bob, text)
        _, second = bob.carry_out()
        alice.receive(second)
        assert len(ratchets.load_skipped(alice.tx, alice.id)) == 1
        agree(alice)
        exchange(alice, bob)
        agree(bob)
        exchange(alice, bob)
        assert len(ratchets.load_skipped(alice.tx, alice.id)) == 0

    def test_asking_twice_is_refused_in_words(self, tmp_path: Path) -> None:
        alice, bob = connected(tmp_path)
        agree(alice)
        before = alice.next()
        with pytest.raises(AgentError, match="already asked"):
            agree(alice)
        assert alice.next() == before
        refuse(alice)
        write(alice, b"after all")
        exchange(alice, bob)
        assert bob.messages == [(b"after all", Integrity.OK)]

    def test_an_invitation_cannot_be_renegotiated(self, tmp_path: Path) -> None:
        alice = Agent("alice", tmp_path)
        alice.invite()
        with pytest.raises(AgentError, match="not connected yet"):
            agree(alice)
        with pytest.raises(AgentError, match="waiting for your answer"):
            refuse(alice)

    def test_copies_of_keys_change_nothing(self, tmp_path: Path) -> None:
        alice, bob = connected(tmp_path)
        agree(bob)
        [keys] = bob.carry_out()
        alice.receive(keys)
        alice.receive(keys)
        assert alice.notices == told(Notice.ASKED)
        agree(alice)
        ratchet, chain = ratchets.load(alice.tx, alice.id), alice.connection.received
        answers = alice.carry_out()
        alice.receive(keys)
        assert (ratchets.load(alice.tx, alice.id), alice.connection.received) == (ratchet, chain)
        assert answers and alice.carry_out() == []

    def test_keys_take_an_id_on_both_sides(self, tmp_path: Path) -> None:
        alice, bob = connected(tmp_path)
        agree(bob)
        exchange(alice, bob)
        agree(alice)
        exchange(alice, bob)
        assert alice.connection.received == bob.connection.sent
        assert bob.connection.received == alice.connection.sent

    def test_keys_that_were_first_put_off_take_an_id_too(self, tmp_path: Path) -> None:
        alice, bob = connected(tmp_path)
        agree(bob)
        exchange(alice, bob)
        alice.do(lambda tx, context: connection.overrule_keys(tx, context, alice.id))
        agree(alice)
        exchange(alice, bob)
        assert alice.connection.received == bob.connection.sent
        assert BROKEN_CHAIN not in alice.notices

    def test_two_that_begin_at_once_agree(self, tmp_path: Path) -> None:
        alice, bob = connected(tmp_path)
        agree(alice)
        agree(bob)
        exchange(alice, bob)
        assert alice.notices == bob.notices == told(Notice.NEW_CODE)
        assert len(set(codes(alice, bob))) == 1

    @pytest.mark.parametrize("what", ["version", "answered kem", "mirrored"])
    def test_keys_that_cannot_be_used_are_refused(self, tmp_path: Path, what: str) -> None:
        alice, bob = connected(tmp_path)
        params = X3DHKeys.generate(SeededEntropy("new")).params(3)
        if what == "version":
            params = E2EParams(4, params.key1, params.key2)
        elif what == "answered kem":
            public, _ = HashKEM().generate()
            params = E2EParams(3, params.key1, params.key2, KEMAccepted(KEMCiphertext(bytes(1039)), public))
        else:
            agree(alice)
            own = resyncs.own_keys(alice.tx, alice.id)
            assert own is not None
            params = own.x3dh.params(3)
        before = ratchets.load(alice.tx, alice.id)
        with pytest.raises(EnvelopeRefused):
            alice.receive(forged(bob, params))
        assert ratchets.load(alice.tx, alice.id) == before

    def test_keys_of_low_order_are_refused_in_words(self, tmp_path: Path) -> None:
        alice, bob = connected(tmp_path)
        good = X3DHKeys.generate(SeededEntropy("new")).params(3)
        alice.receive(forged(bob, E2EParams(3, X448PublicKey(bytes(56)), good.key2)))
        before = codes(alice)
        with pytest.raises(AgentError, match="cannot be used"):
            agree(alice)
        assert codes(alice) == before
        refuse(alice)


def forged(owner: Agent, params: E2EParams) -> bytes:
    """Keys sent by whoever has stolen the secrets of the owner's send queue once: the ratchet is not among them."""
    queue = required_send_queue(owner.tx, owner.id)
    return seal_envelope(SeededEntropy(repr(params)), queue, RatchetKeyEnvelope(7, params, b"R"))


class Thief:
    """Has the secret and the signing key of the queue that Alice reads, from long ago, and sees all that she sends."""

    def __init__(self, alice: Agent, bob: Agent) -> None:
        self.alice, self.bob = alice, bob
        self.keys = X3DHKeys.generate(SeededEntropy("thief"))

    def send_keys(self, *, later: float = 0) -> None:
        self.alice.receive(forged(self.bob, self.keys.params(3)), at=NOW + later)

    def send_rubbish(self) -> None:
        """A message that does not open, so that the ratchet looks broken."""
        queue = required_send_queue(self.bob.tx, self.bob.id)
        rubbish = SeededEntropy("rubbish").random(15_000)
        self.alice.receive(seal_envelope(SeededEntropy("box"), queue, MessageEnvelope(7, rubbish)))

    def reads(self, sent: list[bytes]) -> bool:
        """Whether Alice answered: without her keys there is no ratchet in which anything could be read."""
        queue = required_send_queue(self.alice.tx, self.alice.id)
        opened = [open_client_message(queue.e2e_secret, client_msg_envelope.decode(body)) for body in sent]
        return any(isinstance(agent_envelope.decode(message.body), RatchetKeyEnvelope) for message in opened)


class TestStolenQueueKeys:
    """simplexmq #1864: the secrets of both queues were stolen once, and the ratchet has turned 30 times since."""

    @pytest.fixture(params=[None, HashKEM()], ids=["plain", "pq"])
    def pair(self, tmp_path: Path, request: pytest.FixtureRequest) -> tuple[Agent, Agent]:
        alice, bob = connected(tmp_path, kem=request.param)
        for turn in range(30):
            write(alice, b"to bob %d" % turn)
            exchange(alice, bob)
            write(bob, b"to alice %d" % turn)
            exchange(alice, bob)
        alice.application.told.clear()
        bob.application.told.clear()
        return alice, bob

    @pytest.mark.parametrize("first", ["nothing", "rubbish"])
    def test_the_thief_reads_nothing_and_the_user_sees_it(self, pair: tuple[Agent, Agent], first: str) -> None:
        alice, bob = pair
        thief, before = Thief(alice, bob), codes(alice, bob)
        if first == "rubbish":
            thief.send_rubbish()
        thief.send_keys()
        assert alice.notices[-1:] == told(Notice.ASKED)
        write(alice, b"my PIN is 1234", 1)
        assert not thief.reads(alice.carry_out()) and ("sent", 1) not in alice.application.told
        assert codes(alice, bob) == before
        write(bob, b"all is well")
        pass_on(bob, alice, later=1)
        assert alice.messages == [(b"all is well", Integrity.OK)]
        assert alice.notices[-1:] == told(Notice.STILL_WORKS), "it stays in sight"
        assert NoticeKind.NEW_KEYS in alice.application.over
        sent = alice.carry_out()
        assert sent and not thief.reads(sent)
        for body in sent:
            bob.receive(body)
        assert bob.messages == [(b"my PIN is 1234", Integrity.OK)]
        assert codes(alice, bob) == before
        refuse(alice)
        assert state(alice) == InSync() and resyncs.asked(alice.tx, alice.id) is None
        thief.send_keys(later=2)
        assert state(alice) == InSync(), "the same keys again say nothing new"

    def test_nor_while_an_agreement_is_new(self, pair: tuple[Agent, Agent]) -> None:
        """Between two honest people's new ratchet and its first message."""
        alice, bob = pair
        agree(bob)
        pass_on(bob, alice)
        agree(alice)
        thief, agreed = Thief(alice, bob), codes(alice)
        answers = alice.carry_out()
        thief.send_keys()
        assert codes(alice) == agreed
        for body in answers:
            bob.receive(body)
        exchange(alice, bob)
        write(bob, b"here")
        write(alice, b"there")
        exchange(alice, bob)
        assert (alice.messages, bob.messages) == ([(b"here", Integrity.OK)], [(b"there", Integrity.OK)])
        assert codes(alice) == codes(bob) == agreed

    def test_a_thief_who_answers_first_shows_by_the_code_and_by_a_question(self, pair: tuple[Agent, Agent]) -> None:
        """The gap of SECURITY.md: nobody who lost their keys could prove anything, so the first answer is taken."""
        alice, bob = pair
        before = codes(alice, bob)
        agree(alice)
        pass_on(alice, bob)
        agree(bob)
        theirs = bob.carry_out()
        Thief(alice, bob).send_keys()
        assert alice.notices[-1:] == told(Notice.NEW_CODE)
        assert len({*codes(alice, bob), *before}) == 3, "compared, they differ"
        for body in theirs:
            alice.receive(body)
        assert told(Notice.ASKED)[0] in alice.notices, "the contact's own answer"
        refuse(alice)
        agree(alice)  # anew: that answer was one to keys that are spent
        exchange(alice, bob)
        agree(bob)
        exchange(alice, bob)
        write(alice, b"it is you")
        exchange(alice, bob)
        assert bob.messages[-1:] == [(b"it is you", Integrity.OK)] and len(set(codes(alice, bob))) == 1

    def test_how_often_it_may_be_tried(self, pair: tuple[Agent, Agent], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(resyncs, "MAX_ASKED", 3)
        alice, bob = pair
        for number in range(6):
            alice.receive(forged(bob, X3DHKeys.generate(SeededEntropy(f"{number}")).params(3)))
            if isinstance(state(alice), Asked):
                refuse(alice)
        assert alice.notices == [*told(*3 * [Notice.ASKED]), TOO_MANY.replace("{number}", "3")]
        agree(alice)  # what the user asks for has no limit
        exchange(alice, bob)
        agree(bob)
        exchange(alice, bob)
        assert len(set(codes(alice, bob))) == 1
        alice.now += 2 * resyncs.DAY
        alice.receive(forged(bob, X3DHKeys.generate(SeededEntropy("tomorrow")).params(3)))
        assert isinstance(state(alice), Asked)


class TestRestoredPeer:
    """A peer that restored an old copy of its data, and rightly asks for new keys."""

    def test_texts_wait_for_the_user_and_none_is_lost(self, tmp_path: Path) -> None:
        alice, bob = connected(tmp_path)
        break_ratchet(bob)
        write(alice, b"sealed before", 1)
        agree(bob)
        pass_on(bob, alice)
        write(alice, b"written since", 2)
        assert alice.carry_out() == []
        agree(alice)
        exchange(alice, bob)
        assert bob.messages == [(b"sealed before", Integrity.SKIPPED), (b"written since", Integrity.OK)]
        assert {("delivered", 1), ("delivered", 2)} <= set(alice.application.told)

    def test_what_is_sealed_is_sealed_anew_where_the_user_asked_as_well(self, tmp_path: Path) -> None:
        alice, bob = connected(tmp_path)
        agree(bob)
        [keys, *_] = bob.carry_out()
        write(alice, b"one", 1)
        agree(alice)
        alice.receive(keys)
        exchange(alice, bob)
        assert bob.messages == [(b"one", Integrity.SKIPPED)], "its first number is used up"
        assert ("delivered", 1) in alice.application.told

    def test_the_protocol_goes_on_under_the_old_ratchet(self, tmp_path: Path) -> None:
        """Receipts hold no text, and a queue must go on moving."""
        alice, bob = connected(tmp_path)
        write(bob, b"hello", 1)
        [hello] = bob.carry_out()
        Thief(alice, bob).send_keys(later=5)
        alice.receive(hello)
        assert isinstance(state(alice), Asked) and resync_states.holds_texts(state(alice)), "it is from before"
        write(alice, b"waits")
        assert pass_on(alice, bob) == 1
        assert ("delivered", 1) in bob.application.told

    def test_keys_that_others_follow_leave_no_gap(self, tmp_path: Path) -> None:
        """The peer's user asked, and took it back: our user has not answered yet."""
        alice, bob = connected(tmp_path)
        agree(bob)
        pass_on(bob, alice)
        refuse(bob)
        write(bob, b"never mind")
        pass_on(bob, alice, later=1)
        assert alice.messages == [(b"never mind", Integrity.OK)]
        refuse(alice)
        exchange(alice, bob)
