"""The double ratchet: numbers of agent-wire 4.10, rules of 4.5 to 4.7 and 4.9, and that a failure changes nothing."""

from __future__ import annotations

import hashlib
import itertools

import pytest

from smpchat.crypto.agreement import X3DHKeys, agree_initiator
from smpchat.crypto.errors import CryptoError, PaddingError
from smpchat.crypto.kem import KEMAccepted, KEMCiphertext, KEMProposed, KEMPublicKey
from smpchat.crypto.keys import X448PrivateKey, X448PublicKey
from smpchat.crypto.padding import pad
from smpchat.crypto.ratchet import (
    MAX_SKIP,
    MAX_STORED_SKIPPED,
    Ratchet,
    RatchetBodyError,
    RatchetDuplicate,
    RatchetEarlier,
    RatchetError,
    RatchetFinished,
    RatchetHeaderError,
    RatchetKEMError,
    RatchetRolledBack,
    RatchetStateError,
    RatchetTooManySkipped,
    SkippedKeys,
    decrypt,
    encrypt,
    encrypt_body,
    encrypt_header,
)
from smpchat.crypto.ratchet_wire import Header, encode_header
from smpchat.encoding.record import fields
from tests.unit.crypto.ratchets import INITIATOR, JOINER, Party, forged, two_parties, two_ratchets


class FixedEntropy:
    """Gives one ratchet key, and fails the test if a second is drawn."""

    def __init__(self, raw: bytes = b"\x66" * 56) -> None:
        self._draws = [raw]

    def random(self, size: int) -> bytes:
        raw = self._draws.pop()
        assert size == len(raw)
        return raw


class NoEntropy:
    """Fails the test if anything is drawn."""

    def random(self, size: int) -> bytes:
        raise AssertionError(f"{size} random bytes drawn")


def test_numbers_of_the_wire_description() -> None:
    joiner, initiator = two_ratchets()
    assert joiner.sending is not None
    assert joiner.root_key.hex() == "b14fc31d7b2beaa2afbb1ba9cede6c54b90b519ccf8adb1b8215c54a694edce2"
    assert joiner.sending.chain_key.hex() == "6ea6e50634ae24025b91d7f8f4557c497a9c03880b73e7f9b9f1c75a5544f6c0"
    assert joiner.next_sending_header_key.hex() == "d6cda08640266e70063e5d66afc2623dc38c7b3bed3ee344459f512fc23564bb"
    after, key = encrypt_header(joiner)
    assert after.sending is not None
    assert after.sending.chain_key.hex() == "7f5c8f0d41e69c196eba70d5c68eb36f3aa35b31a634123b68bd598ed22fe2fa"
    assert key.key.hex() == "65b3fa337dae720e3c7714776bad74cc6256066d0a12c15d6629e786d3987314"
    assert key.iv.hex() == "8c74561ed160af6eb59fe65276a23853"
    assert key.header[2:18].hex() == "3e403242f6c066b100db7306ae6cd634"
    message = encrypt_body(key, b"hello", 64)
    assert len(message) == 206
    assert hashlib.sha256(message).hexdigest() == "d4a944eb0f78c936953fa836e14db11d89e82e4f153f673bc55f416406a4d703"
    result = decrypt(initiator, SkippedKeys(), message, FixedEntropy())
    assert result.plaintext == b"hello"
    assert result.ratchet.sending is not None
    assert result.ratchet.root_key.hex() == "40b8b1e0847d3cf8c25b7688af143b826257ce0d5a0055904adc40a637cc0be5"
    assert result.ratchet.sending.chain_key.hex() == "01a7f7fafeb16f214dff338b00707165a08d78c19bde3652277934fd453e9763"
    assert result.ratchet.next_sending_header_key.hex() == (
        "164ad6055423bca36bff627e99de2a4eaeeb8a7be4c2d30849ff52cf7862b9d3"
    )


def test_encrypt_is_both_halves() -> None:
    joiner, _ = two_ratchets()
    after, key = encrypt_header(joiner)
    assert encrypt(joiner, b"hello", 64) == (after, encrypt_body(key, b"hello", 64))


