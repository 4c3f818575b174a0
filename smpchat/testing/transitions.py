"""Explores the handshake machine: finds every state that can be reached, and writes its transitions as tables.

``python -m smpchat.testing.transitions`` prints ``docs/handshake.md``; a test checks that the file is current.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

from smpchat.agent.errors import UnexpectedEvent
from smpchat.agent.machines import handshake as hs
from smpchat.agent.machines import handshake_states as states
from smpchat.agent.machines.handshake import Step
from smpchat.agent.machines.handshake_effects import Effect
from smpchat.agent.machines.handshake_events import (
    AddressRead,
    AddressRefused,
    ConfirmationAccepted,
    ConfirmationReceived,
    ConfirmationRefused,
    DeleteRequested,
    Event,
    GivenUp,
    HelloAccepted,
    HelloReceived,
    HelloRefused,
    JoinReleased,
    LinkRead,
    LinkUnusable,
    PeerReady,
    PeerUnsuitable,
    ReadyRefused,
    ReceiveQueueCreated,
    ReceiveQueueRefused,
    ReceiveQueueSecured,
    RequestAccepted,
    SendQueueRefused,
    SendQueueSecured,
)
from smpchat.agent.machines.handshake_states import Answer, Role, State, Terms
from smpchat.encoding.record import Record, fields

_BOTH = (True, False)

_ADDRESS_FAILURES = (states.Failure.ADDRESS_GONE, states.Failure.ADDRESS_UNUSABLE, states.Failure.ADDRESS_USED)
VARIANTS = tuple(Terms(securable, key) for securable in _BOTH for key in _BOTH)


def beginnings(terms: Terms) -> list[Step]:
    """The first steps of every role. With ``send_early=False``, the initiator's agent version is below 7, so the joiner
    must wait."""
    return [
        hs.invite(terms),
        hs.request(terms, address_known=True),
        *(hs.request(terms, address_known=False, held=held) for held in _BOTH),
        hs.join(terms, send_early=True),
        hs.join(terms, send_early=False),
        hs.publish(),
        *(hs.join_short(held=held) for held in _BOTH),
    ]


def events() -> list[Event]:
    """Every event, with every combination of its fields."""
    return [
        SendQueueSecured(),
        SendQueueRefused(),
        *(LinkRead(*said) for said in itertools.product(_BOTH, _BOTH)),
        LinkUnusable(states.Failure.LINK_DATA),
        JoinReleased(),
        *(ReceiveQueueCreated(*said) for said in itertools.product(_BOTH, _BOTH, _BOTH)),
        ReceiveQueueSecured(),
        ReceiveQueueRefused(),
        ConfirmationAccepted(),
        ConfirmationRefused(),
        *(ConfirmationReceived(Answer.SECURED, *said) for said in itertools.product(_BOTH, _BOTH, _BOTH)),
        *(ConfirmationReceived(Answer.REPLY, *said) for said in itertools.product(_BOTH, _BOTH)),
        PeerUnsuitable(""),
        HelloAccepted(),
        HelloRefused(),
        HelloReceived(sender_key=True),
        HelloReceived(sender_key=False),
        PeerReady(),
        ReadyRefused(),
        AddressRead(),
        *(AddressRefused(reason) for reason in _ADDRESS_FAILURES),
        RequestAccepted(),
        GivenUp(),
        DeleteRequested(),
    ]


def transitions(terms: Iterable[Terms] = VARIANTS) -> Iterator[tuple[State, Event, State, tuple[Effect, ...]]]:
    """Every allowed step from every reachable state."""
    seen: set[State] = set()
    new = [start for variant in terms for start, _ in beginnings(variant)]
    while new:
        state = new.pop()
        if state in seen:
            continue
        seen.add(state)
        for event in events():
            try:
                after, effects = hs.step(state, event)
            except UnexpectedEvent:
                continue
            yield state, event, after, effects
            new.append(after)


def reachable() -> set[State]:
    """Every state that can be reached by some order of events."""
    return {state for before, _, after, _ in transitions() for state in (before, after)}


# -- the table --------------------------------------------------------------------------------------------------------

_HEADER = """# The states of a connection

A connection has an *initiator*, who made the link, and a *joiner*, who used it. Each side stores its own state. The
picture shows the usual handshake, called *instant*, in which neither side has to wait for the other. The tables below
contain every variant and every failure.

```text
 step            initiator                       relays          joiner

                 Inviting                                        ReadingLink   a short link: it is read first
 1 invitation       |  NEW ------------------> queue A              |
                 Invited                                         Joining
                    |                          queue A <--- SKEY ---|          (LKEY with a short link)
                    |                          queue B <--- NEW ----|
                    |                                            Confirming
 2 confirmation     |                          queue A <--- profile, reply queue
                    |                                            AwaitingHello    "ready": may write
                    |  <---------------------- queue A              |
                 Answering        may write                         |
 3 hello            |  profile --------------> queue B              |
                 Connected                     queue B ---------->  |
                                                                 Connected        "connected"
```

Other sequences of states:

- **Contact address**: the owner goes from *Publishing* to *Published*. A new connection then has the roles the other
  way round. The person who asks sends a new link with the request, and so is its *initiator* (*Preparing*,
  *Requesting*, *Requested*, then *Answering*, as above). The owner, who accepts, is the *joiner*.
- **Older programs and relays**: if the reply queue's sender cannot secure it, the joiner does so when the hello asks
  for it (*SecuringReply*). Each side then waits for a last message from the other (*AwaitingReady*).
