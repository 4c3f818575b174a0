"""The states of ratchet re-synchronisation; `smpchat.agent.machines.resync` goes from one to the next.

Apart from it, because whoever sends a text asks only whether it has to wait.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class InSync:
    """Nothing is wrong that we know of."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """A message did not open; others may. The user can re-synchronise, but need not."""


@dataclass(frozen=True, slots=True)
class Required:
    """What the peer sends does not open any more. Texts wait."""


@dataclass(frozen=True, slots=True)
class Started:
    """Our keys are on their way, the peer's have not come. Texts wait.

    Attributes:
        own: Hash of our keys.
    """

    own: bytes


@dataclass(frozen=True, slots=True)
class Agreed:
    """The new ratchet is made from both sides' keys; nothing has opened with it yet. Texts wait."""


State = InSync | Allowed | Required | Started | Agreed


def holds_texts(state: State) -> bool:
    """Whether what the user sends must wait."""
    return isinstance(state, Required | Started | Agreed)
