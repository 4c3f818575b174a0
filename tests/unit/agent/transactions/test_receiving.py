"""What may arrive when (agent-wire 3.2, 5.4): copies, strangers, versions, and messages out of turn."""

from __future__ import annotations

from pathlib import Path

import pytest

from smpchat.agent.errors import EnvelopeRefused, NumberRefused
from smpchat.agent.machines.chain import MAX_MESSAGE_ID
from smpchat.agent.machines.delivery import Integrity
from smpchat.agent.machines.handshake_states import Answer, Connected, Role, Terms
from smpchat.agent.store import connections, outgoing, ratchets
from smpchat.agent.store.outgoing import Kind
from smpchat.agent.transactions import connection, receiving, sealing
from smpchat.agent.transactions.first_messages import SECOND_PERSON
from smpchat.agent.transactions.sending import required_send_queue
from smpchat.agent.wire.envelope import (
    Confirmation,
    Hello,
    InvitationEnvelope,
    MessageEnvelope,
    QueueContinue,
    QueueKey,
    RatchetKeyEnvelope,
    Receipt,
    Receipts,
    UserMessage,
    agent_envelope,
)
from smpchat.agent.wire.queue import QueueAddress, QueueInfo
from smpchat.crypto.agreement import X3DHKeys
from smpchat.crypto.keys import Ed25519PrivateKey, X25519PrivateKey
from smpchat.encoding.record import replace
from smpchat.protocol.envelope import (
    CONFIRMATION_PADDING,
    MESSAGE_PADDING,
    ClientMessage,
    ClientMsgEnvelope,
    PHConfirmation,
    PHEmpty,
    client_msg_envelope,
    open_client_message,
    seal_client_message,
)
from smpchat.protocol.queue_mode import QueueMode
from smpchat.testing.entropy import SeededEntropy
from tests.unit.agent.agents import INSTANT, NOW, RELAY, STANDARD, Agent, connected, exchange

OTHER = SeededEntropy("somebody else")


def submit(agent: Agent, text: bytes, reference: int | None = None) -> bytes:
    """Send a text; its body as the relay gets it."""
    agent.do(lambda tx, context: connection.submit(tx, context, agent.id, UserMessage(text), reference=reference))
    [body] = agent.carry_out()
    return body


def invited(tmp_path: Path, terms: Terms = STANDARD, *, bob_messaging: bool = True) -> tuple[Agent, Agent, bytes]:
    """An inviter, a joiner, and the joiner's confirmation."""
    alice, bob = Agent("alice", tmp_path), Agent("bob", tmp_path, messaging=bob_messaging)
    bob.join(alice.invite(terms))
    [body] = bob.carry_out()
    return alice, bob, body


def reopened(agent: Agent, body: bytes) -> tuple[ClientMsgEnvelope, ClientMessage, bytes]:
    """A first message taken apart with its reader's keys; the last is the secret."""
    envelope = client_msg_envelope.decode(body)
    assert envelope.sender_key is not None
    secret = agent.queue.link_key.exchange(envelope.sender_key)
    return envelope, open_client_message(secret, envelope), secret


