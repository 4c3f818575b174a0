"""The connection handshake as a state machine: frozen states, pure ``step(state, event) -> (state, effects)``.

One machine covers all four kinds of handshake (`Variant`) and both roles; `docs/handshake.md` lists its transitions.
The **initiator** made the link and receives on the link's queue; the **joiner** used it and receives on the reply
queue. For each side, the *send queue* is the queue of the other side, and the *receive queue* is its own. Repeated
events are allowed wherever a lost answer can cause them. If no case below matches a state and an event, `step` raises
`UnexpectedEvent` and changes nothing.

A contact address (agent-wire 5.5) reverses the roles: the person who uses it sends the owner an invitation made for
this purpose, and so is the initiator. Until the owner answers, the initiator's send queue is the address. An address is
a queue that belongs to its **owner** and is never reserved for one sender; each accepted request becomes a connection
of its own.

The *hello* is the message in which the initiator sends its profile. HELLO, in capitals, is another message: in the
older handshakes, each side sends HELLO as its last message.

Three modules beside this one define the states (`handshake_states`), events (`handshake_events`) and effects
(`handshake_effects`).
"""

from __future__ import annotations

from smpchat.agent.errors import UnexpectedEvent
from smpchat.agent.machines.handshake_effects import (
    CreateAddressQueue,
    CreateReceiveQueue,
    DeleteReceiveQueue,
    Effect,
    KeyChoice,
    ReadAddress,
    ReadLink,
    RepeatConfirmation,
    ResendConfirmationSigned,
    ResendHello,
    SecureReceiveQueue,
    SecureSendQueue,
    SendConfirmation,
    SendHello,
    SendReady,
    SendRequest,
)
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
    Repeated,
    RequestAccepted,
    SendQueueRefused,
    SendQueueSecured,
)
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
from smpchat.encoding.record import replace

Effects = tuple[Effect, ...]
Step = tuple[State, Effects]


# -- first steps ------------------------------------------------------------------------------------------------------


def invite(terms: Terms) -> Step:
    """The initiator's first step."""
    return Inviting(terms), (CreateReceiveQueue(messaging=terms.sender_securable, keyed=False),)


def join(terms: Terms, *, send_early: bool) -> Step:
    """The joiner's first step: NEW is sent, together with SKEY if the link allows it."""
    secure: Effects = (SecureSendQueue(),) if terms.sender_securable else ()
    # SKEY and NEW are about different queues, so both can be sent at once. The reference (simplexmq) sends them one
    # after the other.
    create = CreateReceiveQueue(messaging=True, keyed=terms.reply_key)
    return Joining(terms, send_early, send_queue_ready=not terms.sender_securable), (*secure, create)


def join_short(*, held: bool) -> Step:
    """The joiner's first step with a short link: LKEY and NEW are sent together. ``held``: see `Joining`."""
    return ReadingLink(held), (ReadLink(), CreateReceiveQueue(messaging=True, keyed=False))


def request(terms: Terms, *, address_known: bool, held: bool = False) -> Step:
    """The first step of the person who uses a contact address: NEW is sent, together with LGET if the link is short.

    ``held``: see `Joining`.
    """
    read: Effects = () if address_known else (ReadAddress(),)
    create = CreateReceiveQueue(messaging=terms.sender_securable, keyed=False)
    return Preparing(terms, address_known, held=held), (*read, create)


def publish() -> Step:
    """The first step when we make a contact address."""
    return Publishing(Terms(sender_securable=False, reply_key=False)), (CreateAddressQueue(),)


# -- every other step -------------------------------------------------------------------------------------------------


