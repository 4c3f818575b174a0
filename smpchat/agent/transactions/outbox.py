"""The command that each outbox item sends to a relay, and the changes that the relay's answer causes.

An outbox item is done once the relay's answer is stored. Until then, the item's command may be sent several times: a
message always with the stored bytes, NEW each time with fresh keys. Each connection's items are divided into lanes
(`Lane`). The items of one lane run one after the other, except that several SENDs to a peer may be pipelined.
"""

from __future__ import annotations

import sqlite3
from enum import Enum, auto

from smpchat.agent.context import Context
from smpchat.agent.errors import MissingRecord
from smpchat.agent.machines import handshake_states as states
from smpchat.agent.machines.handshake_events import (
    AddressRefused,
    ConfirmationAccepted,
    ConfirmationRefused,
    Event,
    HelloAccepted,
    HelloRefused,
    LinkUnusable,
    ReadyRefused,
    ReceiveQueueCreated,
    ReceiveQueueRefused,
    ReceiveQueueSecured,
    RequestAccepted,
    SendQueueRefused,
    SendQueueSecured,
)
from smpchat.agent.machines.notices import NoticeKind
from smpchat.agent.store import clock, connections, erasure, links, moves, outgoing, rotations
from smpchat.agent.store.connections import ReceiveQueue, UnknownConnection
from smpchat.agent.store.outgoing import NUMBERED, SENDS, TO_PEER, Kind, Lane, OutboxItem
from smpchat.agent.transactions import connection as connection_steps
from smpchat.agent.transactions import contact_address, linking, moving, requesting, rotation, sending
from smpchat.client.request import Request
from smpchat.crypto.keys import AuthPublicKey, Ed25519PrivateKey, X25519PrivateKey, auth_public_key
from smpchat.encoding.record import Record
from smpchat.protocol.address import SMPServer, SMPServerAddress
from smpchat.protocol.commands import BrokerMessage, Command, Del, Ids, Key, LKey, New, QueueRequest, Send, SKey, Sub
from smpchat.protocol.errors import ErrorCode, IdInUse
from smpchat.protocol.queue_mode import QueueMode
from smpchat.protocol.version import SHORT_LINKS, SND_AUTH_KEY

PIPELINE = 16
"""How many SENDs of one lane (see `Lane`) may be on their way at the same time."""


PEER_GONE = (
    "You can no longer write to {alias}: the queue for your messages is gone. {alias} may have removed you; ask for a"
    " new link."
)
PEER_BLOCKED = (
    "You can no longer write to {alias}: the relay's operator has blocked the queue for your messages. Ask for a new"
    " link."
)


class Verdict(Enum):
    """What happens next in an outbox item's lane (`Lane`), after the relay has answered the item's command."""

    DONE = auto()
    RETRY = auto()
    """Repeat the command after a delay: the relay has a problem."""
    MOVED = auto()
    """Send the message again at once: it now goes to another queue of the contact."""
    FULL = auto()
    """The peer's queue is full: repeat when the peer has read some messages."""


def target(tx: sqlite3.Connection, item: OutboxItem) -> SMPServer:
    """The relay to which an outbox item is sent. This function is not for `CREATE` items, whose relay is chosen later.
    Raises `MissingRecord`."""
    if item.kind in TO_PEER:
        return sending.required_send_queue(tx, item.connection_id).server
    if item.kind is Kind.READ_LINK:
        return links.joined(tx, item.connection_id).link.server
    if item.kind is Kind.REACH:
        return _moving_queue(tx, item).queue.server
    if item.kind is Kind.READ_ADDRESS:
        return requesting.address_server(tx, item.connection_id)
    if item.lane is Lane.LEAVE:
        return moving.left_queue(tx, item).server
    if item.kind is Kind.SECURE_NEW:
        return _new_queue(tx, item).server
    return _receive_queue(tx, item).server


def _receive_queue(tx: sqlite3.Connection, item: OutboxItem) -> ReceiveQueue:
    queue = connections.receive_queue(tx, item.connection_id)
    if queue is None:
        raise MissingRecord("The receive queue is missing.")
    return queue


def _new_queue(tx: sqlite3.Connection, item: OutboxItem) -> ReceiveQueue:
    new = moves.new_queue(tx, item.connection_id)
    if new is None:
        raise MissingRecord("The move's new queue is missing.")
    return new.queue


