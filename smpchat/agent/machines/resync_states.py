"""The states of ratchet re-synchronisation; `smpchat.agent.machines.resync` goes from one to the next.

Apart from it, because whoever sends a text asks only whether it has to wait.
"""

from __future__ import annotations

from smpchat.encoding.record import Record


class InSync(Record):
    """Nothing is wrong that we know of."""


class Allowed(Record):
    """A message did not open; others may. The user can re-synchronise, but need not."""


class Required(Record):
    """What the peer sends does not open any more. Texts wait."""


class Started(Record):
    """Our keys are on their way, the peer's have not come. Texts wait.

    Attributes:
        own: Hash of our keys.
    """

    own: bytes


class Agreed(Record):
    """The new ratchet is made from both sides' keys; nothing has opened with it yet. Texts wait."""


class Asked(Record):
    """The peer's keys have come although we did not ask for any: the user decides. What the user writes waits.

    Attributes:
        theirs: Hash of the peer's keys.
        at: When the relay took them, by its clock; POSIX seconds.
        under: What else is known of the ratchet in use.
        proven: A message of the ratchet in use is newer than the keys, so its owner can still read; or the user chose
            to write all the same. Nothing waits.
    """

    theirs: bytes
    at: int
    under: Standing
    proven: bool = False


Standing = InSync | Allowed | Required | Agreed
"""What is known of the ratchet in use while none of our new keys are on their way."""
State = Standing | Started | Asked


def holds_all(state: State) -> bool:
    """Whether everything must wait, since the peer could not read it."""
    return isinstance(state.under if isinstance(state, Asked) else state, Required | Started | Agreed)


def holds_texts(state: State) -> bool:
    """Whether what the user writes must wait; what the protocol itself has to say may go on all the same."""
    return holds_all(state) or (isinstance(state, Asked) and not state.proven)
