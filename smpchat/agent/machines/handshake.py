"""The connection handshake as a state machine: frozen states, pure ``step(state, event) -> (state, effects)``.

One machine covers the four variants and both roles (handshake.md 2 to 5). The **initiator** made the link and
receives on its queue; the **joiner** used it and receives on the reply queue. A side's *send queue* is the other
side's queue, its *receive queue* its own. Repeats are legal wherever a lost answer can cause them; a pair without a
line is `UnexpectedEvent` and changes nothing.

A contact address (agent-wire 5.5) turns the roles around: whoever uses it sends its owner an invitation made for that
purpose, and so is the initiator. Until the owner answers, the requester's send queue is the address. The address itself
is a queue of the **owner** that no sender ever has for itself; each request becomes a connection of its own.

Effects are done after the state is committed, each may be done twice, and effects on the send queue run in the order
given (see `smpchat.agent.transactions.outbox`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from smpchat.agent.errors import UnexpectedEvent
from smpchat.agent.machines.handshake_states import (
    Answer,
    Answering,
    AwaitingHello,
    AwaitingReady,
    Confirming,
    Connected,
    Deleted,
    Failed,
    Failure,
    Invited,
    Inviting,
    Joining,
    Preparing,
    Published,
    Publishing,
    ReadingLink,
    Repeat,
    Requested,
    Requesting,
    Role,
    SecuringReply,
    State,
    Terms,
    role,
)


class KeyChoice(StrEnum):
    """Which key the receive queue is secured with."""

    REPLY = "reply"
    """The reply key that the link offered."""
    PEER = "peer"
    """The sender key in the header of the peer's confirmation."""


# -- events -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SendQueueSecured:
    """SKEY: OK."""


@dataclass(frozen=True, slots=True)
class SendQueueRefused:
    """SKEY or LKEY: AUTH. The queue is gone, or holds another key."""


@dataclass(frozen=True, slots=True)
class LinkRead:
    """LKEY: the short link leads to these terms; the send queue holds our key. ``send_early``: see `Joining`."""

    reply_key: bool
    send_early: bool


@dataclass(frozen=True, slots=True)
class LinkUnusable:
    """The short link leads nowhere. ``detail``: see `Failed`."""

    reason: Failure
    detail: str = ""


@dataclass(frozen=True, slots=True)
class JoinReleased:
    """The user has answered: our profile may go out."""


@dataclass(frozen=True, slots=True)
class ReceiveQueueCreated:
    """IDS for our queue.

    Attributes:
        messaging: Its sender may secure it.
        keyed: It holds the reply key from its first moment (keyed NEW).
        key_beside: KEY may travel beside the confirmation (relay at SMP 9 or later), not only before it.
    """

    messaging: bool
    keyed: bool = False
    key_beside: bool = True


@dataclass(frozen=True, slots=True)
class ReceiveQueueSecured:
    """KEY: OK."""


@dataclass(frozen=True, slots=True)
class ReceiveQueueRefused:
    """KEY: AUTH."""


@dataclass(frozen=True, slots=True)
class ConfirmationAccepted:
    """The relay has the confirmation."""


@dataclass(frozen=True, slots=True)
class ConfirmationRefused:
    """The relay refused the confirmation: AUTH."""


@dataclass(frozen=True, slots=True)
class ConfirmationReceived:
    """The joiner's confirmation opened with the keys of our link.

    Attributes:
        sender_key: Its header holds a key with which our queue must be secured.
        securable: The reply queue may be secured by its sender.
        reply_key_ours: The reply key it names is the one in our link; None where it names none.
    """

    answer: Answer
    sender_key: bool
    securable: bool
    reply_key_ours: bool | None = None


@dataclass(frozen=True, slots=True)
class HelloAccepted:
    """The relay has the hello."""


@dataclass(frozen=True, slots=True)
class HelloRefused:
    """The relay refused the hello: AUTH."""


@dataclass(frozen=True, slots=True)
class HelloReceived:
    """The initiator's hello: its profile. ``sender_key``: its header holds a key for our queue."""

    sender_key: bool


