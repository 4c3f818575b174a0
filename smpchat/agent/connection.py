"""One connection inside one transaction: load its state, step, save, and put the effects into the outbox."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from smpchat.agent import handshake, sealing
from smpchat.agent.delivery import Integrity
from smpchat.agent.envelope import (
    AGENT_VERSIONS,
    MAX_USER_MESSAGE,
    AMessage,
    ConnInfo,
    ConnInfoReply,
    ConnInfoSecured,
    Hello,
    UserMessage,
    a_message,
)
from smpchat.agent.errors import AgentError, MessageTooLarge, OwnLinkError, StoreError
from smpchat.agent.handshake import Answer, Failure, KeyChoice, Terms
from smpchat.agent.links import (
    E2E_VERSIONS,
    InvitationLink,
    agree_versions,
    format_link,
    parse_link,
)
from smpchat.agent.queue import CLIENT_VERSIONS, QueueInfo, QueueURI
from smpchat.agent.retry import REPEAT_CONFIRMATION
from smpchat.agent.store import connections, outgoing, ratchets
from smpchat.agent.store.connections import Connection, ReceiveQueue, SendQueue
from smpchat.agent.store.outgoing import Kind, Lane, Priority
from smpchat.crypto.agreement import X3DHKeys, agree_joiner
from smpchat.crypto.entropy import Entropy
from smpchat.crypto.keys import Ed25519PrivateKey, Ed25519PublicKey, X448PrivateKey, X25519PrivateKey
from smpchat.crypto.ratchet import Ratchet
from smpchat.encoding.codec import boolean, pair
from smpchat.protocol.commands import QueueMode

create_parameters = pair(boolean, boolean)
"""Body of a CREATE item: whether the sender may secure the queue, and whether it is made with the reply key."""


class Application(Protocol):
    """What the layer above does inside the agent's transactions: store work only, nothing that waits.

    ``reference`` is the application's own number of a message that it submitted.
    """

    def connection_info(self, tx: sqlite3.Connection, connection_id: int) -> bytes:
        """Our profile, for the confirmation or hello that is sealed now."""
        ...

    def state_changed(self, tx: sqlite3.Connection, connection: Connection) -> None:
        """The connection has a new handshake state."""
        ...

    def peer_info_received(self, tx: sqlite3.Connection, connection_id: int, info: bytes) -> None:
        """The peer's connection info arrived."""
        ...

    def message_received(
        self, tx: sqlite3.Connection, connection_id: int, body: bytes, sent_at: int, integrity: Integrity
    ) -> bool:
        """A user message arrived; True asks for a receipt. ``sent_at`` is the relay's clock, POSIX seconds."""
        ...

    def message_sent(self, tx: sqlite3.Connection, reference: int) -> None:
        """The relay has the message."""
        ...

    def message_delivered(self, tx: sqlite3.Connection, reference: int) -> None:
        """The peer's receipt came and matches."""
        ...

    def message_failed(self, tx: sqlite3.Connection, reference: int, reason: str) -> None:
        """The message will never arrive."""
        ...

    def notice(self, tx: sqlite3.Connection, connection_id: int, sentence: str) -> None:
        """Something about the connection that a person should read."""
        ...


@dataclass(frozen=True, slots=True)
class Context:
    """What every operation of the agent needs besides the store."""

    application: Application
    entropy: Entropy
    now: Callable[[], float]


FAILURE_SENTENCES = {
    Failure.LINK_USED: (
        "This invitation was already used or was deleted. Ask for a new link. If it was meant only for you, someone"
        " else may have opened it: ask another way and compare security codes."
    ),
    Failure.REPLY_REFUSED: (
        "Your contact's reply address does not accept your key: the link was changed on its way, or their side is"
        " faulty. Delete this contact and give a new link another way."
    ),
    Failure.QUEUE_REFUSED: (
        "The relay no longer has your own receiving queue for this contact. Delete the contact and connect again"
        " with a new link."
    ),
}
"""What the user reads (handshake.md 6)."""


# -- beginnings -------------------------------------------------------------------------------------------------------


def invite(tx: sqlite3.Connection, context: Context, terms: Terms) -> int:
    """A new invitation: keys are stored, the queue is in the outbox. The link exists once the queue does."""
    entropy = context.entropy
    state, effects = handshake.invite(terms)
    connection_id = connections.insert(
        tx,
        state=state,
        link=None,
        agent_version=AGENT_VERSIONS.maximum,
        client_version=CLIENT_VERSIONS.maximum,
        e2e_version=E2E_VERSIONS.maximum,
        x3dh_keys=X3DHKeys.generate(entropy),
        reply_key=Ed25519PrivateKey.generate(entropy) if terms.reply_key else None,
        now=context.now(),
    )
    _queue_effects(tx, context, connection_id, effects)
    return connection_id