def _moving_queue(tx: sqlite3.Connection, item: OutboxItem) -> rotations.Rotation:
    found = rotations.load(tx, item.connection_id)
    if found is None:
        raise MissingRecord("The queue to be moved is missing.")
    return found


def request(tx: sqlite3.Connection, item: OutboxItem) -> Request:
    """The command to be sent for an item of any kind but `CREATE`, `REACH` and `RECEIPT`."""
    if item.kind is Kind.READ_ADDRESS:
        return requesting.reading(tx, item.connection_id)
    if item.kind is Kind.UPDATE_ADDRESS:
        return contact_address.updating(tx, _receive_queue(tx, item), item.body)
    if item.kind in (Kind.SECURE_RECEIVE, Kind.DELETE):
        own = _receive_queue(tx, item)
        command: Command = Del() if item.kind is Kind.DELETE else Key(auth_public_key(item.body))
        return Request(command, own.rcv_id, own.auth_key)
    if item.kind is Kind.SECURE_NEW:
        new = _new_queue(tx, item)
        if new.peer_key is None:
            raise MissingRecord("The peer's key is missing.")
        return Request(Key(auth_public_key(new.peer_key)), new.rcv_id, new.auth_key)
    if item.lane is Lane.LEAVE:
        left = moving.left_queue(tx, item)
        return Request(Sub() if item.kind is Kind.EMPTY else Del(), left.rcv_id, left.auth_key)
    if item.kind is Kind.READ_LINK:
        joined = links.joined(tx, item.connection_id)
        return Request(LKey(joined.auth_key.public()), joined.link.link_id, joined.auth_key)
    queue = sending.required_send_queue(tx, item.connection_id)
    if item.kind is Kind.SECURE_SEND:
        return Request(SKey(queue.auth_key.public()), queue.snd_id, queue.auth_key)
    # Every try sends the stored bytes: sealing again would be another ratchet step.
    body = item.body if item.kind in NUMBERED else outgoing.first_message(tx, item.connection_id)
    return Request(Send(item.notify, body), queue.snd_id, queue.auth_key if item.signed else None)


def together(tx: sqlite3.Connection, items: list[OutboxItem]) -> list[OutboxItem]:
    """The outbox items at the head of a lane that may be on their way to the relay at the same time: a single item, or
    several SENDs in a row."""
    first = items[0]
    # SKEY or KEY is never on its way together with a command that needs it: the reference relay checks authorisation on
    # arrival, before earlier commands have run (smp-wire 7.3).
    if first.kind not in SENDS:
        return items[:1]
    # In some handshakes, other messages may be sent before the relay has answered the confirmation or hello (see
    # `handshake_states.pipelines`). In all other handshakes, those messages wait for this answer.
    if first.kind not in NUMBERED and not states.pipelines(connections.load(tx, first.connection_id).state):
        return items[:1]
    run = []
    for item in items:
        if item.kind not in SENDS:
            break
        run.append(item)
    return run


# -- NEW --------------------------------------------------------------------------------------------------------------


class Creation(Record):
    """The content of NEW for one try. Each try of a NEW has fresh keys: if the answer to an earlier try was lost, the
    queue that the earlier try made has no key in common with the queue that we use."""

    connection_id: int
    messaging: bool
    reply_key: AuthPublicKey | None
    auth_key: Ed25519PrivateKey
    dh_key: X25519PrivateKey
    e2e_key: X25519PrivateKey
    publication: linking.Publication | None = None

    def request(self, version: int, *, keyed: bool, password: bytes | None) -> Request:
        """The NEW command for a relay.

        Args:
            version: The SMP version of the session with the relay.
            keyed: Whether NEW contains the reply key. Pass True only if the relay supports a sender's key in NEW.
            password: What the relay demands from those who make queues there; None if it demands nothing.
        """
        # queue modes exist since SMP 9; we give no mode to a queue that its sender may not secure
        queue = QueueRequest(QueueMode.MESSAGING) if self.messaging and version >= SND_AUTH_KEY else None
        if self.publication is not None:
            queue = self.publication.queue
        new = New(
            self.auth_key.public(),
            self.dh_key.public(),
            basic_auth=password,
            queue=queue,
            sender_key=self.reply_key if keyed else None,
        )
        return Request(new, b"", self.auth_key, self.publication.corr_id if self.publication else None)