@dataclass(frozen=True, slots=True)
class PeerReady:
    """The peer's HELLO message."""


@dataclass(frozen=True, slots=True)
class ReadyRefused:
    """The relay refused our HELLO message: AUTH."""


@dataclass(frozen=True, slots=True)
class AddressRead:
    """The short link of a contact address was opened: its queue is known."""


@dataclass(frozen=True, slots=True)
class AddressRefused:
    """The contact address cannot be used."""

    reason: Failure


@dataclass(frozen=True, slots=True)
class RequestAccepted:
    """The address's relay has the request."""


@dataclass(frozen=True, slots=True)
class DeleteRequested:
    """The user deletes the connection or address, or cancels the invitation."""


Event = (
    SendQueueSecured
    | SendQueueRefused
    | LinkRead
    | LinkUnusable
    | JoinReleased
    | ReceiveQueueCreated
    | ReceiveQueueSecured
    | ReceiveQueueRefused
    | ConfirmationAccepted
    | ConfirmationRefused
    | ConfirmationReceived
    | HelloAccepted
    | HelloRefused
    | HelloReceived
    | PeerReady
    | ReadyRefused
    | AddressRead
    | AddressRefused
    | RequestAccepted
    | DeleteRequested
)


# -- effects ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CreateReceiveQueue:
    """NEW. ``keyed``: with the reply key as sender key, where the relay offers that."""

    messaging: bool
    keyed: bool


@dataclass(frozen=True, slots=True)
class CreateAddressQueue:
    """NEW of a queue for requests, with the data of its short link where the relay keeps such data."""


@dataclass(frozen=True, slots=True)
class ReadAddress:
    """LGET: what is behind the short link of an address."""


@dataclass(frozen=True, slots=True)
class SendRequest:
    """Seal and send our invitation and profile to the address."""


@dataclass(frozen=True, slots=True)
class SecureReceiveQueue:
    """KEY. ``before_sending``: nothing leaves for the peer until it is answered."""

    key: KeyChoice
    before_sending: bool


@dataclass(frozen=True, slots=True)
class SecureSendQueue:
    """SKEY; whatever is to be sent to the queue waits for the answer."""


@dataclass(frozen=True, slots=True)
class ReadLink:
    """LKEY: read what a short link leads to, and secure the send queue; what is to be sent there waits for it."""


@dataclass(frozen=True, slots=True)
class SendConfirmation:
    """Seal and send our profile and reply queue."""

    answer: Answer
    signed: bool


@dataclass(frozen=True, slots=True)
class ResendConfirmationSigned:
    """Send the same confirmation again at once, authorised with the key it carries."""


@dataclass(frozen=True, slots=True)
class RepeatConfirmation:
    """Send the same confirmation again after a pause that grows; it holds nothing up."""


@dataclass(frozen=True, slots=True)
class SendHello:
    """Seal and send our profile; unsigned, it carries a key for the peer's queue."""

    signed: bool


@dataclass(frozen=True, slots=True)
class ResendHello:
    """Send the same hello again."""


@dataclass(frozen=True, slots=True)
class SendReady:
    """Seal and send a HELLO message, before any text that waits."""


@dataclass(frozen=True, slots=True)
class DeleteReceiveQueue:
    """DEL our queue, if it was made."""


Effect = (
    CreateReceiveQueue
    | CreateAddressQueue
    | ReadAddress
    | SendRequest
    | SecureReceiveQueue
    | SecureSendQueue
    | ReadLink
    | SendConfirmation
    | ResendConfirmationSigned
    | RepeatConfirmation
    | SendHello
    | ResendHello
    | SendReady
    | DeleteReceiveQueue
)
Step = tuple[State, tuple[Effect, ...]]


# -- transitions ------------------------------------------------------------------------------------------------------


def join(terms: Terms, *, send_early: bool) -> Step:
    """The joiner's first step: SKEY and NEW go out together."""
    secure: tuple[Effect, ...] = (SecureSendQueue(),) if terms.sender_securable else ()
    create = CreateReceiveQueue(messaging=True, keyed=terms.reply_key)
    return Joining(terms, send_early, send_queue_ready=not terms.sender_securable), (*secure, create)


