"""Changes one connection in one transaction: loads its state, lets the state machine process an event, saves the new
state, and puts the effects into the outbox."""

from __future__ import annotations

import sqlite3

from smpchat.agent.context import Context
from smpchat.agent.errors import LinkJoinedError, MissingRecord, OwnLinkError
from smpchat.agent.machines import handshake
from smpchat.agent.machines import handshake_states as states
from smpchat.agent.machines.failures import failure_sentence
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
    DeleteRequested,
    Event,
    ReceiveQueueCreated,
    SendQueueRefused,
)
from smpchat.agent.machines.handshake_states import Answer, Terms
from smpchat.agent.machines.retry import REPEAT_CONFIRMATION
from smpchat.agent.store import connections, consents, erasure, links, outgoing, ratchets, sent_requests
from smpchat.agent.store.connections import Connection, ReceiveQueue
from smpchat.agent.store.outgoing import Kind, Lane, Priority
from smpchat.agent.transactions import linking, moving, renegotiation, sealing
from smpchat.agent.transactions.sending import may_send, release, required_send_queue, send, submit
from smpchat.agent.wire.envelope import AGENT_VERSIONS, ConnInfo, ConnInfoReply, ConnInfoSecured, Hello, UserMessage
from smpchat.agent.wire.links import E2E_VERSIONS, InvitationLink, format_link, parse_link
from smpchat.agent.wire.queue import CLIENT_VERSIONS, QueueInfo
from smpchat.agent.wire.short_links import ShortInvitation, format_short_link, resolve
from smpchat.crypto.agreement import E2EParams, X3DHKeys
from smpchat.crypto.keys import Ed25519PrivateKey, Ed25519PublicKey, X448PublicKey
from smpchat.crypto.ratchet import KEMState
from smpchat.encoding.codec import boolean, pair
from smpchat.encoding.record import replace
from smpchat.protocol.address import SMPServerAddress
from smpchat.protocol.commands import BrokerMessage

__all__ = [
    "apply",
    "delete",
    "invite",
    "join",
    "join_short",
    "move",
    "perform",
    "resync",
    "stay",
    "submit",
]

create_parameters = pair(boolean, boolean)
"""Body of a CREATE item: whether the sender may secure the queue, and whether NEW brings the reply key."""


# -- beginnings -------------------------------------------------------------------------------------------------------


def invite(
    tx: sqlite3.Connection,
    context: Context,
    terms: Terms,
    relay: SMPServerAddress | None = None,
    *,
    plain: bool = False,
) -> int:
    """Make an invitation: store its keys, and put NEW for its queue into the outbox. The links to the queue are made
    when the relay has made the queue.

    Args:
        relay: The relay for the invitation's queue; None: the online process chooses one.
        plain: Whether the invitation is for a member of a group: see `Connection`.
    """
    state, effects = handshake.invite(terms)
    reply_key = Ed25519PrivateKey.generate(context.entropy) if terms.reply_key else None
    x3dh_keys = X3DHKeys.generate(context.entropy)
    connection_id = _insert(tx, context, state, None, x3dh_keys=x3dh_keys, reply_key=reply_key, plain=plain)
    if relay is not None:
        connections.save_wanted_relay(tx, connection_id, relay)
    if terms.sender_securable and connections.load(tx, connection_id).pq_support:
        links.save_kem(tx, connection_id, KEMState.propose(context.kem_in(tx)))
    perform(tx, context, connection_id, effects)
    return connection_id


def join(
    tx: sqlite3.Connection, context: Context, link: InvitationLink, *, requested: bool = False, plain: bool = False
) -> int:
    """Join the invitation of another person. Keys and ratchet are stored before anything is sent.

    Args:
        requested: Whether the link came in a request to our address.
        plain: Whether the link is from a member of a group: see `Connection`.
    Raises:
        OwnLinkError: The link is ours.
        LinkJoinedError: The link was joined before.
        IncompatibleVersion: In one of the protocol layers, we support no version that the link names.
    """
    if connections.find_receive_queue_by_sender_id(tx, link.queues[0].sender_id):
        raise OwnLinkError("This is your own invitation.")
    text = format_link(link)
    if connections.find_by_link(tx, text):
        raise LinkJoinedError("You have already used this link.")
    terms = Terms(link.sender_securable, link.reply_key is not None, requested)
    state, effects = handshake.join(terms, send_early=linking.may_send_early(link))
    connection_id = _insert(tx, context, state, text, plain=plain)
    # All keys are stored before anything is sent: if the sender key were lost after SKEY, the link would be used up for
    # nothing (agent-wire trap 18).
    linking.take_up(tx, context, connection_id, link, Ed25519PrivateKey.generate(context.entropy))
    if not requested:
        consents.add(tx, connection_id, link.queues[0].server)
    perform(tx, context, connection_id, effects)
    return connection_id


