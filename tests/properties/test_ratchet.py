"""Two ratchets over a line that drops, reorders and repeats; and bytes from anybody into decrypt."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from smpchat.crypto.ratchet import (
    Ratchet,
    RatchetBodyError,
    RatchetDuplicate,
    RatchetEarlier,
    RatchetError,
    RatchetFinished,
    RatchetHeaderError,
    RatchetTooManySkipped,
    SkippedKeys,
)
from tests.unit.crypto.ratchets import Party, two_parties

# The version in front of a header is bound to the body only: with another one a true header reads as other numbers.
ALTERED = (
    RatchetHeaderError,
    RatchetFinished,
    RatchetBodyError,
    RatchetTooManySkipped,
    RatchetDuplicate,
    RatchetEarlier,
)
# A message of a finished chain has a header that still opens while another key of that chain is set aside.
REPEATED = (RatchetDuplicate, RatchetEarlier, RatchetHeaderError, RatchetFinished)


@dataclass
class Line:
    """What one side has sent, and which of it has arrived."""

    sender: Party
    receiver: Party
    sent: list[tuple[bytes, bytes]] = field(default_factory=list)
    waiting: list[int] = field(default_factory=list)
    arrived: list[int] = field(default_factory=list)

    def send(self, text: bytes) -> None:
        """Encrypt the text; it waits on the line."""
        self.waiting.append(len(self.sent))
        self.sent.append((text, self.sender.send(text, 40)))

    def deliver(self, position: int) -> None:
        """Let any waiting message arrive: it must open, whatever came before it."""
        number = self.waiting.pop(position % len(self.waiting))
        text, message = self.sent[number]
        assert self.receiver.receive(message) == text
        self.arrived.append(number)

    def repeat(self, position: int) -> None:
        """Let an arrived message arrive again: never accepted, and nothing changes."""
        _, message = self.sent[self.arrived[position % len(self.arrived)]]
        self.refused(message, *REPEATED)

    def alter(self, position: int, index: int, bit: int) -> None:
        """Let a waiting message arrive with one bit changed: refused, and the true one can still arrive."""
        _, message = self.sent[self.waiting[position % len(self.waiting)]]
        index %= len(message)
        self.refused(message[:index] + bytes([message[index] ^ 1 << bit]) + message[index + 1 :], *ALTERED)

    def refused(self, message: bytes, *kinds: type[RatchetError]) -> None:
        """The message must raise one of the kinds and change nothing."""
        ratchet, skipped = self.receiver.ratchet.to_bytes(), dict(self.receiver.skipped)
        with pytest.raises(RatchetError) as caught:
            self.receiver.receive(message)
        assert type(caught.value) in kinds
        assert self.receiver.ratchet.to_bytes() == ratchet
        assert dict(self.receiver.skipped) == skipped


class TwoRatchets(RuleBasedStateMachine):
    """A conversation over two unreliable lines, one for each direction."""

    lines: tuple[Line, Line]

    @initialize(versions=st.sampled_from([(2, 2), (2, 3), (3, 3)]), text=st.binary(max_size=38))
    def start(self, versions: tuple[int, int], text: bytes) -> None:
        joiner, initiator = two_parties(*versions)
        self.lines = Line(joiner, initiator), Line(initiator, joiner)
        # The initiator cannot send before something arrived.
        self.lines[0].send(text)
        self.lines[0].deliver(0)

    @rule(side=st.integers(0, 1), text=st.binary(max_size=38))
    def send(self, side: int, text: bytes) -> None:
        self.lines[side].send(text)

    @precondition(lambda self: any(line.waiting for line in self.lines))
    @rule(side=st.integers(0, 1), position=st.integers(0, 20))
    def deliver(self, side: int, position: int) -> None:
        line = self.lines[side] if self.lines[side].waiting else self.lines[1 - side]
        line.deliver(position)

    @precondition(lambda self: any(line.waiting for line in self.lines))
    @rule(side=st.integers(0, 1), position=st.integers(0, 20))
    def drop(self, side: int, position: int) -> None:
        line = self.lines[side] if self.lines[side].waiting else self.lines[1 - side]
        line.waiting.pop(position % len(line.waiting))

    @rule(side=st.integers(0, 1), position=st.integers(0, 20))
    def repeat(self, side: int, position: int) -> None:
        line = self.lines[side] if self.lines[side].arrived else self.lines[1 - side]
        line.repeat(position)

    @precondition(lambda self: any(line.waiting for line in self.lines))
    @rule(side=st.integers(0, 1), position=st.integers(0, 20), index=st.integers(0, 300), bit=st.integers(0, 7))
    def alter(self, side: int, position: int, index: int, bit: int) -> None:
        line = self.lines[side] if self.lines[side].waiting else self.lines[1 - side]
        line.alter(position, index, bit)

    @rule(side=st.integers(0, 1))
    def restart(self, side: int) -> None:
        party = self.lines[side].sender
        party.ratchet = Ratchet.from_bytes(party.ratchet.to_bytes())
        party.skipped = SkippedKeys(list(party.skipped.items()))

    @invariant()
    def keys_set_aside_are_those_of_messages_not_arrived(self) -> None:
        for line in self.lines:
            missing = len(line.sent) - len(line.arrived)
            assert len(line.receiver.skipped) <= missing


TestTwoRatchets = TwoRatchets.TestCase
TestTwoRatchets.settings = settings(
    max_examples=25, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


def busy_pair() -> Line:
    """A pair in the middle of a conversation, with keys set aside."""
    joiner, initiator = two_parties()
    line = Line(joiner, initiator)
    for text in (b"one", b"two", b"three"):
        line.send(text)
    line.deliver(2)
    joiner.receive(initiator.send(b"turn"))
    line.send(b"four")
    return line


BUSY = busy_pair()
WAITING = BUSY.sent[-1][1]


@given(st.binary(max_size=400))
@example(b"")
@example(WAITING[:126])
@example(WAITING + b"\0")
@example(WAITING[:2] + b"\0\2" + WAITING[4:])
def test_any_bytes_raise_the_documented_error_and_change_nothing(noise: bytes) -> None:
    BUSY.refused(noise, *ALTERED)


@given(st.integers(0, len(WAITING) - 1))
def test_any_cut_message_is_refused(end: int) -> None:
    BUSY.refused(WAITING[:end], RatchetHeaderError, RatchetBodyError)


@given(st.binary(max_size=300))
def test_a_true_header_with_any_body_is_refused(body: bytes) -> None:
    BUSY.refused(WAITING[:126] + body, RatchetBodyError, RatchetHeaderError)
