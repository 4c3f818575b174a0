"""What a relay's answer to each item changes: verdicts, final errors, repeats."""

from __future__ import annotations

from pathlib import Path

import pytest

from smpchat.agent.errors import MissingRecord
from smpchat.agent.machines import handshake_states as states
from smpchat.agent.machines.handshake_states import Failure
from smpchat.agent.store import connections, moves, outgoing
from smpchat.agent.store.outgoing import Kind, Lane, Priority
from smpchat.agent.transactions import connection, outbox
from smpchat.agent.transactions.outbox import Verdict
from smpchat.agent.wire.envelope import UserMessage
from smpchat.crypto.keys import X25519PrivateKey
from smpchat.encoding.record import replace
from smpchat.protocol.commands import Del, Ids, Key, Send, SKey
from smpchat.protocol.errors import ErrorCode, IdInUse
from tests.unit.agent.agents import INSTANT, NOW, STANDARD, Agent, connected, exchange

BLOCKED = ErrorCode(("BLOCKED",), b"reason=spam")
"""What AUTH says before SMP 12: the relay's operator has blocked the queue."""


def texts(agent: Agent, *references: int) -> None:
    for reference in references:
        agent.do(
            lambda tx, context, n=reference: connection.submit(  # type: ignore[misc]
                tx, context, agent.id, UserMessage(b"text"), reference=n
            )
        )


def failed(agent: Agent) -> list[object]:
    return [what[0] for what in agent.application.all("failed") if isinstance(what, tuple)]


class TestAnswers:
    def test_accepted_messages_are_told_and_gone(self, tmp_path: Path) -> None:
        alice, _ = connected(tmp_path)
        texts(alice, 1, 2)
        alice.carry_out()
        assert alice.application.all("sent") == [1, 2]
        assert outgoing.is_empty(alice.tx, alice.id)

    def test_an_answer_that_comes_twice_counts_once(self, tmp_path: Path) -> None:
        alice, _ = connected(tmp_path)
        texts(alice, 1)
        [item] = alice.next()
        request = outbox.request(alice.tx, item)
        for _ in range(2):
            alice.do(lambda tx, context: outbox.accepted(tx, context, item, request.entity_id))
        assert alice.application.all("sent") == [1]

    @pytest.mark.parametrize("code", [ErrorCode.AUTH, ErrorCode.LARGE_MSG, BLOCKED])
    def test_final_errors_fail_the_message_and_let_the_next_go(self, tmp_path: Path, code: ErrorCode) -> None:
        alice, _ = connected(tmp_path)
        texts(alice, 1, 2)
        assert alice.refuse(code) is Verdict.DONE
        assert failed(alice) == [1]
        assert [item.reference for item in alice.next()] == [2]

    @pytest.mark.parametrize(
        ("code", "verdict"), [(ErrorCode.QUOTA, Verdict.FULL), (ErrorCode.INTERNAL, Verdict.RETRY)]
    )
    def test_other_errors_keep_it_with_the_same_body(self, tmp_path: Path, code: ErrorCode, verdict: Verdict) -> None:
        alice, _ = connected(tmp_path)
        texts(alice, 1)
        before = alice.next()
        assert alice.refuse(code) is verdict
        assert alice.next() == before and alice.application.all("failed") == []

    def test_a_full_queue_does_not_fail_the_confirmation(self, tmp_path: Path) -> None:
        alice, bob = Agent("alice", tmp_path), Agent("bob", tmp_path)
        bob.join(alice.invite())
        bob.carry_out(stop_at=frozenset({Kind.CONFIRMATION}))
        assert bob.refuse(ErrorCode.QUOTA) is Verdict.FULL
        assert isinstance(bob.connection.state, states.Confirming)

    @pytest.mark.parametrize("code", [ErrorCode.AUTH, BLOCKED])
    def test_auth_on_a_signed_first_send_is_final(self, tmp_path: Path, code: ErrorCode) -> None:
        alice, bob = Agent("alice", tmp_path), Agent("bob", tmp_path)
        bob.join(alice.invite())
        bob.carry_out(stop_at=frozenset({Kind.CONFIRMATION}))
        assert bob.refuse(code) is Verdict.DONE
        assert bob.connection.state == states.Failed(states.Role.JOINER, bob.connection.state.terms, Failure.LINK_USED)

    def test_auth_on_an_unsigned_one_is_asked_again_signed(self, tmp_path: Path) -> None:
        alice, bob = Agent("alice", tmp_path), Agent("bob", tmp_path)
        bob.join(alice.invite(STANDARD))
        bob.carry_out(stop_at=frozenset({Kind.CONFIRMATION}))
        [item] = bob.next()
        body = outbox.request(bob.tx, item).command
        assert not item.signed and bob.refuse() is Verdict.DONE
        [again] = bob.next()
        assert again.signed and outbox.request(bob.tx, again).command == body, "the same bytes"
        assert bob.refuse() is Verdict.DONE
        assert isinstance(bob.connection.state, states.Failed)

    def test_auth_on_the_hello_message_is_final(self, tmp_path: Path) -> None:
        """Without it the connection would be ready for ever, and its texts pending."""
        alice, bob = Agent("alice", tmp_path), Agent("bob", tmp_path, messaging=False)
        bob.join(alice.invite(STANDARD))
        texts(bob, 5)
        [confirmation] = bob.carry_out()
        alice.receive(confirmation)
        [hello] = alice.carry_out()
        bob.receive(hello)
        assert bob.carry_out(stop_at=frozenset({Kind.READY})) == []
        assert [item.kind for item in bob.next()] == [Kind.READY]
        assert bob.refuse() is Verdict.DONE
        state = bob.connection.state
        assert isinstance(state, states.Failed) and state.reason is Failure.LINK_USED
        assert failed(bob) == [5]

    def test_a_hello_from_the_peer_proves_that_it_has_the_confirmation(self, tmp_path: Path) -> None:
        alice, bob = Agent("alice", tmp_path), Agent("bob", tmp_path)
        bob.join(alice.invite())
        texts(bob, 1)
        bob.carry_out(stop_at=frozenset({Kind.CONFIRMATION}))
        [item] = bob.next()
        command = outbox.request(bob.tx, item).command
        assert isinstance(command, Send)
        alice.receive(command.body)  # the relay has it, but its answer was lost
        [hello] = alice.carry_out()
        bob.receive(hello)
        assert isinstance(bob.connection.state, states.Connected)
        assert [item.kind for item in bob.next()] == [Kind.MESSAGE]
        exchange(bob, alice)
        assert bob.application.all("delivered") == [1]


