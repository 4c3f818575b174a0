"""The states of the connection handshake, and what each of them means: what may be sent, and what people see.

`smpchat.agent.machines.handshake` is the machine that goes from one state to the next; its docstring says which side is
the *initiator* and which the *joiner*. The states are in a module of their own, because a process that only reads a
store, or writes to a contact, does not need the transitions.
"""

from __future__ import annotations

from enum import StrEnum

from smpchat.encoding.record import Record


class Role(StrEnum):
    """Which side of a connection we are."""

    INITIATOR = "initiator"
    JOINER = "joiner"
    OWNER = "owner"
    """The owner of a contact address. Such an owner has no single peer, and so is neither initiator nor joiner."""


class Variant(StrEnum):
    """The kinds of handshake. Which kind a connection uses depends only on the initiator's queue and link."""

    INSTANT = "instant"
    THREE_STEP = "three-step"
    SENDER_SECURED = "sender-secured"
    STANDARD = "standard"


class Answer(StrEnum):
    """Tag of the confirmation: it says whether the reply queue is secured with the link's reply key."""

    SECURED = "S"
    REPLY = "D"


class Failure(StrEnum):
    """Why a connection can never be made."""

    LINK_USED = "link-used"
    LINK_USED_OR_JOINED = "link-used-or-joined"
    """A short link was used by someone, or it is the short form of a full link that this profile has joined."""
    REQUEST_GONE = "request-gone"
    """The invitation in a request to our address was used elsewhere, or was deleted."""
    NOT_REACHED = "not-reached"
    """A request to our address was accepted automatically, but the relay that it names was not reached in time."""
    REPLY_REFUSED = "reply-refused"
    QUEUE_REFUSED = "queue-refused"
    ADDRESS_GONE = "address-gone"
    ADDRESS_UNUSABLE = "address-unusable"
    ADDRESS_USED = "address-used"
    NOT_A_CONTACT = "not-a-contact"
    """The other side is not a contact to write to, but a group's host, for example."""
    LINK_DATA = "link-data"
    """The data at the relay of a short link was not made for this link."""
    LINK_VERSIONS = "link-versions"
    """The short link was made by software that has no version in common with ours."""
    NO_SHORT_LINKS = "no-short-links"
    """The relay of a short link does not support short links."""


class Repeat(StrEnum):
    """Whether we send the confirmation again, although the relay has accepted it, while we wait for the hello."""

    NONE = "none"
    """No repetition is needed: the confirmation was signed, so the relay's OK proves that the queue has our key."""
    UNSIGNED = "unsigned"
    """The confirmation is sent again unchanged from time to time, to find out whether the queue is still unsecured."""
    SIGNED = "signed"
    """The queue is secured. The confirmation is sent once more, unchanged but signed, to find out whether the queue has
    our key."""


class Terms(Record):
    """What the link and the initiator's relay allow.

    Attributes:
        sender_securable: The joiner may secure the initiator's queue itself (SKEY).
        reply_key: The link offers a key for the reply queue.
        requested: The link came in a request to our address, so it was made for us alone.
    """

    sender_securable: bool
    reply_key: bool
    requested: bool = False

    @property
    def variant(self) -> Variant:
        """The kind of handshake that follows from what the link and the initiator's relay allow."""
        if self.sender_securable:
            return Variant.INSTANT if self.reply_key else Variant.SENDER_SECURED
        return Variant.THREE_STEP if self.reply_key else Variant.STANDARD


# -- states -----------------------------------------------------------------------------------------------------------


class ReadingLink(Record):
    """Joiner with a short link: we read the link, which also secures the initiator's queue, and create the reply queue.

    What the link allows is not known before it is read, so the reply queue is made without a key.

    Attributes:
        held: See `Joining`.
        receive_queue_made: The reply queue exists.
        key_beside, messaging: See `ReceiveQueueCreated`.
    """

    held: bool = False
    receive_queue_made: bool = False
    key_beside: bool = False
    messaging: bool = False

    @property
    def terms(self) -> None:
        """What the link allows is not known yet."""
        return None


