"""The KEM half the double ratchet: the table of agent-wire 4.8, and whole conversations with it."""

from __future__ import annotations

import hashlib
import sys

import pytest

from smpchat.crypto import kem
from smpchat.crypto.agreement import agree_initiator, agree_joiner
from smpchat.crypto.kem import (
    KEMAccepted,
    KEMCiphertext,
    KEMPrivateKey,
    KEMProposed,
    KEMProvider,
    KEMPublicKey,
    KEMUnavailable,
)
from smpchat.crypto.ratchet import KEMState, Ratchet, RatchetKEMError, RatchetStateError, SkippedKeys, decrypt, encrypt
from smpchat.crypto.ratchet_kem import kem_step
from smpchat.encoding.record import fields, replace
from smpchat.testing.entropy import SeededEntropy
from tests.unit.crypto.ratchets import FIRST_KEY, INITIATOR, JOINER, two_ratchets


class ToyKEM:
    """Not a KEM, but quick, reproducible, and wrong secrets differ like those of a real one."""

    def __init__(self, seed: str) -> None:
        self._entropy = SeededEntropy(seed)

    @staticmethod
    def _public(private: KEMPrivateKey) -> KEMPublicKey:
        return KEMPublicKey(hashlib.shake_256(private.raw).digest(KEMPublicKey.SIZE))

    @staticmethod
    def _secret(public: KEMPublicKey, ciphertext: KEMCiphertext) -> bytes:
        return hashlib.sha256(public.raw + ciphertext.raw).digest()

    def available(self) -> bool:
        return True

    def generate(self) -> tuple[KEMPublicKey, KEMPrivateKey]:
        private = KEMPrivateKey(self._entropy.random(KEMPrivateKey.SIZE))
        return self._public(private), private

    def encapsulate(self, public: KEMPublicKey) -> tuple[KEMCiphertext, bytes]:
        ciphertext = KEMCiphertext(self._entropy.random(KEMCiphertext.SIZE))
        return ciphertext, self._secret(public, ciphertext)

    def decapsulate(self, private: KEMPrivateKey, ciphertext: KEMCiphertext) -> bytes:
        return self._secret(self._public(private), ciphertext)


class Side:
    """One side of a conversation that commits every step."""

    def __init__(self, ratchet: Ratchet, provider: KEMProvider, seed: str) -> None:
        self.ratchet, self.provider, self.entropy = ratchet, provider, SeededEntropy(seed)

    def send(self, text: bytes) -> bytes:
        self.ratchet, message = encrypt(self.ratchet, text, 100)
        return message

    def receive(self, message: bytes) -> bytes:
        result = decrypt(self.ratchet, SkippedKeys(), message, self.entropy, kem=self.provider)
        # Each step also goes through the store, which does not get the secret that is in the chains by now.
        stored, kem = result.ratchet.to_bytes(), result.ratchet.kem
        self.ratchet = Ratchet.from_bytes(stored)
        if kem is not None and kem.answer is not None:
            assert kem.answer.secret not in stored
            kem = replace(kem, answer=replace(kem.answer, secret=b""))
        assert self.ratchet == replace(result.ratchet, kem=kem)
        return result.plaintext

    @property
    def secrets(self) -> tuple[bool, bool]:
        """Whether a KEM secret went into the sending and the receiving chain."""
        return self.ratchet.kem_sending, self.ratchet.kem_receiving


def sides(*, joiner: bool, initiator: bool) -> tuple[Side, Side]:
    """Two sides whose agreement had no KEM; each takes part or does not."""
    first, second = two_ratchets()
    return (
        Side(first.with_kem(joiner), ToyKEM("joiner"), "joiner"),
        Side(second.with_kem(initiator), ToyKEM("initiator"), "initiator"),
    )


def talk(joiner: Side, initiator: Side) -> None:
    """One message in each direction."""
    assert initiator.receive(joiner.send(b"question")) == b"question"
    assert joiner.receive(initiator.send(b"answer")) == b"answer"


def test_both_sides_on_reach_secrets_in_both_directions() -> None:
    joiner, initiator = sides(joiner=True, initiator=True)
    talk(joiner, initiator)  # the initiator proposes, the joiner accepts
    assert joiner.secrets == (True, False)
    talk(joiner, initiator)
    assert initiator.secrets == (True, True)
    assert joiner.secrets == (True, True)
    talk(joiner, initiator)
    assert (joiner.secrets, initiator.secrets) == ((True, True), (True, True))


@pytest.mark.parametrize("joiner_on", [True, False])
def test_one_side_off_never_reaches_a_secret(joiner_on: bool) -> None:
    joiner, initiator = sides(joiner=joiner_on, initiator=not joiner_on)
    on, off = (joiner, initiator) if joiner_on else (initiator, joiner)
    offers = []
    for _ in range(4):
        talk(joiner, initiator)
        assert joiner.secrets == initiator.secrets == (False, False)
        assert off.ratchet.kem is None
        offers.append(on.ratchet.kem is not None)
    assert offers == [True, False, True, False]  # a key not taken up is dropped, then a new one is offered


def test_off_is_the_default() -> None:
    joiner, initiator = sides(joiner=False, initiator=False)
    talk(joiner, initiator)
    assert joiner.ratchet.kem is None
    assert not two_ratchets()[0].kem_enabled
    assert len(joiner.send(b"")) == 2 + 124 + 16 + 100


