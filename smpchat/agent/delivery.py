"""Agent message ids and the hash chain: what makes a gap, a repeat or a forged order visible (agent-wire 3.6)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum

from smpchat.agent.envelope import AMessage, NumberedMessage, RatchetInfo, agent_message


@dataclass(frozen=True, slots=True)
class Chain:
    """One direction of a connection: id and hash of its last message; 0 and empty before the first."""

    last_id: int = 0
    last_hash: bytes = b""

    def confirmed(self, plaintext: bytes) -> Chain:
        """After the confirmation or hello, which counts as message 1 however often it was made."""
        return Chain(1, message_hash(plaintext))

    def renegotiated(self) -> Chain:
        """After an R envelope, which takes an id although the ratchet does not carry it (agent-wire 3.6)."""
        return Chain(self.last_id + 1, message_hash(agent_message.encode(RatchetInfo())))

    def append(self, message: AMessage) -> tuple[Chain, bytes]:
        """The next message's plaintext for the ratchet, and the chain that ends with it."""
        numbered = NumberedMessage(self.last_id + 1, self.last_hash, message)
        plaintext = agent_message.encode(numbered)
        return Chain(numbered.message_id, message_hash(plaintext)), plaintext

    def receive(self, message: NumberedMessage, plaintext: bytes) -> tuple[Chain, Integrity]:
        """What a message that arrived says about those before it; it becomes the last in every case."""
        after = Chain(message.message_id, message_hash(plaintext))
        if message.message_id < self.last_id:
            return after, Integrity.BAD_ID
        if message.message_id == self.last_id:
            return after, Integrity.DUPLICATE
        if message.message_id > self.last_id + 1:
            return after, Integrity.SKIPPED
        if message.previous_hash != self.last_hash:
            return after, Integrity.BAD_HASH
        return after, Integrity.OK


class Integrity(StrEnum):
    """Verdict of the chain. None of them blocks delivery; people are told."""

    OK = "ok"
    SKIPPED = "skipped"
    BAD_ID = "bad-id"
    DUPLICATE = "duplicate"
    BAD_HASH = "bad-hash"


def message_hash(plaintext: bytes) -> bytes:
    """SHA-256 of the complete agent message, without padding or envelope."""
    return hashlib.sha256(plaintext).digest()
