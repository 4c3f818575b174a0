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


State = InSync | Allowed | Required | Started | Agreed


def holds_texts(state: State) -> bool:
    """Whether what the user sends must wait."""
    return isinstance(state, Required | Started | Agreed)