def wanted_relay(tx: sqlite3.Connection, item: OutboxItem) -> SMPServerAddress | None:
    """The relay at which the queue of a `CREATE` item must be made, whatever relays are configured; None if it may be
    any of the configured relays."""
    if item.lane is Lane.MOVE:
        return moving.wanted_relay(tx, item.connection_id)
    return connections.wanted_relay(tx, item.connection_id)


def left_server(tx: sqlite3.Connection, item: OutboxItem) -> SMPServer | None:
    """For the `CREATE` item of a move: the relay of our old queue; None for all other items. The new queue is made at
    this relay only if no other can be used."""
    queue = connections.receive_queue(tx, item.connection_id) if item.lane is Lane.MOVE else None
    return queue.server if queue else None


def peer_server(tx: sqlite3.Connection, item: OutboxItem) -> SMPServer | None:
    """The relay of the peer's queue; None if there is no peer yet. We make our own queue at another relay than this
    one, if we can."""
    queue = connections.send_queue(tx, item.connection_id)
    if queue is not None:
        return queue.server
    if isinstance(connections.load(tx, item.connection_id).state, states.ReadingLink):
        return links.joined(tx, item.connection_id).link.server
    return requesting.short_link_server(tx, item.connection_id)


def prepare_creation(
    tx: sqlite3.Connection, context: Context, item: OutboxItem, server: SMPServer, version: int
) -> Creation:
    """The content of a `CREATE` item's NEW, with fresh keys, for this relay with this SMP version."""
    entropy = context.entropy
    messaging, keyed = connection_steps.create_parameters.decode(item.body)
    connection = connections.load(tx, item.connection_id)
    e2e_key = X25519PrivateKey.generate(entropy)
    publication = None
    if item.lane is not Lane.MOVE:  # a queue that replaces another has no link
        publication = contact_address.prepare(tx, entropy, item.connection_id, server, version, e2e_key.public())
    if publication is None and item.lane is not Lane.MOVE:
        publication = linking.prepare(tx, context, connection, server, version, e2e_key.public())
    return Creation(
        connection_id=item.connection_id,
        messaging=messaging,
        reply_key=connection_steps.reply_key_of(connection) if keyed else None,
        # This Ed25519 key signs our commands for the queue. Apps sign their commands, too, for queues in which they
        # receive as well as for queues to which they send. They do not use the X25519 authenticators that the
        # reference's documents describe (agent-wire trap 31).
        auth_key=Ed25519PrivateKey.generate(entropy),
        dh_key=X25519PrivateKey.generate(entropy),
        e2e_key=e2e_key,
        publication=publication,
    )


def created(
    tx: sqlite3.Connection,
    context: Context,
    item: OutboxItem,
    creation: Creation,
    server: SMPServer,
    version: int,
    ids: Ids,
    *,
    keyed: bool,
) -> None:
    """Store the answer to NEW.

    Args:
        keyed: Whether NEW contained the reply key.
    Raises:
        UnknownConnection: The connection was deleted meanwhile, or the move for which the queue was made was given up.
        IdInUse: The relay gave the new queue the id of another queue or link of ours.
    """
    connection = connections.load(tx, item.connection_id)
    _check_ids(tx, server, ids)
    if not outgoing.done(tx, item.id) and item.lane is Lane.MOVE:
        raise UnknownConnection(item.connection_id)
    queue = ReceiveQueue(
        connection_id=item.connection_id,
        server=server,
        rcv_id=ids.rcv_id,
        snd_id=ids.snd_id,
        mode=ids.queue_mode,
        auth_key=creation.auth_key,
        dh_secret=creation.dh_key.exchange(ids.server_dh_key),
        e2e_key=creation.e2e_key,
        peer_key=creation.reply_key.der if creation.reply_key else None,
    )
    if item.lane is Lane.MOVE:
        moving.queue_created(tx, context, queue)
        return
    if isinstance(connection.state, states.Inviting):
        linking.queue_created(tx, queue, creation.publication, ids)
    elif creation.publication is not None and isinstance(connection.state, states.Publishing):
        contact_address.queue_created(tx, context, queue, creation.publication, ids)
    event = ReceiveQueueCreated(
        messaging=ids.queue_mode is QueueMode.MESSAGING,
        keyed=keyed,
        # From SMP version `SND_AUTH_KEY` on, KEY may be sent at the same time as the confirmation.
        key_beside=version >= SND_AUTH_KEY,
    )
    connection_steps.receive_queue_created(tx, context, queue, event)