class TestFirstMessages:
    @pytest.mark.parametrize("terms", [INSTANT, STANDARD], ids=["instant", "standard"])
    def test_a_copy_is_forgotten(self, tmp_path: Path, terms: Terms) -> None:
        alice, _, body = invited(tmp_path, terms)
        alice.receive(body)
        before = (alice.connection, ratchets.load(alice.tx, alice.id), list(alice.application.told))
        alice.receive(body)
        assert (alice.connection, ratchets.load(alice.tx, alice.id), alice.application.told) == before

    def test_a_second_person_is_told_of(self, tmp_path: Path) -> None:
        alice, _, body = invited(tmp_path)
        alice.receive(body)
        carol = Agent("carol", tmp_path)
        assert alice.connection.link is not None
        carol.join(alice.connection.link)
        before = alice.connection
        [other] = carol.carry_out()
        alice.receive(other)
        assert alice.notices == [SECOND_PERSON]
        assert alice.connection == before

    def test_what_opens_with_nothing_is_refused(self, tmp_path: Path) -> None:
        alice, _, body = invited(tmp_path)
        alice.receive(body)
        envelope = client_msg_envelope.decode(body)
        with pytest.raises(EnvelopeRefused):
            alice.receive(client_msg_envelope.encode(replace(envelope, sealed=bytes(len(envelope.sealed)))))

    def test_a_queue_that_is_not_messaging_needs_a_key(self, tmp_path: Path) -> None:
        alice, _, body = invited(tmp_path)
        envelope, message, secret = reopened(alice, body)
        assert envelope.sender_key is not None
        without = ClientMessage(PHEmpty(), message.body)
        with pytest.raises(EnvelopeRefused, match="lacks the key"):
            alice.receive(seal_client_message(4, envelope.sender_key, secret, bytes(24), without, CONFIRMATION_PADDING))
        alice.receive(body)
        assert alice.connection.received.last_id == 1

    @pytest.mark.parametrize(
        "change",
        [
            lambda inner: replace(inner, agent_version=8),
            lambda inner: replace(inner, agent_version=1),
            lambda inner: replace(inner, e2e_params=None),
            lambda inner: replace(inner, e2e_params=replace(inner.e2e_params, version=4)),
            lambda inner: replace(inner, ratchet_message=inner.ratchet_message[:-1] + b"x"),
            lambda inner: MessageEnvelope(7, inner.ratchet_message),
            lambda inner: InvitationEnvelope(7, b"simplex:/", b"{}"),
            lambda inner: RatchetKeyEnvelope(7, inner.e2e_params, b"R"),
        ],
        ids=["agent-8", "agent-1", "no-keys", "e2e-4", "altered", "message", "invitation", "ratchet-keys"],
    )
    def test_others_are_refused_and_change_nothing(self, tmp_path: Path, change: object) -> None:
        alice, _, body = invited(tmp_path)
        envelope, message, secret = reopened(alice, body)
        assert envelope.sender_key is not None
        inner = agent_envelope.decode(message.body)
        assert isinstance(inner, Confirmation)
        changed = agent_envelope.encode(change(inner))  # type: ignore[operator]
        before = alice.connection, alice.queue
        with pytest.raises(EnvelopeRefused):
            bad = ClientMessage(message.header, changed)
            alice.receive(seal_client_message(4, envelope.sender_key, secret, bytes(24), bad, CONFIRMATION_PADDING))
        assert (alice.connection, alice.queue) == before
        alice.receive(body)
        assert alice.application.all("info") == [b'{"info":true}'], "the true one still counts"

    @pytest.mark.parametrize("version", [0, 5])
    def test_client_versions_out_of_range_are_refused(self, tmp_path: Path, version: int) -> None:
        alice, _, body = invited(tmp_path)
        with pytest.raises(EnvelopeRefused, match="SMP client version"):
            alice.receive(version.to_bytes(2, "big") + body[2:])