def step(state: State, event: Event) -> Step:
    """The next state, and the effects to be carried out.

    Raises:
        UnexpectedEvent: This event cannot happen in this state; nothing changed.
    """
    match state, event:
        # -- failed or deleted: a failed connection can still be deleted; nothing else changes the state --
        case ((Failed() | Deleted()), ReceiveQueueCreated()):  # NEW was already sent: its queue must not stay
            return state, (DeleteReceiveQueue(),)
        case Deleted(), _:
            return state, ()
        case _, DeleteRequested():
            return Deleted(role(state), state.terms), (DeleteReceiveQueue(),)
        case Failed(), _:
            return state, ()

        # -- the joiner: secure the initiator's queue, create the reply queue, send the confirmation --
        case ReadingLink(), LinkRead(reply_key, send_early):
            terms = Terms(sender_securable=True, reply_key=reply_key)
            # One LKEY has both read the link and secured the queue with our key, so there is no SKEY to wait for
            # (agent-wire 2.8, trap 12).
            joining = Joining(terms, send_early, send_queue_ready=True, held=state.held)
            if not state.receive_queue_made:
                return joining, ()
            return step(joining, ReceiveQueueCreated(messaging=state.messaging, key_beside=state.key_beside))
        case ReadingLink(), ReceiveQueueCreated(messaging=messaging, key_beside=beside):
            return replace(state, receive_queue_made=True, key_beside=beside, messaging=messaging), ()
        case ReadingLink(held=True), JoinReleased():
            return replace(state, held=False), ()
        case ReadingLink(), LinkUnusable(reason, detail):
            return _failed(state, reason, detail)
        case Joining(), SendQueueSecured():
            return _confirm_when_ready(replace(state, send_queue_ready=True))
        # There are three ways to secure the reply queue with the reply key. The queue was made with the key (keyed
        # NEW); or KEY is sent at the same time as the confirmation, which goes to another queue; or, at a relay below
        # SMP 9, KEY must be answered before the confirmation is sent. If KEY and the confirmation are sent at the same
        # time, the initiator's hello may overtake KEY; the initiator repairs that in the case of HelloRefused below.
        case Joining(), ReceiveQueueCreated(messaging=messaging, keyed=keyed, key_beside=beside):
            made = replace(state, receive_queue_made=True, receive_queue_keyed=keyed, receive_queue_messaging=messaging)
            if not state.terms.reply_key or keyed or beside:
                return _confirm_when_ready(replace(made, receive_queue_ready=True))
            return made, (SecureReceiveQueue(KeyChoice.REPLY, before_sending=True),)
        case Joining(), ReceiveQueueSecured():
            return _confirm_when_ready(replace(state, receive_queue_ready=True, receive_queue_keyed=True))
        case Joining(held=True), JoinReleased():
            return _confirm_when_ready(replace(state, held=False))
        case ((ReadingLink() | Joining()), SendQueueRefused()):
            return _failed(state, _used(state.terms))

        # -- the joiner: did the relay store the confirmation, and does the queue have our key? --
        # The relay's OK to a signed SEND says that the queue has our key. OK to an unsigned SEND only says that the
        # queue has no key yet. So an unsigned confirmation is repeated, to find out whether the initiator has accepted
        # our key.
        case Confirming(signed=True), ConfirmationAccepted():
            return AwaitingHello(state.terms, state.send_early, state.answer), ()
        case Confirming(), ConfirmationAccepted():
            return AwaitingHello(state.terms, state.send_early, state.answer, Repeat.UNSIGNED), (RepeatConfirmation(),)
        case Confirming(signed=False), ConfirmationRefused():
            # The initiator may have received an earlier copy of the confirmation, and secured its queue with the key in
            # that copy, which is our key.
            return replace(state, signed=True), (ResendConfirmationSigned(),)
        case AwaitingHello(repeat=Repeat.UNSIGNED), ConfirmationAccepted():
            return state, (RepeatConfirmation(),)
        case AwaitingHello(repeat=Repeat.UNSIGNED), ConfirmationRefused():
            return replace(state, repeat=Repeat.SIGNED), (ResendConfirmationSigned(),)
        case AwaitingHello(repeat=Repeat.SIGNED), ConfirmationAccepted():
            return replace(state, repeat=Repeat.NONE), ()
        # AUTH to a signed SEND is final: the queue has another sender's key, or is gone. AUTH to an unsigned SEND only
        # says that the queue has some key (agent-wire 3.7).
        case ((Confirming(signed=True) | AwaitingHello(repeat=Repeat.SIGNED)), ConfirmationRefused()):
            return _failed(state, _used(state.terms))

        # -- the joiner: the initiator's hello --
        case ((Confirming() | AwaitingHello()), HelloReceived(sender_key=False)):
            # After a confirmation with the tag S, HELLO is sent only if that confirmation was unsigned. If an initiator
            # that runs the reference got HELLO after a signed confirmation, it would take HELLO for a second connection
            # (agent-wire 5.3).
            announce = state.answer is Answer.SECURED and not state.terms.sender_securable
            return Connected(Role.JOINER, state.terms, state.answer), (SendReady(),) if announce else ()
        case ((Confirming() | AwaitingHello()), HelloReceived(sender_key=True)) if state.answer is Answer.REPLY:
            secure = SecureReceiveQueue(KeyChoice.PEER, before_sending=True)
            return SecuringReply(state.terms, state.send_early), (secure,)
        case SecuringReply(), ReceiveQueueSecured():
            return AwaitingReady(Role.JOINER, state.terms, state.send_early), (SendReady(),)

        # -- the initiator: make an invitation, send it to an address if there is one, receive the confirmation --
        case Inviting(), ReceiveQueueCreated(messaging=messaging):
            # The relay may have made another kind of queue than we asked for: the link says q=m (the sender may secure
            # the queue) only if IDS says so.
            return Invited(replace(state.terms, sender_securable=messaging)), ()
        case Preparing(address_known=False), AddressRead():
            return _request_when_ready(replace(state, address_known=True))
        case Preparing(queue_made=False), ReceiveQueueCreated(messaging=messaging):
            terms = replace(state.terms, sender_securable=messaging)
            return _request_when_ready(replace(state, terms=terms, queue_made=True))
        case Preparing(held=True), JoinReleased():
            return _request_when_ready(replace(state, held=False))
        case ((Preparing(address_known=False) | Requesting()), AddressRefused(reason)):
            return _failed(state, reason)
        case Requesting(), RequestAccepted():
            return Requested(state.terms), ()
        # The confirmation may arrive before the relay's OK to the request. It shows the same as this OK: the request
        # arrived.
        case ((Invited() | Requesting() | Requested()), ConfirmationReceived(reply_key_ours=False)):
            # The confirmation names another reply key than our link: somebody changed the link on its way. We send
            # nothing.
            return _failed(state, Failure.REPLY_REFUSED)
        case ((Invited() | Requesting() | Requested() | Confirming() | AwaitingHello()), PeerUnsuitable(detail)):
            return _failed(state, Failure.NOT_A_CONTACT, detail)
        case ((Invited() | Requesting() | Requested()), ConfirmationReceived(answer, _, securable)):
            # a joiner whose software does not know reply keys answers as if the link had none
            terms = replace(state.terms, reply_key=answer is Answer.SECURED)
            return Answering(terms, answer, securable), _answer(event)

        # -- the initiator: the hello --
        case Answering(), HelloAccepted():
            # If the queue accepted our signed hello, no HELLO follows: the relay's OK is enough (agent-wire 5.1). If
            # our hello was unsigned, we wait for the peer's HELLO (agent-wire 5.2).
            if state.answer is Answer.SECURED or state.securable:
                return Connected(Role.INITIATOR, state.terms, state.answer), ()
            return AwaitingReady(Role.INITIATOR, state.terms, send_early=False), ()
        # The repair is tried only once: if the hello is refused again after SKEY succeeded, every later try would be
        # refused, too.
        case Answering(answer=Answer.SECURED, securable=True, repaired=False), HelloRefused():
            # Our hello overtook the joiner's KEY. We secure the queue ourselves (SKEY), with the same key as in KEY.
            return replace(state, repaired=True), (SecureSendQueue(), ResendHello())
        case Answering(), (HelloRefused() | SendQueueRefused()):
            return _failed(state, Failure.REPLY_REFUSED)
        # The peer's HELLO shows that it has our hello: only the relay's OK to the hello was lost.
        case Answering(answer=Answer.REPLY, securable=False), PeerReady():
            return Connected(Role.INITIATOR, state.terms, state.answer), (SendReady(),)

        # -- either side --
        case AwaitingReady(), PeerReady():
            ready: Effects = (SendReady(),) if state.role is Role.INITIATOR else ()
            return Connected(state.role, state.terms, Answer.REPLY), ready
        case AwaitingReady(), ReadyRefused():
            # the peer's queue has our key, so AUTH cannot mean that somebody else secured the queue: the queue is gone
            # (agent-wire 5.2)
            return _failed(state, _used(state.terms))
        case ((Joining() | Confirming() | AwaitingHello() | SecuringReply() | Answering()), ReceiveQueueRefused()):
            return _failed(state, Failure.QUEUE_REFUSED)

        case ((Joining() | Confirming()), GivenUp()) if state.terms.requested:
            return _failed(state, Failure.NOT_REACHED)

        # -- the owner of an address --
        case Publishing(), ReceiveQueueCreated():
            return Published(state.terms), ()

        # -- a command was repeated, because its answer was lost --
        case (
            (Confirming() | AwaitingHello() | SecuringReply()),
            (SendQueueSecured() | ReceiveQueueSecured() | ConfirmationAccepted() | ConfirmationRefused()),
        ):
            return state, ()
        case Answering(), (SendQueueSecured() | ReceiveQueueSecured() | PeerReady()):
            return state, ()
        case ((AwaitingReady() | Connected()), _) if isinstance(event, Repeated):
            return state, ()
    raise UnexpectedEvent(state, event)