- **Failure and deletion**: a connection that can never be made ends in *Failed*, with the reason; one that the user
  deletes ends in *Deleted*.

## How to read the tables

| word | meaning |
|---|---|
| event | something that happened: a relay answered, a message of the peer arrived, or the user decided |
| effect | what smpchat does next: send a command to a relay, or a message to the peer |
| variants | the variants of the handshake in which this row occurs; they are the next four words |
| instant | the joiner secures both queues; smpchat makes such links if the relay allows it |
| three-step | the link has a reply key, but the relay does not let a sender secure the queue |
| sender-secured | the relay lets a sender secure the queue, but the link has no reply key, as with SimpleX apps |
| standard | neither is possible: the handshake of old apps and relays |
| short link | a link whose content is stored at the relay; the variant is not known until the joiner has read it |
| S, D | the tag of the confirmation: S if the reply queue is secured with the link's reply key, D if it is not |
| signed, unsigned | whether a message is signed with the sender's key; the answer then shows if the queue has it |
| securable | the queue's sender may secure it (SKEY) |
| keyed | the queue was made with the reply key |
| KEY beside the confirmation | the relay allows KEY and the confirmation at the same time (SMP 9 or later) |
| messaging | the queue was made for messages, so that its sender may secure it |
| own queue made | the relay has created the queue with which the person who asks receives messages |
| reply queue | queue B in the picture, with which the joiner receives messages |
| reply queue made | the relay has created the reply queue |
| KEY not awaited | the confirmation may be sent before the reply queue is secured |
| held | the user must decide something first: the confirmation or request is sent only after JoinReleased |
| texts wait | the joiner's text messages wait: the initiator's program does not read any before it has answered |
| peer | the contact's program |

An event that is not listed for a state is an error and changes nothing. Events that change nothing, because an answer
or a message was repeated, are listed below each table. Deleting is possible in every state and removes the queue from
the relay. A *held* state continues like the same state without *held*, so its rows are left out.

This page is printed by `python -m smpchat.testing.transitions` from the machine in
`smpchat/agent/machines/handshake.py`; a test checks that it is current.
"""


def markdown() -> str:
    """The page with every role's table."""
    return "\n".join([_HEADER, *(_table(role) for role in Role)])


def _table(role: Role) -> str:
    rows: dict[tuple[str, str, str, str], dict[str, None]] = {}
    unchanged: dict[str, dict[str, None]] = {}
    for state, event, after, effects in sorted(transitions(), key=repr):
        if states.role(state) is not role or isinstance(event, DeleteRequested):
            continue
        if isinstance(state, states.Failed | states.Deleted) or (
            states.is_held(state) and not isinstance(event, JoinReleased)
        ):
            continue
        if after == state and not effects:
            unchanged.setdefault(_name(state), {})[_name(event)] = None
            continue
        row = (_describe(state), _describe(event), _describe(after), "; ".join(map(_describe, effects)) or "none")
        rows.setdefault(row, {})[_variant(state)] = None
    lines = [
        f"## The {_TITLES.get(role, role)}\n",
        "| state | event | next | effects | variants |",
        "|---|---|---|---|---|",
    ]
    ordered = sorted(rows.items(), key=lambda item: (_ORDER.index(item[0][0].split(" ")[0]), item[0]))
    lines += [f"| {' | '.join(row)} | {', '.join(sorted(variants))} |" for row, variants in ordered]
    lines += ["", "Nothing changes:", ""] if unchanged else []
    for name in sorted(unchanged, key=_ORDER.index):
        lines.append(f"- {name}: {', '.join(sorted(unchanged[name]))}")
    return "\n".join([*lines, ""])


_ORDER = [
    cls.__name__
    for cls in (
        states.Inviting,
        states.Invited,
        states.Preparing,
        states.Requesting,
        states.Requested,
        states.Answering,
        states.ReadingLink,
        states.Joining,
        states.Confirming,
        states.AwaitingHello,
        states.SecuringReply,
        states.AwaitingReady,
        states.Connected,
        states.Publishing,
        states.Published,
    )
]


_TITLES = {Role.OWNER: "owner of a contact address"}


def _variant(state: State) -> str:
    if states.role(state) is Role.OWNER:
        return "none"
    if state.terms is None:
        return "short link"
    early = getattr(state, "send_early", True)
    return f"{state.terms.variant}" if early else f"{state.terms.variant} (texts wait)"


def _name(value: object) -> str:
    return type(value).__name__


_WORDS = {
    "send_queue_ready": "peer's queue secured",
    "receive_queue_made": "reply queue made",
    "receive_queue_ready": "KEY not awaited",
    "receive_queue_keyed": "reply queue keyed",
    "receive_queue_messaging": "reply queue messaging",
    "address_known": "address known",
    "queue_made": "own queue made",
    "key_beside": "KEY beside the confirmation",
    "reply_key": "with a reply key",
    "sender_key": "with a key",
    "reply_key_ours": "reply key ours",
    "before_sending": "before sending",
}


def _describe(value: Record) -> str:
    """Describe a state, event or effect: its name, and those of its fields that are set."""
    said = []
    for name in fields(type(value)):
        field = getattr(value, name)
        if name in ("terms", "role", "send_early"):
            continue
        if field is True:
            said.append(_WORDS.get(name, name))
        elif field is False and name == "reply_key_ours":
            said.append("reply key of somebody else")
        elif isinstance(field, str) and field:
            said.append(str(field))
    return f"{_name(value)} ({', '.join(said)})" if said else _name(value)


if __name__ == "__main__":
    print(markdown(), end="")  # noqa: T201 - printing is the purpose of this program
