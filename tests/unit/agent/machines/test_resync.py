"""The re-synchronisation machine as whole effect lists, and its state in the store."""

from __future__ import annotations

from pathlib import Path

import pytest

from smpchat.agent.errors import AgentError, EnvelopeRefused, UnexpectedEvent
from smpchat.agent.machines import resync, resync_states
from smpchat.agent.machines.delivery import Integrity
from smpchat.agent.machines.resync import Notice, Tell, step
from smpchat.agent.machines.resync_states import Agreed, Allowed, InSync, Required, Started
from smpchat.agent.store import ratchets, resyncs
from smpchat.agent.store.resyncs import OwnKeys
from smpchat.agent.transactions import connection
from smpchat.agent.transactions.receiving import BROKEN_CHAIN
from smpchat.agent.transactions.renegotiation import NOTICES
from smpchat.agent.transactions.sealing import seal_envelope
from smpchat.agent.transactions.sending import required_send_queue
from smpchat.agent.wire.envelope import RatchetKeyEnvelope, UserMessage
from smpchat.crypto.agreement import E2EParams, X3DHKeys, agree_joiner
from smpchat.crypto.kem import KEMAccepted, KEMCiphertext
from smpchat.crypto.keys import X448PrivateKey
from smpchat.crypto.ratchet import KEMState, Ratchet
from smpchat.testing.entropy import SeededEntropy
from smpchat.testing.kem import HashKEM
from tests.unit.agent.agents import Agent, connected, exchange

SMALL, LARGE = b"\x01" * 32, b"\x02" * 32
CODE = Tell(Notice.NEW_CODE)


class TestMachine:
    @pytest.mark.parametrize(
        ("state", "required", "after", "effects"),
        [
            (InSync(), True, Required(), (Tell(Notice.REQUIRED),)),
            (InSync(), False, Allowed(), (Tell(Notice.ALLOWED),)),
            (Allowed(), True, Required(), (Tell(Notice.REQUIRED),)),
            (Allowed(), False, Allowed(), ()),
            (Required(), True, Required(), ()),
            (Started(SMALL), True, Started(SMALL), ()),
            (Agreed(), True, Agreed(), ()),
        ],
    )
    def test_the_user_is_told_once(
        self, state: resync_states.State, required: bool, after: resync_states.State, effects: tuple[resync.Effect, ...]
    ) -> None:
        assert step(state, resync.MessageFailed(required)) == (after, effects)

    @pytest.mark.parametrize("state", [Allowed(), Required(), Agreed()])
    def test_a_message_that_opens_ends_it(self, state: resync_states.State) -> None:
        assert step(state, resync.MessageOpened()) == (InSync(), (resync.Release(),))

    @pytest.mark.parametrize("state", [InSync(), Started(SMALL)])
    def test_a_message_that_opens_changes_nothing_else(self, state: resync_states.State) -> None:
        assert step(state, resync.MessageOpened()) == (state, ())

    @pytest.mark.parametrize("state", [InSync(), Allowed(), Required(), Agreed()])
    def test_the_user_may_ask(self, state: resync_states.State) -> None:
        assert step(state, resync.Requested(SMALL)) == (Started(SMALL), (resync.SendKeys(),))

    def test_the_user_may_not_ask_twice(self) -> None:
        with pytest.raises(UnexpectedEvent):
            step(Started(SMALL), resync.Requested(LARGE))

    def test_the_smaller_hash_receives_first(self) -> None:
        assert step(Started(SMALL), resync.KeysReceived(LARGE, b"")) == (Agreed(), (resync.StartReceiving(), CODE))
        effects = (resync.StartSending(), resync.SendReady(), CODE)
        assert step(Started(LARGE), resync.KeysReceived(SMALL, b"")) == (Agreed(), effects)

    @pytest.mark.parametrize("state", [InSync(), Allowed(), Required(), Agreed()])
    def test_a_peer_that_asks_is_answered(self, state: resync_states.State) -> None:
        effects = (resync.SendKeys(), resync.StartSending(), resync.SendReady(), CODE)
        assert step(state, resync.KeysReceived(SMALL, LARGE)) == (Agreed(), effects)
        assert step(state, resync.KeysReceived(LARGE, SMALL))[1] == (resync.SendKeys(), resync.StartReceiving(), CODE)

    def test_our_own_keys_mirrored_are_refused(self) -> None:
        with pytest.raises(UnexpectedEvent):
            step(Started(SMALL), resync.KeysReceived(SMALL, b""))

    def test_ready_is_answered_by_who_could_only_receive(self) -> None:
        assert step(InSync(), resync.ReadyReceived(True)) == (InSync(), (resync.SendReady(),))
        assert step(InSync(), resync.ReadyReceived(False)) == (InSync(), ())

    def test_texts_wait_while_they_could_not_be_read(self) -> None:
        assert [resync_states.holds_texts(s) for s in (InSync(), Allowed(), Required(), Started(b""), Agreed())] == [
            False,
            False,
            True,
            True,
            True,
        ]


