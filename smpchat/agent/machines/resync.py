"""Ratchet re-synchronisation as a state machine: frozen states, pure ``step(state, event) -> (state, effects)``.

The two ratchets of a connection may no longer match, for example after one side restored an old copy of its data. Then
one side sends new X3DH keys outside the ratchet (in an *R envelope*), the other answers with its own, and both start a
new ratchet from these keys. The two sides compare the keys to decide which of them receives first, so
re-synchronisation also works if both begin at the same time. If the peer sends keys first, our user decides whether we
answer.

Source: agent-wire 5.8. smpchat differs from the reference (simplexmq) in two ways. After both sides have exchanged
keys, smpchat still accepts new keys from the peer: this repairs the connection if the peer lost our answer. And smpchat
refuses keys that equal its own.
"""

from __future__ import annotations

from enum import StrEnum

from smpchat.agent.errors import UnexpectedEvent
from smpchat.agent.machines.resync_states import (
    Agreed,
    Allowed,
    Asked,
    InSync,
    Required,
    Started,
    State,
    holds_all,
)
from smpchat.encoding.record import Record, replace

# -- events -----------------------------------------------------------------------------------------------------------


class MessageFailed(Record):
    """A message could not be decrypted. ``required``: no later message can be decrypted either."""

    required: bool


class MessageOpened(Record):
    """A message was decrypted with the ratchet in use.

    Attributes:
        sent_at: When the relay received the message, by the relay's clock; POSIX seconds.
        late: The message's key had been set aside, because a message written later was decrypted before it.
    """

    sent_at: int = 0
    late: bool = False


class Requested(Record):
    """The user wants to re-synchronise, or agrees to it. ``fresh``: hash of the keys that we have just made."""

    fresh: bytes


class KeysReceived(Record):
    """The peer's keys for a new ratchet came. We have not received the same keys before.

    Attributes:
        theirs: Hash of the peer's keys.
        sent_at: When the relay received the peer's keys, by the relay's clock; POSIX seconds.
    """

    theirs: bytes
    sent_at: int


class Refused(Record):
    """The user does not want new keys: those that the peer sent are ignored, or our own request is given up."""


class Overruled(Record):
    """The user wants to go on writing with the ratchet in use, and to decide about the peer's keys later."""


class ReadyReceived(Record):
    """The peer's EREADY came, its first message with the new ratchet. ``receiving_only``: until EREADY came, our new
    ratchet could only receive."""

    receiving_only: bool


Event = MessageFailed | MessageOpened | Requested | KeysReceived | Refused | Overruled | ReadyReceived


# -- effects ----------------------------------------------------------------------------------------------------------


class Notice(StrEnum):
    """What the user is told about re-synchronisation."""

    LOST = "lost"
    """One more message cannot be decrypted. At the first such message, the user was told what can be done."""
    ALLOWED = "allowed"
    REQUIRED = "required"
    ASKED = "asked"
    """The peer's new keys wait for the user's decision."""
    STILL_WORKS = "still-works"
    """The peer's keys still wait for a decision, but a newer message has shown that the old ratchet works."""
    OVERRULED = "overruled"
    """The peer's keys still wait for a decision, and the user has chosen to write with the old ratchet until then."""
    NEW_CODE = "new-code"


class SendKeys(Record):
    """Send the fresh keys in an R envelope."""


class StartReceiving(Record):
    """Replace the ratchet. We take the initiator's part, so the first message comes from the peer."""


class StartSending(Record):
    """Replace the ratchet. We take the joiner's part, so we send the first message."""


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
    """The next state, and the effects to be carried out.

    Raises:
        UnexpectedEvent: The user asks for new keys again before the peer has answered, or refuses new keys although no
            keys wait for an answer; or the keys that came are our own. Nothing changed.
    """
    match state, event:
        case ((InSync() | Allowed()), MessageFailed(required=True)):
            return Required(), (Tell(Notice.REQUIRED),)
        case ((InSync() | Allowed()), MessageFailed()):
            return Allowed(), (Tell(Notice.ALLOWED),)
        case ((Required() | Started() | Agreed()), MessageFailed()):
            return state, (Tell(Notice.LOST),)
        case ((Allowed() | Required() | Agreed()), MessageOpened()):
            return InSync(), (Release(),)
        # In the state `Started`, the old ratchet still decrypts messages that the peer sent earlier. Such messages do
        # not end the wait for the peer's keys.
        case ((InSync() | Started()), MessageOpened()):
            return state, ()
        case ((InSync() | Allowed() | Required() | Agreed()), Requested(fresh)):
            return Started(fresh), (SendKeys(),)
        case Asked(theirs), Requested(fresh):
            return Agreed(), (SendKeys(), *_start(fresh, theirs))
        # If the keys that came have the hash of our own keys, a relay has sent our own R envelope back to us. Then no
        # case matches: a ratchet made from our own keys alone could not decrypt the peer's messages.
        case Started(own), KeysReceived(theirs) if own != theirs:
            return Agreed(), _start(own, theirs)
        case ((InSync() | Allowed() | Required() | Agreed()), KeysReceived(theirs, sent_at)):
            return Asked(theirs, sent_at, state), (Tell(Notice.ASKED),)
        case Asked(), KeysReceived(theirs, sent_at):
            # Only the latest keys count: a peer that asks again has made new keys and forgotten its earlier ones.
            return Asked(theirs, sent_at, state.under), (Tell(Notice.ASKED),)
        case Asked(), MessageOpened() | MessageFailed():
            return _asked(state, event)
        case Asked(), Refused():
            return state.under, () if holds_all(state.under) else (Release(),)
        case Asked(proven=False), Overruled():
            return replace(state, proven=True), (Tell(Notice.OVERRULED), Release())
        case _, Overruled():
            return state, ()
        case Started(), Refused():
            return InSync(), (Release(),)
        case _, ReadyReceived(receiving_only):
            return state, (SendReady(),) if receiving_only else ()
    raise UnexpectedEvent(state, event)


def _asked(state: Asked, event: MessageOpened | MessageFailed) -> Step:
    """The step for a message that comes before the user has decided about the peer's keys. ``event`` says whether the
    ratchet in use could decrypt this message."""
    under, effects = step(state.under, event)
    assert not isinstance(under, Started | Asked)
    after = replace(state, under=under)
    # A peer that lost its ratchet can no longer encrypt with it. So a message that the peer sent after its new keys
    # proves that the ratchet in use still works. The order of arrival does not show which message was sent first: while
    # our queue moves, there are two queues, and older messages may still arrive through the old one. So the times by
    # the relay's clock are compared, too.
    newer = isinstance(event, MessageOpened) and not event.late and event.sent_at >= state.at
    if newer and not state.proven:
        return replace(after, proven=True), (
            *(e for e in effects if e != Release()),
            Tell(Notice.STILL_WORKS),
            Release(),
        )
    return after, effects


def _start(own: bytes, theirs: bytes) -> tuple[Effect, ...]:
    """The effects that start the new ratchet: the side with the smaller hash receives first."""
    told = Tell(Notice.NEW_CODE)
    # Both sides compare the same two byte strings, so one side receives first and the other sends first, no matter
    # which side asked for new keys first (agent-wire 5.8).
    return (StartReceiving(), told) if own <= theirs else (StartSending(), SendReady(), told)