def join(tx: sqlite3.Connection, context: Context, link: InvitationLink) -> int:
    """A new connection through somebody's invitation: keys and ratchet are stored before anything is sent.

    Raises:
        OwnLinkError: The link is ours.
        IncompatibleVersion: A layer's versions do not overlap.
    """
    queue, entropy = link.queues[0], context.entropy
    if connections.find_receive_queue_by_sender_id(tx, queue.sender_id):
        raise OwnLinkError("This is an invitation of your own.")
    versions = agree_versions(link)
    terms = Terms(link.sender_securable, link.reply_key is not None)
    state, effects = handshake.join(terms, send_early=link.agent_versions.maximum >= 7)
    keys = X3DHKeys.generate(entropy)
    connection_id = connections.insert(
        tx,
        state=state,
        link=format_link(link),
        agent_version=versions.agent,
        client_version=versions.client,
        e2e_version=versions.e2e,
        x3dh_keys=keys,
        reply_key=None,
        now=context.now(),
    )
    secret = agree_joiner(keys, link.e2e.key1, link.e2e.key2)
    first_key = X448PrivateKey.generate(entropy)
    ratchets.save(tx, connection_id, Ratchet.joiner(secret, link.e2e.key2, first_key, versions.e2e))
    send_queue = new_send_queue(connection_id, entropy, queue.at(versions.client), Ed25519PrivateKey.generate(entropy))
    connections.save_send_queue(tx, send_queue)
    _queue_effects(tx, context, connection_id, effects)
    return connection_id


def new_send_queue(connection_id: int, entropy: Entropy, queue: QueueInfo, auth_key: Ed25519PrivateKey) -> SendQueue:
    """The peer's queue with our keys for it. Raises `CryptoError` for a bad key of the peer."""
    e2e_key = X25519PrivateKey.generate(entropy)
    return SendQueue(
        connection_id=connection_id,
        server=queue.server,
        snd_id=queue.sender_id,
        mode=queue.mode,
        client_version=queue.version,
        auth_key=auth_key,
        e2e_key=e2e_key,
        e2e_secret=e2e_key.exchange(queue.dh_key),
    )


def receive_queue_created(
    tx: sqlite3.Connection, context: Context, queue: ReceiveQueue, event: handshake.ReceiveQueueCreated
) -> None:
    """IDS arrived: store the queue; an invitation now has its link."""
    connection = connections.load(tx, queue.connection_id)
    connections.save_receive_queue(tx, queue)
    if isinstance(connection.state, handshake.Inviting):
        connections.save_link(tx, connection.id, format_link(_invitation_link(connection, queue)))
    apply(tx, context, connection.id, event)


def _invitation_link(connection: Connection, queue: ReceiveQueue) -> InvitationLink:
    # only a queue that may be secured has its mode in the link: never q=c in an invitation (handshake.md 4)
    mode = queue.mode if queue.mode is QueueMode.MESSAGING else None
    uri = QueueURI(CLIENT_VERSIONS, queue.server, queue.snd_id, queue.e2e_key.public(), mode)
    return InvitationLink(
        agent_versions=AGENT_VERSIONS,
        queues=(uri,),
        e2e=connection.x3dh_keys.params_range(),
        reply_key=connection.reply_key.public() if connection.reply_key else None,
    )


# -- events -----------------------------------------------------------------------------------------------------------


def apply(tx: sqlite3.Connection, context: Context, connection_id: int, event: handshake.Event) -> None:
    """Step the connection, save the state, queue the effects, and let out what may be sent now."""
    before = connections.load(tx, connection_id).state
    state, effects = handshake.step(before, event)
    if state != before:
        connections.save_state(tx, connection_id, state, context.now())
    if type(state) is not type(before):
        outgoing.drop(tx, connection_id, Lane.REPEAT)
        match state:
            case handshake.Failed(reason=reason):
                _drop_outgoing(tx, context, connection_id, FAILURE_SENTENCES[reason])
            case handshake.Deleted():
                _drop_outgoing(tx, context, connection_id, "The contact was deleted.")
            case handshake.Connected() | handshake.AwaitingReady():
                outgoing.forget_first_message(tx, connection_id)
    _queue_effects(tx, context, connection_id, effects)
    if handshake.may_send(state):
        release(tx, context, connection_id)
    if state != before:
        context.application.state_changed(tx, connections.load(tx, connection_id))


def _drop_outgoing(tx: sqlite3.Connection, context: Context, connection_id: int, reason: str) -> None:
    for reference in outgoing.clear(tx, connection_id):
        context.application.message_failed(tx, reference, reason)


