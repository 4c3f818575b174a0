"""Explores the state machine of the connection handshake: finds every state that can be reached, and writes the
transitions between states as tables.

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
    """The first step of every handshake: for each role, one step for each way in which a handshake can begin. With
    ``send_early=False``, the initiator's program cannot read messages before it has sent its hello, so the joiner waits
    for the hello before it sends messages."""
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
    """Every event of the handshake. An event occurs once for each combination of its fields to which the state machine
    reacts differently."""
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
    """Every transition of the handshake from every reachable state, as: state, event, next state, effects."""
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
    """Every state of the handshake that some sequence of events leads to."""
    return {state for before, _, after, _ in transitions() for state in (before, after)}


# -- the table --------------------------------------------------------------------------------------------------------

_HEADER = """# The states of a connection

A connection has two sides: the *initiator* made the link, and the *joiner* used the link. Each side stores its own
state of the connection. The picture shows the usual handshake, called *instant*, in which neither side has to wait for
the other. The tables below contain every variant of the handshake.

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

- **Contact address**: the owner goes from *Publishing* to *Published*. Each accepted request becomes a connection
  of its own, with the roles reversed. The person who sends a request puts a new link into it, and so is the *initiator*
  (*Preparing*, *Requesting*, *Requested*, then *Answering*, as above). The owner, who accepts the request, is the
  *joiner*.
- **Older programs and relays**: if the initiator cannot secure the reply queue, the joiner secures it with the key in
  the initiator's hello (*SecuringReply*). After that, each side waits for HELLO, the last message of the other side
  (*AwaitingReady*).
- **Failure and deletion**: a connection that can never be made ends in *Failed*, with the reason; one that the user
  deletes ends in *Deleted*.

## How to read the tables

A row holds if the state and the event fulfil the conditions in brackets, for the variants in the last column. An event
that this page does not name for a state is an error, and changes nothing.

- If *next* is the state itself and there is no effect, the state only remembers the event.
- Events that change nothing, because an answer or a message was repeated, are listed below each table.
- Some rows cannot occur in practice. For example, *Joining (reply queue not created)* never gets
  *ReceiveQueueSecured*: no relay answers KEY before it has created the queue.

The tables leave out:

- **Deletion**: a connection can be deleted in every state. The side that deletes the connection also deletes its own
  queue at the relay. After *Deleted*, no event changes the state; after *Failed*, only a deletion does.
- **One failure**: if smpchat accepted a request automatically, and the relay that the request names is not reached for
  a week, the owner's side of the connection fails (*GivenUp*).
- **Held states**: *ReadingLink*, *Joining* and *Preparing* are called *held* while the user has not answered a question
  that smpchat asks before it sends the profile. A held state accepts the same events, but no confirmation or request
  is sent. The user's answer is the event *JoinReleased*, which ends the hold.

| word | meaning |
|---|---|
| event | something that happened: a relay answered, a message of the peer arrived, or the user decided |
| effect | what smpchat does next: send a command to a relay, or a message to the peer |
| variants | the kinds of handshake for which the row holds; the next four rows explain them |
| instant | the joiner secures queues A and B; smpchat's links use this variant if the relay of queue A allows it |
| three-step | the link has a reply key, but the relay does not let the joiner secure queue A |
| sender-secured | the relay lets the joiner secure queue A, but the link has no reply key, as with SimpleX apps |
| standard | the joiner may not secure queue A, and the link has no reply key: the handshake of old apps and relays |
| short link | a link whose content is stored at the relay; the variant is not known until the joiner has read it |
| peer | the contact's program |
| own queue | the queue with which the person who sends a request receives messages |
| reply queue | queue B in the picture, with which the joiner receives messages |
| reply key | a key in the link, with which the joiner secures the reply queue for the initiator |
| S, D | the tag of the confirmation: S if the reply queue is secured with the link's reply key, D if it is not |
| signed, unsigned | with or without the sender's signature; OK to a signed message: the queue has the sender's key |
| securable | the initiator, who sends to the reply queue, may secure the reply queue with SKEY |
| SKEY sent | the hello overtook the joiner's KEY and was refused; so the initiator sent SKEY, and the hello again |
| with the reply key | for *ReceiveQueueCreated*: NEW already gave the reply key to the reply queue, so no KEY follows |
| with a key | the message contains a key, with which the receiver of the message must secure the queue |
| KEY first | the reply queue's relay must answer KEY before the confirmation is sent (relays below SMP 9) |
| KEY at the same time | KEY goes to the joiner's relay while the confirmation goes to the initiator's (from SMP 9 on) |
| KEY not awaited | the confirmation need not wait for the answer to KEY: the answer has arrived, or none is needed |
| SecureReceiveQueue | KEY with the key that the peer sent (*peer*), or with the reply key (*reply*) |
| before sending | the next message to the peer is sent only after the relay has answered this KEY |
| RepeatConfirmation | send an unsigned confirmation again later, to learn whether the queue is secured by now |
| SendReady | send HELLO, the last message of each side in the older handshakes |
| PeerReady | the peer's HELLO arrived |

