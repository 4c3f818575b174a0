"""Bodies of SEND: their sizes, what they cost the chain, and the same message for another queue."""

from __future__ import annotations

from pathlib import Path

import pytest

from smpchat.agent.errors import MessageTooLarge
from smpchat.agent.machines.chain import Chain
from smpchat.agent.machines.delivery import renegotiated
from smpchat.agent.store import connections, ratchets
from smpchat.agent.transactions import connection, sealing
from smpchat.agent.transactions.sending import new_send_queue, required_send_queue
from smpchat.agent.wire.envelope import (
    PLAIN_SIZES,
    PQ_SIZES,
    MessageEnvelope,
    NumberedMessage,
    RatchetKeyEnvelope,
    UserMessage,
    agent_envelope,
    agent_message,
    sizes,
)
from smpchat.agent.wire.queue import QueueInfo
from smpchat.crypto.agreement import X3DHKeys
from smpchat.crypto.errors import PaddingError
from smpchat.crypto.keys import Ed25519PrivateKey, X25519PrivateKey
from smpchat.crypto.ratchet_wire import has_large_header
from smpchat.protocol.envelope import client_msg_envelope, open_client_message
from smpchat.testing.entropy import SeededEntropy
from smpchat.testing.kem import HashKEM
from tests.unit.agent.agents import Agent, connected, exchange

KEMS = pytest.mark.parametrize("kem", [None, HashKEM()], ids=["plain", "pq"])


def test_the_sizes_are_those_of_the_reference() -> None:
    assert (PLAIN_SIZES.confirmation, PLAIN_SIZES.message, PLAIN_SIZES.user_message) == (14832, 15840, 15795)
    assert (PQ_SIZES.confirmation, PQ_SIZES.message, PQ_SIZES.user_message) == (11106, 13618, 13573)
    assert sizes(False) is PLAIN_SIZES and sizes(True) is PQ_SIZES


@KEMS
def test_the_longest_message_fits_and_one_byte_more_does_not(tmp_path: Path, kem: HashKEM | None) -> None:
    alice, bob = connected(tmp_path, kem=kem)
    limit = sizes(kem is not None).user_message
    alice.do(lambda tx, context: connection.submit(tx, context, alice.id, UserMessage(bytes(limit))))
    [body] = alice.carry_out()
    assert len(body) == 16043
    bob.receive(body)
    assert bob.messages[0][0] == bytes(limit)  # type: ignore[index]
    with pytest.raises(MessageTooLarge) as refused:
        alice.do(lambda tx, context: connection.submit(tx, context, alice.id, UserMessage(bytes(limit + 1))))
    assert refused.value.limit == limit
    message = NumberedMessage(9, bytes(32), UserMessage(bytes(limit)))
    assert len(agent_message.encode(message)) == sizes(kem is not None).message - 2


@KEMS
def test_first_messages_have_one_size(tmp_path: Path, kem: HashKEM | None) -> None:
    alice, bob = Agent("alice", tmp_path, kem), Agent("bob", tmp_path, kem)
    bob.join(alice.invite())
    [confirmation] = bob.carry_out()
    alice.receive(confirmation)
    [hello] = alice.carry_out()
    assert len(confirmation) == len(hello) == 15992


@KEMS
def test_keys_for_a_new_ratchet_take_an_id_and_show_no_other_size(tmp_path: Path, kem: HashKEM | None) -> None:
    alice, _ = connected(tmp_path, kem=kem)
    before, ratchet = alice.connection, ratchets.load(alice.tx, alice.id)
    params = X3DHKeys.generate(SeededEntropy("new")).params(3)
    queue = required_send_queue(alice.tx, alice.id)
    with alice.database.transaction() as tx:
        body = sealing.seal_ratchet_keys(tx, alice.entropy, before, queue, params)
    assert len(body) == 16043
    assert alice.connection.sent == renegotiated(before.sent) == Chain(before.sent.last_id + 1, R_HASH)
    assert ratchets.load(alice.tx, alice.id) == ratchet
    opened = open_client_message(queue.e2e_secret, client_msg_envelope.decode(body))
    assert agent_envelope.decode(opened.body) == RatchetKeyEnvelope(7, params, b"R")


R_HASH = bytes.fromhex("8c2574892063f995fdf756bce07f46c1a5193e54cd52837ed91e32008ccf41ac")
"""SHA-256 of the letter R."""


def test_sizes_follow_the_ratchet_not_the_flag(tmp_path: Path) -> None:
    """Whatever the connection's flag says, a body never outgrows its SEND."""
    alice, bob = connected(tmp_path, kem=HashKEM())
    alice.do(lambda tx, _: connections.save_pq_support(tx, alice.id, False))
    with pytest.raises(PaddingError):
        alice.do(lambda tx, context: connection.submit(tx, context, alice.id, UserMessage(bytes(15_795))))
    alice.do(lambda tx, context: connection.submit(tx, context, alice.id, UserMessage(b"small")))
    exchange(alice, bob)
    assert bob.messages[0][0] == b"small"  # type: ignore[index]


def test_the_same_ratchet_message_in_another_box(tmp_path: Path) -> None:
    alice, _ = connected(tmp_path)
    alice.do(lambda tx, context: connection.submit(tx, context, alice.id, UserMessage(b"text")))
    [body] = alice.carry_out()
    old = required_send_queue(alice.tx, alice.id)
    dh_key = X25519PrivateKey.generate(alice.entropy).public()
    auth_key = Ed25519PrivateKey.generate(alice.entropy)
    info = QueueInfo(4, old.server, b"new", dh_key, old.mode)
    new = new_send_queue(alice.id, alice.entropy, info, auth_key)
    again = sealing.seal_again(alice.entropy, body, old, new)
    assert len(again) == len(body) and again != body
    first = open_client_message(old.e2e_secret, client_msg_envelope.decode(body))
    assert open_client_message(new.e2e_secret, client_msg_envelope.decode(again)) == first
    inner = agent_envelope.decode(first.body)
    assert isinstance(inner, MessageEnvelope) and not has_large_header(inner.ratchet_message)