def join_short(*, held: bool) -> Step:
    """The first step with a short link: LKEY and NEW go out together. ``held``: see `Joining`."""
    return ReadingLink(held), (ReadLink(), CreateReceiveQueue(messaging=True, keyed=False))


def invite(terms: Terms) -> Step:
    """The initiator's first step."""
    return Inviting(terms), (CreateReceiveQueue(messaging=terms.sender_securable, keyed=False),)


def request(terms: Terms, *, address_known: bool, held: bool = False) -> Step:
    """The first step of whoever uses a contact address: LGET, if its link is short, and NEW go out together.

    ``held``: see `Joining`.
    """
    read: tuple[Effect, ...] = () if address_known else (ReadAddress(),)
    create = CreateReceiveQueue(messaging=terms.sender_securable, keyed=False)
    return Preparing(terms, address_known, held=held), (*read, create)


def publish() -> Step:
    """The first step of a contact address."""
    return Publishing(Terms(sender_securable=False, reply_key=False)), (CreateAddressQueue(),)


def step(state: State, event: Event) -> Step:
    """The next state and what to do about it.

    Raises:
        UnexpectedEvent: This cannot happen here; nothing changed.
    """
    match state, event:
        case Deleted(), ReceiveQueueCreated():
            return state, (DeleteReceiveQueue(),)
        case Deleted(), _:
            return state, ()
        case _, DeleteRequested():
            return Deleted(role(state), state.terms), (DeleteReceiveQueue(),)
        case Failed(), ReceiveQueueCreated():
            return state, (DeleteReceiveQueue(),)
        case Failed(), _:
            return state, ()
        case Publishing(), ReceiveQueueCreated():
            return Published(state.terms), ()
        case ((Inviting() | Invited() | Answering()), _):
            return _initiator(state, event)
        case ((Preparing() | Requesting() | Requested()), _):
            return _requester(state, event)
        case ReadingLink(), _:
            return _reader(state, event)
        case ((Joining() | Confirming() | AwaitingHello() | SecuringReply()), _):
            return _joiner(state, event)
        case AwaitingReady(), PeerReady():
            ready: tuple[Effect, ...] = (SendReady(),) if state.role is Role.INITIATOR else ()
            return Connected(state.role, state.terms, Answer.REPLY), ready
        case AwaitingReady(), ReadyRefused():
            # the peer's queue took our key, so nobody else has used it: it is gone (agent-wire 5.2)
            return Failed(state.role, state.terms, _used(state.terms)), (DeleteReceiveQueue(),)
        # the answers of a flight that was repeated, and the joiner's HELLO where nobody waits for it
        case (
            (AwaitingReady() | Connected()),
            (
                ConfirmationAccepted()
                | ConfirmationRefused()
                | HelloAccepted()
                | HelloRefused()
                | SendQueueSecured()
                | SendQueueRefused()
                | ReceiveQueueSecured()
                | ReceiveQueueRefused()
                | PeerReady()
                | ReadyRefused()
            ),
        ):
            return state, ()
    raise UnexpectedEvent(state, event)


def _reader(state: ReadingLink, event: Event) -> Step:
    match event:
        case LinkRead(reply_key, send_early):
            terms = Terms(sender_securable=True, reply_key=reply_key)
            joining = Joining(terms, send_early, send_queue_ready=True, held=state.held)
            if not state.receive_queue_made:
                return joining, ()
            return _joiner(joining, ReceiveQueueCreated(messaging=True, key_beside=state.key_beside))
        case SendQueueRefused():
            return _link_used(state)
        case LinkUnusable(reason, detail):
            return Failed(Role.JOINER, state.terms, reason, detail), (DeleteReceiveQueue(),)
        case ReceiveQueueCreated(key_beside=beside):
            return replace(state, receive_queue_made=True, key_beside=beside), ()
        case JoinReleased() if state.held:
            return replace(state, held=False), ()
    raise UnexpectedEvent(state, event)