This page is printed by `python -m smpchat.testing.transitions` from the machine in
`smpchat/agent/machines/handshake.py`; a test checks that it is current.
"""


def markdown() -> str:
    """The text of ``docs/handshake.md``, with one table of transitions for each role in the handshake."""
    return "\n".join([_HEADER, *(_table(role) for role in Role)])


Conditions = dict[str, bool | str]
"""The conditions of a table row: values of the fields of a state, an event and a link, under names such as
``event.keyed``."""
Outcome = tuple[str, str]
"""The next state and the effects of a transition, in words."""


def _table(role: Role) -> str:
    steps: dict[tuple[str, str], list[tuple[Conditions, Outcome]]] = {}
    changes: set[tuple[str, str]] = set()
    for state, event, after, effects in sorted(transitions(), key=repr):
        if states.role(state) is not role or isinstance(event, DeleteRequested):
            continue
        if isinstance(state, states.Failed | states.Deleted) or states.is_held(state):
            continue
        key = (_name(state), _name(event))
        following = _described(after) if isinstance(after, states.Failed) else _name(after)
        outcome = (following, "; ".join(map(_described, effects)) or "none")
        steps.setdefault(key, []).append((_conditions(state, event), outcome))
        if after != state or effects:
            changes.add(key)
    lines = [
        f"## The {_TITLES.get(role, role)}\n",
        "| state | event | next | effects | variants |",
        "|---|---|---|---|---|",
    ]
    in_order = sorted(steps, key=lambda key: (_ORDER.index(key[0]), key[1]))
    rows: dict[tuple[str, ...], list[str]] = {}
    for key in in_order:
        for conditions, (following, effects_said) in shortened(steps[key]) if key in changes else ():
            state_said, event_said = (_with(name, conditions, side) for name, side in zip(key, _SIDES, strict=False))
            variants = _variants(role, key[0], conditions)
            rows.setdefault((event_said, following, effects_said, variants), []).append(state_said)
    lines += [f"| {', '.join(said)} | {' | '.join(row)} |" for row, said in rows.items()]
    unchanged: dict[str, list[str]] = {}
    for state_name, event_name in in_order:
        if (state_name, event_name) not in changes:
            unchanged.setdefault(state_name, []).append(event_name)
    lines += ["", "Nothing changes:", ""] if unchanged else []
    lines += [f"- {name}: {', '.join(names)}" for name, names in unchanged.items()]
    return "\n".join([*lines, ""])


def _conditions(state: State, event: Event) -> Conditions:
    """Collects the fields that can decide the next state and the effects: fields of the state, of its link and of the
    event."""
    found: Conditions = {}
    for side, value in zip(_SIDES, (state, event), strict=False):
        for name in fields(type(value)):
            field = getattr(value, name)
            if name == "terms":
                found |= (
                    {} if field is None else {"link.securable": field.sender_securable, "link.key": field.reply_key}
                )
            elif field is not None and name not in ("role", "held", "detail"):
                found[f"{side}.{name}"] = field if isinstance(field, bool) else str(field)
    return found


def shortened(steps: list[tuple[Conditions, Outcome]]) -> list[tuple[Conditions, Outcome]]:
    """Table rows that say the same as ``steps``, but with fewer conditions. A condition is left out of a row if
    no step with another outcome fulfils the conditions that remain."""
    rows: list[tuple[Conditions, Outcome]] = []
    for conditions, outcome in steps:
        if any(result == outcome and row.items() <= conditions.items() for row, result in rows):
            continue
        row = conditions
        # Try to leave out the conditions of the state first, and the conditions of the link last: the last column of
        # the table shows the conditions of the link in one word.
        for name in sorted(conditions, key=lambda name: (_SIDES.index(name.partition(".")[0]), name)):
            fewer = {other: value for other, value in row.items() if other != name}
            if all(result == outcome or _exclude(fewer, other) for other, result in [*steps, *rows]):
                row = fewer
        rows.append((row, outcome))
    for one in list(rows):
        others = [row for row in rows if row is not one]
        covered = [point for point, _ in steps if one[0].items() <= point.items()]
        if all(any(row.items() <= point.items() for row, _ in others) for point in covered):
            rows = others
    return rows


def _exclude(one: Conditions, other: Conditions) -> bool:
    """Whether no step can fulfil the conditions ``one`` and the conditions ``other`` at the same time."""
    return any(name in one and one[name] != value for name, value in other.items())


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


_SIDES = ("state", "event", "link")


def _variants(role: Role, state: str, conditions: Conditions) -> str:
    """The last column of a table row: the variants of the handshake that are possible under the row's conditions."""
    if role is Role.OWNER:
        return "none"
    if state == states.ReadingLink.__name__:
        return "short link"
    allowed = [
        str(terms.variant)
        for terms in VARIANTS
        if conditions.get("link.securable", terms.sender_securable) == terms.sender_securable
        and conditions.get("link.key", terms.reply_key) == terms.reply_key
    ]
    return "all" if len(allowed) == len(VARIANTS) else ", ".join(sorted(allowed))