def test_turning_it_off_ends_it_and_keeps_the_size_of_messages() -> None:
    joiner, initiator = sides(joiner=True, initiator=True)
    for _ in range(3):
        talk(joiner, initiator)
    size = len(joiner.send(b""))
    joiner.ratchet = joiner.ratchet.with_kem(False)
    for _ in range(3):
        talk(joiner, initiator)
    assert joiner.ratchet.kem is None
    assert joiner.secrets == initiator.secrets == (False, False)
    assert len(joiner.send(b"")) == size


def test_agreement_accepts_the_key_of_the_link() -> None:
    provider = ToyKEM("link")
    link = KEMState.propose(provider)
    answered = KEMState.accept(link.public, ToyKEM("confirmation"))
    assert isinstance(answered.params, KEMAccepted)
    assert link.params == KEMProposed(link.public)
    opened = link.accepted(answered.params, provider)
    assert answered.answer is not None
    assert opened.answer is not None
    assert opened.answer.secret == answered.answer.secret
    assert opened.answer.peer_key == answered.public
    joiner_secret = agree_joiner(JOINER, INITIATOR.key1.public(), INITIATOR.key2.public(), answered.answer.secret)
    initiator_secret = agree_initiator(INITIATOR, JOINER.key1.public(), JOINER.key2.public(), opened.answer.secret)
    first = Ratchet.joiner(joiner_secret, INITIATOR.key2.public(), FIRST_KEY, 3, kem_enabled=True, kem=answered)
    second = Ratchet.initiator(initiator_secret, INITIATOR.key2, 3, kem_enabled=True, kem=opened)
    joiner, initiator = Side(first, ToyKEM("a"), "a"), Side(second, ToyKEM("b"), "b")
    assert joiner.secrets == (True, False)
    talk(joiner, initiator)
    assert (joiner.secrets, initiator.secrets) == ((True, True), (True, True))


def test_version_2_does_not_take_part() -> None:
    first, second = two_ratchets(2, 2)
    joiner, initiator = Side(first.with_kem(True), ToyKEM("a"), "a"), Side(second.with_kem(True), ToyKEM("b"), "b")
    for _ in range(2):
        talk(joiner, initiator)
    assert joiner.ratchet.kem is None
    assert initiator.ratchet.kem is None
    assert len(joiner.send(b"")) == 1 + 123 + 16 + 100


def state(seed: str) -> KEMState:
    return KEMState.propose(ToyKEM(seed))


def test_table_without_a_key_of_the_peer() -> None:
    offered = kem_step(None, None, True, ToyKEM("x"))
    assert (offered.receiving_secret, offered.sending_secret) == (b"", b"")
    assert offered.state is not None
    assert isinstance(offered.state.params, KEMProposed)
    assert kem_step(state("a"), None, True, ToyKEM("x")).state is None
    assert kem_step(state("a"), None, False, ToyKEM("x")).state is None
    assert kem_step(None, None, False, ToyKEM("x")).state is None


def test_table_with_a_proposed_key() -> None:
    peer = state("peer")
    answered = kem_step(None, peer.params, True, ToyKEM("x"))
    assert answered.receiving_secret == b""
    assert answered.state is not None
    assert isinstance(answered.state.params, KEMAccepted)
    assert ToyKEM("any").decapsulate(peer.private, answered.state.params.ciphertext) == answered.sending_secret
    refused = kem_step(state("a"), peer.params, False, ToyKEM("x"))
    assert refused == (b"", b"", None)


def test_table_with_an_answer() -> None:
    own = state("own")
    peer = KEMState.accept(own.public, ToyKEM("peer"))
    assert peer.answer is not None
    on = kem_step(own, peer.params, True, ToyKEM("x"))
    assert on.receiving_secret == peer.answer.secret
    assert on.state is not None
    assert on.state.answer is not None
    assert on.state.answer.peer_key == peer.public
    assert on.sending_secret == on.state.answer.secret
    off = kem_step(own, peer.params, False, ToyKEM("x"))
    assert off == (peer.answer.secret, b"", None)
    for enabled in (True, False):
        with pytest.raises(RatchetKEMError, match="none was proposed"):
            kem_step(None, peer.params, enabled, ToyKEM("x"))


def test_without_an_implementation_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = two_ratchets()
    _, message = encrypt(first, b"hello", 100)
    monkeypatch.setitem(sys.modules, "pqcrypto.kem.sntrup_761", None)
    enabled = second.with_kem(True)
    stored = enabled.to_bytes()
    with pytest.raises(KEMUnavailable):
        decrypt(enabled, SkippedKeys(), message, SeededEntropy("x"))
    assert enabled.to_bytes() == stored
    assert decrypt(second, SkippedKeys(), message, SeededEntropy("x")).plaintext == b"hello"


@pytest.mark.skipif(not kem.available(), reason="pqcrypto is not installed")
def test_conversation_with_the_real_kem() -> None:
    first, second = two_ratchets()
    joiner, initiator = Side(first.with_kem(True), kem, "joiner"), Side(second.with_kem(True), kem, "initiator")
    for _ in range(3):
        talk(joiner, initiator)
    assert (joiner.secrets, initiator.secrets) == ((True, True), (True, True))


def test_kem_needs_large_headers() -> None:
    first, _ = two_ratchets()
    values = {name: getattr(first, name) for name in fields(Ratchet)}
    with pytest.raises(RatchetStateError, match="large headers"):
        Ratchet(**{**values, "kem_enabled": True})


def test_nothing_secret_is_shown() -> None:
    own = KEMState.accept(state("peer").public, ToyKEM("own"))
    assert own.answer is not None
    shown = repr(own) + repr(kem_step(own, None, True, ToyKEM("x")))
    for hidden in (own.private.raw, own.answer.secret):
        assert repr(hidden)[2:-1] not in shown
        assert hidden.hex() not in shown
