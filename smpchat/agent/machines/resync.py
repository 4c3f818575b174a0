"""Ratchet re-synchronisation as a state machine: frozen states, pure ``step(state, event) -> (state, effects)``.

When the two ratchets of a connection no longer fit (one side restored an old copy of its data, say), either side sends
new X3DH keys outside the ratchet, the other answers with its own, and both start anew from them. Who starts the new
ratchet as its receiver is decided by comparing the keys, so two that begin at once agree too. Our user asks for it; a
peer that asks is always answered.

Source: agent-wire 5.8. Two things go further than the reference: a request that arrives after an agreement is answered
again instead of refused, which heals a connection whose peer lost its answer; and keys that mirror ours are refused.
"""

from __future__ import annotations

from enum import StrEnum

from smpchat.agent.errors import UnexpectedEvent
from smpchat.agent.machines.resync_states import Agreed, Allowed, InSync, Required, Started, State
from smpchat.encoding.record import Record

# -- events -----------------------------------------------------------------------------------------------------------


class MessageFailed(Record):
    """A message did not open. ``required``: nothing after it will either."""

    required: bool


class MessageOpened(Record):
    """A message opened with the ratchet in use."""


class Requested(Record):
    """The user wants to re-synchronise. ``fresh``: hash of keys just made."""

    fresh: bytes


class KeysReceived(Record):
    """The peer's keys came, and they are new.

    Attributes:
        theirs: Their hash.
        fresh: Hash of keys just made, to answer with unless ours are on their way already.
    """

    theirs: bytes
    fresh: bytes


class ReadyReceived(Record):
    """The peer's EREADY. ``receiving_only``: it was the first message of a ratchet that could only receive."""

    receiving_only: bool


Event = MessageFailed | MessageOpened | Requested | KeysReceived | ReadyReceived


# -- effects ----------------------------------------------------------------------------------------------------------


class Notice(StrEnum):
    """What the user is told."""

    ALLOWED = "allowed"
    REQUIRED = "required"
    NEW_CODE = "new-code"


class SendKeys(Record):
    """Send the fresh keys in an R envelope."""


class StartReceiving(Record):
    """Replace the ratchet: ours is the initiator's part, the peer's message comes first."""


class StartSending(Record):
    """Replace the ratchet: ours is the joiner's part."""


class SendReady(Record):
    """Send EREADY with the new ratchet."""


class Release(Record):
    """Seal and send the texts that waited."""


class Tell(Record):
    """A notice for the user."""

    notice: Notice


Effect = SendKeys | StartReceiving | StartSending | SendReady | Release | Tell
Step = tuple[State, tuple[Effect, ...]]


# -- transitions ------------------------------------------------------------------------------------------------------


def step(state: State, event: Event) -> Step:
    """The next state and what to do about it.

    Raises:
        UnexpectedEvent: The user asks again before the peer has answered, or the peer's keys are our own. Nothing
            changed.
    """
    match state, event:
        case ((InSync() | Allowed()), MessageFailed(required=True)):
            return Required(), (Tell(Notice.REQUIRED),)
        case InSync(), MessageFailed():
            return Allowed(), (Tell(Notice.ALLOWED),)
        case _, MessageFailed():
            return state, ()
        case ((Allowed() | Required() | Agreed()), MessageOpened()):
            return InSync(), (Release(),)
        # In Started the old ratchet still opens what was under way. Only the peer's keys end the wait.
        case ((InSync() | Started()), MessageOpened()):
            return state, ()
        case ((InSync() | Allowed() | Required() | Agreed()), Requested(fresh)):
            return Started(fresh), (SendKeys(),)
        # Equal hashes: a relay sent our own R back. A ratchet that we agree on with ourselves opens nothing of the
        # peer's.
        case Started(own), KeysReceived(theirs) if own != theirs:
            return Agreed(), _start(own, theirs)
        # In Agreed too, where the reference refuses: the peer sends keys again when our answer was lost.
        case ((InSync() | Allowed() | Required() | Agreed()), KeysReceived(theirs, fresh)):
            return Agreed(), (SendKeys(), *_start(fresh, theirs))
        case _, ReadyReceived(receiving_only):
            return state, (SendReady(),) if receiving_only else ()
    raise UnexpectedEvent(state, event)


def _start(own: bytes, theirs: bytes) -> tuple[Effect, ...]:
    """The side with the smaller hash receives first."""
    told = Tell(Notice.NEW_CODE)
    # The same comparison at both ends, of byte strings, gives one receiver and one
    # sender, whoever asked first (agent-wire 5.8).
    return (StartReceiving(), told) if own <= theirs else (StartSending(), SendReady(), told)