class TestMessages:
    def test_copies_are_dropped(self, tmp_path: Path) -> None:
        alice, bob = connected(tmp_path)
        body = submit(bob, b"once")
        for _ in range(3):
            alice.receive(body)
        assert alice.messages == [(b"once", Integrity.OK)]
        assert alice.notices == []

    def test_the_same_push_twice(self, tmp_path: Path) -> None:
        """A repeated SUB brings the message again under the same id."""
        alice, bob = connected(tmp_path)
        body = submit(bob, b"once")
        for _ in range(2):
            alice.receive(body, msg_id=bytes(24))
        assert alice.messages == [(b"once", Integrity.OK)]

    @pytest.mark.parametrize("at", [-(2**63), -1, 32_503_680_000, 2**63 - 1])
    def test_a_time_that_no_calendar_shows_becomes_the_time_of_arrival(self, tmp_path: Path, at: int) -> None:
        alice, bob = connected(tmp_path)
        alice.receive(submit(bob, b"when?"), at=at)
        alice.receive(submit(bob, b"in 2999"), at=32_503_679_999)
        assert alice.application.times == [NOW, 32_503_679_999]

    def test_late_messages_open_and_gaps_are_told(self, tmp_path: Path) -> None:
        alice, bob = connected(tmp_path)
        first, second = submit(bob, b"first"), submit(bob, b"second")
        alice.receive(second)
        alice.receive(first)
        assert alice.messages == [(b"second", Integrity.SKIPPED), (b"first", Integrity.BAD_ID)]

    def test_an_altered_message_costs_the_true_one_nothing(self, tmp_path: Path) -> None:
        alice, bob = connected(tmp_path)
        body = submit(bob, b"true")
        queue = required_send_queue(bob.tx, bob.id)
        inner = agent_envelope.decode(open_client_message(queue.e2e_secret, client_msg_envelope.decode(body)).body)
        assert isinstance(inner, MessageEnvelope)
        altered = replace(inner, ratchet_message=inner.ratchet_message[:-1] + bytes([inner.ratchet_message[-1] ^ 1]))
        alice.receive(sealing.seal_envelope(bob.entropy, queue, altered))
        assert alice.messages == []
        assert len(alice.notices) == 1 and "could not be decrypted" in alice.notices[0]
        alice.receive(body)
        assert alice.messages == [(b"true", Integrity.OK)]

    def test_the_version_rises_and_never_falls(self, tmp_path: Path) -> None:
        alice, bob = connected(tmp_path)
        alice.do(lambda tx, _: connections.save_versions(tx, alice.id, 4, 3))
        alice.receive(submit(bob, b"seven"))
        assert alice.connection.agent_version == 7
        queue = required_send_queue(bob.tx, bob.id)
        body = submit(bob, b"two")
        inner = agent_envelope.decode(open_client_message(queue.e2e_secret, client_msg_envelope.decode(body)).body)
        assert isinstance(inner, MessageEnvelope)
        alice.receive(sealing.seal_envelope(bob.entropy, queue, replace(inner, agent_version=2)))
        assert alice.connection.agent_version == 7
        body = submit(bob, b"nine")
        inner = agent_envelope.decode(open_client_message(queue.e2e_secret, client_msg_envelope.decode(body)).body)
        assert isinstance(inner, MessageEnvelope)
        alice.receive(sealing.seal_envelope(bob.entropy, queue, replace(inner, agent_version=9)))
        assert alice.connection.agent_version == 7, "the highest that we speak"

    @pytest.mark.parametrize("header", [PHConfirmation(Ed25519PrivateKey.generate(OTHER).public())])
    def test_a_key_after_the_handshake_is_refused(self, tmp_path: Path, header: PHConfirmation) -> None:
        alice, bob = connected(tmp_path)
        queue = required_send_queue(bob.tx, bob.id)
        inner = open_client_message(queue.e2e_secret, client_msg_envelope.decode(submit(bob, b"keyed"))).body
        message = ClientMessage(header, inner[:-100])  # a header with a key leaves less room
        with pytest.raises(EnvelopeRefused):
            alice.receive(seal_client_message(4, None, queue.e2e_secret, bytes(24), message, MESSAGE_PADDING))
        assert alice.messages == []

    def test_a_hello_out_of_turn_is_refused(self, tmp_path: Path) -> None:
        """A peer that sends HELLO while we still secure our queue for it breaks the rules, and nothing else."""
        alice, bob, body = invited(tmp_path, bob_messaging=False)
        alice.receive(body)
        [hello] = alice.carry_out()
        bob.receive(hello)
        alice.do(lambda tx, _: connections.save_state(tx, alice.id, connected_state(), 0))
        alice.do(lambda tx, context: connection.submit(tx, context, alice.id, Hello()))
        [early] = alice.carry_out()
        before = bob.connection
        with pytest.raises(EnvelopeRefused, match="cannot happen"):
            bob.receive(early)
        assert bob.connection == before

    def test_messages_for_queues_of_others_are_nobodys(self, tmp_path: Path) -> None:
        alice, _ = connected(tmp_path)
        with alice.database.transaction() as tx:
            assert receiving.receive(tx, alice.context, RELAY, b"unknown", bytes(24), b"") is None

    def test_answers_to_a_move_of_ours_are_ignored(self, tmp_path: Path) -> None:
        alice, bob = connected(tmp_path)
        info = QueueInfo(4, RELAY, b"id", X25519PrivateKey.generate(OTHER).public(), QueueMode.MESSAGING)
        key = QueueKey(((info, Ed25519PrivateKey.generate(OTHER).public()),))
        bob.do(lambda tx, context: connection.submit(tx, context, bob.id, key))
        exchange(alice, bob)
        assert alice.notices == [] and alice.connection.received == bob.connection.sent