class Joining(Record):
    """Joiner: we secure the initiator's queue and create the reply queue at the same time.

    Attributes:
        send_early: The initiator's software can read texts that arrive after our confirmation and before its own hello.
            For that, the software needs agent version 7 and SMP client version 3. Software with a client version below
            3 cannot be told that it may secure the reply queue, so it waits for HELLO first.
        send_queue_ready: The send queue is secured, or we are not allowed to secure it.
        receive_queue_made: The reply queue exists.
        receive_queue_ready: The confirmation need not wait for the answer to the reply queue's KEY.
        receive_queue_keyed: The reply queue is secured with the reply key.
        held: Our profile must not be sent yet: first the user must answer a question.
        receive_queue_messaging: The initiator may secure the reply queue itself, so it does not wait for our HELLO.
    """

    terms: Terms
    send_early: bool
    send_queue_ready: bool
    receive_queue_made: bool = False
    receive_queue_ready: bool = False
    receive_queue_keyed: bool = False
    held: bool = False
    receive_queue_messaging: bool = False


class Confirming(Record):
    """Joiner: the confirmation is stored and on its way."""

    terms: Terms
    send_early: bool
    answer: Answer
    signed: bool


class AwaitingHello(Record):
    """Joiner: the relay has the confirmation; the initiator has not answered yet. Users see this state as *ready*."""

    terms: Terms
    send_early: bool
    answer: Answer
    repeat: Repeat = Repeat.NONE


class SecuringReply(Record):
    """Joiner: the initiator asked us to secure the reply queue with its key (KEY); we send HELLO after that."""

    terms: Terms
    send_early: bool


class AwaitingReady(Record):
    """Either side, in the older handshakes: waiting for the peer's HELLO."""

    role: Role
    terms: Terms
    send_early: bool


class Inviting(Record):
    """Initiator: the queue of the invitation is being created."""

    terms: Terms


class Invited(Record):
    """Initiator: the link exists; nobody has answered it yet."""

    terms: Terms


class Preparing(Record):
    """Initiator who uses an address: we read the data of its short link and create our own queue at the same time.

    Attributes:
        address_known: The address's queue is known.
        queue_made: Our own queue exists.
        held: See `Joining`.
    """

    terms: Terms
    address_known: bool
    queue_made: bool = False
    held: bool = False


class Requesting(Record):
    """Initiator who uses an address: the request with our invitation is sealed and on its way to the address."""

    terms: Terms


class Requested(Record):
    """Initiator who uses an address: the address's relay has the request; the owner has not answered yet. Users see
    this state as *ready*."""

    terms: Terms


class Publishing(Record):
    """Owner: the queue of the contact address is being created."""

    terms: Terms


class Published(Record):
    """Owner: the address exists and accepts requests."""

    terms: Terms


class Answering(Record):
    """Initiator: we have processed the confirmation, and our hello, with our profile, is stored and on its way.

    Attributes:
        securable: The reply queue may be secured by its sender.
        repaired: The reply queue refused the hello, which had overtaken the joiner's KEY. So we sent SKEY, and the
            hello again.
    """

    terms: Terms
    answer: Answer
    securable: bool
    repaired: bool = False


class Connected(Record):
    """Both sides have each other's profile and queues."""

    role: Role
    terms: Terms
    answer: Answer


class Failed(Record):
    """The connection can never be made.

    Attributes:
        terms: What the link allows; None if the connection began with a short link that was never read.
        detail: A sentence that says more about the reason, or an empty text.
    """

    role: Role
    terms: Terms | None
    reason: Failure
    detail: str = ""


class Deleted(Record):
    """Deleted by the user. Our queue at the relay may still have to be deleted."""

    role: Role
    terms: Terms | None


State = (
    ReadingLink
    | Joining
    | Confirming
    | AwaitingHello
    | SecuringReply
    | AwaitingReady
    | Inviting
    | Invited
    | Preparing
    | Requesting
    | Requested
    | Publishing
    | Published
    | Answering
    | Connected
    | Failed
    | Deleted
)


