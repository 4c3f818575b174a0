"""The machine of our own moves: every pair of state and event, as whole effect lists."""

from __future__ import annotations

import itertools
import typing

import pytest

from smpchat.agent.errors import UnexpectedEvent
from smpchat.agent.machines.moving import (
    Adopt,
    Asked,
    Cancelled,
    CreateQueue,
    Creating,
    DropQueue,
    Effect,
    Event,
    KeyAccepted,
    KeysReceived,
    MessageArrived,
    Outcome,
    QueueCreated,
    QueueLost,
    Requested,
    SecureQueue,
    Securing,
    SendAdd,
    SendUse,
    Settled,
    State,
    Tell,
    Using,
    step,
)

TABLE: dict[tuple[State, Event], tuple[State, tuple[Effect, ...]]] = {
    (Settled(), Requested()): (Creating(), (CreateQueue(),)),
    (Creating(), Requested()): (Creating(), (DropQueue(), CreateQueue())),
    (Creating(), Cancelled()): (Settled(), (DropQueue(),)),
    (Creating(), QueueCreated()): (Asked(), (SendAdd(),)),
    (Asked(), Requested()): (Creating(), (DropQueue(), CreateQueue())),
    (Asked(), Cancelled()): (Settled(), (DropQueue(),)),
    (Asked(), KeysReceived()): (Securing(), (SecureQueue(),)),
    (Asked(), QueueLost()): (Settled(), (DropQueue(), Tell(Outcome.LOST))),
    (Asked(), MessageArrived()): (Asked(), ()),
    (Securing(), Requested()): (Creating(), (DropQueue(), CreateQueue())),
    (Securing(), Cancelled()): (Settled(), (DropQueue(),)),
    (Securing(), KeysReceived()): (Securing(), ()),
    (Securing(), KeyAccepted()): (Using(), (SendUse(),)),
    (Securing(), QueueLost()): (Settled(), (DropQueue(), Tell(Outcome.LOST))),
    (Securing(), MessageArrived()): (Securing(), ()),
    (Using(), KeysReceived()): (Using(), ()),
    (Using(), QueueLost()): (Settled(), (DropQueue(), Tell(Outcome.LOST))),
    (Using(), MessageArrived()): (Settled(), (Adopt(), Tell(Outcome.MOVED))),
}
STATES = [cls() for cls in typing.get_args(State)]
EVENTS = [cls() for cls in typing.get_args(Event)]


@pytest.mark.parametrize(
    ("state", "event"), list(itertools.product(STATES, EVENTS)), ids=lambda one: type(one).__name__
)
def test_every_pair(state: State, event: Event) -> None:
    if (state, event) in TABLE:
        assert step(state, event) == TABLE[state, event]
    else:
        with pytest.raises(UnexpectedEvent):
            step(state, event)


def test_no_way_leaves_a_queue_behind() -> None:
    """Whatever happens, a queue once made is adopted or dropped before the move is over or another one begins."""
    for events in itertools.product(EVENTS, repeat=5):
        state: State = Settled()
        made = False
        for event in events:
            try:
                after, effects = step(state, event)
            except UnexpectedEvent:
                break
            made = made or isinstance(event, QueueCreated)
            if DropQueue() in effects or Adopt() in effects:
                made = False
            assert not (made and isinstance(after, Settled | Creating))
            state = after