@pytest.mark.parametrize(("version", "header_size"), [(2, 1 + 123), (3, 2 + 124)])
def test_sizes(version: int, header_size: int) -> None:
    joiner, _ = two_parties(version, version)
    for padded_length in (2, 100, 15840):
        assert len(joiner.send(b"", padded_length)) == header_size + 16 + padded_length


def test_large_headers_are_read_and_written() -> None:
    joiner, initiator = two_parties()
    joiner.ratchet = replace_ratchet(joiner.ratchet, large_headers=True)
    message = joiner.send(b"hello", 13618)
    assert len(message) == 2 + 2346 + 16 + 13618
    assert initiator.receive(message) == b"hello"


def replace_ratchet(ratchet: Ratchet, **changes: object) -> Ratchet:
    values = {name: getattr(ratchet, name) for name in fields(Ratchet)}
    return Ratchet(**{**values, **changes})


def test_conversation_with_turns() -> None:
    joiner, initiator = two_parties()
    for turn in range(4):
        for text in (b"one", b"two", b"three"):
            assert initiator.receive(joiner.send(text + b"%d" % turn)) == text + b"%d" % turn
        assert joiner.receive(initiator.send(b"answer")) == b"answer"
    assert not joiner.skipped
    assert not initiator.skipped


def test_initiator_cannot_send_first() -> None:
    _, initiator = two_ratchets()
    with pytest.raises(RatchetStateError, match="first message"):
        encrypt(initiator, b"hello", 64)


@pytest.mark.parametrize("version", [0, 1, 4])
def test_unknown_versions_are_refused(version: int) -> None:
    with pytest.raises(RatchetStateError, match=f"version {version}"):
        two_ratchets(version)


def test_plaintext_too_long_changes_nothing() -> None:
    joiner, initiator = two_parties()
    before = joiner.ratchet
    with pytest.raises(PaddingError):
        joiner.send(bytes(99), 100)
    assert joiner.ratchet is before
    assert initiator.receive(joiner.send(bytes(98), 100)) == bytes(98)


def test_messages_in_any_order() -> None:
    for order in itertools.permutations(range(4)):
        joiner, initiator = two_parties()
        messages = [joiner.send(b"%d" % number) for number in range(4)]
        for number in order:
            assert initiator.receive(messages[number]) == b"%d" % number
        assert not initiator.skipped


def test_message_set_aside_leaves_the_ratchet_as_it_is() -> None:
    joiner, initiator = two_parties()
    first, second = joiner.send(b"first"), joiner.send(b"second")
    initiator.receive(second)
    before = initiator.ratchet
    result = decrypt(before, initiator.skipped, first, NoEntropy())
    assert result.ratchet is before
    assert (len(result.diff.added), len(result.diff.removed)) == (0, 1)
    assert set(result.diff.removed) == set(initiator.skipped)


def test_messages_of_an_earlier_chain_arrive_late() -> None:
    joiner, initiator = two_parties()
    initiator.receive(joiner.send(b"0"))
    late = [joiner.send(b"late 1"), joiner.send(b"late 2")]
    joiner.receive(initiator.send(b"turn"))
    newer = [joiner.send(b"new 0"), joiner.send(b"new 1")]
    assert initiator.receive(newer[1]) == b"new 1"
    assert len(initiator.skipped) == 3  # two of the chain before, one of the new chain
    assert [initiator.receive(message) for message in (late[1], newer[0], late[0])] == [b"late 2", b"new 0", b"late 1"]
    assert not initiator.skipped


def unchanged(party: Party, message: bytes, error: type[RatchetError]) -> RatchetError:
    """The error that ``message`` raises; checks that a step afterwards gives what it gave before."""
    before, stored, skipped = party.ratchet, party.ratchet.to_bytes(), dict(party.skipped)
    with pytest.raises(RatchetError) as caught:
        party.receive(message)
    assert type(caught.value) is error
    assert party.ratchet is before
    assert party.ratchet.to_bytes() == stored
    assert dict(party.skipped) == skipped
    return caught.value