def _check_ids(tx: sqlite3.Connection, server: SMPServer, ids: Ids) -> None:
    taken = moves.uses_id(tx, server, ids.rcv_id) or moves.uses_id(tx, server, ids.snd_id)
    if taken or (ids.link_id is not None and links.uses_id(tx, server, ids.link_id)):
        raise IdInUse(f"relay {server.hosts[0]} gave a new queue the id of another one")


# -- answers ----------------------------------------------------------------------------------------------------------

_ACCEPTED: dict[Kind, Event] = {
    Kind.SECURE_SEND: SendQueueSecured(),
    Kind.SECURE_RECEIVE: ReceiveQueueSecured(),
    Kind.CONFIRMATION: ConfirmationAccepted(),
    Kind.HELLO: HelloAccepted(),
    Kind.REQUEST: RequestAccepted(),
}
_REFUSED: dict[Kind, Event] = {
    Kind.SECURE_SEND: SendQueueRefused(),
    Kind.SECURE_RECEIVE: ReceiveQueueRefused(),
    Kind.CONFIRMATION: ConfirmationRefused(),
    Kind.HELLO: HelloRefused(),
    Kind.READY: ReadyRefused(),
    Kind.REQUEST: AddressRefused(states.Failure.ADDRESS_GONE),
    Kind.READ_ADDRESS: AddressRefused(states.Failure.ADDRESS_GONE),
}


def accepted(
    tx: sqlite3.Connection, context: Context, item: OutboxItem, sent_to: bytes, answer: BrokerMessage | None = None
) -> None:
    """The relay executed the item's command on the queue ``sent_to``. If the item is already done, this changes
    nothing, except that a SEND may complete the move of the peer's queue."""
    if item.kind in NUMBERED:
        # A repeated SEND counts, too, even if its item is already done: the relay's OK shows that this queue accepts
        # our messages.
        rotation.sent(tx, context, item.connection_id, sent_to)
    if not outgoing.done(tx, item.id):
        return
    if item.kind in _ACCEPTED:
        connection_steps.apply(tx, context, item.connection_id, _ACCEPTED[item.kind])
    elif item.kind is Kind.READ_LINK:
        connection_steps.link_read(tx, context, item.connection_id, answer)
    elif item.kind is Kind.DELETE:
        _queue_deleted(tx, item)
    elif item.kind is Kind.SECURE_NEW:
        moving.queue_secured(tx, context, item.connection_id)
    elif item.kind is Kind.EMPTY:
        moving.queue_emptied(tx, item)
    elif item.kind is Kind.DELETE_LEFT:
        _left_queue_deleted(tx, item)
    elif item.kind is Kind.FAREWELL:
        connection_steps.farewell_done(tx, item.connection_id)
    elif item.kind is Kind.READ_ADDRESS:
        requesting.address_read(tx, context, item.connection_id, answer)
    elif item.reference is not None:
        context.application.message_sent(tx, item.reference)


def is_offered(item: OutboxItem, version: int) -> bool:
    """Whether a relay at this SMP version knows the item's command."""
    return item.kind is not Kind.READ_LINK or version >= SHORT_LINKS


def not_offered(tx: sqlite3.Connection, context: Context, item: OutboxItem) -> None:
    """The relay of a joined short link does not support short links, so the link cannot be used."""
    if outgoing.done(tx, item.id):
        event = LinkUnusable(states.Failure.NO_SHORT_LINKS)
        connection_steps.apply(tx, context, item.connection_id, event)


def reached(tx: sqlite3.Connection, context: Context, item: OutboxItem) -> None:
    """There is a session with the relay of a `REACH` item."""
    if outgoing.done(tx, item.id):
        rotation.relay_reached(tx, context, item.connection_id)