def _name(value: object) -> str:
    return type(value).__name__


_WORDS = {
    "state.send_queue_ready": ("peer's queue secured", "peer's queue not secured"),
    "state.receive_queue_made": ("reply queue created", "reply queue not created"),
    "state.receive_queue_ready": ("KEY not awaited", "KEY awaited"),
    "state.receive_queue_keyed": ("reply queue has the reply key", "reply queue without the reply key"),
    "state.key_beside": ("KEY at the same time", "KEY first"),
    "state.address_known": ("address known", "address not known"),
    "state.queue_made": ("own queue created", "own queue not created"),
    "state.repaired": ("SKEY sent", "SKEY not sent yet"),
    "state.signed": ("signed", "unsigned"),
    "event.key_beside": ("KEY at the same time", "KEY first"),
    "event.keyed": ("with the reply key", "without the reply key"),
    "event.reply_key": ("with a reply key", "without a reply key"),
    "event.sender_key": ("with a key", "without a key"),
    "event.reply_key_ours": ("with our reply key", "with another reply key"),
}
"""Two texts for each condition: the first is used if the condition is true, the second if it is false."""
_REPEATS = {"none": "nothing to repeat", "signed": "repeated signed", "unsigned": "repeated unsigned"}


def _with(name: str, conditions: Conditions, side: str) -> str:
    """The name of a state or event, followed by its conditions in brackets."""
    said = []
    for condition, value in conditions.items():
        of, _, field = condition.partition(".")
        if of != side:
            continue
        if isinstance(value, str):
            said.append(_REPEATS[value] if field == "repeat" else value)
        else:
            yes, no = _WORDS.get(condition, (field, f"not {field}"))
            said.append(yes if value else no)
    return f"{name} ({', '.join(said)})" if said else name


def _described(value: Record) -> str:
    """An effect or a failed state, in words: its name, then its fields in brackets, without empty and false fields."""
    said = []
    for name in fields(type(value)):
        field = getattr(value, name)
        if name == "role":
            continue
        if field is True:
            said.append(name.replace("_", " "))
        elif isinstance(field, str) and field:
            said.append(str(field))
    return f"{_name(value)} ({', '.join(said)})" if said else _name(value)


if __name__ == "__main__":
    print(markdown(), end="")  # noqa: T201 - printing is the purpose of this program