def _queue_effects(
    tx: sqlite3.Connection, context: Context, connection_id: int, effects: tuple[handshake.Effect, ...]
) -> None:
    for effect in effects:
        _queue_effect(tx, context, connections.load(tx, connection_id), effect)


def _queue_effect(tx: sqlite3.Connection, context: Context, connection: Connection, effect: handshake.Effect) -> None:
    match effect:
        case handshake.CreateReceiveQueue(messaging, keyed):
            body = create_parameters.encode((messaging, keyed))
            outgoing.enqueue(tx, connection.id, Lane.RECEIVE, Kind.CREATE, Priority.SECURE, body=body)
        case handshake.SecureReceiveQueue(choice, before_sending):
            lane = Lane.SEND if before_sending else Lane.RECEIVE
            key = _receive_key(tx, connection, choice)
            outgoing.enqueue(tx, connection.id, lane, Kind.SECURE_RECEIVE, Priority.SECURE, body=key)
        case handshake.SecureSendQueue():
            outgoing.enqueue(tx, connection.id, Lane.SEND, Kind.SECURE_SEND, Priority.SECURE)
        case handshake.SendConfirmation(answer, signed):
            _send_confirmation(tx, context, connection, answer, signed=signed)
        case handshake.ResendConfirmationSigned():
            _send_first(tx, connection.id, Kind.CONFIRMATION, signed=True)
        case handshake.RepeatConfirmation():
            waited = context.now() - (connection.ready_at or context.now())
            pause = min(max(waited, REPEAT_CONFIRMATION.first), REPEAT_CONFIRMATION.longest)
            _send_first(tx, connection.id, Kind.CONFIRMATION, signed=False, not_before=context.now() + pause)
        case handshake.SendHello(signed):
            _send_hello(tx, context, connection, signed=signed)
        case handshake.ResendHello():
            _send_first(tx, connection.id, Kind.HELLO, signed=True)
        case handshake.SendReady():
            _send_message(tx, context, connection, Hello(), notify=True, reference=None)
        case handshake.DeleteReceiveQueue():
            if connections.receive_queue(tx, connection.id):
                outgoing.enqueue(tx, connection.id, Lane.RECEIVE, Kind.DELETE, Priority.MESSAGE)


def _receive_key(tx: sqlite3.Connection, connection: Connection, choice: KeyChoice) -> bytes:
    if choice is KeyChoice.REPLY:
        return reply_key_of(connection).der
    queue = connections.receive_queue(tx, connection.id)
    if queue is None or queue.peer_key is None:
        raise StoreError("The peer's key is missing.")
    return queue.peer_key


def reply_key_of(connection: Connection) -> Ed25519PublicKey:
    """The reply key offered by the link that this connection joined."""
    link = parse_link(connection.link or "")
    if not isinstance(link, InvitationLink) or link.reply_key is None:
        raise StoreError("The joined link has no reply key.")
    return link.reply_key


def _send_confirmation(
    tx: sqlite3.Connection, context: Context, connection: Connection, answer: Answer, *, signed: bool
) -> None:
    send_queue, own = required_send_queue(tx, connection.id), connections.receive_queue(tx, connection.id)
    if own is None:
        raise StoreError("The reply queue is missing.")
    info = context.application.connection_info(tx, connection.id)
    reply = QueueInfo(connection.client_version, own.server, own.snd_id, own.e2e_key.public(), own.mode)
    message: ConnInfoSecured | ConnInfoReply
    if answer is Answer.SECURED:
        message = ConnInfoSecured(reply_key_of(connection), (reply,), info)
    else:
        message = ConnInfoReply((reply,), info)
    body = sealing.seal_first_message(
        tx, context.entropy, connection, send_queue, message, with_keys=True, signed=signed
    )
    outgoing.save_first_message(tx, connection.id, body)
    _send_first(tx, connection.id, Kind.CONFIRMATION, signed=signed)


def _send_hello(tx: sqlite3.Connection, context: Context, connection: Connection, *, signed: bool) -> None:
    queue = required_send_queue(tx, connection.id)
    message = ConnInfo(context.application.connection_info(tx, connection.id))
    body = sealing.seal_first_message(tx, context.entropy, connection, queue, message, with_keys=False, signed=signed)
    outgoing.save_first_message(tx, connection.id, body)
    _send_first(tx, connection.id, Kind.HELLO, signed=signed)


def _send_first(tx: sqlite3.Connection, connection_id: int, kind: Kind, *, signed: bool, not_before: float = 0) -> None:
    lane = Lane.REPEAT if not_before else Lane.SEND
    outgoing.enqueue(
        tx, connection_id, lane, kind, Priority.HANDSHAKE, signed=signed, notify=True, not_before=not_before
    )