def join_short(tx: sqlite3.Connection, context: Context, link: ShortInvitation, *, held: bool = False) -> int:
    """Join an invitation through its short link. Our key for reading the link (with LKEY) is stored before anything is
    sent.

    Args:
        held: Our profile is not sent until the user has answered a question; the answer causes the event
            `JoinReleased`.
    Raises:
        OwnLinkError: The link is ours.
        LinkJoinedError: The link was joined before.
        LinkError: The link does not contain its relay's whole address, and this program does not know that relay.
    """
    link = resolve(link)
    known = links.find(tx, link)
    if known is not None:
        if states.role(connections.load(tx, known).state) is states.Role.INITIATOR:
            raise OwnLinkError("This is your own invitation.")
        raise LinkJoinedError("You have already used this link.")
    state, effects = handshake.join_short(held=held)
    connection_id = _insert(tx, context, state, None)
    auth_key = Ed25519PrivateKey.generate(context.entropy)
    consents.add(tx, connection_id, link.server)
    links.save_joined(tx, connection_id, format_short_link(replace(link, web=False)), link.link_id, auth_key)
    perform(tx, context, connection_id, effects)
    return connection_id


def _insert(
    tx: sqlite3.Connection,
    context: Context,
    state: states.State,
    link: str | None,
    *,
    x3dh_keys: X3DHKeys | None = None,
    reply_key: Ed25519PrivateKey | None = None,
    plain: bool = False,
) -> int:
    """Insert a connection. It has our highest versions until we agree on versions with the peer."""
    return connections.insert(
        tx,
        state=state,
        link=link,
        agent_version=AGENT_VERSIONS.maximum,
        client_version=CLIENT_VERSIONS.maximum,
        e2e_version=E2E_VERSIONS.maximum,
        x3dh_keys=x3dh_keys,
        reply_key=reply_key,
        pq_support=not plain and context.wants_pq(AGENT_VERSIONS.maximum, E2E_VERSIONS.maximum),
        now=context.now(),
        plain=plain,
    )


def link_read(tx: sqlite3.Connection, context: Context, connection_id: int, answer: BrokerMessage | None) -> None:
    """The relay answered LKEY, and the peer's queue has our key now: use the link's data, if they are valid."""
    event, link = linking.read_link(tx, context, connection_id, answer)
    if link is not None:
        other = connections.find_by_link(tx, link)
        if other is not None:  # `other` joined through the full form of this link; the queue now refuses its key
            connections.save_link(tx, other.id, None)
            if isinstance(other.state, states.Joining):
                apply(tx, context, other.id, SendQueueRefused())
        connections.save_link(tx, connection_id, link)
        erasure.after_link(tx, connection_id)
    apply(tx, context, connection_id, event)


def receive_queue_created(
    tx: sqlite3.Connection, context: Context, queue: ReceiveQueue, event: ReceiveQueueCreated
) -> None:
    """The relay answered NEW with IDS: store the queue. If it is the queue of an invitation, also store the full
    link."""
    connection = connections.load(tx, queue.connection_id)
    connections.save_receive_queue(tx, queue)
    if isinstance(connection.state, states.Failed | states.Deleted):  # the queue only has to be deleted
        connections.forget_reading_keys(tx, connection.id)
    if isinstance(connection.state, states.Inviting):
        connections.save_link(tx, connection.id, linking.full_link(connection, queue))
    apply(tx, context, connection.id, event)


# -- events -----------------------------------------------------------------------------------------------------------