def connected_state() -> Connected:
    return Connected(Role.INITIATOR, STANDARD, Answer.REPLY)


class TestReceipts:
    def test_a_receipt_names_id_and_hash(self, tmp_path: Path) -> None:
        alice, bob = connected(tmp_path)
        alice.receive(submit(bob, b"text", reference=7))
        exchange(alice, bob)
        assert ("delivered", 7) in bob.application.told

    def test_agents_below_four_get_none(self, tmp_path: Path) -> None:
        alice, bob = connected(tmp_path)
        alice.do(lambda tx, _: connections.save_versions(tx, alice.id, 3, 3))
        body = submit(bob, b"text")
        queue = required_send_queue(bob.tx, bob.id)
        inner = agent_envelope.decode(open_client_message(queue.e2e_secret, client_msg_envelope.decode(body)).body)
        assert isinstance(inner, MessageEnvelope)
        alice.receive(sealing.seal_envelope(bob.entropy, queue, replace(inner, agent_version=3)))
        assert alice.messages and alice.carry_out() == []

    def test_a_wrong_hash_is_told(self, tmp_path: Path) -> None:
        alice, bob = connected(tmp_path)
        submit(bob, b"text", reference=7)
        wrong = Receipts((Receipt(bob.connection.sent.last_id, bytes(32)),))
        alice.do(lambda tx, context: connection.submit(tx, context, alice.id, wrong))
        exchange(alice, bob)
        assert bob.application.all("failed") == [(7, "Your contact received a different message.")]

    def test_what_gets_none_is_forgotten_once_much_later_ones_have_come(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A receipt that was late is not: as far back as receipts may overtake each other."""
        monkeypatch.setattr(outgoing, "KEPT_SENT", 2)
        alice, bob = connected(tmp_path)
        first, *others, last = [submit(bob, b"text", reference=number) for number in range(5)]
        alice.receive(last)
        exchange(alice, bob)
        rows = bob.tx.execute("SELECT reference FROM sent_messages ORDER BY message_id")
        assert [row["reference"] for row in rows] == [2, 3]
        for body in (first, *others):
            alice.receive(body)
        exchange(alice, bob)
        assert bob.application.all("delivered") == [4, 2, 3]

    def test_receipts_for_what_was_no_text_are_ignored(self, tmp_path: Path) -> None:
        alice, bob = connected(tmp_path)
        for number in (1, 99):
            odd = Receipts((Receipt(number, bytes(32)),))
            alice.do(lambda tx, context, odd=odd: connection.submit(tx, context, alice.id, odd))  # type: ignore[misc]
        exchange(alice, bob)
        assert bob.application.told == []


class TestFullQueues:
    def test_the_quota_marker_asks_the_peer_to_go_on(self, tmp_path: Path) -> None:
        alice, bob = connected(tmp_path)
        alice.receive(None)
        [body] = alice.carry_out()
        received = bob.receive(body)
        assert received is not None and received.resume

    def test_another_queues_address_resumes_nothing(self, tmp_path: Path) -> None:
        alice, bob = connected(tmp_path)
        other = QueueContinue(QueueAddress(replace(RELAY, port="5223"), alice.queue.snd_id))
        alice.do(lambda tx, context: connection.submit(tx, context, alice.id, other))
        [body] = alice.carry_out()
        received = bob.receive(body)
        assert received is not None and not received.resume

    def test_an_invitation_that_nobody_answered_has_nobody_to_ask(self, tmp_path: Path) -> None:
        alice = Agent("alice", tmp_path)
        alice.invite()
        alice.receive(None)
        assert outgoing.is_empty(alice.tx, alice.id)


def test_ratchet_keys_before_the_connection_is_made_are_refused(tmp_path: Path) -> None:
    alice, bob, body = invited(tmp_path)
    alice.receive(body)
    queue = required_send_queue(bob.tx, bob.id)
    envelope = RatchetKeyEnvelope(7, X3DHKeys.generate(OTHER).params(3), b"R")
    with pytest.raises(EnvelopeRefused, match="before the connection was made"):
        alice.receive(sealing.seal_envelope(bob.entropy, queue, envelope))
    assert [item.kind for item in alice.next()] == [Kind.SECURE_RECEIVE]


class TestNumbers:
    """A peer may send any number of 8 bytes; SQLite holds them up to 2^63 - 1, and one more may follow."""

    @pytest.mark.parametrize("number", [MAX_MESSAGE_ID + 1, 2**63 - 1])
    def test_a_number_that_nobody_counts_to_is_refused_and_the_next_message_comes(
        self, tmp_path: Path, number: int
    ) -> None:
        alice, bob = connected(tmp_path)
        counted = bob.connection.sent
        alice_before = alice.connection.received
        bob.do(lambda tx, _: connections.save_sent(tx, bob.id, replace(counted, last_id=number - 1)))
        body = submit(bob, b"text")
        with pytest.raises(NumberRefused) as refused:
            alice.receive(body)
        assert refused.value.notice is not None and "{alias}" in refused.value.notice
        assert alice.connection.received == alice_before and alice.messages == []
        bob.do(lambda tx, _: connections.save_sent(tx, bob.id, counted))
        for agent in (bob, alice):  # who asks, and who agrees
            agent.do(lambda tx, context, a=agent: connection.resync(tx, context, a.id))  # type: ignore[misc]
            exchange(alice, bob)
        alice.receive(submit(bob, b"the next"))
        assert len(alice.messages) == 1

    @pytest.mark.parametrize("number", [MAX_MESSAGE_ID, 1 - 2**63, 0])
    def test_every_other_number_is_told_and_new_keys_may_follow(self, tmp_path: Path, number: int) -> None:
        alice, bob = connected(tmp_path)
        counted = bob.connection.sent
        bob.do(lambda tx, _: connections.save_sent(tx, bob.id, replace(counted, last_id=number - 1)))
        alice.receive(submit(bob, b"text"))
        assert len(alice.messages) == 1
        bob.do(lambda tx, _: connections.save_sent(tx, bob.id, counted))
        for agent in (bob, alice):  # who asks, and who agrees
            agent.do(lambda tx, context, a=agent: connection.resync(tx, context, a.id))  # type: ignore[misc]
            exchange(alice, bob)
        alice.receive(submit(bob, b"the next"))
        assert len(alice.messages) == 2

    def test_a_profile_that_took_the_highest_number_once_takes_new_keys(self, tmp_path: Path) -> None:
        alice, bob = connected(tmp_path)
        alice.do(
            lambda tx, _: connections.save_received(tx, alice.id, replace(alice.connection.received, last_id=2**63 - 1))
        )
        for agent in (bob, alice):  # who asks, and who agrees
            agent.do(lambda tx, context, a=agent: connection.resync(tx, context, a.id))  # type: ignore[misc]
            exchange(alice, bob)
        alice.receive(submit(bob, b"text"))
        assert len(alice.messages) == 1

    @pytest.mark.parametrize("number", [2**63 - 1, -(2**63)])
    def test_a_receipt_may_name_any(self, tmp_path: Path, number: int) -> None:
        alice, bob = connected(tmp_path)
        submit(alice, b"text", reference=1)
        receipt = Receipts((Receipt(number, bytes(32)),))
        bob.do(lambda tx, context: connection.submit(tx, context, bob.id, receipt))
        [body] = bob.carry_out()
        alice.receive(body)
        assert alice.application.all("delivered") == []
