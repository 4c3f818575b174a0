"""What the handshake asks for: commands to relays, and messages to be sealed and sent.

`smpchat.agent.transactions.connection` seals the messages and puts all effects into the outbox, in the transaction that
saves the new state. Commands are sent after the new state is saved, and sent again if an answer is lost. Commands to
the send queue are sent in the order in which the function `step` returns them.
"""

from __future__ import annotations

from enum import StrEnum

from smpchat.agent.machines.handshake_states import Answer
from smpchat.encoding.record import Record


class KeyChoice(StrEnum):
    """Which key the receive queue is secured with."""

    REPLY = "reply"
    """The reply key that the link offered."""
    PEER = "peer"
    """The sender key in the header of the peer's confirmation or hello."""


class CreateReceiveQueue(Record):
    """NEW: create our queue.

    Attributes:
        messaging: The sender may secure the queue.
        keyed: NEW must contain the reply key, so that the queue has it as its sender key from the start.
            `smpchat.agent.online.sending` leaves the key out if the relay does not support a key in NEW.
    """

    messaging: bool
    keyed: bool


class CreateAddressQueue(Record):
    """NEW: create the queue of a contact address, together with the data of the address's short link if the relay
    supports such data."""


class ReadAddress(Record):
    """LGET: read the data of an address's short link."""


class SendRequest(Record):
    """Seal and send our invitation and profile to the address."""


class SecureReceiveQueue(Record):
    """KEY: secure our own queue. ``before_sending``: nothing is sent to the peer until KEY is answered."""

    key: KeyChoice
    before_sending: bool


class SecureSendQueue(Record):
    """SKEY: secure the peer's queue. All messages to the peer's queue wait for the answer to SKEY."""


class ReadLink(Record):
    """LKEY: read what a short link leads to, and secure the send queue. All messages to the send queue wait for the
    answer to LKEY."""


class SendConfirmation(Record):
    """Seal and send the confirmation: our profile and the address of our reply queue."""

    answer: Answer
    signed: bool


class ResendConfirmationSigned(Record):
    """Send the same confirmation again at once, signed with the key that it contains."""


class RepeatConfirmation(Record):
    """Send the same confirmation again after a pause, which is longer each time; other messages do not wait for it."""


class SendHello(Record):
    """Seal and send the hello, with our profile. An unsigned hello also carries our key, with which the peer secures
    its queue."""

    signed: bool


class ResendHello(Record):
    """Send the same hello again, signed."""


class SendReady(Record):
    """Seal and send a HELLO message, before the texts that are waiting to be sent."""


class DeleteReceiveQueue(Record):
    """DEL: delete our queue, if it was created."""


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
