"""Agent message ids and the hash chain, which reveal missing, repeated and reordered messages (agent-wire 3.6)."""

from __future__ import annotations

from enum import StrEnum

from smpchat.agent.machines.chain import MAX_MESSAGE_ID, Chain
from smpchat.agent.wire.envelope import AMessage, NumberedMessage, RatchetInfo, agent_message


class Integrity(StrEnum):
    """What the hash chain says about a message. The message is delivered in any case; the user is told of every result
    except `OK`."""

    OK = "ok"
    SKIPPED = "skipped"
    BAD_ID = "bad-id"
    DUPLICATE = "duplicate"
    BAD_HASH = "bad-hash"


def renegotiated(chain: Chain) -> Chain:
    """The hash chain after an R envelope, which brings new ratchet keys. An R envelope uses up a message id, although
    the ratchet does not encrypt it (agent-wire 3.6)."""
    # A receiver that runs the reference (simplexmq) does not count the R envelope, and so shows a gap of one after each
    # renegotiation (agent-wire trap 34). An earlier version of smpchat accepted any id that SQLite can store, so
    # ``last_id`` may be above `MAX_MESSAGE_ID`.
    return chain.ending(min(chain.last_id, MAX_MESSAGE_ID) + 1, agent_message.encode(RatchetInfo()))


def append(chain: Chain, message: AMessage) -> tuple[Chain, bytes]:
    """Append ``message``, the next one that we send. Returns the chain that ends with it, and its plaintext, which the
    ratchet must encrypt."""
    numbered = NumberedMessage(chain.last_id + 1, chain.last_hash, message)
    plaintext = agent_message.encode(numbered)
    return chain.ending(numbered.message_id, plaintext), plaintext


def receive(chain: Chain, message: NumberedMessage, plaintext: bytes) -> tuple[Chain, Integrity]:
    """Compare an arrived message with the chain. Whatever the comparison shows, the returned chain ends with this
    message."""
    # The peer's chain ends with this message, so our chain must, too. Otherwise, after one gap, every later message
    # would be reported as faulty (agent-wire 3.6).
    after = chain.ending(message.message_id, plaintext)
    if message.message_id < chain.last_id:
        return after, Integrity.BAD_ID
    if message.message_id == chain.last_id:
        return after, Integrity.DUPLICATE
    if message.message_id > chain.last_id + 1:
        return after, Integrity.SKIPPED
    if message.previous_hash != chain.last_hash:
        return after, Integrity.BAD_HASH
    return after, Integrity.OK
