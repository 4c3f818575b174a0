from __future__ import annotations

import hashlib

import pytest

from smpchat.agent.machines import delivery
from smpchat.agent.machines.chain import Chain, message_hash
from smpchat.agent.machines.delivery import Integrity
from smpchat.agent.wire.envelope import Hello, NumberedMessage, UserMessage, agent_message

CONFIRMATION = b"D..."


def numbered(message_id: int, previous: bytes, body: bytes = b"x") -> tuple[NumberedMessage, bytes]:
    message = NumberedMessage(message_id, previous, UserMessage(body))
    return message, agent_message.encode(message)


def test_hash_is_of_the_whole_message() -> None:
    assert message_hash(b"Mabc") == hashlib.sha256(b"Mabc").digest()


def test_confirmation_is_message_1_however_often_it_was_made() -> None:
    first = Chain().confirmed(CONFIRMATION)
    assert first == Chain(1, message_hash(CONFIRMATION))
    assert first.confirmed(CONFIRMATION) == first


def test_next_message_follows_the_confirmation() -> None:
    chain, plaintext = delivery.append(Chain().confirmed(CONFIRMATION), Hello())
    assert agent_message.decode(plaintext) == NumberedMessage(2, message_hash(CONFIRMATION), Hello())
    assert chain == Chain(2, message_hash(plaintext))


def test_first_message_of_all_has_no_previous_one() -> None:
    _, plaintext = delivery.append(Chain(), Hello())
    assert agent_message.decode(plaintext) == NumberedMessage(1, b"", Hello())


@pytest.mark.parametrize(
    ("message_id", "previous", "verdict"),
    [
        (6, b"hash", Integrity.OK),
        (6, b"other", Integrity.BAD_HASH),
        (6, b"", Integrity.BAD_HASH),
        (7, b"hash", Integrity.SKIPPED),
        (1 << 62, b"hash", Integrity.SKIPPED),
        (5, b"hash", Integrity.DUPLICATE),
        (4, b"hash", Integrity.BAD_ID),
        (-1, b"hash", Integrity.BAD_ID),
    ],
)
def test_verdict(message_id: int, previous: bytes, verdict: Integrity) -> None:
    message, plaintext = numbered(message_id, previous)
    after, found = delivery.receive(Chain(5, b"hash"), message, plaintext)
    assert found is verdict
    # the received message is the last one in every case, so one fault is told once
    assert after == Chain(message_id, message_hash(plaintext))


def test_forged_middle_is_noticed_by_the_next_message() -> None:
    sender = receiver = Chain().confirmed(CONFIRMATION)
    sender, _ = delivery.append(sender, UserMessage(b"true"))
    forged, forged_bytes = numbered(2, receiver.last_hash, b"forged")
    receiver, verdict = delivery.receive(receiver, forged, forged_bytes)
    assert verdict is Integrity.OK
    _, plaintext = delivery.append(sender, UserMessage(b"next"))
    message = agent_message.decode(plaintext)
    assert isinstance(message, NumberedMessage)
    assert delivery.receive(receiver, message, plaintext)[1] is Integrity.BAD_HASH


def test_keys_for_a_new_ratchet_take_a_number() -> None:
    assert delivery.renegotiated(Chain(1, b"hash")) == Chain(2, hashlib.sha256(b"R").digest())