# -- what states mean -------------------------------------------------------------------------------------------------


def role(state: State) -> Role:
    """Which side of a connection we are if it is in this state."""
    match state:
        case AwaitingReady() | Connected() | Failed() | Deleted():
            return state.role
        case Inviting() | Invited() | Answering() | Preparing() | Requesting() | Requested():
            return Role.INITIATOR
        case Publishing() | Published():
            return Role.OWNER
    return Role.JOINER


def awaits_confirmation(state: State) -> bool:
    """Whether our invitation exists and nobody has answered it."""
    return isinstance(state, Invited | Requesting | Requested)


def variant(state: State) -> Variant | None:
    """The kind of handshake. None if the kind is not decided yet, and always for a contact address."""
    undecided = Inviting | Invited | Preparing | Requesting | Requested | Publishing | Published
    return None if isinstance(state, undecided) or state.terms is None else state.terms.variant


def is_held(state: State) -> bool:
    """Whether the user must be asked before our profile is sent."""
    return isinstance(state, ReadingLink | Joining | Preparing) and state.held


def has_introduced(state: State) -> bool:
    """Whether our confirmation or hello, which contains our profile, is sealed. Once it is sealed, a changed profile
    must be sent in another message."""
    return isinstance(state, Confirming | AwaitingHello | SecuringReply | AwaitingReady | Answering | Connected)


def reads_link(state: State) -> bool:
    """Whether the connection began with a short link, and this link has not been read yet."""
    return isinstance(state, ReadingLink) or (isinstance(state, Preparing) and not state.address_known)


def may_send(state: State) -> bool:
    """Whether texts may be sealed and put into the outbox, behind the messages of the handshake."""
    match state:
        case Connected():
            return True
        case Confirming() | AwaitingHello() | SecuringReply() | AwaitingReady():
            return state.terms.sender_securable and state.send_early
        case Answering():
            # An unsigned hello asks the peer to secure its queue with KEY. Texts are always signed, so until KEY is
            # done the relay would answer them with AUTH. The peer's HELLO says that KEY is done (agent-wire 5.2, trap
            # 15).
            return state.answer is Answer.SECURED or state.securable
    return False


def holds_texts(state: State) -> bool:
    """Whether the handshake is shown as *ready*, although texts still wait for the peer's answer."""
    return connection_state(state) is ConnectionState.READY and not may_send(state)


def reached_peer(state: State) -> bool:
    """Whether the peer's relay has our first message, and texts may follow it."""
    return isinstance(state, AwaitingHello | SecuringReply | AwaitingReady | Connected) and may_send(state)


def pipelines(state: State) -> bool:
    """Whether texts may leave before the relay has answered the confirmation or hello."""
    match state:
        case Confirming() | AwaitingHello() | Answering() | Connected():
            return state.answer is Answer.SECURED
    return False


class ConnectionState(StrEnum):
    """The state of a connection as users see it."""

    INVITED = "invited"
    JOINING = "joining"
    READY = "ready"
    CONNECTED = "connected"
    FAILED = "failed"
    DELETED = "deleted"


def connection_state(state: State) -> ConnectionState:
    """The state that people and scripts see."""
    match state:
        case Inviting() | Invited() | Publishing() | Published():
            return ConnectionState.INVITED
        case ReadingLink() | Joining() | Confirming() | Preparing() | Requesting():
            return ConnectionState.JOINING
        case AwaitingHello() | SecuringReply() | AwaitingReady() | Answering() | Requested():
            return ConnectionState.READY
        case Connected():
            return ConnectionState.CONNECTED
        case Failed():
            return ConnectionState.FAILED
        case Deleted():
            return ConnectionState.DELETED


def reached_step(state: State) -> int:
    """Number of the step that users see: 2 (confirmation) in the state *ready*, 3 (hello) in the state *connected*, and
    1 (invitation) in all others."""
    match connection_state(state):
        case ConnectionState.READY:
            return 2
        case ConnectionState.CONNECTED:
            return 3
    return 1