def _confirm_when_ready(state: Joining) -> Step:
    if state.held or not (state.send_queue_ready and state.receive_queue_made and state.receive_queue_ready):
        return state, ()
    terms = state.terms
    answer = Answer.SECURED if terms.reply_key else Answer.REPLY
    effects: Effects = (SendConfirmation(answer, signed=terms.sender_securable),)
    # KEY is pipelined with the confirmation, which goes to another queue. KEY and SKEY are never pipelined with later
    # commands to the same queue.
    if terms.reply_key and not state.receive_queue_keyed:
        effects = (SecureReceiveQueue(KeyChoice.REPLY, before_sending=False), *effects)
    # An initiator that cannot secure the reply queue itself waits for our HELLO. If a text comes before HELLO, an
    # initiator that runs the reference takes the text for HELLO, and then refuses the real HELLO for good ("hello:
    # active"), so the connection hangs (agent-wire 5.3).
    early = state.send_early and (answer is Answer.SECURED or state.receive_queue_messaging)
    return Confirming(terms, early, answer, signed=terms.sender_securable), effects


def _request_when_ready(state: Preparing) -> Step:
    if state.held or not (state.address_known and state.queue_made):
        return state, ()
    return Requesting(state.terms), (SendRequest(),)


def _answer(confirmation: ConfirmationReceived) -> Effects:
    """The effects with which the initiator answers a confirmation: each of the two queues is secured in the way that it
    allows (agent-wire 5.3)."""
    effects: list[Effect] = []
    # The confirmation's header, not the kind of handshake, decides whether KEY is sent: the two queues may be secured
    # in different ways (agent-wire 5.3). KEY must be answered before the hello is sent: a joiner that has the hello may
    # sign its SENDs, and the relay answers a signed SEND to an unsecured queue with AUTH (agent-wire trap 15).
    if confirmation.sender_key:
        effects.append(SecureReceiveQueue(KeyChoice.PEER, before_sending=True))
    if confirmation.answer is Answer.SECURED:
        return (*effects, SendHello(signed=True))
    if confirmation.securable:
        return (*effects, SecureSendQueue(), SendHello(signed=True))
    return (*effects, SendHello(signed=False))


def _failed(state: State, reason: Failure, detail: str = "") -> Step:
    return Failed(role(state), state.terms, reason, detail), (DeleteReceiveQueue(),)


def _used(terms: Terms | None) -> Failure:
    return Failure.REQUEST_GONE if terms is not None and terms.requested else Failure.LINK_USED
