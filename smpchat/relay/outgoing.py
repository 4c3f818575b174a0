"""The relay's outgoing transmissions, before they are encoded."""

from __future__ import annotations

from typing import NamedTuple

from smpchat.protocol.commands import BrokerMessage, Err
from smpchat.protocol.errors import ErrorCode
from smpchat.protocol.transmission import Transmission
from smpchat.relay.subscriptions import Client


class Outgoing(NamedTuple):
    """A transmission to send. If ``push`` is true, `Client.unsent` counts the transmission until it is sent."""

    client: Client
    corr_id: bytes
    entity_id: bytes
    message: BrokerMessage
    push: bool = False


def answer(client: Client, transmission: Transmission, message: BrokerMessage) -> Outgoing:
    """The answer to a command: the correlation id and the entity id are those of the command."""
    return Outgoing(client, transmission.corr_id, transmission.entity_id, message)


def error(client: Client, transmission: Transmission, code: ErrorCode) -> Outgoing:
    """The answer to a command that failed: ERR with ``code``."""
    return answer(client, transmission, Err(code))
