"""The states of ratchet re-synchronisation; `smpchat.agent.machines.resync` goes from one to the next.

The states are in a module of their own, because code that sends a text needs only to know whether the text must wait,
not the transitions.
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
    """Our keys are on their way, the peer's have not come. All our messages wait.

    Attributes:
        own: Hash of our keys.
    """

    own: bytes


class Agreed(Record):
    """The new ratchet is made from both sides' keys, but it has decrypted no message yet. All our messages wait."""


class Asked(Record):
    """The peer's keys have come although we did not ask for any: the user decides. The user's texts wait.

    Attributes:
        theirs: Hash of the peer's keys.
        at: When the relay received the peer's keys, by the relay's clock; POSIX seconds.
        under: The state in which the connection would be if these keys had not come.
        proven: If True, the user's texts do not wait for the user's decision. This becomes True when the ratchet in use
            decrypts a message that the peer sent after its keys, so the peer still has this ratchet; or when the user
            chooses to go on writing with this ratchet.
    """

    theirs: bytes
    at: int
    under: Standing
    proven: bool = False


Standing = InSync | Allowed | Required | Agreed
"""What we know about the ratchet in use. `Started` does not belong here: in the state `Started`, we have sent new keys
and wait for the peer's answer."""
State = Standing | Started | Asked


def holds_all(state: State) -> bool:
    """Whether all messages must wait, because the peer could not read them."""
    return isinstance(state.under if isinstance(state, Asked) else state, Required | Started | Agreed)


def holds_texts(state: State) -> bool:
    """Whether messages of the user must wait; messages of the protocol itself are still sent."""
    return holds_all(state) or (isinstance(state, Asked) and not state.proven)