def apply(tx: sqlite3.Connection, context: Context, connection_id: int, event: Event) -> None:
    """Let the handshake's state machine process an event, save the new state, put the effects into the outbox, and
    release messages that may be sent now."""
    before = connections.load(tx, connection_id).state
    state, effects = handshake.step(before, event)
    if state != before:
        connections.save_state(tx, connection_id, state, context.now())
    if type(state) is not type(before):
        # The confirmation may be waiting to be repeated. The new state does not need this repetition, so it is dropped.
        outgoing.drop(tx, connection_id, Lane.REPEAT)
        match state:
            case states.Failed():
                _drop_outgoing(tx, context, before, connection_id, failure_sentence(state))
                erasure.stop_reading(tx, connection_id)
                erasure.stop_writing(tx, connection_id)
            case states.Deleted():
                _drop_outgoing(tx, context, before, connection_id, "The contact was deleted.")
                erasure.stop_reading(tx, connection_id)
            case states.Connected() | states.AwaitingReady():
                outgoing.forget_first_message(tx, connection_id)
            case states.Requested():
                outgoing.drop_request(tx, connection_id)
                asked = sent_requests.load(tx, connection_id)
                if asked is not None and asked.reference is not None:
                    context.application.message_sent(tx, asked.reference)
            case _ if isinstance(before, states.Requesting | states.Requested):
                outgoing.drop_request(tx, connection_id)  # the peer's answer shows that the request arrived
                text = sent_requests.take_reference(tx, connection_id)
                if text is not None:  # no receipt follows: the person who accepted has seen the text
                    context.application.message_delivered(tx, text)
    perform(tx, context, connection_id, effects)
    # Waiting messages are released only after `perform` has sealed the handshake's messages: if a waiting message were
    # sealed before our first message (the confirmation or the initiator's hello), it would take message id 1.
    release(tx, context, connection_id)
    if state != before:
        context.application.state_changed(tx, connections.load(tx, connection_id))


def _drop_outgoing(
    tx: sqlite3.Connection, context: Context, before: states.State, connection_id: int, reason: str
) -> None:
    in_request = sent_requests.take_reference(tx, connection_id)
    if isinstance(before, states.Requested):
        in_request = None  # the request was sent, even if the connection ends now
    for reference in [*outgoing.clear(tx, connection_id), *([] if in_request is None else [in_request])]:
        context.application.message_failed(tx, reference, reason)


def perform(tx: sqlite3.Connection, context: Context, connection_id: int, effects: tuple[Effect, ...]) -> None:
    """Carry out the effects of an event: seal the messages among them, and put everything into the outbox."""
    for effect in effects:
        # The connection is loaded again for each effect: the previous effect may have sealed a message, and so
        # changed the chain of sent messages.
        _queue_effect(tx, context, connections.load(tx, connection_id), effect)


def _queue_effect(tx: sqlite3.Connection, context: Context, connection: Connection, effect: Effect) -> None:
    match effect:
        case CreateReceiveQueue(messaging, keyed):
            body = create_parameters.encode((messaging, keyed))
            outgoing.enqueue(tx, connection.id, Lane.RECEIVE, Kind.CREATE, Priority.SECURE, body=body)
        case CreateAddressQueue():
            body = create_parameters.encode((False, False))
            outgoing.enqueue(tx, connection.id, Lane.RECEIVE, Kind.CREATE, Priority.SECURE, body=body)
        case ReadAddress():
            outgoing.enqueue(tx, connection.id, Lane.SEND, Kind.READ_ADDRESS, Priority.SECURE)
        case SendRequest():
            _send_request(tx, context, connection)
        case SecureReceiveQueue(choice, before_sending):
            # If KEY is in the lane SEND, messages to the peer wait until the relay has answered KEY. If it is in the
            # lane RECEIVE, KEY and messages to the peer may be on their way at the same time.
            lane = Lane.SEND if before_sending else Lane.RECEIVE
            key = _receive_key(tx, connection, choice)
            outgoing.enqueue(tx, connection.id, lane, Kind.SECURE_RECEIVE, Priority.SECURE, body=key)
        case SecureSendQueue():
            outgoing.enqueue(tx, connection.id, Lane.SEND, Kind.SECURE_SEND, Priority.SECURE)
        case ReadLink():
            outgoing.enqueue(tx, connection.id, Lane.SEND, Kind.READ_LINK, Priority.SECURE)
        case SendConfirmation(answer, signed):
            _send_confirmation(tx, context, connection, answer, signed=signed)
        case ResendConfirmationSigned():
            _send_first(tx, connection.id, Kind.CONFIRMATION, signed=True)
        case RepeatConfirmation():
            waited = context.now() - (connection.ready_at or context.now())
            pause = min(max(waited, REPEAT_CONFIRMATION.first), REPEAT_CONFIRMATION.longest)
            _send_first(tx, connection.id, Kind.CONFIRMATION, signed=False, not_before=context.now() + pause)
        case SendHello(signed):
            _send_hello(tx, context, connection, signed=signed)
        case ResendHello():
            _send_first(tx, connection.id, Kind.HELLO, signed=True)
        case SendReady():
            send(tx, context, connection.id, Hello(), kind=Kind.READY, notify=True)
        case DeleteReceiveQueue():
            if connections.receive_queue(tx, connection.id):
                outgoing.enqueue(tx, connection.id, Lane.RECEIVE, Kind.DELETE, Priority.MESSAGE)
            moving.end(tx, context, connection.id)


