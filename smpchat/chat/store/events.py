"""The events of a profile, which commands and scripts follow. Each event is stored as a row of the profile's *feed*;
here, each kind of event is a class."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from smpchat.agent.machines.handshake_states import ConnectionState
from smpchat.encoding.record import Record, as_dict, field


class StateChanged(Record):
    """The handshake of a connection reached another state.

    Attributes:
        elapsed_ms: Milliseconds from making or using the link until the connection was ready or connected; in any
            other state, until now.
        since: When the connection became ready or connected; in any other state, when the link was made or used. POSIX
            seconds. This time is missing (None) in events that an old version of smpchat stored.
        reason: Why the handshake failed, in a sentence for users.
        failure: Why the handshake failed, in a form for programs: a `Failure`.
        holds_texts: Whether messages still wait for the contact's answer, although the connection is *ready*.
    """

    connection: int
    alias: str | None
    role: str
    variant: str | None
    step: int
    state: str
    elapsed_ms: int
    reason: str | None = None
    since: float | None = None
    failure: str | None = None
    holds_texts: bool = False

    @property
    def is_final(self) -> bool:
        """Whether the handshake is over: it has succeeded or failed, or the connection is deleted."""
        return self.state in (ConnectionState.CONNECTED, ConnectionState.FAILED, ConnectionState.DELETED)


class ContactChanged(Record):
    """A contact's profile arrived or changed, or the contact got another alias."""

    alias: str


class MessageAdded(Record):
    """A message was received, or written here."""

    id: int


class Change(StrEnum):
    """How a message was changed."""

    EDITED = "edited"
    DELETED = "deleted"
    REACTION = "reaction"
    CANCELLED = "cancelled"
    SEVERAL = "changed"
    """The message was changed in one or more of these ways; it is not known in which."""


class MessageChanged(Record):
    """A message was changed.

    Attributes:
        change: A `Change`.
        direction: ``sent`` if we changed it, ``received`` if the contact did.
        by: The member of a group who changed the message; None if it is not known who did that.
        emoji: The reaction that a member of a group added; None if the member removed a reaction, or if the change is
            not a reaction.
    """

    id: int
    contact: str
    change: str
    direction: str
    by: str | None = None
    emoji: str | None = field(default=None, repr=False)


class MessageExpired(Record):
    """A message was deleted, because its time to live is over."""

    id: int
    contact: str


class StatusChanged(Record):
    """The status of a message of ours changed, or the message reached one more member of a group.

    Attributes:
        delivered_to: For a message to a group: how many members have received it.
        members: For a message to a group: to how many members it is sent directly.
    """

    id: int
    contact: str
    status: str
    reason: str | None = None
    delivered_to: int | None = None
    members: int | None = None


class FileChanged(Record):
    """The state of a file has changed; for example, the file is now complete.

    Attributes:
        id: Number of the message with the file.
        state: A `smpchat.chat.store.files.FileState`.
    """

    id: int
    contact: str
    state: str


class RequestReceived(Record):
    """Someone sent a request to our address."""

    id: int


class Notice(Record):
    """A sentence that the user should read.

    Attributes:
        number: Number of the stored notice, which is a line of the conversation; None if no contact is concerned.
        kind: What happened: a `smpchat.agent.machines.notices.NoticeKind`.
    """

    alias: str | None
    sentence: str = field(repr=False)
    number: int | None = None
    kind: str = "information"


ChatEvent = (
    StateChanged
    | ContactChanged
    | MessageAdded
    | MessageChanged
    | MessageExpired
    | StatusChanged
    | FileChanged
    | RequestReceived
    | Notice
)
_KINDS: dict[str, type[ChatEvent]] = {
    "state": StateChanged,
    "contact": ContactChanged,
    "message": MessageAdded,
    "change": MessageChanged,
    "expired": MessageExpired,
    "status": StatusChanged,
    "file": FileChanged,
    "request": RequestReceived,
    "notice": Notice,
}
_NAMES = {cls: name for name, cls in _KINDS.items()}


def to_row(event: ChatEvent) -> tuple[str, dict[str, Any]]:
    """The form in which the store keeps an event: its kind and its payload."""
    return _NAMES[type(event)], as_dict(event)


def from_row(kind: str, payload: dict[str, Any]) -> ChatEvent:
    """The event that `to_row` turned into this kind and payload."""
    return _KINDS[kind](**payload)
