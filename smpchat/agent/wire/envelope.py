"""Agent envelopes (the content of the per-queue box) and agent messages (the content that the ratchet encrypts).

Source: agent-wire 3.3 and 3.4. The ``S`` message (`ConnInfoSecured`) is our own extension.
"""

from __future__ import annotations

from smpchat.agent.wire.queue import (
    QueueAddress,
    QueueInfo,
    QueueURI,
    queue_address,
    queue_info,
    queue_infos,
    queue_uri,
)
from smpchat.crypto.agreement import E2EParams, e2e_params
from smpchat.crypto.keys import AuthPublicKey, Ed25519PublicKey, auth_key, ed25519_key
from smpchat.encoding.codec import (
    Codec,
    boolean,
    int64,
    large_bytes,
    maybe,
    non_empty,
    pair,
    record,
    short_bytes,
    tagged,
    tail,
    word16,
)
from smpchat.encoding.reader import DecodeError, Reader
from smpchat.encoding.record import Record, field
from smpchat.protocol.version import VersionRange

AGENT_VERSIONS = VersionRange(2, 7)
"""The agent protocol versions that smpchat supports (agent-wire 1.1). Version 4 added receipts. Version 6
added queues secured by their sender. Version 7 added messages that the joiner sends right after joining."""


# -- agent messages ---------------------------------------------------------------------------------------------------


class ConnInfo(Record):
    """``I``: connection info (a profile) with nothing else; the initiator's hello."""

    conn_info: bytes = field(repr=False)


class ConnInfoReply(Record):
    """``D``: connection info and the reply queue; the joiner's confirmation."""

    queues: tuple[QueueInfo, ...]
    conn_info: bytes = field(repr=False)


class ConnInfoSecured(Record):
    """``S``: like ``D``, but also says that the reply queue is secured with ``reply_key``, which the link offered."""

    reply_key: Ed25519PublicKey
    queues: tuple[QueueInfo, ...]
    conn_info: bytes = field(repr=False)


class RatchetInfo(Record):
    """``R``: the content of an ``R`` envelope; not used elsewhere."""

    info: bytes = b""


class Hello(Record):
    """HELLO: shows the recipient that the sender can send to this queue."""


class UserMessage(Record):
    """A_MSG: a body of the chat layer."""

    body: bytes = field(repr=False)


class Receipt(Record):
    """The receipt for one message, which is named by its id and hash."""

    message_id: int
    message_hash: bytes
    info: bytes = b""


class Receipts(Record):
    """A_RCVD: receipts for messages that the sender of this message has received."""

    receipts: tuple[Receipt, ...]


class QueueContinue(Record):
    """A_QCONT: the queue with this address has room again. The queue's owner sends this message after reading what was
    in the queue."""

    address: QueueAddress


class QueueAdd(Record):
    """QADD: new queues, each with the address of the queue that it replaces."""

    queues: tuple[tuple[QueueURI, QueueAddress | None], ...]


class QueueKey(Record):
    """QKEY: the new queues, each with the key with which the sender of this message will authorise its SENDs."""

    queues: tuple[tuple[QueueInfo, AuthPublicKey], ...]


class QueueUse(Record):
    """QUSE: use these queues from now on. The flag beside each address says whether the queue is the primary one."""

    queues: tuple[tuple[QueueAddress, bool], ...]


class QueueTest(Record):
    """QTEST: the first message that is sent to the new queues."""

    queues: tuple[QueueAddress, ...]


class RatchetReady(Record):
    """EREADY: the sender of this message now uses the new ratchet on which both sides agreed. ``last_received_id``: the
    id of the last message that the old ratchet decrypted."""

    last_received_id: int


AMessage = Hello | UserMessage | Receipts | QueueContinue | QueueAdd | QueueKey | QueueUse | QueueTest | RatchetReady


class NumberedMessage(Record):
    """``M``: everything after the handshake; numbered, and chained by the hash of the sender's previous message."""

    message_id: int
    previous_hash: bytes
    message: AMessage


AgentMessage = ConnInfo | ConnInfoReply | ConnInfoSecured | RatchetInfo | NumberedMessage