def _receive_key(tx: sqlite3.Connection, connection: Connection, choice: KeyChoice) -> bytes:
    if choice is KeyChoice.REPLY:
        return reply_key_of(connection).der
    queue = connections.receive_queue(tx, connection.id)
    if queue is None or queue.peer_key is None:
        raise MissingRecord("The peer's key is missing.")
    return queue.peer_key


def reply_key_of(connection: Connection) -> Ed25519PublicKey:
    """The reply key offered by the link that this connection joined."""
    link = parse_link(connection.link or "")
    if not isinstance(link, InvitationLink) or link.reply_key is None:
        raise MissingRecord("The joined link has no reply key.")
    return link.reply_key


def _send_request(tx: sqlite3.Connection, context: Context, connection: Connection) -> None:
    address, own = required_send_queue(tx, connection.id), connections.receive_queue(tx, connection.id)
    asked = sent_requests.load(tx, connection.id)
    if own is None or asked is None:
        raise MissingRecord("The receive queue or the connection info for the request is missing.")
    link = linking.full_link(connection, own)
    body = sealing.seal_request(context.entropy, connection, address, link, asked.info)
    outgoing.save_first_message(tx, connection.id, body)
    sent_requests.sealed(tx, connection.id)
    _send_first(tx, connection.id, Kind.REQUEST, signed=False)


def _send_confirmation(
    tx: sqlite3.Connection, context: Context, connection: Connection, answer: Answer, *, signed: bool
) -> None:
    send_queue, own = required_send_queue(tx, connection.id), connections.receive_queue(tx, connection.id)
    if own is None:
        raise MissingRecord("The reply queue is missing.")
    info = context.application.connection_info(tx, connection.id)
    reply = QueueInfo(connection.client_version, own.server, own.snd_id, own.link_key.public(), own.mode)
    message: ConnInfoSecured | ConnInfoReply
    if answer is Answer.SECURED:
        # Our confirmation names the reply key that we found in the link, although the initiator knows it: if the two
        # keys differ, the initiator sees that the link was changed on its way to us. We name only one queue, because
        # apps use only the first (agent-wire 3.4, trap 35).
        message = ConnInfoSecured(reply_key_of(connection), (reply,), info)
    else:
        message = ConnInfoReply((reply,), info)
    # The confirmation is sealed once, and its sealed bytes are kept to be sent again. A second sealing would take
    # another ratchet number and message id, and the peer would report a gap (agent-wire 3.6 and 5.4). The confirmation
    # also names our reply queue, so this queue must stay the same until the peer has answered.
    params = _confirmation_params(tx, context, connection)
    body = sealing.seal_first_message(
        tx, context.entropy, connection, send_queue, message, params=params, signed=signed
    )
    outgoing.save_first_message(tx, connection.id, body)
    _send_first(tx, connection.id, Kind.CONFIRMATION, signed=signed)


def _confirmation_params(tx: sqlite3.Connection, context: Context, connection: Connection) -> E2EParams:
    """Our X3DH keys, with our answer to the link's KEM key. If the link has no KEM key, but the connection is to use a
    KEM, we propose a KEM key of our own.

    Our KEM key is chosen only here, after the relays have answered: while smpchat waits for the relays, it can generate
    a key pair in advance.
    """
    ratchet = ratchets.load(tx, connection.id)
    if ratchet.kem_enabled and ratchet.kem is None and context.has_kem:
        ratchet = replace(ratchet, kem=KEMState.propose(context.kem_in(tx)))
        ratchets.save(tx, connection.id, ratchet)
    public = connection.x3dh_public
    if public is None:
        raise MissingRecord("The keys for the confirmation are missing.")
    connections.forget_handshake_keys(tx, connection.id)
    key1, key2 = X448PublicKey(public[: X448PublicKey.SIZE]), X448PublicKey(public[X448PublicKey.SIZE :])
    return E2EParams(connection.e2e_version, key1, key2, ratchet.kem.params if ratchet.kem else None)


def _send_hello(tx: sqlite3.Connection, context: Context, connection: Connection, *, signed: bool) -> None:
    queue = required_send_queue(tx, connection.id)
    message = ConnInfo(context.application.connection_info(tx, connection.id))
    body = sealing.seal_first_message(tx, context.entropy, connection, queue, message, params=None, signed=signed)
    outgoing.save_first_message(tx, connection.id, body)
    _send_first(tx, connection.id, Kind.HELLO, signed=signed)