def test_last_message_again_is_a_duplicate() -> None:
    joiner, initiator = two_parties()
    message = joiner.send(b"hello")
    initiator.receive(message)
    unchanged(initiator, message, RatchetDuplicate)


def test_older_message_again_is_earlier() -> None:
    joiner, initiator = two_parties()
    messages = [joiner.send(b"%d" % number) for number in range(4)]
    for message in messages:
        initiator.receive(message)
    error = unchanged(initiator, messages[1], RatchetEarlier)
    assert isinstance(error, RatchetEarlier)
    assert error.count == 2


def test_message_of_a_chain_before_the_last_again_has_no_header_key() -> None:
    joiner, initiator = two_parties()
    old = joiner.send(b"old")
    initiator.receive(old)
    for _ in range(2):
        joiner.receive(initiator.send(b"turn"))
        initiator.receive(joiner.send(b"turn"))
    unchanged(initiator, old, RatchetHeaderError)


def test_message_used_from_the_keys_set_aside_again_belongs_to_a_finished_chain() -> None:
    joiner, initiator = two_parties()
    messages = [joiner.send(b"%d" % number) for number in range(3)]
    initiator.receive(messages[2])
    joiner.receive(initiator.send(b"turn"))
    initiator.receive(joiner.send(b"turn"))
    initiator.receive(messages[0])
    error = unchanged(initiator, messages[0], RatchetFinished)  # messages[1] still keeps this header key alive
    assert "finished chain" in str(error)


def test_most_messages_that_may_be_missing() -> None:
    joiner, initiator = two_parties()
    messages = [joiner.send(b"%d" % number) for number in range(MAX_SKIP + 2)]
    error = unchanged(initiator, messages[-1], RatchetTooManySkipped)
    assert isinstance(error, RatchetTooManySkipped)
    assert error.count == MAX_SKIP + 2
    assert initiator.receive(messages[-2]) == b"%d" % MAX_SKIP
    assert len(initiator.skipped) == MAX_SKIP
    assert initiator.receive(messages[-1]) == b"%d" % (MAX_SKIP + 1)
    assert initiator.receive(messages[0]) == b"0"


def test_too_many_missing_in_the_chain_before() -> None:
    joiner, initiator = two_parties()
    initiator.receive(joiner.send(b"first"))
    for _ in range(MAX_SKIP):
        joiner.send(b"lost")
    joiner.receive(initiator.send(b"turn"))
    fits = joiner.send(b"after the gap")
    assert initiator.receive(fits) == b"after the gap"
    assert len(initiator.skipped) == MAX_SKIP
    for _ in range(MAX_SKIP + 1):
        joiner.send(b"lost")
    joiner.receive(initiator.send(b"turn"))
    unchanged(initiator, joiner.send(b"after too large a gap"), RatchetTooManySkipped)


def test_keys_set_aside_are_bounded_and_the_oldest_go_first() -> None:
    joiner, initiator = two_parties()
    rounds = MAX_STORED_SKIPPED // MAX_SKIP
    first_lost = joiner.send(b"lost first")
    for number in range(rounds + 1):
        last_lost = b""
        for _ in range(MAX_SKIP - 1):
            last_lost = joiner.send(b"lost")
        initiator.receive(joiner.send(b"%d" % number))
        assert len(initiator.skipped) <= MAX_STORED_SKIPPED
        joiner.receive(initiator.send(b"turn"))
    assert len(initiator.skipped) == MAX_STORED_SKIPPED
    assert initiator.receive(last_lost) == b"lost"
    unchanged(initiator, first_lost, RatchetFinished)


def test_changed_bytes_are_refused_wherever_they_are() -> None:
    joiner, initiator = two_parties()
    message = joiner.send(b"hello", 40)
    for index in range(len(message)):
        changed = message[:index] + bytes([message[index] ^ 1]) + message[index + 1 :]
        error = RatchetHeaderError if 4 <= index < 2 + 124 else None
        with pytest.raises(RatchetError) as caught:
            initiator.receive(changed)
        assert error is None or type(caught.value) is error
    assert initiator.receive(message) == b"hello"


