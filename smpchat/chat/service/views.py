"""Records that describe a profile to commands and other callers: its contacts with their connections, its invitations,
its groups, and its status."""

from __future__ import annotations

from smpchat.agent.store.outgoing import RelayTrouble
from smpchat.chat.store import events
from smpchat.chat.store.address import AddressView
from smpchat.chat.store.conditions import Condition
from smpchat.chat.store.moves import MoveView
from smpchat.chat.store.records import Contact
from smpchat.encoding.record import Record, field


class Invitation(Record):
    """An invitation that nobody has answered.

    Attributes:
        link: The full link; None until the link's queue exists.
        short_link: The short link; None if the relay or the handshake does not support it.
        incognito: The made-up name that is told to the person who uses the link; None if this person is told our
            profile's name.
        as_of: When the link was last known to be unused; None if this was never noted. While the online process is
            connected to the relay, this is the present time. POSIX seconds.
    """

    connection: int
    link: str | None = field(repr=False)
    note: str | None = field(repr=False)
    short_link: str | None = field(default=None, repr=False)
    incognito: str | None = None
    as_of: float | None = None


class MemberView(Record):
    """A member of a group.

    Attributes:
        name: The name that smpchat shows for the member. Two members of a group never have the same name here, but a
            name does not prove who a member is.
        role: The role of the member: ``member``, ``admin`` and so on.
        standing: Whether the member is in the group: ``current``, ``left`` and so on.
        connection: The state of our connection to the member. If it is ``connected``, the member's messages come
            directly from the member. Otherwise, others pass them on, and could change them.
        host: Whether this member let us into the group.
        versions: The chat versions of the member's app, such as ``1-16``; empty if they are not known.
    """

    name: str
    role: str
    standing: str
    connection: str
    blocked: bool = False
    host: bool = False
    versions: str = ""

    @property
    def current(self) -> bool:
        """Whether the member is in the group now."""
        return self.standing == "current"

    @property
    def connected(self) -> bool:
        """Whether we are connected to the member, so that our messages reach the member without a host's help."""
        return self.connection == "connected"


class GroupView(Record):
    """A group that we are in, were in, or are invited to.

    Attributes:
        id: The number of the group.
        alias: Our name for the group; None before we have joined.
        name: The name in the group's profile.
        inviter: Alias of the contact that invited us; None if no contact did, or the contact was deleted.
        role: Our role.
        standing: Whether we are in the group: ``invited``, ``joining``, ``pending``, ``review`` or ``current``. If we
            are no longer in the group, the reason: ``left``, ``removed`` or ``deleted``.
        members: All members except us; former members are included.
        allows: The features that we may use, as names from `smpchat.chat.service.group_views.FEATURES`.
        disappear_after: Seconds after which new messages disappear; None if they stay.
        incognito: The made-up name by which the members know us; None if they know our profile.
    """

    id: int
    alias: str | None
    name: str = field(repr=False)
    inviter: str | None
    role: str
    standing: str
    members: tuple[MemberView, ...] = field(repr=False)
    business: bool = False
    description: str = field(default="", repr=False)
    welcome: str = field(default="", repr=False)
    allows: tuple[str, ...] = ()
    disappear_after: int | None = None
    incognito: str | None = None

    @property
    def current(self) -> tuple[MemberView, ...]:
        """The members who are in the group now."""
        return tuple(member for member in self.members if member.current)


class GroupLinkView(Record):
    """A link of ours to a group.

    Attributes:
        connection: The id of the link's connection.
        full: The full link; None until the link's queue exists.
        short: The short link; None until the link's queue exists, or if the relay does not support short links.
        role: The role of people who join with this link: ``member`` or ``observer``.
    """

    connection: int
    full: str | None = field(repr=False)
    short: str | None = field(repr=False)
    role: str


class ContactView(Record):
    """A contact with the state of its connection, for lists and prompts.

    Attributes:
        group: The group, if the contact is a group.
        move: The progress of moving our queue for this contact to another relay; None if the queue is not being moved.
        incognito: The made-up name by which the contact knows us; None if it knows our profile.
        pending: Number of messages to the contact that are not sent yet.
        pq: Whether post-quantum keys now protect the messages in both directions.
        verified: Whether the security code was compared and is still the same.
        conditions: The contact's present problems.
        receipts: Whether the contact is told when its messages have arrived.
        muted_until: The time until which the contact is muted: POSIX seconds, or infinity; None if the contact is not
            muted.
        looks_like: The alias of another contact, if the name of this contact looks like that alias; None if there is no
            such contact.
        newest: Number of the last message of the conversation; 0 if there is none.
    """

    contact: Contact
    state: events.StateChanged
    pending: int
    pq: bool = False
    verified: bool = False
    move: MoveView | None = None
    incognito: str | None = None
    conditions: tuple[Condition, ...] = ()
    receipts: bool = True
    muted_until: float | None = None
    looks_like: str | None = None
    newest: int = 0
    group: GroupView | None = None

    @property
    def alias(self) -> str:
        """The alias of the contact."""
        return self.contact.alias


class Verification(Record):
    """A contact's security code, and whether the user has compared it."""

    contact: str
    code: str
    verified: bool


class Status(Record):
    """The status of the whole profile: what is waiting, which relays cannot be reached, and the contact address.

    Attributes:
        moves: The unfinished moves of our queues to other relays; the keys are connection ids.
        incognito: Made-up names by which contacts know us; the keys are connection ids.
        receipts: Whether each contact gets receipts for its messages; the keys are connection ids.
    """

    invitations: list[Invitation]
    connections: list[events.StateChanged]
    pending: dict[str, int]
    troubles: dict[str, RelayTrouble]
    address: AddressView | None = None
    moves: dict[int, MoveView] = field(default_factory=dict)
    incognito: dict[int, str] = field(default_factory=dict)
    receipts: dict[int, bool] = field(default_factory=dict)