def _send_first(tx: sqlite3.Connection, connection_id: int, kind: Kind, *, signed: bool, not_before: float = 0) -> None:
    lane = Lane.REPEAT if not_before else Lane.SEND
    outgoing.enqueue(
        tx, connection_id, lane, kind, Priority.HANDSHAKE, signed=signed, notify=True, not_before=not_before
    )


# -- the ratchet ------------------------------------------------------------------------------------------------------


def resync(tx: sqlite3.Connection, context: Context, connection_id: int) -> None:
    """The user re-synchronises the ratchets of a connection, whether or not a message failed to open.

    If the peer has sent new keys without being asked, this call accepts them.

    Raises:
        AgentError: The connection is not complete or has ended, the peer was already asked, or the peer's keys cannot
            be used.
    """
    renegotiation.request(tx, context, connection_id)


def refuse_keys(tx: sqlite3.Connection, context: Context, connection_id: int) -> None:
    """The user refuses the keys that the peer sent, or cancels `resync`. Raises `AgentError`."""
    renegotiation.refuse(tx, context, connection_id)


def overrule_keys(tx: sqlite3.Connection, context: Context, connection_id: int) -> None:
    """The user wants to write before deciding about the peer's new keys, so waiting messages are sent with the old
    ratchet. The decision remains open."""
    renegotiation.overrule(tx, context, connection_id)


# -- moves of our queue -----------------------------------------------------------------------------------------------


def move(tx: sqlite3.Connection, context: Context, connection_id: int, relay: SMPServerAddress | None = None) -> None:
    """The user wants to receive at another relay: see `moving.begin`. Raises `MoveRefused`."""
    moving.begin(tx, context, connection_id, relay)


def stay(tx: sqlite3.Connection, context: Context, connection_id: int) -> None:
    """The user cancels a move: see `moving.cancel`. Raises `MoveRefused`."""
    moving.cancel(tx, context, connection_id)


# -- the end ----------------------------------------------------------------------------------------------------------


FAREWELL_PATIENCE = 2 * 86_400.0
"""When a connection is deleted, smpchat keeps our queue while it tries to send the farewell to the peer, but at most
for this time, in seconds."""


def delete(tx: sqlite3.Connection, context: Context, connection_id: int, farewell: bytes | None = None) -> None:
    """Delete a connection. Our queue is deleted at its relay as soon as the relay can be reached; after that, what is
    left of the connection in the store is deleted, too.

    Args:
        farewell: A last user message to the peer, or None. The farewell is not sent if we may not send messages to
            the peer now. All earlier messages that still wait are dropped. Our queue is deleted when a relay has
            accepted or refused the farewell, or after `FAREWELL_PATIENCE` seconds.
    """
    before = connections.load(tx, connection_id)
    writable = states.reached_peer(before.state) and may_send(tx, before)
    apply(tx, context, connection_id, DeleteRequested())
    # The farewell is sealed only now, because `apply` has dropped all messages that waited: a user who deletes a
    # contact does not want them sent.
    if farewell is not None and writable:
        connection, queue = connections.load(tx, connection_id), required_send_queue(tx, connection_id)
        body, _ = sealing.seal_message(tx, context.entropy, connection, queue, UserMessage(farewell))
        outgoing.enqueue(tx, connection_id, Lane.SEND, Kind.FAREWELL, Priority.MESSAGE, body=body)
        outgoing.postpone(tx, connection_id, Lane.RECEIVE, context.now() + FAREWELL_PATIENCE)
        # The ratchet is no longer needed: the farewell is our last message, and if it is sent again, the same sealed
        # bytes are sent.
        ratchets.delete(tx, connection_id)
    else:
        erasure.stop_writing(tx, connection_id)
    forget_if_deleted(tx, connection_id)


def farewell_done(tx: sqlite3.Connection, connection_id: int) -> None:
    """The farewell was sent, or will never be sent, so the deletion need not wait any longer."""
    outgoing.postpone(tx, connection_id, Lane.RECEIVE, 0)
    erasure.stop_writing(tx, connection_id)
    forget_if_deleted(tx, connection_id)


def forget_if_deleted(tx: sqlite3.Connection, connection_id: int) -> None:
    """Remove the last traces of a deleted connection once nothing is left to do for it."""
    connection = connections.load(tx, connection_id)
    if isinstance(connection.state, states.Deleted) and outgoing.is_empty(tx, connection_id):
        connections.delete(tx, connection_id)
        erasure.empty_log(tx)
