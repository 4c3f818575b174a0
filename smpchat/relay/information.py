"""The JSON of INFO, the answer to the recipient's QUE (smp-wire 5.2)."""

from __future__ import annotations

import json
from base64 import b64encode
from datetime import UTC, datetime

from smpchat.protocol.commands import Info
from smpchat.relay.records import Queue, StoredMessage
from smpchat.relay.subscriptions import Client


def queue_information(client: Client, queue: Queue, head: StoredMessage | None) -> Info:
    """Returns INFO, which describes a queue, and whether ``client`` is subscribed to it or used GET.

    Args:
        head: The queue's oldest message; None if the queue is empty.
    """
    told: dict[str, object] = {"qiSnd": queue.sender_key is not None, "qiNtf": queue.notifier is not None}
    subscription = _subscription(client, queue.rcv_id)
    if subscription is not None:
        told["qiSub"] = subscription
    told["qiSize"] = queue.size
    if head is not None:
        told["qiMsg"] = {
            "msgId": _text(head.msg_id),
            "msgTs": datetime.fromtimestamp(head.timestamp, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "msgType": "quota" if head.body is None else "message",
        }
    return Info(json.dumps(told, separators=(",", ":")).encode())


def _subscription(client: Client, rcv_id: bytes) -> dict[str, str] | None:
    # "subThread" is left out: it describes a thread of the reference server, and we have no such thread.
    if rcv_id in client.subscribed:
        state, delivered = "subPending" if rcv_id in client.deferred else "noSub", client.subscribed[rcv_id]
    elif rcv_id in client.getting:
        state, delivered = "prohibitSub", client.getting[rcv_id]
    else:
        return None
    told = {"qSubThread": state}
    if delivered is not None:
        told["qDelivered"] = _text(delivered)
    return told


def _text(msg_id: bytes) -> str:
    return b64encode(msg_id).decode("ascii")