class TestRequests:
    def test_each_kind_has_its_command(self, tmp_path: Path) -> None:
        alice, bob = Agent("alice", tmp_path), Agent("bob", tmp_path)
        bob.join(alice.invite())
        secure = next(item for item in bob.next() if item.kind is Kind.SECURE_SEND)
        assert isinstance(outbox.request(bob.tx, secure).command, SKey)
        bob.carry_out()
        alice.do(lambda tx, context: connection.delete(tx, context, alice.id))
        [item] = alice.next()
        request = outbox.request(alice.tx, item)
        assert (request.command, request.entity_id) == (Del(), alice.queue.rcv_id)

    def test_key_names_the_key_of_the_confirmation(self, tmp_path: Path) -> None:
        alice, bob = Agent("alice", tmp_path), Agent("bob", tmp_path)
        bob.join(alice.invite(STANDARD))
        [confirmation] = bob.carry_out()
        alice.receive(confirmation)
        [item] = alice.next()
        command = outbox.request(alice.tx, item).command
        assert isinstance(command, Key) and command.sender_key.der == alice.queue.peer_key

    def test_what_is_missing_is_a_fault_of_one_connection(self, tmp_path: Path) -> None:
        alice = Agent("alice", tmp_path)
        alice.invite()
        alice.do(lambda tx, _: outgoing.enqueue(tx, alice.id, Lane.ROTATE, Kind.REACH, Priority.MESSAGE))
        alice.do(lambda tx, _: outgoing.enqueue(tx, alice.id, Lane.SEND, Kind.MESSAGE, Priority.MESSAGE))
        for item in alice.next():
            with pytest.raises(MissingRecord):
                outbox.target(alice.tx, item)