def refused(tx: sqlite3.Connection, context: Context, item: OutboxItem, code: ErrorCode, sent_to: bytes) -> Verdict:
    """The relay answered with an error. Some errors are final for the item; after all others, the item's command is
    repeated."""
    if code == ErrorCode.QUOTA:
        return Verdict.FULL
    unread = item.kind is Kind.READ_ADDRESS and code.words[0] == "CMD"  # the relay is too old for short links
    if code != ErrorCode.AUTH and not code.is_blocked and not unread:  # before SMP 12, a blocked queue gives AUTH
        if item.kind is Kind.MESSAGE and code == ErrorCode.LARGE_MSG:
            return _message_failed(tx, context, item, "The relay refuses messages of this size.")
        return Verdict.RETRY
    # AUTH is final, because the queue is gone or has another key (agent-wire 5.4). But if the contact is moving from
    # this queue or to it, the message is sent again, to the contact's other queue.
    if item.kind in NUMBERED and rotation.send_refused(tx, context, item.connection_id, sent_to):
        return Verdict.MOVED
    if item.kind is Kind.MESSAGE:
        blocked = "The relay's operator has blocked your contact's queue. Ask your contact for a new link."
        gone = "Your contact's queue is gone: they may have removed you."
        told = PEER_BLOCKED if code.is_blocked else PEER_GONE
        context.application.notice(tx, item.connection_id, told, NoticeKind.PEER_QUEUE_GONE)
        return _message_failed(tx, context, item, blocked if code.is_blocked else gone)
    if not outgoing.done(tx, item.id):
        return Verdict.DONE
    if item.kind is Kind.DELETE:  # the queue was deleted before
        _queue_deleted(tx, item)
    elif item.lane is Lane.LEAVE:  # the abandoned queue was deleted before
        _left_queue_deleted(tx, item)
    elif item.kind is Kind.SECURE_NEW:
        moving.queue_lost(tx, context, item.connection_id)
    elif item.kind is Kind.FAREWELL:  # the peer deleted us first
        connection_steps.farewell_done(tx, item.connection_id)
    elif item.kind is Kind.READ_LINK:
        connection_steps.apply(tx, context, item.connection_id, linking.link_refused(tx, item.connection_id))
    elif item.kind is Kind.UPDATE_ADDRESS:
        pass  # the queue is gone; its subscription reports that, too
    else:
        connection_steps.apply(tx, context, item.connection_id, _REFUSED[item.kind])
    return Verdict.DONE


def _message_failed(tx: sqlite3.Connection, context: Context, item: OutboxItem, reason: str) -> Verdict:
    if outgoing.done(tx, item.id) and item.reference is not None:
        context.application.message_failed(tx, item.reference, reason)
    return Verdict.DONE


def give_up_deletions(tx: sqlite3.Connection, server: str, before: float) -> int:
    """Stop trying to delete queues at a relay that cannot be reached, if their connections ended before the time
    ``before``, in POSIX seconds.

    If the relay ever comes back, it removes unread queues by itself. Returns how many deletions were given up.
    """
    given_up = outgoing.deletions_at(tx, server, before)
    for item in given_up:
        outgoing.done(tx, item.id)
        _queue_deleted(tx, item)
    return len(given_up)


def give_up_left(tx: sqlite3.Connection, server: str) -> int:
    """Forget the queues that we abandoned at a relay by moving, with any messages that still wait in them. Returns how
    many queues were forgotten."""
    left = [other for other in moves.queues_at(tx, server) if other.left_at is not None]
    for other in left:
        moving.forget_left(tx, other)
        connection_steps.forget_if_deleted(tx, other.queue.connection_id)
    return len(left)


def waits_on(tx: sqlite3.Connection, context: Context, item: OutboxItem) -> bool:
    """Whether the item deletes a queue and must wait, because the clock has leapt and the farewell (our last message to
    the peer) is not sent yet. Changes nothing.

    After a leap of the clock, the deletion may seem due until `clock.note` has postponed it.
    """
    if item.kind is not Kind.DELETE or not outgoing.awaits_farewell(tx, item.connection_id):
        return False
    return clock.is_held(tx, context.now())


def wait_on(tx: sqlite3.Connection, context: Context, item: OutboxItem) -> None:
    """Postpone the item for a day."""
    outgoing.postpone_item(tx, item.id, context.now() + clock.HOLD)


def _queue_deleted(tx: sqlite3.Connection, item: OutboxItem) -> None:
    outgoing.drop(tx, item.connection_id, Lane.SEND)  # a farewell that was given up
    erasure.stop_writing(tx, item.connection_id)
    connections.delete_receive_queue(tx, item.connection_id)
    connection_steps.forget_if_deleted(tx, item.connection_id)


def _left_queue_deleted(tx: sqlite3.Connection, item: OutboxItem) -> None:
    moving.queue_deleted(tx, item)
    connection_steps.forget_if_deleted(tx, item.connection_id)


def left_relay_lost(tx: sqlite3.Connection, context: Context, item: OutboxItem) -> None:
    """The relay of an abandoned queue cannot be reached: try again later, or forget the queue if this has lasted too
    long."""
    if moving.left_relay_lost(tx, context, item):
        connection_steps.forget_if_deleted(tx, item.connection_id)
