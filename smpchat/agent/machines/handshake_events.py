"""What can happen to a connection while it is made: the relays' answers, the peer's messages, the user's wishes.

The module `smpchat.agent.machines.handshake` decides what follows from each event. For each side, the *send queue* is
the queue of the other side, and the *receive queue* is its own. If a message was *accepted*, the relay answered its
SEND with OK; if it was *refused*, with AUTH.
"""

from __future__ import annotations

from smpchat.agent.machines.handshake_states import Answer, Failure
from smpchat.encoding.record import Record


class SendQueueSecured(Record):
    """OK to SKEY: the peer's queue has our key."""


class SendQueueRefused(Record):
    """AUTH to SKEY or LKEY: the queue is gone, or holds another key."""


class LinkRead(Record):
    """The answer to LKEY: what the short link allows. The send queue now holds our key. ``send_early``: see
    `Joining`."""

    reply_key: bool
    send_early: bool


class LinkUnusable(Record):
    """The short link cannot be used. ``detail``: see `Failed`."""

    reason: Failure
    detail: str = ""


class JoinReleased(Record):
    """The user has answered the question that held our profile back (``held`` in `Joining`), so the profile may be sent
    now."""


class ReceiveQueueCreated(Record):
    """IDS: the relay created our queue.

    Attributes:
        messaging: The queue's sender may secure it.
        keyed: The queue was created with the reply key (keyed NEW).
        key_beside: KEY and the confirmation may be on their way at the same time (relay at SMP 9 or later); otherwise
            KEY must be answered first.
    """

    messaging: bool
    keyed: bool = False
    key_beside: bool = True


class ReceiveQueueSecured(Record):
    """OK to KEY."""


class ReceiveQueueRefused(Record):
    """AUTH to KEY."""


class ConfirmationAccepted(Record):
    """The relay has the confirmation."""


class ConfirmationRefused(Record):
    """The relay refused the confirmation: AUTH."""


class ConfirmationReceived(Record):
    """The joiner's confirmation arrived, and was opened with the keys of our link.

    Attributes:
        sender_key: The confirmation's header holds a key with which our queue must be secured.
        securable: The reply queue may be secured by its sender.
        reply_key_ours: The reply key that the confirmation names is the one in our link; None if the confirmation names
            no reply key.
    """

    answer: Answer
    sender_key: bool
    securable: bool
    reply_key_ours: bool | None = None


class PeerUnsuitable(Record):
    """What the peer says about itself in its first message makes a connection impossible. ``detail``: see `Failed`."""

    detail: str


class HelloAccepted(Record):
    """The relay has the hello."""


class HelloRefused(Record):
    """The relay refused the hello: AUTH."""


class HelloReceived(Record):
    """The initiator's hello arrived; it contains the initiator's profile. ``sender_key``: the hello's header holds a
    key with which our queue must be secured."""

    sender_key: bool


class PeerReady(Record):
    """The peer's HELLO message arrived."""


class ReadyRefused(Record):
    """The relay refused our HELLO message: AUTH."""


class AddressRead(Record):
    """The short link of a contact address was opened, so the address's queue is known."""


class AddressRefused(Record):
    """The contact address cannot be used."""

    reason: Failure


class RequestAccepted(Record):
    """The address's relay has the request."""


class GivenUp(Record):
    """A request to our address names a relay, and we could not reach this relay in time."""


class DeleteRequested(Record):
    """The user deletes the connection or address, or cancels the invitation."""


Event = (
    SendQueueSecured
    | SendQueueRefused
    | LinkRead
    | LinkUnusable
    | JoinReleased
    | ReceiveQueueCreated
    | ReceiveQueueSecured
    | ReceiveQueueRefused
    | ConfirmationAccepted
    | ConfirmationRefused
    | ConfirmationReceived
    | PeerUnsuitable
    | HelloAccepted
    | HelloRefused
    | HelloReceived
    | PeerReady
    | ReadyRefused
    | AddressRead
    | AddressRefused
    | RequestAccepted
    | GivenUp
    | DeleteRequested
)

Repeated = (
    SendQueueSecured
    | SendQueueRefused
    | ReceiveQueueSecured
    | ReceiveQueueRefused
    | ConfirmationAccepted
    | ConfirmationRefused
    | HelloAccepted
    | HelloRefused
    | PeerReady
    | ReadyRefused
)
"""Events that may come a second time, because a command was repeated after its answer was lost."""