class TestTogether:
    def test_messages_go_at_once_on_a_finished_connection(self, tmp_path: Path) -> None:
        alice, _ = connected(tmp_path)
        texts(alice, 1, 2, 3)
        items = outgoing.head(alice.tx, alice.id, Lane.SEND, outbox.PIPELINE, NOW)
        assert outbox.together(alice.tx, items) == items and len(items) == 3

    def test_a_repair_goes_alone(self, tmp_path: Path) -> None:
        alice, _ = connected(tmp_path)
        texts(alice, 1)
        alice.do(lambda tx, _: outgoing.enqueue(tx, alice.id, Lane.SEND, Kind.SECURE_SEND, Priority.SECURE))
        items = outgoing.head(alice.tx, alice.id, Lane.SEND, outbox.PIPELINE, NOW)
        assert [item.kind for item in outbox.together(alice.tx, items)] == [Kind.SECURE_SEND]

    def test_a_confirmation_waits_for_its_answer_unless_the_peer_offered_a_key(self, tmp_path: Path) -> None:
        alice, bob = Agent("alice", tmp_path), Agent("bob", tmp_path)
        link = alice.invite()
        bob.join(link.split("&rk=")[0])
        texts(bob, 1)
        bob.carry_out(stop_at=frozenset({Kind.CONFIRMATION}))
        items = outgoing.head(bob.tx, bob.id, Lane.SEND, outbox.PIPELINE, NOW)
        assert len(items) == 2
        assert [item.kind for item in outbox.together(bob.tx, items)] == [Kind.CONFIRMATION]


def test_a_deleted_connection_is_forgotten_with_its_queue(tmp_path: Path) -> None:
    alice, _ = connected(tmp_path)
    texts(alice, 1)
    alice.do(lambda tx, context: connection.delete(tx, context, alice.id))
    assert failed(alice) == [1]
    [item] = alice.next()
    alice.do(lambda tx, context: outbox.accepted(tx, context, item, alice.queue.rcv_id))
    assert connections.load_all(alice.tx) == []


class TestIds:
    """A relay chooses the ids of queues; one that it gave before would take the place of another contact's."""

    @pytest.mark.parametrize("which", ["rcv_id", "snd_id", "crossed"])
    def test_an_id_of_another_queue_is_the_relays_fault_and_changes_nothing(self, tmp_path: Path, which: str) -> None:
        alice, _ = connected(tmp_path)
        other = alice.queue
        before = list(alice.tx.iterdump())
        alice.do(lambda tx, context: alice.began(connection.invite(tx, context, STANDARD)))
        begun = list(alice.tx.iterdump())
        ids = Ids(bytes(24), bytes(23) + b"1", X25519PrivateKey(bytes(32)).public())
        ids = replace(ids, **{"rcv_id": other.snd_id} if which == "crossed" else {which: getattr(other, which)})
        with pytest.raises(IdInUse):
            alice.answer_creation(ids)
        assert list(alice.tx.iterdump()) == begun != before
        assert connections.receive_queue(alice.tx, other.connection_id) == other
        alice.answer_creation(replace(ids, rcv_id=b"2" * 24, snd_id=b"3" * 24))
        assert len(connections.receive_queues(alice.tx)) == 2

    def test_an_id_of_a_queue_that_was_left_counts_too(self, tmp_path: Path) -> None:
        alice, _ = connected(tmp_path)
        left = replace(alice.queue, rcv_id=b"left" * 6, snd_id=b"snd " * 6)
        alice.do(lambda tx, _: moves.insert_queue(tx, left, left_at=NOW))
        alice.do(lambda tx, context: alice.began(connection.invite(tx, context, STANDARD)))
        with pytest.raises(IdInUse):
            alice.answer_creation(Ids(left.rcv_id, bytes(24), X25519PrivateKey(bytes(32)).public()))
        assert [other.queue for other in moves.other_queues(alice.tx, left.connection_id)] == [left]

    def test_an_id_of_another_link_counts_too(self, tmp_path: Path) -> None:
        alice = Agent("alice", tmp_path)
        alice.invite()
        [row] = alice.tx.execute("SELECT link_id FROM short_links").fetchall()
        alice.do(lambda tx, context: alice.began(connection.invite(tx, context, INSTANT)))
        ids = Ids(bytes(24), bytes(23) + b"1", X25519PrivateKey(bytes(32)).public(), link_id=row["link_id"])
        with pytest.raises(IdInUse):
            alice.answer_creation(ids)
