"""What `smpchat.Client.events` yields."""

from __future__ import annotations

from smpchat.chat.store.address import RequestView
from smpchat.chat.store.events import ContactChanged, Notice, StateChanged, StatusChanged
from smpchat.chat.store.records import Message
from smpchat.encoding.record import Record


class MessageReceived(Record):
    """A contact wrote."""

    message: Message


class MessageChanged(Record):
    """A contact edited a message, took it back or reacted to it; ``message`` is as it is now."""

    message: Message


class RequestReceived(Record):
    """Somebody asks through our address to be a contact, and waits for `Client.accept` or `Client.reject`."""

    request: RequestView


Event = MessageReceived | MessageChanged | RequestReceived | StateChanged | StatusChanged | ContactChanged | Notice
"""What `Client.events` yields."""