_receipt = record(Receipt, message_id=int64, message_hash=short_bytes, info=large_bytes)
USER_MESSAGE = b"M"
"""First byte of a message from the user; all other messages are between the agents."""
a_message: Codec[AMessage] = tagged(
    "agent message body",
    [
        (b"H", Hello, record(Hello)),
        (USER_MESSAGE, UserMessage, record(UserMessage, body=tail)),
        (b"V", Receipts, record(Receipts, receipts=non_empty(_receipt))),
        (b"QC", QueueContinue, record(QueueContinue, address=queue_address)),
        (b"QA", QueueAdd, record(QueueAdd, queues=non_empty(pair(queue_uri, maybe(queue_address))))),
        (b"QK", QueueKey, record(QueueKey, queues=non_empty(pair(queue_info, auth_key)))),
        (b"QU", QueueUse, record(QueueUse, queues=non_empty(pair(queue_address, boolean)))),
        (b"QT", QueueTest, record(QueueTest, queues=non_empty(queue_address))),
        (b"E", RatchetReady, record(RatchetReady, last_received_id=int64)),
    ],
)
agent_message: Codec[AgentMessage] = tagged(
    "agent message",
    [
        (b"I", ConnInfo, record(ConnInfo, conn_info=tail)),
        (b"D", ConnInfoReply, record(ConnInfoReply, queues=queue_infos, conn_info=tail)),
        # Our own extension. Apps cannot read this message, so it is sent only in answer to a link that offers a reply
        # key.
        (b"S", ConnInfoSecured, record(ConnInfoSecured, reply_key=ed25519_key, queues=queue_infos, conn_info=tail)),
        (b"R", RatchetInfo, record(RatchetInfo, info=tail)),
        (
            b"M",
            NumberedMessage,
            record(NumberedMessage, message_id=int64, previous_hash=short_bytes, message=a_message),
        ),
    ],
)


# -- agent envelopes --------------------------------------------------------------------------------------------------


class Confirmation(Record):
    """``C``: the joiner's confirmation (with its X3DH keys) or the initiator's hello (without keys)."""

    agent_version: int
    e2e_params: E2EParams | None
    ratchet_message: bytes


class MessageEnvelope(Record):
    """``M``: any message after the handshake; carries the sender's highest agent version."""

    agent_version: int
    ratchet_message: bytes


class InvitationEnvelope(Record):
    """``I``: a contact request; it contains the requester's own invitation link and profile."""

    agent_version: int
    link: bytes = field(repr=False)
    conn_info: bytes = field(repr=False)


class RatchetKeyEnvelope(Record):
    """``R``: the sender's keys for a new ratchet; not encrypted by the ratchet.

    Attributes:
        info: Bytes that are not decoded here; apps put the agent message `RatchetInfo` into them.
    """

    agent_version: int
    e2e_params: E2EParams
    info: bytes


AgentEnvelope = Confirmation | MessageEnvelope | InvitationEnvelope | RatchetKeyEnvelope


def _read_envelope(reader: Reader) -> AgentEnvelope:
    version, offset = word16.read(reader), reader.offset
    match reader.take(1, "envelope tag"):
        case b"C":
            return Confirmation(version, maybe(e2e_params).read(reader), reader.rest())
        case b"M":
            return MessageEnvelope(version, reader.rest())
        case b"I":
            return InvitationEnvelope(version, large_bytes.read(reader), reader.rest())
        case b"R":
            return RatchetKeyEnvelope(version, e2e_params.read(reader), reader.rest())
    raise DecodeError("agent envelope: unknown tag", offset)


def _write_envelope(envelope: AgentEnvelope) -> bytes:
    version = word16.write(envelope.agent_version)
    match envelope:
        case Confirmation(_, params, message):
            return version + b"C" + maybe(e2e_params).write(params) + message
        case MessageEnvelope(_, message):
            return version + b"M" + message
        case InvitationEnvelope(_, link, conn_info):
            return version + b"I" + large_bytes.write(link) + conn_info
        case RatchetKeyEnvelope(_, params, info):
            return version + b"R" + e2e_params.write(params) + info


agent_envelope: Codec[AgentEnvelope] = Codec(_write_envelope, _read_envelope)


# -- sizes ------------------------------------------------------------------------------------------------------------

MESSAGE_OVERHEAD = 43
"""Bytes that `NumberedMessage` adds to a user message: two tags, the id, and a 32-byte hash with its length."""
_LENGTH = 2


class Sizes(Record):
    """Lengths in bytes. ``confirmation`` and ``message`` are the lengths to which messages are padded before the
    ratchet encrypts them: a padded message and its ratchet header together fill one SEND (agent-wire 3.5).

    Attributes:
        confirmation: Length of the first message in each direction: the joiner's confirmation, and the initiator's
            hello.
        message: Length of every message after the handshake (`NumberedMessage`).
        chat_body: Longest body that apps put into a user message (agent-wire 6.5). A user message has room for a little
            more: see `user_message`.
    """

    confirmation: int
    message: int
    chat_body: int

    @property
    def user_message(self) -> int:
        """Longest body of a user message, in bytes."""
        return self.message - _LENGTH - MESSAGE_OVERHEAD


# These are the largest lengths with which a padded message and its ratchet header fit into one SEND (agent-wire 3.5). A
# receiver does not check that messages have these lengths.
PLAIN_SIZES = Sizes(confirmation=14832, message=15840, chat_body=15602)
PQ_SIZES = Sizes(confirmation=11106, message=13618, chat_body=13380)
"""The sizes with a KEM: ratchet headers are 2,222 bytes longer, to have room for the KEM's keys."""


def sizes(pq_support: bool) -> Sizes:
    """The sizes for a connection, which depend on whether its ratchet headers have room for a KEM (``pq_support``)."""
    return PQ_SIZES if pq_support else PLAIN_SIZES