def _joiner(state: Joining | Confirming | AwaitingHello | SecuringReply, event: Event) -> Step:
    match state, event:
        case Joining(), SendQueueSecured():
            return _confirm_when_ready(replace(state, send_queue_ready=True))
        case Joining(), SendQueueRefused():
            return _link_used(state)
        case Joining(), ReceiveQueueCreated(keyed=keyed, key_beside=beside):
            made = replace(state, receive_queue_made=True, receive_queue_keyed=keyed)
            if not state.terms.reply_key or keyed or beside:
                return _confirm_when_ready(replace(made, receive_queue_ready=True))
            return made, (SecureReceiveQueue(KeyChoice.REPLY, before_sending=True),)
        case Joining(), ReceiveQueueSecured():
            return _confirm_when_ready(replace(state, receive_queue_ready=True, receive_queue_keyed=True))
        case Joining(held=True), JoinReleased():
            return _confirm_when_ready(replace(state, held=False))
        case Confirming(signed=True), ConfirmationAccepted():
            return AwaitingHello(state.terms, state.send_early, state.answer), ()
        case Confirming(), ConfirmationAccepted():
            awaiting = AwaitingHello(state.terms, state.send_early, state.answer, Repeat.UNSIGNED)
            return awaiting, (RepeatConfirmation(),)
        case AwaitingHello(repeat=Repeat.UNSIGNED), ConfirmationAccepted():
            return state, (RepeatConfirmation(),)
        case AwaitingHello(repeat=Repeat.UNSIGNED), ConfirmationRefused():
            return replace(state, repeat=Repeat.SIGNED), (ResendConfirmationSigned(),)
        case AwaitingHello(repeat=Repeat.SIGNED), ConfirmationAccepted():
            return replace(state, repeat=Repeat.NONE), ()
        case AwaitingHello(repeat=Repeat.SIGNED), ConfirmationRefused():
            return _link_used(state)
        case Confirming(signed=True), ConfirmationRefused():
            return _link_used(state)
        case Confirming(), ConfirmationRefused():
            # the initiator may have accepted an earlier copy: then the queue now takes our key (handshake.md 5)
            return replace(state, signed=True), (ResendConfirmationSigned(),)
        case ((Confirming() | AwaitingHello()), HelloReceived(sender_key=False)):
            announce = state.answer is Answer.SECURED and not state.terms.sender_securable
            return Connected(Role.JOINER, state.terms, state.answer), (SendReady(),) if announce else ()
        case ((Confirming() | AwaitingHello()), HelloReceived(sender_key=True)) if state.answer is Answer.REPLY:
            secure = SecureReceiveQueue(KeyChoice.PEER, before_sending=True)
            return SecuringReply(state.terms, state.send_early), (secure,)
        case SecuringReply(), ReceiveQueueSecured():
            return AwaitingReady(Role.JOINER, state.terms, state.send_early), (SendReady(),)
        case ((Joining() | Confirming() | AwaitingHello() | SecuringReply()), ReceiveQueueRefused()):
            return Failed(Role.JOINER, state.terms, Failure.QUEUE_REFUSED), (DeleteReceiveQueue(),)
        case (
            (Confirming() | AwaitingHello() | SecuringReply()),
            (SendQueueSecured() | ReceiveQueueSecured() | ConfirmationAccepted() | ConfirmationRefused()),
        ):
            return state, ()
    raise UnexpectedEvent(state, event)


def _confirm_when_ready(state: Joining) -> Step:
    if state.held or not (state.send_queue_ready and state.receive_queue_made and state.receive_queue_ready):
        return state, ()
    terms = state.terms
    answer = Answer.SECURED if terms.reply_key else Answer.REPLY
    effects: tuple[Effect, ...] = (SendConfirmation(answer, signed=terms.sender_securable),)
    if terms.reply_key and not state.receive_queue_keyed:
        effects = (SecureReceiveQueue(KeyChoice.REPLY, before_sending=False), *effects)
    return Confirming(terms, state.send_early, answer, signed=terms.sender_securable), effects


