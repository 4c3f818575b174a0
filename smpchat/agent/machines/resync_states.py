"""The states of ratchet re-synchronisation; `smpchat.agent.machines.resync` goes from one to the next.

The states are in a module of their own, because code that sends texts needs them without the transitions, to see
whether a text must wait.
"""

from __future__ import annotations

from smpchat.encoding.record import Record


class InSync(Record):
    """As far as we know, the two ratchets match."""


class Allowed(Record):
    """A message could not be decrypted, but other messages may still be readable. The user can re-synchronise the
    ratchet, but need not."""


class Required(Record):
    """Messages of the peer cannot be decrypted any more. All our messages wait."""


class Started(Record):
    """We have sent the peer new keys of ours, and the peer's new keys have not come yet. All our messages wait.

    Attributes:
        own: Hash of our new keys.
    """

    own: bytes


class Agreed(Record):
    """The new ratchet is made from both sides' keys, but it has decrypted no message yet. All our messages wait."""


class Asked(Record):
    """The peer's keys have come although we did not ask for any. The user decides whether we answer with our own; the
    user's texts wait for this decision.

    Attributes:
        theirs: Hash of the peer's keys.
        at: When the relay received the peer's keys, by the relay's clock; POSIX seconds.
        under: The state in which the connection would be if these keys had not come.
        proven: If True, the user's texts do not wait for the user's decision. There are two reasons for this: the
            ratchet in use has decrypted a message that the peer sent after its keys, so the peer still has this
            ratchet; or the user has chosen to go on writing with it.
    """

    theirs: bytes
    at: int
    under: Standing
    proven: bool = False


Standing = InSync | Allowed | Required | Agreed
"""The states in which the peer's keys may come although we did not ask for any (see `Asked.under`). `Started` is not
one of them: in that state, we have asked for the peer's keys."""
State = Standing | Started | Asked


def holds_all(state: State) -> bool:
    """Whether all messages must wait, because the peer could not read them."""
    return isinstance(state.under if isinstance(state, Asked) else state, Required | Started | Agreed)


def holds_texts(state: State) -> bool:
    """Whether messages of the user must wait; messages of the protocol itself are still sent."""
    return holds_all(state) or (isinstance(state, Asked) and not state.proven)