def required_send_queue(tx: sqlite3.Connection, connection_id: int) -> SendQueue:
    """The connection's send queue, which must exist at this point."""
    queue = connections.send_queue(tx, connection_id)
    if queue is None:
        raise StoreError("The peer's queue is missing.")
    return queue


# -- messages ---------------------------------------------------------------------------------------------------------


def max_body(tx: sqlite3.Connection, connection_id: int) -> int:
    """Longest user message that a connection carries, in bytes. Raises `UnknownConnection`."""
    connections.load(tx, connection_id)
    return MAX_USER_MESSAGE


def submit(
    tx: sqlite3.Connection,
    context: Context,
    connection_id: int,
    message: AMessage,
    *,
    notify: bool = False,
    reference: int | None = None,
) -> None:
    """Take a message over: it is sealed and sent as soon as the handshake lets it, in order, exactly once.

    Raises:
        MessageTooLarge: A user message over `MAX_USER_MESSAGE` bytes.
        AgentError: The connection failed or was deleted.
    """
    if isinstance(message, UserMessage) and len(message.body) > MAX_USER_MESSAGE:
        raise MessageTooLarge(len(message.body), MAX_USER_MESSAGE)
    state = connections.load(tx, connection_id).state
    if isinstance(state, handshake.Failed):
        raise AgentError(FAILURE_SENTENCES[state.reason])
    if isinstance(state, handshake.Deleted):
        raise AgentError("The contact was deleted.")
    outgoing.wait(tx, connection_id, a_message.encode(message), notify=notify, reference=reference)
    if handshake.may_send(state):
        release(tx, context, connection_id)


def release(tx: sqlite3.Connection, context: Context, connection_id: int) -> None:
    """Seal everything that waits, in order."""
    for waiting in outgoing.take_waiting(tx, connection_id):
        connection = connections.load(tx, connection_id)
        message = a_message.decode(waiting.message)
        _send_message(tx, context, connection, message, notify=waiting.notify, reference=waiting.reference)


def _send_message(
    tx: sqlite3.Connection,
    context: Context,
    connection: Connection,
    message: AMessage,
    *,
    notify: bool,
    reference: int | None,
) -> None:
    queue = required_send_queue(tx, connection.id)
    body, chain = sealing.seal_message(tx, context.entropy, connection, queue, message)
    if reference is not None:
        outgoing.record_sent(tx, connection.id, chain.last_id, chain.last_hash, reference)
    outgoing.enqueue(
        tx,
        connection.id,
        Lane.SEND,
        Kind.MESSAGE,
        Priority.MESSAGE,
        body=body,
        notify=notify,
        reference=reference,
    )


FAREWELL_PATIENCE = 2 * 86_400.0
"""Seconds for which the queue of a deleted connection stays, so that the farewell to the peer is tried again."""


def delete(tx: sqlite3.Connection, context: Context, connection_id: int, farewell: bytes | None = None) -> None:
    """Delete a connection: its queue is removed from the relay when that can be reached, then the rest is forgotten.

    Args:
        farewell: A last user message, where the peer can read one. Everything else that waits is dropped, and the
            queue is removed once the farewell left or was refused, or after `FAREWELL_PATIENCE`.
    """
    writable = handshake.reached_peer(connections.load(tx, connection_id).state)
    apply(tx, context, connection_id, handshake.DeleteRequested())
    if farewell is not None and writable:
        connection, queue = connections.load(tx, connection_id), required_send_queue(tx, connection_id)
        body, _ = sealing.seal_message(tx, context.entropy, connection, queue, UserMessage(farewell))
        outgoing.enqueue(tx, connection_id, Lane.SEND, Kind.FAREWELL, Priority.MESSAGE, body=body)
        outgoing.postpone(tx, connection_id, Lane.RECEIVE, context.now() + FAREWELL_PATIENCE)
    forget_if_deleted(tx, connection_id)


def farewell_done(tx: sqlite3.Connection, connection_id: int) -> None:
    """The farewell left, or never will: nothing holds the deletion back any more."""
    outgoing.postpone(tx, connection_id, Lane.RECEIVE, 0)
    forget_if_deleted(tx, connection_id)


def forget_if_deleted(tx: sqlite3.Connection, connection_id: int) -> None:
    """Remove the last traces of a deleted connection once nothing is left to do for it."""
    connection = connections.load(tx, connection_id)
    if isinstance(connection.state, handshake.Deleted) and outgoing.is_empty(tx, connection_id):
        connections.delete(tx, connection_id)