def test_changed_body_leaves_the_true_message_readable() -> None:
    joiner, initiator = two_parties()
    initiator.receive(joiner.send(b"first"))
    joiner.receive(initiator.send(b"turn"))
    message = joiner.send(b"hello")
    unchanged(initiator, message[:-1] + bytes([message[-1] ^ 1]), RatchetBodyError)
    unchanged(initiator, message[:-40], RatchetBodyError)
    unchanged(initiator, message[: 2 + 124 + 16], RatchetBodyError)
    assert initiator.receive(message) == b"hello"


def test_changed_body_of_a_message_set_aside_keeps_its_key() -> None:
    joiner, initiator = two_parties()
    first, second = joiner.send(b"first"), joiner.send(b"second")
    initiator.receive(second)
    unchanged(initiator, first[:-1] + bytes([first[-1] ^ 1]), RatchetBodyError)
    assert initiator.receive(first) == b"first"


@pytest.mark.parametrize(
    "message", [b"", b"\0", b"\0\x7c", b"\x7b", bytes(200), b"\xff" * 300, b"\x1f\xff" + bytes(100)]
)
def test_what_is_not_a_ratchet_message_is_refused(message: bytes) -> None:
    _, initiator = two_parties()
    unchanged(initiator, message, RatchetHeaderError)


def test_message_of_another_connection_is_refused() -> None:
    joiner, _ = two_parties()
    stranger = X448PrivateKey(b"\x77" * 56)
    keys = X3DHKeys(stranger, INITIATOR.key2)
    other = Ratchet.initiator(agree_initiator(keys, JOINER.key1.public(), JOINER.key2.public()), INITIATOR.key2, 3)
    unchanged(Party(other, NoEntropy()), joiner.send(b"hello"), RatchetHeaderError)


@pytest.mark.parametrize(
    "header",
    [
        b"\0\0" + bytes(86),
        b"\xff\xff" + bytes(86),
        b"\0\x0a" + bytes(86),
        b"\0\x50\0\x03\x44" + bytes(83),
        b"",
    ],
)
def test_malformed_headers_are_refused(header: bytes) -> None:
    joiner, initiator = two_parties()
    unchanged(initiator, forged(joiner.ratchet, header=header), RatchetHeaderError)


def test_bytes_after_the_header_are_ignored() -> None:
    joiner, initiator = two_parties()
    header = encode_header(Header(3, joiner.ratchet.own_public, 0, 0), 3) + b"later"
    assert initiator.receive(forged(joiner.ratchet, header=pad(header, 88))) == b"forged"


def test_malformed_padding_inside_the_body_is_a_body_error() -> None:
    joiner, initiator = two_parties()
    for body in (b"", b"\0", b"\xff\xffshort"):
        unchanged(initiator, forged(joiner.ratchet, body=body), RatchetBodyError)


def test_ratchet_key_of_low_order_is_refused() -> None:
    joiner, initiator = two_parties()
    error = unchanged(initiator, forged(joiner.ratchet, ratchet_key=X448PublicKey(bytes(56))), RatchetHeaderError)
    assert "low order" in str(error)


@pytest.mark.parametrize("index", [MAX_SKIP + 1, 1 << 31, (1 << 32) - 1])
def test_huge_message_numbers_are_refused(index: int) -> None:
    joiner, initiator = two_parties()
    unchanged(initiator, forged(joiner.ratchet, index=index), RatchetTooManySkipped)


def test_huge_previous_chain_is_refused() -> None:
    joiner, initiator = two_parties()
    initiator.receive(joiner.send(b"first"))
    joiner.receive(initiator.send(b"turn"))
    unchanged(initiator, forged(joiner.ratchet, previous_sent=(1 << 32) - 1), RatchetTooManySkipped)


