"""Undoes the effects of a group of commands whose commit failed.

The store has already rolled back its own changes. This module undoes the changes that are only in memory: which client
is subscribed to which queue or notifier, and which messages were delivered. What has changed is seen from the group's
answers and pushes, which were not sent.
"""

from __future__ import annotations

from collections.abc import Sequence

from smpchat.protocol.commands import Deld, End, Err, Ids, Msg, NMsg
from smpchat.protocol.errors import ErrorCode
from smpchat.relay.commands import QueueService
from smpchat.relay.connection import Received
from smpchat.relay.outgoing import Outgoing, error
from smpchat.relay.records import QueueStore
from smpchat.relay.subscriptions import Client

_ANSWERED_LATER = (b"PRXY", b"PFWD")
"""Commands that the relay executes as a proxy: without its database, and usually answered later."""
_ENDING = (b"DEL", b"NDEL", b"NKEY")
"""Commands that may end subscriptions, even those of the client that sends the command. The answer to such a command
does not show whether a subscription has ended."""


class Undone:
    """What the worker must do after a group of commands was undone, instead of sending the group's answers.

    Attributes:
        outgoing: Transmissions to send: answers to the commands, and messages that must be delivered again.
        afresh: Clients that may have lost a subscription without knowing it; their connections must end.
        waiting: Clients with notifications that cannot be pushed now, but must be pushed after a short pause.
    """

    __slots__ = ("afresh", "outgoing", "waiting")

    def __init__(self) -> None:
        self.outgoing: list[Outgoing] = []
        self.afresh: dict[Client, None] = {}
        self.waiting: dict[Client, None] = {}


def take_back(
    service: QueueService,
    store: QueueStore,
    commands: Sequence[tuple[Client, Received]],
    resumed: Sequence[Client],
    outgoing: Sequence[Outgoing],
) -> Undone:
    """Undoes what a group of commands changed in memory.

    Args:
        commands: All commands of the group, even if some were not executed. Those commands that use the store will be
            answered with ERR INTERNAL.
        resumed: Clients to which the group pushed messages that had been held back.
        outgoing: The unsent answers and pushes of the executed commands.
    Raises:
        RelayStoreError: The store cannot be read.
    """
    undone = Undone()
    touched: dict[bytes, None] = {}
    independent = set[tuple[Client, bytes]]()
    for client, received in commands:
        if isinstance(received, ErrorCode):
            undone.outgoing.append(Outgoing(client, b"", b"", Err(received)))
        elif received.body[:4] in _ANSWERED_LATER:
            independent.add((client, received.corr_id))
        else:
            undone.outgoing.append(error(client, received, ErrorCode.INTERNAL))
            queue = store.by_recipient(received.entity_id) or store.by_sender(received.entity_id)
            if queue is not None:
                touched[queue.rcv_id] = None
            if received.body.partition(b" ")[0] in _ENDING:
                undone.afresh[client] = None
    for client in resumed:
        touched.update(dict.fromkeys(client.subscribed))
    for one in outgoing:
        match one.message:
            case Ids(rcv_id=rcv_id):
                service.subscriptions.end(rcv_id)  # the queue was not created
            case Deld() if store.by_recipient(one.entity_id) is not None:
                service.subscriptions.subscribe(one.entity_id, one.client)  # the queue still exists
                touched[one.entity_id] = None
            case Deld():
                undone.afresh[one.client] = None  # it was subscribed to a notifier
            case End():
                undone.outgoing.append(one)  # another connection has subscribed, which does not depend on the store
            case Msg() if one.push:
                one.client.unsent -= 1
                touched[one.entity_id] = None
            case NMsg():
                one.client.unsent -= 1
                one.client.deferred[one.entity_id] = None
                undone.waiting[one.client] = None
            case Err() if (one.client, one.corr_id) in independent:
                undone.outgoing.append(one)
    for rcv_id in touched:
        undone.outgoing += _redeliver(service, store, rcv_id)
    return undone


def _redeliver(service: QueueService, store: QueueStore, rcv_id: bytes) -> list[Outgoing]:
    """Pushes the oldest message of a queue, unless the subscriber already has to acknowledge this message."""
    client, queue = service.subscriptions.subscriber(rcv_id), store.by_recipient(rcv_id)
    if client is None or queue is None:
        return []
    head = store.head(queue)
    if client.subscribed[rcv_id] == (None if head is None else head.msg_id):
        return []
    client.subscribed[rcv_id] = None
    return list(service.push(queue))
