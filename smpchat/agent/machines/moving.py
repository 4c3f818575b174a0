"""A state machine that moves our own queue to another relay: frozen states, pure ``step(state, event)``.

::

    we                                        peer
    NEW at the new relay
    QADD new queue, old address       →
                                      ←       QKEY its keys for the new queue
    KEY at the new relay; QUSE        →
                                      ←       QTEST, or any other message, through the new queue
    the new queue is ours, the old one is emptied and deleted

As soon as the new queue exists, we read from both queues. Until QUSE is on its way, the peer should write only to the
old queue, so we can still restart or cancel the move. Once QUSE is on its way, the peer may write to either queue. Only
the peer's first message through the new queue shows that the peer has moved.

Source: agent-wire 5.7, ``switchConnection`` of simplexmq 6.5.5.
"""

from __future__ import annotations

from enum import StrEnum

from smpchat.agent.errors import UnexpectedEvent
from smpchat.encoding.record import Record

ROTATION_SINCE = 3
"""From this agent version on, every agent can follow a move. simplexmq has supported moves since November 2022
(3.4.0), but raised the version number only half a year later. So a peer with agent version 2 may or may not support
moves."""


# -- states -----------------------------------------------------------------------------------------------------------


class Settled(Record):
    """No move is in progress."""


class Creating(Record):
    """The new queue is being made."""


class Asked(Record):
    """The peer was asked to use the new queue instead of the old one (QADD), but the peer's keys for the new queue have
    not come."""


class Securing(Record):
    """The peer's keys came; the new queue is being secured with them."""


class Using(Record):
    """The peer was told to use the new queue (QUSE); nothing has come through it yet."""


State = Settled | Creating | Asked | Securing | Using


# -- events -----------------------------------------------------------------------------------------------------------


class Requested(Record):
    """The user wants to receive at another relay."""


class Cancelled(Record):
    """The user wants the queue to stay at its relay."""


class QueueCreated(Record):
    """The relay made the new queue."""


class KeysReceived(Record):
    """The peer's keys for the new queue came."""


class KeyAccepted(Record):
    """The relay secured the new queue with the peer's key."""


class QueueLost(Record):
    """The relay of the new queue refuses the peer's key, or no longer has the queue."""


class MessageArrived(Record):
    """A message of the peer came through the new queue."""


Event = Requested | Cancelled | QueueCreated | KeysReceived | KeyAccepted | QueueLost | MessageArrived


# -- effects ----------------------------------------------------------------------------------------------------------


class Outcome(StrEnum):
    """How a move ended."""

    MOVED = "moved"
    LOST = "lost"


class CreateQueue(Record):
    """NEW: make the new queue, at a relay that is chosen when NEW is sent."""


class SendAdd(Record):
    """Offer the new queue in place of the old one."""


class SecureQueue(Record):
    """KEY: secure the new queue with the peer's key."""


class SendUse(Record):
    """Tell the peer that the new queue is ready."""


class Adopt(Record):
    """The new queue replaces the old one, which is read until it is empty and then deleted."""


class DropQueue(Record):
    """Abandon the new queue, whether or not the relay has already made it."""


class Tell(Record):
    """The user is told how the move ended."""

    outcome: Outcome


Effect = CreateQueue | SendAdd | SecureQueue | SendUse | Adopt | DropQueue | Tell
Step = tuple[State, tuple[Effect, ...]]


# -- transitions ------------------------------------------------------------------------------------------------------


def step(state: State, event: Event) -> Step:
    """The next state, and the effects to be carried out.

    Raises:
        UnexpectedEvent: The event cannot happen in this state, or the user wants something that is impossible now: the
            peer may already use the new queue, or there is no move to cancel. Nothing changed.
    """
    match state, event:
        case Settled(), Requested():
            return Creating(), (CreateQueue(),)
        case ((Creating() | Asked() | Securing()), Requested()):
            return Creating(), (DropQueue(), CreateQueue())
        case ((Creating() | Asked() | Securing()), Cancelled()):
            return Settled(), (DropQueue(),)
        case Creating(), QueueCreated():
            return Asked(), (SendAdd(),)
        case Asked(), KeysReceived():
            return Securing(), (SecureQueue(),)
        case ((Securing() | Using()), KeysReceived()):  # the peer repeats its keys; the first ones stay
            return state, ()
        case Securing(), KeyAccepted():
            return Using(), (SendUse(),)
        case ((Asked() | Securing() | Using()), QueueLost()):
            return Settled(), (DropQueue(), Tell(Outcome.LOST))
        case Using(), MessageArrived():
            return Settled(), (Adopt(), Tell(Outcome.MOVED))
        case ((Asked() | Securing()), MessageArrived()):  # the peer did not wait for QUSE; QUSE is still sent
            return state, ()
    raise UnexpectedEvent(state, event)
