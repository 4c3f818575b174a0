"""What happens in a profile, for people and scripts to follow: typed forms of the feed that the store keeps."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from smpchat.agent.machines.handshake_states import ConnectionState
from smpchat.encoding.record import Record, as_dict, field


class StateChanged(Record):
    """A handshake went on.

    Attributes:
        elapsed_ms: The time from making or using the link to this state, or until now if the state still holds.
        since: When this state began; POSIX seconds. None in older feeds, which did not contain it.
        reason: Why it failed, for people.
        failure: The same for programs: a `Failure`.
        holds_texts: It is *ready*, but texts still wait for the contact's answer.
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
        """Whether nothing follows."""
        return self.state in (ConnectionState.CONNECTED, ConnectionState.FAILED, ConnectionState.DELETED)


class ContactChanged(Record):
    """A contact's profile arrived or changed, or it has another alias."""

    alias: str


class MessageAdded(Record):
    """A message was received, or written here."""

    id: int


class Change(StrEnum):
    """The status of a message after it was sent."""

    EDITED = "edited"
    DELETED = "deleted"
    REACTION = "reaction"
    CANCELLED = "cancelled"


class MessageChanged(Record):
    """A message was edited, deleted or reacted to. ``direction``: ``sent`` if by us, ``received`` if by the contact."""

    id: int
    contact: str
    change: str
    direction: str


class MessageExpired(Record):
    """The time of a message is over, and it was deleted."""

    id: int
    contact: str


class StatusChanged(Record):
    """A message of ours has another status, or one more member of a group has it.

    Attributes:
        delivered_to: To a group: how many members have it.
        members: To a group: how many it goes to straight.
    """

    id: int
    contact: str
    status: str
    reason: str | None = None
    delivered_to: int | None = None
    members: int | None = None


class FileChanged(Record):
    """The state of a file has changed: it is offered, being transferred, here, or will never come.

    Attributes:
        id: Number of its message.
        state: A `smpchat.chat.store.files.FileState`.
    """

    id: int
    contact: str
    state: str


class RequestReceived(Record):
    """Someone sent a request to our address."""

    id: int


class Notice(Record):
    """A sentence that a person should read.

    Attributes:
        number: Number of the stored notice, which is part of the conversation; None if there is no contact.
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
    """The kind and the payload for the store."""
    return _NAMES[type(event)], as_dict(event)


def from_row(kind: str, payload: dict[str, Any]) -> ChatEvent:
    """What `to_row` wrote."""
    return _KINDS[kind](**payload)
