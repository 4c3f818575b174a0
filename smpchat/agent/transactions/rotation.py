"""The peer moves its queue to another relay, and we follow (agent-wire 5.7).

::

    peer                                      we
    QADD new queue, old address       →       can its relay be reached?
                                      ←       QKEY our keys for it
    KEY at the new relay; QUSE        →       what is not sent yet goes to the new queue, in order, then QTEST
    first message there: drops the old one    first OK there: drop the old one

When the first message arrives in the new queue, the peer deletes the old queue, with all messages there that it has not
fetched (simplexmq 6.5.5, ``ICQDelete``). So after QKEY nothing is sent to the old queue: messages wait for QUSE, up to
`ANSWER_TIME`. If QUSE takes longer, messages are sent to the old queue again until QUSE comes. After QUSE, the peer
gets `DRAIN_TIME` to fetch these messages, before anything goes to the new queue.

Until the new queue has accepted a message, we keep the keys for the old queue: if the new queue refuses, everything
goes to the old one again. Two addresses name the same queue if their hosts, port and id are equal, letter by letter.
One transaction processes a message or an answer, and stores the step that it causes. So if a process is killed, the
next process continues after the last step that was stored.
"""

from __future__ import annotations

import logging
import sqlite3

from smpchat.agent.context import Context
from smpchat.agent.errors import EnvelopeRefused
from smpchat.agent.machines.notices import NoticeKind
from smpchat.agent.store import allowances, connections, erasure, outgoing, owed, rotations
from smpchat.agent.store.allowances import HOUR, Allowance, Use
from smpchat.agent.store.connections import Connection, ReceiveQueue, SendQueue
from smpchat.agent.store.outgoing import Kind, Lane, Priority
from smpchat.agent.store.rotations import Rotation, Stage
from smpchat.agent.transactions import sealing, sending, strangers
from smpchat.agent.wire.envelope import QueueAdd, QueueKey, QueueTest, QueueUse
from smpchat.agent.wire.queue import CLIENT_VERSIONS, QueueAddress, QueueInfo, QueueURI
from smpchat.crypto.errors import CryptoError
from smpchat.crypto.keys import Ed25519PrivateKey

log = logging.getLogger("smpchat.agent")

NOT_MOVED = "{{alias}} wants to receive at another relay, but {why}. Messages still go through the old relay."
NOT_REACHED = (
    "{{alias}} wants to receive at another relay, which cannot be reached yet: {error}. Until it can be"
    " reached, messages go through the old relay."
)
MOVED = "{{alias}} now receives at the relay {host}."

TOO_MANY = (
    "{alias} wants to move to yet another relay, but has moved too often within an hour. Messages still go"
    " through the relay in use."
)

MOVES = Allowance("move", 10, HOUR)
"""How many QADDs of a peer are processed in an hour: for each of them, we must connect to a relay that the peer chose,
and send an answer."""
SWITCHES = Allowance("switch", 20, HOUR)
"""How many QUSEs of a peer are processed in an hour. More QUSEs than moves are allowed, because a peer repeats QUSE if
nothing comes through its new queue."""
ANSWER_TIME = 10.0
"""Seconds for which messages wait for QUSE, the peer's answer to QKEY. A peer that is online answers within one round
trip through three relays. The time is below the 20 seconds for which the command `send` waits."""
DRAIN_TIME = 10.0
"""How long a peer that is online may need to fetch a full queue, in seconds: 128 messages, at 15 to 70 a second."""


def same_address(address: QueueAddress, queue: SendQueue | ReceiveQueue) -> bool:
    """Whether ``address`` names this queue: hosts, port and id must be equal letter by letter; the relay's fingerprint
    does not count."""
    # The reference compares addresses in the same way (agent-wire trap 27): "" and "5223" count as different ports, and
    # two relays are different if one has a host more than the other.
    return (address.server.hosts, address.server.port, address.sender_id) == (
        queue.server.hosts,
        queue.server.port,
        queue.snd_id,
    )


