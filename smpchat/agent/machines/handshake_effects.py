"""What the handshake asks for: commands to relays, and messages to be sealed and sent.

An effect is done after the state that asked for it is committed. It may be done twice, and those on the send queue run
in the order given: `smpchat.agent.transactions.connection` puts them into the outbox.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from smpchat.agent.machines.handshake_states import Answer


class KeyChoice(StrEnum):
    """Which key the receive queue is secured with."""

    REPLY = "reply"
    """The reply key that the link offered."""
    PEER = "peer"
    """The sender key in the header of the peer's confirmation."""


@dataclass(frozen=True, slots=True)
class CreateReceiveQueue:
    """NEW. ``keyed``: with the reply key as sender key, where the relay offers that."""

    messaging: bool
    keyed: bool


@dataclass(frozen=True, slots=True)
class CreateAddressQueue:
    """NEW of a queue for requests, with the data of its short link where the relay keeps such data."""


@dataclass(frozen=True, slots=True)
class ReadAddress:
    """LGET: what is behind the short link of an address."""


@dataclass(frozen=True, slots=True)
class SendRequest:
    """Seal and send our invitation and profile to the address."""


@dataclass(frozen=True, slots=True)
class SecureReceiveQueue:
    """KEY. ``before_sending``: nothing leaves for the peer until it is answered."""

    key: KeyChoice
    before_sending: bool


@dataclass(frozen=True, slots=True)
class SecureSendQueue:
    """SKEY; whatever is to be sent to the queue waits for the answer."""


@dataclass(frozen=True, slots=True)
class ReadLink:
    """LKEY: read what a short link leads to, and secure the send queue; what is to be sent there waits for it."""


@dataclass(frozen=True, slots=True)
class SendConfirmation:
    """Seal and send our profile and reply queue."""

    answer: Answer
    signed: bool


@dataclass(frozen=True, slots=True)
class ResendConfirmationSigned:
    """Send the same confirmation again at once, authorised with the key it carries."""


@dataclass(frozen=True, slots=True)
class RepeatConfirmation:
    """Send the same confirmation again after a pause that grows; it holds nothing up."""


@dataclass(frozen=True, slots=True)
class SendHello:
    """Seal and send our profile; unsigned, it carries a key for the peer's queue."""

    signed: bool


@dataclass(frozen=True, slots=True)
class ResendHello:
    """Send the same hello again."""


@dataclass(frozen=True, slots=True)
class SendReady:
    """Seal and send a HELLO message, before any text that waits."""


@dataclass(frozen=True, slots=True)
class DeleteReceiveQueue:
    """DEL our queue, if it was made."""


Effect = (
    CreateReceiveQueue
    | CreateAddressQueue
    | ReadAddress
    | SendRequest
    | SecureReceiveQueue
    | SecureSendQueue
    | ReadLink
    | SendConfirmation
    | ResendConfirmationSigned
    | RepeatConfirmation
    | SendHello
    | ResendHello
    | SendReady
    | DeleteReceiveQueue
)