def _link_used(state: ReadingLink | Joining | Confirming | AwaitingHello) -> Step:
    return Failed(Role.JOINER, state.terms, _used(state.terms)), (DeleteReceiveQueue(),)


def _used(terms: Terms | None) -> Failure:
    return Failure.REQUEST_GONE if terms is not None and terms.requested else Failure.LINK_USED


def _initiator(state: Inviting | Invited | Answering, event: Event) -> Step:
    match state, event:
        case Inviting(), ReceiveQueueCreated(messaging=messaging):
            return Invited(replace(state.terms, sender_securable=messaging)), ()
        case Invited(), ConfirmationReceived():
            return _confirmed(state, event)
        case Answering(), HelloAccepted():
            if state.answer is Answer.SECURED or state.securable:
                return Connected(Role.INITIATOR, state.terms, state.answer), ()
            return AwaitingReady(Role.INITIATOR, state.terms, send_early=False), ()
        case Answering(answer=Answer.SECURED, securable=True, repaired=False), HelloRefused():
            # our hello overtook the joiner's KEY: secure the queue with the same key (handshake.md 4)
            return replace(state, repaired=True), (SecureSendQueue(), ResendHello())
        case Answering(), (HelloRefused() | SendQueueRefused()):
            return Failed(Role.INITIATOR, state.terms, Failure.REPLY_REFUSED), (DeleteReceiveQueue(),)
        case Answering(), ReceiveQueueRefused():
            return Failed(Role.INITIATOR, state.terms, Failure.QUEUE_REFUSED), (DeleteReceiveQueue(),)
        case Answering(answer=Answer.REPLY, securable=False), PeerReady():
            return Connected(Role.INITIATOR, state.terms, state.answer), (SendReady(),)
        case Answering(), (SendQueueSecured() | ReceiveQueueSecured() | PeerReady()):
            return state, ()
    raise UnexpectedEvent(state, event)


def _requester(state: Preparing | Requesting | Requested, event: Event) -> Step:
    match state, event:
        case Preparing(address_known=False), AddressRead():
            return _request_when_ready(replace(state, address_known=True))
        case Preparing(queue_made=False), ReceiveQueueCreated(messaging=messaging):
            terms = replace(state.terms, sender_securable=messaging)
            return _request_when_ready(replace(state, terms=terms, queue_made=True))
        case Preparing(held=True), JoinReleased():
            return _request_when_ready(replace(state, held=False))
        case ((Preparing(address_known=False) | Requesting()), AddressRefused(reason)):
            return Failed(Role.INITIATOR, state.terms, reason), (DeleteReceiveQueue(),)
        case Requesting(), RequestAccepted():
            return Requested(state.terms), ()
        case ((Requesting() | Requested()), ConfirmationReceived()):  # it tells that the request arrived, if OK did not
            return _confirmed(state, event)
    raise UnexpectedEvent(state, event)


def _request_when_ready(state: Preparing) -> Step:
    if state.held or not (state.address_known and state.queue_made):
        return state, ()
    return Requesting(state.terms), (SendRequest(),)


def _confirmed(state: Invited | Requesting | Requested, event: ConfirmationReceived) -> Step:
    if event.reply_key_ours is False:
        return Failed(Role.INITIATOR, state.terms, Failure.REPLY_REFUSED), (DeleteReceiveQueue(),)
    # software that does not know the reply key takes the older path (handshake.md 3.1)
    terms = replace(state.terms, reply_key=event.answer is Answer.SECURED)
    return Answering(terms, event.answer, event.securable), _answer(event)


def _answer(event: ConfirmationReceived) -> tuple[Effect, ...]:
    """How the initiator answers: each queue is secured on its own terms (agent-wire 5.3)."""
    effects: list[Effect] = []
    if event.sender_key:
        effects.append(SecureReceiveQueue(KeyChoice.PEER, before_sending=True))
    if event.answer is Answer.SECURED:
        return (*effects, SendHello(signed=True))
    if event.securable:
        return (*effects, SecureSendQueue(), SendHello(signed=True))
    return (*effects, SendHello(signed=False))