def queue_added(tx: sqlite3.Connection, context: Context, connection: Connection, message: QueueAdd) -> None:
    """Process QADD, which announces the peer's new queue. If we cannot follow the move, the user is told. A later QADD
    replaces an earlier one whose queue is not in use yet."""
    used = allowances.use(tx, connection.id, MOVES, context.now())
    if used is not Use.ALLOWED or not owed.may_answer(tx, connection.id):
        log.warning("a move of a contact's queue is ignored: too many moves, or too many waiting answers")
        if used is Use.FIRST_TOO_MANY:
            context.application.notice(tx, connection.id, TOO_MANY, NoticeKind.MOVE_FAILED)
        return
    current = sending.required_send_queue(tx, connection.id)
    uri = next((uri for uri, old in message.queues if old is not None and same_address(old, current)), None)
    if uri is None:
        _refuse(tx, context, connection, "their app names an old queue that is not in use")
        return
    under_way = rotations.load(tx, connection.id)
    if under_way is not None and under_way.stage is Stage.TESTING:
        # The peer moves away from the queue that we are testing. It uses that queue already, and the test is over.
        rotations.delete(tx, connection.id)
    why = _unusable(uri, current) or strangers.reason_against_move(tx, connection.id, uri.server)
    version = uri.versions.agree(CLIENT_VERSIONS)
    if why is None and version is None:
        why = f"the new queue needs versions {uri.versions}, which this smpchat does not support"
    if why is not None or version is None:
        _refuse(tx, context, connection, why or "")
        return
    try:
        auth_key = Ed25519PrivateKey.generate(context.entropy)
        queue = sending.new_send_queue(connection.id, context.entropy, uri.at(version), auth_key)
    except CryptoError as error:
        raise EnvelopeRefused(f"the key of the new queue is invalid: {error}") from error
    # First find out whether the new queue's relay can be reached: if we agreed to a move to a relay that we cannot
    # reach, we would be cut off (agent-wire 5.7).
    rotations.save(tx, Rotation(Stage.REACHING, queue))
    outgoing.hold_numbered(tx, connection.id, 0)
    outgoing.drop(tx, connection.id, Lane.ROTATE)
    outgoing.enqueue(tx, connection.id, Lane.ROTATE, Kind.REACH, Priority.MESSAGE)


def _unusable(uri: QueueURI, current: SendQueue) -> str | None:
    if same_address(QueueAddress(uri.server, uri.sender_id), current):
        return "the new queue is the same as the old one"
    return None


def _refuse(tx: sqlite3.Connection, context: Context, connection: Connection, why: str) -> None:
    context.application.notice(tx, connection.id, NOT_MOVED.format(why=why), NoticeKind.MOVE_FAILED)


def relay_reached(tx: sqlite3.Connection, context: Context, connection_id: int) -> None:
    """There is a session with the new queue's relay, so agree to the move."""
    rotation = rotations.load(tx, connection_id)
    if rotation is None or rotation.stage is not Stage.REACHING:
        return
    queue = rotation.queue
    # QKEY contains the address of the new queue, with our key for the queue's box in place of the peer's. After QKEY,
    # the peer secures the queue with KEY. We send no SKEY: this faster way is described in the reference's
    # documents, but is not in its code (agent-wire 5.7, trap 29).
    info = QueueInfo(queue.client_version, queue.server, queue.snd_id, queue.e2e_public, queue.mode)
    key = QueueKey(((info, queue.auth_key.public()),))
    sending.submit(tx, context, connection_id, key)
    rotations.save(tx, Rotation(Stage.KEYED, queue, context.now() + ANSWER_TIME))


