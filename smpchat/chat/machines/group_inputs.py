"""The events of a group's machine: what the user does, what the agent reports, and what members say."""

from __future__ import annotations

from smpchat.chat.wire.group_events import (
    Deletion,
    Edit,
    Forward,
    GroupEvent,
    Post,
    Reaction,
)
from smpchat.chat.wire.group_values import GroupProfile, MemberId, Role
from smpchat.chat.wire.groups import GroupMessage
from smpchat.encoding.record import Record, field
from smpchat.protocol.version import VersionRange

# -- actions of the user -----------------------------------------------------------------------------------------------


class Accept(Record):
    """We accept the invitation to the group."""


class Leave(Record):
    """Leave the group, or decline an invitation."""


class Invitee(Record):
    """We invite a contact and choose its member id; or we invite it again, perhaps with another role.

    Attributes:
        name: The name that the contact gave itself, never our alias for it.
        versions: The chat versions of the contact's app.
    """

    member: MemberId
    role: Role
    name: str = field(repr=False)
    versions: VersionRange | None


class Admission(Record):
    """We admit a newcomer who waits for this decision. The newcomer gets ``role``."""

    member: MemberId
    role: Role


class Grant(Record):
    """We give a member another role."""

    member: MemberId
    role: Role


class Expel(Record):
    """We remove a member. ``messages``: whether the member's messages are deleted too."""

    member: MemberId
    messages: bool = False


class Block(Record):
    """We block a member for everybody, or unblock the member."""

    member: MemberId
    blocked: bool


class Change(Record):
    """We give the group another profile, which replaces the old one."""

    profile: GroupProfile


class Dissolve(Record):
    """We delete the group, for everybody."""


# -- events from the agent ---------------------------------------------------------------------------------------------


class Confirmed(Record):
    """A peer's connection info arrived: the peer joins a link of ours, or answers after we have joined its link.

    Attributes:
        member: The member to whom the connection leads.
    """

    member: MemberId
    info: GroupEvent


class Joiner(Record):
    """Somebody uses our link to the group, and gets this member id and role from us."""

    member: MemberId
    role: Role
    name: str = field(repr=False)
    versions: VersionRange | None


class Linked(Record):
    """The link for a member has been made."""

    member: MemberId
    link: str = field(repr=False)


class Connected(Record):
    """The connection to a member works."""

    member: MemberId


class Lost(Record):
    """The connection to a member could not be made, or has ended."""

    member: MemberId


class Tick(Record):
    """Time has passed, so connections that wait for their turn may be started."""

    now: float


# -- events from members -----------------------------------------------------------------------------------------------


class Seen(Record):
    """An event that has arrived before. ``forwarder``: the member who passed the event on; None if the author's own
    copy arrived."""

    forwarder: MemberId | None


class Item(Record):
    """A stored message.

    Attributes:
        said_at: POSIX seconds.
        scope: The member to whose support chat the message belongs; None if it is for everybody.
        reactions: How many different reactions the message already has from the author of the event that is being
            handled.
    """

    author: MemberId
    said_at: float
    scope: MemberId | None = None
    reactions: int = 0


class Known(Record):
    """What the store knows about an event that has arrived, and about the message that the event creates or changes.
    `asks` says what to look up.

    Attributes:
        seen: The earlier arrival of the same event; None if it has not arrived before.
        item: The stored message that the event changes. If the event is a new message (`Post`), the message can be
            stored already: an edit that arrives first creates it.
        gone: The message was deleted, and nothing of it is kept.
        moderators: For a post: the author or moderators who deleted the post before it arrived.
    """

    seen: Seen | None = None
    item: Item | None = None
    gone: bool = False
    moderators: tuple[MemberId, ...] = ()


NOTHING = Known()


class Heard(Record):
    """An event that came through a member's connection.

    Attributes:
        sender: The member through whose connection the event came.
        at: When the relay received the event, by the relay's clock; POSIX seconds.
        now: When the event arrived here; POSIX seconds.
    """

    sender: MemberId
    message: GroupMessage
    at: float
    now: float
    known: Known = NOTHING


Decision = Invitee | Admission | Grant | Expel | Block | Change | Dissolve
"""Our actions that need the rights of our role in a group (`smpchat.chat.machines.group_owning`)."""
Input = Accept | Leave | Decision | Confirmed | Joiner | Linked | Connected | Lost | Tick | Heard


class Asked(Record):
    """What must be looked up in the store before the machine handles an event: whether the event has arrived before,
    and the message that it creates or changes.

    Attributes:
        by: The author of the event.
        event: The event's own id; None if it has none.
        item: The author and the id of the message that the event creates or changes; None if the event does neither.
    """

    by: MemberId
    event: str | None
    item: tuple[MemberId, str] | None


def asks(sender: MemberId, message: GroupMessage) -> Asked:
    """What must be looked up for an event from ``sender``."""
    event, shared_id, by = message.event, message.shared_id, sender
    if isinstance(event, Forward):
        by = event.author or sender
        shared_id = event.message.shared_id
        if event.event is None:
            return Asked(by, shared_id, None)
        event = event.event
    return Asked(by, shared_id, _item(by, event, shared_id))


def _item(by: MemberId, event: GroupEvent, shared_id: str | None) -> tuple[MemberId, str] | None:
    match event:
        case Post() if shared_id is not None:  # an edit of the message may have come first
            return by, shared_id
        case Edit(original):
            return by, original
        case Deletion(original, author) | Reaction(original, author):
            return author or by, original
    return None


def is_post(event: GroupEvent) -> bool:
    """Whether an event, direct or passed on, is a message for a person to read."""
    return isinstance(event.event if isinstance(event, Forward) else event, Post)