@pytest.mark.parametrize("fewer", [1, 2, 4])
def test_a_new_chain_after_an_old_copy_is_told_from_late_messages(fewer: int) -> None:
    joiner, initiator = two_parties()
    for _ in range(4):
        initiator.receive(joiner.send(b"first"))
    joiner.receive(initiator.send(b"turn"))
    error = unchanged(initiator, forged(joiner.ratchet, previous_sent=4 - fewer), RatchetRolledBack)
    assert isinstance(error, RatchetRolledBack) and error.count == fewer


def test_version_rises_with_what_the_peer_offers() -> None:
    joiner, initiator = two_parties(version=2, max_version=3)
    first = joiner.send(b"first")
    assert first[0] == 123
    initiator.receive(first)
    assert initiator.ratchet.version == 3
    answer = initiator.send(b"answer")
    assert answer[:2] == b"\0\x7c"
    joiner.receive(answer)
    assert joiner.ratchet.version == 3
    assert initiator.receive(joiner.send(b"again")) == b"again"


def test_version_does_not_rise_above_our_own() -> None:
    joiner, initiator = two_parties(version=2, max_version=2)
    joiner.ratchet = replace_ratchet(joiner.ratchet, max_version=3)
    initiator.receive(joiner.send(b"first"))
    assert initiator.ratchet.version == 2
    joiner.receive(initiator.send(b"answer"))
    assert joiner.ratchet.version == 2


def test_version_never_falls() -> None:
    joiner, initiator = two_parties()
    initiator.receive(forged(joiner.ratchet, max_version=2))
    assert initiator.ratchet.version == 3


@pytest.mark.parametrize("version", [0, 1, 4, 65535])
def test_message_of_an_unknown_version_is_refused(version: int) -> None:
    joiner, initiator = two_parties()
    message = joiner.send(b"hello")
    changed = message[:2] + version.to_bytes(2, "big") + message[4:]
    assert "version" in str(unchanged(initiator, changed, RatchetHeaderError))


PROPOSED = KEMProposed(KEMPublicKey(b"p" * 1158))
ACCEPTED = KEMAccepted(KEMCiphertext(b"c" * 1039), KEMPublicKey(b"p" * 1158))


def test_proposed_kem_is_ignored() -> None:
    joiner, initiator = two_parties()
    assert initiator.receive(forged(joiner.ratchet, kem=PROPOSED)) == b"forged"
    assert len(initiator.send(b"answer")) == 2 + 124 + 16 + 100


def test_answer_to_a_kem_key_never_proposed_is_refused() -> None:
    joiner, initiator = two_parties()
    unchanged(initiator, forged(joiner.ratchet, kem=ACCEPTED), RatchetKEMError)


def test_kem_field_counts_only_in_the_first_message_of_a_chain() -> None:
    joiner, initiator = two_parties()
    initiator.receive(joiner.send(b"first"))
    assert initiator.receive(forged(joiner.ratchet, kem=ACCEPTED)) == b"forged"


def test_all_errors_are_of_the_layer() -> None:
    assert issubclass(RatchetError, CryptoError)
    assert not issubclass(RatchetDuplicate, RatchetHeaderError)


def test_results_do_not_show_secrets() -> None:
    joiner, initiator = two_parties()
    joiner.send(b"lost")
    after, key = encrypt_header(joiner.ratchet)
    result = initiator.open(encrypt_body(key, b"very secret words", 64))
    skipped = result.diff.apply(SkippedKeys())
    shown = repr((after, key, result, skipped, dict(skipped), joiner.ratchet))
    assert "secret words" not in shown
    assert after.sending is not None
    (number, stored), *_ = skipped.items()
    for hidden in (after.root_key, after.sending.chain_key, after.sending.header_key, after.next_sending_header_key):
        assert repr(hidden)[2:-1] not in shown
    for hidden in (key.key, key.iv, after.own_key.raw, number.header_key, stored.message_key, stored.iv):
        assert repr(hidden)[2:-1] not in shown
        assert hidden.hex() not in shown