def queues_to_use(tx: sqlite3.Connection, context: Context, connection: Connection, message: QueueUse) -> bool:
    """Process QUSE, with which the peer tells us to use its new queue. Returns True if messages go to another queue
    from now on."""
    if allowances.use(tx, connection.id, SWITCHES, context.now()) is not Use.ALLOWED:
        log.warning("a contact's QUSE is ignored: too many came within an hour")
        return False
    current, rotation = sending.required_send_queue(tx, connection.id), rotations.load(tx, connection.id)
    for address, _ in message.queues:
        if rotation is not None and rotation.stage is Stage.KEYED and same_address(address, rotation.queue):
            _switch(tx, context, current, rotation.queue)
            now = context.now()
            # If QUSE comes within `ANSWER_TIME`, nothing was sent after QKEY, so there is nothing to drain.
            until = 0 if now < rotation.hold_until else now + DRAIN_TIME
            rotations.save(tx, Rotation(Stage.TESTING, current, until))
            outgoing.hold_numbered(tx, connection.id, until)
            _test(tx, context, connection.id, rotation.queue)
            return True
        if same_address(address, current):
            _test(tx, context, connection.id, current)
            return False
    _refuse(tx, context, connection, "their app names a new queue that was not agreed on")
    return False


def sent(tx: sqlite3.Connection, context: Context, connection_id: int, snd_id: bytes) -> None:
    """A relay accepted a message for the queue ``snd_id``. If ``snd_id`` is the peer's new queue, the old queue is
    deleted from the store."""
    rotation = rotations.load(tx, connection_id)
    if rotation is None or rotation.stage is not Stage.TESTING:
        return
    current = sending.required_send_queue(tx, connection_id)
    if current.snd_id == snd_id:
        rotations.delete(tx, connection_id)
        erasure.empty_log(tx)
        outgoing.hold_numbered(tx, connection_id, 0)
        moved = MOVED.format(host=current.server.host)
        context.application.notice(tx, connection_id, moved, NoticeKind.MOVED)
        context.application.mended(tx, connection_id, NoticeKind.MOVE_FAILED, NoticeKind.PEER_QUEUE_GONE)


def send_refused(tx: sqlite3.Connection, context: Context, connection_id: int, snd_id: bytes) -> bool:
    """A relay refused a message for the queue ``snd_id`` (ERR AUTH). True if the message must be sent again, to another
    queue."""
    current, rotation = connections.send_queue(tx, connection_id), rotations.load(tx, connection_id)
    if current is None:  # the connection is over
        return False
    if snd_id != current.snd_id:
        return True  # it was sent before the move
    if rotation is None or rotation.stage is not Stage.TESTING:
        return False
    _switch(tx, context, current, rotation.queue)
    rotations.delete(tx, connection_id)
    erasure.empty_log(tx)
    outgoing.hold_numbered(tx, connection_id, 0)
    why = f"{current.server.host} does not accept our messages"
    context.application.notice(tx, connection_id, NOT_MOVED.format(why=why), NoticeKind.MOVE_FAILED)
    return True


def _switch(tx: sqlite3.Connection, context: Context, old: SendQueue, new: SendQueue) -> None:
    """Everything that is sealed but not sent goes to another queue: the same ratchet messages in a new box."""
    # If the old queue has already accepted one of these messages, the peer recognises the copy in the new queue,
    # because both boxes hold the same ratchet message. If the ratchet sealed the message again, the peer would show it
    # twice.
    for item in outgoing.numbered(tx, old.connection_id):
        outgoing.replace_body(tx, item.id, sealing.seal_again(context.entropy, item.body, old, new))
    connections.save_send_queue(tx, new)


def _test(tx: sqlite3.Connection, context: Context, connection_id: int, queue: SendQueue) -> None:
    """Send QTEST, unless too many messages wait already. These make QTEST unnecessary: any message through the new
    queue makes the peer delete the old one."""
    if owed.may_answer(tx, connection_id):
        sending.submit(tx, context, connection_id, QueueTest((_address(queue),)))


def _address(queue: SendQueue) -> QueueAddress:
    return QueueAddress(queue.server, queue.snd_id)