class TestStore:
    @pytest.mark.parametrize("state", [InSync(), Allowed(), Required(), Started(SMALL), Agreed()])
    def test_states_survive(self, tmp_path: Path, state: resync_states.State) -> None:
        alice, _ = connected(tmp_path)
        keys = OwnKeys(X3DHKeys.generate(SeededEntropy("keys")), KEMState.propose(HashKEM()))
        alice.do(lambda tx, _: resyncs.save(tx, alice.id, state, keys))
        assert resyncs.load(alice.tx, alice.id) == state
        kept = resyncs.own_keys(alice.tx, alice.id)
        assert (kept == keys) if isinstance(state, Started) else (kept is None), "keys go when they are not needed"


def break_ratchet(agent: Agent) -> None:
    """Put somebody else's ratchet in place of the true one."""
    keys = X3DHKeys.generate(SeededEntropy("strange"))
    other = X3DHKeys.generate(SeededEntropy("other"))
    secret = agree_joiner(keys, other.key1.public(), other.key2.public())
    first = X448PrivateKey.generate(SeededEntropy("first"))
    agent.do(lambda tx, _: ratchets.replace(tx, agent.id, Ratchet.joiner(secret, other.key2.public(), first, 3)))


class TestRenegotiation:
    @pytest.mark.parametrize("kem", [None, HashKEM()], ids=["plain", "pq"])
    def test_two_of_ours(self, tmp_path: Path, kem: HashKEM | None) -> None:
        alice, bob = connected(tmp_path, kem=kem)
        break_ratchet(bob)
        bob.do(lambda tx, context: connection.submit(tx, context, bob.id, UserMessage(b"lost"), reference=1))
        exchange(alice, bob)
        assert alice.messages == []
        assert len(alice.notices) == 1 and "can no longer be decrypted" in alice.notices[0]
        alice.do(lambda tx, context: connection.submit(tx, context, alice.id, UserMessage(b"waits"), reference=2))
        assert alice.carry_out() == [], "it would not open"
        alice.do(lambda tx, context: connection.resync(tx, context, alice.id))
        exchange(alice, bob)
        assert bob.messages == [(b"waits", Integrity.OK)]
        assert ("delivered", 2) in alice.application.told
        assert alice.notices[1:] == [NOTICES[Notice.NEW_CODE][1], BROKEN_CHAIN], "the message before the keys is lost"
        assert bob.notices == [NOTICES[Notice.NEW_CODE][1]]
        codes = [ratchets.load(agent.tx, agent.id).associated_data for agent in (alice, bob)]
        assert codes[0] == codes[1]
        assert [resyncs.load(agent.tx, agent.id) for agent in (alice, bob)] == [InSync(), InSync()]
        bob.do(lambda tx, context: connection.submit(tx, context, bob.id, UserMessage(b"heard"), reference=3))
        exchange(alice, bob)
        assert alice.messages == [(b"heard", Integrity.OK)]

    def test_skipped_keys_of_the_old_ratchet_go(self, tmp_path: Path) -> None:
        alice, bob = connected(tmp_path)
        for text in (b"one", b"two"):
            bob.do(lambda tx, context, text=text: connection.submit(tx, context, bob.id, UserMessage(text)))  # type: ignore[misc]
        _, second = bob.carry_out()
        alice.receive(second)
        assert len(ratchets.load_skipped(alice.tx, alice.id)) == 1
        alice.do(lambda tx, context: connection.resync(tx, context, alice.id))
        exchange(alice, bob)
        assert len(ratchets.load_skipped(alice.tx, alice.id)) == 0

    def test_asking_twice_is_refused_in_words(self, tmp_path: Path) -> None:
        alice, _ = connected(tmp_path)
        alice.do(lambda tx, context: connection.resync(tx, context, alice.id))
        before = alice.next()
        with pytest.raises(AgentError, match="asked already"):
            alice.do(lambda tx, context: connection.resync(tx, context, alice.id))
        assert alice.next() == before

    def test_an_invitation_cannot_be_renegotiated(self, tmp_path: Path) -> None:
        alice = Agent("alice", tmp_path)
        alice.invite()
        with pytest.raises(AgentError, match="finished"):
            alice.do(lambda tx, context: connection.resync(tx, context, alice.id))

    def test_copies_of_keys_change_nothing(self, tmp_path: Path) -> None:
        alice, bob = connected(tmp_path)
        bob.do(lambda tx, context: connection.resync(tx, context, bob.id))
        [keys] = bob.carry_out()
        alice.receive(keys)
        ratchet, chain = ratchets.load(alice.tx, alice.id), alice.connection.received
        answers = alice.carry_out()
        alice.receive(keys)
        assert (ratchets.load(alice.tx, alice.id), alice.connection.received) == (ratchet, chain)
        assert answers and alice.carry_out() == []

    def test_keys_take_an_id_on_both_sides(self, tmp_path: Path) -> None:
        alice, bob = connected(tmp_path)
        bob.do(lambda tx, context: connection.resync(tx, context, bob.id))
        exchange(alice, bob)
        assert alice.connection.received == bob.connection.sent
        assert bob.connection.received == alice.connection.sent

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
            alice.do(lambda tx, context: connection.resync(tx, context, alice.id))
            own = resyncs.own_keys(alice.tx, alice.id)
            assert own is not None
            params = own.x3dh.params(3)
        before = ratchets.load(alice.tx, alice.id)
        envelope = RatchetKeyEnvelope(7, params, b"R")
        with pytest.raises(EnvelopeRefused):
            alice.receive(seal_envelope(bob.entropy, required_send_queue(bob.tx, bob.id), envelope))
        assert ratchets.load(alice.tx, alice.id) == before
