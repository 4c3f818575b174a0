"""What `smpchat.Client.events` yields."""

from __future__ import annotations

from smpchat.agent.machines.handshake_states import ConnectionState
from smpchat.chat.errors import ConnectionFailed
from smpchat.chat.store.address import RequestView
from smpchat.chat.store.events import ContactChanged, FileChanged, Notice, StateChanged, StatusChanged
from smpchat.chat.store.records import Message
from smpchat.encoding.record import Record


class MessageReceived(Record):
    """A contact wrote."""

    message: Message


class MessageChanged(Record):
    """A contact edited a message, deleted it or reacted to it; ``message`` is the message as it is now."""

    message: Message


class RequestReceived(Record):
    """Someone used our address and wants to connect: answer with `Client.accept` or `Client.reject`."""

    request: RequestView


Event = (
    MessageReceived
    | MessageChanged
    | RequestReceived
    | StateChanged
    | StatusChanged
    | ContactChanged
    | FileChanged
    | Notice
)
"""What `Client.events` yields."""


def check_not_failed(state: StateChanged) -> None:
    """Raises `ConnectionFailed` if the connection failed for good."""
    if state.state == ConnectionState.FAILED:
        raise ConnectionFailed(state.reason or "The connection failed.")
